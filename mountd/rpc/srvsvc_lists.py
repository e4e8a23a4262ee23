"""Sessions, open files, connections and disks in srvsvc: for administrators, as on Windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from mountd.rpc.containers import Levels, enumerate_rows, read_enumeration, refuse_enumeration
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import (
    Call,
    ConnectionInfo,
    FileInfo,
    Operation,
    SessionInfo,
    require_admin,
)
from mountd.rpc.ndr import Fields, NdrReader, NdrWriter

T = TypeVar("T")
Source = Callable[[], Sequence[T]]

SESSION_GUEST: Final = 1  # SESS_GUEST, [MS-SRVS] 2.2.4.15

CONNECTION_LEVELS: Final[Levels] = {
    0: (("id", "u32"),),
    1: (
        ("id", "u32"),
        ("type", "u32"),
        ("opens", "u32"),
        ("users", "u32"),
        ("time", "u32"),
        ("user", "unique_wstring"),
        ("net_name", "unique_wstring"),
    ),
}
_TRANSPORT_2: Final[Fields] = (
    ("clients", "u32"),
    ("transport", "unique_wstring"),
    ("address", "octets"),
    ("address_length", "u32"),
    ("network", "unique_wstring"),
    ("domain", "unique_wstring"),
    ("flags", "u32"),
)
TRANSPORT_LEVELS: Final[Levels] = {0: _TRANSPORT_2[:5], 1: _TRANSPORT_2[:6], 2: _TRANSPORT_2}
FILE_LEVELS: Final[Levels] = {
    2: (("id", "u32"),),
    3: (
        ("id", "u32"),
        ("permissions", "u32"),
        ("locks", "u32"),
        ("path", "unique_wstring"),
        ("user", "unique_wstring"),
    ),
}
_SESSION_502: Final[Fields] = (
    ("client", "unique_wstring"),
    ("user", "unique_wstring"),
    ("opens", "u32"),
    ("time", "u32"),
    ("idle", "u32"),
    ("flags", "u32"),
    ("client_type", "unique_wstring"),
    ("transport", "unique_wstring"),
)
SESSION_LEVELS: Final[Levels] = {
    0: _SESSION_502[:1],
    1: _SESSION_502[:6],
    2: _SESSION_502[:7],
    10: (*_SESSION_502[:2], ("time", "u32"), ("idle", "u32")),
    502: _SESSION_502,
}


class SessionRow:
    """A session as SESSION_INFO_*, [MS-SRVS] 2.2.4.13 on."""

    client_type = ""
    transport = ""

    def __init__(self, session: SessionInfo) -> None:
        self.client, self.user, self.opens = session.client, session.user, session.opens
        self.time, self.idle = session.time_s, session.idle_s
        self.flags = SESSION_GUEST if session.guest else 0


class FileRow:
    """An open file as FILE_INFO_*, [MS-SRVS] 2.2.4.6 on."""

    def __init__(self, file: FileInfo) -> None:
        self.id, self.permissions, self.locks = file.id & 0xFFFFFFFF, file.permissions, file.locks
        drive = "C:" if file.path.startswith("/") else "\\PIPE\\"
        self.path, self.user = drive + file.path.replace("/", "\\"), file.user


class ConnectionRow:
    """A tree connect as CONNECTION_INFO_*, [MS-SRVS] 2.2.4.1 on."""

    users = 1

    def __init__(self, connection: ConnectionInfo, net_name: str) -> None:
        self.id, self.type, self.opens = (
            connection.id & 0xFFFFFFFF,
            connection.type,
            connection.opens,
        )
        self.time, self.user, self.net_name = connection.time_s, connection.user, net_name


def net_session_enum(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrSessionEnum, opnum 12, [MS-SRVS] 3.1.4.5.

    INVALID_LEVEL  not one of 0, 1, 2, 10, 502
    ACCESS_DENIED  the caller is no administrator (Windows since 10 1709, at every level)
    """
    asked = read_enumeration(call, r, SESSION_LEVELS, filters=2)
    require_admin(call)
    client, user = asked.filters
    wanted = client.lstrip("\\").casefold()
    rows = [
        SessionRow(session)
        for session in call.context.sessions()
        if (not wanted or session.client.casefold() == wanted)
        and (not user or session.user.casefold() == user.casefold())
    ]
    return enumerate_rows(w, asked, rows)


def net_file_enum(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrFileEnum, opnum 9, [MS-SRVS] 3.1.4.2: levels 2 and 3, administrators only."""
    asked = read_enumeration(call, r, FILE_LEVELS, filters=2)
    require_admin(call)
    base, user = asked.filters
    rows = [
        row
        for row in map(FileRow, call.context.files())
        if row.path.casefold().startswith(base.casefold())
        and (not user or row.user.casefold() == user.casefold())
    ]
    return enumerate_rows(w, asked, rows)


def net_file_get_info(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrFileGetInfo, opnum 10, [MS-SRVS] 3.1.4.3.

    INVALID_LEVEL      not 2 or 3
    ACCESS_DENIED      the caller is no administrator
    FILE_ID_NOT_FOUND  no such file is open
    """
    r.unique(r.wstring)
    number, call.level = r.u32(), r.u32()
    fields = FILE_LEVELS.get(call.level)
    if fields is None:
        raise RpcError(Win32.INVALID_LEVEL, str(call.level))
    require_admin(call)
    row = next((row for row in map(FileRow, call.context.files()) if row.id == number), None)
    if row is None:
        raise RpcError(Win32.FILE_ID_NOT_FOUND, str(number))
    w.u32(call.level)
    w.pointer(lambda: w.struct(fields, row))
    return Win32.SUCCESS


def _refuse_file(call: Call, w: NdrWriter) -> None:
    """The union of a refused NetrFileGetInfo: no arm for a level nobody knows."""
    w.u32(call.level)
    if call.level in FILE_LEVELS:
        w.null()


def net_file_close(call: Call, r: NdrReader, _w: NdrWriter) -> int:
    """NetrFileClose, opnum 11, [MS-SRVS] 3.1.4.4: its client is not asked.

    ACCESS_DENIED      the caller is no administrator
    FILE_ID_NOT_FOUND  no such file is open
    """
    r.unique(r.wstring)
    number = r.u32()
    require_admin(call)
    if not number or not call.context.close_file(number):
        raise RpcError(Win32.FILE_ID_NOT_FOUND, str(number))
    return Win32.SUCCESS


def net_session_del(call: Call, r: NdrReader, _w: NdrWriter) -> int:
    """NetrSessionDel, opnum 13, [MS-SRVS] 3.1.4.6: of a client, of a user, or of both.

    ACCESS_DENIED          the caller is no administrator
    INVALID_PARAMETER      neither a client nor a user
    CLIENT_NAME_NOT_FOUND  the client has no such session
    USER_NOT_FOUND         the user has none
    """
    r.unique(r.wstring)
    client = (r.unique(r.wstring) or "").lstrip("\\")
    user = r.unique(r.wstring) or ""
    require_admin(call)
    if not client and not user:
        raise RpcError(Win32.INVALID_PARAMETER, "neither client nor user")
    if not call.context.end_sessions(client, user):
        missing = Win32.CLIENT_NAME_NOT_FOUND if client else Win32.USER_NOT_FOUND
        raise RpcError(missing, client or user)
    return Win32.SUCCESS


def net_connection_enum(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrConnectionEnum, opnum 8, [MS-SRVS] 3.1.4.1: of a share, or of a \\\\client.

    INVALID_LEVEL       not 0 or 1
    ACCESS_DENIED       the caller is no administrator
    INVALID_PARAMETER   no qualifier
    NET_NAME_NOT_FOUND  the qualifier is no share of ours
    """
    asked = read_enumeration(call, r, CONNECTION_LEVELS, filters=1)
    require_admin(call)
    (qualifier,) = asked.filters
    if not qualifier:
        raise RpcError(Win32.INVALID_PARAMETER, "no qualifier")
    wanted = qualifier.lstrip("\\").casefold()
    if qualifier.startswith("\\\\"):
        found = [c for c in call.context.connections() if c.client.casefold() == wanted]
        rows = [ConnectionRow(connection, connection.share) for connection in found]
    else:
        if all(share.name.casefold() != wanted for share in call.context.shares(call.caller)):
            raise RpcError(Win32.NET_NAME_NOT_FOUND, qualifier)
        found = [c for c in call.context.connections() if c.share.casefold() == wanted]
        rows = [ConnectionRow(connection, connection.client) for connection in found]
    return enumerate_rows(w, asked, rows)


class TransportRow:
    """Direct TCP as SERVER_TRANSPORT_INFO_0, [MS-SRVS] 2.2.4.93: the only transport there is."""

    transport = "\\Device\\NetbiosSmb"
    network = "000000000000"
    flags = 0

    def __init__(self, call: Call) -> None:
        self.clients = len({session.client for session in call.context.sessions()})
        name = call.context.server_name[:15].upper().ljust(16)
        self.address = name.encode("ascii", "replace")
        self.address_length = len(self.address)
        self.domain = call.context.workgroup


def net_server_transport_enum(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrServerTransportEnum, opnum 26, [MS-SRVS] 3.1.4.23.

    INVALID_LEVEL  not one of 0, 1, 2
    ACCESS_DENIED  the caller is no administrator
    """
    asked = read_enumeration(call, r, TRANSPORT_LEVELS)
    require_admin(call)
    return enumerate_rows(w, asked, [TransportRow(call)])


def net_server_disk_enum(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrServerDiskEnum, opnum 23, [MS-SRVS] 3.1.4.18: the one drive our share paths show.

    INVALID_LEVEL  not 0
    ACCESS_DENIED  the caller is no administrator
    """
    r.unique(r.wstring)
    level = r.u32()
    r.u32()
    r.unique(lambda: _read_disks(r))
    r.u32()
    resume = r.unique(r.u32)
    if level != 0:
        raise RpcError(Win32.INVALID_LEVEL, str(level))
    require_admin(call)
    w.u32(1)
    w.pointer(lambda: _write_disks(w, ["C:"]))
    w.flush()
    w.u32(1)
    w.unique_u32(None if resume is None else 0)
    return Win32.SUCCESS


def _read_disks(r: NdrReader) -> None:
    """Read a conformant varying array of ``[string] WCHAR Disk[3]``."""
    r.u32(), r.u32()
    for _ in range(r.conformance(each=8)):
        r.u32()
        r.raw(2 * r.conformance(each=2))


def _write_disks(w: NdrWriter, disks: Sequence[str]) -> None:
    for count in (len(disks), 0, len(disks)):
        w.u32(count)
    for disk in disks:
        units = (disk + "\0").encode("utf-16-le")
        w.u32(0)
        w.u32(len(units) // 2)
        w.raw(units)


def _refuse_disks(_call: Call, w: NdrWriter) -> None:
    for _ in ("EntriesRead", "Buffer", "TotalEntries", "ResumeHandle"):
        w.u32(0)


CONNECTION_ENUM: Final = Operation(
    "NetrConnectionEnum", net_connection_enum, refuse_enumeration(CONNECTION_LEVELS)
)
FILE_ENUM: Final = Operation("NetrFileEnum", net_file_enum, refuse_enumeration(FILE_LEVELS))
FILE_GET_INFO: Final = Operation("NetrFileGetInfo", net_file_get_info, _refuse_file)
FILE_CLOSE: Final = Operation("NetrFileClose", net_file_close)
SESSION_DEL: Final = Operation("NetrSessionDel", net_session_del)
SESSION_ENUM: Final = Operation(
    "NetrSessionEnum", net_session_enum, refuse_enumeration(SESSION_LEVELS)
)
TRANSPORT_ENUM: Final = Operation(
    "NetrServerTransportEnum", net_server_transport_enum, refuse_enumeration(TRANSPORT_LEVELS)
)
DISK_ENUM: Final = Operation("NetrServerDiskEnum", net_server_disk_enum, _refuse_disks)
