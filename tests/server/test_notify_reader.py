"""server/notify_reader.py: what local processes change, and that nothing is told twice.

The engine's clients change things by SMB, the test itself changes them on disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ksmbd.server import notify_reader
from ksmbd.server.notify_reader import NotifyReader
from ksmbd.vfs.notify import IN_Q_OVERFLOW, Event
from ksmbd.wire import file_info
from ksmbd.wire.access import (
    ATTR_HIDDEN,
    FILE_ALL_ACCESS,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_LIST_DIRECTORY,
)
from ksmbd.wire.change_notify import (
    CHANGE_ATTRIBUTES,
    CHANGE_CREATION,
    CHANGE_DIR_NAME,
    CHANGE_EA,
    CHANGE_FILE_NAME,
    CHANGE_LAST_WRITE,
    CHANGE_SECURITY,
    CHANGE_SIZE,
    CHANGE_STREAM_NAME,
    CHANGE_VALID,
    WATCH_TREE,
    unpack_changes,
)
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.support.client import Client, File, ready
from tests.support.engine import Engine, give_to_joe

ADDED, REMOVED, MODIFIED, OLD, NEW = 1, 2, 3, 4, 5
TREE = WATCH_TREE
Kept = list[tuple[int, str]]


class Place:
    """An engine with inotify, a client's watch, and the directory behind it."""

    def __init__(self, engine: Engine, limit: int = 1000) -> None:
        self.engine = engine
        self.disk = engine.folder
        self.server = engine.server
        self.reader = NotifyReader(
            self.server.notify, hold_s=0, max_directories=limit, threaded=False
        )
        self.server.notify.local = self.reader
        self.client = ready(engine)

    def watch(self, name: str = "", flags: int = 0, filter: int = CHANGE_VALID) -> File:
        """Open a directory and have its changes kept."""
        folder = self.client.open(
            name, create_options=FILE_DIRECTORY_FILE, desired_access=FILE_LIST_DIRECTORY
        )
        changes = {"flags": flags, "completion_filter": filter}
        async_id = self.client.pend(folder.frames.change_notify(**changes))
        self.client.send(self.client.frames.cancel(async_id=async_id))
        self.reader.step()
        return folder

    def kept(self, folder: File) -> Kept:
        """What has been told since; the reader gets to work first."""
        self.reader.step()
        response = self.client.call(folder.frames.change_notify(output_buffer_length=65536))
        if response.status is NtStatus.PENDING:
            self.client.send(self.client.frames.cancel(async_id=response.header.async_id))
            return []
        assert response.status is NtStatus.SUCCESS, response
        return [(change.action, change.name) for change in unpack_changes(response.data)]

    def status(self, folder: File) -> NtStatus:
        self.reader.step()
        return self.client.status(folder.frames.change_notify())

    def directory(self, name: str) -> Path:
        """A directory that joe may change."""
        path = self.disk / name
        path.mkdir()
        give_to_joe(path)
        return path

    def create(self, name: str, options: int = 0) -> None:
        self.client.call(self.client.open(name, create_options=options).frames.close())

    def delete(self, name: str, options: int = 0) -> None:
        self.create(name, options | FILE_DELETE_ON_CLOSE)


@pytest.fixture
def place(engine: Engine) -> Iterator[Place]:
    made = Place(engine)
    yield made
    made.reader.close()


# -- what local processes do -------------------------------------------------------------


def test_names_that_come_and_go_are_told(place: Place) -> None:
    watched = place.watch()
    (place.disk / "file").touch()
    (place.disk / "dir").mkdir()
    (place.disk / "file").unlink()
    (place.disk / "dir").rmdir()
    told = place.kept(watched)
    assert [change for change in told if change[0] != MODIFIED] == [
        (ADDED, "file"),
        (ADDED, "dir"),
        (REMOVED, "file"),
        (REMOVED, "dir"),
    ]


def test_a_waiting_request_is_answered(place: Place) -> None:
    watched = place.watch()
    async_id = place.client.pend(watched.frames.change_notify())
    (place.disk / "dir").mkdir()
    with place.engine.acting():
        place.reader.step()
    (response,) = place.client.receive()
    assert response.header.async_id == async_id
    assert [tuple(c) for c in unpack_changes(response.data)] == [(ADDED, "dir")]


@pytest.mark.parametrize(
    ("bit", "change"),
    [
        (CHANGE_SIZE, lambda path: path.write_bytes(b"more")),
        (CHANGE_LAST_WRITE, lambda path: path.write_bytes(b"more")),
        (CHANGE_LAST_WRITE, lambda path: path.touch()),
        (CHANGE_ATTRIBUTES, lambda path: path.chmod(0o600)),
        (CHANGE_SECURITY, lambda path: path.chmod(0o600)),
        (CHANGE_EA, lambda path: path.chmod(0o600)),
        (CHANGE_CREATION, lambda path: path.touch()),
    ],
)
def test_contents_and_attributes_are_told(
    place: Place, bit: int, change: Callable[[Path], Any]
) -> None:
    path = place.engine.make_file("file", b"data")
    watched = place.watch(filter=bit)
    change(path)
    assert place.kept(watched) == [(MODIFIED, "file")]


@pytest.mark.parametrize("bit", [CHANGE_STREAM_NAME, CHANGE_DIR_NAME])
def test_what_nobody_asked_for_is_not_told(place: Place, bit: int) -> None:
    watched = place.watch(filter=bit)
    (place.disk / "file").write_bytes(b"data")
    assert place.kept(watched) == []


def test_a_rename_is_a_pair(place: Place) -> None:
    (place.disk / "dir").mkdir()
    watched = place.watch(filter=CHANGE_DIR_NAME)
    (place.disk / "dir").rename(place.disk / "other")
    assert place.kept(watched) == [(OLD, "dir"), (NEW, "other")]


def test_a_move_leaves_here_and_comes_there(place: Place) -> None:
    place.directory("dir")
    (place.disk / "file").touch()
    top, inside, tree = place.watch(), place.watch("dir"), place.watch(flags=TREE)
    (place.disk / "file").rename(place.disk / "dir" / "moved")
    assert (REMOVED, "file") in place.kept(top)
    assert place.kept(inside) == [(ADDED, "moved")]
    assert [c for c in place.kept(tree) if c[0] != MODIFIED] == [
        (REMOVED, "file"),
        (ADDED, "dir\\moved"),
    ]


def test_a_move_into_or_out_of_the_share_is_one_half(place: Place, tmp_path: Path) -> None:
    watched = place.watch(filter=CHANGE_FILE_NAME)
    outside = place.disk.parent / f"{place.disk.name}-outside"
    outside.touch()
    outside.rename(place.disk / "in")
    assert place.kept(watched) == [(ADDED, "in")]
    (place.disk / "in").rename(outside)
    assert place.kept(watched) == [(REMOVED, "in")]
    outside.unlink()


def test_vetoed_and_unreadable_names_are_not_told(place: Place) -> None:
    watched = place.watch(filter=CHANGE_FILE_NAME)
    (place.disk / b"\xff\xfe".decode("utf-8", "surrogateescape")).touch()
    (place.disk / ".ksmbd-1-1").touch()
    assert place.kept(watched) == []


# -- our own operations ------------------------------------------------------------------


def own_rename(place: Place, name: str, target: str) -> None:
    file = place.client.open(name)
    raw = utf16(target)
    head = file_info.FileRenameInformation(replace_if_exists=1, file_name_length=len(raw))
    frame = file.frames.set_info(FileInfo.RENAME, head.pack() + raw)
    assert place.client.status(frame) is NtStatus.SUCCESS
    place.client.call(file.frames.close())


def test_what_clients_do_is_told_once(place: Place) -> None:
    watched = place.watch()
    place.create("file")
    file = place.client.open("file")
    place.client.call(file.frames.write(b"data"))
    info = file_info.FileBasicInformation(
        creation_time=0,
        last_access_time=0,
        last_write_time=0,
        change_time=0,
        file_attributes=ATTR_HIDDEN,
    )
    place.client.call(file.frames.set_info(FileInfo.BASIC, info.pack()))
    place.client.call(file.frames.close())
    own_rename(place, "file", "other")
    place.create("dir", FILE_DIRECTORY_FILE)
    place.delete("other")
    place.delete("dir", FILE_DIRECTORY_FILE)
    expected = [
        (ADDED, "file"),
        (MODIFIED, "file"),
        (OLD, "file"),
        (NEW, "other"),
        (ADDED, "dir"),
        (REMOVED, "other"),
        (REMOVED, "dir"),
    ]
    assert place.kept(watched) == expected
    assert place.kept(watched) == []


@pytest.mark.parametrize("step", [False, True])
def test_a_client_and_a_local_process_take_turns(place: Place, step: bool) -> None:
    watched = place.watch(filter=CHANGE_FILE_NAME)
    expected = []
    for _ in range(3):
        place.create("file")
        if step:
            place.reader.step()
        (place.disk / "file").unlink()
        place.reader.step()
        place.engine.make_file("file")
        place.reader.step()
        place.delete("file")
        expected += [(ADDED, "file"), (REMOVED, "file")] * 2
    assert place.kept(watched) == expected


def test_a_filter_that_hides_our_change_hides_its_echo(place: Place) -> None:
    watched = place.watch(filter=CHANGE_ATTRIBUTES)
    place.create("file")
    assert place.kept(watched) == []


def test_what_was_done_before_the_watch_is_not_told(place: Place) -> None:
    """Another watch has had the directory listened to already."""
    place.watch()
    place.create("file")
    (place.disk / "local").touch()
    late = place.watch()
    assert place.kept(late) == []


def test_a_replacing_rename_and_a_replacing_link_are_told_once(place: Place) -> None:
    place.create("target")
    watched = place.watch(filter=CHANGE_FILE_NAME)
    place.create("a")
    own_rename(place, "a", "target")
    assert place.kept(watched) == [
        (ADDED, "a"),
        (REMOVED, "target"),
        (OLD, "a"),
        (NEW, "target"),
    ]
    place.create("b")
    file = place.client.open("b")
    raw = utf16("target")
    head = file_info.FileRenameInformation(replace_if_exists=1, file_name_length=len(raw))
    frame = file.frames.set_info(FileInfo.LINK, head.pack() + raw)
    assert place.client.status(frame) is NtStatus.SUCCESS
    assert place.kept(watched) == [(ADDED, "b"), (REMOVED, "target"), (ADDED, "target")]


# -- trees -------------------------------------------------------------------------------


def test_a_tree_is_listened_to_at_all_depths(place: Place) -> None:
    (place.disk / "a" / "b" / "c").mkdir(parents=True)
    watched = place.watch(flags=TREE, filter=CHANGE_DIR_NAME)
    (place.disk / "a" / "b" / "c" / "new").mkdir()
    assert place.kept(watched) == [(ADDED, "a\\b\\c\\new")]


def test_what_is_made_in_a_new_directory_is_told_once(place: Place) -> None:
    watched = place.watch(flags=TREE, filter=CHANGE_DIR_NAME | CHANGE_FILE_NAME)
    (place.disk / "a" / "b").mkdir(parents=True)
    (place.disk / "a" / "b" / "one").touch()
    assert place.kept(watched) == [(ADDED, "a"), (ADDED, "a\\b"), (ADDED, "a\\b\\one")]
    (place.disk / "a" / "b" / "two").touch()
    assert place.kept(watched) == [(ADDED, "a\\b\\two")]


def test_what_clients_make_in_a_new_directory_is_told_once(place: Place) -> None:
    watched = place.watch(flags=TREE, filter=CHANGE_DIR_NAME | CHANGE_FILE_NAME)
    for name, options in ("a", FILE_DIRECTORY_FILE), ("a\\b", FILE_DIRECTORY_FILE), ("a\\b\\f", 0):
        place.create(name, options)
    assert place.kept(watched) == [(ADDED, "a"), (ADDED, "a\\b"), (ADDED, "a\\b\\f")]
    place.create("a\\b\\g")
    (place.disk / "a" / "b" / "local").touch()
    assert place.kept(watched) == [(ADDED, "a\\b\\g"), (ADDED, "a\\b\\local")]


@pytest.mark.parametrize("by_client", [False, True])
def test_a_renamed_directory_is_listened_to_under_its_new_name(
    place: Place, by_client: bool
) -> None:
    place.directory("a")
    (place.disk / "a" / "sub").mkdir()
    watched = place.watch(flags=TREE, filter=CHANGE_DIR_NAME)
    if by_client:
        own_rename(place, "a", "z")
    else:
        (place.disk / "a").rename(place.disk / "z")
    assert place.kept(watched) == [(OLD, "a"), (NEW, "z")]
    (place.disk / "z" / "sub" / "new").mkdir()
    assert place.kept(watched) == [(ADDED, "z\\sub\\new")]


def test_a_directory_that_leaves_the_tree_is_not_listened_to(place: Place) -> None:
    (place.disk / "a" / "b").mkdir(parents=True)
    watched = place.watch(flags=TREE, filter=CHANGE_DIR_NAME)
    before = place.reader.directories
    outside = place.disk.parent / f"{place.disk.name}-outside"
    (place.disk / "a").rename(outside)
    assert place.kept(watched) == [(REMOVED, "a")]
    assert place.reader.directories == before - 2
    (outside / "b" / "new").mkdir()
    assert place.kept(watched) == []
    outside.rename(place.disk / "back")
    assert place.kept(watched) == [(ADDED, "back")]
    (place.disk / "back" / "b" / "newer").mkdir()
    assert place.kept(watched) == [(ADDED, "back\\b\\newer")]


def test_a_watched_directory_that_moves_is_found_again(place: Place) -> None:
    place.directory("a")
    folder = place.watch("a")
    (place.disk / "a").rename(place.disk / "b")
    (place.disk / "b" / "local").mkdir()
    assert place.kept(folder) == [(ADDED, "local")]
    place.create("b\\mine")
    assert place.kept(folder) == [(ADDED, "mine")]


def test_more_directories_than_the_limit_are_not_listened_to(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(engine, limit=4)
    for i in range(5):
        place.directory(f"d{i}")
    watched = place.watch(flags=TREE, filter=CHANGE_DIR_NAME)
    assert place.reader.directories == 4
    assert "more than 4 watched directories" in caplog.text
    place.create("d4\\by client", FILE_DIRECTORY_FILE)
    assert place.kept(watched) == [(ADDED, "d4\\by client")]
    (place.disk / "new").mkdir()
    assert place.status(watched) is NtStatus.NOTIFY_ENUM_DIR
    place.reader.close()


def test_a_lost_event_makes_everybody_list(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.disk / "a").mkdir()
    watched, tree = place.watch(), place.watch(flags=TREE)
    inotify = place.reader._inotify
    assert inotify is not None
    with monkeypatch.context() as patch:
        patch.setattr(inotify, "read", lambda: [Event(-1, IN_Q_OVERFLOW, 0, "")])
        place.reader.step()
    assert place.status(watched) is NtStatus.NOTIFY_ENUM_DIR
    assert place.status(tree) is NtStatus.NOTIFY_ENUM_DIR
    (place.disk / "a" / "new").mkdir()
    assert place.kept(tree) == [(ADDED, "a\\new")]


# -- beginning and end -------------------------------------------------------------------


def test_a_directory_removed_by_a_local_process_ends_the_waiting(place: Place) -> None:
    place.directory("dir")
    folder = place.watch("dir")
    place.client.pend(folder.frames.change_notify())
    (place.disk / "dir").rmdir()
    with place.engine.acting():
        place.reader.step()
    (response,) = place.client.receive()
    assert response.status is NtStatus.DELETE_PENDING
    assert place.status(folder) is NtStatus.DELETE_PENDING


def test_nothing_is_listened_to_when_nobody_watches_any_more(place: Place) -> None:
    (place.disk / "a" / "b").mkdir(parents=True)
    folders = [place.watch(flags=TREE), place.watch(), place.watch("a")]
    assert place.reader.directories == 3
    for folder in folders:
        place.client.call(folder.frames.close())
    place.reader.step()
    assert place.reader.directories == 0
    (place.disk / "new").mkdir()
    place.reader.step()


def test_watches_of_one_directory_share_what_is_listened_to(place: Place) -> None:
    first = place.watch()
    count = place.reader.directories
    others = [place.watch() for _ in range(20)]
    assert place.reader.directories == count
    place.client.call(first.frames.close())
    (place.disk / "dir").mkdir()
    assert all(place.kept(other) == [(ADDED, "dir")] for other in others)


def test_without_inotify_clients_changes_are_told(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(notify_reader, "Inotify", refuse)
    place = Place(engine)
    watched = place.watch()
    place.create("file")
    assert place.kept(watched) == [(ADDED, "file")]
    assert "local processes will not be seen" in caplog.text
    place.reader.close()


def test_three_hundred_watches_need_one_thread(engine: Engine) -> None:
    before = set(threading.enumerate())
    reader = NotifyReader(engine.server.notify, hold_s=0.01)
    engine.server.notify.local = reader
    assert not set(threading.enumerate()) - before
    clients = [ready(engine) for _ in range(3)]
    for client in clients:
        client.call(client.frames.echo(credits=1000))
    for i in range(300):
        path = engine.folder / f"d{i}"
        path.mkdir()
        give_to_joe(path)
        folder = clients[i % 3].open(path.name, create_options=FILE_DIRECTORY_FILE)
        clients[i % 3].pend(folder.frames.change_notify(completion_filter=CHANGE_DIR_NAME))
    (added,) = set(threading.enumerate()) - before
    assert added.name == "ksmbd/notify"
    assert reader.directories == 301  # and their parent
    for i in range(300):
        (engine.folder / f"d{i}" / "new").mkdir()
    assert len(answers(engine, clients, 300)) == 300
    reader.close()
    assert not set(threading.enumerate()) - before


def answers(engine: Engine, clients: list[Client], count: int) -> list[Any]:
    """Wait for so many answers; the reader's thread brings them."""
    got: list[Any] = []
    end = time.monotonic() + 30
    while len(got) < count and time.monotonic() < end:
        with engine.acting():
            pass
        for client in clients:
            got += client.receive()
        threading.Event().wait(0.005)
    return got


def test_the_thread_tells_clients_and_local_changes_once(engine: Engine) -> None:
    """With the thread and its hold: own operations are reported, their echoes dropped."""
    reader = NotifyReader(engine.server.notify, hold_s=0.05)
    engine.server.notify.local = reader
    client = ready(engine)
    folder = client.open("", create_options=FILE_DIRECTORY_FILE, desired_access=FILE_ALL_ACCESS)
    frame = folder.frames.change_notify(completion_filter=CHANGE_FILE_NAME)
    async_id = client.pend(frame)
    client.send(client.frames.cancel(async_id=async_id))
    for i in range(20):
        client.call(client.open(f"client{i}").frames.close())
        (engine.folder / f"local{i}").touch()
    seen: list[str] = []
    end = time.monotonic() + 30
    while len(seen) < 40 and time.monotonic() < end:
        response = client.call(folder.frames.change_notify(output_buffer_length=65536))
        if response.status is NtStatus.PENDING:
            (response,) = answers(engine, [client], 1)
        seen += [change.name for change in unpack_changes(response.data)]
    wanted = sorted([f"{who}{i}" for i in range(20) for who in ("client", "local")])
    assert sorted(seen) == wanted
    reader.close()


def test_a_directory_that_has_left_the_share_tells_nothing_of_where_it_is(
    place: Place, tmp_path: Path
) -> None:
    """Its parent is listened to for its removal: that of the share, not that of the disk."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    inner = place.directory("a") / "b"
    inner.mkdir()
    give_to_joe(inner)
    above = place.watch("a")
    folder = place.client.open(
        r"a\b", create_options=FILE_DIRECTORY_FILE, desired_access=FILE_LIST_DIRECTORY
    )
    inner.rename(outside / "b")
    assert place.kept(above) == [(REMOVED, "b")]
    place.client.pend(folder.frames.change_notify(completion_filter=CHANGE_VALID))
    place.reader.step()
    (outside / "secret").unlink()
    assert place.kept(above) == []
