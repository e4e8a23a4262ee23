"""srvsvc, the server service, [MS-SRVS] 3.1.4: shares and the server itself.

Session, file and connection lists are in ``srvsvc_lists``, the share and server
structures in ``srvsvc_info``, name and path checks in ``srvsvc_names``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from mountd.rpc import srvsvc_lists, srvsvc_names
from mountd.rpc.containers import enumerate_rows, read_enumeration, refuse_enumeration
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import Call, Interface, Operation, Share, null_pointer, require_admin
from mountd.rpc.ndr import NdrReader, NdrWriter
from mountd.rpc.pdu import Syntax
from mountd.rpc.srvsvc_info import (
    ADMIN_SERVER_LEVELS,
    ADMIN_SHARE_LEVELS,
    SERVER_INFO,
    SHARE_ENUM_LEVELS,
    SHARE_INFO,
    ServerRow,
    ShareRow,
)

CLOCK_TICK: Final = 310  # tod_tinterval: one tick is 31 ms, in units of 0.1 ms


def net_share_enum(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrShareEnum, opnum 15, [MS-SRVS] 3.1.4.8: browseable shares.

    INVALID_LEVEL  not one of 0, 1, 2, 501, 502, 503
    ACCESS_DENIED  levels 2, 502 and 503 are for administrators
    BUF_TOO_SMALL  not even one share fits PreferedMaximumLength
    MORE_DATA      not all did; ResumeHandle says where to go on
    """
    return _enum(call, r, w, lambda: call.context.shares(call.caller))


def net_share_enum_sticky(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrShareEnumSticky, opnum 36, [MS-SRVS] 3.1.4.9: without IPC$ and hidden shares."""
    shares = call.context.shares
    return _enum(call, r, w, lambda: [s for s in shares(call.caller) if s.name[-1:] != "$"])


def _enum(call: Call, r: NdrReader, w: NdrWriter, shares: srvsvc_lists.Source[Share]) -> int:
    asked = read_enumeration(call, r, SHARE_ENUM_LEVELS)
    if asked.level in ADMIN_SHARE_LEVELS:
        require_admin(call)
    visible = sorted((s for s in shares() if s.browseable), key=lambda s: s.name.casefold())
    return enumerate_rows(w, asked, [ShareRow(share) for share in visible])


def net_share_get_info(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrShareGetInfo, opnum 16, [MS-SRVS] 3.1.4.10; hidden shares answer to their name.

    INVALID_LEVEL       not a level of the specification
    ACCESS_DENIED       levels 2, 502, 503 and 1501 are for administrators
    NET_NAME_NOT_FOUND  no such share
    """
    r.unique(r.wstring)
    name, call.level = r.wstring(), r.u32()
    fields = SHARE_INFO.get(call.level)
    if fields is None:
        raise RpcError(Win32.INVALID_LEVEL, str(call.level))
    if call.level in ADMIN_SHARE_LEVELS:
        require_admin(call)
    share = find_share(call.context.shares(call.caller), name)
    if share is None:
        raise RpcError(Win32.NET_NAME_NOT_FOUND, name)
    w.u32(call.level)
    w.pointer(lambda: w.struct(fields, ShareRow(share)))
    return Win32.SUCCESS


def find_share(shares: Sequence[Share], name: str) -> Share | None:
    """Return the share of that *name*, compared without regard to case."""
    wanted = name.casefold()
    return next((share for share in shares if share.name.casefold() == wanted), None)


def net_server_get_info(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrServerGetInfo, opnum 21, [MS-SRVS] 3.1.4.17.

    INVALID_LEVEL  not one of 100, 101, 102
    ACCESS_DENIED  level 102 is for administrators
    """
    r.unique(r.wstring)
    call.level = r.u32()
    fields = SERVER_INFO.get(call.level)
    if fields is None:
        raise RpcError(Win32.INVALID_LEVEL, str(call.level))
    if call.level in ADMIN_SERVER_LEVELS:
        require_admin(call)
    w.u32(call.level)
    w.pointer(lambda: w.struct(fields, ServerRow(call.context)))
    return Win32.SUCCESS


def refuse_share_info(call: Call, w: NdrWriter) -> None:
    """Write the union of a refused NetrShareGetInfo: no arm for a level nobody knows."""
    w.u32(call.level)
    if call.level in SHARE_INFO:
        w.null()


def refuse_server_info(call: Call, w: NdrWriter) -> None:
    w.u32(call.level)
    if call.level in SERVER_INFO:
        w.null()


def net_server_statistics_get(_call: Call, r: NdrReader, _w: NdrWriter) -> int:
    """NetrServerStatisticsGet, opnum 24, [MS-SRVS] 3.1.4.19: NOT_SUPPORTED, we keep none."""
    r.unique(r.wstring)
    r.unique(r.wstring)
    r.u32(), r.u32()
    raise RpcError(Win32.NOT_SUPPORTED, "server statistics")


def net_remote_tod(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrRemoteTOD, opnum 28, [MS-SRVS] 3.1.4.21: the time of day, UTC."""
    r.unique(r.wstring)
    now = call.context.clock()
    utc = time.gmtime(now)
    values = (
        int(now),
        int(call.context.uptime() * 1000),
        utc.tm_hour,
        utc.tm_min,
        utc.tm_sec,
        int(now * 100) % 100,
        call.context.minutes_west(),
        CLOCK_TICK,
        utc.tm_mday,
        utc.tm_mon,
        utc.tm_year,
        (utc.tm_wday + 1) % 7,
    )

    def body() -> None:
        for value in values:
            w.u32(value & 0xFFFFFFFF)

    w.pointer(body)
    return Win32.SUCCESS


def administer(_call: Call, _r: NdrReader, _w: NdrWriter) -> int:
    """Refuse to change shares from afar: ksmbd.conf belongs to ksmbd-addshare."""
    raise RpcError(Win32.ACCESS_DENIED, "shares are changed in the configuration")


SRVSVC: Final = Interface(
    "srvsvc",
    Syntax(UUID("4b324fc8-1670-01d3-1278-5a47bf6ee188"), 3),
    {
        8: srvsvc_lists.CONNECTION_ENUM,
        9: srvsvc_lists.FILE_ENUM,
        10: srvsvc_lists.FILE_GET_INFO,
        11: srvsvc_lists.FILE_CLOSE,
        12: srvsvc_lists.SESSION_ENUM,
        13: srvsvc_lists.SESSION_DEL,
        14: Operation("NetrShareAdd", administer, null_pointer),
        15: Operation("NetrShareEnum", net_share_enum, refuse_enumeration(SHARE_ENUM_LEVELS)),
        16: Operation("NetrShareGetInfo", net_share_get_info, refuse_share_info),
        17: Operation("NetrShareSetInfo", administer, null_pointer),
        18: Operation("NetrShareDel", administer),
        21: Operation("NetrServerGetInfo", net_server_get_info, refuse_server_info),
        23: srvsvc_lists.DISK_ENUM,
        24: Operation("NetrServerStatisticsGet", net_server_statistics_get, null_pointer),
        28: Operation("NetrRemoteTOD", net_remote_tod, null_pointer),
        30: srvsvc_names.PATH_TYPE,
        33: srvsvc_names.NAME_VALIDATE,
        36: Operation(
            "NetrShareEnumSticky", net_share_enum_sticky, refuse_enumeration(SHARE_ENUM_LEVELS)
        ),
    },
)
