"""Reading, writing, times and attributes through one descriptor."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ksmbd.vfs import handle as handle_module
from ksmbd.vfs import xattr
from ksmbd.vfs.credentials import Credentials, become
from ksmbd.vfs.handle import MAX_OFFSET, Handle
from ksmbd.vfs.pattern import NameInvalid
from ksmbd.vfs.root import ShareRoot
from ksmbd.wire.access import ATTR_ARCHIVE, ATTR_DIRECTORY, ATTR_HIDDEN, ATTR_READONLY, ATTR_SYSTEM

Open = Callable[..., Handle]
SECOND = 1_000_000_000


def read(handle: Handle, length: int, offset: int = 0) -> bytes:
    buffer = bytearray(length)
    return bytes(buffer[: handle.readinto(memoryview(buffer), offset)])


def test_what_is_written_is_read(share: ShareRoot, opened: Open) -> None:
    handle = opened(share, "f")
    assert handle.write(b"hello", 0) == 5
    assert handle.write(memoryview(b"world"), 10) == 5
    assert read(handle, 100) == b"hello\0\0\0\0\0world"
    assert read(handle, 5, 10) == b"world"
    assert read(handle, 5, 15) == b""
    handle.sync()


def test_offsets_at_the_end_of_the_world(share: ShareRoot, opened: Open) -> None:
    handle = opened(share, "f")
    for offset in (MAX_OFFSET, MAX_OFFSET + 1, (1 << 64) - 1):
        assert read(handle, 8, offset) == b""
        with pytest.raises(OSError, match="too large"):
            handle.write(b"x", offset)
    for size in (MAX_OFFSET + 1, (1 << 64) - 1):
        with pytest.raises(OSError, match="too large"):
            handle.truncate(size)
        with pytest.raises(OSError, match="too large"):
            handle.allocate(size)
    with pytest.raises(OSError, match="Invalid"):
        handle.write(b"x", -1)
    assert handle.stat().size == 0


def test_those_who_append_at_a_time_overwrite_nothing(share: ShareRoot, opened: Open) -> None:
    opened(share, "f")
    handles = [opened(share, "f") for _ in range(4)]

    def append(handle: Handle) -> None:
        for _ in range(200):
            assert handle.append(b"12345678") == 8

    threads = [threading.Thread(target=append, args=(handle,)) for handle in handles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handles[0].stat().size == 4 * 200 * 8
    assert handles[0].append(b"") == 0


def test_short_writes_go_on(
    share: ShareRoot, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle, pwrite = opened(share, "f"), os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:3], offset))
    assert handle.write(b"0123456789", 2) == 10
    assert read(handle, 20) == b"\0\x000123456789"


def test_short_reads_go_on(share: ShareRoot, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    handle, preadv = opened(share, "f"), os.preadv
    handle.write(b"0123456789", 0)
    monkeypatch.setattr(
        os, "preadv", lambda fd, parts, *rest: preadv(fd, [part[:3] for part in parts], *rest)
    )
    assert read(handle, 20) == b"0123456789"
    buffer = bytearray(20)
    assert handle.readinto_cached(memoryview(buffer), 0) in (10, None)


def test_cached_reads_say_none_where_they_would_wait(
    share: ShareRoot, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = opened(share, "f")
    handle.write(b"abc", 0)

    def would_wait(*_: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "would wait")

    monkeypatch.setattr(os, "preadv", would_wait)
    assert handle.readinto_cached(memoryview(bytearray(3)), 0) is None


def test_a_file_system_without_nowait_is_asked_once(
    share: ShareRoot, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle, asked = opened(share, "f"), []

    def unsupported(*_: object) -> int:
        asked.append(1)
        raise OSError(errno.EOPNOTSUPP, "no")

    monkeypatch.setattr(os, "preadv", unsupported)
    monkeypatch.setattr(handle_module, "_without_nowait", set())
    assert handle.readinto_cached(memoryview(bytearray(3)), 0) is None
    assert handle.readinto_cached(memoryview(bytearray(3)), 0) is None
    assert len(asked) == 1


def test_truncate_and_allocate(share: ShareRoot, opened: Open) -> None:
    handle = opened(share, "f")
    handle.write(b"0123456789", 0)
    handle.allocate(1 << 20)
    found = handle.stat()
    assert found.size == 10
    assert found.allocation >= 1 << 20
    handle.allocate(4)
    assert read(handle, 20) == b"0123"
    handle.truncate(6)
    assert read(handle, 20) == b"0123\0\0"


def test_allocate_without_fallocate_checks_the_free_space(
    share: ShareRoot, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object, **_options: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no")

    monkeypatch.setattr(handle_module, "fallocate", unsupported)
    handle = opened(share, "f")
    handle.allocate(1 << 20)
    with pytest.raises(OSError, match="No space") as full:
        handle.allocate(1 << 60)
    assert full.value.errno == errno.ENOSPC


def test_times_are_set_one_by_one(share: ShareRoot, disk: Path, opened: Open) -> None:
    handle = opened(share, "f")
    handle.set_times(write=100 * SECOND + 700)
    handle.set_times(access=200 * SECOND)
    handle.set_times(birth=50 * SECOND + 123_400)
    found = handle.stat()
    assert (found.write, found.access) == (100 * SECOND + 700, 200 * SECOND)
    assert found.birth == 50 * SECOND + 123_400
    assert found.change > 1000 * SECOND
    assert found.attributes == ATTR_ARCHIVE
    assert (disk / "f").stat().st_mtime_ns == 100 * SECOND + 700


def test_a_change_time_is_kept_until_the_file_changes(share: ShareRoot, opened: Open) -> None:
    handle = opened(share, "f")
    handle.set_times(write=200 * SECOND, change=300 * SECOND)
    found = handle.stat()
    assert (found.write, found.change) == (200 * SECOND, 300 * SECOND)
    later = found.change + 60 * SECOND
    blob = os.getxattr(handle.fd, "user.ksmbd.ctime")
    # as if it had been set a minute ago: every change since bears another time
    set_at = int.from_bytes(blob[8:], "little") - 60 * SECOND
    os.setxattr(handle.fd, "user.ksmbd.ctime", blob[:8] + set_at.to_bytes(8, "little"))
    assert handle.stat().change > later
    assert handle.eas() == []


def test_attributes_are_stored_without_touching_the_mode(
    share: ShareRoot, disk: Path, opened: Open
) -> None:
    handle = opened(share, "f")
    before = handle.stat()
    handle.set_attributes(ATTR_READONLY | ATTR_SYSTEM | ATTR_DIRECTORY)
    found = handle.stat()
    assert found.attributes == ATTR_READONLY | ATTR_SYSTEM
    assert (found.mode, found.birth) == (before.mode, before.birth)
    handle.set_attributes(0)
    assert handle.stat().attributes == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as others")
def test_a_directory_is_synced_for_who_may_not_list_it(
    share: ShareRoot, disk: Path, opened: Open
) -> None:
    (disk / "drop").mkdir()
    (disk / "drop").chmod(0o733)
    disk.chmod(0o755)
    become(Credentials(12345, 12345))
    try:
        opened(share, "drop", read=False, write=False).sync()
        with pytest.raises(PermissionError):
            opened(share, "drop", read=True, write=False)
    finally:
        become(None)


def test_metadata_handles_serve_metadata(share: ShareRoot, disk: Path, opened: Open) -> None:
    (disk / "f").touch()
    (disk / "d").mkdir()
    for name in ("f", "d"):
        handle = opened(share, name, read=False, write=False)
        handle.set_times(write=SECOND, birth=SECOND)
        handle.set_attributes(ATTR_HIDDEN)
        handle.set_eas([("A", b"1")])
        handle.set_mode(0o700)
        handle.sync()
        found = handle.stat()
        assert (found.write, found.birth, found.mode & 0o7777) == (SECOND, SECOND, 0o700)
        assert found.attributes & ATTR_HIDDEN
        assert handle.eas() == [("A", b"1")]
        assert handle.statfs().block_size > 0
        with pytest.raises(OSError, match="Bad file descriptor"):
            read(handle, 1)


def test_dot_files_are_hidden_but_that_is_not_stored(share: ShareRoot, opened: Open) -> None:
    handle = opened(share, ".profile")
    assert handle.stat().attributes == ATTR_ARCHIVE | ATTR_HIDDEN
    handle.set_times(birth=SECOND)
    with share.resolve("profile") as target:
        share.rename(handle, target, replace=False)
    assert handle.stat().attributes == ATTR_ARCHIVE


def test_eas_compare_without_case_and_empty_ones_go(
    share: ShareRoot, disk: Path, opened: Open
) -> None:
    handle = opened(share, "f")
    os.setxattr(disk / "f", "user.DosStream.x:$DATA", b"stream")
    os.setxattr(disk / "f", "user.\xe9", b"not ASCII")
    handle.set_eas([("One", b"1"), ("two", b"2")])
    handle.set_eas([("ONE", b"11"), ("TWO", b""), ("three", b"")])
    assert handle.eas() == [("One", b"11")]
    assert os.getxattr(disk / "f", "user.DosStream.x:$DATA") == b"stream"


@pytest.mark.parametrize("name", ["", "a/b", "a\0", "a=b", "x" * 251, "\xe9", "DosStream.x:$DATA"])
def test_illegal_ea_names_change_nothing(share: ShareRoot, opened: Open, name: str) -> None:
    handle = opened(share, "f")
    with pytest.raises(NameInvalid):
        handle.set_eas([("good", b"1"), (name, b"1")])
    assert handle.eas() == []


@pytest.mark.parametrize("name", ["DOSATTRIB", "dosattrib", "ksmbd.stream-of", "SmbReparse"])
def test_what_the_server_keeps_there_is_nobody_s_to_set(
    share: ShareRoot, disk: Path, opened: Open, name: str
) -> None:
    """As Samba answers; smbtorture's smb2.ea.acl_xattr."""
    handle = opened(share, "f")
    before = {each: os.getxattr(disk / "f", each) for each in os.listxattr(disk / "f")}
    with pytest.raises(PermissionError):
        handle.set_eas([("good", b"1"), (name, b"1")])
    after = {each: os.getxattr(disk / "f", each) for each in os.listxattr(disk / "f")}
    assert after == before


def test_more_eas_than_windows_keeps_are_too_large(share: ShareRoot, opened: Open) -> None:
    handle = opened(share, "f")
    handle.set_eas([("A", b"1")])
    with pytest.raises(OSError, match="Argument list too long"):
        handle.set_eas([("A", b""), ("B", bytes(40_000)), ("C", bytes(26_000))])
    assert handle.eas() == [("A", b"1")]


def test_eas_are_set_all_or_none(
    share: ShareRoot, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = opened(share, "f")
    handle.set_eas([("changes", b"1"), ("goes", b"2")])

    def full(item: xattr.Item, name: str, value: bytes) -> None:
        if name == "user.last":
            raise OSError(errno.ENOSPC, "no room")
        os.setxattr(item, name, value)

    monkeypatch.setattr(xattr, "set_value", full)
    with pytest.raises(OSError, match="no room"):
        handle.set_eas([("changes", b"11"), ("goes", b""), ("new", b"3"), ("last", b"4")])
    assert sorted(handle.eas()) == [("changes", b"1"), ("goes", b"2")]


def test_write_only_and_read_only_handles(share: ShareRoot, disk: Path, opened: Open) -> None:
    (disk / "f").write_bytes(b"abc")
    reader = opened(share, "f", read=True, write=False)
    writer = opened(share, "f", read=False, write=True)
    assert (reader.readable, reader.writable) == (True, False)
    assert (writer.readable, writer.writable) == (False, True)
    with pytest.raises(OSError, match="Bad file descriptor"):
        reader.write(b"x", 0)
    with pytest.raises(OSError, match="Bad file descriptor"):
        read(writer, 1)


def test_close_twice_closes_once(share: ShareRoot, opened: Open) -> None:
    handle = opened(share, "f")
    handle.close()
    other = os.open("/", os.O_PATH)
    handle.close()
    os.fstat(other)
    os.close(other)


def test_that_a_file_has_no_eas_is_known_until_it_gets_one(
    share: ShareRoot, disk: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = opened(share, "f")
    long_ago = os.fstat(handle.fd).st_ctime_ns - 10 * SECOND
    monkeypatch.setattr(share, "clock", lambda: long_ago + 20 * SECOND)
    assert handle.eas() == []
    with monkeypatch.context() as unasked:
        unasked.setattr(handle_module, "has_eas", lambda item: pytest.fail("asked again"))
        assert handle.eas() == []
    os.setxattr(disk / "f", "user.other", b"by somebody else")
    assert handle.eas() == [("other", b"by somebody else")]
