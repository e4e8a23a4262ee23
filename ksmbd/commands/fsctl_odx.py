"""Offloaded copies (ODX): a token for the data read, data written for a token.

[MS-FSA] 2.1.5.10.18 and .21, [MS-FSCC] 2.3.41 to 2.3.44.
"""

from __future__ import annotations

from typing import Final

from ksmbd.state import ranges
from ksmbd.state.offload import Token, version_of
from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.vfs.copy import copy_range
from ksmbd.vfs.sparse import zero_range
from ksmbd.wire import offload as wire
from ksmbd.wire.access import ATTR_SPARSE
from ksmbd.wire.status import NtStatus, NtStatusError

SECTOR: Final = 512  # bytes; offsets and lengths are multiples of it
MAX_READ: Final = 1 << 30  # bytes that one token stands for
MAX_WRITE: Final = 64 << 20  # bytes that one request writes: a worker is busy no longer
_SLICE: Final = 4 << 20  # bytes copied before looking whether the client still wants it


def offload_read(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """A token for a range as it is now.

    INVALID_PARAMETER               another Size, or a range that is not of whole sectors
    BUFFER_TOO_SMALL                no room for the token
    END_OF_FILE                     it begins behind the end
    OFFLOAD_READ_FILE_NOT_SUPPORTED a stream, a directory, or a file that changes just now
    FILE_LOCK_CONFLICT              another open has a byte-range lock on it
    """
    open = ranges.the_open(open)
    asked = wire.OffloadReadInput.unpack(data)
    _check(asked.size, wire.OffloadReadInput.SIZE, asked.file_offset, asked.copy_length)
    if limit < wire.OffloadReadOutput.SIZE:
        raise NtStatusError(NtStatus.BUFFER_TOO_SMALL, f"{limit} bytes")
    if open.is_directory or open.file.stream:
        raise NtStatusError(NtStatus.OFFLOAD_READ_FILE_NOT_SUPPORTED, "no file of blocks")
    size = open.file.stat().size
    if asked.file_offset >= size:
        raise NtStatusError(NtStatus.END_OF_FILE, f"{asked.file_offset} of {size}")
    length = min(asked.copy_length, _whole(size - asked.file_offset), MAX_READ)
    ranges.check_read_locks(open, asked.file_offset, length)
    lifetime_s = asked.token_time_to_live / 1000
    token_id = work.server.offload.issue(open, asked.file_offset, length, lifetime_s)
    if token_id is None:
        raise NtStatusError(NtStatus.OFFLOAD_READ_FILE_NOT_SUPPORTED, "changed just now")
    answer = wire.OffloadReadOutput(transfer_length=length, token=wire.pack_token(token_id))
    return answer.pack(), NtStatus.SUCCESS


def offload_write(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """Write what a token stands for, or zeros; up to the end of the file and 64 MiB at a time.

    INVALID_PARAMETER                another Size, a range that is not of whole sectors
    BUFFER_TOO_SMALL                 no room for the answer
    END_OF_FILE                      it begins behind the end of the file
    INVALID_TOKEN                    no token of this session, or its data are no more
    OFFLOAD_WRITE_FILE_NOT_SUPPORTED a stream, or a directory
    FILE_LOCK_CONFLICT               a byte-range lock on either side
    CANCELLED                        the client wants no more of it
    """
    open = ranges.the_open(open)
    asked = wire.OffloadWriteInput.unpack(data)
    _check(asked.size, wire.OffloadWriteInput.SIZE, asked.file_offset, asked.copy_length)
    if asked.transfer_offset % SECTOR:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"offset {asked.transfer_offset}")
    if limit < wire.OffloadWriteOutput.SIZE:
        raise NtStatusError(NtStatus.BUFFER_TOO_SMALL, f"{limit} bytes")
    if open.is_directory or open.file.stream:
        raise NtStatusError(NtStatus.OFFLOAD_WRITE_FILE_NOT_SUPPORTED, "no file of blocks")
    size = open.file.stat().size
    if asked.file_offset >= size:
        raise NtStatusError(NtStatus.END_OF_FILE, f"{asked.file_offset} of {size}")
    length = min(asked.copy_length, size - asked.file_offset, MAX_WRITE)
    ranges.check_write_locks(open, asked.file_offset, length)
    kind, token_id = wire.unpack_token(asked.token)
    if kind == wire.TOKEN_ZERO:
        done = _zero(work, open, asked.file_offset, length)
    elif kind == wire.TOKEN_OURS:
        done = _copy(work, open, asked, length, token_id)
    else:
        raise NtStatusError(NtStatus.INVALID_TOKEN, f"type {kind:#x}")
    written = min(_whole(done), asked.copy_length)
    return wire.OffloadWriteOutput(length_written=written).pack(), NtStatus.SUCCESS


def _check(size: int, right_size: int, offset: int, length: int) -> None:
    if size != right_size or offset % SECTOR or length % SECTOR:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"{offset}+{length}, size {size}")
    ranges.check_range(offset, length)


def _whole(length: int) -> int:
    """Rounded up to sectors: what is behind the end of a file counts as read and written."""
    return -(-length // SECTOR) * SECTOR


def _zero(work: Work, open: Open, offset: int, length: int) -> int:
    free = bool(open.file.stat().attributes & ATTR_SPARSE)
    with work.server.caching.change(open):
        zero_range(open.file, offset, length, free=free, stop=work.given_up)
    ranges.written(work, open)
    _check_wanted(work)
    return length


def _copy(
    work: Work, open: Open, asked: wire.OffloadWriteInput, length: int, token_id: bytes
) -> int:
    token = work.server.offload.find(work.session, token_id)
    if token is None:
        raise NtStatusError(NtStatus.INVALID_TOKEN, "no such token")
    try:
        work.hold(token.open)
    except NtStatusError:
        raise NtStatusError(NtStatus.INVALID_TOKEN, "its open is closed") from None
    length = min(length, max(token.length - asked.transfer_offset, 0))
    source_offset = token.offset + asked.transfer_offset
    _check_unchanged(token)
    ranges.check_read_locks(token.open, source_offset, length)
    apart = abs(source_offset - asked.file_offset)
    overlaps = token.open.inode is open.inode and apart < length
    most = length if overlaps else _SLICE  # a slice must not be read after it was written to
    done = 0
    with work.server.caching.change(open):
        while done < length and not work.given_up():
            part = min(most, length - done)
            at = source_offset + done
            count = copy_range(token.open.file, at, open.file, asked.file_offset + done, part)
            done += count
            if count < part:  # the end of the source: sectors are whole
                break
    if done:
        ranges.written(work, open)
    _check_wanted(work)
    if token.open.inode is not open.inode:
        _check_unchanged(token)
    return done


def _check_unchanged(token: Token) -> None:
    """INVALID_TOKEN   the data are others than those it was issued for"""
    if version_of(token.open.file) != token.version:
        raise NtStatusError(NtStatus.INVALID_TOKEN, "the file has changed")


def _check_wanted(work: Work) -> None:
    if work.given_up():
        raise NtStatusError(NtStatus.CANCELLED, "half an offloaded write")
