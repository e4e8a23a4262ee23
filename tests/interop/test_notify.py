"""CHANGE_NOTIFY with real clients: a folder that refreshes by itself, whoever changes it."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from smbprotocol.change_notify import (
    ChangeNotifyFlags,
    CompletionFilter,
    FileSystemWatcher,
)
from smbprotocol.exceptions import NotifyCleanup
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    DirectoryAccessMask,
    FileAttributes,
    ImpersonationLevel,
    Open,
    ShareAccess,
)

from tests.interop.clients import SmbClient, account, program
from tests.support.peers import Peer
from tests.support.smb_tree import SmbTree

pytestmark = pytest.mark.interop

NAMES = CompletionFilter.FILE_NOTIFY_CHANGE_FILE_NAME | CompletionFilter.FILE_NOTIFY_CHANGE_DIR_NAME
ADDED, REMOVED, OLD, NEW = 1, 2, 4, 5
WAIT_S = 20


class Watcher(SmbTree):
    """One connection of smbprotocol with any number of watched folders."""

    def open(self, name: str) -> Open:
        folder = Open(self.tree, name)
        folder.create(
            ImpersonationLevel.Impersonation,
            DirectoryAccessMask.FILE_LIST_DIRECTORY,
            FileAttributes.FILE_ATTRIBUTE_DIRECTORY,
            ShareAccess.FILE_SHARE_READ
            | ShareAccess.FILE_SHARE_WRITE
            | ShareAccess.FILE_SHARE_DELETE,
            CreateDisposition.FILE_OPEN,
            CreateOptions.FILE_DIRECTORY_FILE,
        )
        return folder

    def watch(self, folder: Open, *, tree: bool = False) -> FileSystemWatcher:
        """A request; it waits on the server, or is answered, when this returns."""
        watching = FileSystemWatcher(folder)
        flags = ChangeNotifyFlags.SMB2_WATCH_TREE if tree else 0
        watching.start(NAMES, flags=flags, output_buffer_length=65536)
        request = watching._request
        until(lambda: request.async_id is not None or request.response is not None)
        return watching


@pytest.fixture
def watcher(live: Peer) -> Iterator[Watcher]:
    made = Watcher(live)
    yield made
    made.close()


@pytest.fixture
def place(live: Peer, tmp_path: Path) -> Path:
    """A folder on the server's disk that everybody may write to."""
    path = live.path() / f"notify-{tmp_path.name}"
    path.mkdir()
    path.chmod(0o777)
    return path


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, "nothing has happened"
        threading.Event().wait(0.005)


def answer(watching: FileSystemWatcher) -> list[tuple[int, str]]:
    assert watching.response_event.wait(WAIT_S), "no answer"
    return [(c["action"].get_value(), c["file_name"].get_value()) for c in watching.wait()]


def collect(
    watcher: Watcher, folder: Open, watching: FileSystemWatcher, count: int
) -> list[tuple[int, str]]:
    """The changes until so many have come."""
    got = answer(watching)
    while len(got) < count:
        got += answer(watcher.watch(folder))
    return got


def test_local_changes_arrive(watcher: Watcher, place: Path) -> None:
    folder = watcher.open(place.name)
    watching = watcher.watch(folder)
    (place / "file").touch()
    (place / "file").rename(place / "other")
    (place / "other").unlink()
    changes = collect(watcher, folder, watching, 4)
    assert changes == [(ADDED, "file"), (OLD, "file"), (NEW, "other"), (REMOVED, "other")]


def test_another_clients_changes_arrive_once(
    live: Peer, watcher: Watcher, place: Path, tmp_path: Path
) -> None:
    folder = watcher.open(place.name)
    watching = watcher.watch(folder)
    client = SmbClient(live, folder=tmp_path)
    client.ok(f"cd {place.name}; mkdir dir; rename dir other; rmdir other; mkdir last")
    changes = collect(watcher, folder, watching, 5)
    assert changes == [
        (ADDED, "dir"),
        (OLD, "dir"),
        (NEW, "other"),
        (REMOVED, "other"),
        (ADDED, "last"),
    ]
    watching = watcher.watch(folder)
    assert not watching.response_event.wait(0.5)  # inotify's echo would have come by now
    watching.cancel()


def test_a_tree_is_watched(watcher: Watcher, place: Path) -> None:
    (place / "a" / "b").mkdir(parents=True)
    folder = watcher.open(place.name)
    watching = watcher.watch(folder, tree=True)
    number = -1
    while not watching.response_event.wait(0.2):  # the tree is entered behind the answer
        number += 1
        (place / "a" / "b" / f"file{number}").touch()
    assert answer(watching)[0] in [(ADDED, f"a\\b\\file{n}") for n in range(number + 1)]


def test_a_closed_folder_ends_the_watching(watcher: Watcher, place: Path) -> None:
    folder = watcher.open(place.name)
    watching = watcher.watch(folder)
    folder.close(get_attributes=False)
    assert watching.response_event.wait(WAIT_S)
    with pytest.raises(NotifyCleanup):
        _ = watching.result


def test_hundreds_of_watches_need_no_threads(live: Peer, watcher: Watcher, place: Path) -> None:
    """300 folders, all answered when something changes in them."""

    def threads() -> int:
        return len(os.listdir(f"/proc/{live.pid}/task"))

    for i in range(300):
        (place / f"d{i}").mkdir()
    folders = [watcher.open(f"{place.name}\\d{i}") for i in range(300)]
    first = watcher.watch(folders[0])
    before = threads()
    watching = [first, *(watcher.watch(folder) for folder in folders[1:])]
    assert threads() <= before + 10  # some workers may come or go
    for i in range(300):
        (place / f"d{i}" / "new").mkdir()
    assert all(answer(each) == [(ADDED, "new")] for each in watching)


def test_smbclients_notify_prints_what_changes(live: Peer, place: Path, tmp_path: Path) -> None:
    command = [program("smbclient"), live.unc(), "-p", str(live.port), *account()]
    with subprocess.Popen(
        ["stdbuf", "-oL", *command, "-c", f"notify {place.name}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        cwd=tmp_path,
    ) as client:
        try:
            assert client.stdout is not None
            printed = _first_line(place, client.stdout.fileno())
        finally:
            client.kill()
    assert b"0001 new" in printed


def _first_line(place: Path, fd: int) -> bytes:
    """What is printed once a change is noticed; changes are made until then."""
    os.set_blocking(fd, False)
    end = time.monotonic() + WAIT_S
    number = 0
    while time.monotonic() < end:
        (place / f"new{number}").mkdir()
        number += 1
        threading.Event().wait(0.2)
        try:
            if printed := os.read(fd, 4096):
                return printed
        except BlockingIOError:
            continue
    raise AssertionError("nothing printed")
