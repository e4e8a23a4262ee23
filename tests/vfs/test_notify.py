"""vfs/notify.py: inotify's events from real directories."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksmbd.vfs.notify import (
    IN_ATTRIB,
    IN_CREATE,
    IN_DELETE,
    IN_IGNORED,
    IN_ISDIR,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    NAMES,
    Event,
    Inotify,
    contents,
    decode,
    location,
    opened,
)
from ksmbd.vfs.root import PathNotFound, ShareRoot
from tests.vfs.conftest import MakeShare

ALL = NAMES | IN_MODIFY | IN_ATTRIB


@pytest.fixture
def inotify() -> Iterator[Inotify]:
    made = Inotify()
    yield made
    made.close()


def test_nothing_has_happened(inotify: Inotify) -> None:
    assert inotify.read() == []


def test_what_happens_in_a_directory_is_told(inotify: Inotify, tmp_path: Path) -> None:
    wd = inotify.add(str(tmp_path), ALL)
    (tmp_path / "file").write_bytes(b"data")
    (tmp_path / "file").chmod(0o600)
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").unlink()
    assert [(event.mask, event.name) for event in inotify.read()] == [
        (IN_CREATE, "file"),
        (IN_MODIFY, "file"),
        (IN_ATTRIB, "file"),
        (IN_CREATE | IN_ISDIR, "dir"),
        (IN_DELETE, "file"),
    ]
    assert inotify.add(str(tmp_path), IN_CREATE) == wd


def test_both_halves_of_a_rename_have_one_cookie(inotify: Inotify, tmp_path: Path) -> None:
    inotify.add(str(tmp_path), ALL)
    (tmp_path / "a").mkdir()
    (tmp_path / "a").rename(tmp_path / "b")
    _, before, after = inotify.read()
    assert (before.mask, before.name) == (IN_MOVED_FROM | IN_ISDIR, "a")
    assert (after.mask, after.name) == (IN_MOVED_TO | IN_ISDIR, "b")
    assert before.cookie == after.cookie != 0


def test_a_mask_is_added_to(inotify: Inotify, tmp_path: Path) -> None:
    inotify.add(str(tmp_path), IN_CREATE)
    inotify.add(str(tmp_path), IN_DELETE)
    (tmp_path / "a").mkdir()
    (tmp_path / "a").rmdir()
    assert [event.mask & NAMES for event in inotify.read()] == [IN_CREATE, IN_DELETE]


def test_a_file_cannot_be_listened_to(inotify: Inotify, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        inotify.add(str(tmp_path / "file"), ALL)


def test_a_removed_watch_is_quiet_and_says_so(inotify: Inotify, tmp_path: Path) -> None:
    wd = inotify.add(str(tmp_path), ALL)
    inotify.remove(wd)
    inotify.remove(wd)
    (tmp_path / "file").touch()
    assert inotify.read() == [Event(wd, IN_IGNORED, 0, "")]


def test_a_removed_directory_ends_its_watch(inotify: Inotify, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    wd = inotify.add(str(tmp_path / "dir"), ALL)
    (tmp_path / "dir").rmdir()
    assert inotify.read()[-1] == Event(wd, IN_IGNORED, 0, "")


def test_more_events_than_one_read_holds_are_all_read(inotify: Inotify, tmp_path: Path) -> None:
    inotify.add(str(tmp_path), IN_CREATE)
    names = [f"{i:04}-{'x' * 200}" for i in range(1000)]
    for name in names:
        (tmp_path / name).touch()
    assert [event.name for event in inotify.read()] == names


def test_closing_twice_is_harmless() -> None:
    made = Inotify()
    made.close()
    made.close()


def test_a_name_no_client_could_read_is_left_out() -> None:
    def raw(name: bytes) -> bytes:
        padded = name + bytes(16 - len(name) % 16)
        return struct.pack("=iIII", 1, IN_CREATE, 0, len(padded)) + padded

    events = list(decode(raw(b"good") + raw(b"\xff\xfe") + raw("größe".encode())))
    assert [event.name for event in events] == ["good", "größe"]


# -- directories -------------------------------------------------------------------------


def test_a_directory_is_located_where_it_is_now(share: ShareRoot, disk: Path) -> None:
    (disk / "a").mkdir()
    with share.resolve("A") as entry:
        handle = share.open(entry, read=True, write=False)
    try:
        assert location(handle) == f"{share.location}/a"
        (disk / "a").rename(disk / "b")
        assert location(handle) == f"{share.location}/b"
        (disk / "b").rename(disk.parent / "outside")
        assert location(handle) == f"{share.location}/a"
    finally:
        handle.close()
        os.rmdir(disk.parent / "outside")


def test_the_root_is_located(share: ShareRoot) -> None:
    with share.resolve("") as entry:
        handle = share.open(entry, read=True, write=False)
    assert location(handle) == share.location == os.path.realpath(f"/proc/self/fd/{share.fd}")
    handle.close()


def test_an_opened_directory_shows_its_contents(share: ShareRoot, disk: Path) -> None:
    (disk / "dir" / "sub").mkdir(parents=True)
    (disk / "dir" / "file").touch()
    (disk / "dir" / "link").symlink_to("sub")
    with opened(share, "dir") as item:
        directories, others = contents(item)
    assert directories == ["sub"]
    assert sorted(others) == ["file", "link"]


def test_symlinks_out_of_the_share_are_not_followed(make_share: MakeShare, disk: Path) -> None:
    root = make_share()
    (disk / "link").symlink_to("/")
    with pytest.raises(OSError, match="link"), opened(root, "link"):
        pass
    with pytest.raises(PathNotFound), opened(root, "missing"):
        pass
