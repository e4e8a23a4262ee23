"""srvsvc, the server service, [MS-SRVS] 3.1.4: the server itself, and the table of all.

Shares are in ``srvsvc_shares``, session, file and connection lists in ``srvsvc_lists``, the share
and server structures in ``srvsvc_info``, name and path checks in ``srvsvc_names``.
"""

from __future__ import annotations

import time
from typing import Final
from uuid import UUID

from mountd.rpc import srvsvc_lists, srvsvc_names, srvsvc_security, srvsvc_shares
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import (
    Call,
    Interface,
    Operation,
    null_pointer,
    refused,
    require_admin,
)
from mountd.rpc.ndr import NdrReader, NdrWriter
from mountd.rpc.pdu import Syntax
from mountd.rpc.srvsvc_info import (
    ADMIN_SERVER_LEVELS,
    OTHER_SERVER_LEVELS,
    SERVER_INFO,
    ServerRow,
)

CLOCK_TICK: Final = 310  # tod_tinterval: one tick is 31 ms, in units of 0.1 ms


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


def refuse_server_info(call: Call, w: NdrWriter) -> None:
    w.u32(call.level)
    if call.level in SERVER_INFO or call.level in OTHER_SERVER_LEVELS:
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
        **srvsvc_shares.OPERATIONS,
        **srvsvc_security.OPERATIONS,
        21: Operation("NetrServerGetInfo", net_server_get_info, refuse_server_info),
        22: refused("NetrServerSetInfo", Win32.ACCESS_DENIED, 1),
        23: srvsvc_lists.DISK_ENUM,
        24: Operation(
            "NetrServerStatisticsGet", net_server_statistics_get, null_pointer, Win32.NOT_SUPPORTED
        ),
        25: refused("NetrServerTransportAdd", Win32.NOT_SUPPORTED),
        26: srvsvc_lists.TRANSPORT_ENUM,
        27: refused("NetrServerTransportDel", Win32.NOT_SUPPORTED),
        28: Operation("NetrRemoteTOD", net_remote_tod, null_pointer),
        30: srvsvc_names.PATH_TYPE,
        31: srvsvc_names.PATH_CANONICALIZE,
        32: srvsvc_names.PATH_COMPARE,
        33: srvsvc_names.NAME_VALIDATE,
        34: srvsvc_names.NAME_CANONICALIZE,
        35: srvsvc_names.NAME_COMPARE,
        37: refused("NetrShareDelStart", Win32.NOT_SUPPORTED, 5),
        38: refused("NetrShareDelCommit", Win32.NOT_SUPPORTED, 5),
        41: refused("NetrServerTransportAddEx", Win32.NOT_SUPPORTED),
        43: refused("NetrDfsGetVersion", Win32.NOT_SUPPORTED, 1),
        53: refused("NetrServerTransportDelEx", Win32.NOT_SUPPORTED),
        54: refused("NetrServerAliasAdd", Win32.NOT_SUPPORTED),
        56: refused("NetrServerAliasDel", Win32.NOT_SUPPORTED),
    },
)
