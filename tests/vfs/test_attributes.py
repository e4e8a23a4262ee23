"""DOS attributes and creation times of files, read once and never stale."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ksmbd.vfs import attributes as module
from ksmbd.vfs import reader as reader_module
from ksmbd.vfs import stamps
from ksmbd.vfs.attributes import AttributeStore
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.reader import NameReader
from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.stamps import settled
from ksmbd.vfs.xattr import DOSATTRIB, pack_dosattrib
from ksmbd.wire.access import ATTR_ARCHIVE, ATTR_HIDDEN, ATTR_SYSTEM
from tests.vfs.conftest import MakeShare

SECOND = 1_000_000_000
MINUTE = 60 * SECOND


@pytest.fixture(autouse=True)
def fine(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The devices known to stamp finely: none, whatever other tests have seen."""
    known: set[int] = set()
    monkeypatch.setattr(stamps, "_fine", known)
    return known


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "f").touch()
    return tmp_path / "f"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each getxattr."""
    seen: list[int] = []
    get_value = module.get_value

    def counted(item: int | str, name: str) -> bytes:
        seen.append(1)
        return get_value(item, name)

    monkeypatch.setattr(module, "get_value", counted)
    return seen


def store_at(ahead: int, file: Path) -> AttributeStore:
    stamp = file.stat().st_ctime_ns
    return AttributeStore(stored=True, hide_dot_files=True, clock=lambda: stamp + ahead)


def look(store: AttributeStore, file: Path) -> tuple[int, int]:
    fd = os.open(file, os.O_PATH)
    found = store.stat_fd(fd, file.name, path_only=True)
    os.close(fd)
    return found.attributes, found.birth


def test_stamps_settle_after_a_tick() -> None:
    assert settled(1, 21_000_000)
    assert not settled(1, 1_000_000)
    assert not settled(5 * SECOND, 6 * SECOND)
    assert settled(5 * SECOND, 8 * SECOND)


def test_an_unchanged_file_is_read_once(file: Path, reads: list[int]) -> None:
    os.setxattr(file, DOSATTRIB, pack_dosattrib(ATTR_HIDDEN, SECOND))
    store = store_at(MINUTE, file)
    for _ in range(3):
        assert look(store, file) == (ATTR_HIDDEN, SECOND)
    assert len(reads) == 1


def test_a_file_without_attributes_is_read_once(file: Path, reads: list[int]) -> None:
    store = store_at(MINUTE, file)
    births = {look(store, file) for _ in range(3)}
    assert len(births) == 1
    assert births.pop()[0] == ATTR_ARCHIVE
    assert len(reads) == 1


def test_a_change_is_seen_at_once(file: Path) -> None:
    store = store_at(MINUTE, file)
    look(store, file)
    os.setxattr(file, DOSATTRIB, pack_dosattrib(ATTR_SYSTEM, 2 * SECOND))
    assert look(store, file) == (ATTR_SYSTEM, 2 * SECOND)


def test_a_file_that_has_just_changed_is_read_each_time(file: Path, reads: list[int]) -> None:
    store = store_at(1_000_000, file)
    for _ in range(3):
        look(store, file)
    assert len(reads) == 3


def test_where_stamps_are_fine_it_is_read_once(
    file: Path, reads: list[int], fine: set[int]
) -> None:
    store = store_at(1_000_000, file)
    fine.add(file.stat().st_dev)
    for _ in range(3):
        look(store, file)
    assert len(reads) == 1


def test_memory_is_bounded(
    tmp_path: Path, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 4)
    files = [tmp_path / f"f{number}" for number in range(20)]
    for file in files:
        file.touch()
    store = store_at(MINUTE, files[-1])
    for file in files + files:
        look(store, file)
    assert len(store._young) + len(store._old) <= 8
    assert len(reads) == 40
    look(store, files[-1])
    assert len(reads) == 40


def test_what_one_user_may_not_read_is_asked_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> bytes:
        raise PermissionError(errno.EACCES, "no")

    os.setxattr(file, DOSATTRIB, pack_dosattrib(ATTR_HIDDEN, SECOND))
    store = store_at(MINUTE, file)
    with monkeypatch.context() as patch:
        patch.setattr(module, "get_value", refused)
        assert look(store, file)[0] == ATTR_ARCHIVE
    assert look(store, file)[0] == ATTR_HIDDEN


def test_a_file_system_without_xattrs_is_asked_once_and_works(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def unsupported(*_: object) -> bytes:
        asked.append(1)
        raise OSError(errno.EOPNOTSUPP, "no xattrs")

    monkeypatch.setattr(module, "get_value", unsupported)
    monkeypatch.setattr(module, "set_value", unsupported)
    store = store_at(1, file)
    for _ in range(3):
        assert look(store, file)[0] == ATTR_ARCHIVE
    assert len(asked) == 1
    store.store(str(file), ATTR_HIDDEN, 0)
    fd = os.open(file, os.O_RDWR)
    store.store_new(fd, ATTR_HIDDEN)
    os.close(fd)


def test_failures_of_the_device_are_not_hidden(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(module, "get_value", broken)
    with pytest.raises(OSError, match="broken"):
        look(store_at(1, file), file)


@pytest.mark.parametrize("junk", [b"", b"x", b"\0" * 9, b"\xff" * 300, b"\0\0\4\0\4\0\0\0\1"])
def test_junk_falls_back(share: ShareRoot, disk: Path, junk: bytes) -> None:
    (disk / "f").touch()
    os.setxattr(disk / "f", DOSATTRIB, junk)
    with share.resolve("f") as entry:
        assert entry.stat is not None
        assert entry.stat.attributes == ATTR_ARCHIVE
    with share.resolve("") as entry:
        handle = share.open(entry, read=True, write=False)
    enumeration = handle.entries()
    enumeration.restart("f")
    found = next(enumeration.stream(), None)
    assert found is not None
    assert found.stat.attributes == ATTR_ARCHIVE
    enumeration.close()
    handle.close()


def test_a_share_that_stores_none_neither_reads_nor_writes(
    make_share: MakeShare, disk: Path, opened: Callable[..., Handle]
) -> None:
    share = make_share(store_dos_attributes=False)
    handle = opened(share, "f")
    handle.set_attributes(ATTR_HIDDEN)
    assert os.listxattr(disk / "f") == []
    os.setxattr(disk / "f", DOSATTRIB, pack_dosattrib(ATTR_SYSTEM, SECOND))
    assert handle.stat().attributes == ATTR_ARCHIVE


@pytest.mark.parametrize("new_kernel", [True, False])
def test_entries_of_a_directory_read_the_same_either_way(
    tmp_path: Path, new_kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not new_kernel:
        monkeypatch.setattr(reader_module, "_HAS_GETXATTRAT", False)
    (tmp_path / "é").touch()
    os.setxattr(tmp_path / "é", DOSATTRIB, pack_dosattrib(ATTR_SYSTEM, SECOND))
    (tmp_path / "link").symlink_to("é")
    (tmp_path / "plain").touch()
    store = store_at(1, tmp_path)
    reader = NameReader()
    fd = os.open(tmp_path, os.O_RDONLY)
    found = store.stat_in(fd, "é", reader)
    assert (found.attributes, found.birth) == (ATTR_SYSTEM, SECOND)
    assert store.stat_in(fd, "plain", reader).attributes == ATTR_ARCHIVE
    assert not store.stat_in(fd, "link", reader).attributes & ATTR_SYSTEM
    with pytest.raises(FileNotFoundError):
        store.stat_in(fd, "gone", reader)
    os.close(fd)
