"""lsarpc, the local security authority, [MS-LSAD] 3.1.4 and [MS-LSAT] 3.1.4.

Read only: who we are, names of SIDs and back (``lsarpc_lookup``), who holds which privilege
(``lsarpc_rights``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from ksmbd.wire.security import Sid
from ksmbd.wire.status import NtStatus
from mountd.rpc import lsarpc_lookup, lsarpc_rights
from mountd.rpc.errors import RpcError
from mountd.rpc.handles import CLOSED, HANDLE_SIZE
from mountd.rpc.interface import Call, Interface, Operation, null_pointer
from mountd.rpc.lsarpc_lookup import Policy
from mountd.rpc.ndr import NdrReader, NdrWriter
from mountd.rpc.pdu import Syntax
from mountd.rpc.principals import WELL_KNOWN, Principals

ANONYMOUS: Final = Sid(5, 7)
SERVER_ROLE_PRIMARY: Final = 3  # [MS-LSAD] 2.2.4.9: also of a stand-alone server


def no_handle(_call: Call, w: NdrWriter) -> None:
    """Refuse with a zero context handle."""
    w.align(4)
    w.raw(CLOSED)


def lsar_open_policy(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarOpenPolicy, opnum 6, [MS-LSAD] 3.1.4.4.2; its SystemName is a single character.

    INVALID_PARAMETER       the attributes name a root directory, an object or a descriptor
    INSUFFICIENT_RESOURCES  too many handles on this pipe
    """
    r.unique(r.u16)
    return _open_policy(call, r, w)


def lsar_open_policy2(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarOpenPolicy2, opnum 44, [MS-LSAD] 3.1.4.4.1: statuses as LsarOpenPolicy."""
    r.unique(r.wstring)
    return _open_policy(call, r, w)


def lsar_open_policy3(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarOpenPolicy3, opnum 130, [MS-LSAD] 3.1.4.4.9: revision 1, no features.

    NOT_SUPPORTED  InVersion is not 1; else as LsarOpenPolicy
    """
    r.unique(r.wstring)
    _read_object_attributes(r)
    r.u32()
    version, arm = r.u32(), r.u32()
    if version != 1 or arm != 1:
        raise RpcError(NtStatus.NOT_SUPPORTED, f"version {version}")
    r.u32(), r.u32()
    for value in (1, 1, 1, 0):
        w.u32(value)
    w.raw(call.handles.open(Policy()))
    return NtStatus.SUCCESS


def _refuse_policy3(call: Call, w: NdrWriter) -> None:
    for value in (1, 1, 0, 0):
        w.u32(value)
    no_handle(call, w)


def _open_policy(call: Call, r: NdrReader, w: NdrWriter) -> int:
    _read_object_attributes(r)
    r.u32()  # DesiredAccess: there is nothing here to change
    w.raw(call.handles.open(Policy()))
    return NtStatus.SUCCESS


def _read_object_attributes(r: NdrReader) -> None:
    """Read LSAPR_OBJECT_ATTRIBUTES, [MS-LSAD] 2.2.2.4; only the quality of service may be there."""
    r.u32()
    root, name = r.u32(), r.u32()
    r.u32()
    descriptor, quality = r.u32(), r.u32()
    if root or name or descriptor:
        raise RpcError(NtStatus.INVALID_PARAMETER, "object attributes")
    if quality:
        r.u32(), r.u16(), r.u8(), r.u8()


def lsar_close(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarClose, opnum 0, [MS-LSAD] 3.1.4.9.4; a handle that is not open is a fault."""
    call.handles.close(r.raw(HANDLE_SIZE, 4))
    w.raw(CLOSED)
    return NtStatus.SUCCESS


def lsar_query_information_policy(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarQueryInformationPolicy, opnums 7 and 46, [MS-LSAD] 3.1.4.4.4.

    INVALID_PARAMETER  a class that is not in CLASSES
    """
    call.handles.get(r.raw(HANDLE_SIZE, 4), Policy)
    level = r.u16()
    body = CLASSES.get(level)
    if body is None:
        raise RpcError(NtStatus.INVALID_PARAMETER, f"policy class {level}")

    def information() -> None:
        w.u16(level)
        body(call, w)

    w.pointer(information)
    return NtStatus.SUCCESS


def _primary_domain(call: Call, w: NdrWriter) -> None:
    """The workgroup, which has no SID, [MS-LSAD] 2.2.4.5."""
    w.unicode(call.context.workgroup)
    w.sid(None)


def _account_domain(call: Call, w: NdrWriter) -> None:
    """This machine, [MS-LSAD] 2.2.4.6."""
    machine = Principals(call.context)
    w.unicode(machine.domain_name)
    w.sid(machine.domain)


def _audit_events(_call: Call, w: NdrWriter) -> None:
    """POLICY_AUDIT_EVENTS_INFO, [MS-LSAD] 2.2.4.4: the policy audits nothing."""
    w.align(4)
    w.u8(0)
    w.null()
    w.u32(0)


def _primary_account(_call: Call, w: NdrWriter) -> None:
    """LSAPR_POLICY_PD_ACCOUNT_INFO, [MS-LSAD] 2.2.4.8: none."""
    w.unicode("")


def _server_role(_call: Call, w: NdrWriter) -> None:
    w.u32(SERVER_ROLE_PRIMARY)  # where Samba's and impacket's clients look for it


def _dns_domain(call: Call, w: NdrWriter) -> None:
    """The workgroup without any DNS domain, [MS-LSAD] 2.2.4.14."""
    w.unicode(call.context.workgroup)
    w.unicode("")
    w.unicode("")
    w.raw(bytes(16))
    w.sid(None)


CLASSES: Final[dict[int, Callable[[Call, NdrWriter], None]]] = {
    2: _audit_events,
    3: _primary_domain,
    4: _primary_account,
    5: _account_domain,
    6: _server_role,
    12: _dns_domain,
    13: _dns_domain,
    14: _account_domain,
}


def lsar_get_user_name(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarGetUserName, opnum 45, [MS-LSAT] 3.1.4.2: whom the caller is logged on as.

    DomainName comes back only if it was asked for.
    """
    r.unique(r.wstring)
    r.unique(r.unicode)
    wants_domain = r.u32() != 0
    if wants_domain:
        r.unique(r.unicode)
    machine = Principals(call.context)
    name, domain = call.caller.account, machine.domain_name
    if call.caller.is_anonymous or not name:
        name, domain = WELL_KNOWN[ANONYMOUS].name, WELL_KNOWN[ANONYMOUS].domain_name
    w.pointer(lambda: w.unicode(name))
    w.flush()
    w.pointer((lambda: w.pointer(lambda: w.unicode(domain))) if wants_domain else None)
    return NtStatus.SUCCESS


LSARPC: Final = Interface(
    "lsarpc",
    Syntax(UUID("12345778-1234-abcd-ef00-0123456789ab"), 0),
    {
        0: Operation("LsarClose", lsar_close, no_handle),
        6: Operation("LsarOpenPolicy", lsar_open_policy, no_handle),
        7: Operation("LsarQueryInformationPolicy", lsar_query_information_policy, null_pointer),
        44: Operation("LsarOpenPolicy2", lsar_open_policy2, no_handle),
        45: Operation("LsarGetUserName", lsar_get_user_name, null_pointer),
        46: Operation("LsarQueryInformationPolicy2", lsar_query_information_policy, null_pointer),
        130: Operation("LsarOpenPolicy3", lsar_open_policy3, _refuse_policy3),
        **lsarpc_lookup.OPERATIONS,
        **lsarpc_rights.OPERATIONS,
    },
)
