"""SET_INFO of user quotas, [MS-SMB2] 3.3.5.21.4: for who administers the share."""

from __future__ import annotations

from ksmbd.state.open import Open
from ksmbd.state.quotas import bound, kernel_errors, tracked, uid_of
from ksmbd.state.work import Work
from ksmbd.vfs import quota
from ksmbd.wire.quota import unpack_entries
from ksmbd.wire.set_info import SetInfoRequest
from ksmbd.wire.status import NtStatus, NtStatusError


def set_quota(work: Work, open: Open, req: SetInfoRequest, data: memoryview) -> None:
    """Limit users.

    NOT_SUPPORTED       the file system keeps no quotas
    ACCESS_DENIED       the user does not administer the share, or it is read-only; root's, which
                        no file system enforces
    INVALID_PARAMETER   no chain of FILE_QUOTA_INFORMATION, or limits that no disk has
    NO_SUCH_USER        a SID that is no user's of this server
    """
    fd = tracked(open)
    if not open.tree.administers:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "quotas are for administrators to set")
    open.tree.require_writable()
    domain = work.server.domain
    wanted = [  # all of it is looked at before anything is set
        (uid_of(domain, each.sid), bound(each.threshold), bound(each.limit))
        for each in unpack_entries(data)
    ]
    if any(uid == quota.DEFAULTS for uid, *_ in wanted):
        raise NtStatusError(NtStatus.ACCESS_DENIED, "root has no limits")
    with kernel_errors():
        for uid, threshold, limit in wanted:
            quota.set_limits(fd, uid, threshold, limit)
