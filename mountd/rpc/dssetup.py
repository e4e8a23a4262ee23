"""dssetup, the directory services setup interface, [MS-DSSP] 3.2.5: asked on \\PIPE\\lsarpc."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import Call, Interface, Operation, null_pointer
from mountd.rpc.ndr import NdrReader, NdrWriter
from mountd.rpc.pdu import Syntax

STANDALONE_SERVER: Final = 2  # DSROLE_MACHINE_ROLE, [MS-DSSP] 2.2.1
BASIC: Final = 1  # DSROLE_PRIMARY_DOMAIN_INFO_LEVEL, [MS-DSSP] 2.2.2
UPGRADE: Final = 2
OPERATION: Final = 3


def ds_roler_get_primary_domain_information(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """DsRolerGetPrimaryDomainInformation, opnum 0, [MS-DSSP] 3.2.5.1: a stand-alone server.

    INVALID_PARAMETER  not level 1, 2 or 3
    """
    level = r.u16()
    if level not in (BASIC, UPGRADE, OPERATION):
        raise RpcError(Win32.INVALID_PARAMETER, f"level {level}")

    def information() -> None:
        w.u16(level)
        w.align(4)  # a union is aligned as its most aligned arm, [C706] 14.3.8
        if level == BASIC:
            _basic(call, w)
        elif level == UPGRADE:
            w.u32(0)  # not upgrading ...
            w.u16(0)  # ... from anything
        else:
            w.u16(0)  # idle

    w.pointer(information)
    return Win32.SUCCESS


def _basic(call: Call, w: NdrWriter) -> None:
    """DSROLER_PRIMARY_DOMAIN_INFO_BASIC, [MS-DSSP] 2.2.3."""
    w.u16(STANDALONE_SERVER)
    w.u32(0)  # no domain GUID, no directory service
    w.unique_wstring(call.context.workgroup)
    w.unique_wstring(None)
    w.unique_wstring(None)
    w.raw(bytes(16))


DSSETUP: Final = Interface(
    "dssetup",
    Syntax(UUID("3919286a-b10c-11d0-9ba8-00c04fd92ef5"), 0),
    {
        0: Operation(
            "DsRolerGetPrimaryDomainInformation",
            ds_roler_get_primary_domain_information,
            null_pointer,
        ),
    },
)
