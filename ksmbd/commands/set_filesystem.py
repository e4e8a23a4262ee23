"""SET_INFO of the file system behind a share, [MS-SMB2] 3.3.5.21.2, [MS-FSCC] 2.5.2."""

from __future__ import annotations

from typing import Final

from ksmbd.state.open import Open
from ksmbd.state.quotas import bound, kernel_errors, tracked
from ksmbd.state.work import Work
from ksmbd.vfs import quota
from ksmbd.wire import fs_info
from ksmbd.wire.fs_info import FileFsControlInformation, FsInfo
from ksmbd.wire.set_info import SetInfoRequest
from ksmbd.wire.status import NtStatus, NtStatusError

_REFUSED: Final[dict[int, NtStatus]] = {
    FsInfo.LABEL: NtStatus.NOT_SUPPORTED,
    FsInfo.OBJECT_ID: NtStatus.ACCESS_DENIED,
}
# The last two say that the file system is still counting; setting them means nothing.
_KNOWN: Final = (
    fs_info.QUOTA_TRACK | fs_info.QUOTA_ENFORCE
    | fs_info.QUOTAS_INCOMPLETE | fs_info.QUOTAS_REBUILDING
)  # fmt: skip


def set_filesystem(work: Work, open: Open, req: SetInfoRequest, data: memoryview) -> None:
    """Set how quotas are kept; nothing else of a volume is a client's to set.

    ACCESS_DENIED        the object id; quotas as of :func:`_set_control`
    NOT_SUPPORTED        the label, which no server lets a client set
    INVALID_INFO_CLASS   any other
    """
    info_class = req.file_info_class
    if info_class != FsInfo.CONTROL:
        status = _REFUSED.get(info_class, NtStatus.INVALID_INFO_CLASS)
        raise NtStatusError(status, f"file system class {info_class}")
    _set_control(open, data)


def _set_control(open: Open, data: memoryview) -> None:
    """Set the limits of users who are new, and whether limits are enforced.

    ACCESS_DENIED          the user does not administer the share, or it is read-only
    INFO_LENGTH_MISMATCH   no FileFsControlInformation
    NOT_SUPPORTED          no quotas are kept; a log of who exceeds them; to begin or end counting,
                           which is a matter of mounting, or enforcing where the kernel cannot
    INVALID_PARAMETER      limits that no disk has
    """
    if not open.tree.administers:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "quotas are for administrators to set")
    open.tree.require_writable()
    if len(data) < FileFsControlInformation.SIZE:
        raise NtStatusError(NtStatus.INFO_LENGTH_MISMATCH, f"{len(data)} bytes")
    fd = tracked(open)
    asked = FileFsControlInformation.unpack(data)
    threshold, limit = bound(asked.default_quota_threshold), bound(asked.default_quota_limit)
    flags = asked.file_system_control_flags
    if flags & ~_KNOWN or not flags & (fs_info.QUOTA_TRACK | fs_info.QUOTA_ENFORCE):
        raise NtStatusError(NtStatus.NOT_SUPPORTED, f"quota flags {flags:#x}")
    with kernel_errors():
        enforce = bool(flags & fs_info.QUOTA_ENFORCE)
        if enforce != quota.state(fd).enforced:
            quota.enforce(fd, enforce)
        quota.set_limits(fd, quota.DEFAULTS, threshold, limit)
