"""SET_INFO of files and pipes: one row per class, [MS-SMB2] 3.3.5.21.1, [MS-FSA] 2.1.5.15."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ksmbd.commands import set_rename
from ksmbd.state.inode import Inode
from ksmbd.state.open import Open
from ksmbd.state.oplock import Cause
from ksmbd.state.work import Work
from ksmbd.vfs.handle import MAX_OFFSET
from ksmbd.vfs.pattern import NameInvalid
from ksmbd.wire import file_chains, file_info
from ksmbd.wire.access import (
    ATTR_ARCHIVE,
    ATTR_COMPRESSED,
    ATTR_DIRECTORY,
    ATTR_HIDDEN,
    ATTR_NOT_CONTENT_INDEXED,
    ATTR_OFFLINE,
    ATTR_READONLY,
    ATTR_REPARSE_POINT,
    ATTR_SPARSE,
    ATTR_SYSTEM,
    ATTR_TEMPORARY,
    DELETE,
    FILE_WRITE_ATTRIBUTES,
    FILE_WRITE_DATA,
    FILE_WRITE_EA,
)
from ksmbd.wire.base import WireError
from ksmbd.wire.change_notify import (
    CHANGE_ATTRIBUTES,
    CHANGE_CREATION,
    CHANGE_EA,
    CHANGE_LAST_ACCESS,
    CHANGE_LAST_WRITE,
)
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.set_info import SetInfoRequest
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import MAX_FILETIME, ns_from_filetime

_NO_TIMES: Final = frozenset((file_info.TIME_KEEP, file_info.TIME_FREEZE, file_info.TIME_THAW))
_SETTABLE: Final = (
    ATTR_READONLY | ATTR_HIDDEN | ATTR_SYSTEM | ATTR_ARCHIVE | ATTR_TEMPORARY
    | ATTR_OFFLINE | ATTR_NOT_CONTENT_INDEXED
)  # fmt: skip
_KEPT: Final = ATTR_SPARSE | ATTR_COMPRESSED | ATTR_REPARSE_POINT  # changed by FSCTLs alone
_MODES: Final = file_info.MODE_WRITE_THROUGH | file_info.MODE_SEQUENTIAL_ONLY


class Setting(NamedTuple):
    """A class: who acts, how many bytes it has at least, which right it needs."""

    act: Callable[[Work, Open, memoryview], None]
    fixed: int  # bytes; a shorter buffer is INFO_LENGTH_MISMATCH
    access: int = 0
    listed: bool = False  # what it changes is told by a listing of the directory


# -- times and attributes ----------------------------------------------------------------


def _basic(work: Work, open: Open, data: memoryview) -> None:
    """INVALID_PARAMETER   a time before 1601, or an attribute of the other kind of file"""
    info = file_info.FileBasicInformation.unpack(data)
    birth = _time(info.creation_time)
    access = _time(info.last_access_time)
    write = _time(info.last_write_time)
    change = _time(info.change_time)
    attributes = info.file_attributes
    refused = ATTR_TEMPORARY if open.is_directory else ATTR_DIRECTORY
    if attributes & refused:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"attributes {attributes:#x}")
    handle = open.file
    _freeze_change_time(open, info.change_time, change)
    if change is None:
        change = handle.change_set_by_client()  # zero means: as it is shown
    if attributes:
        handle.set_attributes(attributes & _SETTABLE | handle.stat().attributes & _KEPT)
    handle.set_times(birth=birth, access=access, write=write, change=change)
    work.server.notify.modified(handle, _changed(attributes, birth, access, write))
    if info.last_access_time != file_info.TIME_KEEP:
        handle.keep_access_time(info.last_access_time != file_info.TIME_THAW)
    if write is not None:
        open.freeze_write_time(write)
    elif info.last_write_time == file_info.TIME_FREEZE:
        open.freeze_write_time(handle.stat().write)
    elif info.last_write_time == file_info.TIME_THAW:
        open.freeze_write_time(None)


def _freeze_change_time(open: Open, asked: int, change: int | None) -> None:
    """Keep the change time from now on: that of now, or *change*; or let it move again."""
    if asked == file_info.TIME_THAW:
        open.freeze_change_time(None)
    elif asked != file_info.TIME_KEEP:
        open.freeze_change_time(open.file.stat().change if change is None else change)


def _changed(attributes: int, birth: int | None, access: int | None, write: int | None) -> int:
    """Which of them were set, in the bits of CHANGE_NOTIFY."""
    bits = CHANGE_ATTRIBUTES if attributes else 0
    bits |= CHANGE_CREATION if birth is not None else 0
    bits |= CHANGE_LAST_ACCESS if access is not None else 0
    return bits | (CHANGE_LAST_WRITE if write is not None else 0)


def _time(filetime: int) -> int | None:
    """ns since 1970; None if the time is not to be set."""
    if filetime in _NO_TIMES:
        return None
    if filetime > MAX_FILETIME:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"time {filetime:#x}")
    return ns_from_filetime(filetime)


# -- size --------------------------------------------------------------------------------


def _require_data(open: Open, size: int) -> None:
    if open.is_directory or size > MAX_OFFSET:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"size {size:#x}")


def _end_of_file(work: Work, open: Open, data: memoryview) -> None:
    """Cut or lengthen; the size it has already moves the write time alone, as with Windows."""
    size = file_info.FileEndOfFileInformation.unpack(data).end_of_file
    _require_data(open, size)
    if size == open.file.stat().size:
        open.file.set_times(write=int(work.server.clock() * 1e9))
    else:
        with work.server.caching.change(open):
            open.file.truncate(size)
    open.data_changed()
    work.server.notify.written(open.file)


def _allocation(work: Work, open: Open, data: memoryview) -> None:
    """Less than the file has cuts it off; more is reserved behind its end.

    Data that stay what they are keep their write time, but not their change time, as with Windows.
    """
    size = file_info.FileAllocationInformation.unpack(data).allocation_size
    _require_data(open, size)
    with work.server.caching.change(open):
        before = open.file.stat()
        open.file.allocate(size)
        if size >= before.size:
            open.file.set_times(write=before.write)
    if size < before.size:
        open.data_changed()
    work.server.notify.written(open.file)


def _valid_data_length(work: Work, open: Open, data: memoryview) -> None:
    """Check it only: what was never written reads as zeros here, and must go on doing so."""
    size = file_info.FileValidDataLengthInformation.unpack(data).valid_data_length
    _require_data(open, size)
    if size > open.file.stat().size:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "valid data beyond the end of the file")


# -- deletion ----------------------------------------------------------------------------


def _disposition(work: Work, open: Open, data: memoryview) -> None:
    info = file_info.FileDispositionInformation.unpack(data)
    _dispose(work, open, file_info.DISPOSITION_DELETE if info.delete_pending else 0)
    work.server.persistence.file_changed(open)


def _disposition_ex(work: Work, open: Open, data: memoryview) -> None:
    """NOT_SUPPORTED   ON_CLOSE of a file that was not opened to be deleted on close"""
    flags = file_info.FileDispositionInformationEx.unpack(data).flags
    if not flags & file_info.DISPOSITION_ON_CLOSE:
        _dispose(work, open, flags)
        work.server.persistence.file_changed(open)
        return
    wanted = bool(flags & file_info.DISPOSITION_DELETE)
    if not open.create_options & file_info.MODE_DELETE_ON_CLOSE:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "not opened to be deleted on close")
    if wanted:
        _require_deletable(open, flags)
    with _inode(open).lock:
        open.delete_on_close = wanted
        open.posix_delete = bool(wanted and flags & file_info.DISPOSITION_POSIX_SEMANTICS)
    work.server.persistence.file_changed(open)


def _dispose(work: Work, open: Open, flags: int) -> None:
    """[MS-FSA] 2.1.5.15.3 and .4: mark the file to be deleted, or not to be.

    With POSIX semantics the name goes when this open is closed; else with the last one.
    """
    inode = _inode(open)
    if not flags & file_info.DISPOSITION_DELETE:
        inode.clear_delete_pending()
        with inode.lock:
            open.posix_delete = False
        return
    _require_deletable(open, flags)
    work.server.caching.demand(inode, Cause.HANDLE, open.holder)
    inode.set_delete_pending(open.path, open.parent_key, open.audited)
    with inode.lock:
        open.posix_delete = open.posix or bool(flags & file_info.DISPOSITION_POSIX_SEMANTICS)
        watches = inode.watches()
    work.server.notify.end(watches, NtStatus.DELETE_PENDING)


def _require_deletable(open: Open, flags: int) -> None:
    """Refuse now what could not be removed at the end.

    ACCESS_DENIED         the root of the share; its streams may go
    CANNOT_DELETE         a read-only file
    DIRECTORY_NOT_EMPTY   a directory that holds something
    """
    handle = open.file
    if not handle.path and not handle.stream:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "the root of the share")
    attributes = handle.stat().attributes
    ignored = flags & file_info.DISPOSITION_IGNORE_READONLY_ATTRIBUTE
    if attributes & ATTR_READONLY and not ignored:
        raise NtStatusError(NtStatus.CANNOT_DELETE, "a read-only file")
    if handle.is_directory and not handle.is_empty():
        raise NtStatusError(NtStatus.DIRECTORY_NOT_EMPTY, handle.path)


def _inode(open: Open) -> Inode:
    """What the opens of the file share; every open that is no pipe has it."""
    if open.inode is None:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "a pipe, not a file")
    return open.inode


# -- extended attributes -----------------------------------------------------------------


def _full_ea(work: Work, open: Open, data: memoryview) -> None:
    """Set some extended attributes; one with an empty value is removed.

    EA_LIST_INCONSISTENT   a malformed list
    INVALID_EA_NAME        a name none may have, or a flag there is not
    ACCESS_DENIED          the name of what the server keeps there itself
    EA_TOO_LARGE           more than 64 KiB, or than the file system has room for

    If it fails nothing is changed.
    """
    try:
        eas = file_chains.unpack_full_eas(data)
    except WireError as malformed:
        raise NtStatusError(NtStatus.EA_LIST_INCONSISTENT, str(malformed)) from None
    try:
        open.file.set_eas(eas, file_chains.flagged_eas(data))
        work.server.notify.modified(open.file, CHANGE_EA)
    except (NameInvalid, ValueError) as invalid:
        raise NtStatusError(NtStatus.INVALID_EA_NAME, str(invalid)) from None


# -- what concerns this open only --------------------------------------------------------


def _position(work: Work, open: Open, data: memoryview) -> None:
    position = file_info.FilePositionInformation.unpack(data).current_byte_offset
    if position > MAX_OFFSET:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"position {position:#x}")
    open.position = position


def _mode(work: Work, open: Open, data: memoryview) -> None:
    """Write-through may come and go; the other modes are fixed by the create options."""
    mode = file_info.FileModeInformation.unpack(data).mode
    if mode & ~_MODES:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"mode {mode:#x}")
    open.create_options = open.create_options & ~_MODES | mode


def _short_name(work: Work, open: Open, data: memoryview) -> None:
    raise NtStatusError(NtStatus.NOT_SUPPORTED, "no short names")


def _pipe(work: Work, open: Open, data: memoryview) -> None:
    """Our pipes are message pipes; a client may say so, and no more."""
    info = file_info.FilePipeInformation.unpack(data)
    if (info.read_mode, info.completion_mode) != (
        file_info.PIPE_MESSAGE_MODE,
        file_info.PIPE_QUEUE_OPERATION,
    ):
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"read mode {info.read_mode}")


FILE_SETTINGS: Final[dict[int, Setting]] = {
    FileInfo.BASIC: Setting(_basic, 40, FILE_WRITE_ATTRIBUTES, listed=True),
    FileInfo.RENAME: Setting(set_rename.rename, 20, DELETE),
    FileInfo.LINK: Setting(set_rename.link, 20),
    FileInfo.DISPOSITION: Setting(_disposition, 1, DELETE),
    FileInfo.POSITION: Setting(_position, 8),
    FileInfo.FULL_EA: Setting(_full_ea, 8, FILE_WRITE_EA, listed=True),
    FileInfo.MODE: Setting(_mode, 4),
    FileInfo.ALLOCATION: Setting(_allocation, 8, FILE_WRITE_DATA, listed=True),
    FileInfo.END_OF_FILE: Setting(_end_of_file, 8, FILE_WRITE_DATA, listed=True),
    FileInfo.VALID_DATA_LENGTH: Setting(_valid_data_length, 8, FILE_WRITE_DATA),
    FileInfo.SHORT_NAME: Setting(_short_name, 4),
    FileInfo.DISPOSITION_EX: Setting(_disposition_ex, 4, DELETE),
    FileInfo.RENAME_EX: Setting(set_rename.rename_ex, 20, DELETE),
    FileInfo.LINK_EX: Setting(set_rename.link_ex, 20),
}
_MOVES: Final = frozenset((FileInfo.RENAME, FileInfo.RENAME_EX, FileInfo.LINK, FileInfo.LINK_EX))
PIPE_SETTINGS: Final[dict[int, Setting]] = {FileInfo.PIPE: Setting(_pipe, 8, FILE_WRITE_ATTRIBUTES)}
# what [MS-FSCC] 2.4 has to be set, by somebody
_SETTABLE_CLASSES: Final = frozenset(
    (FileInfo.QUOTA, FileInfo.CASE_SENSITIVE, *FILE_SETTINGS, *PIPE_SETTINGS)
)


def set_file(work: Work, open: Open, req: SetInfoRequest, data: memoryview) -> None:
    """Do what the class *req* names says with *data*.

    INVALID_INFO_CLASS     no such class, or one to be asked for only
    NOT_SUPPORTED          one that this kind of file does not have
    ACCESS_DENIED          the share is read-only, or the open was not granted what it needs
    MEDIA_WRITE_PROTECTED  a previous version; NOT_SAME_DEVICE if it is to be renamed or linked
    INFO_LENGTH_MISMATCH   *data* is shorter than the class
    """
    info_class = req.file_info_class
    setting = (FILE_SETTINGS if open.pipe is None else PIPE_SETTINGS).get(info_class)
    if setting is None:
        settable = info_class in _SETTABLE_CLASSES
        status = NtStatus.NOT_SUPPORTED if settable else NtStatus.INVALID_INFO_CLASS
        raise NtStatusError(status, f"file class {info_class}")
    if open.pipe is None:
        open.require_writable(moves=info_class in _MOVES)
    if len(data) < setting.fixed:
        raise NtStatusError(NtStatus.INFO_LENGTH_MISMATCH, f"{len(data)} bytes")
    open.require(setting.access)
    setting.act(work, open, data)
    open.keep_change_time()
    if open.durable is not None and open.durable.persistent:
        work.server.persistence.keep(open)  # a write time that stays, delete-on-close
    if setting.listed:
        work.server.caching.listing_changed(open, open.path, work.after)
