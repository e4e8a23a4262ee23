"""User quotas: SMB2_QUERY_QUOTA_INFO, [MS-SMB2] 2.2.37.1, and [MS-FSCC] 2.4's structures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from ksmbd.wire import chain
from ksmbd.wire.base import Buffer, Wire, WireError, filetime, u8, u16, u32, u64, wire
from ksmbd.wire.security import Sid

NO_LIMIT: Final = 0xFFFF_FFFF_FFFF_FFFF  # of a threshold or a limit
NO_ENTRY: Final = 0xFFFF_FFFF_FFFF_FFFE  # a limit that removes the user's entry


@wire()
class QueryQuotaInfo(Wire):
    """SMB2_QUERY_QUOTA_INFO, [MS-SMB2] 2.2.37.1; what SIDs it names follow."""

    return_single: u8
    restart_scan: u8
    reserved: u16 = 0
    sid_list_length: u32 = 0  # bytes of FILE_GET_QUOTA_INFORMATION
    start_sid_length: u32 = 0
    start_sid_offset: u32 = 0  # bytes, from where SIDs begin


@wire()
class FileGetQuotaInformation(Wire):
    """[MS-FSCC] 2.4; the SID follows."""

    next_entry_offset: u32 = 0
    sid_length: u32


@wire()
class FileQuotaInformation(Wire):
    """[MS-FSCC] 2.4; the SID follows."""

    next_entry_offset: u32 = 0
    sid_length: u32
    change_time: filetime = 0
    quota_used: u64
    quota_threshold: u64
    quota_limit: u64


class QuotaEntry(NamedTuple):
    """What one user has used and may use, in bytes; NO_LIMIT is none."""

    sid: Sid
    used: int
    threshold: int
    limit: int


class QuotaQuery(NamedTuple):
    """What an SMB2_QUERY_QUOTA_INFO asks for: the entries of ``sids``, else a scan."""

    single: bool
    restart: bool
    sids: tuple[Sid, ...]
    start: Sid | None


def unpack_query(buf: Buffer) -> QuotaQuery:
    """Read an input buffer. WireError if it is short, or its SIDs are none or lead out."""
    view = memoryview(buf)
    head = QueryQuotaInfo.unpack(view)
    rest = view[QueryQuotaInfo.SIZE :]
    sids: tuple[Sid, ...] = ()
    start = None
    if head.sid_list_length:
        if head.sid_list_length > len(rest):
            raise WireError(f"SIDs of {head.sid_list_length} bytes in {len(rest)}")
        sids = tuple(_asked(rest[: head.sid_list_length]))
    elif head.start_sid_length:
        start = _sid(rest, head.start_sid_offset, head.start_sid_length)
    return QuotaQuery(bool(head.return_single), bool(head.restart_scan), sids, start)


def pack_query(
    sids: Iterable[Sid] = (),
    *,
    single: bool = False,
    restart: bool = False,
    start: Sid | None = None,
) -> bytes:
    """The input buffer that asks for *sids*, or scans from *start*."""
    items = [FileGetQuotaInformation(sid_length=len(sid)).pack() + sid for sid in sids]
    listed = chain.link(items, align=8)
    first = start or b""
    head = QueryQuotaInfo(
        return_single=single,
        restart_scan=restart,
        sid_list_length=len(listed),
        start_sid_length=len(first),
    )
    return head.pack() + listed + first


def pack_entries(entries: Iterable[QuotaEntry], limit: int = 1 << 32) -> tuple[bytes, int]:
    """The chain of the first *entries* that fit into *limit* bytes, and how many did."""
    return chain.link_within(map(_entry, entries), align=8, limit=limit)


def unpack_entries(buf: Buffer) -> list[QuotaEntry]:
    """The entries of a chain. WireError if a link or a SID leads out."""
    fixed = FileQuotaInformation.SIZE
    found = []
    for entry in chain.entries(buf, fixed=fixed, align=4):
        head = FileQuotaInformation.unpack(entry)
        sid = _sid(entry, fixed, head.sid_length)
        found.append(QuotaEntry(sid, head.quota_used, head.quota_threshold, head.quota_limit))
    return found


def _entry(entry: QuotaEntry) -> bytes:
    head = FileQuotaInformation(
        sid_length=len(entry.sid),
        quota_used=entry.used,
        quota_threshold=entry.threshold,
        quota_limit=entry.limit,
    )
    return head.pack() + entry.sid


def _asked(buf: memoryview) -> Iterable[Sid]:
    fixed = FileGetQuotaInformation.SIZE
    for entry in chain.entries(buf, fixed=fixed, align=4):
        yield _sid(entry, fixed, FileGetQuotaInformation.unpack(entry).sid_length)


def _sid(buf: memoryview, offset: int, length: int) -> Sid:
    sid = Sid.unpack(buf, offset, min(offset + length, len(buf)))
    if len(sid) != length:
        raise WireError(f"a SID of {len(sid)} bytes in {length}")
    return sid
