"""vfs/backups.py: what Time Machine's bundles take, and how large a limited share is told to be."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ksmbd.vfs import backups
from ksmbd.vfs.backups import UNIT, BackupLimit
from ksmbd.vfs.root import ShareRoot

PLIST = "<dict>\n  <key>band-size</key>\n  <integer>{}</integer>\n</dict>\n"
K = 1024


def bundle(disk: Path, name: str = "mac.sparsebundle", band: int = 8 * K, bands: int = 2) -> Path:
    path = disk / name
    (path / "bands").mkdir(parents=True)
    (path / "Info.plist").write_text(PLIST.format(band))
    for number in range(bands):
        (path / "bands" / f"{number:x}").touch()
    return path


def test_a_bundle_takes_its_bands(share: ShareRoot, disk: Path) -> None:
    bundle(disk)
    bundle(disk, "other.backupbundle", 100, 3)
    bundle(disk, "no.bundle")
    (disk / "file.sparsebundle").write_text("no directory")
    assert BackupLimit(1).used(share) == 16 * K + 300


def test_without_backups_nothing_is_used(share: ShareRoot) -> None:
    assert BackupLimit(1).used(share) == 0


def test_new_bands_are_counted(share: ShareRoot, disk: Path) -> None:
    bands = bundle(disk) / "bands"
    limit = BackupLimit(1)
    for number in range(2, 6):
        assert limit.used(share) == number * 8 * K
        (bands / f"{number}").touch()


def test_bands_are_not_counted_again_while_their_directory_stands_still(
    share: ShareRoot, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle(disk)
    limit = BackupLimit(1)
    share.clock = lambda: time.time_ns() + 10**10  # time enough has gone by
    assert limit.used(share) == 16 * K
    monkeypatch.setattr(os, "listdir", lambda fd: pytest.fail("counted again"))
    assert limit.used(share) == 16 * K


def test_while_a_backup_runs_its_bands_are_not_counted_for_each_question(
    share: ShareRoot, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bands = bundle(disk) / "bands"
    limit = BackupLimit(1)
    clock = [10**18]
    share.clock = lambda: clock[0]
    listdir = os.listdir

    def slow(fd: int) -> list[str]:
        clock[0] += 10**9
        return listdir(fd)

    monkeypatch.setattr(os, "listdir", slow)
    monkeypatch.setattr(backups, "_MANY", 2)
    assert limit.used(share) == 16 * K
    (bands / "2").touch()
    clock[0] += 49 * 10**9
    assert limit.used(share) == 16 * K
    clock[0] += 2 * 10**9
    assert limit.used(share) == 24 * K


@pytest.mark.parametrize(
    "plist",
    ["", "<dict></dict>", PLIST.format("x"), PLIST.format(-1), PLIST.format("9" * 20), "\0" * 99],
)
def test_a_bundle_that_does_not_say_its_bands_counts_nothing(
    share: ShareRoot, disk: Path, plist: str
) -> None:
    (bundle(disk) / "Info.plist").write_text(plist)
    assert BackupLimit(1).used(share) == 0


@pytest.mark.parametrize("missing", ["Info.plist", "bands"])
def test_half_a_bundle_counts_nothing(share: ShareRoot, disk: Path, missing: str) -> None:
    path = bundle(disk)
    (path / missing).rename(disk / "elsewhere")
    assert BackupLimit(1).used(share) == 0


def test_no_symlink_and_no_special_file_is_looked_into(share: ShareRoot, disk: Path) -> None:
    real = bundle(disk, "real")
    (disk / "link.sparsebundle").symlink_to(real)
    for name in ("Info.plist", "bands"):
        (bundle(disk, f"{name}.sparsebundle") / name).rename(disk / f"moved {name}")
        (disk / f"{name}.sparsebundle" / name).symlink_to(disk / f"moved {name}")
    path = bundle(disk, "fifo.sparsebundle")
    (path / "Info.plist").unlink()
    os.mkfifo(path / "Info.plist")
    assert BackupLimit(1).used(share) == 0


@pytest.mark.parametrize(
    ("limit", "blocks", "free"), [(32 * K, 32, 16), (16 * K, 16, 0), (9, 0, 0)]
)
def test_the_share_is_as_large_as_its_limit(
    share: ShareRoot, disk: Path, limit: int, blocks: int, free: int
) -> None:
    bundle(disk)
    told = BackupLimit(limit).applied(share, share.statfs())
    assert told.block_size == UNIT
    assert (told.blocks, told.free, told.available) == (blocks, free, free)


def test_a_limit_beyond_the_disk_is_the_disk(share: ShareRoot) -> None:
    fs = share.statfs()._replace(block_size=4096, blocks=100, free=50, available=40)
    told = BackupLimit(1 << 60).applied(share, fs)
    assert (told.blocks, told.free, told.available) == (400, 200, 160)
