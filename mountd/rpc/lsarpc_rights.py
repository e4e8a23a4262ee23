"""Privileges and account rights in lsarpc, [MS-LSAD] 3.1.4.5, 3.1.4.6 and 3.1.4.8.

Who holds what is fixed: it says what the file server does.  Whoever has a right on this machine
traverses directories and logs on over the network; root, who stands for Administrators, backs up,
restores, takes ownership and reads audit entries.  Nobody changes that from afar.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    DACL_PRESENT,
    SELF_RELATIVE,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from ksmbd.wire.status import NtStatus
from mountd.rpc.errors import RpcError
from mountd.rpc.handles import CLOSED, HANDLE_SIZE
from mountd.rpc.interface import Call, Operation, null_pointer, refused, require_admin_status
from mountd.rpc.lsarpc_lookup import Policy
from mountd.rpc.ndr import Fields, NdrReader, NdrWriter

ENGLISH: Final = 0x0409  # LanguageReturned
ENABLED: Final = 3  # SE_PRIVILEGE_ENABLED_BY_DEFAULT | SE_PRIVILEGE_ENABLED
POLICY_ALL_ACCESS: Final = 0x000F0FFF
POLICY_EXECUTE: Final = 0x00020801
NETWORK_LOGON: Final = 0x00000002  # POLICY_MODE_NETWORK
ENTRY_SIZE: Final = 24  # bytes of an entry without its name, for PreferedMaximumLength

EVERYONE: Final = Sid(1, 0)
ADMINISTRATORS: Final = Sid(5, 32, 544)
USERS: Final = Sid(5, 32, 545)


class Privilege(NamedTuple):
    """One privilege, [MS-LSAD] 3.1.1.2.1; its LUID is (number, 0)."""

    name: str
    number: int
    display: str


PRIVILEGES: Final = (
    Privilege("SeSecurityPrivilege", 8, "Manage auditing and security log"),
    Privilege("SeTakeOwnershipPrivilege", 9, "Take ownership of files or other objects"),
    Privilege("SeBackupPrivilege", 17, "Back up files and directories"),
    Privilege("SeRestorePrivilege", 18, "Restore files and directories"),
    Privilege("SeChangeNotifyPrivilege", 23, "Bypass traverse checking"),
)
BY_NAME: Final = {privilege.name.casefold(): privilege for privilege in PRIVILEGES}
BY_NUMBER: Final = {privilege.number: privilege for privilege in PRIVILEGES}
LOGON_RIGHTS: Final = ("SeNetworkLogonRight",)
RIGHTS: Final = frozenset({*BY_NAME, *(name.casefold() for name in LOGON_RIGHTS)})

HOLDERS: Final[dict[Sid, tuple[str, ...]]] = {
    ADMINISTRATORS: (*(privilege.name for privilege in PRIVILEGES), *LOGON_RIGHTS),
    USERS: ("SeChangeNotifyPrivilege", *LOGON_RIGHTS),
    EVERYONE: ("SeChangeNotifyPrivilege", *LOGON_RIGHTS),
}

ROWS: Final[Fields] = (("name", "unicode"), ("low", "u32"), ("high", "u32"))
NAMES: Final[Fields] = (("name", "unicode"),)
SIDS: Final[Fields] = (("sid", "sid"),)


class AccountHandle(NamedTuple):
    """What LsarOpenAccount gave."""

    sid: Sid


class PrivilegeRow:
    """LSAPR_POLICY_PRIVILEGE_DEF, [MS-LSAD] 2.2.8.1."""

    high = 0

    def __init__(self, privilege: Privilege) -> None:
        self.name, self.low = privilege.name, privilege.number


class NameRow(NamedTuple):
    """An element of LSAPR_USER_RIGHT_SET."""

    name: str


class SidRow(NamedTuple):
    """LSAPR_ACCOUNT_INFORMATION."""

    sid: Sid


def _policy(call: Call, r: NdrReader) -> None:
    call.handles.get(r.raw(HANDLE_SIZE, 4), Policy)


def _fitting(sizes: Sequence[int], room: int) -> int:
    """How many entries of *sizes* bytes fit in *room*, at least one."""
    count = 0
    for size in sizes:
        room -= size
        if room < 0 and count:
            break
        count += 1
    return count


def lsar_enumerate_privileges(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarEnumeratePrivileges, opnum 2, [MS-LSAD] 3.1.4.8.1.

    NO_MORE_ENTRIES  the context is behind the last
    """
    _policy(call, r)
    start, room = r.u32(), r.u32()
    left = PRIVILEGES[start:]
    if not left:
        raise RpcError(NtStatus.NO_MORE_ENTRIES, f"context {start}")
    count = _fitting([ENTRY_SIZE + 2 * len(privilege.name) for privilege in left], room)
    w.u32(start + count)
    w.array(ROWS, [PrivilegeRow(privilege) for privilege in left[:count]])
    return NtStatus.SUCCESS


def _no_rows(_call: Call, w: NdrWriter) -> None:
    for _ in ("EnumerationContext", "Entries", "array"):
        w.u32(0)


def lsar_lookup_privilege_value(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarLookupPrivilegeValue, opnum 31, [MS-LSAD] 3.1.4.8.2: NO_SUCH_PRIVILEGE."""
    _policy(call, r)
    privilege = _named(r.unicode())
    w.u32(privilege.number)
    w.u32(0)
    return NtStatus.SUCCESS


def _named(name: str) -> Privilege:
    privilege = BY_NAME.get(name.casefold())
    if privilege is None:
        raise RpcError(NtStatus.NO_SUCH_PRIVILEGE, name)
    return privilege


def _no_luid(_call: Call, w: NdrWriter) -> None:
    w.u32(0)
    w.u32(0)


def lsar_lookup_privilege_name(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarLookupPrivilegeName, opnum 32, [MS-LSAD] 3.1.4.8.3: NO_SUCH_PRIVILEGE."""
    _policy(call, r)
    low, high = r.u32(), r.u32()
    privilege = BY_NUMBER.get(low) if not high else None
    if privilege is None:
        raise RpcError(NtStatus.NO_SUCH_PRIVILEGE, f"{high}:{low}")
    name = privilege.name
    w.pointer(lambda: w.unicode(name))
    return NtStatus.SUCCESS


def lsar_lookup_privilege_display_name(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarLookupPrivilegeDisplayName, opnum 33, [MS-LSAD] 3.1.4.8.4: in English, whatever asked.

    NO_SUCH_PRIVILEGE  none of that name
    """
    _policy(call, r)
    name = r.unicode()
    r.u16(), r.u16()
    display = _named(name).display
    w.pointer(lambda: w.unicode(display))
    w.flush()
    w.u16(ENGLISH)
    return NtStatus.SUCCESS


def _no_display_name(_call: Call, w: NdrWriter) -> None:
    w.null()
    w.u16(0)


def lsar_enumerate_accounts(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarEnumerateAccounts, opnum 11, [MS-LSAD] 3.1.4.5.2: who holds rights.

    ACCESS_DENIED    the caller is no administrator
    NO_MORE_ENTRIES  the context is behind the last
    """
    _policy(call, r)
    start, room = r.u32(), r.u32()
    require_admin_status(call)
    left = list(HOLDERS)[start:]
    if not left:
        raise RpcError(NtStatus.NO_MORE_ENTRIES, f"context {start}")
    count = _fitting([ENTRY_SIZE + len(sid) for sid in left], room)
    w.u32(start + count)
    w.array(SIDS, [SidRow(sid) for sid in left[:count]])
    return NtStatus.SUCCESS


def lsar_open_account(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarOpenAccount, opnum 17, [MS-LSAD] 3.1.4.5.3.

    ACCESS_DENIED          the caller is no administrator
    OBJECT_NAME_NOT_FOUND  the SID holds nothing by itself
    """
    _policy(call, r)
    sid = r.sid()
    r.u32()
    require_admin_status(call)
    _rights_of(sid)
    w.raw(call.handles.open(AccountHandle(sid)))
    return NtStatus.SUCCESS


def _rights_of(sid: Sid) -> tuple[str, ...]:
    rights = HOLDERS.get(sid)
    if rights is None:
        raise RpcError(NtStatus.OBJECT_NAME_NOT_FOUND, str(sid))
    return rights


def _no_handle(_call: Call, w: NdrWriter) -> None:
    w.raw(CLOSED)


def lsar_enumerate_privileges_account(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarEnumeratePrivilegesAccount, opnum 18, [MS-LSAD] 3.1.4.5.4."""
    account = call.handles.get(r.raw(HANDLE_SIZE, 4), AccountHandle)
    names = [BY_NAME.get(name.casefold()) for name in _rights_of(account.sid)]
    held = [privilege for privilege in names if privilege is not None]

    def privileges() -> None:
        """LSAPR_PRIVILEGE_SET: its conformance goes in front of it."""
        for value in (len(held), len(held), 0):
            w.u32(value)
        for privilege in held:
            for value in (privilege.number, 0, ENABLED):
                w.u32(value)

    w.pointer(privileges)
    return NtStatus.SUCCESS


def lsar_get_system_access_account(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarGetSystemAccessAccount, opnum 23, [MS-LSAD] 3.1.4.5.7: over the network."""
    call.handles.get(r.raw(HANDLE_SIZE, 4), AccountHandle)
    w.u32(NETWORK_LOGON)
    return NtStatus.SUCCESS


def _no_access(_call: Call, w: NdrWriter) -> None:
    w.u32(0)


def lsar_enumerate_accounts_with_user_right(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarEnumerateAccountsWithUserRight, opnum 35, [MS-LSAD] 3.1.4.5.9; all without a right.

    ACCESS_DENIED      the caller is no administrator
    NO_SUCH_PRIVILEGE  no right of that name
    NO_MORE_ENTRIES    nobody holds it
    """
    _policy(call, r)
    right = r.unique(r.unicode)
    require_admin_status(call)
    if right is None:
        holders = list(HOLDERS)
    elif right.casefold() in RIGHTS:
        wanted = right.casefold()
        holders = [sid for sid, names in HOLDERS.items() if wanted in map(str.casefold, names)]
    else:
        raise RpcError(NtStatus.NO_SUCH_PRIVILEGE, right)
    w.array(SIDS, [SidRow(sid) for sid in holders])
    return NtStatus.SUCCESS


def lsar_enumerate_account_rights(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarEnumerateAccountRights, opnum 36, [MS-LSAD] 3.1.4.5.10.

    OBJECT_NAME_NOT_FOUND  the SID holds nothing by itself
    """
    _policy(call, r)
    rights = _rights_of(r.sid())
    w.array(NAMES, [NameRow(name) for name in rights])
    return NtStatus.SUCCESS


def _no_rights(_call: Call, w: NdrWriter) -> None:
    w.u32(0)
    w.null()


def lsar_query_security_object(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """LsarQuerySecurityObject, opnum 3, [MS-LSAD] 3.1.4.9.1: of the policy and of accounts.

    ACCESS_DENIED  the caller is no administrator
    """
    call.handles.get(r.raw(HANDLE_SIZE, 4), object)
    r.u32()
    require_admin_status(call)
    grants = ((EVERYONE, POLICY_EXECUTE), (ADMINISTRATORS, POLICY_ALL_ACCESS))
    aces = tuple(Ace(ACCESS_ALLOWED, 0, mask, sid) for sid, mask in grants)
    data = SecurityDescriptor(
        DACL_PRESENT | SELF_RELATIVE, ADMINISTRATORS, ADMINISTRATORS, dacl=Acl(aces)
    ).pack()

    def descriptor() -> None:
        w.u32(len(data))
        w.octets(data)

    w.pointer(descriptor)
    return NtStatus.SUCCESS


_DENIED: Final = NtStatus.ACCESS_DENIED
OPERATIONS: Final[dict[int, Operation]] = {
    2: Operation("LsarEnumeratePrivileges", lsar_enumerate_privileges, _no_rows),
    3: Operation("LsarQuerySecurityObject", lsar_query_security_object, null_pointer),
    4: refused("LsarSetSecurityObject", _DENIED),
    8: refused("LsarSetInformationPolicy", _DENIED),
    10: refused("LsarCreateAccount", _DENIED, 5),
    11: Operation("LsarEnumerateAccounts", lsar_enumerate_accounts, _no_rows),
    12: refused("LsarCreateTrustedDomain", _DENIED, 5),
    13: refused("LsarEnumerateTrustedDomains", NtStatus.NO_MORE_ENTRIES, 3),
    16: refused("LsarCreateSecret", _DENIED, 5),
    17: Operation("LsarOpenAccount", lsar_open_account, _no_handle),
    18: Operation(
        "LsarEnumeratePrivilegesAccount", lsar_enumerate_privileges_account, null_pointer
    ),
    19: refused("LsarAddPrivilegesToAccount", _DENIED),
    20: refused("LsarRemovePrivilegesFromAccount", _DENIED),
    23: Operation("LsarGetSystemAccessAccount", lsar_get_system_access_account, _no_access),
    24: refused("LsarSetSystemAccessAccount", _DENIED),
    25: refused("LsarOpenTrustedDomain", NtStatus.OBJECT_NAME_NOT_FOUND, 5),
    28: refused("LsarOpenSecret", NtStatus.OBJECT_NAME_NOT_FOUND, 5),
    31: Operation("LsarLookupPrivilegeValue", lsar_lookup_privilege_value, _no_luid),
    32: Operation("LsarLookupPrivilegeName", lsar_lookup_privilege_name, null_pointer),
    33: Operation(
        "LsarLookupPrivilegeDisplayName", lsar_lookup_privilege_display_name, _no_display_name
    ),
    34: refused("LsarDeleteObject", _DENIED, 5),
    35: Operation(
        "LsarEnumerateAccountsWithUserRight", lsar_enumerate_accounts_with_user_right, _no_rights
    ),
    36: Operation("LsarEnumerateAccountRights", lsar_enumerate_account_rights, _no_rights),
    37: refused("LsarAddAccountRights", _DENIED),
    38: refused("LsarRemoveAccountRights", _DENIED),
    39: refused("LsarQueryTrustedDomainInfo", NtStatus.OBJECT_NAME_NOT_FOUND, 1),
    42: refused("LsarStorePrivateData", _DENIED),
    47: refused("LsarSetInformationPolicy2", _DENIED),
    48: refused("LsarQueryTrustedDomainInfoByName", NtStatus.OBJECT_NAME_NOT_FOUND, 1),
    50: refused("LsarEnumerateTrustedDomainsEx", NtStatus.NO_MORE_ENTRIES, 3),
    53: refused("LsarQueryDomainInformationPolicy", NtStatus.OBJECT_NAME_NOT_FOUND, 1),
    55: refused("LsarOpenTrustedDomainByName", NtStatus.OBJECT_NAME_NOT_FOUND, 5),
}
