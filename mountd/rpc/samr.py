"""samr, the account manager, [MS-SAMR] 3.1.5: the accounts of this server, read only.

Two domains: the machine with its users, and Builtin.  What a handle stands for
is a class of its own; information by level is in ``samr_info``, groups, aliases and lists for
display are in ``samr_groups``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from ksmbd.wire.access import (
    ACCESS_SYSTEM_SECURITY,
    GENERIC_ALL,
    GENERIC_EXECUTE,
    GENERIC_READ,
    GENERIC_WRITE,
    MAXIMUM_ALLOWED,
)
from ksmbd.wire.base import WireError
from ksmbd.wire.security import Sid
from ksmbd.wire.status import NtStatus
from mountd.rpc import samr_groups, samr_info
from mountd.rpc.errors import RpcError
from mountd.rpc.handles import CLOSED, HANDLE_SIZE
from mountd.rpc.interface import Call, Interface, Operation, null_pointer
from mountd.rpc.lsarpc import no_handle
from mountd.rpc.ndr import Fields, NdrReader, NdrWriter
from mountd.rpc.pdu import Syntax
from mountd.rpc.principals import (
    ALIASES,
    BUILTIN,
    DOMAIN_USERS_RID,
    GROUPS,
    Principals,
    Use,
)
from mountd.rpc.samr_info import DomainHandle, UserHandle

MAX_LOOKUP: Final = 1000  # names or RIDs in one call, range(0, 1000)
GROUP_ATTRIBUTES: Final = 7  # mandatory, enabled by default, enabled; [MS-SAMR] 2.2.1.10
ENTRY_SIZE: Final = 16  # bytes of an entry without its name, for PreferedMaximumLength
NORMAL_ACCOUNT: Final = 0x10

ENTRIES: Final[Fields] = (("rid", "u32"), ("name", "unicode"))
NAMES: Final[Fields] = (("name", "unicode"),)
SIDS: Final[Fields] = (("sid", "sid"),)
NUMBERS: Final[Fields] = (("number", "u32"),)


# rights to a server, [MS-SAMR] 2.2.1.3
ENUMERATE_DOMAINS: Final = 0x10
LOOKUP_DOMAIN: Final = 0x20
SERVER_ALL_ACCESS: Final = 0x000F003F
SERVER_READ: Final = 0x00020010
SERVER_WRITE: Final = 0x0002000E
SERVER_EXECUTE: Final = 0x00020021
SERVER_GENERIC: Final = (
    (GENERIC_ALL, SERVER_ALL_ACCESS),
    (GENERIC_READ, SERVER_READ),
    (GENERIC_WRITE, SERVER_WRITE),
    (GENERIC_EXECUTE, SERVER_EXECUTE),
)


class ServerHandle(NamedTuple):
    """What SamrConnect gave."""

    granted: int  # rights to the server


class Entry(NamedTuple):
    """SAMPR_RID_ENUMERATION, [MS-SAMR] 2.2.3.9."""

    rid: int
    name: str


class Number(NamedTuple):
    """An element of SAMPR_ULONG_ARRAY."""

    number: int


class Name(NamedTuple):
    """An element of SAMPR_RETURNED_USTRING_ARRAY."""

    name: str | None


def _connect(call: Call, wanted: int, w: NdrWriter) -> int:
    """Give a server handle with the *wanted* rights, [MS-SAMR] 3.1.5.1.1.

    ACCESS_DENIED  the caller is anonymous, or more is wanted than everybody has (administrators:
                   than there is)
    """
    if call.caller.is_anonymous:
        raise RpcError(NtStatus.ACCESS_DENIED, "anonymous")
    allowed = SERVER_READ | SERVER_EXECUTE
    if call.caller.admin:
        allowed = SERVER_ALL_ACCESS | ACCESS_SYSTEM_SECURITY
    granted = wanted
    for generic, rights in SERVER_GENERIC:
        if granted & generic:
            granted = granted & ~generic | rights
    if granted & MAXIMUM_ALLOWED:
        granted = granted & ~MAXIMUM_ALLOWED | allowed
    if granted & ~allowed:
        raise RpcError(NtStatus.ACCESS_DENIED, f"{wanted:#x} of {allowed:#x}")
    w.align(4)
    w.raw(call.handles.open(ServerHandle(granted)))
    return NtStatus.SUCCESS


def _server(call: Call, r: NdrReader, needed: int) -> None:
    """Read a server handle, which must have been granted *needed*; else ACCESS_DENIED."""
    server = call.handles.get(r.raw(HANDLE_SIZE, 4), ServerHandle)
    if not server.granted & needed:
        raise RpcError(NtStatus.ACCESS_DENIED, f"{needed:#x} of {server.granted:#x}")


def samr_connect(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrConnect, opnum 0, [MS-SAMR] 3.1.5.1.4; its ServerName is a single character."""
    r.unique(r.u16)
    return _connect(call, r.u32(), w)


def samr_connect2(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrConnect2, opnum 57, [MS-SAMR] 3.1.5.1.3."""
    r.unique(r.wstring)
    return _connect(call, r.u32(), w)


def samr_connect4(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrConnect4, opnum 62, [MS-SAMR] 3.1.5.1.2."""
    r.unique(r.wstring)
    r.u32()
    return _connect(call, r.u32(), w)


def samr_connect5(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrConnect5, opnum 64, [MS-SAMR] 3.1.5.1.1: revision 3, no features.

    NOT_SUPPORTED  InVersion is not 1
    ACCESS_DENIED  as of _connect
    """
    r.unique(r.wstring)
    wanted = r.u32()
    version, arm = r.u32(), r.u32()
    if version != 1 or arm != 1:
        raise RpcError(NtStatus.NOT_SUPPORTED, f"version {version}")
    r.u32(), r.u32()
    for value in (1, 1, 3, 0):
        w.u32(value)
    return _connect(call, wanted, w)


def _refuse_connect5(_call: Call, w: NdrWriter) -> None:
    for value in (1, 1, 0, 0):
        w.u32(value)
    w.raw(CLOSED)


def samr_close_handle(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrCloseHandle, opnum 1, [MS-SAMR] 3.1.5.13.1; one that is not open is a fault."""
    call.handles.close(r.raw(HANDLE_SIZE, 4))
    w.raw(CLOSED)
    return NtStatus.SUCCESS


def samr_query_security_object(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrQuerySecurityObject, opnum 3, [MS-SAMR] 3.1.5.12.2: the DACL every object has here."""
    value = call.handles.get(r.raw(HANDLE_SIZE, 4), tuple)
    r.u32()
    own = Principals(call.context).user(value.uid) if isinstance(value, UserHandle) else None
    descriptor = samr_info.descriptor(own)

    def body() -> None:
        w.u32(len(descriptor))
        w.pointer(lambda: _bytes(w, descriptor))

    w.pointer(body)
    return NtStatus.SUCCESS


def _bytes(w: NdrWriter, data: bytes) -> None:
    w.u32(len(data))
    w.raw(data)


def samr_lookup_domain(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrLookupDomainInSamServer, opnum 5, [MS-SAMR] 3.1.5.11.1.

    ACCESS_DENIED   the handle was not given for that
    NO_SUCH_DOMAIN  neither this server's name nor Builtin
    """
    _server(call, r, LOOKUP_DOMAIN)
    wanted = r.unicode().casefold()
    for sid, name in _domains(call):
        if name.casefold() == wanted:
            w.sid(sid)
            return NtStatus.SUCCESS
    raise RpcError(NtStatus.NO_SUCH_DOMAIN, wanted)


def _domains(call: Call) -> tuple[tuple[Sid, str], tuple[Sid, str]]:
    machine = Principals(call.context)
    return (machine.domain, machine.domain_name), (BUILTIN, "Builtin")


def samr_enumerate_domains(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrEnumerateDomainsInSamServer, opnum 6, [MS-SAMR] 3.1.5.2.1: machine and Builtin.

    ACCESS_DENIED  the handle was not given for that
    """
    _server(call, r, ENUMERATE_DOMAINS)
    start, room = r.u32(), r.u32()
    return _enumerate(w, start, room, [Entry(0, name) for _, name in _domains(call)])


def samr_open_domain(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrOpenDomain, opnum 7, [MS-SAMR] 3.1.5.1.5.

    ACCESS_DENIED   the server handle was not given for looking up
    NO_SUCH_DOMAIN  any but our two
    """
    _server(call, r, LOOKUP_DOMAIN)
    r.u32()
    wanted = r.sid()
    for sid, name in _domains(call):
        if sid == wanted:
            w.raw(call.handles.open(DomainHandle(sid, name)))
            return NtStatus.SUCCESS
    raise RpcError(NtStatus.NO_SUCH_DOMAIN, str(wanted))


def _enumerate(w: NdrWriter, start: int, room: int, entries: Sequence[Entry]) -> int:
    """Write the entries from *start* that fit in *room* bytes, at least one.

    Return SUCCESS, or MORE_ENTRIES and the context to go on with.
    """
    count = 0
    left = entries[start:]
    for entry in left:
        room -= ENTRY_SIZE + 2 * len(entry.name)
        if room < 0 and count:
            break
        count += 1
    more = count < len(left)
    w.u32(start + count)
    w.pointer(lambda: w.array(ENTRIES, left[:count]))
    w.flush()
    w.u32(count)
    return NtStatus.MORE_ENTRIES if more else NtStatus.SUCCESS


def _refuse_enumeration(_call: Call, w: NdrWriter) -> None:
    for _ in ("EnumerationContext", "Buffer", "CountReturned"):
        w.u32(0)


def samr_enumerate_groups(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrEnumerateGroupsInDomain, opnum 11, [MS-SAMR] 3.1.5.2.3: the machine's None."""
    return _enumerate_names(call, r, w, lambda machine: GROUPS if machine else {})


def samr_enumerate_aliases(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrEnumerateAliasesInDomain, opnum 15, [MS-SAMR] 3.1.5.2.4: those of Builtin."""
    return _enumerate_names(call, r, w, lambda machine: {} if machine else ALIASES)


def _enumerate_names(
    call: Call, r: NdrReader, w: NdrWriter, names: Callable[[bool], dict[int, str]]
) -> int:
    domain = call.handles.get(r.raw(HANDLE_SIZE, 4), DomainHandle)
    start, room = r.u32(), r.u32()
    found = names(domain.sid != BUILTIN)
    return _enumerate(w, start, room, [Entry(rid, name) for rid, name in found.items()])


def samr_enumerate_users(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrEnumerateUsersInDomain, opnum 13, [MS-SAMR] 3.1.5.2.5: the account database.

    ACCESS_DENIED  the caller is a guest
    MORE_ENTRIES   PreferedMaximumLength did not do for all
    """
    domain = call.handles.get(r.raw(HANDLE_SIZE, 4), DomainHandle)
    start, control, room = r.u32(), r.u32(), r.u32()
    if call.caller.is_guest:
        raise RpcError(NtStatus.ACCESS_DENIED, "guest")
    entries: list[Entry] = []
    if domain.sid != BUILTIN and (control == 0 or control & NORMAL_ACCOUNT):
        accounts = Principals(call.context).accounts()
        entries = [Entry(rid, account.name) for rid, account in accounts]
    return _enumerate(w, start, room, entries)


def samr_lookup_names(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrLookupNamesInDomain, opnum 17, [MS-SAMR] 3.1.5.11.2.

    SOME_NOT_MAPPED, NONE_MAPPED  RID 0 and use Unknown for those without one
    """
    domain = call.handles.get(r.raw(HANDLE_SIZE, 4), DomainHandle)
    rows = _counted(r, NAMES)
    machine = Principals(call.context)
    found = [_rid(machine, domain, row["name"] or "") for row in rows]
    w.array(NUMBERS, [Number(rid) for rid, _ in found])
    w.flush()
    w.array(NUMBERS, [Number(use) for _, use in found])
    w.flush()
    return _mapped([use for _, use in found])


def _rid(machine: Principals, domain: DomainHandle, name: str) -> tuple[int, Use]:
    if domain.sid == machine.domain:
        return machine.rid_of(name) or (0, Use.UNKNOWN)
    wanted = name.casefold()
    rids = (rid for rid, alias in ALIASES.items() if alias.casefold() == wanted)
    rid = next(rids, 0)
    return rid, Use.ALIAS if rid else Use.UNKNOWN


def samr_lookup_ids(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrLookupIdsInDomain, opnum 18, [MS-SAMR] 3.1.5.11.3: statuses as for names."""
    domain = call.handles.get(r.raw(HANDLE_SIZE, 4), DomainHandle)
    rows = _counted(r, NUMBERS)
    machine = Principals(call.context)
    found = [machine.by_sid(domain.sid.child(row["number"])) for row in rows]
    w.array(NAMES, [Name(one.name if one else None) for one in found])
    w.flush()
    uses = [one.use if one else Use.UNKNOWN for one in found]
    w.array(NUMBERS, [Number(use) for use in uses])
    w.flush()
    return _mapped(uses)


def _counted(r: NdrReader, fields: Fields) -> list[dict[str, Any]]:
    """Read Count and a ``[size_is(1000), length_is(Count)]`` array of that many."""
    count, maximum, offset, actual = r.u32(), r.u32(), r.u32(), r.u32()
    if count > MAX_LOOKUP or actual != count or offset or actual > maximum:
        raise WireError(f"array of {count}, {offset}+{actual} of {maximum}")
    if 4 * count > r.remaining:
        raise WireError(f"array of {count} leaves the stub")
    return r.structs(fields, count)


def _mapped(uses: Sequence[Use]) -> int:
    unknown = sum(use == Use.UNKNOWN for use in uses)
    if not unknown:
        return NtStatus.SUCCESS
    return NtStatus.NONE_MAPPED if unknown == len(uses) else NtStatus.SOME_NOT_MAPPED


def _refuse_lookup(_call: Call, w: NdrWriter) -> None:
    for _ in ("first Count", "array", "second Count", "array"):
        w.u32(0)


def samr_open_user(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrOpenUser, opnum 34, [MS-SAMR] 3.1.5.1.9: NO_SUCH_USER if the RID is nobody's."""
    domain = call.handles.get(r.raw(HANDLE_SIZE, 4), DomainHandle)
    r.u32()
    rid = r.u32()
    machine = Principals(call.context)
    found = machine.by_sid(domain.sid.child(rid))
    if found is None or found.use != Use.USER:
        raise RpcError(NtStatus.NO_SUCH_USER, f"RID {rid}")
    w.raw(call.handles.open(UserHandle(rid, found.name)))
    return NtStatus.SUCCESS


def samr_get_groups_for_user(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrGetGroupsForUser, opnum 39, [MS-SAMR] 3.1.5.9.1: everybody is in None, RID 513."""
    call.handles.get(r.raw(HANDLE_SIZE, 4), UserHandle)

    def body() -> None:
        w.u32(1)
        w.pointer(groups)

    def groups() -> None:
        for value in (1, DOMAIN_USERS_RID, GROUP_ATTRIBUTES):
            w.u32(value)

    w.pointer(body)
    return NtStatus.SUCCESS


SAMR: Final = Interface(
    "samr",
    Syntax(UUID("12345778-1234-abcd-ef00-0123456789ac"), 1),
    {
        0: Operation("SamrConnect", samr_connect, no_handle),
        1: Operation("SamrCloseHandle", samr_close_handle, no_handle),
        3: Operation("SamrQuerySecurityObject", samr_query_security_object, null_pointer),
        5: Operation("SamrLookupDomainInSamServer", samr_lookup_domain, null_pointer),
        6: Operation(
            "SamrEnumerateDomainsInSamServer", samr_enumerate_domains, _refuse_enumeration
        ),
        7: Operation("SamrOpenDomain", samr_open_domain, no_handle),
        8: Operation("SamrQueryInformationDomain", samr_info.query_domain, null_pointer),
        11: Operation("SamrEnumerateGroupsInDomain", samr_enumerate_groups, _refuse_enumeration),
        13: Operation("SamrEnumerateUsersInDomain", samr_enumerate_users, _refuse_enumeration),
        15: Operation("SamrEnumerateAliasesInDomain", samr_enumerate_aliases, _refuse_enumeration),
        17: Operation("SamrLookupNamesInDomain", samr_lookup_names, _refuse_lookup),
        18: Operation("SamrLookupIdsInDomain", samr_lookup_ids, _refuse_lookup),
        34: Operation("SamrOpenUser", samr_open_user, no_handle),
        36: Operation("SamrQueryInformationUser", samr_info.query_user, null_pointer),
        39: Operation("SamrGetGroupsForUser", samr_get_groups_for_user, null_pointer),
        46: Operation("SamrQueryInformationDomain2", samr_info.query_domain, null_pointer),
        47: Operation("SamrQueryInformationUser2", samr_info.query_user, null_pointer),
        57: Operation("SamrConnect2", samr_connect2, no_handle),
        62: Operation("SamrConnect4", samr_connect4, no_handle),
        64: Operation("SamrConnect5", samr_connect5, _refuse_connect5),
        **samr_groups.OPERATIONS,
    },
)
