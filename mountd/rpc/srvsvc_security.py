"""Descriptors of files in srvsvc, [MS-SRVS] 3.1.4.27 and 3.1.4.28, as the caller's user."""

from __future__ import annotations

from typing import Final

from ksmbd.wire.base import WireError
from ksmbd.wire.security import SecurityDescriptor
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import Call, Operation, null_pointer
from mountd.rpc.ndr import NdrReader, NdrWriter

MAX_DESCRIPTOR: Final = 64 * 1024  # bytes


def netrp_get_file_security(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetrpGetFileSecurity, opnum 39, [MS-SRVS] 3.1.4.27.

    INVALID_PARAMETER  no share is named
    (others)           of the share and the file: mountd/file_security.py
    """
    share, path, information = _read_file(r)
    security = call.context.file_security(call.caller, share, path, information)

    def descriptor() -> None:
        """ADT_SECURITY_DESCRIPTOR, [MS-SRVS] 2.2.4.95."""
        w.u32(len(security))
        w.octets(security)

    w.pointer(descriptor)
    return Win32.SUCCESS


def netrp_set_file_security(call: Call, r: NdrReader, _w: NdrWriter) -> int:
    """NetrpSetFileSecurity, opnum 40, [MS-SRVS] 3.1.4.28: statuses as above, and

    INVALID_SECURITY_DESCR  malformed, or too long
    """
    share, path, information = _read_file(r)
    length, pointer = r.u32(), r.u32()
    security = r.octets() if pointer else b""
    if len(security) != length:
        raise WireError(f"descriptor of {length} bytes has {len(security)}")
    try:
        SecurityDescriptor.unpack(security)
    except WireError as malformed:
        raise RpcError(Win32.INVALID_SECURITY_DESCR, str(malformed)) from None
    if length > MAX_DESCRIPTOR:
        raise RpcError(Win32.INVALID_SECURITY_DESCR, f"{length} bytes")
    call.context.file_security(call.caller, share, path, information, security)
    return Win32.SUCCESS


def _read_file(r: NdrReader) -> tuple[str, str, int]:
    """Read ServerName, ShareName, lpFileName and SecurityInformation."""
    r.unique(r.wstring)
    share = r.unique(r.wstring)
    path, information = r.wstring(), r.u32()
    if not share:
        raise RpcError(Win32.INVALID_PARAMETER, "no share")
    return share, path, information


OPERATIONS: Final[dict[int, Operation]] = {
    39: Operation("NetrpGetFileSecurity", netrp_get_file_security, null_pointer),
    40: Operation("NetrpSetFileSecurity", netrp_set_file_security),
}
