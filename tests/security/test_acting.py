"""Every file-system call of every thread is made as the user whose file it is about.

Two users work at once through a server with real threads: readers that run short requests
themselves, two kworkers that serve both by turns, timers, inotify.  Each keeps to a directory of
their own, so that the path of a call says whose identity the thread must have.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from ksmbd.state import oplock
from ksmbd.vfs.credentials import Credentials
from ksmbd.wire import fsctl
from ksmbd.wire.access import (
    DELETE,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_SUPERSEDE,
)
from ksmbd.wire.create import OPLOCK_BATCH
from ksmbd.wire.file_chains import pack_full_eas
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.ipc import SHARE_ACL_XATTR
from ksmbd.wire.lock import EXCLUSIVE_LOCK, UNLOCK
from ksmbd.wire.query_info import INFO_FILESYSTEM, INFO_SECURITY
from ksmbd.wire.status import NtStatus
from tests.security.users import NAMES, Users, as_root
from tests.security.watching import Call, Watcher, watching_calls
from tests.support.arena import DESCRIPTOR
from tests.support.client import Client, File
from tests.support.mountd import DISK, share
from tests.support.replies import Response
from tests.support.threaded import ThreadedEngine

pytestmark = as_root

ROUNDS: Final = 3
FEW: Final = 1 << 6 | 1 << 7  # CAP_SETGID, CAP_SETUID
# Where the user's thread has a capability for one call.
WITH_MORE: Final = {
    "acl.py:_write": 1 << 21,  # CAP_SYS_ADMIN: security.NTACL of the user's file
    "attributes.py:_stored_anyhow": 1 << 2,  # CAP_DAC_READ_SEARCH: DOS attributes of any file
}
# What a session of all commands must have made, or it proves nothing.
EXPECTED_CALLS: Final = {
    "open", "stat", "fstat", "mkdir", "rmdir", "unlink", "link", "readlink", "listdir", "utime",
    "chmod", "ftruncate", "fsync", "preadv", "pwrite", "getxattr", "statvfs", "_openat2",
    "_renameat2", "_statx", "setxattr", "listxattr", "removexattr",
}  # fmt: skip


@pytest.fixture(params=[0, 1], ids=["a reader each", "one reader for all"])
def engine(users: Users, request: pytest.FixtureRequest) -> Iterator[ThreadedEngine]:
    shares = [share("data", str(users.folder), DISK | SHARE_ACL_XATTR)]
    with ThreadedEngine(users.folder, users=users.accounts, shares=shares, leases=True) as threaded:
        yield threaded


def log_on(engine: ThreadedEngine, name: str, guid: bytes = b"A" * 16, **setup: int) -> Client:
    client = Client(engine)
    client.frames.credits = 64
    client.negotiate(client_guid=guid)
    client.log_on(name, engine.mountd.users[name].password, **setup)
    client.connect()
    return client


def final(engine: ThreadedEngine, client: Client) -> Response:
    """The answer to a request that has waited."""
    found: list[Response] = []

    def came() -> bool:
        found.extend(r for r in client.receive() if r.status is not NtStatus.PENDING)
        return bool(found)

    engine.eventually(came, "no final response")
    return found[0]


class Script:
    """All that one user does, on two connections."""

    def __init__(self, engine: ThreadedEngine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.one = log_on(engine, name)
        self.two = log_on(engine, name, b"B" * 16)

    def path(self, name: str) -> str:
        return rf"{self.name}\{name}"

    def open(self, name: str, **changes: int) -> File:
        return self.one.open(self.path(name), **changes)

    def send(self, file: File, *what: object) -> None:
        """One request after the other, whatever comes of them."""
        for frame in what:
            self.one.send(frame)  # type: ignore[arg-type]

    def everything(self) -> None:
        for step in STEPS:
            step(self)
        self.one.lose()
        self.two.lose()

    def data(self) -> None:
        """Short requests run on the reader, long ones and FLUSH on a kworker."""
        file = self.open("file")
        f = file.frames
        self.send(file, f.write(b"short"), f.write(bytes(200_000)), f.read(16), f.read(200_000))
        self.send(file, f.flush(), f.set_info(FileInfo.END_OF_FILE, (10).to_bytes(8, "little")))
        self.send(file, f.set_info(FileInfo.ALLOCATION, (4096).to_bytes(8, "little")), f.close())

    def metadata(self) -> None:
        file = self.open("file")
        f = file.frames
        for info_class in FileInfo:
            self.send(file, f.query_info(info_class))
        for info_class in range(1, 12):
            self.send(file, f.query_info(info_class, info_type=INFO_FILESYSTEM))
        everyone = bytes.fromhex(DESCRIPTOR)
        times = (130_000_000_000_000_000).to_bytes(8, "little") * 4 + bytes(8)
        self.send(
            file,
            f.query_info(0, info_type=INFO_SECURITY, additional_information=7),
            f.set_info(FileInfo.BASIC, times),
            f.set_info(FileInfo.FULL_EA, pack_full_eas([("ONE", b"1"), ("TWO", b"2")])[0]),
            f.set_info(0, everyone, info_type=INFO_SECURITY, additional_information=4),
            f.close(),
        )

    def names(self) -> None:
        directory = self.open("dir", create_options=FILE_DIRECTORY_FILE)
        inside = self.open(r"dir\inside")
        self.send(inside, inside.frames.close())
        d = directory.frames
        self.send(directory, d.query_directory(), d.query_directory("ins*", flags=1))
        self.send(directory, d.close())
        found = self.open(r"DIR\INSIDE", create_disposition=FILE_OPEN)  # by listing
        self.send(found, found.frames.close())
        moving = self.open("moving")
        m = moving.frames
        self.send(moving, m.set_info(FileInfo.RENAME, renamed(self.path(r"dir\moved"))))
        self.send(moving, m.set_info(FileInfo.LINK, renamed(self.path("second"))), m.close())
        self.remove(r"dir\moved")
        self.remove("second")
        self.remove(r"dir\inside")
        self.remove("dir", FILE_DIRECTORY_FILE)

    def remove(self, name: str, options: int = 0) -> None:
        file = self.open(
            name, desired_access=DELETE, create_options=options, create_disposition=FILE_OPEN
        )
        f = file.frames
        self.send(file, f.set_info(FileInfo.DISPOSITION, b"\1"), f.close())

    def streams(self) -> None:
        stream = self.open("file:stream")
        f = stream.frames
        self.send(stream, f.write(b"data"), f.read(4), f.set_info(FileInfo.END_OF_FILE, bytes(8)))
        self.send(stream, f.set_info(FileInfo.DISPOSITION, b"\1"), f.close())
        again = self.open("file", create_disposition=FILE_SUPERSEDE)
        self.send(again, again.frames.close())

    def controls(self) -> None:
        file = self.open("file")
        f = file.frames
        ranges = bytes(8) + (1 << 20).to_bytes(8, "little")
        self.send(file, f.ioctl(fsctl.SET_SPARSE, b"\1"), f.ioctl(fsctl.SET_ZERO_DATA, ranges))
        self.send(file, f.ioctl(fsctl.QUERY_ALLOCATED_RANGES, ranges))
        self.send(file, f.ioctl(fsctl.CREATE_OR_GET_OBJECT_ID), f.close())

    def compound(self) -> None:
        frames, related = self.one.frames, self.one.frames.related()
        self.one.send(
            frames.create(self.path("compound"), create_options=FILE_DELETE_ON_CLOSE),
            related.write(b"x"),
            related.query_info(FileInfo.ALL),
            related.close(),
        )

    def blocking_lock(self) -> None:
        """Granted when the other connection unlocks: the rest runs on a kworker."""
        mine, others = self.open("file"), self.two.open(self.path("file"))
        self.one.status(mine.frames.lock((0, 10, EXCLUSIVE_LOCK)))
        related = self.two.frames.related()
        lock = others.frames.lock((0, 10, EXCLUSIVE_LOCK))
        waiting = self.two.pack(lock, related.write(b"late"), related.flush())
        self.engine.post(self.two.connection, waiting)
        self.one.status(mine.frames.lock((0, 10, UNLOCK)))
        final(self.engine, self.two)
        self.one.send(mine.frames.close())
        self.two.send(others.frames.close())

    def oplock_break(self) -> None:
        """A CREATE that waits for an acknowledgment, and one whose wait is over by time."""
        for answered in (True, False):
            held = self.open("held", requested_oplock_level=OPLOCK_BATCH)
            self.two.pend(self.two.frames.open(self.path("held")))
            if answered:
                self.one.send(held.frames.oplock_break(0))
            response = final(self.engine, self.two)
            assert response.status is NtStatus.SUCCESS
            self.two.send(self.two.file(response).frames.close())
            self.one.send(held.frames.close())

    def notify(self) -> None:
        """A local change and one of a client, below a tree that is watched."""
        folder = self.engine.folder / self.name
        directory = self.two.open(self.name, create_options=FILE_DIRECTORY_FILE)
        for make in (
            lambda: (folder / "local").touch(),
            lambda: self.one.send(self.open("new").frames.close()),
        ):
            self.two.pend(directory.frames.change_notify(flags=1))
            make()
            assert final(self.engine, self.two).status is NtStatus.SUCCESS
        self.two.send(directory.frames.close())
        for name in ("local", "new"):
            (folder / name).unlink()

    def ends(self) -> None:
        """Delete-on-close by TREE_DISCONNECT, LOGOFF, a lost connection, and a session replaced."""
        for end in range(4):
            client = log_on(self.engine, self.name)
            client.open(self.path(f"end{end}"), create_options=FILE_DELETE_ON_CLOSE)
            client.open(self.path(f"dir{end}"), create_options=FILE_DELETE_ON_CLOSE | 1)
            if end == 0:
                client.send(client.frames.tree_disconnect())
            elif end == 1:
                client.send(client.frames.logoff())
            elif end == 2:
                client.lose()
            else:
                previous = client.frames.session_id
                log_on(self.engine, self.name, previous_session_id=previous).lose()
            client.lose()
            assert not (self.engine.folder / self.name / f"end{end}").exists()
            assert not (self.engine.folder / self.name / f"dir{end}").exists()


STEPS: Final[tuple[Callable[[Script], None], ...]] = (
    Script.data, Script.metadata, Script.names, Script.streams, Script.controls, Script.compound,
    Script.blocking_lock, Script.oplock_break, Script.notify, Script.ends,
)  # fmt: skip


def renamed(name: str) -> bytes:
    raw = name.encode("utf-16-le")
    return b"\1" + bytes(15) + len(raw).to_bytes(4, "little") + raw


def both(engine: ThreadedEngine) -> None:
    """alice's and bob's scripts at the same time."""
    failures: list[BaseException] = []

    def play(name: str) -> None:
        try:
            for _ in range(ROUNDS):
                Script(engine, name).everything()
        except BaseException as failed:
            failures.append(failed)

    threads = [threading.Thread(target=play, args=(name,)) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def owner_of(call: Call, folder: Path) -> Credentials | None:
    """Whose file a call is about; None where that is nobody's, such as the share's root."""
    inside = call.path.removeprefix(str(folder) + "/")
    return NAMES.get(inside.partition("/")[0]) if inside != call.path else None


@cache
def as_itself() -> frozenset[str]:
    """The functions in which the server may be root, by the table of the guide."""
    text = (Path(__file__).parents[2] / "docs/security.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `ksmbd/")]
    functions = re.finditer(r"`ksmbd/\w+/(\w+\.py):(?:\w+\.)?(\w+)`", "\n".join(rows))
    return frozenset(f"{found[1]}:{found[2]}" for found in functions)


def wrong(call: Call, folder: Path) -> str | None:
    """What is wrong with a call's identity."""
    if call.who.uid == 0 and not as_itself().isdisjoint(call.stack):
        return None
    owner = owner_of(call, folder)
    if owner is not None and call.who != owner:
        return f"{call.who} instead of {owner}"
    if owner is None and call.who.uid == 0 and str(folder) in call.path:
        return "root on the share"
    more = sum(WITH_MORE.get(function, 0) for function in call.stack)
    if call.who.uid and call.capabilities & ~FEW & ~more:
        return f"capabilities {call.capabilities:#x}"
    return None


@pytest.fixture
def watched(
    engine: ThreadedEngine, users: Users, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watcher]:
    monkeypatch.setattr(oplock, "TIMEOUT_S", 0.05)
    with watching_calls(monkeypatch) as watcher:
        yield watcher


def test_every_call_is_made_as_the_user_whose_file_it_is_about(
    engine: ThreadedEngine, users: Users, watched: Watcher
) -> None:
    both(engine)
    engine.eventually(lambda: not engine.server.connections)
    bad = {
        f"{call.name} {call.path}: {reason}; {call.thread}, {' < '.join(call.stack[:4])}"
        for call in watched.calls
        if (reason := wrong(call, users.folder))
    }
    assert not bad, "\n".join(sorted(bad)[:20])
    for who in NAMES.values():
        theirs = [call for call in watched.calls if call.who == who]
        assert {call.name for call in theirs} >= EXPECTED_CALLS
        threads = {call.thread for call in theirs}
        assert any(name.startswith("ksmbd-io/") for name in threads), "no kworker"
        assert any(name.startswith("ksmbd/") for name in threads), "no reader"


def test_the_watcher_sees_who_a_thread_is(
    engine: ThreadedEngine, users: Users, watched: Watcher
) -> None:
    """A server that forgot to become the user would be found out."""
    client = log_on(engine, "alice")
    client.open(r"alice\file", desired_access=FILE_READ_ATTRIBUTES | FILE_READ_DATA)
    client.lose()
    call = next(call for call in watched.calls if call.path.endswith("alice/file"))
    assert wrong(call, users.folder) is None
    assert wrong(call._replace(who=Credentials(0, 0)), users.folder)
    assert wrong(call._replace(who=NAMES["bob"]), users.folder)
    assert wrong(call._replace(capabilities=1 << 1), users.folder)
    assert "notify_reader.py:cover" in as_itself()
