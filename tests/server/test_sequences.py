"""Sound requests of several clients in any order: the server keeps its head, and nothing leaks.

Classes A and X of known vulnerabilities: things end while others use them, and ends are ends.
"""

from __future__ import annotations

import gc
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from ksmbd.wire.access import (
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_READ_DATA,
    GENERIC_ALL,
)
from ksmbd.wire.create import OPLOCK_BATCH, OPLOCK_II, OPLOCK_LEASE
from ksmbd.wire.create_context import REQUEST_LEASE, RequestLease
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY, SHARED_LOCK, UNLOCK
from ksmbd.wire.oplock_break import LeaseBreakNotification, OplockBreakNotification
from ksmbd.wire.text import utf16
from tests.support.arena import Bugs
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.fixtures import watching
from tests.support.frames import Frame
from tests.support.replies import Response

NAMES: Final = ("a", "b", "dir", "a")


def lease(n: int) -> bytes:
    return RequestLease(lease_key=bytes((n % 3,)) * 16, lease_state=n // 3 % 8).pack()


class Actor:
    """A client that remembers its opens, and what to do with a number."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.client = ready(engine)
        self.opens: list[File] = []
        self.seen: Counter[str] = Counter()

    def send(self, *frames: Frame) -> list[Response]:
        replies = self.client.send(*frames)
        self.seen.update(reply.status.name for reply in replies)
        return replies

    def file(self, n: int) -> File | None:
        return self.opens[n % len(self.opens)] if self.opens else None

    def open(self, n: int) -> None:
        options = (0, FILE_DIRECTORY_FILE, FILE_DELETE_ON_CLOSE, 0)[n // 4 % 4]
        frame = self.client.frames.create(
            NAMES[n % 4],
            create_options=options,
            create_disposition=n // 16 % 6,
            desired_access=(GENERIC_ALL, FILE_READ_DATA | 0x10000)[n // 96 % 2],
            share_access=(7, 7, 7, 1)[n // 192 % 4],
            requested_oplock_level=(0, OPLOCK_II, OPLOCK_BATCH, OPLOCK_LEASE)[n // 5 % 4],
            contexts=[(REQUEST_LEASE, lease(n))] if n // 5 % 4 == 3 else [],
        )
        (response, *_) = self.send(frame)
        if response.status == 0:
            self.opens.append(self.client.file(response))

    def acknowledge(self, n: int) -> None:
        """Answer every break, rightly or not."""
        breaks, self.client.unsolicited = self.client.unsolicited, []
        self.seen["break"] += len(breaks)
        for told in breaks:
            if told.structure_size == LeaseBreakNotification.STRUCTURE_SIZE:
                key = told.body(LeaseBreakNotification).lease_key
                self.send(self.client.frames.lease_break(key, n % 8))
            else:
                broken = told.body(OplockBreakNotification)
                frames = self.client.frames.on(broken.persistent_id, broken.volatile_id)
                self.send(frames.oplock_break(n % 3))

    def wait(self, n: int) -> None:
        self.engine.advance(n % 40)

    def close(self, n: int) -> None:
        if file := self.file(n):
            self.send(file.frames.close(flags=n % 2))
            if n % 3:
                self.opens.remove(file)

    def write(self, n: int) -> None:
        if file := self.file(n):
            self.send(file.frames.write(b"x" * (n % 50), n))

    def read(self, n: int) -> None:
        if file := self.file(n):
            self.send(file.frames.read(n % 50, n % 20))

    def lock(self, n: int) -> None:
        flags = (EXCLUSIVE_LOCK, SHARED_LOCK, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY, UNLOCK)[n % 4]
        if file := self.file(n // 4):
            self.send(file.frames.lock((n // 16 % 5, 5, flags)))

    def notify(self, n: int) -> None:
        if file := self.file(n):
            self.send(file.frames.change_notify())

    def cancel(self, n: int) -> None:
        waiting = sorted(self.client.connection.async_commands) or [0]
        self.send(self.client.frames.cancel(async_id=waiting[n % len(waiting)]))

    def list(self, n: int) -> None:
        if file := self.file(n):
            self.send(file.frames.query_directory("*", flags=n % 4))

    def remove(self, n: int) -> None:
        if file := self.file(n):
            self.send(file.frames.set_info(FileInfo.DISPOSITION, bytes((n % 2,))))

    def rename(self, n: int) -> None:
        name = utf16(NAMES[n // 8 % 4])
        data = bytes((n % 2,)) + bytes(15) + len(name).to_bytes(4, "little") + name
        if file := self.file(n):
            self.send(file.frames.set_info(FileInfo.RENAME, data))

    def compound(self, n: int) -> None:
        related = self.client.frames.related()
        ends = (related.close, related.tree_disconnect, related.logoff, related.read)
        frames = [self.client.frames.create(NAMES[n % 4]), related.write(b"x"), ends[n % 4]()]
        self.send(*frames, related.close())
        self.recover()

    def leave(self, n: int) -> None:
        """End something larger than an open, one way or the other."""
        frames = self.client.frames
        if n % 3 == 0:
            self.send(frames.tree_disconnect())
        elif n % 3 == 1:
            self.send(frames.logoff())
        else:
            self.client.lose()
        if n % 2:
            self.recover()

    def recover(self) -> None:
        """Be a client with a session and a tree again."""
        session = self.engine.server.sessions.get(self.client.frames.session_id)
        if session is None or self.client.frames.tree_id not in session.trees:
            self.client.lose()
            self.client = ready(self.engine)
            self.opens = []

    def renew(self, n: int) -> None:
        """Log on anew, replacing the session from another connection."""
        other = Client(self.engine)
        other.negotiate()
        other.log_on(previous_session_id=self.client.frames.session_id)
        other.connect()
        self.client.receive()
        self.client.lose()
        self.client, self.opens = other, []


ACTIONS: Final[tuple[Callable[[Actor, int], None], ...]] = (
    *[Actor.open] * 10, *[Actor.close] * 4, *[Actor.lock] * 6, *[Actor.write] * 3,
    Actor.read, Actor.notify, Actor.notify, Actor.cancel, Actor.list, Actor.remove,
    Actor.rename, Actor.compound, Actor.acknowledge, Actor.acknowledge, Actor.wait,
)  # fmt: skip
ENDS: Final = (Actor.leave, Actor.renew)  # each about once in thirty steps


def warm_up(engine: Engine) -> None:
    """Have the server open what it opens once."""
    client = ready(engine)
    client.send(client.open("", create_options=FILE_DIRECTORY_FILE).frames.change_notify())
    client.lose()


def count_descriptors() -> int:
    gc.collect()  # an earlier test's servers have theirs open as long as they are there
    return len(os.listdir("/proc/self/fd"))


def play(engine: Engine, chance: random.Random, steps: int) -> Counter[str]:
    """What came of it: statuses and breaks."""
    actors = [Actor(engine) for _ in range(3)]
    for _ in range(steps):
        actor = chance.choice(actors)
        if actor.client.closed:
            actor.recover()
        action = chance.choice(ENDS if chance.random() < 0.03 else ACTIONS)
        action(actor, chance.randrange(10_000))
        for other in actors:
            other.client.receive()
    for actor in actors:
        actor.client.lose()
    return sum((actor.seen for actor in actors), Counter())


@pytest.mark.parametrize("seed", range(8))
def test_any_sequence_leaves_nothing_behind(folder: Path, seed: int) -> None:
    engine = Engine(folder, leases=True)
    warm_up(engine)
    before = count_descriptors()
    bugs = Bugs()
    with watching(bugs):
        seen = play(engine, random.Random(seed), 500)
    assert not bugs.found
    engine.assert_idle()
    assert count_descriptors() <= before
    for expected in ("SUCCESS", "SHARING_VIOLATION", "FILE_CLOSED"):
        assert seen[expected], f"the sequence is too tame: {seen}"


@pytest.mark.parametrize("dialect", [0x0202, 0x0311])
def test_a_thousand_clients_come_and_go(folder: Path, dialect: int) -> None:
    """Class P: whatever is counted comes back to where it was."""
    engine = Engine(folder)
    ready(engine).lose()
    before = count_descriptors()
    for number in range(300):
        client = Client(engine)
        if number % 3:
            client.negotiate(dialect)
        if number % 3 == 2:
            client.log_on()
            client.connect()
            client.open("file")
        client.lose()
    engine.assert_idle()
    assert count_descriptors() <= before
