"""Clients that cache as hard as their leases allow, at random, against a model of the files.

Each client may be late in hearing of a break, but never hears in another order than was sent.
What it reads must be the newest there is, unless a break that says otherwise is on its way to it;
and nobody ever sees anything older than he has seen before.  That holds for what is written,
overwritten and cut, for what another has locked, and for the name itself, which may come to mean
another file by a rename or after a deletion: who keeps a file open for nobody (HANDLE) and opens
it again by his own must get the file that has the name now.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import Final

import pytest

from ksmbd.state.open import Open
from ksmbd.wire import create_context as wire
from ksmbd.wire import file_info
from ksmbd.wire.access import FILE_CREATE, FILE_CREATED, FILE_OPENED, FILE_OVERWRITE_IF
from ksmbd.wire.create import OPLOCK_LEASE, CreateResponse
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.header import UNSOLICITED
from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY, UNLOCK
from ksmbd.wire.negotiate import CAP_DIRECTORY_LEASING
from ksmbd.wire.oplock_break import ACK_REQUIRED, LeaseBreakNotification
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.support.client import Client
from tests.support.engine import Engine
from tests.support.frames import Frame, FrameFactory
from tests.support.mountd import PASSWORD
from tests.support.replies import Response, split

SUCCESS = NtStatus.SUCCESS
CONFLICT = NtStatus.FILE_LOCK_CONFLICT
READ, HANDLE, WRITE = wire.LEASE_READ, wire.LEASE_HANDLE, wire.LEASE_WRITE
LEVELS = (0, 1, 3, 5, 7)
CLIENTS = (2, 3, 8)  # few are alone with the file more often, and may write into their caches
STEPS = 1200
# what two clients, who are seldom in each other's way, come to do
USUAL = (
    "opened by its own",
    "read from a cache",
    "written into a cache",
    "locked",
    "overwrite SUCCESS",
    "replace SUCCESS",
    "delete SUCCESS",
    "cut SUCCESS",
)
LENGTH = 8
NAME = "file"
OPENS: Final = ("open", "overwrite")  # they need no file to be open; what waits may be any
MEANWHILE: Final = ("read", "read", "read", "write", "write", "cut", "lock", "close", "close")
RARE: Final = ("replace", "replace", "delete", "delete_posix", "delete_posix")


@dataclass
class Node:
    """A file as it should be: every content it ever had, the newest last."""

    values: list[bytes] = field(default_factory=lambda: [b""])
    locker: Cacher | None = None

    @property
    def newest(self) -> bytes:
        return self.values[-1]

    def age(self, value: bytes, since: int) -> int:
        """When it had this content, not before *since*.  ValueError if it never had."""
        return self.values.index(value, since)


@dataclass
class World:
    """The files by what the server knows them by; NAME is that of one of them, or of none."""

    engine: Engine
    random: Random
    nodes: dict[tuple[int, int], Node] = field(default_factory=dict)
    cachers: list[Cacher] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def new_value(self) -> bytes:
        return b"%08d" % self.random.randrange(10**LENGTH)

    def named(self) -> Node | None:
        """The file that has the name now."""
        try:
            st = (self.engine.folder / NAME).stat()
        except FileNotFoundError:
            return None
        return self.nodes[st.st_dev, st.st_ino]

    def of(self, open: Open, action: int) -> Node:
        assert open.inode is not None
        if action == FILE_CREATED:
            self.nodes[open.inode.key] = Node()
        node = self.nodes[open.inode.key]
        if action not in (FILE_CREATED, FILE_OPENED):
            node.values.append(b"")
        return node

    def settle(self) -> None:
        """What the server has sent is on its way."""
        for cacher in self.cachers:
            cacher.arrive()


@dataclass
class Request:
    """One that may have to wait."""

    message_id: int
    kind: str
    value: bytes = b""
    node: Node | None = None  # of an open: once the server has answered


class Cacher:
    """A client with one open at a time, its lease, and what it remembers of the file."""

    def __init__(self, world: World, number: int) -> None:
        self.engine = world.engine
        self.world = world
        self.client = Client(self.engine)
        guid = bytes([number + 1]) * 16
        self.client.negotiate(client_guid=guid, capabilities=CAP_DIRECTORY_LEASING)
        self.client.log_on("joe", PASSWORD)
        self.client.connect()
        self.number = number
        self.keys = 0
        self.key = b""
        self.file: FrameFactory | None = None
        self.node = Node()
        self.user = False  # somebody uses the file; else it is kept open for nobody
        self.level = 0
        self.cache: bytes | None = None
        self.dirty = False
        self.newest_seen = 0
        self.inbox: deque[Response] = deque()  # on its way, in order
        self.replies: dict[int, Response] = {}  # heard, but not by who asked
        self.busy: Request | None = None

    # -- the wire ------------------------------------------------------------------------

    def arrive(self) -> None:
        """What waited to be done counts from the moment the server says so."""
        for pdu in self.client.transport.take():
            for response in split(pdu):
                busy, header = self.busy, response.header
                if busy is not None and busy.message_id == header.message_id:
                    self.answered(busy, response)
                self.inbox.append(response)

    def answered(self, busy: Request, response: Response) -> None:
        if response.status is not SUCCESS:
            return
        if busy.kind in OPENS:
            body = response.body(CreateResponse)
            open = self.engine.server.opens.find(body.volatile_id)
            assert open is not None
            busy.node = self.world.of(open, body.create_action)
        elif busy.kind in ("write", "cut"):
            self.node.values.append(busy.value)

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

    @property
    def on(self) -> FrameFactory:
        assert self.file is not None
        return self.file

    # -- caching -------------------------------------------------------------------------

    def broken(self, notice: LeaseBreakNotification) -> None:
        if notice.lease_key != self.key:
            return  # of an open that is closed
        if self.dirty and not notice.new_lease_state & WRITE:
            self.flush()
        if not notice.new_lease_state & READ:
            self.cache = None
        self.level = notice.new_lease_state
        if self.file is not None and not self.user and not self.level & HANDLE:
            self.really_close()  # which is an answer, too
        elif notice.flags & ACK_REQUIRED:
            frame = self.client.frames.lease_break(self.key, notice.new_lease_state)
            assert self.call(frame).status in (
                SUCCESS,
                NtStatus.OBJECT_NAME_NOT_FOUND,  # the last open was closed meanwhile
            )

    def flush(self) -> None:
        assert self.cache is not None
        self.dirty = False
        assert self.call(self.on.write(self.cache)).status is SUCCESS

    def really_close(self) -> None:
        self.user = True  # what we hear meanwhile we answer, and do not close it once more
        if self.dirty:
            self.flush()
        file, self.file = self.on, None
        self.key, self.level, self.cache, self.user = b"", 0, None, False
        if self.node.locker is self:
            self.node.locker = None
        assert self.call(file.close()).status is SUCCESS

    # -- what a client does --------------------------------------------------------------

    def open(self) -> None:
        """By what is kept open, if there is something; else by asking."""
        if self.file is None:
            return self.create("open")
        if not self.inbox:
            assert self.node is self.world.named(), "the name is another file's, and nobody says so"
            self.world.done["opened by its own"] += 1
        self.user = True
        return None

    def overwrite(self) -> None:
        if self.file is not None:
            self.really_close()
        self.create("overwrite", create_disposition=FILE_OVERWRITE_IF)

    def create(self, kind: str, **changes: int) -> None:
        level = self.world.random.choice(LEVELS)
        self.keys += 1
        self.key = struct.pack("<QQ", self.number, self.keys)
        lease = wire.RequestLeaseV2(lease_key=self.key, lease_state=level)
        frame = self.client.frames.create(
            NAME,
            contexts=[(wire.REQUEST_LEASE, lease.pack())],
            requested_oplock_level=OPLOCK_LEASE,
            **changes,
        )
        self.ask(frame, kind)

    def close(self) -> None:
        """The user is done with it; with HANDLE and no lock it may be kept open for nobody."""
        if self.node.locker is self or not self.level & HANDLE:
            self.really_close()
        else:
            self.user = False

    def write(self) -> None:
        value = self.world.new_value()
        if self.level & WRITE:
            self.cache, self.dirty = value, True
            self.node.values.append(value)
            self.newest_seen = len(self.node.values) - 1
            self.world.done["written into a cache"] += 1
        else:
            self.ask(self.on.write(value), "write", value)

    def cut(self) -> None:
        if self.dirty:
            self.flush()
        length = self.world.random.randrange(LENGTH + 1)
        value = self.node.newest[:length].ljust(length, b"\0")
        frame = self.on.set_info(FileInfo.END_OF_FILE, struct.pack("<Q", length))
        self.ask(frame, "cut", value)

    def read(self) -> None:
        node = self.node
        if self.level & READ and self.cache is not None:
            value, told, newest = self.cache, not self.inbox, node.newest
            shut_out = node.locker not in (None, self)
            assert not (told and shut_out), "read from a cache what another has locked"
            self.world.done["read from a cache"] += 1
        else:
            newest, locker = node.newest, node.locker
            response = self.call(self.on.read(LENGTH))
            if locker not in (None, self):
                assert response.status is CONFLICT or not newest, response
                return
            empty = response.status is NtStatus.END_OF_FILE
            assert empty or response.status is SUCCESS
            value, told = b"" if empty else bytes(response.data), True
            if self.file is None:
                return  # it was taken away while we read
            self.cache = value if self.level & READ else None
        assert not told or value == newest, "not the newest, and nobody has said so"
        assert value in node.values[self.newest_seen :], "older than what was seen before"
        self.newest_seen = node.age(value, self.newest_seen)

    def lock(self) -> None:
        """Lock the whole of it against all others, or end that."""
        if self.dirty:
            self.flush()
        if self.node.locker is self:
            assert self.call(self.on.lock((0, LENGTH, UNLOCK))).status is SUCCESS
            self.node.locker = None
            return
        frame = self.on.lock((0, LENGTH, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY))
        locker = self.node.locker
        status = self.call(frame).status
        assert status is (SUCCESS if locker is None else NtStatus.LOCK_NOT_GRANTED)
        if status is SUCCESS:
            self.node.locker = self
            self.world.done["locked"] += 1

    def replace(self) -> None:
        """Give the name to another file, which has been written before; the old one lives on."""
        self.really_close()
        self.node, self.newest_seen = Node(), 0
        value = self.world.new_value()
        frame = self.client.frames.create(f"new{self.number}", create_disposition=FILE_CREATE)
        response = self.call(frame)
        body = response.body(CreateResponse)
        self.file = self.client.frames.on(body.persistent_id, body.volatile_id)
        open = self.engine.server.opens.find(body.volatile_id)
        assert open is not None
        self.node, self.user = self.world.of(open, FILE_CREATED), True
        assert self.call(self.on.write(value)).status is SUCCESS
        self.node.values.append(value)
        raw = utf16(NAME)
        rename = file_info.FileRenameInformationEx(
            flags=file_info.REPLACE_IF_EXISTS | file_info.POSIX_SEMANTICS,
            file_name_length=len(raw),
        )
        self.ask(self.on.set_info(FileInfo.RENAME_EX, rename.pack() + raw), "replace")

    def delete(self) -> None:
        """Gone when the last one has closed it, and not to be opened until then."""
        self.dispose(file_info.DISPOSITION_DELETE)

    def delete_posix(self) -> None:
        """Gone when we close it."""
        self.dispose(file_info.DISPOSITION_DELETE | file_info.DISPOSITION_POSIX_SEMANTICS)

    def dispose(self, flags: int) -> None:
        if self.dirty:
            self.flush()
        info = file_info.FileDispositionInformationEx(flags=flags)
        self.ask(self.on.set_info(FileInfo.DISPOSITION_EX, info.pack()), "delete")

    def done(self, response: Response) -> None:
        """The reply of what waited, or did not have to."""
        assert self.busy is not None
        done, self.busy = self.busy, None
        self.world.done[f"{done.kind} {response.status.name}"] += 1
        if done.kind in OPENS:
            if response.status is SUCCESS:
                self.opened(done, response)
            else:
                assert response.status is NtStatus.DELETE_PENDING
        elif done.kind in ("write", "cut"):
            shut_out = response.status is CONFLICT
            assert shut_out or response.status is SUCCESS
            if not shut_out and self.file is not None:
                self.newest_seen = self.node.age(done.value, self.newest_seen)
                self.cache = None
        else:
            assert response.status is SUCCESS, response
            if done.kind == "delete":
                self.really_close()

    def opened(self, done: Request, response: Response) -> None:
        body = response.body(CreateResponse)
        assert done.node is not None
        if done.node is not self.node:
            self.node, self.newest_seen = done.node, 0
        self.file, self.user = self.client.frames.on(body.persistent_id, body.volatile_id), True
        context = response.contexts()[wire.REQUEST_LEASE]
        self.level = wire.RequestLeaseV2.unpack(context).lease_state

    def act(self) -> None:
        """Whatever a client may do now; to hear what has come is one of the things."""
        random = self.world.random
        if self.busy is not None or (self.inbox and random.random() < 0.4):
            self.hear_one()
        elif not self.user:
            (self.overwrite if random.random() < 0.1 else self.open)()
        else:
            getattr(self, random.choice(RARE if random.random() < 0.05 else MEANWHILE))()


def come_to_an_end(world: World) -> None:
    """Everybody hears what is on its way, and closes what he has open."""
    for _ in range(STEPS):
        for each in world.cachers:
            each.hear_one()
            if each.file is not None and each.busy is None and not each.inbox:
                each.really_close()
    assert not any(each.busy or each.inbox or each.file for each in world.cachers)


@pytest.mark.parametrize("seed", range(15))
def test_no_read_returns_what_no_order_explains(engine: Engine, seed: int) -> None:
    world = World(engine, Random(seed))
    world.cachers += [Cacher(world, number) for number in range(CLIENTS[seed % 3])]
    for _ in range(STEPS):
        world.random.choice(world.cachers).act()
    come_to_an_end(world)
    left = world.named()
    assert left is None or (engine.folder / NAME).read_bytes() == left.newest
    never = [kind for kind in USUAL if not world.done[kind]]
    assert not never or len(world.cachers) > 2, f"never: {never}"
    for each in world.cachers:
        each.client.lose()
    engine.assert_idle()
