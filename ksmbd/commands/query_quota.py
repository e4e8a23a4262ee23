"""QUERY_INFO of user quotas, [MS-SMB2] 3.3.5.20.4.

Everybody sees their own.  Who administers the share (root, ``admin users``) sees everybody's.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from ksmbd.state.open import Open
from ksmbd.state.quotas import kernel_errors, own_uid, tracked, uid_of
from ksmbd.state.work import Work
from ksmbd.vfs import quota
from ksmbd.vfs.quota import Quota
from ksmbd.vfs.sid import Domain
from ksmbd.wire.base import Buffer
from ksmbd.wire.query_info import QueryInfoRequest
from ksmbd.wire.quota import (
    NO_LIMIT,
    FileQuotaInformation,
    QuotaEntry,
    QuotaQuery,
    pack_entries,
    unpack_query,
)
from ksmbd.wire.security import Sid
from ksmbd.wire.status import NtStatus, NtStatusError

_CURSOR: Final = "quota"  # in Open.memo, by its scan_lock: the uid at which a scan goes on
_SHORTEST: Final = FileQuotaInformation.SIZE + len(Sid(0))  # bytes


def query_quota(work: Work, open: Open, req: QueryInfoRequest) -> tuple[Buffer, NtStatus]:
    """What users have used and may use: of the SIDs asked for, or a part of a scan.

    NOT_SUPPORTED       the file system keeps no quotas
    INVALID_PARAMETER   no SMB2_QUERY_QUOTA_INFO, or one whose SIDs lead out of it
    NO_SUCH_USER        a SID that is no user's of this server
    ACCESS_DENIED       another user's, asked for by who does not administer
    BUFFER_TOO_SMALL    not even one entry fits
    NO_MORE_ENTRIES     the scan has ended
    """
    fd = tracked(open)
    data = work.buffer(req.input_buffer_offset, req.input_buffer_length, after=req.SIZE)
    query = unpack_query(data)
    domain, limit = work.server.domain, req.output_buffer_length
    most = 1 if query.single else limit // _SHORTEST + 1
    with kernel_errors(), open.scan_lock:
        every = _listed(open, fd, domain, query) if query.sids else _scan(open, fd, domain, query)
        found = list(islice(every, most))
        packed, count = pack_entries((_entry(domain, each) for each in found), limit)
        if count and not query.sids:
            open.memo[_CURSOR] = found[count - 1].uid + 1
    if not found:
        raise NtStatusError(NtStatus.NO_MORE_ENTRIES, "no quotas are left")
    if not count:
        raise NtStatusError(NtStatus.BUFFER_TOO_SMALL, f"{limit} bytes")
    return packed, NtStatus.SUCCESS


def _listed(open: Open, fd: int, domain: Domain, query: QuotaQuery) -> Iterable[Quota]:
    uids = [uid_of(domain, sid) for sid in query.sids]
    if not open.tree.administers and any(uid != own_uid(open.tree) for uid in uids):
        raise NtStatusError(NtStatus.ACCESS_DENIED, "another user's quota")
    return (quota.quota_of(fd, uid) for uid in uids)


def _scan(open: Open, fd: int, domain: Domain, query: QuotaQuery) -> Iterable[Quota]:
    """From the SID that the query names, or its begin, or where the last one ended."""
    begin = 0 if query.restart else open.memo.get(_CURSOR, 0)
    if query.start is not None:
        begin = uid_of(domain, query.start)
    if open.tree.administers:
        return quota.quotas_from(fd, begin)
    own = own_uid(open.tree)
    return [quota.quota_of(fd, own)] if own >= begin else []


def _entry(domain: Domain, found: Quota) -> QuotaEntry:
    if found.uid == quota.DEFAULTS:  # what is kept there is no limit of root's
        found = found._replace(threshold=None, limit=None)
    threshold, limit = (
        NO_LIMIT if bound is None else bound for bound in (found.threshold, found.limit)
    )
    return QuotaEntry(domain.uid_to_sid(found.uid), found.used, threshold, limit)
