"""Where mutated requests are thrown at the server, and what must hold after each of them.

The reply is a whole PDU or the connection is dropped; the server meets no bug of its own; it
takes no time to speak of; and a second client, the witness, goes on working.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from ksmbd.state.durable import V1_S
from ksmbd.vfs import handle, syscalls
from ksmbd.wire import create_context, fsctl
from ksmbd.wire.access import FILE_DIRECTORY_FILE, FILE_OPEN
from ksmbd.wire.create import OPLOCK_LEASE
from ksmbd.wire.file_chains import pack_full_eas
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.header import NO_FILE, Command
from ksmbd.wire.ipc import SHARE_ACL_XATTR, SHARE_STREAMS
from ksmbd.wire.query_info import INFO_FILESYSTEM, INFO_SECURITY
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.auth import client as ntlm
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.fixtures import watching
from tests.support.frames import Frame
from tests.support.mountd import DISK, share
from tests.support.replies import Response

SLOW_S: Final = 3.0  # of processor time; no single request takes as long
MOST_SPACE: Final = 64 << 20  # bytes that a test may reserve on the disk

Make = Callable[["Subject"], Frame]


class Subject:
    """The client whose requests are mutated, with one open of each kind."""

    def __init__(self, engine: Engine, dialect: int) -> None:
        self.client = client = Client(engine)
        client.frames.credits = 200
        client.negotiate(dialect)
        client.log_on()
        client.connect("IPC$")
        self.pipe = client.open("srvsvc")
        client.connect()
        self.file = client.open("subject")
        self.directory = client.open(
            "directory", create_options=FILE_DIRECTORY_FILE, create_disposition=FILE_OPEN
        )

    @property
    def opens(self) -> tuple[File, File, File]:
        return self.pipe, self.file, self.directory


def _eas(*names: str) -> bytes:
    packed, _ = pack_full_eas([(name, name.encode()) for name in names])
    return packed


def _contexts() -> list[tuple[bytes, bytes]]:
    lease = create_context.RequestLeaseV2(lease_key=bytes(range(16)), lease_state=7)
    durable = create_context.DurableHandleRequestV2(timeout=0, flags=0, create_guid=bytes(16))
    return [
        (create_context.QUERY_MAXIMAL_ACCESS, bytes(8)),
        (create_context.QUERY_ON_DISK_ID, b""),
        (create_context.REQUEST_LEASE, lease.pack()),
        (create_context.DURABLE_HANDLE_REQUEST_V2, durable.pack()),
        (create_context.ALLOCATION_SIZE, (4096).to_bytes(8, "little")),
        (create_context.EA_BUFFER, _eas("ONE", "TWO")),
        (create_context.AAPL, create_context.AaplQuery(request_bitmap=7).pack()),
    ]


def _rename() -> bytes:
    name = utf16("renamed")
    return bytes(16) + len(name).to_bytes(4, "little") + name


def _authenticate(subject: Subject) -> Frame:
    """The second leg of a log-on, whose first leg is made for it."""
    client, side = subject.client, ntlm.Client()
    first = client.call(client.frames.session_setup(side.negotiate(), session_id=0))
    session_id = first.header.session_id
    return client.frames.session_setup(side.authenticate(first.token()), session_id=session_id)


def _any(frame: Frame) -> Frame:
    """As a request about no file."""
    return frame.set(persistent_id=NO_FILE, volatile_id=NO_FILE)


# One valid request of every kind; each is mutated in every way there is.
REQUESTS: Final[dict[str, Make]] = {
    "negotiate": lambda s: s.client.frames.negotiate(),
    "session_setup": lambda s: s.client.frames.session_setup(ntlm.Client().negotiate()),
    "log_on": lambda s: s.client.frames.session_setup(ntlm.Client().negotiate(), session_id=0),
    "authenticate": _authenticate,
    "logoff": lambda s: s.client.frames.logoff(),
    "tree_connect": lambda s: s.client.frames.tree_connect(),
    "tree_disconnect": lambda s: s.client.frames.tree_disconnect(),
    "create": lambda s: s.client.frames.create(
        "new", contexts=_contexts(), requested_oplock_level=OPLOCK_LEASE
    ),
    "create_stream": lambda s: s.client.frames.create("new:stream:$DATA"),
    "create_oplock": lambda s: s.client.frames.create("other", requested_oplock_level=9),
    "create_pipe": lambda s: s.client.frames.open("srvsvc", tree_id=1),
    "close": lambda s: s.file.frames.close(flags=1),
    "flush": lambda s: s.file.frames.flush(),
    "read": lambda s: s.file.frames.read(100),
    "read_pipe": lambda s: s.pipe.frames.read(100),
    "write": lambda s: s.file.frames.write(b"some data to write"),
    "write_pipe": lambda s: s.pipe.frames.write(b"some data to write"),
    "lock": lambda s: s.file.frames.lock((0, 10, 0x12), (20, 10, 0x11)),
    "unlock": lambda s: s.file.frames.lock((0, 10, 4)),
    "validate": lambda s: _any(s.file.frames.ioctl(fsctl.VALIDATE_NEGOTIATE_INFO, bytes(26))),
    "transceive": lambda s: s.pipe.frames.ioctl(fsctl.PIPE_TRANSCEIVE, b"request"),
    "copychunk": lambda s: s.file.frames.ioctl(fsctl.SRV_COPYCHUNK, bytes(56)),
    "sparse": lambda s: s.file.frames.ioctl(fsctl.SET_SPARSE, b"\1"),
    "zero": lambda s: s.file.frames.ioctl(fsctl.SET_ZERO_DATA, bytes(16)),
    "ranges": lambda s: s.file.frames.ioctl(fsctl.QUERY_ALLOCATED_RANGES, bytes(16)),
    "echo": lambda s: s.client.frames.echo(),
    "query_directory": lambda s: s.directory.frames.query_directory("*", flags=1),
    "change_notify": lambda s: s.directory.frames.change_notify(),
    "query_all": lambda s: s.file.frames.query_info(FileInfo.ALL),
    "query_eas": lambda s: s.file.frames.query_info(
        FileInfo.FULL_EA, b"\x0c\0\0\0\3ONE\0\0\0\0\0\0\0\0\3TWO\0"
    ),
    "query_volume": lambda s: s.file.frames.query_info(1, info_type=INFO_FILESYSTEM),
    "query_security": lambda s: s.file.frames.query_info(
        0, info_type=INFO_SECURITY, additional_information=7
    ),
    "set_basic": lambda s: s.file.frames.set_info(FileInfo.BASIC, bytes(40)),
    "set_rename": lambda s: s.file.frames.set_info(FileInfo.RENAME, _rename()),
    "set_eas": lambda s: s.file.frames.set_info(FileInfo.FULL_EA, _eas("ONE", "TWO")),
    "set_size": lambda s: s.file.frames.set_info(FileInfo.END_OF_FILE, bytes(8)),
    "set_allocation": lambda s: s.file.frames.set_info(FileInfo.ALLOCATION, bytes(8)),
    "set_security": lambda s: s.file.frames.set_info(
        0, bytes.fromhex(DESCRIPTOR), info_type=INFO_SECURITY, additional_information=4
    ),
    "oplock_break": lambda s: s.file.frames.oplock_break(),
    "lease_break": lambda s: s.client.frames.lease_break(),
    "cancel": lambda s: s.client.frames.cancel(message_id=s.client.next_id - 1),
}
# Everyone has every right: a self-relative descriptor with a DACL of one ACE.
DESCRIPTOR: Final = (
    "01000480 00000000 00000000 00000000 14000000"
    "02001c00 01000000 00001400 ff011f00 010100000000000100000000"
)


class Bugs(logging.Handler):
    """What the server says about its own bugs."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.found.append(logging.Formatter().format(record))


class Arena:
    """An engine with a subject, replaced when it is dropped, and a witness."""

    def __init__(self, engine: Engine, bugs: Bugs, dialect: int = 0x0302) -> None:
        self.engine = engine
        self.dialect = dialect
        self._bugs = bugs
        engine.make_file("witness", b"seen")
        engine.make_directory("directory")
        engine.make_file("directory/inside")
        self.witness = ready(engine, user="jane")
        self._seen = self.witness.open("witness", desired_access=0x120089)
        self.subject = Subject(engine, dialect)
        self.thrown = 0
        self.statuses: Counter[NtStatus] = Counter()

    def renew(self) -> Subject:
        """A subject in good shape: the last one's mutations may have cost it something."""
        if not self.subject.client.closed:
            self.subject.client.lose()
        self.subject = Subject(self.engine, self.dialect)
        return self.subject

    def throw_frame(self, frame: Frame, what: str) -> None:
        """A request, numbered and signed as its session wants it; NEGOTIATE by a new client."""
        if frame.header.command != Command.NEGOTIATE:
            self.throw(self.subject.client.pack(frame), what)
            return
        client = Client(self.engine)
        self.throw(client.pack(frame), what, client)
        client.lose()

    def throw(self, pdu: bytes | bytearray, what: str, client: Client | None = None) -> None:
        """Send the subject's *pdu* and see that everything is well; *what* names it."""
        client = client or self.subject.client
        start = time.process_time()  # how long it takes says more of the machine
        try:
            responses = client.raw(pdu)
        except Exception as failed:
            raise AssertionError(f"{what}: {failed!r}\n{pdu.hex()}") from failed
        assert time.process_time() - start < SLOW_S, f"{what} is slow\n{pdu.hex()}"
        assert not self._bugs.found, f"{what}\n{self._bugs.found}\n{pdu.hex()}"
        if not responses and not client.closed:
            held_back = client.connection.requests or pdu[12] == Command.CANCEL
            assert held_back, f"{what}: no answer\n{pdu.hex()}"
        response = self.witness.call(self._seen.frames.read(4))
        assert response.status is NtStatus.SUCCESS, f"{what} harms the witness: {response}"
        assert response.data == b"seen", f"{what} changes the witness's file"
        self.statuses.update(response.status for response in responses)
        self.thrown += 1
        ended = self.subject.client.frames.session_id not in self.engine.server.sessions
        if self.subject.client.closed or ended or self._used_up(responses):
            self.renew()

    def _used_up(self, responses: list[Response]) -> bool:
        """Whether the subject lost something that its requests need."""
        if len(self.engine.server.opens) < 4 or len(self.engine.server.sessions) > 8:
            return True
        return self.subject.client.credits < 100 or any(
            response.header.command == Command.TREE_DISCONNECT
            and response.status is NtStatus.SUCCESS
            for response in responses
        )

    def end(self) -> None:
        """Nothing is left of it all."""
        self.subject.client.lose()
        self.witness.lose()
        self.engine.advance(V1_S)  # what is durable has waited in vain
        self.engine.assert_idle()


@contextmanager
def arena(folder: Path, monkeypatch: pytest.MonkeyPatch, dialect: int = 0x0302) -> Iterator[Arena]:
    """An arena that is checked for leaks when it ends."""

    def fallocate(fd: int, offset: int, length: int) -> None:
        if offset + length > MOST_SPACE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        syscalls.fallocate(fd, offset, length)

    monkeypatch.setattr(handle, "fallocate", fallocate)
    bugs = Bugs()
    descriptors = len(os.listdir("/proc/self/fd"))
    with watching(bugs):
        every = share("data", str(folder), DISK | SHARE_STREAMS | SHARE_ACL_XATTR)
        ring = Arena(Engine(folder, shares=[every], leases=True), bugs, dialect)
        yield ring
        ring.end()
        for served in ring.engine.server.shares.values():
            if served.root is not None:
                served.root.close()
        assert len(os.listdir("/proc/self/fd")) <= descriptors


__all__ = ["REQUESTS", "Arena", "Subject", "arena"]
