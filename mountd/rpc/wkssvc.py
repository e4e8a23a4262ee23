"""wkssvc, the workstation service, [MS-WKST] 3.2.4."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from mountd.rpc.containers import Levels, enumerate_rows, read_enumeration, refuse_enumeration
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import Call, Context, Interface, Operation, SessionInfo, require_admin
from mountd.rpc.ndr import Fields, NdrReader, NdrWriter
from mountd.rpc.pdu import Syntax
from mountd.rpc.srvsvc_info import PLATFORM_NT

_WKSTA_102: Final[Fields] = (
    ("platform", "u32"),
    ("computer", "unique_wstring"),
    ("domain", "unique_wstring"),
    ("major", "u32"),
    ("minor", "u32"),
    ("root", "unique_wstring"),
    ("users", "u32"),
)
WKSTA_INFO: Final[dict[int, Fields]] = {
    100: _WKSTA_102[:5],
    101: _WKSTA_102[:6],
    102: _WKSTA_102,
}
_USER_1: Final[Fields] = (
    ("user", "unique_wstring"),
    ("domain", "unique_wstring"),
    ("other_domains", "unique_wstring"),
    ("server", "unique_wstring"),
)
USER_LEVELS: Final[Levels] = {0: _USER_1[:1], 1: _USER_1}


class WkstaRow:
    """The server as WKSTA_INFO_*, [MS-WKST] 2.2.5.1 on."""

    platform = PLATFORM_NT
    root = ""

    def __init__(self, context: Context) -> None:
        self.computer = context.server_name
        self.domain = context.workgroup
        self.major, self.minor = context.version
        self.users = len(context.sessions())


class UserRow:
    """A session's user as WKSTA_USER_INFO_*, [MS-WKST] 2.2.5.9 and 2.2.5.10."""

    other_domains = ""

    def __init__(self, session: SessionInfo, context: Context) -> None:
        self.user = session.user
        self.domain = self.server = context.server_name


def net_wksta_get_info(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrWkstaGetInfo, opnum 0, [MS-WKST] 3.2.4.1.

    INVALID_LEVEL  not one of 100, 101, 102
    ACCESS_DENIED  level 101 wants a real user, level 102 an administrator
    """
    r.unique(r.wstring)
    call.level = r.u32()
    fields = WKSTA_INFO.get(call.level)
    if fields is None:
        raise RpcError(Win32.INVALID_LEVEL, str(call.level))
    if call.level == 101 and (call.caller.is_anonymous or call.caller.is_guest):
        raise RpcError(Win32.ACCESS_DENIED, "level 101 without an account")
    if call.level == 102:
        require_admin(call)
    w.u32(call.level)
    w.pointer(lambda: w.struct(fields, WkstaRow(call.context)))
    return Win32.SUCCESS


def _refuse_info(call: Call, w: NdrWriter) -> None:
    w.u32(call.level)
    if call.level in WKSTA_INFO:
        w.null()


def net_wksta_user_enum(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrWkstaUserEnum, opnum 2, [MS-WKST] 3.2.4.3.

    INVALID_LEVEL  not 0 or 1
    ACCESS_DENIED  the caller is no administrator
    """
    asked = read_enumeration(call, r, USER_LEVELS)
    require_admin(call)
    rows = [UserRow(session, call.context) for session in call.context.sessions()]
    return enumerate_rows(w, asked, rows)


WKSSVC: Final = Interface(
    "wkssvc",
    Syntax(UUID("6bffd098-a112-3610-9833-46c3f87e345a"), 1),
    {
        0: Operation("NetrWkstaGetInfo", net_wksta_get_info, _refuse_info),
        2: Operation("NetrWkstaUserEnum", net_wksta_user_enum, refuse_enumeration(USER_LEVELS)),
    },
)
