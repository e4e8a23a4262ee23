"""wkssvc, the workstation service, [MS-WKST] 3.2.4."""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

from mountd.rpc.containers import Levels, enumerate_rows, read_enumeration, refuse_enumeration
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import (
    Call,
    Context,
    Interface,
    Operation,
    SessionInfo,
    null_pointer,
    refused,
    require_admin,
)
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
OTHER_DOMAINS: Final = 1101  # the level of WKSTA_USER_INFO_1101
TRANSPORT_LEVELS: Final[Levels] = {
    0: (
        ("quality", "u32"),
        ("circuits", "u32"),
        ("transport", "unique_wstring"),
        ("address", "unique_wstring"),
        ("wan", "u32"),
    ),
}
_USE_2: Final[Fields] = (
    ("local", "unique_wstring"),
    ("remote", "unique_wstring"),
    ("password", "unique_wstring"),
    *((name, "u32") for name in ("status", "kind", "references", "uses")),
    ("user", "unique_wstring"),
    ("domain", "unique_wstring"),
)
USE_LEVELS: Final[Levels] = {0: _USE_2[:2], 1: _USE_2[:7], 2: _USE_2}
USES: Final = frozenset({*USE_LEVELS, 3})  # arms of the union, [MS-WKST] 2.2.4.1
OTHER_INFO_LEVELS: Final = frozenset({502, 1013, 1018, 1046})  # of the union, not told
COMPUTER_NAMES: Final[Fields] = (("name", "unicode"),)
WORKGROUP: Final = 2  # NETSETUP_JOIN_STATUS, [MS-WKST] 2.2.3.1
PRIMARY: Final = 0  # NET_COMPUTER_NAME_TYPE, [MS-WKST] 2.2.3.3
ALTERNATES: Final = 1
ALL_NAMES: Final = 2


class ComputerName(NamedTuple):
    """An element of NET_COMPUTER_NAME_ARRAY, [MS-WKST] 2.2.5.21."""

    name: str


class WkstaRow:
    """The server as WKSTA_INFO_*, [MS-WKST] 2.2.5.1 on."""

    platform = PLATFORM_NT
    root = ""

    def __init__(self, context: Context) -> None:
        self.computer = context.server_name
        self.domain = context.workgroup
        self.major, self.minor = context.version
        self._context = context

    @property
    def users(self) -> int:
        """Asked only for the level that tells it."""
        return len(self._context.sessions())


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
    if call.level in WKSTA_INFO or call.level in OTHER_INFO_LEVELS:
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


def net_wksta_user_get_info(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrWkstaUserGetInfo, opnum 3: whom the machine's console has; nobody.

    INVALID_PARAMETER      the reserved name is there
    INVALID_LEVEL          not 0, 1 or 1101
    NO_SUCH_LOGON_SESSION  levels 0 and 1: nobody is logged on at the console
    """
    reserved = r.unique(r.wstring)
    call.level = r.u32()
    if reserved is not None:
        raise RpcError(Win32.INVALID_PARAMETER, reserved)
    if call.level not in (*USER_LEVELS, OTHER_DOMAINS):
        raise RpcError(Win32.INVALID_LEVEL, str(call.level))
    if call.level != OTHER_DOMAINS:
        raise RpcError(Win32.NO_SUCH_LOGON_SESSION, "the console")
    w.u32(call.level)
    w.pointer(lambda: w.unique_wstring(""))
    return Win32.SUCCESS


def _refuse_user(call: Call, w: NdrWriter) -> None:
    w.u32(call.level)
    if call.level in (*USER_LEVELS, OTHER_DOMAINS):
        w.null()


def net_wksta_transport_enum(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrWkstaTransportEnum, opnum 5, [MS-WKST] 3.2.4.4: nothing leads away from a server.

    INVALID_LEVEL  not 0
    """
    return enumerate_rows(w, read_enumeration(call, r, TRANSPORT_LEVELS), [])


def net_use_enum(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrUseEnum, opnum 11, [MS-WKST] 3.2.4.10: no other server is used.

    INVALID_LEVEL  not 0, 1 or 2
    """
    return enumerate_rows(w, read_enumeration(call, r, USE_LEVELS), [])


def net_use_get_info(call: Call, r: NdrReader, _w: NdrWriter) -> int:
    """NetrUseGetInfo, opnum 9, [MS-WKST] 3.2.4.8.

    USE_NOT_FOUND  nothing is used
    """
    r.unique(r.wstring)
    name = r.wstring()
    call.level = r.u32()
    raise RpcError(Win32.USE_NOT_FOUND, name)


def _refuse_use(call: Call, w: NdrWriter) -> None:
    w.u32(call.level)
    if call.level in USES:
        w.null()


def net_get_join_information(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrGetJoinInformation, opnum 20, [MS-WKST] 3.2.4.12: a workgroup.

    The buffer that comes along is to be ignored.
    """
    r.unique(r.wstring)
    r.unique(r.wstring)
    workgroup = call.context.workgroup
    w.pointer(lambda: w.wstring(workgroup))
    w.flush()
    w.u16(WORKGROUP)
    return Win32.SUCCESS


def _refuse_join_information(_call: Call, w: NdrWriter) -> None:
    w.null()
    w.u16(0)


def net_enumerate_computer_names(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrEnumerateComputerNames, opnum 30, [MS-WKST] 3.2.4.19: one name, and no alternate.

    INVALID_PARAMETER  not the primary, the alternates or all
    """
    r.unique(r.wstring)
    kind = r.u16()
    r.u32()
    if kind not in (PRIMARY, ALTERNATES, ALL_NAMES):
        raise RpcError(Win32.INVALID_PARAMETER, f"name type {kind}")
    names = [] if kind == ALTERNATES else [ComputerName(call.context.server_name)]
    w.pointer(lambda: w.array(COMPUTER_NAMES, names))
    return Win32.SUCCESS


_NO: Final = Win32.NOT_SUPPORTED
WKSSVC: Final = Interface(
    "wkssvc",
    Syntax(UUID("6bffd098-a112-3610-9833-46c3f87e345a"), 1),
    {
        0: Operation("NetrWkstaGetInfo", net_wksta_get_info, _refuse_info),
        1: refused("NetrWkstaSetInfo", Win32.ACCESS_DENIED, 1),
        2: Operation("NetrWkstaUserEnum", net_wksta_user_enum, refuse_enumeration(USER_LEVELS)),
        3: Operation("NetrWkstaUserGetInfo", net_wksta_user_get_info, _refuse_user),
        4: refused("NetrWkstaUserSetInfo", _NO, 1),
        5: Operation(
            "NetrWkstaTransportEnum",
            net_wksta_transport_enum,
            refuse_enumeration(TRANSPORT_LEVELS),
        ),
        6: refused("NetrWkstaTransportAdd", _NO, 1),
        7: refused("NetrWkstaTransportDel", _NO),
        8: refused("NetrUseAdd", _NO, 1),
        9: Operation("NetrUseGetInfo", net_use_get_info, _refuse_use),
        10: refused("NetrUseDel", Win32.USE_NOT_FOUND),
        11: Operation("NetrUseEnum", net_use_enum, refuse_enumeration(USE_LEVELS)),
        12: refused("NetrMessageBufferSend", _NO),
        13: refused("NetrWorkstationStatisticsGet", _NO, 1),
        14: refused("NetrLogonDomainNameAdd", _NO),
        15: refused("NetrLogonDomainNameDel", _NO),
        16: refused("NetrJoinDomain", _NO),
        17: refused("NetrUnjoinDomain", _NO),
        18: refused("NetrRenameMachineInDomain", _NO),
        19: refused("NetrValidateName", _NO),
        20: Operation("NetrGetJoinInformation", net_get_join_information, _refuse_join_information),
        21: refused("NetrGetJoinableOUs", _NO, 2),
        22: refused("NetrJoinDomain2", _NO),
        23: refused("NetrUnjoinDomain2", _NO),
        24: refused("NetrRenameMachineInDomain2", _NO),
        25: refused("NetrValidateName2", Win32.REMOTE_DISABLED),
        26: refused("NetrGetJoinableOUs2", Win32.REMOTE_DISABLED, 2),
        27: refused("NetrAddAlternateComputerName", _NO),
        28: refused("NetrRemoveAlternateComputerName", _NO),
        29: refused("NetrSetPrimaryComputerName", _NO),
        30: Operation("NetrEnumerateComputerNames", net_enumerate_computer_names, null_pointer),
    },
)
