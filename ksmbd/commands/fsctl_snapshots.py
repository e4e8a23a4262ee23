"""FSCTL_SRV_ENUMERATE_SNAPSHOTS, [MS-SMB2] 3.3.5.15.1."""

from __future__ import annotations

from typing import Final

from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.wire.fsctl import pack_snapshots
from ksmbd.wire.status import NtStatus, NtStatusError

_LEAST: Final = 16  # bytes


def enumerate_snapshots(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """The times of all previous versions of the share; if they do not fit, how many there are.

    INVALID_DEVICE_REQUEST   a pipe; a share without ``vfs objects = shadow_copy2``
    INVALID_PARAMETER        no room for 16 bytes
    """
    snapshots = None if open is None or open.handle is None else open.tree.share.snapshots
    if snapshots is None:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "no previous versions")
    if limit < _LEAST:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"{limit} bytes")
    return pack_snapshots(snapshots.labels(), limit), NtStatus.SUCCESS
