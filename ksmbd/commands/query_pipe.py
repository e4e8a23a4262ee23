"""QUERY_INFO of pipes: one row per class, [MS-FSCC] 2.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ksmbd.state.open import Open
from ksmbd.state.pipe import Pipe
from ksmbd.wire import file_info
from ksmbd.wire.access import FILE_READ_ATTRIBUTES
from ksmbd.wire.base import Buffer
from ksmbd.wire.file_info import KNOWN, FileInfo
from ksmbd.wire.query_info import QueryInfoRequest
from ksmbd.wire.status import NtStatus, NtStatusError

_QUOTA: Final = 4096  # bytes


class PipeQuery(NamedTuple):
    """A class: who builds it, its size in bytes, which right it needs."""

    build: Callable[[Pipe], bytes]
    fixed: int
    access: int = 0


def _standard(pipe: Pipe) -> bytes:
    # Windows 7 asks again and again unless it gets an answer; this is Samba's and ksmbd's.
    return file_info.FileStandardInformation(
        allocation_size=_QUOTA, end_of_file=0, number_of_links=1, delete_pending=1, directory=0
    ).pack()


def _pipe(pipe: Pipe) -> bytes:
    return file_info.FilePipeInformation(
        read_mode=file_info.PIPE_MESSAGE_MODE, completion_mode=file_info.PIPE_QUEUE_OPERATION
    ).pack()


def _local(pipe: Pipe) -> bytes:
    return file_info.FilePipeLocalInformation(
        inbound_quota=_QUOTA,
        read_data_available=int.from_bytes(pipe.peek()[:4], "little"),
        outbound_quota=_QUOTA,
        write_quota_available=_QUOTA,
    ).pack()


PIPE_QUERIES: Final[dict[int, PipeQuery]] = {
    FileInfo.STANDARD: PipeQuery(_standard, 24),
    FileInfo.PIPE: PipeQuery(_pipe, 8, FILE_READ_ATTRIBUTES),
    FileInfo.PIPE_LOCAL: PipeQuery(_local, 40, FILE_READ_ATTRIBUTES),
}


def query_pipe(open: Open, pipe: Pipe, req: QueryInfoRequest) -> tuple[Buffer, NtStatus]:
    """The class *req* names.

    INVALID_INFO_CLASS     no such class
    NOT_SUPPORTED          a class that pipes do not have
    ACCESS_DENIED          the open was not granted READ_ATTRIBUTES
    INFO_LENGTH_MISMATCH   it does not fit
    PIPE_NOT_AVAILABLE     mountd is away
    """
    query = PIPE_QUERIES.get(req.file_info_class)
    if query is None:
        info_class = req.file_info_class
        status = NtStatus.NOT_SUPPORTED if info_class in KNOWN else NtStatus.INVALID_INFO_CLASS
        raise NtStatusError(status, f"class {info_class} of a pipe")
    open.require(query.access)
    length = req.output_buffer_length
    if length < query.fixed:
        raise NtStatusError(NtStatus.INFO_LENGTH_MISMATCH, f"{length} bytes", b"")
    return query.build(pipe), NtStatus.SUCCESS
