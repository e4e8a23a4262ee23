"""Alternate data streams in xattrs."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ksmbd.vfs.credentials import Credentials, become
from ksmbd.vfs.handle import MAX_OFFSET
from ksmbd.vfs.pattern import NameInvalid
from ksmbd.vfs.root import RootOptions, ShareRoot
from ksmbd.vfs.streams import (
    DATA,
    INDEX,
    MAX_NAME,
    MAX_STREAM,
    StreamHandle,
    StreamInfo,
    find_stream,
    list_streams,
    open_stream,
    rename_stream,
    rename_to_file,
    shown,
    split_stream,
)
from ksmbd.wire.access import ATTR_ARCHIVE, ATTR_HIDDEN

Open = Callable[..., StreamHandle]


@pytest.fixture
def stream(share: ShareRoot, disk: Path) -> Iterator[Open]:
    """Open a stream of the file "f"; closed at the end."""
    (disk / "f").write_bytes(b"the file itself")
    handles: list[StreamHandle] = []

    def open_(name: str = "s", *, create: bool = True, path: str = "f") -> StreamHandle:
        with share.resolve(path) as entry:
            handles.append(open_stream(share, entry, name, read=True, write=True, create=create))
        return handles[-1]

    yield open_
    for handle in handles:
        handle.close()


def content(handle: StreamHandle) -> bytes:
    buffer = bytearray(MAX_STREAM)
    return bytes(buffer[: handle.readinto(memoryview(buffer), 0)])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b", ("a/b", "", "")),
        ("a/b:s", ("a/b", "s", DATA)),
        ("a/b:s:$DATA", ("a/b", "s", DATA)),
        ("a/b:s:$data", ("a/b", "s", DATA)),
        ("a/b::$DATA", ("a/b", "", DATA)),
        ("a::$INDEX_ALLOCATION", ("a", "", INDEX)),
        ("a:$I30:$INDEX_ALLOCATION", ("a", "", INDEX)),
        (":s", ("", "s", DATA)),
        ("a:" + "x" * MAX_NAME, ("a", "x" * MAX_NAME, DATA)),
    ],
)
def test_paths_are_split(path: str, expected: tuple[str, str, str]) -> None:
    assert split_stream(path) == expected


@pytest.mark.parametrize(
    "path",
    ["a:", "a:b:", "a:b:c:d", "a:b:$OTHER", "a::$BITMAP", "a:b/c", "a:b:$DATA/c", "a:b\0"],
)
def test_these_name_no_stream(path: str) -> None:
    with pytest.raises(NameInvalid):
        split_stream(path)


@pytest.mark.parametrize("name", ["x" * (MAX_NAME + 1), "é" * 120])
def test_too_long_stream_names_are_refused(name: str) -> None:
    with pytest.raises(NameInvalid) as refused:
        split_stream(f"a:{name}")
    assert refused.value.errno == errno.ENAMETOOLONG


def test_a_stream_holds_its_own_bytes(stream: Open, disk: Path) -> None:
    handle = stream("Zone.Identifier")
    assert handle.write(b"world", 6) == 5
    handle.write(memoryview(b"hello "), 0)
    handle.sync()
    assert content(handle) == b"hello world"
    assert (disk / "f").read_bytes() == b"the file itself"
    assert os.getxattr(disk / "f", "user.DosStream.Zone.Identifier:$DATA") == b"hello world"
    handle.truncate(5)
    assert content(handle) == b"hello"
    handle.truncate(7)
    assert content(handle) == b"hello\0\0"
    handle.allocate(100)
    handle.allocate(2)
    assert content(handle) == b"he"
    assert handle.readinto_cached(memoryview(bytearray(1)), 0) is None
    assert (handle.stat().size, handle.stat().allocation) == (2, 512)


def test_streams_are_found_without_case(stream: Open, share: ShareRoot) -> None:
    handle = stream("Name")
    handle.write(b"1", 0)
    assert content(stream("NAME", create=False)) == b"1"
    with pytest.raises(FileExistsError):
        stream("nAmE")
    with pytest.raises(FileNotFoundError):
        stream("other", create=False)
    assert find_stream(share, handle.fd, "name") == "Name"
    assert list_streams(share, handle.fd) == [StreamInfo("Name", 1, 512)]


def test_attributes_are_the_files(stream: Open) -> None:
    handle = stream()
    handle.set_attributes(ATTR_HIDDEN)
    assert handle.stat().attributes == ATTR_HIDDEN
    assert handle.eas() == []


def test_a_directorys_stream_is_no_directory(stream: Open, disk: Path) -> None:
    (disk / "d").mkdir()
    found = stream(path="d").stat()
    assert not found.is_directory
    assert found.attributes & ~ATTR_ARCHIVE == 0


def test_offsets_that_no_file_has_are_refused(stream: Open) -> None:
    handle = stream()
    for offset in (MAX_OFFSET, MAX_OFFSET + 1, (1 << 64) - 1):
        with pytest.raises(OSError, match="File too large"):
            handle.write(b"x", offset)
        assert handle.readinto(memoryview(bytearray(8)), offset) == 0
    for change in (handle.truncate, handle.allocate):
        with pytest.raises(OSError, match="File too large"):
            change((1 << 64) - 1)
    for negative in (lambda: handle.write(b"x", -1), lambda: handle.readinto(memoryview(b""), -1)):
        with pytest.raises(OSError, match="Invalid"):
            negative()
    assert handle.write(b"", MAX_STREAM) == 0
    assert content(handle) == b""


def test_unlinking_a_stream_leaves_the_file(share: ShareRoot, stream: Open, disk: Path) -> None:
    handle = stream()
    share.unlink(handle)
    assert (disk / "f").exists()
    assert list_streams(share, handle.fd) == []
    with pytest.raises(FileNotFoundError):
        content(handle)
    with share.resolve("g") as target, pytest.raises(OSError, match="Invalid"):
        share.rename(handle, target, replace=False)
    with share.resolve("g") as target, pytest.raises(OSError, match="Invalid"):
        share.link(handle, target, replace=False)


def test_a_stream_is_renamed_within_its_file(stream: Open) -> None:
    first, second = stream("a"), stream("b")
    first.write(b"first", 0)
    with pytest.raises(FileExistsError):
        rename_stream(first, "B", replace=False)
    rename_stream(first, "A", replace=False)
    rename_stream(first, "A", replace=False)
    found = sorted(list_streams(first.root, first.fd))
    assert found == [StreamInfo("A", 5, 512), StreamInfo("b", 0, 0)]
    rename_stream(first, "B", replace=True)
    assert list_streams(first.root, first.fd) == [StreamInfo("B", 5, 512)]
    assert content(first) == b"first"
    second.close()


def test_concurrent_writers_lose_nothing(stream: Open) -> None:
    handles = [stream(create=number == 0) for number in range(4)]

    def write(number: int) -> None:
        for index in range(50):
            handles[number].write(bytes([65 + number]), index * 4 + number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert content(handles[0]) == b"ABCD" * 50


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as others")
def test_the_kernel_checks_the_user(share: ShareRoot, stream: Open, disk: Path) -> None:
    stream("s").write(b"secret", 0)
    disk.chmod(0o755)
    (disk / "f").chmod(0o600)
    become(Credentials(12345, 12345))
    try:
        for create, name in ((False, "s"), (True, "new")):
            with pytest.raises(PermissionError) as refused:
                stream(name, create=create)
            assert refused.value.errno == errno.EACCES
    finally:
        become(None)


# -- Samba's layout ----------------------------------------------------------------------


@pytest.fixture
def samba(disk: Path) -> Iterator[ShareRoot]:
    root = ShareRoot(str(disk), RootOptions(samba_streams=True))
    yield root
    root.close()


def opened(root: ShareRoot, name: str, *, create: bool = False) -> StreamHandle:
    with root.resolve("f") as entry:
        return open_stream(root, entry, name, read=True, write=True, create=create)


def test_samba_s_streams_end_in_a_byte_that_is_not_theirs(samba: ShareRoot, disk: Path) -> None:
    (disk / "f").touch()
    handle = opened(samba, "s", create=True)
    stored = "user.DosStream.s:$DATA"
    assert os.getxattr(disk / "f", stored) == b"\0"
    handle.write(b"data", 0)
    assert os.getxattr(disk / "f", stored) == b"data\0"
    handle.truncate(2)
    assert os.getxattr(disk / "f", stored) == b"da\0"
    assert content(handle) == b"da"
    assert handle.stat().size == 2
    rename_stream(handle, "t", replace=False)
    assert list_streams(samba, handle.fd) == [StreamInfo("t", 2, 512)]
    os.setxattr(disk / "f", "user.DosStream.t:$DATA", b"")  # ksmbd's empty stream
    assert content(handle) == b""
    handle.close()


def test_samba_s_long_streams_are_read_and_go_as_a_whole(samba: ShareRoot, disk: Path) -> None:
    (disk / "f").touch()
    os.setxattr(disk / "f", "user.DosStream.s:$DATA", b"one,\3")
    os.setxattr(disk / "f", "user.DosStreamExt.1.s:$DATA", b"two,")
    os.setxattr(disk / "f", "user.DosStreamExt.2.s:$DATA", b"three")
    handle = opened(samba, "S")
    assert content(handle) == b"one,two,three"  # the last could not be written
    assert handle.eas() == []
    handle.write(b"O", 0)
    assert sorted(os.listxattr(disk / "f")) == ["user.DosStream.s:$DATA"]
    assert content(handle) == b"One,two,three"
    os.setxattr(disk / "f", "user.DosStreamExt.1.s:$DATA", b"left")
    samba.unlink(handle)
    assert os.listxattr(disk / "f") == []
    handle.close()


def test_a_stream_becomes_its_file_s_data(stream: Open, disk: Path) -> None:
    (disk / "e").touch()
    handle = stream(path="e")
    handle.write(b"data", 0)
    rename_to_file(handle)
    assert (disk / "e").read_bytes() == b"data"
    assert list_streams(handle.root, handle.fd) == []
    handle.write(b"D", 0)
    handle.allocate(8192)
    handle.truncate(3)
    assert content(handle) == b"Dat"
    assert (handle.stream, handle.stat().size) == ("", 3)
    assert handle.of_file().stat().size == 3


def test_a_write_moves_the_write_time_of_the_file(stream: Open, disk: Path) -> None:
    handle = stream()
    os.utime(disk / "f", ns=(5, 5))
    handle.truncate(0)
    assert (disk / "f").stat().st_mtime_ns == 5
    handle.write(b"x", 0)
    assert (disk / "f").stat().st_mtime_ns > 5
    assert (disk / "f").stat().st_atime_ns == 5


def test_a_colon_that_a_local_program_has_put_in_a_name_is_seen_as_macs_send_it(
    share: ShareRoot, disk: Path
) -> None:
    path = disk / "file"
    path.write_bytes(b"")
    os.setxattr(path, "user.DosStream.bar:baz:$DATA", b"data")
    with share.resolve("file") as entry:
        assert find_stream(share, entry.fd, "Bar\uf022baz") == "bar:baz"
        assert shown("bar:baz") == "bar\uf022baz"
        handle = open_stream(share, entry, "bar\uf022baz", read=True, write=False, create=False)
    assert handle.held() == b"data"
    handle.close()
