"""Shares in srvsvc, [MS-SRVS] 3.1.4.7 to 3.1.4.14: told to everybody, changed by administrators.

A share's own security descriptor is enforced by ksmbd at the tree connect and at every open; one
that nobody has set lets everyone do all, and the files' descriptors decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ksmbd.wire.base import WireError
from ksmbd.wire.security import (
    DACL_PRESENT,
    DACL_PROTECTED,
    SELF_RELATIVE,
    SecurityDescriptor,
)
from mountd.rpc.containers import Levels, enumerate_rows, read_enumeration, refuse_enumeration
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import (
    DISK,
    SPECIAL,
    Call,
    Operation,
    Share,
    ShareChange,
    require_admin,
)
from mountd.rpc.ndr import Fields, NdrReader, NdrWriter
from mountd.rpc.srvsvc_info import (
    ADMIN_SHARE_LEVELS,
    OTHER_SHARE_LEVELS,
    SHARE_ENUM_LEVELS,
    SHARE_INFO,
    SHI1005_ACCESS_BASED_DIRECTORY_ENUM,
    UNLIMITED,
    ShareRow,
)

Source = Callable[[], Sequence[Share]]

FLAGS_LEVEL: Final = 501
STICKY_LEVELS: Final[Levels] = {
    level: fields for level, fields in SHARE_ENUM_LEVELS.items() if level != FLAGS_LEVEL
}
ADD_LEVELS: Final = frozenset({2, 502, 503})
SET_LEVELS: Final = frozenset({1, 2, 502, 503, 1004, 1005, 1006, 1501})
ON_OUR_SIDE: Final = frozenset({"*", ""})  # shi503_servername of a server without scopes
# ParmErr, [MS-SRVS] 2.2.2.11
NAME_PARAMETER: Final = 1
TYPE_PARAMETER: Final = 3
PATH_PARAMETER: Final = 8
SERVER_PARAMETER: Final = 503  # of which nothing is said there
MAX_DESCRIPTOR: Final = 32 * 1024  # bytes


def net_share_enum(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrShareEnum, opnum 15, [MS-SRVS] 3.1.4.8: browseable shares.

    INVALID_LEVEL  not one of 0, 1, 2, 501, 502, 503
    ACCESS_DENIED  levels 2, 502 and 503 are for administrators, 501 for real users
    BUF_TOO_SMALL  not even one share fits PreferedMaximumLength
    MORE_DATA      not all did; ResumeHandle says where to go on
    """
    return _enum(call, r, w, lambda: call.context.shares(call.caller))


def net_share_enum_sticky(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrShareEnumSticky, opnum 36, [MS-SRVS] 3.1.4.9: without IPC$ and hidden shares.

    Statuses as NetrShareEnum; level 501 is an INVALID_LEVEL here.
    """
    shares = call.context.shares
    levels = STICKY_LEVELS
    return _enum(call, r, w, lambda: [s for s in shares(call.caller) if s.name[-1:] != "$"], levels)


def _enum(
    call: Call, r: NdrReader, w: NdrWriter, shares: Source, levels: Levels = SHARE_ENUM_LEVELS
) -> int:
    asked = read_enumeration(call, r, levels)
    if asked.level == FLAGS_LEVEL and (call.caller.is_anonymous or call.caller.is_guest):
        raise RpcError(Win32.ACCESS_DENIED, "level 501 without an account")
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
    share = _the_share(call, name)
    w.u32(call.level)
    w.pointer(lambda: w.struct(fields, ShareRow(share)))
    return Win32.SUCCESS


def find_share(shares: Sequence[Share], name: str) -> Share | None:
    """Return the share of that *name*, compared without regard to case."""
    wanted = name.casefold()
    return next((share for share in shares if share.name.casefold() == wanted), None)


def _the_share(call: Call, name: str) -> Share:
    share = find_share(call.context.shares(call.caller), name)
    if share is None:
        raise RpcError(Win32.NET_NAME_NOT_FOUND, name)
    return share


def net_share_add(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrShareAdd, opnum 14, [MS-SRVS] 3.1.4.7: a section of ksmbd.conf.

    INVALID_LEVEL      not one of 2, 502, 503
    ACCESS_DENIED      the caller is no administrator
    INVALID_PARAMETER  no name or path, no disk share, or another server's; ParmErr says which
    (others)           of the configuration: mountd/administration.py
    """
    r.unique(r.wstring)
    row = _read_info(call, r, ADD_LEVELS)
    call.wrong = _asks_which(r)
    require_admin(call)
    name, path = row["name"], row["path"]
    for parameter, right in (
        (NAME_PARAMETER, name),
        (TYPE_PARAMETER, row["type"] == DISK),
        (PATH_PARAMETER, path),
        (SERVER_PARAMETER, (row.get("server") or "") in ON_OUR_SIDE),
    ):
        if not right:
            if call.wrong is not None:
                call.wrong = parameter
            raise RpcError(Win32.INVALID_PARAMETER, f"parameter {parameter} of {name!r}")
    call.context.add_share(name, path, _change(row))
    w.unique_u32(call.wrong)
    return Win32.SUCCESS


def net_share_set_info(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrShareSetInfo, opnum 17, [MS-SRVS] 3.1.4.11.

    Of what a level has, the comment, the limit, the flags and the descriptor are set; name, type
    and path are those of the share, whatever is sent ([MS-SMB2] 3.3.4.14).

    INVALID_LEVEL       not one of 1, 2, 502, 503, 1004, 1005, 1006, 1501
    ACCESS_DENIED       the caller is no administrator; IPC$
    NET_NAME_NOT_FOUND  no such share
    NOT_SUPPORTED       flags other than access-based enumeration
    (others)            of the configuration: mountd/administration.py
    """
    r.unique(r.wstring)
    name = r.wstring()
    row = _read_info(call, r, SET_LEVELS)
    call.wrong = _asks_which(r)
    require_admin(call)
    share = _the_share(call, name)
    if share.type & SPECIAL:
        raise RpcError(Win32.ACCESS_DENIED, f"{name} is the server's own")
    call.context.change_share(share.name, _change(row))
    w.unique_u32(call.wrong)
    return Win32.SUCCESS


def net_share_del(call: Call, r: NdrReader, _w: NdrWriter) -> int:
    """NetrShareDel, opnum 18, and NetrShareDelSticky, opnum 19, [MS-SRVS] 3.1.4.12 on.

    ACCESS_DENIED       the caller is no administrator; IPC$
    NET_NAME_NOT_FOUND  no such share
    (others)            of the configuration: mountd/administration.py
    """
    r.unique(r.wstring)
    name = r.wstring()
    r.u32()
    require_admin(call)
    share = _the_share(call, name)
    if share.type & SPECIAL:
        raise RpcError(Win32.ACCESS_DENIED, f"{name} is the server's own")
    call.context.delete_share(share.name)
    return Win32.SUCCESS


def net_share_check(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrShareCheck, opnum 20, [MS-SRVS] 3.1.4.14: is that directory shared, and as what?

    Whoever has an account may ask, about the shares there are for them.

    ACCESS_DENIED      the caller is anonymous
    DEVICE_NOT_SHARED  no share of ours has that path
    """
    r.unique(r.wstring)
    device = r.wstring().rstrip("\\").casefold()
    if call.caller.is_anonymous:
        raise RpcError(Win32.ACCESS_DENIED, "anonymous")
    for share in call.context.shares(call.caller):
        if ShareRow(share).path.rstrip("\\").casefold() == device:
            w.u32(share.type & ~SPECIAL)
            return Win32.SUCCESS
    raise RpcError(Win32.DEVICE_NOT_SHARED, device)


def _read_info(call: Call, r: NdrReader, levels: frozenset[int]) -> Mapping[str, Any]:
    """Read Level and SHARE_INFO, [MS-SRVS] 2.2.3.6."""
    call.level, arm = r.u32(), r.u32()
    if arm != call.level:
        raise WireError(f"level {call.level}, discriminant {arm}")
    if call.level not in levels:
        raise RpcError(Win32.INVALID_LEVEL, str(call.level))
    fields: Fields = SHARE_INFO[call.level]
    row = r.unique(lambda: r.struct(fields))
    if row is None:
        raise RpcError(Win32.INVALID_PARAMETER, "no information")
    return row


def _asks_which(r: NdrReader) -> int | None:
    """Read ParmErr: no parameter is wrong so far, or nobody asks."""
    return None if r.unique(r.u32) is None else 0


def _refuse_change(call: Call, w: NdrWriter) -> None:
    w.unique_u32(call.wrong)


def _change(row: Mapping[str, Any]) -> ShareChange:
    """What a structure sets."""
    limit, flags, comment = row.get("max_uses"), row.get("flags"), row.get("comment")
    if flags is not None and flags & ~SHI1005_ACCESS_BASED_DIRECTORY_ENUM:
        raise RpcError(Win32.NOT_SUPPORTED, f"flags {flags:#x}")
    return ShareChange(
        comment=(comment or "") if "comment" in row else None,
        max_users=0 if limit == UNLIMITED else limit,
        lists_by_access=None if flags is None else bool(flags),
        security=_security(row),
    )


def _security(row: Mapping[str, Any]) -> bytes | None:
    """The descriptor of a structure without its SACL, if it has one at all.

    INVALID_SECURITY_DESCR  malformed, too long, or without a DACL
    """
    data = row.get("descriptor")
    if data is None:
        return None
    if len(data) != row["descriptor_size"]:
        raise WireError(f"descriptor of {row['descriptor_size']} bytes has {len(data)}")
    try:
        sd = SecurityDescriptor.unpack(data)
        if not sd.dacl_present or len(data) > MAX_DESCRIPTOR:
            raise WireError("no DACL, or a long one")
    except WireError as malformed:
        raise RpcError(Win32.INVALID_SECURITY_DESCR, str(malformed)) from None
    control = SELF_RELATIVE | sd.control & (DACL_PROTECTED | DACL_PRESENT)
    return sd._replace(control=control, sacl=None, sbz1=0).pack()


def _refuse_info(call: Call, w: NdrWriter) -> None:
    """Write the union of a refused NetrShareGetInfo: no arm for a level nobody knows."""
    w.u32(call.level)
    if call.level in SHARE_INFO or call.level in OTHER_SHARE_LEVELS:
        w.null()


def _refuse_check(_call: Call, w: NdrWriter) -> None:
    w.u32(DISK)


OPERATIONS: Final[dict[int, Operation]] = {
    14: Operation("NetrShareAdd", net_share_add, _refuse_change),
    15: Operation("NetrShareEnum", net_share_enum, refuse_enumeration(SHARE_ENUM_LEVELS)),
    16: Operation("NetrShareGetInfo", net_share_get_info, _refuse_info),
    17: Operation("NetrShareSetInfo", net_share_set_info, _refuse_change),
    18: Operation("NetrShareDel", net_share_del),
    19: Operation("NetrShareDelSticky", net_share_del),
    20: Operation("NetrShareCheck", net_share_check, _refuse_check),
    36: Operation(
        "NetrShareEnumSticky", net_share_enum_sticky, refuse_enumeration(SHARE_ENUM_LEVELS)
    ),
}
