"""QUERY_INFO of files: one row per class, [MS-SMB2] 3.3.5.20.1, [MS-FSCC] 2.4."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from ksmbd.commands import query_pipe
from ksmbd.state import apple_ids
from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.vfs import afp_info
from ksmbd.vfs.shortnames import short_name
from ksmbd.vfs.stat import Stat
from ksmbd.vfs.streams import list_streams, shown
from ksmbd.wire import file_chains, file_info, posix
from ksmbd.wire.access import (
    ATTR_NORMAL,
    FILE_READ_ATTRIBUTES,
    FILE_READ_EA,
    FILE_SYNCHRONOUS_IO_ALERT,
    FILE_SYNCHRONOUS_IO_NONALERT,
    SYNCHRONIZE,
)
from ksmbd.wire.base import Buffer, WireError
from ksmbd.wire.file_info import KNOWN, FileInfo
from ksmbd.wire.negotiate import SMB_3_1_1
from ksmbd.wire.query_info import (
    INDEX_SPECIFIED,
    RESTART_SCAN,
    RETURN_SINGLE_ENTRY,
    QueryInfoRequest,
)
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import filetime_from_ns, upcase, utf16

_MODE: Final = file_info.MODE_VALID
_NORMALIZED_NAME: Final = int(FileInfo.NORMALIZED_NAME)
_POSIX: Final = int(FileInfo.POSIX)
_STREAM_FIXED: Final = 32  # bytes
_PACKED_ALL: Final = file_info.FileAllInformation.packed


class Query(NamedTuple):
    """A class: who builds it, how many bytes of it must fit, which right it needs."""

    build: Callable[[Open, Stat], bytes]
    fixed: int  # bytes; a shorter buffer is INFO_LENGTH_MISMATCH
    access: int = 0


# -- builders ----------------------------------------------------------------------------


def _basic(open: Open, st: Stat) -> bytes:
    return file_info.FileBasicInformation(
        creation_time=filetime_from_ns(st.birth),
        last_access_time=filetime_from_ns(st.access),
        last_write_time=filetime_from_ns(st.write),
        change_time=filetime_from_ns(st.change),
        file_attributes=st.attributes or ATTR_NORMAL,
    ).pack()


def _links(open: Open, st: Stat) -> tuple[int, bool]:
    """NumberOfLinks and DeletePending: a name that is going away counts no more."""
    inode = open.inode
    pending = inode is not None and inode.delete_pending
    links = st.nlink if not st.is_directory else 1
    gone = inode is not None and inode.deleted
    return (links - 1 if pending and not gone and links else links), pending


def _size(st: Stat) -> tuple[int, int]:
    """AllocationSize and EndOfFile; a directory has none that matter."""
    return (0, 0) if st.is_directory else (st.allocation, st.size)


def _standard(open: Open, st: Stat) -> bytes:
    allocation, end = _size(st)
    links, pending = _links(open, st)
    return file_info.FileStandardInformation(
        allocation_size=allocation,
        end_of_file=end,
        number_of_links=links,
        delete_pending=pending,
        directory=st.is_directory,
    ).pack()


def _internal(open: Open, st: Stat) -> bytes:
    return file_info.FileInternalInformation(index_number=apple_ids.number(open, st)).pack()


def _ea_size(open: Open, st: Stat) -> int:
    """Bytes that FileFullEaInformation of all EAs takes."""
    return st.ea_size if st.ea_size >= 0 else open.file.ea_size()


def _ea(open: Open, st: Stat) -> bytes:
    return file_info.FileEaInformation(ea_size=_ea_size(open, st)).pack()


def _access(open: Open, st: Stat) -> bytes:
    return file_info.FileAccessInformation(access_flags=open.granted_access).pack()


def _normalized(path: str, stream: str) -> str:
    name = path.replace("/", "\\")
    return f"{name}:{stream}" if stream else name


@lru_cache(maxsize=1024)
def _encoded(path: str, stream: str) -> bytes:
    """The full name as the wire has it, which is asked for again and again."""
    return utf16("\\" + _normalized(path, stream))


def _name(open: Open, st: Stat) -> bytes:
    return file_info.pack_name("\\" + _normalized(open.path, open.file.stream))


def _normalized_name(open: Open, st: Stat) -> bytes:
    return file_info.pack_name(_normalized(open.path, open.file.stream))


def _alternate_name(open: Open, st: Stat) -> bytes:
    if not open.path:
        raise NtStatusError(NtStatus.OBJECT_NAME_NOT_FOUND, "the share's root has no name")
    return file_info.pack_name(short_name(open.path.rpartition("/")[2]))


def _position(open: Open, st: Stat) -> bytes:
    return file_info.FilePositionInformation(current_byte_offset=open.position).pack()


def _mode_of(open: Open) -> int:
    """FileModeInformation: the create options that last, and what was set since."""
    options = open.create_options & _MODE
    if not open.granted_access & SYNCHRONIZE:
        options &= ~(FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT)
    return options


def _mode(open: Open, st: Stat) -> bytes:
    return file_info.FileModeInformation(mode=_mode_of(open)).pack()


def _alignment(open: Open, st: Stat) -> bytes:
    return file_info.FileAlignmentInformation().pack()


def _all(open: Open, st: Stat) -> bytes:
    """What most clients ask for at each open; so there is no instance made of all these fields."""
    allocation, end = _size(st)
    links, pending = _links(open, st)
    file = open.file
    name = _encoded(file.path, file.stream)
    fixed = _PACKED_ALL(
        filetime_from_ns(st.birth),
        filetime_from_ns(st.access),
        filetime_from_ns(st.write),
        filetime_from_ns(st.change),
        st.attributes or ATTR_NORMAL,
        0,  # Reserved
        allocation,
        end,
        links,
        pending,
        st.is_directory,
        0,  # Reserved
        apple_ids.number(open, st),
        _ea_size(open, st),
        open.granted_access,
        open.position,
        _mode_of(open),
        0,  # AlignmentRequirement
        len(name),
    )
    return fixed + name


def _compression(open: Open, st: Stat) -> bytes:
    return file_info.FileCompressionInformation(compressed_file_size=_size(st)[1]).pack()


def _network_open(open: Open, st: Stat) -> bytes:
    allocation, end = _size(st)
    return file_info.FileNetworkOpenInformation(
        creation_time=filetime_from_ns(st.birth),
        last_access_time=filetime_from_ns(st.access),
        last_write_time=filetime_from_ns(st.write),
        change_time=filetime_from_ns(st.change),
        allocation_size=allocation,
        end_of_file=end,
        file_attributes=st.attributes or ATTR_NORMAL,
    ).pack()


def _attribute_tag(open: Open, st: Stat) -> bytes:
    return file_info.FileAttributeTagInformation(
        file_attributes=st.attributes or ATTR_NORMAL, reparse_tag=st.reparse_tag
    ).pack()


def _id(open: Open, st: Stat) -> bytes:
    return file_info.FileIdInformation(
        volume_serial_number=open.tree.share.volume_serial,
        file_id=apple_ids.number(open, st).to_bytes(8, "little") + st.dev.to_bytes(8, "little"),
    ).pack()


def _standard_link(open: Open, st: Stat) -> bytes:
    links, pending = _links(open, st)
    return file_info.FileStandardLinkInformation(
        number_of_accessible_links=links,
        total_number_of_links=st.nlink,
        delete_pending=pending,
        directory=st.is_directory,
    ).pack()


def _posix(open: Open, st: Stat) -> bytes:
    """Level 100 of the POSIX extensions."""
    head = posix.FilePosixInformation(
        creation_time=filetime_from_ns(st.birth),
        last_access_time=filetime_from_ns(st.access),
        last_write_time=filetime_from_ns(st.write),
        change_time=filetime_from_ns(st.change),
        end_of_file=st.size,
        allocation_size=st.allocation,
        dos_attributes=st.attributes or ATTR_NORMAL,
        inode=st.ino,
        device_id=st.rdev & 0xFFFF_FFFF,
        number_of_links=st.nlink,
        reparse_tag=st.reparse_tag,
        mode=posix.wire_mode(st.posix_mode),
    )
    return head.pack() + posix.unix_user_sid(st.uid) + posix.unix_group_sid(st.gid)


FILE_QUERIES: Final[dict[int, Query]] = {
    FileInfo.BASIC: Query(_basic, 40, FILE_READ_ATTRIBUTES),
    FileInfo.STANDARD: Query(_standard, 24),
    FileInfo.INTERNAL: Query(_internal, 8),
    FileInfo.EA: Query(_ea, 4),
    FileInfo.ACCESS: Query(_access, 4),
    FileInfo.NAME: Query(_name, 8),
    FileInfo.POSITION: Query(_position, 8),
    FileInfo.MODE: Query(_mode, 4),
    FileInfo.ALIGNMENT: Query(_alignment, 4),
    FileInfo.ALL: Query(_all, 104, FILE_READ_ATTRIBUTES),
    FileInfo.ALTERNATE_NAME: Query(_alternate_name, 8),
    FileInfo.COMPRESSION: Query(_compression, 16),
    FileInfo.NETWORK_OPEN: Query(_network_open, 56, FILE_READ_ATTRIBUTES),
    FileInfo.ATTRIBUTE_TAG: Query(_attribute_tag, 8, FILE_READ_ATTRIBUTES),
    FileInfo.NORMALIZED_NAME: Query(_normalized_name, 8),
    FileInfo.ID: Query(_id, 24),
    FileInfo.STANDARD_LINK: Query(_standard_link, 12),
    FileInfo.POSIX: Query(_posix, 80, FILE_READ_ATTRIBUTES),
}


def query_file(work: Work, open: Open, req: QueryInfoRequest) -> tuple[Buffer, NtStatus]:
    """The class *req* names, cut to its OutputBufferLength.

    INVALID_INFO_CLASS     no such class
    NOT_SUPPORTED          one that is for listings, for setting, or for another dialect
    ACCESS_DENIED          the open was not granted what the class needs
    INFO_LENGTH_MISMATCH   not even the fixed part fits
    OBJECT_NAME_NOT_FOUND  the short name of the share's root
    BUFFER_OVERFLOW        a name or a chain is cut
    """
    if open.pipe is not None:
        return query_pipe.query_pipe(open, open.pipe, req)
    info_class, length = req.file_info_class, req.output_buffer_length
    query = FILE_QUERIES.get(info_class)
    if query is None:
        if info_class == FileInfo.FULL_EA:
            return _full_ea(work, open, req)
        if info_class == FileInfo.STREAM:
            return _streams(open, length)
        status = NtStatus.NOT_SUPPORTED if info_class in KNOWN else NtStatus.INVALID_INFO_CLASS
        raise NtStatusError(status, f"file class {info_class}")
    if info_class == _NORMALIZED_NAME and work.connection.dialect < SMB_3_1_1:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "normalized names before 3.1.1")
    open.require(query.access)
    if info_class == _POSIX and not open.posix:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "not opened with the POSIX extensions")
    if length < query.fixed:
        raise NtStatusError(NtStatus.INFO_LENGTH_MISMATCH, f"{length} bytes", b"")
    data = query.build(open, open.file.stat())
    if len(data) > length:
        return data[:length], NtStatus.BUFFER_OVERFLOW
    return data, NtStatus.SUCCESS


# -- streams -----------------------------------------------------------------------------


def _streams(open: Open, limit: int) -> tuple[Buffer, NtStatus]:
    """All streams of the file, whichever of them is open; an entry is given whole or not at all.

    A directory has no data of its own, and may have no stream at all.

    INFO_LENGTH_MISMATCH   less than one entry may take
    BUFFER_OVERFLOW        not all fit; those that do are given
    """
    if limit < _STREAM_FIXED:
        raise NtStatusError(NtStatus.INFO_LENGTH_MISMATCH, f"{limit} bytes", b"")
    handle = open.file.of_file()
    st = handle.stat()
    found = []
    if not st.is_directory:
        found.append(file_chains.Stream("::$DATA", st.size, st.allocation))
    if open.tree.share.streams:
        apple = handle.root.options.apple
        found += [
            file_chains.Stream(f":{shown(each.name)}:$DATA", each.size, each.allocation)
            for each in list_streams(handle.root, handle.fd)
            if not apple or not afp_info.is_blank(each.name, each.size, open.session.aapl)
        ]
    data, count = file_chains.pack_streams(found, limit)
    return data, NtStatus.SUCCESS if count == len(found) else NtStatus.BUFFER_OVERFLOW


# -- extended attributes -----------------------------------------------------------------


def _full_ea(work: Work, open: Open, req: QueryInfoRequest) -> tuple[Buffer, NtStatus]:
    """All EAs, or those the input names; entries are never cut, [MS-FSA] 2.1.5.12.10.

    A scan that was not given all of them goes on where it ended, unless told to restart.

    NO_EAS_ON_FILE         there are none
    NO_MORE_EAS            the scan has come to its end
    NONEXISTENT_EA_ENTRY   no EA of that index
    EA_LIST_INCONSISTENT   a malformed list of names
    BUFFER_TOO_SMALL       not even the first fits
    BUFFER_OVERFLOW        not all fit; those that do are given
    """
    open.require(FILE_READ_EA)
    eas, start = open.file.eas(), 0
    if req.input_buffer_length:
        names = work.buffer(req.input_buffer_offset, req.input_buffer_length, after=req.SIZE)
        eas = _named(eas, names)
    else:
        start = _first(open, req, len(eas))
    wanted = eas[start : start + 1] if req.flags & RETURN_SINGLE_ENTRY else eas[start:]
    needed = open.file.needed_eas() if wanted else frozenset()
    data, count = file_chains.pack_full_eas(wanted, req.output_buffer_length, needed)
    if not count:
        raise NtStatusError(NtStatus.BUFFER_TOO_SMALL, f"{req.output_buffer_length} bytes")
    if not req.input_buffer_length:
        open.next_ea = start + count
    return data, NtStatus.SUCCESS if count == len(wanted) else NtStatus.BUFFER_OVERFLOW


def _first(open: Open, req: QueryInfoRequest, count: int) -> int:
    """With which of *count* EAs the scan begins."""
    if not count:
        raise NtStatusError(NtStatus.NO_EAS_ON_FILE, open.path)
    if req.flags & INDEX_SPECIFIED:
        index = req.additional_information  # from 1
        if not 1 <= index <= count:
            raise NtStatusError(NtStatus.NONEXISTENT_EA_ENTRY, f"index {index} of {count}")
        return index - 1
    if req.flags & RESTART_SCAN:
        return 0
    if open.next_ea >= count:
        raise NtStatusError(NtStatus.NO_MORE_EAS, open.path)
    return open.next_ea


def _named(eas: list[tuple[str, bytes]], names: memoryview) -> list[tuple[str, bytes]]:
    """Those asked for; one that is not there has an empty value."""
    try:
        wanted = file_chains.unpack_get_eas(names)
    except WireError as malformed:
        raise NtStatusError(NtStatus.EA_LIST_INCONSISTENT, str(malformed)) from None
    have = {upcase(name): (name, value) for name, value in eas}
    return [have.get(upcase(name), (name, b"")) for name in wanted]
