"""What the RPC tests share: a daemon that is a handful of lists, a client, request vectors."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path
from uuid import UUID

from ksmbd.wire.security import SecurityDescriptor
from mountd.rpc import interface, pdu
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import (
    IPC,
    SPECIAL,
    Account,
    Caller,
    ConnectionInfo,
    FileInfo,
    SessionInfo,
    Share,
    ShareChange,
)
from mountd.rpc.ndr import NdrReader, NdrWriter
from mountd.rpc.pdu import Syntax
from mountd.rpc.pipe import Pipes

ADMIN = Caller("admin", "FILESRV", uid=0, gid=0, admin=True)
USER = Caller("bob", "FILESRV", uid=1002, gid=1002)
GUEST = Caller("nobody", is_guest=True)
ANONYMOUS = Caller("", is_anonymous=True)


class FakeDaemon:
    """A Context out of lists that a test may change."""

    def __init__(self) -> None:
        self.server_name = "FILESRV"
        self.workgroup = "WORKGROUP"
        self.server_string = "A file server"
        self.version = (6, 1)
        self.server_type = interface.SV_TYPE
        self.sub_authorities = (111, 222, 333)
        self.now = 1700000000.25
        self.share_list = [
            Share("data", comment="Data", path="/srv/data", max_users=5, current_users=1),
            Share("hidden", browseable=False, path="/srv/hidden"),
            Share("IPC$", IPC | SPECIAL, "IPC"),
            Share("Büro", comment="Größe 𝄞", path="/srv/büro"),
        ]
        self.descriptor = SecurityDescriptor().pack()  # of every file
        self.changes: list[tuple[object, ...]] = []  # what administrators did to shares
        self.session_list = [
            SessionInfo("10.0.0.1", "bob", 2, 30, 4),
            SessionInfo("10.0.0.2", "nobody", guest=True),
        ]
        self.file_list = [FileInfo(7, "/srv/data/x", "bob", 3, 1)]
        self.connection_list = [ConnectionInfo(9, "data", "10.0.0.1", "bob", opens=2, time_s=30)]
        self.account_list = [
            Account("alice", 1001, 1001, "Alice Liddell", admin=True),
            Account("bob", 1002, 1002),
        ]

    def clock(self) -> float:
        return self.now

    def uptime(self) -> float:
        return 12.5

    def minutes_west(self) -> int:
        return -60

    def shares(self, _caller: Caller) -> list[Share]:
        return self.share_list

    def add_share(self, name: str, path: str, change: ShareChange) -> None:
        self.changes.append((name, path, change))

    def change_share(self, name: str, change: ShareChange) -> None:
        self.changes.append((name, change))

    def delete_share(self, name: str) -> None:
        self.changes.append((name,))

    def file_security(
        self, _caller: Caller, share: str, path: str, information: int, security: bytes = b""
    ) -> bytes:
        if path == "none":
            raise RpcError(Win32.FILE_NOT_FOUND)
        self.changes.append((share, path, information, security))
        return b"" if security else self.descriptor

    def sessions(self) -> list[SessionInfo]:
        return self.session_list

    def files(self) -> list[FileInfo]:
        return self.file_list

    def close_file(self, number: int) -> bool:
        kept = [file for file in self.file_list if file.id != number]
        closed, self.file_list = len(kept) < len(self.file_list), kept
        return closed

    def end_sessions(self, client: str, user: str) -> int:
        ended = [
            session
            for session in self.session_list
            if (not client or session.client == client) and (not user or session.user == user)
        ]
        self.session_list = [s for s in self.session_list if s not in ended]
        return len(ended)

    def connections(self) -> list[ConnectionInfo]:
        return self.connection_list

    def accounts(self) -> list[Account]:
        return self.account_list

    def user_name(self, uid: int) -> str | None:
        return {0: "root", 1001: "alice", 1002: "bob", 1003: "carol"}.get(uid)

    def user_id(self, name: str) -> int | None:
        return {"root": 0, "alice": 1001, "bob": 1002, "carol": 1003}.get(name.casefold())

    def group_name(self, gid: int) -> str | None:
        return {0: "root", 100: "users"}.get(gid)

    def group_id(self, name: str) -> int | None:
        return {"root": 0, "users": 100}.get(name)


def counter():
    """Random bytes that are none: each call's are different, each run's the same."""
    numbers = itertools.count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


def make_pipes(daemon: FakeDaemon | None = None) -> Pipes:
    return Pipes(daemon or FakeDaemon(), counter())


def vectors() -> dict[str, bytes]:
    """The frozen requests by name."""
    path = Path(__file__).with_name("rpc_vectors.txt")
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return {
        name: bytes.fromhex(value) for name, _, value in (line.partition(" = ") for line in lines)
    }


def bind(
    *contexts: tuple[int, Syntax, tuple[Syntax, ...]],
    call_id: int = 1,
    frag: int = 4280,
    type: int = pdu.PduType.BIND,
) -> bytes:
    """A bind PDU."""
    body = struct.pack("<HHIB3x", frag, frag, 0, len(contexts))
    for context_id, abstract, transfers in contexts:
        body += struct.pack("<HBx", context_id, len(transfers)) + abstract.pack()
        body += b"".join(transfer.pack() for transfer in transfers)
    return pdu.pack(type, call_id, body)


def request(opnum: int, stub: bytes = b"", *, call_id: int = 2, context_id: int = 0) -> bytes:
    """A request PDU of one fragment."""
    body = struct.pack("<IHH", len(stub), context_id, opnum) + stub
    return pdu.pack(pdu.PduType.REQUEST, call_id, body)


def fragments(opnum: int, stub: bytes, size: int, *, call_id: int = 2) -> list[bytes]:
    """A request cut into fragments of *size* stub bytes."""
    out = []
    for start in range(0, max(len(stub), 1), size):
        flags = (pdu.FIRST_FRAG if start == 0 else 0) | (
            pdu.LAST_FRAG if start + size >= len(stub) else 0
        )
        body = struct.pack("<IHH", len(stub) - start, 0, opnum) + stub[start : start + size]
        out.append(pdu.pack(pdu.PduType.REQUEST, call_id, body, flags))
    return out


class Fault(Exception):
    """A fault PDU came back."""

    def __init__(self, status: int) -> None:
        super().__init__(hex(status))
        self.status = status


class Client:
    """One pipe with an association, as smbclient would hold it."""

    def __init__(self, pipes: Pipes, name: str, syntax: Syntax, caller: Caller = USER) -> None:
        self.pipes, self.handle = pipes, id(self)
        pipes.open(self.handle, name, caller)
        ack = self.exchange(bind((0, syntax, (pdu.NDR32,))))
        assert ack[2] == pdu.PduType.BIND_ACK

    def exchange(self, data: bytes) -> bytes:
        """Transceive and read to the end of the message."""
        chunk = self.pipes.transceive(self.handle, data, 1024)
        out = chunk.data
        while chunk.more:
            chunk = self.pipes.read(self.handle, 1024)
            out += chunk.data
        return out

    def send(self, data: bytes) -> NdrReader:
        """Send one complete request PDU, collect the reply's fragments, return its stub."""
        first = self.exchange(data)
        stub = reply_stub(first)
        while not first[3] & pdu.LAST_FRAG:
            first = self.pipes.read(self.handle, 65536).data
            stub += reply_stub(first)
        return NdrReader(stub)

    def call(self, opnum: int, w: NdrWriter | None = None) -> NdrReader:
        stub = b""
        if w is not None:
            w.flush()
            stub = bytes(w.out)
        return self.send(request(opnum, stub))


def reply_stub(fragment: bytes) -> bytes:
    """The stub bytes of a response fragment; Fault if it is a fault."""
    header = pdu.parse_header(fragment)
    assert header.frag_length == len(fragment)
    if header.type == pdu.PduType.FAULT:
        raise Fault(struct.unpack_from("<I", fragment, 24)[0])
    assert header.type == pdu.PduType.RESPONSE
    return fragment[24:]


def finished(r: NdrReader) -> int:
    """The status at the end of a reply, which must be its end."""
    status = r.u32()
    assert r.remaining == 0
    return status


SRVSVC = Syntax(UUID("4b324fc8-1670-01d3-1278-5a47bf6ee188"), 3)
WKSSVC = Syntax(UUID("6bffd098-a112-3610-9833-46c3f87e345a"), 1)
LSARPC = Syntax(UUID("12345778-1234-abcd-ef00-0123456789ab"), 0)
SAMR = Syntax(UUID("12345778-1234-abcd-ef00-0123456789ac"), 1)
DSSETUP = Syntax(UUID("3919286a-b10c-11d0-9ba8-00c04fd92ef5"), 0)
