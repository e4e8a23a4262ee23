"""Clients that cache as hard as their leases allow, at random, against a model of the file.

Each client may be late in hearing of a break, but never hears in another order than was sent.  What
it reads must be the newest there is, unless a break that says otherwise is on its way to it; and
nobody ever sees anything older than he has seen before.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random

import pytest

from ksmbd.wire import create_context as wire
from ksmbd.wire.create import OPLOCK_LEASE, CreateResponse
from ksmbd.wire.header import UNSOLICITED
from ksmbd.wire.negotiate import CAP_DIRECTORY_LEASING
from ksmbd.wire.oplock_break import ACK_REQUIRED, LeaseBreakNotification
from ksmbd.wire.status import NtStatus
from tests.support.client import Client
from tests.support.engine import Engine
from tests.support.frames import Frame, FrameFactory
from tests.support.mountd import PASSWORD
from tests.support.replies import Response, split

SUCCESS = NtStatus.SUCCESS
READ, WRITE = wire.LEASE_READ, wire.LEASE_WRITE
LEVELS = (0, 1, 3, 5, 7)
CLIENTS = (2, 3, 8)  # few are alone with the file more often, and may write into their caches
STEPS = 500


@dataclass
class World:
    """The file as it should be: every value that was ever written, the newest last."""

    random: Random
    values: list[bytes] = field(default_factory=lambda: [b"%08d" % 0])
    cachers: list[Cacher] = field(default_factory=list)

    def new_value(self) -> bytes:
        return b"%08d" % self.random.randrange(10**8)

    def commit(self, value: bytes) -> None:
        self.values.append(value)

    def age(self, value: bytes) -> int:
        return len(self.values) - 1 - self.values[::-1].index(value)

    def settle(self) -> None:
        """What the server has sent is on its way."""
        for cacher in self.cachers:
            cacher.arrive()


@dataclass
class Request:
    """One that may have to wait."""

    message_id: int
    kind: str
    value: bytes


class Cacher:
    """A client with one open at a time, its lease, and what it remembers of the file."""

    def __init__(self, engine: Engine, world: World, number: int) -> None:
        self.engine = engine
        self.world = world
        self.client = Client(engine)
        guid = bytes([number + 1]) * 16
        self.client.negotiate(client_guid=guid, capabilities=CAP_DIRECTORY_LEASING)
        self.client.log_on("joe", PASSWORD)
        self.client.connect()
        self.key = bytes([number + 1]) * 16
        self.file: FrameFactory | None = None
        self.level = 0
        self.cache: bytes | None = None
        self.dirty = False
        self.newest_seen = 0
        self.inbox: deque[Response] = deque()  # on its way, in order
        self.replies: dict[int, Response] = {}  # heard, but not by who asked
        self.busy: Request | None = None

    # -- the wire ------------------------------------------------------------------------

    def arrive(self) -> None:
        """A value that waited to be written counts from the moment the server says so."""
        for pdu in self.client.transport.take():
            for response in split(pdu):
                busy, header = self.busy, response.header
                ours = busy is not None and busy.message_id == header.message_id
                if busy and ours and busy.kind == "write" and response.status is SUCCESS:
                    self.world.commit(busy.value)
                self.inbox.append(response)

    def send(self, frame: Frame) -> None:
        self.engine.receive(self.client.connection, self.client.pack(frame))
        self.world.settle()

    def ask(self, frame: Frame, kind: str, value: bytes = b"") -> None:
        pdu = self.client.pack(frame)
        self.busy = Request(frame.header.message_id, kind, value)
        self.engine.receive(self.client.connection, pdu)
        self.world.settle()

    def call(self, frame: Frame) -> Response:
        """A request that never waits; what was sent before its reply is heard before it."""
        self.send(frame)
        while frame.header.message_id not in self.replies:
            self.hear_one()
        return self.replies.pop(frame.header.message_id)

    def hear_one(self) -> None:
        if not self.inbox:
            return
        response = self.inbox.popleft()
        message_id = response.header.message_id
        if message_id == UNSOLICITED:
            self.broken(response.body(LeaseBreakNotification))
        elif self.busy is None or message_id != self.busy.message_id:
            self.replies[message_id] = response
        elif response.status is not NtStatus.PENDING:
            self.done(response)

    # -- caching -------------------------------------------------------------------------

    def broken(self, notice: LeaseBreakNotification) -> None:
        if self.dirty and not notice.new_lease_state & WRITE:
            self.flush()
        if not notice.new_lease_state & READ:
            self.cache = None
        self.level = notice.new_lease_state
        if notice.flags & ACK_REQUIRED:
            frame = self.client.frames.lease_break(self.key, notice.new_lease_state)
            assert self.call(frame).status in (
                SUCCESS,
                NtStatus.OBJECT_NAME_NOT_FOUND,  # the last open was closed meanwhile
            )

    def flush(self) -> None:
        assert self.file is not None
        assert self.cache is not None
        self.dirty = False
        assert self.call(self.file.write(self.cache)).status is SUCCESS

    def open(self) -> None:
        level = self.world.random.choice(LEVELS)
        lease = wire.RequestLeaseV2(lease_key=self.key, lease_state=level)
        frame = self.client.frames.create(
            "file",
            contexts=[(wire.REQUEST_LEASE, lease.pack())],
            requested_oplock_level=OPLOCK_LEASE,
        )
        self.ask(frame, "open")

    def close(self) -> None:
        if self.dirty:
            self.flush()
        assert self.file is not None
        file, self.file = self.file, None
        self.level, self.cache = 0, None
        assert self.call(file.close()).status is SUCCESS

    def write(self) -> None:
        assert self.file is not None
        value = self.world.new_value()
        if self.level & WRITE:
            self.cache, self.dirty = value, True
            self.world.commit(value)
            self.newest_seen = self.world.age(value)
        else:
            self.ask(self.file.write(value), "write", value)

    def read(self) -> None:
        assert self.file is not None
        if self.level & READ and self.cache is not None:
            value, told = self.cache, not self.inbox
            newest = self.world.values[-1]
        else:
            newest = self.world.values[-1]
            response = self.call(self.file.read(8))
            assert response.status is SUCCESS
            value, told = bytes(response.data), True
            self.cache = value if self.level & READ else None
        assert value in self.world.values
        age = self.world.age(value)
        assert age >= self.newest_seen, "older than what was seen before"
        assert not told or value == newest, "not the newest, and nobody has said so"
        self.newest_seen = age

    def done(self, response: Response) -> None:
        """The reply of what waited, or did not have to."""
        assert response.status is SUCCESS
        assert self.busy is not None
        done, self.busy = self.busy, None
        if done.kind == "open":
            body = response.body(CreateResponse)
            self.file = self.client.frames.on(body.persistent_id, body.volatile_id)
            context = response.contexts()[wire.REQUEST_LEASE]
            self.level = wire.RequestLeaseV2.unpack(context).lease_state
        else:
            self.newest_seen = max(self.newest_seen, self.world.age(done.value))
            self.cache = done.value if self.level & READ else None

    def act(self) -> None:
        """Whatever a client may do now; to hear what has come is one of the things."""
        random = self.world.random
        if self.busy is not None or (self.inbox and random.random() < 0.4):
            self.hear_one()
        elif self.file is None:
            self.open()
        else:
            random.choice((self.read, self.read, self.read, self.write, self.write, self.close))()


@pytest.mark.parametrize("seed", range(12))
def test_no_read_returns_what_no_order_explains(engine: Engine, seed: int) -> None:
    world = World(Random(seed))
    engine.make_file("file", world.values[0])
    cachers = world.cachers
    cachers += [Cacher(engine, world, number) for number in range(CLIENTS[seed % 3])]
    for _ in range(STEPS):
        world.random.choice(cachers).act()
    for _ in range(STEPS):  # everything comes to its end
        for each in cachers:
            each.hear_one()
            if each.file is not None and each.busy is None and not each.inbox:
                each.close()
    assert not any(each.busy or each.inbox or each.file for each in cachers)
    assert (engine.folder / "file").read_bytes() == world.values[-1]
    for each in cachers:
        each.client.lose()
    engine.assert_idle()
