"""Class A: sessions, trees, opens and connections end while threads are at work on them.

CVE-2025-37899 was a LOGOFF on one channel while another used the session.  Several clients, each on
several connections, do everything at once through a server with real threads; then they go, and
what they had goes with them: opens, locks, trees, pipes, timers, watches, descriptors, threads.
"""

from __future__ import annotations

import gc
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from ksmbd.server import clients
from ksmbd.state import oplock
from ksmbd.wire import fsctl
from ksmbd.wire.access import FILE_DELETE_ON_CLOSE, FILE_DIRECTORY_FILE
from ksmbd.wire.create import OPLOCK_BATCH
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.header import Command
from ksmbd.wire.lock import EXCLUSIVE_LOCK
from ksmbd.wire.query_info import INFO_SECURITY
from ksmbd.wire.status import NtStatus
from tests.auth import client as ntlm
from tests.support.arena import Bugs
from tests.support.client import Client, File, LogOn
from tests.support.fixtures import watching
from tests.support.frames import Frame
from tests.support.mountd import PASSWORD
from tests.support.replies import Response
from tests.support.threaded import ThreadedEngine

CHANNELS: Final = 3
STEPS: Final = 60


class Channel(Client):
    """A connection whose session may end under it at any moment, by another one's doing."""

    def _check(self, response: Response) -> None:
        """The keys may be those of a session that is gone: signatures are others' business."""

    def throw(self, *frames: Frame) -> list[Response]:
        """Send, and have what comes; nothing once the connection is lost."""
        if self.closed:
            return []
        try:
            return self.send(*frames)
        except OSError:
            self.transport.closed = True
            return []


class Actor:
    """One session on several channels, which all do something at the same time."""

    def __init__(self, engine: ThreadedEngine, seed: int) -> None:
        self.engine = engine
        self.chance = random.Random(seed)
        self.lock = threading.Lock()

    def connect(self) -> list[Channel]:
        one = Channel(self.engine)
        one.frames.credits = 100
        one.negotiate()
        session = one.log_on()
        one.connect()
        channels = [one]
        while len(channels) < CHANNELS:
            channels.append(self.bound(session, one.frames.tree_id))
        return channels

    def bound(self, session: LogOn, tree_id: int) -> Channel:
        channel = Channel(self.engine)
        channel.frames.credits = 100
        channel.negotiate()
        channel.bind(session)
        channel.frames.tree_id = tree_id
        return channel

    def play(self) -> None:
        """All channels at once, until one of them has ended it all."""
        channels = self.connect()
        threads = [
            threading.Thread(target=self.run, args=(channel, self.chance.randrange(1 << 30)))
            for channel in channels
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for channel in channels:
            channel.lose()

    def run(self, channel: Channel, seed: int) -> None:
        chance = random.Random(seed)
        files: list[File] = []
        for step in range(STEPS):
            action = chance.choice(ACTIONS if step < STEPS - 1 or seed % 2 else ENDS)
            action(self, channel, files, chance.randrange(1 << 16))

    # -- actions ---------------------------------------------------------------------------

    def open(self, channel: Channel, files: list[File], n: int) -> None:
        options = (0, FILE_DELETE_ON_CLOSE, 0, FILE_DIRECTORY_FILE)[n % 4]
        level = OPLOCK_BATCH if n % 5 == 0 else 0
        name = f"dir{n % 2}" if options == FILE_DIRECTORY_FILE else f"file{n % 3}"
        frame = channel.frames.create(name, create_options=options, requested_oplock_level=level)
        for response in channel.throw(frame):
            if response.status is NtStatus.SUCCESS and response.header.command == Command.CREATE:
                files.append(channel.file(response))

    def use(self, channel: Channel, files: list[File], n: int) -> None:
        if not files:
            return
        f = files[n % len(files)].frames
        frames: tuple[Callable[[], Frame], ...] = (
            lambda: f.read(100_000 if n % 3 == 0 else 100),
            lambda: f.write(bytes(100_000 if n % 3 == 0 else 100)),
            lambda: f.query_info(FileInfo.ALL),
            lambda: f.query_info(0, info_type=INFO_SECURITY, additional_information=7),
            lambda: f.query_directory(flags=1),
            lambda: f.flush(),
            lambda: f.close(),
            lambda: f.set_info(FileInfo.DISPOSITION, bytes((n % 2,))),
            lambda: f.ioctl(fsctl.SET_SPARSE, b"\1"),
            lambda: f.oplock_break(0),
        )
        channel.throw(frames[n // 7 % len(frames)]())

    def wait(self, channel: Channel, files: list[File], n: int) -> None:
        """For a lock, or a change."""
        if files:
            f = files[n % len(files)].frames
            channel.throw(f.lock((0, 1, EXCLUSIVE_LOCK)) if n % 2 else f.change_notify())

    def pipe(self, channel: Channel, files: list[File], n: int) -> None:
        for response in channel.throw(channel.frames.tree_connect(r"\\server\IPC$")):
            if response.status is not NtStatus.SUCCESS or not response.header.tree_id:
                return
            tree = response.header.tree_id
            for opened in channel.throw(channel.frames.create("srvsvc", tree_id=tree)):
                if opened.status is NtStatus.SUCCESS and opened.header.command == Command.CREATE:
                    f = channel.file(opened).frames
                    f.tree_id = tree
                    channel.throw(f.ioctl(fsctl.PIPE_TRANSCEIVE, b"call"))
                    channel.throw(f.close() if n % 2 else f.tree_disconnect())

    def compound(self, channel: Channel, files: list[File], n: int) -> None:
        related = channel.frames.related()
        last = (related.close, related.tree_disconnect, related.logoff)[
            0 if n % 16 else n // 16 % 3
        ]
        channel.throw(channel.frames.create(f"file{n % 3}"), related.write(b"x"), last())

    def authenticate_again(self, channel: Channel, files: list[File], n: int) -> None:
        side = ntlm.Client("joe", password=PASSWORD if n % 4 else "wrong")
        for response in channel.throw(channel.frames.session_setup(side.negotiate())):
            if response.status is NtStatus.MORE_PROCESSING_REQUIRED:
                token = side.authenticate(response.token())
                channel.throw(channel.frames.session_setup(token))

    def disconnect(self, channel: Channel, files: list[File], n: int) -> None:
        channel.throw(channel.frames.tree_disconnect())

    def log_off(self, channel: Channel, files: list[File], n: int) -> None:
        channel.throw(channel.frames.logoff())

    def lose(self, channel: Channel, files: list[File], n: int) -> None:
        channel.lose()

    def replace(self, channel: Channel, files: list[File], n: int) -> None:
        """A new session that names this one as its previous one."""
        other = Channel(self.engine)
        other.negotiate()
        other.log_on(previous_session_id=channel.frames.session_id)
        other.lose()


Action = Callable[[Actor, Channel, list[File], int], Any]
ENDS: Final[tuple[Action, ...]] = (Actor.disconnect, Actor.log_off, Actor.lose, Actor.replace)
ACTIONS: Final[tuple[Action, ...]] = (
    *[Actor.open] * 12, *[Actor.use] * 24, *[Actor.wait] * 4, *[Actor.pipe] * 2, Actor.compound,
    Actor.authenticate_again,
)  # fmt: skip


def counts() -> tuple[int, int]:
    """Descriptors and threads of this process."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count()


@pytest.fixture
def baseline(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], ThreadedEngine]]:
    """An engine whose end is checked: nothing is left, and it met no bug of its own."""
    monkeypatch.setattr(oplock, "TIMEOUT_S", 0.2)  # nobody answers breaks
    monkeypatch.setattr(clients, "SWEEP_S", 0.1)  # a timer that lives with the connections
    bugs = Bugs()
    made: list[ThreadedEngine] = []

    def start() -> ThreadedEngine:
        made.append(ThreadedEngine(folder, leases=True, multichannel=True, workers=4))
        return made[0]

    before = counts()
    with watching(bugs):
        yield start
        engine = made[0]
        engine.eventually(lambda: not engine.server.connections, "connections stay")
        engine.eventually(lambda: not engine.notify_reader.directories, "directories are watched")
        engine.eventually(lambda: engine.pool.figures().busy == 0, "work goes on")
        engine.eventually(lambda: not engine.timers.pending(), "timers run on")
        engine.assert_idle()
        assert not engine.server.caching.leases.directories
        engine.stop()
    for served in engine.server.shares.values():
        if served.root is not None:
            served.root.close()
    assert not bugs.found, bugs.found[0]
    after = counts()
    assert after[0] <= before[0]
    assert after[1] <= before[1]


@pytest.mark.parametrize("seed", range(4))
def test_everything_may_end_at_any_moment(
    baseline: Callable[[], ThreadedEngine], seed: int
) -> None:
    engine = baseline()
    failures: list[BaseException] = []

    def play(number: int) -> None:
        try:
            for turn in range(3):
                Actor(engine, seed * 100 + number * 10 + turn).play()
        except BaseException as failed:
            failures.append(failed)

    threads = [threading.Thread(target=play, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_a_connection_cut_at_any_byte_leaves_nothing(
    baseline: Callable[[], ThreadedEngine],
) -> None:
    """In the middle of a compound that makes a file and takes a lock."""
    engine = baseline()
    for cut in range(0, 420, 7):
        client = Client(engine)
        client.negotiate()
        client.log_on()
        client.connect()
        related = client.frames.related()
        pdu = client.pack(
            client.frames.create("cut", create_options=FILE_DELETE_ON_CLOSE),
            related.lock((0, 1, EXCLUSIVE_LOCK)),
            related.write(b"data"),
        )
        raw = len(pdu).to_bytes(4, "big") + bytes(pdu)
        client.transport.socket.sendall(raw[:cut])  # type: ignore[attr-defined]
        client.lose()
    assert not (engine.folder / "cut").exists()


def test_what_waits_is_cancelled_by_a_logoff_on_another_channel(
    baseline: Callable[[], ThreadedEngine],
) -> None:
    """A lock, an oplock break, a change: each is answered, or its connection is told no more."""
    engine = baseline()
    actor = Actor(engine, 0)
    one, two, three = actor.connect()
    file = one.open("file")
    one.throw(file.frames.lock((0, 10, EXCLUSIVE_LOCK)))
    other = two.open("file")
    waits = two.throw(other.frames.lock((0, 10, EXCLUSIVE_LOCK)))
    directory = two.open("", create_options=FILE_DIRECTORY_FILE)
    waits += two.throw(directory.frames.change_notify())
    assert [wait.status for wait in waits] == [NtStatus.PENDING] * 2
    assert three.throw(three.frames.logoff())[0].status is NtStatus.SUCCESS
    found: list[Response] = []

    def came() -> bool:
        found.extend(two.receive())
        return len(found) >= 2

    engine.eventually(came, "what waited is not answered")
    # The lock may have been granted in the moment when its holder was closed before its waiter.
    ends = {response.header.command: response.status for response in found}
    assert ends[Command.CHANGE_NOTIFY] is NtStatus.NOTIFY_CLEANUP
    assert ends[Command.LOCK] is not NtStatus.PENDING
    for channel in (one, two, three):
        frame = channel.frames.echo(session_id=0)
        assert channel.throw(frame)[0].status is NtStatus.SUCCESS
        assert channel.throw(file.frames.read(1))[0].status is NtStatus.USER_SESSION_DELETED
        channel.lose()
