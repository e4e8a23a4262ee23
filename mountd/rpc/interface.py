"""What an RPC interface is made of, and what it may ask of the daemon around it.

An :class:`Interface` is a table of operations.  A handler reads its arguments,
writes its results and returns the status, which the engine appends; or it
raises ``RpcError``, and then the operation's *refusal* writes the results that
go with a refusal (null pointers, mostly) in front of the error's code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from ksmbd.wire.base import WireError
from ksmbd.wire.status import NtStatus
from mountd.rpc import errors
from mountd.rpc.errors import RpcError, RpcFault
from mountd.rpc.handles import Handles
from mountd.rpc.ndr import NdrReader, NdrWriter
from mountd.rpc.pdu import Syntax

DISK: Final = 0  # STYPE_DISKTREE, [MS-SRVS] 2.2.2.4
PRINT_QUEUE: Final = 1
IPC: Final = 3
PERM_READ: Final = 1  # FileInfo.permissions, [MS-SRVS] 2.2.4.6
PERM_WRITE: Final = 2
PERM_CREATE: Final = 4
SPECIAL: Final = 0x80000000  # STYPE_SPECIAL: IPC$ and administrative shares

SV_TYPE_WORKSTATION: Final = 0x00000001  # [MS-SRVS] 2.2.2.7
SV_TYPE_SERVER: Final = 0x00000002
SV_TYPE_SERVER_UNIX: Final = 0x00000800
SV_TYPE_NT: Final = 0x00001000
SV_TYPE_SERVER_NT: Final = 0x00008000
SV_TYPE: Final = SV_TYPE_WORKSTATION | SV_TYPE_SERVER | SV_TYPE_NT | SV_TYPE_SERVER_NT

MAX_REPLY: Final = 4 << 20  # bytes of one reply's stub


class Caller(NamedTuple):
    """Who opened the pipe, as the SMB session knows it."""

    account: str
    domain: str = ""
    uid: int = 65534
    gid: int = 65534
    is_guest: bool = False
    is_anonymous: bool = False
    admin: bool = False
    peer: str = ""  # the client's address, as text
    server_name: str = ""  # what the client calls us
    pipe: int = 0  # the pipe's number


class Share(NamedTuple):
    """One share as clients may see it."""

    name: str
    type: int = DISK
    comment: str = ""
    path: str = ""  # on our side, with '/'
    browseable: bool = True  # for the caller
    max_users: int = 0  # 0: no limit
    current_users: int = 0
    lists_by_access: bool = False  # directories show what one may read
    security: bytes = b""  # descriptor of the share itself, self-relative; b"": everyone, all


class ShareChange(NamedTuple):
    """What an administrator sets on a share; None stays as it is."""

    comment: str | None = None
    max_users: int | None = None  # 0: no limit
    lists_by_access: bool | None = None
    security: bytes | None = None


class SessionInfo(NamedTuple):
    """One session, for NetrSessionEnum."""

    client: str
    user: str
    opens: int = 0
    time_s: int = 0  # since log-on
    idle_s: int = 0
    guest: bool = False


class FileInfo(NamedTuple):
    """One open file, for NetrFileEnum."""

    id: int
    path: str
    user: str
    permissions: int = 0  # PERM_READ ...
    locks: int = 0


class ConnectionInfo(NamedTuple):
    """One tree connect, for NetrConnectionEnum."""

    id: int
    share: str
    client: str
    user: str
    type: int = DISK
    opens: int = 0
    time_s: int = 0


class Account(NamedTuple):
    """One user of the account database."""

    name: str
    uid: int
    gid: int = 65534
    full_name: str = ""
    disabled: bool = False
    admin: bool = False  # of this server, over RPC


class Context(Protocol):
    """The daemon, as the interfaces see it; every method may be called from any thread."""

    @property
    def server_name(self) -> str:
        """NetBIOS name, without backslashes."""

    @property
    def workgroup(self) -> str: ...

    @property
    def server_string(self) -> str: ...

    @property
    def version(self) -> tuple[int, int]:
        """Operating system version to show: (6, 1) or (10, 0)."""

    @property
    def server_type(self) -> int:
        """SV_TYPE flags."""

    @property
    def sub_authorities(self) -> tuple[int, int, int]:
        """The machine domain is S-1-5-21 followed by these."""

    def clock(self) -> float:
        """Seconds since 1970, UTC."""

    def uptime(self) -> float:
        """Seconds since the server started."""

    def minutes_west(self) -> int:
        """Minutes the local time zone lies west of UTC."""

    def shares(self, caller: Caller) -> Sequence[Share]:
        """Those there are for the caller, as the caller would get them."""

    def add_share(self, name: str, path: str, change: ShareChange) -> None:
        """Share a directory. RpcError with a Win32 code if that cannot be."""

    def change_share(self, name: str, change: ShareChange) -> None:
        """Change a share; its new tree connects see it. RpcError as above."""

    def delete_share(self, name: str) -> None:
        """Share it no longer. RpcError as above."""

    def file_security(
        self, caller: Caller, share: str, path: str, information: int, security: bytes = b""
    ) -> bytes:
        """The parts of a file's descriptor that *information* names, or set those of *security*.

        RpcError with a Win32 code if the caller may not, or there is no such file.
        """

    def sessions(self) -> Sequence[SessionInfo]: ...

    def files(self) -> Sequence[FileInfo]: ...

    def close_file(self, number: int) -> bool:
        """Close an open file under its client; False if there is none of that number."""

    def end_sessions(self, client: str, user: str) -> int:
        """End the sessions of a client's address, a user (either may be empty); how many."""

    def connections(self) -> Sequence[ConnectionInfo]: ...

    def accounts(self) -> Sequence[Account]:
        """The account database, by name."""

    def user_name(self, uid: int) -> str | None:
        """Name of a Unix user, in the account database or not."""

    def user_id(self, name: str) -> int | None:
        """Id of the Unix user of that name, without regard to case if need be."""

    def group_name(self, gid: int) -> str | None:
        """Name of a Unix group."""

    def group_id(self, name: str) -> int | None:
        """Id of the Unix group of that name."""


@dataclass(slots=True)
class Call:
    """One call being executed."""

    context: Context
    caller: Caller
    handles: Handles
    offered: Sequence[Interface] = ()  # the interfaces of the pipe
    level: int = 0  # the union's discriminant, noted by the handler for its refusal
    opnum: int = field(default=0)
    wrong: int | None = None  # ParmErr, the number of a wrong parameter; None: nobody asks


Handler = Callable[[Call, NdrReader, NdrWriter], int]
Refusal = Callable[[Call, NdrWriter], None]


def nothing(_call: Call, _w: NdrWriter) -> None:
    """Refuse with the status alone."""


def null_pointer(_call: Call, w: NdrWriter) -> None:
    """Refuse with one null pointer and the status."""
    w.null()


class Operation(NamedTuple):
    """One row of an interface."""

    name: str
    handler: Handler
    refusal: Refusal = nothing
    refuses: int | None = None  # it always refuses, with this code


def refused(name: str, code: int, zeros: int = 0) -> Operation:
    """An operation that is there and refuses everybody, whatever is sent.

    *zeros* is how many words of nothing go in front of the code: null pointers, zero handles.
    """

    def refuse(_call: Call, _r: NdrReader, _w: NdrWriter) -> int:
        raise RpcError(code, f"{name} is refused to everybody")

    def results(_call: Call, w: NdrWriter) -> None:
        for _ in range(zeros):
            w.u32(0)

    return Operation(name, refuse, results, refuses=code)


class Interface(NamedTuple):
    """An abstract syntax and its operations by opnum."""

    name: str
    syntax: Syntax
    operations: Mapping[int, Operation]

    def offers(self, wanted: Syntax) -> bool:
        """Tell whether a client that wants *wanted* is served: same major, minor not above ours."""
        mine = self.syntax
        return (mine.uuid, mine.major) == (wanted.uuid, wanted.major) and wanted.minor <= mine.minor


def execute(interface: Interface, opnum: int, stub: bytes, call: Call) -> bytes:
    """Run one operation on its request's stub and return the reply's stub.

    Raises RpcFault:
    OP_RANGE_ERROR    the interface has no such operation
    BAD_STUB_DATA     the stub is not what the operation's signature says
    CONTEXT_MISMATCH  a context handle that is not open on this pipe
    NO_MEMORY         the reply would be larger than MAX_REPLY
    """
    operation = interface.operations.get(opnum)
    if operation is None:
        raise RpcFault(errors.OP_RANGE_ERROR, f"{interface.name} has no operation {opnum}")
    call.opnum = opnum
    w = NdrWriter()
    try:
        status = operation.handler(call, NdrReader(stub), w)
    except RpcFault:
        raise
    except RpcError as refused:
        w = NdrWriter()
        operation.refusal(call, w)
        status = refused.code
    except WireError as malformed:
        raise RpcFault(errors.BAD_STUB_DATA, f"{operation.name}: {malformed}") from None
    w.flush()
    w.u32(status)
    if len(w.out) > MAX_REPLY:
        raise RpcFault(errors.NO_MEMORY, f"{operation.name}: {len(w.out)} bytes of reply")
    return bytes(w.out)


def require_admin(call: Call) -> None:
    """Raise ACCESS_DENIED unless the caller is an administrator of this server."""
    if not call.caller.admin:
        raise RpcError(errors.Win32.ACCESS_DENIED, f"{call.caller.account!r} is no administrator")


def require_admin_status(call: Call) -> None:
    """The same of an interface whose operations return NTSTATUS."""
    if not call.caller.admin:
        raise RpcError(NtStatus.ACCESS_DENIED, f"{call.caller.account!r} is no administrator")
