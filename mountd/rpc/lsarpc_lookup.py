"""Names of SIDs and SIDs of names in lsarpc, [MS-LSAT] 3.1.4.5 to 3.1.4.11.

The operations of one direction differ in what they write for each entry and in
their last arguments: a table row each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ksmbd.wire.base import WireError
from ksmbd.wire.security import Sid
from ksmbd.wire.status import NtStatus
from mountd.rpc.errors import RpcError
from mountd.rpc.handles import HANDLE_SIZE
from mountd.rpc.interface import Call, Handler, Operation, refused
from mountd.rpc.ndr import Fields, NdrReader, NdrWriter
from mountd.rpc.principals import Principal, Principals, Use

MAX_LOOKUP: Final = 1000  # names in one call, [MS-LSAT] range(0, 1000)
NO_DOMAIN: Final = 0xFFFFFFFF  # DomainIndex -1
LEVELS: Final = range(1, 8)  # LSAP_LOOKUP_LEVEL, [MS-LSAT] 2.2.16

NAMES: Final[Fields] = (("use", "u16"), ("name", "unicode"), ("domain_index", "u32"))
NAMES_EX: Final[Fields] = (*NAMES, ("flags", "u32"))
SIDS: Final[Fields] = (("use", "u16"), ("rid", "u32"), ("domain_index", "u32"))
SIDS_EX: Final[Fields] = (*SIDS, ("flags", "u32"))
SIDS_EX2: Final[Fields] = (
    ("use", "u16"),
    ("sid", "sid"),
    ("domain_index", "u32"),
    ("flags", "u32"),
)
DOMAINS: Final[Fields] = (("name", "unicode"), ("sid", "sid"))
SID_POINTERS: Final[Fields] = (("sid", "sid"),)
NAME_STRINGS: Final[Fields] = (("name", "unicode"),)


class Policy:
    """What a policy handle stands for: nothing but the right to ask."""


class Domain(NamedTuple):
    """LSAPR_TRUST_INFORMATION, [MS-LSAT] 2.2.11."""

    name: str
    sid: Sid


class Translated(NamedTuple):
    """One entry of the reply, whichever of its structures is written."""

    use: int
    name: str
    sid: Sid | None
    rid: int
    domain_index: int
    flags: int = 0


class Variant(NamedTuple):
    """How one operation differs from its sisters."""

    fields: Fields  # of one translated entry
    options: bool = True  # ends with LookupOptions and ClientRevision


def _translate(
    names: Sequence[tuple[str, Principal | None]],
) -> tuple[list[Domain], list[Translated]]:
    """Lay out the reply: each domain once, entries pointing at them."""
    domains: dict[Sid, int] = {}
    listed: list[Domain] = []
    entries = []
    for asked, found in names:
        if found is None:
            entries.append(Translated(Use.UNKNOWN, asked, None, 0, NO_DOMAIN))
            continue
        if found.domain not in domains:
            domains[found.domain] = len(listed)
            listed.append(Domain(found.domain_name, found.domain))
        rid = NO_DOMAIN if found.use == Use.DOMAIN else found.sid.rid or 0
        entries.append(Translated(found.use, found.name, found.sid, rid, domains[found.domain]))
    return listed, entries


def _reply(w: NdrWriter, fields: Fields, names: Sequence[tuple[str, Principal | None]]) -> int:
    """Write ReferencedDomains, the translated entries and MappedCount.

    Return SUCCESS, SOME_NOT_MAPPED or NONE_MAPPED.
    """
    domains, entries = _translate(names)

    def referenced() -> None:
        w.array(DOMAINS, domains)
        w.u32(len(domains))

    w.pointer(referenced)
    w.flush()
    w.array(fields, entries)
    w.flush()
    mapped = sum(found is not None for _, found in names)
    w.u32(mapped)
    if mapped == len(names):
        return NtStatus.SUCCESS
    return NtStatus.SOME_NOT_MAPPED if mapped else NtStatus.NONE_MAPPED


def _refuse(_call: Call, w: NdrWriter) -> None:
    """No domains, no entries, nothing mapped."""
    for _ in ("ReferencedDomains", "Entries", "array", "MappedCount"):
        w.u32(0)


def _end(r: NdrReader, variant: Variant) -> None:
    """Read what follows the names: the ignored entries, LookupLevel, MappedCount, options."""
    r.array(variant.fields)
    level = r.u16()
    r.u32()
    if variant.options:
        r.u32(), r.u32()
    if level not in LEVELS:
        raise RpcError(NtStatus.INVALID_PARAMETER, f"lookup level {level}")


def _lookup_sids(variant: Variant) -> Handler:
    def lookup_sids(call: Call, r: NdrReader, w: NdrWriter) -> int:
        """LsarLookupSids and LsarLookupSids2, opnums 15 and 57, [MS-LSAT] 3.1.4.10 on.

        ACCESS_DENIED      the caller is anonymous, as Windows is set by default
        INVALID_PARAMETER  an unknown lookup level, or a null SID
        SOME_NOT_MAPPED    and NONE_MAPPED, with the entries: the SID as text for those
        """
        call.handles.get(r.raw(HANDLE_SIZE, 4), Policy)
        count = r.u32()
        rows = r.conformant(SID_POINTERS, count) if r.u32() else []
        _end(r, variant)
        if call.caller.is_anonymous:
            raise RpcError(NtStatus.ACCESS_DENIED, "anonymous lookup")
        if len(rows) != count or any(row["sid"] is None for row in rows):
            raise RpcError(NtStatus.INVALID_PARAMETER, f"{count} SIDs")
        principals = Principals(call.context)
        sids = [row["sid"] for row in rows]
        return _reply(w, variant.fields, [(str(sid), principals.by_sid(sid)) for sid in sids])

    return lookup_sids


def _lookup_names(variant: Variant) -> Handler:
    def lookup_names(call: Call, r: NdrReader, w: NdrWriter) -> int:
        """LsarLookupNames and its sisters, opnums 14, 58 and 68, [MS-LSAT] 3.1.4.6 on.

        ACCESS_DENIED      the caller is anonymous
        INVALID_PARAMETER  an unknown lookup level
        SOME_NOT_MAPPED    and NONE_MAPPED, with the entries
        """
        call.handles.get(r.raw(HANDLE_SIZE, 4), Policy)
        count = r.u32()
        if count > MAX_LOOKUP:
            raise WireError(f"{count} names")
        rows = r.conformant(NAME_STRINGS, count)
        _end(r, variant)
        if call.caller.is_anonymous:
            raise RpcError(NtStatus.ACCESS_DENIED, "anonymous lookup")
        principals = Principals(call.context)
        names = [row["name"] or "" for row in rows]
        return _reply(w, variant.fields, [(name, principals.by_name(name)) for name in names])

    return lookup_names


OPERATIONS: Final[dict[int, Operation]] = {
    14: Operation("LsarLookupNames", _lookup_names(Variant(SIDS, options=False)), _refuse),
    15: Operation("LsarLookupSids", _lookup_sids(Variant(NAMES, options=False)), _refuse),
    57: Operation("LsarLookupSids2", _lookup_sids(Variant(NAMES_EX)), _refuse),
    58: Operation("LsarLookupNames2", _lookup_names(Variant(SIDS_EX)), _refuse),
    68: Operation("LsarLookupNames3", _lookup_names(Variant(SIDS_EX2)), _refuse),
    # of domain controllers, over TCP with a secure channel: [MS-LSAT] 2.1, as Windows and Samba
    76: refused("LsarLookupSids3", NtStatus.ACCESS_DENIED, 4),
    77: refused("LsarLookupNames4", NtStatus.ACCESS_DENIED, 4),
}
