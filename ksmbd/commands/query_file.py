"""QUERY_INFO of files and pipes: one row per class, [MS-SMB2] 3.3.5.20.1, [MS-FSCC] 2.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.vfs.stat import Stat
from ksmbd.wire import file_chains, file_info
from ksmbd.wire.access import (
    ATTR_NORMAL,
    FILE_READ_ATTRIBUTES,
    FILE_READ_EA,
    FILE_SYNCHRONOUS_IO_ALERT,
    FILE_SYNCHRONOUS_IO_NONALERT,
    SYNCHRONIZE,
)
from ksmbd.wire.base import Buffer
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.negotiate import SMB_3_1_1
from ksmbd.wire.query_info import RETURN_SINGLE_ENTRY, QueryInfoRequest
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import filetime_from_ns, utf16

_MODE: Final = file_info.MODE_VALID
_ATTRIBUTES_AND_TIMES: Final = FILE_READ_ATTRIBUTES


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
    return max(links - (1 if pending and not gone else 0), 0), pending


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
    return file_info.FileInternalInformation(index_number=st.ino).pack()


def _ea_size(open: Open) -> int:
    """What FileFullEaInformation of all EAs would take, as OS/2 counted: 4 bytes and each entry."""
    eas = open.file.eas()
    return 4 + sum(5 + len(name.encode()) + len(value) for name, value in eas) if eas else 0


def _ea(open: Open, st: Stat) -> bytes:
    return file_info.FileEaInformation(ea_size=_ea_size(open)).pack()


def _access(open: Open, st: Stat) -> bytes:
    return file_info.FileAccessInformation(access_flags=open.granted_access).pack()


def _full_name(open: Open) -> bytes:
    return utf16("\\" + open.path.replace("/", "\\"))


def _name(open: Open, st: Stat) -> bytes:
    name = _full_name(open)
    return file_info.FileNameInformation(file_name_length=len(name)).pack() + name


def _normalized_name(open: Open, st: Stat) -> bytes:
    name = utf16(open.path.replace("/", "\\"))
    return file_info.FileNameInformation(file_name_length=len(name)).pack() + name


def _alternate_name(open: Open, st: Stat) -> bytes:
    raise NtStatusError(NtStatus.OBJECT_NAME_NOT_FOUND, "no short names")


def _position(open: Open, st: Stat) -> bytes:
    return file_info.FilePositionInformation(current_byte_offset=open.position).pack()


def mode_of(open: Open) -> int:
    """FileModeInformation: the create options that last, and what was set since."""
    options = open.create_options & _MODE
    if not open.granted_access & SYNCHRONIZE:
        options &= ~(FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT)
    return options


def _mode(open: Open, st: Stat) -> bytes:
    return file_info.FileModeInformation(mode=mode_of(open)).pack()


def _alignment(open: Open, st: Stat) -> bytes:
    return file_info.FileAlignmentInformation().pack()


def _all(open: Open, st: Stat) -> bytes:
    allocation, end = _size(st)
    links, pending = _links(open, st)
    name = _full_name(open)
    fixed = file_info.FileAllInformation(
        creation_time=filetime_from_ns(st.birth),
        last_access_time=filetime_from_ns(st.access),
        last_write_time=filetime_from_ns(st.write),
        change_time=filetime_from_ns(st.change),
        file_attributes=st.attributes or ATTR_NORMAL,
        allocation_size=allocation,
        end_of_file=end,
        number_of_links=links,
        delete_pending=pending,
        directory=st.is_directory,
        index_number=st.ino,
        ea_size=_ea_size(open),
        access_flags=open.granted_access,
        current_byte_offset=open.position,
        mode=mode_of(open),
        file_name_length=len(name),
    )
    return fixed.pack() + name


def _streams(open: Open, st: Stat) -> bytes:
    if st.is_directory:
        return b""
    return file_chains.pack_streams([file_chains.Stream("::$DATA", st.size, st.allocation)])[0]


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
        file_id=st.ino.to_bytes(8, "little") + st.dev.to_bytes(8, "little"),
    ).pack()


def _standard_link(open: Open, st: Stat) -> bytes:
    links, pending = _links(open, st)
    return file_info.FileStandardLinkInformation(
        number_of_accessible_links=links,
        total_number_of_links=st.nlink,
        delete_pending=pending,
        directory=st.is_directory,
    ).pack()


FILE_QUERIES: Final[dict[int, Query]] = {
    FileInfo.BASIC: Query(_basic, 40, _ATTRIBUTES_AND_TIMES),
    FileInfo.STANDARD: Query(_standard, 24),
    FileInfo.INTERNAL: Query(_internal, 8),
    FileInfo.EA: Query(_ea, 4),
    FileInfo.ACCESS: Query(_access, 4),
    FileInfo.NAME: Query(_name, 4),
    FileInfo.POSITION: Query(_position, 8),
    FileInfo.MODE: Query(_mode, 4),
    FileInfo.ALIGNMENT: Query(_alignment, 4),
    FileInfo.ALL: Query(_all, 104, _ATTRIBUTES_AND_TIMES),
    FileInfo.ALTERNATE_NAME: Query(_alternate_name, 4),
    FileInfo.STREAM: Query(_streams, 32),
    FileInfo.COMPRESSION: Query(_compression, 16),
    FileInfo.NETWORK_OPEN: Query(_network_open, 56, _ATTRIBUTES_AND_TIMES),
    FileInfo.ATTRIBUTE_TAG: Query(_attribute_tag, 8, _ATTRIBUTES_AND_TIMES),
    FileInfo.NORMALIZED_NAME: Query(_normalized_name, 4),
    FileInfo.ID: Query(_id, 24),
    FileInfo.STANDARD_LINK: Query(_standard_link, 12),
}


def query_file(work: Work, open: Open, req: QueryInfoRequest) -> tuple[Buffer, NtStatus]:
    """The class *req* names, cut to its OutputBufferLength."""
    info_class = req.file_info_class
    if open.pipe is not None:
        return _query_pipe(open, req)
    if info_class == FileInfo.FULL_EA:
        return _full_ea(work, open, req)
    query = FILE_QUERIES.get(info_class)
    if query is None:
        raise NtStatusError(NtStatus.INVALID_INFO_CLASS, f"file class {info_class}")
    if info_class == FileInfo.NORMALIZED_NAME and work.connection.dialect < SMB_3_1_1:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "normalized names before 3.1.1")
    open.require(query.access)
    if req.output_buffer_length < query.fixed:
        raise NtStatusError(NtStatus.INFO_LENGTH_MISMATCH, f"{req.output_buffer_length} bytes")
    return cut(query.build(open, open.file.stat()), req.output_buffer_length)


def cut(data: bytes, limit: int) -> tuple[Buffer, NtStatus]:
    """As much as fits, and whether that is all."""
    if len(data) <= limit:
        return data, NtStatus.SUCCESS
    return data[:limit], NtStatus.BUFFER_OVERFLOW


# -- extended attributes -----------------------------------------------------------------


def _full_ea(work: Work, open: Open, req: QueryInfoRequest) -> tuple[Buffer, NtStatus]:
    """All EAs, or those the input names; entries are never cut, [MS-FSA] 2.1.5.12.10.

    NO_EAS_ON_FILE     there are none
    BUFFER_TOO_SMALL   not even the first fits
    BUFFER_OVERFLOW    not all fit; those that do are given
    """
    open.require(FILE_READ_EA)
    eas = open.file.eas()
    if req.input_buffer_length:
        wanted = file_chains.unpack_get_eas(
            work.buffer(req.input_buffer_offset, req.input_buffer_length, after=req.SIZE)
        )
        have = {name.upper(): (name, value) for name, value in eas}
        eas = [have.get(name.upper(), (name, b"")) for name in wanted]
    elif not eas:
        raise NtStatusError(NtStatus.NO_EAS_ON_FILE, open.path)
    if req.flags & RETURN_SINGLE_ENTRY:
        eas = eas[:1]
    data, count = file_chains.pack_full_eas(eas, req.output_buffer_length)
    if count == len(eas):
        return data, NtStatus.SUCCESS
    if not count:
        raise NtStatusError(NtStatus.BUFFER_TOO_SMALL, f"{req.output_buffer_length} bytes")
    return data, NtStatus.BUFFER_OVERFLOW


# -- pipes -------------------------------------------------------------------------------

_PIPE_QUOTA: Final = 4096  # bytes


def _pipe_standard(open: Open) -> bytes:
    # Windows 7 asks again and again unless it gets an answer, and this is Samba's and ksmbd's.
    return file_info.FileStandardInformation(
        allocation_size=_PIPE_QUOTA, end_of_file=0, number_of_links=1, delete_pending=1, directory=0
    ).pack()


def _pipe_info(open: Open) -> bytes:
    return file_info.FilePipeInformation(
        read_mode=file_info.PIPE_MESSAGE_MODE, completion_mode=file_info.PIPE_QUEUE_OPERATION
    ).pack()


def _pipe_local(open: Open) -> bytes:
    return file_info.FilePipeLocalInformation(
        inbound_quota=_PIPE_QUOTA,
        read_data_available=0,
        outbound_quota=_PIPE_QUOTA,
        write_quota_available=_PIPE_QUOTA,
    ).pack()


_PIPE_QUERIES: Final[dict[int, tuple[Callable[[Open], bytes], int]]] = {
    FileInfo.STANDARD: (_pipe_standard, 24),
    FileInfo.PIPE: (_pipe_info, 8),
    FileInfo.PIPE_LOCAL: (_pipe_local, 40),
}


def _query_pipe(open: Open, req: QueryInfoRequest) -> tuple[Buffer, NtStatus]:
    found = _PIPE_QUERIES.get(req.file_info_class)
    if found is None:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, f"class {req.file_info_class} of a pipe")
    build, size = found
    if req.output_buffer_length < size:
        raise NtStatusError(NtStatus.INFO_LENGTH_MISMATCH, f"{req.output_buffer_length} bytes")
    return build(open), NtStatus.SUCCESS
