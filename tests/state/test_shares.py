"""state/shares.py: from mountd's word to a share with its directory open."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmbd.state import shares
from ksmbd.vfs.acl import Keep
from ksmbd.vfs.recycle import Rules
from ksmbd.wire import ipc
from ksmbd.wire.status import NtStatus, NtStatusError
from tests.support.engine import Engine
from tests.support.mountd import DISK, READ_ONLY, share


def status_of(engine: Engine, name: str, *, fresh: bool = False) -> NtStatus:
    with pytest.raises(NtStatusError) as refused:
        shares.find(engine.server, name, fresh=fresh)
    return refused.value.status


def test_a_share_is_asked_for_once(engine: Engine) -> None:
    found = shares.find(engine.server, "data")
    assert shares.find(engine.server, "DATA") is found
    assert engine.mountd.asked == ["share_config"]
    assert found.root is not None


def test_a_fresh_one_is_asked_for_again(engine: Engine) -> None:
    found = shares.find(engine.server, "data")
    again = shares.find(engine.server, "data", fresh=True)
    assert again is not found
    assert shares.find(engine.server, "data") is again


def test_a_share_that_there_is_not(engine: Engine) -> None:
    assert status_of(engine, "nonsense") is NtStatus.BAD_NETWORK_NAME


def test_a_share_without_a_directory(engine: Engine, folder: Path) -> None:
    engine.mountd.configs["gone"] = share("gone", str(folder / "gone"))
    (folder / "file").touch()
    engine.mountd.configs["file"] = share("file", str(folder / "file"))
    assert status_of(engine, "gone") is NtStatus.BAD_NETWORK_NAME
    assert status_of(engine, "file") is NtStatus.BAD_NETWORK_NAME
    (folder / "gone").mkdir()
    assert shares.find(engine.server, "gone").name == "gone"


def test_a_share_of_one_client_lives_as_long_as_it_is_used(engine: Engine, folder: Path) -> None:
    for user in ("alice", "bob"):
        (folder / user).mkdir()
        engine.mountd.configs[f"home?u={user}"] = share("home", str(folder / user))
    alice = shares.find(engine.server, "home", "U=alice")
    bob = shares.find(engine.server, "HOME", "U=bob")
    assert (alice.path, bob.path) == (str(folder / "alice"), str(folder / "bob"))
    assert not alice.is_same(bob)
    assert shares.find(engine.server, "home", "U=alice") is alice
    assert len(engine.server.variants) == 2
    del alice
    assert list(engine.server.variants.values()) == [bob]
    engine.server.forget_shares()
    again = shares.find(engine.server, "home", "U=bob")
    assert again is not bob
    assert again.is_same(bob)


def test_without_mountd_only_known_shares_are_there(engine: Engine) -> None:
    shares.find(engine.server, "data")
    engine.mountd.away = True
    shares.find(engine.server, "data")
    assert status_of(engine, "ro") is NtStatus.NO_LOGON_SERVERS
    assert status_of(engine, "data", fresh=True) is NtStatus.NO_LOGON_SERVERS


def test_the_pipe_share_has_no_root(engine: Engine) -> None:
    found = shares.find(engine.server, "ipc$")
    assert found.is_pipe
    assert found.root is None


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        (ipc.SHARE_GUEST_OK, "guest_ok"),
        (ipc.SHARE_BROWSEABLE, "browseable"),
        (ipc.SHARE_OPLOCKS, "oplocks"),
        (ipc.SHARE_KERNEL_OPLOCKS, "kernel_oplocks"),
        (ipc.SHARE_POSIX_LOCKING, "posix_locking"),
        (ipc.SHARE_STRICT_LOCKING, "strict_locking"),
        (ipc.SHARE_HIDE_UNREADABLE, "hide_unreadable"),
        (ipc.SHARE_CHANGE_NOTIFY, "change_notify"),
        (ipc.SHARE_INHERIT_OWNER, "inherit_owner"),
    ],
)
def test_each_flag_has_its_name(folder: Path, flag: int, name: str) -> None:
    for flags, expected in ((DISK | flag, True), (DISK & ~flag, False)):
        engine = Engine(folder, shares=[share("data", str(folder), flags)])
        assert getattr(shares.find(engine.server, "data"), name) is expected


@pytest.mark.parametrize(
    ("flags", "keep"),
    [
        (0, Keep.POSIX),
        (ipc.SHARE_ACL_ALONE, Keep.POSIX),
        (ipc.SHARE_ACL_XATTR, Keep.STORED),
        (ipc.SHARE_ACL_XATTR | ipc.SHARE_ACL_ALONE, Keep.ALONE),
    ],
)
def test_how_descriptors_are_kept(folder: Path, flags: int, keep: Keep) -> None:
    engine = Engine(folder, shares=[share("data", str(folder), DISK | flags)])
    assert shares.find(engine.server, "data").acl_xattr is keep


def test_the_rest_is_taken_over(folder: Path) -> None:
    engine = Engine(
        folder,
        shares=[
            share(
                "Data", str(folder), READ_ONLY,
                comment="all of it", create_mask=0o640, directory_mask=0o750,
                force_create_mode=0o11, force_directory_mode=0o22,
                force_uid=5, force_gid=6, force_groups=(7, 8),
            )
        ],
    )  # fmt: skip
    found = shares.find(engine.server, "data")
    assert (found.name, found.volume, found.comment) == ("Data", "Data", "all of it")
    assert found.read_only
    assert (found.create_mask, found.directory_mask) == (0o640, 0o750)
    assert (found.force_create_mode, found.force_directory_mode) == (0o11, 0o22)
    assert (found.force_uid, found.force_gid, found.force_groups) == (5, 6, (7, 8))


def test_a_volume_keeps_its_serial_number(folder: Path) -> None:
    """Windows knows a volume by it, and so do licences of programs."""
    first, again = (shares.find(Engine(folder).server, "data") for _ in range(2))
    assert first.volume_serial == again.volume_serial != 0
    assert first.volume_guid == again.volume_guid
    assert len(first.volume_guid) == 16
    other = shares.find(Engine(folder).server, "ro")
    assert other.volume_serial != first.volume_serial


def test_the_recycle_bin_is_as_mountd_says(engine: Engine, folder: Path) -> None:
    engine.mountd.configs["bin"] = share(
        "bin",
        str(folder),
        recycle_repository="trash",
        recycle_flags=ipc.RECYCLE_KEEP_TREE | ipc.RECYCLE_TOUCH,
        recycle_minsize=1,
        recycle_maxsize=2,
        recycle_exclude=("*.tmp",),
        recycle_exclude_dir=("tmp",),
        recycle_noversions=("*.log",),
        recycle_directory_mode=0o777,
        recycle_subdir_mode=0o770,
    )
    found = shares.find(engine.server, "bin").recycle
    assert found is not None
    assert found.rules == Rules(
        *("trash", True, False, True, False, 1, 2),
        *(("*.tmp",), ("tmp",), ("*.log",), 0o777, 0o770),
    )
    assert shares.find(engine.server, "data").recycle is None
    engine.mountd.configs["out"] = share("out", str(folder), recycle_repository="../out")
    assert shares.find(engine.server, "out").recycle is None
