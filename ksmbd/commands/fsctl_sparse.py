"""FSCTLs on the storage of files: holes, trimming, compression; [MS-FSA] 2.1.5.10."""

from __future__ import annotations

from typing import Final

from ksmbd.state import ranges
from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.vfs import sparse
from ksmbd.vfs.abilities import COMPRESSES, abilities
from ksmbd.vfs.compression import is_compressed, set_compressed
from ksmbd.wire import fsctl
from ksmbd.wire.access import ATTR_COMPRESSED, ATTR_SPARSE
from ksmbd.wire.change_notify import CHANGE_ATTRIBUTES
from ksmbd.wire.status import NtStatus, NtStatusError

_NOTHING: Final = (b"", NtStatus.SUCCESS)


def set_sparse(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """Let zeroed ranges become holes, or fill the holes; no input means the former.

    INVALID_PARAMETER        a directory
    INVALID_DEVICE_REQUEST   a stream, which has no room for holes
    NOT_SUPPORTED            the share keeps no DOS attributes
    DISK_FULL                no room for the holes
    """
    open = ranges.data_open(open)
    handle = open.file
    if handle.stream:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "a stream")
    wanted = fsctl.unpack_sparse(data)
    if not wanted and handle.writable:
        sparse.fill_holes(handle)
    _mark(work, open, ATTR_SPARSE, wanted)
    return _NOTHING


def query_allocated_ranges(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """Which parts of a range have storage; of a file that is not sparse the whole has.

    INVALID_PARAMETER   a directory, a negative range, or one that ends beyond 2^63
    BUFFER_TOO_SMALL    there is a range, and no room for it
    BUFFER_OVERFLOW     there are more ranges; the next request begins behind the last
    """
    open = ranges.data_open(open)
    asked = fsctl.FileAllocatedRange.unpack(data)
    ranges.check_range(asked.file_offset, asked.length)
    most = min(limit // fsctl.FileAllocatedRange.SIZE, sparse.MAX_RANGES)
    st = open.file.stat()
    if st.attributes & ATTR_SPARSE:
        found = sparse.allocated_ranges(open.file, asked.file_offset, asked.length, most + 1)
    else:
        end = min(asked.file_offset + asked.length, st.size)
        found = [(asked.file_offset, end - asked.file_offset)]
        found = found if end > asked.file_offset else []
    if found and not most:
        raise NtStatusError(NtStatus.BUFFER_TOO_SMALL, f"{limit} bytes")
    answer = b"".join(
        fsctl.FileAllocatedRange(file_offset=offset, length=length).pack()
        for offset, length in found[:most]
    )
    return answer, NtStatus.BUFFER_OVERFLOW if len(found) > most else NtStatus.SUCCESS


def set_zero_data(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """Make a range read as zeros, up to the end of the file; a sparse file loses its storage.

    INVALID_PARAMETER    a directory, a negative range, one that ends before it begins
    FILE_LOCK_CONFLICT   a byte-range lock on the range excludes it
    CANCELLED            some of it is zeroed
    """
    open = ranges.data_open(open)
    asked = fsctl.FileZeroDataInformation.unpack(data)
    length = asked.beyond_final_zero - asked.file_offset
    ranges.check_range(asked.file_offset, length)
    ranges.check_write_locks(open, asked.file_offset, length)
    free = bool(open.file.stat().attributes & ATTR_SPARSE)
    with work.server.caching.change(open):
        sparse.zero_range(open.file, asked.file_offset, length, free=free, stop=work.given_up)
    ranges.written(work, open)
    if work.given_up():
        raise NtStatusError(NtStatus.CANCELLED, "zeroing")
    return _NOTHING


def file_level_trim(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """Give back the storage of ranges that nobody needs; they read as zeros afterwards.

    INVALID_PARAMETER        a directory, no ranges, or one that is none
    INVALID_DEVICE_REQUEST   a stream, or a file system that cannot
    FILE_LOCK_CONFLICT       a byte-range lock on the first of them
    """
    open = ranges.data_open(open)
    if open.file.stream:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "a stream")
    asked = fsctl.unpack_trim(data)
    if not asked:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "no ranges")
    for offset, length in asked:
        ranges.check_range(offset, length)
    done = 0
    with work.server.caching.change(open):
        for offset, length in asked:
            try:
                ranges.check_write_locks(open, offset, length)
            except NtStatusError:
                if not done:
                    raise
                break  # the ranges from here on were not processed, as the answer says
            if not sparse.trim(open.file, offset, length):
                raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "no trimming here")
            done += 1
    ranges.written(work, open)
    answer = fsctl.FileLevelTrimOutput(num_ranges_processed=done).pack()
    return answer if limit >= len(answer) else b"", NtStatus.SUCCESS


def get_compression(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """Whether the file system compresses the file; no right is needed.

    INVALID_PARAMETER   no room for the two bytes
    """
    open = ranges.the_open(open)
    if limit < fsctl.CompressionState.SIZE:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"{limit} bytes")
    state = fsctl.COMPRESSION_NONE
    if _compresses(open) and is_compressed(open.file):
        state = fsctl.COMPRESSION_LZNT1  # whatever it is: there is no name for others
    return fsctl.CompressionState(compression_state=state).pack(), NtStatus.SUCCESS


def set_compression(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """Have the file system compress what is written from now on, or not.

    INVALID_PARAMETER   a format that there is not
    NOT_SUPPORTED       compression by a file system that knows none
    """
    open = ranges.the_open(open)
    wanted = fsctl.CompressionState.unpack(data).compression_state
    if wanted not in fsctl.COMPRESSION_FORMATS:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"format {wanted}")
    if not _compresses(open):
        if wanted != fsctl.COMPRESSION_NONE:
            raise NtStatusError(NtStatus.NOT_SUPPORTED, "no compression here")
        return _NOTHING
    set_compressed(open.file, wanted != fsctl.COMPRESSION_NONE)
    _mark(work, open, ATTR_COMPRESSED, wanted != fsctl.COMPRESSION_NONE)
    return _NOTHING


def _compresses(open: Open) -> bool:
    return bool(abilities(open.tree.root.fd) & COMPRESSES)


def _mark(work: Work, open: Open, attribute: int, wanted: bool) -> None:
    """Set or clear one of the attributes that only FSCTLs change.

    NOT_SUPPORTED   it is not kept
    """
    handle = open.file
    if handle.mark(attribute, wanted):
        work.server.notify.modified(handle.of_file(), CHANGE_ATTRIBUTES)
        work.server.caching.listing_changed(open, open.path, work.after)
    if bool(handle.stat().attributes & attribute) is not wanted:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "no DOS attributes are kept")
