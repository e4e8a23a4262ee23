"""Groups, aliases and lists for display in samr, [MS-SAMR] 3.1.5.

The machine has one group, None, that every account is in; Builtin has aliases, of which
Administrators has those who administer the server, and Users everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ksmbd.wire.security import Sid
from ksmbd.wire.status import NtStatus
from mountd.rpc.errors import RpcError
from mountd.rpc.handles import HANDLE_SIZE
from mountd.rpc.interface import Account, Call, Operation, null_pointer, refused
from mountd.rpc.lsarpc import no_handle
from mountd.rpc.ndr import Fields, NdrReader, NdrWriter
from mountd.rpc.principals import ALIASES, BUILTIN, GROUPS, Principals
from mountd.rpc.samr_info import (
    ACCOUNT_DISABLED,
    DONT_EXPIRE_PASSWORD,
    NORMAL_ACCOUNT,
    AliasHandle,
    DomainHandle,
    GroupHandle,
    UserHandle,
)

GROUP_ATTRIBUTES: Final = 7  # mandatory, enabled by default, enabled; [MS-SAMR] 2.2.1.10
ADMINISTRATORS_RID: Final = 544
USERS_RID: Final = 545
MAX_ENTRIES: Final = 1024  # of one list for display
ROW_SIZE: Final = 64  # bytes of a row without its texts, for PreferredMaximumLength

NUMBERS: Final[Fields] = (("number", "u32"),)
SIDS: Final[Fields] = (("sid", "sid"),)


class Number(NamedTuple):
    """An element of SAMPR_ULONG_ARRAY."""

    number: int


class Member(NamedTuple):
    """An element of SAMPR_PSID_ARRAY."""

    sid: Sid


# -- groups ------------------------------------------------------------------------------


def samr_open_group(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrOpenGroup, opnum 19, [MS-SAMR] 3.1.5.1.7: NO_SUCH_GROUP but for None."""
    domain = call.handles.get(r.raw(HANDLE_SIZE, 4), DomainHandle)
    r.u32()
    rid = r.u32()
    if domain.sid == BUILTIN or rid not in GROUPS:
        raise RpcError(NtStatus.NO_SUCH_GROUP, f"RID {rid}")
    w.raw(call.handles.open(GroupHandle(rid)))
    return NtStatus.SUCCESS


def samr_query_information_group(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrQueryInformationGroup, opnum 20, [MS-SAMR] 3.1.5.5.3: levels 1 to 5.

    INVALID_INFO_CLASS  another level
    """
    group = call.handles.get(r.raw(HANDLE_SIZE, 4), GroupHandle)
    level = r.u16()
    if level not in range(1, 6):
        raise RpcError(NtStatus.INVALID_INFO_CLASS, f"group level {level}")

    def information() -> None:
        w.u16(level)
        w.align(4)
        if level in (1, 2, 5):
            w.unicode(GROUPS[group.rid])
        if level in (1, 3, 5):
            w.u32(GROUP_ATTRIBUTES)
        if level in (1, 5):
            w.u32(len(_account_sids(call)))
        if level in (1, 4, 5):
            w.unicode("")

    w.pointer(information)
    return NtStatus.SUCCESS


def samr_get_members_in_group(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrGetMembersInGroup, opnum 25, [MS-SAMR] 3.1.5.8.3: every account is in None.

    ACCESS_DENIED  the caller is a guest
    """
    call.handles.get(r.raw(HANDLE_SIZE, 4), GroupHandle)
    _refuse_guests(call)
    rids = [sid.rid or 0 for sid in _account_sids(call)]

    def members() -> None:
        w.u32(len(rids))
        w.pointer(lambda: w.rows(NUMBERS, [Number(rid) for rid in rids]))
        w.pointer(lambda: w.rows(NUMBERS, [Number(GROUP_ATTRIBUTES)] * len(rids)))

    w.pointer(members)
    return NtStatus.SUCCESS


def _refuse_guests(call: Call) -> None:
    """ACCESS_DENIED to a guest: what accounts there are is for those who have one."""
    if call.caller.is_guest:
        raise RpcError(NtStatus.ACCESS_DENIED, "accounts are not told to guests")


def _account_sids(call: Call, *, admins: bool = False) -> list[Sid]:
    """SIDs of the accounts in the machine domain, of the administrators alone if so wished."""
    machine = Principals(call.context)
    sids = {
        machine.user(account.uid): None
        for account in call.context.accounts()
        if not account.disabled and (account.admin or not admins)
    }
    return [sid for sid in sids if sid.prefix == machine.domain[2:] or admins]


# -- aliases -----------------------------------------------------------------------------


def samr_open_alias(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrOpenAlias, opnum 27, [MS-SAMR] 3.1.5.1.8: NO_SUCH_ALIAS but for those of Builtin."""
    domain = call.handles.get(r.raw(HANDLE_SIZE, 4), DomainHandle)
    r.u32()
    rid = r.u32()
    if domain.sid != BUILTIN or rid not in ALIASES:
        raise RpcError(NtStatus.NO_SUCH_ALIAS, f"RID {rid}")
    w.raw(call.handles.open(AliasHandle(rid)))
    return NtStatus.SUCCESS


def samr_query_information_alias(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrQueryInformationAlias, opnum 28, [MS-SAMR] 3.1.5.5.4: levels 1 to 3.

    INVALID_INFO_CLASS  another level
    """
    alias = call.handles.get(r.raw(HANDLE_SIZE, 4), AliasHandle)
    level = r.u16()
    if level not in range(1, 4):
        raise RpcError(NtStatus.INVALID_INFO_CLASS, f"alias level {level}")

    def information() -> None:
        w.u16(level)
        w.align(4)
        if level in (1, 2):
            w.unicode(ALIASES[alias.rid])
        if level == 1:
            w.u32(len(_members(call, alias.rid)))
        if level in (1, 3):
            w.unicode("")

    w.pointer(information)
    return NtStatus.SUCCESS


def _members(call: Call, rid: int) -> list[Sid]:
    if rid == ADMINISTRATORS_RID:
        return _account_sids(call, admins=True)
    return [Sid(5, 11)] if rid == USERS_RID else []  # Authenticated Users


def samr_get_members_in_alias(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrGetMembersInAlias, opnum 33, [MS-SAMR] 3.1.5.8.4.

    ACCESS_DENIED  the caller is a guest
    """
    alias = call.handles.get(r.raw(HANDLE_SIZE, 4), AliasHandle)
    _refuse_guests(call)
    w.array(SIDS, [Member(sid) for sid in _members(call, alias.rid)])
    return NtStatus.SUCCESS


def samr_get_alias_membership(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrGetAliasMembership, opnum 16, [MS-SAMR] 3.1.5.9.2: of any of the SIDs that are sent."""
    domain = call.handles.get(r.raw(HANDLE_SIZE, 4), DomainHandle)
    sids = {row["sid"] for row in r.array(SIDS)}
    rids = []
    if domain.sid == BUILTIN:
        if sids & set(_account_sids(call, admins=True)):
            rids.append(ADMINISTRATORS_RID)
        if sids & set(_account_sids(call)):
            rids.append(USERS_RID)
    w.array(NUMBERS, [Number(rid) for rid in rids])
    return NtStatus.SUCCESS


def _no_list(_call: Call, w: NdrWriter) -> None:
    w.u32(0)
    w.null()


# -- lists for display -------------------------------------------------------------------

_USER: Final[Fields] = (
    ("index", "u32"),
    ("rid", "u32"),
    ("control", "u32"),
    ("name", "unicode"),
    ("comment", "unicode"),
    ("full_name", "unicode"),
)
DISPLAYS: Final[dict[int, Fields]] = {  # class -> a row, [MS-SAMR] 2.2.8
    1: _USER,
    2: _USER[:5],
    3: _USER[:5],
    4: (("index", "u32"), ("oem", "oem")),
    5: (("index", "u32"), ("oem", "oem")),
}


class DisplayRow:
    """A user or a group with the fields of every class."""

    comment = ""

    def __init__(self, index: int, rid: int, name: str, full_name: str, control: int) -> None:
        self.index, self.rid, self.control = index, rid, control
        self.name, self.full_name = name, full_name
        self.oem = name.encode("ascii", "replace")

    def size(self) -> int:
        return ROW_SIZE + 2 * (len(self.name) + len(self.full_name))


def _users(call: Call) -> list[DisplayRow]:
    """The accounts that SamrEnumerateUsersInDomain names, too: with a RID in the domain."""
    return [
        DisplayRow(index, rid, account.name, account.full_name, _control(account))
        for index, (rid, account) in enumerate(Principals(call.context).accounts(), 1)
    ]


def _control(account: Account) -> int:
    disabled = ACCOUNT_DISABLED if account.disabled else 0
    return NORMAL_ACCOUNT | DONT_EXPIRE_PASSWORD | disabled


def _groups(_call: Call) -> list[DisplayRow]:
    return [
        DisplayRow(index, rid, name, "", GROUP_ATTRIBUTES)
        for index, (rid, name) in enumerate(GROUPS.items(), 1)
    ]


def _display(call: Call, domain: DomainHandle, kind: int) -> list[DisplayRow]:
    if domain.sid == BUILTIN or kind == 2:  # there are no machines' accounts
        return []
    _refuse_guests(call)
    return _users(call) if kind in (1, 4) else _groups(call)


def samr_query_display_information(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrQueryDisplayInformation, opnums 40, 48 and 51, [MS-SAMR] 3.1.5.3.1.

    INVALID_INFO_CLASS  not class 1 to 5
    ACCESS_DENIED       the caller is a guest
    MORE_ENTRIES        EntryCount or PreferredMaximumLength did not do for all
    """
    domain = call.handles.get(r.raw(HANDLE_SIZE, 4), DomainHandle)
    call.level, start = r.u16(), r.u32()
    count, room = r.u32(), r.u32()
    if call.level not in DISPLAYS:
        raise RpcError(NtStatus.INVALID_INFO_CLASS, f"display class {call.level}")
    rows = _display(call, domain, call.level)
    left = rows[start:]
    chosen = left[: _fitting(left, min(count, MAX_ENTRIES), room)]
    w.u32(sum(row.size() for row in rows))
    w.u32(sum(row.size() for row in chosen))
    _write_display(w, call.level, chosen)
    return NtStatus.MORE_ENTRIES if len(chosen) < len(left) else NtStatus.SUCCESS


def _fitting(rows: Sequence[DisplayRow], most: int, room: int) -> int:
    """How many rows to tell: at least one, if there is one."""
    count = 0
    for row in rows[: max(most, 1)]:
        room -= row.size()
        if room < 0 and count:
            break
        count += 1
    return count


def _write_display(w: NdrWriter, kind: int, rows: Sequence[DisplayRow]) -> None:
    """SAMPR_DISPLAY_INFO_BUFFER, [MS-SAMR] 2.2.8.13."""
    w.u16(kind)
    w.align(4)
    w.u32(len(rows))
    w.pointer(lambda: _write_rows(w, DISPLAYS[kind], rows))


def _write_rows(w: NdrWriter, fields: Fields, rows: Sequence[DisplayRow]) -> None:
    w.u32(len(rows))
    for row in rows:
        for name, kind in fields:
            if kind == "oem":
                _oem(w, row.oem)
            else:
                getattr(w, kind)(getattr(row, name))


def _oem(w: NdrWriter, text: bytes) -> None:
    """An RPC_STRING, [MS-SAMR] 2.2.2.5."""
    w.u16(len(text))
    w.u16(len(text))

    def characters() -> None:
        for value in (len(text), 0, len(text)):
            w.u32(value)
        w.raw(text)

    w.pointer(characters)


def _no_display(call: Call, w: NdrWriter) -> None:
    w.u32(0)
    w.u32(0)
    w.u16(call.level)
    if call.level in DISPLAYS:
        w.align(4)
        w.u32(0)
        w.null()


# -- passwords and SIDs ------------------------------------------------------------------


def _no_rules(w: NdrWriter) -> None:
    """USER_DOMAIN_PASSWORD_INFORMATION, [MS-SAMR] 2.2.3.6: any password will do."""
    w.u16(0)
    w.u32(0)


def _refuse_rules(_call: Call, w: NdrWriter) -> None:
    _no_rules(w)


def samr_get_user_domain_password_information(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrGetUserDomainPasswordInformation, opnum 44, [MS-SAMR] 3.1.5.13.3."""
    call.handles.get(r.raw(HANDLE_SIZE, 4), UserHandle)
    w.align(4)
    _no_rules(w)
    return NtStatus.SUCCESS


def samr_get_domain_password_information(_call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrGetDomainPasswordInformation, opnum 56, [MS-SAMR] 3.1.5.13.4: asked without a handle."""
    r.unique(r.unicode)
    _no_rules(w)
    return NtStatus.SUCCESS


def samr_rid_to_sid(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrRidToSid, opnum 65, [MS-SAMR] 3.1.5.13.5: of a domain, or of what is in it."""
    handle = call.handles.get(r.raw(HANDLE_SIZE, 4), tuple)
    rid = r.u32()
    in_builtin = isinstance(handle, AliasHandle)
    machine = Principals(call.context).domain
    domain = handle.sid if isinstance(handle, DomainHandle) else BUILTIN if in_builtin else machine
    w.sid(domain.child(rid))
    return NtStatus.SUCCESS


_DENIED: Final = NtStatus.ACCESS_DENIED
_QUERY: Final = (samr_query_display_information, _no_display)
OPERATIONS: Final[dict[int, Operation]] = {
    2: refused("SamrSetSecurityObject", _DENIED),
    9: refused("SamrSetInformationDomain", _DENIED),
    10: refused("SamrCreateGroupInDomain", _DENIED, 6),
    12: refused("SamrCreateUserInDomain", _DENIED, 6),
    14: refused("SamrCreateAliasInDomain", _DENIED, 6),
    16: Operation("SamrGetAliasMembership", samr_get_alias_membership, _no_list),
    19: Operation("SamrOpenGroup", samr_open_group, no_handle),
    20: Operation("SamrQueryInformationGroup", samr_query_information_group, null_pointer),
    21: refused("SamrSetInformationGroup", _DENIED),
    22: refused("SamrAddMemberToGroup", _DENIED),
    23: refused("SamrDeleteGroup", _DENIED, 5),
    24: refused("SamrRemoveMemberFromGroup", _DENIED),
    25: Operation("SamrGetMembersInGroup", samr_get_members_in_group, null_pointer),
    26: refused("SamrSetMemberAttributesOfGroup", _DENIED),
    27: Operation("SamrOpenAlias", samr_open_alias, no_handle),
    28: Operation("SamrQueryInformationAlias", samr_query_information_alias, null_pointer),
    29: refused("SamrSetInformationAlias", _DENIED),
    30: refused("SamrDeleteAlias", _DENIED, 5),
    31: refused("SamrAddMemberToAlias", _DENIED),
    32: refused("SamrRemoveMemberFromAlias", _DENIED),
    33: Operation("SamrGetMembersInAlias", samr_get_members_in_alias, _no_list),
    35: refused("SamrDeleteUser", _DENIED, 5),
    37: refused("SamrSetInformationUser", _DENIED),
    38: refused("SamrChangePasswordUser", _DENIED),
    40: Operation("SamrQueryDisplayInformation", *_QUERY),
    41: refused("SamrGetDisplayEnumerationIndex", NtStatus.NO_MORE_ENTRIES, 1),
    44: Operation(
        "SamrGetUserDomainPasswordInformation",
        samr_get_user_domain_password_information,
        _refuse_rules,
    ),
    45: refused("SamrRemoveMemberFromForeignDomain", _DENIED),
    48: Operation("SamrQueryDisplayInformation2", *_QUERY),
    49: refused("SamrGetDisplayEnumerationIndex2", NtStatus.NO_MORE_ENTRIES, 1),
    50: refused("SamrCreateUser2InDomain", _DENIED, 7),
    51: Operation("SamrQueryDisplayInformation3", *_QUERY),
    52: refused("SamrAddMultipleMembersToAlias", _DENIED),
    53: refused("SamrRemoveMultipleMembersFromAlias", _DENIED),
    54: refused("SamrOemChangePasswordUser2", _DENIED),
    55: refused("SamrUnicodeChangePasswordUser2", _DENIED),
    56: Operation(
        "SamrGetDomainPasswordInformation", samr_get_domain_password_information, _refuse_rules
    ),
    58: refused("SamrSetInformationUser2", _DENIED),
    65: Operation("SamrRidToSid", samr_rid_to_sid, null_pointer),
}
