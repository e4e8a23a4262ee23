"""Copying on the server: resume keys, copychunk, and files that share blocks.

[MS-SMB2] 3.3.5.15.5, .6 and .19; [MS-FSA] 2.1.5.10.4.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from typing import Final

from ksmbd.commands import fsctl_copy_file
from ksmbd.state import ranges
from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.vfs.abilities import SHARES_BLOCKS, abilities
from ksmbd.vfs.copy import clone_range, copy_range
from ksmbd.vfs.handle import MAX_OFFSET
from ksmbd.wire import fsctl
from ksmbd.wire.access import ATTR_SPARSE, FILE_EXECUTE, FILE_READ_DATA
from ksmbd.wire.status import NtStatus, NtStatusError, from_oserror

# The limits of one request, Windows' and Samba's; clients learn them from the refusal.
MAX_CHUNKS: Final = 256
MAX_CHUNK: Final = 1 << 20  # bytes
MAX_TOTAL: Final = 16 << 20  # bytes
_LIMITS: Final = fsctl.SrvCopychunkResponse(
    chunks_written=MAX_CHUNKS, chunk_bytes_written=MAX_CHUNK, total_bytes_written=MAX_TOTAL
)
_EX_SIZE: Final = 0x30  # though it has 0x38 bytes
_KEY: Final = struct.Struct("<QQ8x")
_SOURCE: Final = FILE_READ_DATA | FILE_EXECUTE


def request_resume_key(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """A key by which later requests of this session name the file as a source.

    INVALID_PARAMETER   no room for the key
    """
    open = ranges.the_open(open)
    if limit < fsctl.SrvRequestResumeKeyResponse.SIZE:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"{limit} bytes")
    open.resume_key = _KEY.pack(open.volatile_id, open.persistent_id)
    return fsctl.SrvRequestResumeKeyResponse(resume_key=open.resume_key).pack(), NtStatus.SUCCESS


def copychunk(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """:func:`copychunk_write` for those who may read the target, too.

    ACCESS_DENIED   they may not
    """
    ranges.the_open(open).require(FILE_READ_DATA)
    return copychunk_write(work, open, data, limit)


def copychunk_write(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """Copy chunks of another file of the session, one after the other; for Macs, no chunks are all.

    What was done before a failure stays, and is told beside the status.

    INVALID_PARAMETER        no room for the answer, a chunk beyond 2^63; with the limits as the
                             answer: a chunk of no length, or more than the limits
    OBJECT_NAME_NOT_FOUND    the key names no open of this session
    ACCESS_DENIED            the source was not opened to be read
    INVALID_DEVICE_REQUEST   source or target is a directory
    INVALID_VIEW_SIZE        a chunk ends behind the end of the source
    FILE_LOCK_CONFLICT       a byte-range lock on either side
    CANCELLED                the client wants no more of it
    """
    open = _file(ranges.the_open(open))
    if limit < fsctl.SrvCopychunkResponse.SIZE:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"{limit} bytes")
    head = fsctl.SrvCopychunkCopy.unpack(data)
    source = _file(_by_key(work, bytes(head.source_key)))
    source.require(_SOURCE)
    if not head.chunk_count and fsctl_copy_file.means_file(open):
        total, status = fsctl_copy_file.copy_file(work, source, open)
        return _told(0, total), status
    chunks = fsctl.unpack_copychunk(data)[1] if head.chunk_count <= MAX_CHUNKS else []
    if head.chunk_count > MAX_CHUNKS or not _within_limits(chunks):
        return _LIMITS.pack(), NtStatus.INVALID_PARAMETER
    for chunk in chunks:
        if max(chunk.source_offset, chunk.target_offset) + chunk.length > MAX_OFFSET:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, "a chunk beyond 2^63")
    with work.server.caching.change(open):
        done, total, status = _copy(work, source, open, chunks)
    if total:
        ranges.written(work, open)
    return _told(done, total), status


def _told(chunks: int, total: int) -> bytes:
    return fsctl.SrvCopychunkResponse(
        chunks_written=chunks, chunk_bytes_written=0, total_bytes_written=total
    ).pack()


def _file(open: Open) -> Open:
    if open.is_directory:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "a directory")
    return open


def _by_key(work: Work, key: bytes) -> Open:
    """The open that was given *key*, kept until the end of this command."""
    volatile_id, _ = _KEY.unpack(key)
    found = work.server.opens.find(volatile_id)
    if found is None or found.session is not work.session or found.resume_key != key:
        raise NtStatusError(NtStatus.OBJECT_NAME_NOT_FOUND, "no such resume key")
    try:
        work.hold(found)
    except NtStatusError:
        raise NtStatusError(NtStatus.OBJECT_NAME_NOT_FOUND, "its open is closed") from None
    return found


def _within_limits(chunks: Sequence[fsctl.SrvCopychunk]) -> bool:
    total = 0
    for chunk in chunks:
        if not 0 < chunk.length <= MAX_CHUNK:
            return False
        total += chunk.length
    return total <= MAX_TOTAL


def _copy(
    work: Work, source: Open, target: Open, chunks: Sequence[fsctl.SrvCopychunk]
) -> tuple[int, int, NtStatus]:
    """How many chunks and bytes were copied, and why no more."""
    done = total = 0
    for chunk in chunks:
        try:
            if work.given_up():
                return done, total, NtStatus.CANCELLED
            total += _copy_chunk(source, target, chunk)
        except NtStatusError as refused:
            return done, total, refused.status
        except OSError as failed:
            return done, total, from_oserror(failed)
        done += 1
    return done, total, NtStatus.SUCCESS


def _copy_chunk(source: Open, target: Open, chunk: fsctl.SrvCopychunk) -> int:
    length = chunk.length
    if chunk.source_offset + length > source.file.stat().size:
        raise NtStatusError(NtStatus.INVALID_VIEW_SIZE, "behind the end of the source")
    ranges.check_read_locks(source, chunk.source_offset, length)
    ranges.check_write_locks(target, chunk.target_offset, length)
    return copy_range(source.file, chunk.source_offset, target.file, chunk.target_offset, length)


# -- shared blocks -----------------------------------------------------------------------


def duplicate_extents(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """Let a range of the file share the blocks of another; the end of the file stays.

    Byte-range locks do not matter, as on Windows: smbtorture's dup_extents_src_lock.  What would
    lie behind the end of the file is left out, likewise: dup_extents_len_beyond_dest.

    NOT_SUPPORTED            blocks cannot be shared here; the ranges overlap; the source's ends
                             behind its end; a sparse source of a target that is not
    INVALID_HANDLE           the source is no open of this session
    ACCESS_DENIED            the source was not opened to be read
    INVALID_DEVICE_REQUEST   source or target is a directory, or a stream
    INVALID_PARAMETER        a negative range, one that does not fit blocks, another file system
    """
    asked = fsctl.DuplicateExtentsData.unpack(data)
    return _duplicate(work, open, asked)


def duplicate_extents_ex(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """:func:`duplicate_extents`; here each is atomic, whether that is asked for or not.

    INVALID_PARAMETER   another StructureSize, or flags there are not
    """
    asked = fsctl.DuplicateExtentsDataEx.unpack(data)
    if asked.structure_size != _EX_SIZE:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"size {asked.structure_size}")
    if asked.flags & ~fsctl.DUPLICATE_EXTENTS_SOURCE_ATOMIC:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"flags {asked.flags:#x}")
    return _duplicate(work, open, asked)


def _duplicate(
    work: Work,
    open: Open | None,
    asked: fsctl.DuplicateExtentsData | fsctl.DuplicateExtentsDataEx,
) -> tuple[bytes, NtStatus]:
    target = _plain(ranges.the_open(open))
    source = _plain(_by_id(work, asked.source_persistent_id, asked.source_volatile_id))
    source.require(_SOURCE)
    offset, into, count = asked.source_file_offset, asked.target_file_offset, asked.byte_count
    ranges.check_range(offset, count)
    ranges.check_range(into, count)
    count = _check_clone(source, offset, target, into, count)
    if count:
        with work.server.caching.change(target):
            _clone(source, offset, target, into, count)
        ranges.written(work, target)
    return b"", NtStatus.SUCCESS


def _plain(open: Open) -> Open:
    if open.is_directory or open.file.stream:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "no file of blocks")
    return open


def _by_id(work: Work, persistent_id: int, volatile_id: int) -> Open:
    found = work.server.opens.find(volatile_id)
    if (
        found is None
        or found.session is not work.session
        or found.persistent_id != persistent_id
        or found.handle is None
    ):
        raise NtStatusError(NtStatus.INVALID_HANDLE, f"source {volatile_id:#x}")
    try:
        work.hold(found)
    except NtStatusError:
        raise NtStatusError(NtStatus.INVALID_HANDLE, "the source is closed") from None
    return found


def _check_clone(source: Open, offset: int, target: Open, into: int, count: int) -> int:
    """How many bytes lie before the end of the target; NOT_SUPPORTED as in its caller."""
    ours, theirs = target.file.stat(), source.file.stat()
    if not abilities(target.tree.root.fd) & SHARES_BLOCKS:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "no shared blocks here")
    if offset + count > theirs.size:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "behind the end of the source")
    same = (ours.dev, ours.ino) == (theirs.dev, theirs.ino)
    if same and offset < into + count and into < offset + count:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "the ranges overlap")
    if theirs.attributes & ATTR_SPARSE and not ours.attributes & ATTR_SPARSE:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "from a sparse file")
    return max(min(count, ours.size - into), 0)


def _clone(source: Open, offset: int, target: Open, into: int, count: int) -> None:
    try:
        clone_range(source.file, offset, target.file, into, count)
    except OSError as failed:
        if failed.errno == errno.EXDEV:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, "another file system") from None
        raise
