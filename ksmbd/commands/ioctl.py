"""SMB2 IOCTL, [MS-SMB2] 3.3.5.15: the FSCTL table and the checks before each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ksmbd.commands import (
    fsctl_copy,
    fsctl_file,
    fsctl_network,
    fsctl_odx,
    fsctl_pipe,
    fsctl_reparse,
    fsctl_resiliency,
    fsctl_snapshots,
    fsctl_sparse,
)
from ksmbd.state.open import Open
from ksmbd.state.work import Reply, Work
from ksmbd.wire import fsctl
from ksmbd.wire.access import (
    FILE_APPEND_DATA,
    FILE_READ_DATA,
    FILE_WRITE_ATTRIBUTES,
    FILE_WRITE_DATA,
)
from ksmbd.wire.header import NO_FILE
from ksmbd.wire.ioctl import IS_FSCTL, IoctlRequest, IoctlResponse
from ksmbd.wire.status import NtStatus, NtStatusError

_WRITE_DATA: Final = FILE_WRITE_DATA | FILE_APPEND_DATA
_ANY_CHANGE: Final = FILE_WRITE_DATA | FILE_WRITE_ATTRIBUTES
_ANY_WRITE: Final = _WRITE_DATA | FILE_WRITE_ATTRIBUTES


class Fsctl(NamedTuple):
    """One control code: takes work, open, input and the output's limit; gives output and status.

    Without ``open`` the FileId must be all ones.
    """

    handle: Callable[[Work, Open | None, memoryview, int], tuple[bytes, NtStatus]]
    open: bool = True
    min_input: int = 0  # bytes; fewer is INVALID_PARAMETER
    access: int = 0  # any of these bits must have been granted to the open
    changes: bool = False  # not on a read-only share


FSCTLS: Final[dict[int, Fsctl]] = {
    fsctl.VALIDATE_NEGOTIATE_INFO: Fsctl(
        fsctl_network.validate_negotiate_info, open=False, min_input=24
    ),
    fsctl.QUERY_NETWORK_INTERFACE_INFO: Fsctl(
        fsctl_network.query_network_interface_info, open=False
    ),
    fsctl.LMR_REQUEST_RESILIENCY: Fsctl(fsctl_resiliency.request_resiliency, min_input=8),
    fsctl.CREATE_OR_GET_OBJECT_ID: Fsctl(fsctl_file.create_or_get_object_id),
    fsctl.SET_SPARSE: Fsctl(fsctl_sparse.set_sparse, access=_ANY_WRITE, changes=True),
    fsctl.QUERY_ALLOCATED_RANGES: Fsctl(
        fsctl_sparse.query_allocated_ranges, min_input=16, access=FILE_READ_DATA
    ),
    fsctl.SET_ZERO_DATA: Fsctl(
        fsctl_sparse.set_zero_data, min_input=16, access=FILE_WRITE_DATA, changes=True
    ),
    fsctl.FILE_LEVEL_TRIM: Fsctl(
        fsctl_sparse.file_level_trim, min_input=8, access=FILE_WRITE_DATA, changes=True
    ),
    fsctl.GET_COMPRESSION: Fsctl(fsctl_sparse.get_compression),
    fsctl.SET_COMPRESSION: Fsctl(
        fsctl_sparse.set_compression, min_input=2, access=FILE_WRITE_DATA, changes=True
    ),
    fsctl.GET_REPARSE_POINT: Fsctl(fsctl_reparse.get_reparse_point),
    fsctl.SET_REPARSE_POINT: Fsctl(
        fsctl_reparse.set_reparse_point, access=_ANY_CHANGE, changes=True
    ),
    fsctl.DELETE_REPARSE_POINT: Fsctl(
        fsctl_reparse.delete_reparse_point, access=_ANY_CHANGE, changes=True
    ),
    fsctl.SRV_ENUMERATE_SNAPSHOTS: Fsctl(fsctl_snapshots.enumerate_snapshots),
    fsctl.SRV_REQUEST_RESUME_KEY: Fsctl(fsctl_copy.request_resume_key),
    fsctl.SRV_COPYCHUNK: Fsctl(
        fsctl_copy.copychunk, min_input=32, access=_WRITE_DATA, changes=True
    ),
    fsctl.SRV_COPYCHUNK_WRITE: Fsctl(
        fsctl_copy.copychunk_write, min_input=32, access=_WRITE_DATA, changes=True
    ),
    fsctl.DUPLICATE_EXTENTS_TO_FILE: Fsctl(
        fsctl_copy.duplicate_extents, min_input=40, access=FILE_WRITE_DATA, changes=True
    ),
    fsctl.DUPLICATE_EXTENTS_TO_FILE_EX: Fsctl(
        fsctl_copy.duplicate_extents_ex, min_input=56, access=FILE_WRITE_DATA, changes=True
    ),
    fsctl.OFFLOAD_READ: Fsctl(fsctl_odx.offload_read, min_input=32, access=FILE_READ_DATA),
    fsctl.OFFLOAD_WRITE: Fsctl(
        fsctl_odx.offload_write, min_input=544, access=FILE_WRITE_DATA, changes=True
    ),
    fsctl.PIPE_TRANSCEIVE: Fsctl(fsctl_pipe.transceive),
    fsctl.PIPE_PEEK: Fsctl(fsctl_pipe.peek),
    fsctl.PIPE_WAIT: Fsctl(fsctl_pipe.wait, open=False, min_input=14),
}

# What is refused with another status than INVALID_DEVICE_REQUEST, and who looks at it.
REFUSED: Final[dict[int, NtStatus]] = {
    fsctl.DFS_GET_REFERRALS: NtStatus.FS_DRIVER_REQUIRED,  # every client: "no DFS here"
    fsctl.DFS_GET_REFERRALS_EX: NtStatus.FS_DRIVER_REQUIRED,
    fsctl.SRV_READ_HASH: NtStatus.HASH_NOT_SUPPORTED,
}


def ioctl(work: Work, req: IoctlRequest) -> Reply:
    """Run one FSCTL.

    NOT_SUPPORTED            no FSCTL at all (Flags), or one this server does not do
    INVALID_DEVICE_REQUEST   an FSCTL that means nothing to this kind of file
    INVALID_PARAMETER        sizes beyond MaxTransactSize, buffers outside the message, a
                             FileId where none belongs
    FILE_CLOSED              the FileId names no open of this session
    ACCESS_DENIED            the share is read-only, or the open was not granted what it needs
    MEDIA_WRITE_PROTECTED    it would change a previous version
    """
    if req.flags != IS_FSCTL:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, f"flags {req.flags:#x}")
    limit = work.connection.max_transact_size
    if max(req.max_input_response, req.max_output_response, req.input_count) > limit:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "longer than MaxTransactSize")
    data = work.buffer(req.input_offset, req.input_count, after=IoctlRequest.SIZE)
    entry = FSCTLS.get(req.ctl_code)
    if entry is None:
        raise NtStatusError(
            REFUSED.get(req.ctl_code, NtStatus.INVALID_DEVICE_REQUEST), f"{req.ctl_code:#010x}"
        )
    if len(data) < entry.min_input:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"FSCTL {req.ctl_code:#010x}: {len(data)}")
    open = None
    if entry.open:
        open = work.open(req.persistent_id, req.volatile_id)
        _check_rights(open, entry)
    elif req.volatile_id != NO_FILE or req.persistent_id != NO_FILE:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"FSCTL {req.ctl_code:#010x} on a file")
    output, status = entry.handle(work, open, data, req.max_output_response)
    return Reply(
        IoctlResponse(
            ctl_code=req.ctl_code,
            persistent_id=open.persistent_id if open else NO_FILE,
            volatile_id=open.volatile_id if open else NO_FILE,
            output_count=len(output),
        ),
        output,
        status,
    )


def _check_rights(open: Open, entry: Fsctl) -> None:
    """ACCESS_DENIED; INVALID_DEVICE_REQUEST for a pipe, which has no such rights"""
    if not (entry.access or entry.changes):
        return
    if open.handle is None:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "a pipe, not a file")
    if entry.changes:
        open.require_writable()
    open.require(entry.access)
