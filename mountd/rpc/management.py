"""mgmt, the remote management interface of every RPC server, [C706] appendix Q: on every pipe.

Programs ask it which interfaces a pipe has, and whether anybody listens there.
"""

from __future__ import annotations

from functools import partial
from typing import Final
from uuid import UUID

from ksmbd.wire.base import WireError
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import Call, Interface, Operation, null_pointer, refused
from mountd.rpc.ndr import NdrReader, NdrWriter
from mountd.rpc.pdu import Syntax

LISTENING: Final = 1  # the result of is_server_listening is a boolean, no status
STATISTICS: Final = 4  # calls in and out, packets in and out


def write_interface(w: NdrWriter, syntax: Syntax) -> None:
    """Write an rpc_if_id_t, [C706] appendix N."""
    w.align(4)
    w.raw(syntax.uuid.bytes_le)
    w.u16(syntax.major)
    w.u16(syntax.minor)


def inq_if_ids(call: Call, _r: NdrReader, w: NdrWriter) -> int:
    """rpc__mgmt_inq_if_ids, opnum 0, [C706] appendix Q: what the pipe offers."""
    offered = [interface.syntax for interface in call.offered]

    def vector() -> None:
        w.u32(len(offered))
        w.u32(len(offered))
        for syntax in offered:
            w.pointer(partial(write_interface, w, syntax))

    w.pointer(vector)
    return Win32.SUCCESS


def inq_stats(_call: Call, r: NdrReader, _w: NdrWriter) -> int:
    """rpc__mgmt_inq_stats, opnum 1, [C706] appendix Q: NOT_SUPPORTED, none are kept."""
    r.u32()
    raise RpcError(Win32.NOT_SUPPORTED, "statistics")


def _no_statistics(_call: Call, w: NdrWriter) -> None:
    for value in (STATISTICS, STATISTICS, *[0] * STATISTICS):
        w.u32(value)


def is_server_listening(_call: Call, _r: NdrReader, w: NdrWriter) -> int:
    """rpc__mgmt_is_server_listening, opnum 2, [C706] appendix Q: it is."""
    w.u32(Win32.SUCCESS)
    return LISTENING


def inq_princ_name(_call: Call, r: NdrReader, w: NdrWriter) -> int:
    """rpc__mgmt_inq_princ_name, opnum 4, [C706] appendix Q.

    UNKNOWN_AUTHN_SERVICE  always: on a pipe the SMB session has authenticated its client
    """
    r.u32()
    room = r.u32()
    if not room:
        raise WireError("no room for a name")
    for value in (room, 0, 1):
        w.u32(value)
    w.u8(0)
    return Win32.UNKNOWN_AUTHN_SERVICE


MGMT: Final = Interface(
    "mgmt",
    Syntax(UUID("afa8bd80-7d8a-11c9-bef4-08002b102989"), 1),
    {
        0: Operation("rpc__mgmt_inq_if_ids", inq_if_ids, null_pointer),
        1: Operation("rpc__mgmt_inq_stats", inq_stats, _no_statistics, Win32.NOT_SUPPORTED),
        2: Operation("rpc__mgmt_is_server_listening", is_server_listening),
        3: refused("rpc__mgmt_stop_server_listening", Win32.ACCESS_DENIED),
        4: Operation("rpc__mgmt_inq_princ_name", inq_princ_name),
    },
)
