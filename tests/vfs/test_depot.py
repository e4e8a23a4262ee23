"""Streams that no xattr holds, and the files they lie in."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from ksmbd.vfs import depot, streams
from ksmbd.vfs.credentials import Credentials, become
from ksmbd.vfs.depot import DIRECTORY, MARK, TICKET, is_ticket
from ksmbd.vfs.filehandles import handle_of, open_handle
from ksmbd.vfs.notify import contents
from ksmbd.vfs.pattern import NameInvalid
from ksmbd.vfs.recycle import RecycleBin, Rules
from ksmbd.vfs.root import PathNotFound, ShareRoot
from ksmbd.vfs.streams import (
    find_stream,
    list_streams,
    open_stream,
)
from tests.support.held import held
from tests.vfs.conftest import MakeShare
from tests.vfs.stored import MIB, OpenStream, content, gone, share, stored, stream, value

__all__ = ["share", "stream"]  # fixtures

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root opens files by their handles")


# -- whose it is -------------------------------------------------------------------------


def test_it_goes_with_its_file(share: ShareRoot, stream: OpenStream, disk: Path) -> None:
    stream(share).write(b"x" * MIB, 0)
    (disk / "d").mkdir()
    (disk / "f").rename(disk / "d/g")
    os.link(disk / "d/g", disk / "h")
    for path in ("d/g", "h"):
        assert len(content(stream(share, path))) == MIB


def test_a_directory_has_it_too(share: ShareRoot, stream: OpenStream, disk: Path) -> None:
    (disk / "d").mkdir()
    handle = stream(share, "d")
    handle.write(b"x" * MIB, 0)
    assert not handle.stat().is_directory
    assert len(content(stream(share, "d"))) == MIB
    with share.resolve("d") as entry:
        base = share.open(entry, read=True, write=False)
    share.unlink(base)
    base.close()
    assert stored(disk) == []


def test_it_goes_when_the_file_goes(share: ShareRoot, stream: OpenStream, disk: Path) -> None:
    stream(share).write(b"x" * MIB, 0)
    os.link(disk / "f", disk / "g")
    for path, left in (("f", 1), ("g", 0)):
        with share.resolve(path) as entry:
            base = share.open(entry, read=True, write=False)
        share.unlink(base)
        base.close()
        assert len(stored(disk)) == left


def test_it_goes_when_the_file_is_replaced(
    share: ShareRoot, stream: OpenStream, disk: Path
) -> None:
    handle = stream(share)
    for how in (share.rename, share.link):
        handle = stream(share)
        handle.write(b"x" * MIB, 0)
        (disk / "new").touch()
        with share.resolve("new") as entry:
            base = share.open(entry, read=True, write=False)
        with share.resolve("f") as target:
            how(base, target, replace=True)
        base.close()
        assert stored(disk) == []
        assert content(handle, 1) == b"x"  # as a file does whose name is gone
        (disk / "new").unlink(missing_ok=True)


def test_it_goes_when_it_is_removed(share: ShareRoot, stream: OpenStream, disk: Path) -> None:
    handle, other = stream(share), stream(share, name="other")
    handle.write(b"x" * MIB, 0)
    other.write(b"y" * MIB, 0)
    share.unlink(handle)
    assert len(stored(disk)) == 1
    with pytest.raises(FileNotFoundError):
        content(handle)
    assert len(content(other)) == MIB


@pytest.mark.parametrize("versions", [False, True])
def test_the_recycle_bin_takes_it_and_lets_it_go(
    share: ShareRoot, stream: OpenStream, disk: Path, versions: bool
) -> None:
    bin = RecycleBin(Rules(".recycle", versions=versions))
    for number in range(2):
        handle = stream(share)
        handle.write(bytes([number]) * MIB, 0)
        handle.close()
        with share.resolve("f") as entry:
            base = share.open(entry, read=False, write=False)
        kept = bin.keep(base)
        base.close()
        assert kept is not None
        assert content(stream(share, kept)) == bytes([number]) * MIB
    assert len(stored(disk)) == (2 if versions else 1)  # of one that was replaced it went


@pytest.mark.parametrize("step", ["before", "after"])
def test_a_server_that_dies_while_it_moves_loses_nothing(
    make_share: MakeShare, stream: OpenStream, disk: Path, step: str
) -> None:
    share = make_share()
    handle = stream(share)
    handle.write(b"kept", 0)
    store = streams._store

    def dies(*given: Any, **more: Any) -> None:
        if step == "after":
            store(*given, **more)
        os._exit(9)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "_store", dies)
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                handle.write(b"lost", MIB)
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert len(stored(disk)) == 1
    assert is_ticket(value(disk / "f")) == (step == "after")
    again = make_share()
    assert content(stream(again)) == b"kept"
    if os.geteuid() == 0:
        assert gone(disk, again) == (step == "before")


@as_root
def test_what_local_processes_delete_is_swept(
    share: ShareRoot, stream: OpenStream, disk: Path
) -> None:
    for name in ("kept", "f"):
        handle = stream(share, name)
        handle.write(b"x" * MIB, 0)
        handle.close()
    (disk / "f").unlink()
    share.depot.sweep()
    assert len(stored(disk)) == 2  # not yet: it might be about to get its ticket
    assert not gone(disk, share)
    assert len(stored(disk)) == 1
    assert len(content(stream(share, "kept"))) == MIB
    os.removexattr(disk / "kept", "user.DosStream.s:$DATA")
    assert gone(disk, share)


@as_root
def test_sweeping_goes_on_where_it_ended(
    make_share: MakeShare, stream: OpenStream, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depot, "_PORTION", 3)
    share = make_share()
    for number in range(10):
        handle = stream(share, f"f{number}")
        handle.write(b"x", MIB)
        handle.close()
        if number % 2:
            (disk / f"f{number}").unlink()
    share.depot._clock = lambda: 1 << 62
    for _ in range(4):
        share.depot.sweep()
    assert len(stored(disk)) == 5


def test_a_ticket_that_was_copied_opens_nothing(
    share: ShareRoot, stream: OpenStream, disk: Path
) -> None:
    stream(share).write(b"x" * MIB, 0)
    (disk / "copy").touch()
    os.setxattr(disk / "copy", "user.DosStream.s:$DATA", value(disk / "f"))
    with share.resolve("copy") as entry:
        assert find_stream(share, entry.fd, "s") is None
        assert list_streams(share, entry.fd) == []
        with pytest.raises(FileNotFoundError):
            open_stream(share, entry, "s", read=True, write=True, create=False)
    stream(share, "copy").write(b"its own", 0)
    with share.resolve("copy") as entry:
        base = share.open(entry, read=True, write=False)
    share.unlink(base)
    base.close()
    assert len(content(stream(share))) == MIB


@as_root
def test_a_file_that_took_another_s_place_has_its_streams(
    share: ShareRoot, stream: OpenStream, disk: Path
) -> None:
    handle = stream(share)
    handle.write(b"x" * MIB, 0)
    handle.close()
    (disk / "f.new").write_bytes(b"edited")
    os.setxattr(disk / "f.new", "user.DosStream.s:$DATA", value(disk / "f"))
    (disk / "f.new").rename(disk / "f")
    assert len(content(stream(share))) == MIB
    assert not gone(disk, share)


@as_root
def test_another_owner_s_file_does_not_take_its_place(
    share: ShareRoot, stream: OpenStream, disk: Path
) -> None:
    stream(share).write(b"x" * MIB, 0)
    ticket = value(disk / "f")
    (disk / "f").unlink()
    (disk / "theirs").touch()
    os.setxattr(disk / "theirs", "user.DosStream.s:$DATA", ticket)
    os.chown(disk / "theirs", 12345, 12345)
    with share.resolve("theirs") as entry:
        assert find_stream(share, entry.fd, "s") is None


def test_a_share_that_was_restored_is_whole(
    share: ShareRoot, stream: OpenStream, disk: Path, tmp_path: Path
) -> None:
    handle = stream(share)
    handle.write(b"x" * MIB, 0)
    handle.close()
    shutil.copytree(disk, tmp_path / "restored")  # with xattrs, as tar and rsync -X do
    for path in (disk / DIRECTORY).iterdir():
        if os.listxattr(path) != os.listxattr(tmp_path / "restored" / DIRECTORY / path.name):
            pytest.fail("the copy has no xattrs")
    root = ShareRoot(str(tmp_path / "restored"), share.options)
    try:
        assert not gone(tmp_path / "restored", root)
        restored = stream(root)
        assert len(content(restored)) == MIB
        restored.write(b"other", 0)
        assert content(stream(share), 5) == b"xxxxx"
        assert not gone(tmp_path / "restored", root)
    finally:
        root.close()


def test_a_share_in_a_share_has_the_same_streams(
    make_share: MakeShare, stream: OpenStream, disk: Path
) -> None:
    outer = make_share()
    (disk / "inner").mkdir()
    inner = ShareRoot(str(disk / "inner"))
    try:
        stream(outer, "inner/a").write(b"x" * MIB, 0)
        assert len(content(stream(inner, "a"))) == MIB
        stream(inner, "b").write(b"x" * MIB, 0)
        assert len(stored(disk / "inner")) == 1
        assert len(content(stream(outer, "inner/b"))) == MIB
        (disk / "inner/b").rename(disk / "b")
        assert len(content(stream(outer, "b"))) == MIB
    finally:
        inner.close()


# -- who gets at it ----------------------------------------------------------------------


@pytest.mark.parametrize("sensitive", [False, True])
def test_the_directory_is_not_there(
    make_share: MakeShare, stream: OpenStream, disk: Path, sensitive: bool
) -> None:
    share = make_share(case_sensitive=sensitive, hide_dot_files=False)
    stream(share).write(b"x" * MIB, 0)
    [name] = stored(disk)
    with pytest.raises(FileNotFoundError):
        share.resolve(DIRECTORY)
    for path in (f"{DIRECTORY}/{name}", f"{DIRECTORY}/{name}/x"):
        with pytest.raises(PathNotFound):
            share.resolve(path)
    with pytest.raises(FileNotFoundError):
        share.resolve(DIRECTORY.upper())  # a directory of ext4 may fold case
    with share.resolve("KSMBD-~1") as entry:
        assert not entry.exists
    for other in (DIRECTORY.upper(), "KSMBD-~1"):
        with pytest.raises(PathNotFound):
            share.resolve(f"{other}/{name}")
    for dotted in (f"./{DIRECTORY}", f"{DIRECTORY}/."):
        with pytest.raises((FileNotFoundError, PathNotFound, NameInvalid)):
            share.resolve(dotted).close()
    with share.resolve(f"{DIRECTORY}-2") as entry:
        share.create_directory(entry, 0o755).close()
    with share.resolve("") as entry:
        top = share.open(entry, read=True, write=False)
    for pattern in ("*", DIRECTORY, f"{DIRECTORY[:-1]}?", DIRECTORY.upper()):
        listing = top.entries()
        listing.restart(pattern)
        assert DIRECTORY not in [found.name for found in listing.batch(100)]
        listing.close()
    top.close()
    assert DIRECTORY not in contents(str(disk))[0]


@pytest.mark.parametrize("wide", [False, True])
def test_no_symlink_leads_into_the_directory(
    make_share: MakeShare, stream: OpenStream, disk: Path, wide: bool
) -> None:
    share = make_share(follow_symlinks=True, wide_links=wide)
    stream(share).write(b"x" * MIB, 0)
    [name] = stored(disk)
    (disk / "in").symlink_to(DIRECTORY)
    (disk / "at").symlink_to(f"{DIRECTORY}/{name}")
    for link in ("in", "at"):
        with share.resolve(link) as entry:
            assert entry.stat is not None
            assert stat.S_ISLNK(entry.stat.mode)
        assert share.stat_behind(link) is None
    for path in (f"in/{name}", f"IN/{name}", "in/new"):
        with pytest.raises(PathNotFound):
            share.resolve(path)


@as_root
def test_its_access_is_the_file_s(share: ShareRoot, stream: OpenStream, disk: Path) -> None:
    handle = stream(share)
    handle.write(b"secret" * MIB, 0)
    handle.close()
    os.chown(disk / "f", 12345, 12345)
    (disk / "f").chmod(0o640)
    disk.chmod(0o755)
    st = (disk / DIRECTORY).stat()
    assert (st.st_uid, st.st_mode & 0o777) == (0, 0o700)
    become(Credentials(12345, 12345))
    try:
        own = stream(share)
        assert content(own, 6) == b"secret"
        own.write(b"S", 0)
        stream(share, name="new").write(b"x" * MIB, 0)
    finally:
        become(None)
    owners = {path.stat().st_uid for path in (disk / DIRECTORY).iterdir()}
    assert owners == {0, 12345}  # whose file it was when it moved: that one's quota pays
    become(Credentials(54321, 12345))  # may read it alone
    try:
        with share.resolve("f") as entry, pytest.raises(PermissionError):
            open_stream(share, entry, "s", read=True, write=True, create=False)
        with share.resolve("f") as entry:
            reader = open_stream(share, entry, "s", read=True, write=False, create=False)
        assert content(reader, 6) == b"Secret"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.pwrite(reader.data_fd(), b"x", 0)
        reader.close()
    finally:
        become(None)


@as_root
def test_a_directory_that_others_made_is_not_trusted(
    make_share: MakeShare, stream: OpenStream, disk: Path
) -> None:
    share = make_share()
    (disk / DIRECTORY).mkdir(mode=0o700)
    os.chown(disk / DIRECTORY, 12345, 12345)
    handle = stream(share)
    with pytest.raises(PermissionError):
        handle.write(b"x" * MIB, 0)
    assert content(handle) == b""
    (disk / DIRECTORY).rmdir()
    (disk / DIRECTORY).symlink_to("/tmp")
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        handle.write(b"x" * MIB, 0)


# -- what goes wrong ---------------------------------------------------------------------


def test_a_full_disk_leaves_what_was_there(
    share: ShareRoot, stream: OpenStream, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = stream(share)
    handle.write(b"before", 0)

    def full(fd: int, data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            handle.write(b"x" * MIB, 0)
    assert content(handle) == b"before"
    assert stored(disk) == []
    handle.write(b"x" * MIB, 0)
    assert len(content(handle)) == MIB


def test_a_directory_that_is_not_synced_keeps_nothing_of_it(
    share: ShareRoot, stream: OpenStream, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = stream(share)
    handle.write(b"before", 0)
    before = held(disk)
    fsync = os.fsync

    def fails(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match="Input/output"):
            handle.write(b"x" * MIB, 0)
    assert held(disk) == before
    assert stored(disk) == []
    assert content(handle) == b"before"


def test_a_sweep_that_fails_is_no_failure_of_who_adds(
    share: ShareRoot, stream: OpenStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depot, "_EACH", 1)
    handle = stream(share)

    def fails(path: int | str) -> list[str]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", fails)
        handle.write(b"x" * MIB, 0)
    assert len(content(handle)) == MIB


def test_no_room_for_the_ticket_leaves_what_was_there(
    share: ShareRoot, stream: OpenStream, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = stream(share)
    handle.write(b"before", 0)

    def full(item: object, name: str, blob: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("ksmbd.vfs.streams.set_value", full)
        with pytest.raises(OSError, match="No space"):
            handle.write(b"x" * MIB, 0)
    assert content(handle) == b"before"
    assert stored(disk) == []


def test_a_stored_stream_that_is_gone_is_no_stream(
    share: ShareRoot, stream: OpenStream, disk: Path
) -> None:
    stream(share).write(b"x" * MIB, 0)
    (disk / DIRECTORY / stored(disk)[0]).unlink()
    with share.resolve("f") as entry:
        assert find_stream(share, entry.fd, "s") is None
        assert list_streams(share, entry.fd) == []
    handle = stream(share)  # made anew
    handle.write(b"new", 0)
    assert content(handle) == b"new"


def test_a_record_nobody_understands_is_left_alone(
    share: ShareRoot, stream: OpenStream, disk: Path
) -> None:
    stream(share).write(b"x" * MIB, 0)
    path = disk / DIRECTORY / stored(disk)[0]
    for blob in (b"", b"\xff" * 60):
        os.setxattr(path, "user.ksmbd.stream-of", blob)
        with share.resolve("f") as entry:
            assert find_stream(share, entry.fd, "s") is None
        assert not gone(disk, share)


def test_a_value_of_a_ticket_s_length_is_data(share: ShareRoot, stream: OpenStream) -> None:
    handle = stream(share)
    handle.write(b"x" * TICKET, 0)
    assert content(handle) == b"x" * TICKET
    handle.write(MARK[:-1], 0)
    assert content(handle) == MARK[:-1] + b"x" * (TICKET - len(MARK) + 1)


@as_root
def test_a_handle_finds_its_file_until_it_is_gone(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    fd = os.open(tmp_path / "f", os.O_PATH)
    name = handle_of(fd)
    os.close(fd)
    mount = os.open(tmp_path, os.O_RDONLY)
    try:
        (tmp_path / "f").rename(tmp_path / "g")
        found = open_handle(mount, name)
        assert os.path.samestat(os.fstat(found), (tmp_path / "g").stat())
        os.close(found)
        (tmp_path / "g").unlink()
        with pytest.raises(OSError, match="Stale"):
            open_handle(mount, name)
        with pytest.raises(OSError, match=r"Invalid|Stale"):
            open_handle(mount, b"")
    finally:
        os.close(mount)
