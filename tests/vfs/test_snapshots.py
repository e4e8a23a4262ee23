"""vfs/snapshots.py: where previous versions lie, and that nothing leads out of one."""

from __future__ import annotations

import errno
import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksmbd.vfs.path import Walk
from ksmbd.vfs.root import RootOptions
from ksmbd.vfs.snapshots import LABEL, Layout, SnapshotRoot, Snapshots, take_token

FIRST, SECOND = 1_700_000_000, 1_700_003_600
NAMES = {when: time.strftime(LABEL, time.gmtime(when)) for when in (FIRST, SECOND)}
OPTIONS = RootOptions()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A file system with a share below it, and two copies of it."""
    (tmp_path / "disk/share").mkdir(parents=True)
    for when, name in NAMES.items():
        copy = tmp_path / "disk/.snapshots" / name / "share"
        copy.mkdir(parents=True)
        (copy / "file").write_text(str(when))
    return tmp_path


def snapshots(folder: Path, **layout: object) -> Snapshots:
    said = {"directory": str(folder / "disk/.snapshots"), "base": str(folder / "disk")} | layout
    return Snapshots(str(folder / "disk/share"), Layout(**said))  # type: ignore[arg-type]


def content(root: SnapshotRoot) -> bytes:
    with root.resolve("file") as entry:
        handle = root.open(entry, read=True, write=True)
    assert not handle.writable
    buffer = bytearray(32)
    length = handle.readinto(memoryview(buffer), 0)
    handle.close()
    return bytes(buffer[:length])


@pytest.mark.parametrize("openat2", [True, False])
def test_each_time_has_its_own_directory(
    folder: Path, openat2: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not openat2:
        monkeypatch.setattr("ksmbd.vfs.path.has_openat2", lambda: False)
    found = snapshots(folder)
    roots = [found.find(when, OPTIONS) for when in NAMES]
    assert [content(root) for root in roots] == [b"1700000000", b"1700003600"]
    assert isinstance(roots[0]._beneath, Walk) is not openat2


@pytest.mark.parametrize("when", [FIRST + 1, 0, -1, -(1 << 62), 1 << 62])
def test_a_time_without_a_snapshot_is_not_found(folder: Path, when: int) -> None:
    with pytest.raises(FileNotFoundError):
        snapshots(folder).find(when, OPTIONS)


def test_the_newest_is_told_first_unless_otherwise_said(folder: Path) -> None:
    assert snapshots(folder).labels() == [NAMES[SECOND], NAMES[FIRST]]
    assert snapshots(folder, ascending=True).labels() == [NAMES[FIRST], NAMES[SECOND]]


def test_what_is_no_snapshot_is_not_told_of(folder: Path) -> None:
    place = folder / "disk/.snapshots"
    (place / "daily.0").mkdir()
    (place / "@GMT-2026.13.01-00.00.00").mkdir()
    (place / "@GMT-2026.1.1-0.0.0").mkdir()  # strptime reads it, nobody finds it again
    (place / "@GMT-2026.01.01-00.00.00").write_text("a file")
    (place / "@GMT-2026.01.02-00.00.00").symlink_to(NAMES[FIRST])
    assert snapshots(folder).labels() == [NAMES[SECOND], NAMES[FIRST]]


def test_no_directory_means_no_versions(folder: Path) -> None:
    found = snapshots(folder, directory=str(folder / "none"))
    assert found.labels() == []
    with pytest.raises(FileNotFoundError):
        found.find(FIRST, OPTIONS)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine on the other side of the Atlantic."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
def test_names_may_be_in_local_time_and_of_any_form(folder: Path) -> None:
    when = FIRST // 60 * 60
    name = time.strftime("daily_%Y-%m-%d_%H%M", time.localtime(when))
    (folder / "disk/.snapshots" / name / "share").mkdir(parents=True)
    found = snapshots(folder, format="daily_%Y-%m-%d_%H%M", local_time=True)
    assert name == "daily_2023-11-14_1713"
    assert found.labels() == ["@GMT-2023.11.14-22.13.00"]
    assert found.find(when, OPTIONS).location.endswith(f"{name}/share")
    with pytest.raises(FileNotFoundError):
        found.find(when + 1, OPTIONS)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("asked_before", ["2026-01-01_1200", "2026-07-01_1200"])
def test_a_time_that_comes_twice_is_the_first_however_often_it_is_asked(
    folder: Path, asked_before: str
) -> None:
    """By mktime(3) alone the time that was told could not be opened."""
    name = "daily_2026-10-25_0230"
    (folder / "disk/.snapshots" / name / "share").mkdir(parents=True)
    (folder / "disk/.snapshots/daily_2026-03-29_0230/share").mkdir(parents=True)
    found = snapshots(folder, format="daily_%Y-%m-%d_%H%M", local_time=True)
    first = 1_792_888_200
    for _ in range(2):
        time.mktime(time.strptime(asked_before, "%Y-%m-%d_%H%M"))
        assert found.labels() == ["@GMT-2026.10.25-00.30.00"]
        assert found.find(first, OPTIONS).location.endswith(f"{name}/share")
        with pytest.raises(FileNotFoundError):
            found.find(first + 3600, OPTIONS)


def test_no_symlink_leads_to_a_snapshot_or_on_from_it(folder: Path) -> None:
    outside = folder / "outside"
    (outside / "share").mkdir(parents=True)
    (outside / "share/file").write_text("secret")
    place = folder / "disk/.snapshots"
    (place / "@GMT-2026.01.02-00.00.00").symlink_to(outside)
    (place / "@GMT-2026.01.03-00.00.00").mkdir()
    (place / "@GMT-2026.01.03-00.00.00/share").symlink_to(outside / "share")
    found = snapshots(folder)
    for day in (2, 3):
        with pytest.raises(FileNotFoundError):
            found.find(1_767_225_600 + (day - 1) * 86400, OPTIONS)
    (place / NAMES[FIRST] / "share/link").symlink_to(outside / "share")
    root = found.find(FIRST, RootOptions(follow_symlinks=True))
    with pytest.raises(OSError) as refused:  # noqa: PT011
        root.resolve("link/file")
    assert refused.value.errno == errno.EXDEV


def test_a_share_that_was_not_there_yet_is_not_found(folder: Path) -> None:
    (folder / "disk/.snapshots/@GMT-2026.01.02-00.00.00").mkdir()
    with pytest.raises(FileNotFoundError):
        snapshots(folder).find(1_767_312_000, OPTIONS)


def test_a_share_outside_the_base_has_none(folder: Path) -> None:
    (folder / "other").mkdir()
    with pytest.raises(ValueError, match="is not below"):
        snapshots(folder, base=str(folder / "other"))


def test_the_mount_point_stands_in_for_what_is_not_said(folder: Path) -> None:
    mount = str(folder)
    while not os.path.ismount(mount):
        mount = os.path.dirname(mount)
    found = Snapshots(str(folder / "disk/share"), Layout(".snapshots"))
    assert found.directory == os.path.join(mount, ".snapshots")
    assert found._place == "/" + os.path.relpath(folder / "disk/share", mount)


def test_a_snapshot_directory_in_the_share_is_hidden(folder: Path) -> None:
    within = Snapshots(
        str(folder / "disk"), Layout(str(folder / "disk/.snapshots"), str(folder / "disk"))
    )
    assert within.hidden == (".snapshots",)
    assert snapshots(folder).hidden == ()


def test_a_root_is_shared_while_it_is_used_and_not_kept_open(folder: Path) -> None:
    found = snapshots(folder)
    root = found.find(FIRST, OPTIONS)
    assert found.find(FIRST, OPTIONS) is root
    assert found.find(SECOND, OPTIONS) is not root
    fd = root.fd
    del root
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_another_snapshot_of_the_same_name_is_another(folder: Path) -> None:
    found = snapshots(folder)
    before = found.find(FIRST, OPTIONS)
    place = folder / "disk/.snapshots" / NAMES[FIRST]
    place.rename(folder / "gone")
    (place / "share").mkdir(parents=True)
    (place / "share/file").write_text("new")
    assert content(found.find(FIRST, OPTIONS)) == b"new"
    assert content(before) == b"1700000000"


def test_a_root_of_the_past_changes_nothing(folder: Path) -> None:
    root = snapshots(folder).find(FIRST, OPTIONS)
    with root.resolve("file") as entry, root.resolve("new") as free:
        handle = root.open(entry, read=True, write=True)
        attempts = (
            lambda: root.create_file(free, 0o644),
            lambda: root.create_directory(free, 0o755),
            lambda: root.rename(handle, free, replace=True),
            lambda: root.link(handle, free, replace=True),
            lambda: root.unlink(handle),
            lambda: handle.write(b"x", 0),
        )
        for attempt in attempts:
            with pytest.raises(OSError) as refused:  # noqa: PT011
                attempt()
            assert refused.value.errno in (errno.EROFS, errno.EBADF)
        handle.close()
    assert os.listdir(root.location) == ["file"]
    assert content(root) == b"1700000000"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (NAMES[FIRST], (FIRST, "")),
        (f"{NAMES[FIRST]}/a/b", (FIRST, "a/b")),
        (f"a/{NAMES[FIRST]}/b", (FIRST, "a/b")),
        (f"a/b/{NAMES[FIRST]}", (FIRST, "a/b")),
        ("@GMT-2026.02.30-00.00.00/a", None),
        ("@GMT-2026.1.1-0.0.0/a", None),
        (f"a{NAMES[FIRST]}/b", None),
        ("a/b", None),
        ("", None),
    ],
)
def test_a_token_is_a_component_of_a_path(path: str, found: tuple[int, str] | None) -> None:
    assert take_token(path) == found
