"""What a CREATE asks for, checked and in our terms, [MS-SMB2] 3.3.5.9 and [MS-FSA] 2.1.5.1."""

from __future__ import annotations

from typing import Final, NamedTuple

from ksmbd.state.work import Work
from ksmbd.vfs.pattern import NameInvalid
from ksmbd.vfs.quota_file import STREAM as QUOTA
from ksmbd.vfs.streams import INDEX, StreamName, split_stream
from ksmbd.wire.access import (
    ATTR_ARCHIVE,
    ATTR_ENCRYPTED,
    ATTR_HIDDEN,
    ATTR_NOT_CONTENT_INDEXED,
    ATTR_OFFLINE,
    ATTR_READONLY,
    ATTR_SYSTEM,
    ATTR_TEMPORARY,
    DELETE,
    FILE_CREATE_TREE_CONNECTION,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_NON_DIRECTORY_FILE,
    FILE_OPEN_BY_FILE_ID,
    FILE_OVERWRITE,
    FILE_OVERWRITE_IF,
    FILE_RESERVE_OPFILTER,
    FILE_SUPERSEDE,
    MAXIMUM_ALLOWED,
    map_generic,
)
from ksmbd.wire.base import WireError
from ksmbd.wire.create import DELEGATE, CreateRequest
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import from_utf16

_VALID_OPTIONS: Final = 0x00FFFFFF
_UNSUPPORTED: Final = FILE_CREATE_TREE_CONNECTION | FILE_OPEN_BY_FILE_ID | FILE_RESERVE_OPFILTER
_VALID_ACCESS: Final = 0xF31F01FF
_VALID_ATTRIBUTES: Final = 0x00007FB7
_KEPT_ATTRIBUTES: Final = (
    ATTR_READONLY | ATTR_HIDDEN | ATTR_SYSTEM | ATTR_ARCHIVE | ATTR_TEMPORARY
    | ATTR_OFFLINE | ATTR_NOT_CONTENT_INDEXED
)  # fmt: skip
_REPLACING: Final = frozenset((FILE_SUPERSEDE, FILE_OVERWRITE, FILE_OVERWRITE_IF))


class Wanted(NamedTuple):
    """A CREATE's wishes."""

    path: str  # share-relative, '/' between components
    stream: str  # "" is the file itself
    access: int  # generic rights resolved; MAXIMUM_ALLOWED may be set
    attributes: int  # those a file keeps
    share_access: int
    disposition: int
    options: int
    now: int  # ns since 1970
    posix: bool = False  # case counts, and names have no streams: the POSIX extensions


def wanted(work: Work, req: CreateRequest, *, posix: bool = False) -> Wanted:
    """Everything that can be refused without looking at the disk."""
    if req.impersonation_level > DELEGATE:
        raise NtStatusError(NtStatus.BAD_IMPERSONATION_LEVEL, f"{req.impersonation_level}")
    _check_numbers(req)
    access = map_generic(req.desired_access)
    if req.create_options & FILE_DELETE_ON_CLOSE and not access & (DELETE | MAXIMUM_ALLOWED):
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "delete-on-close without DELETE")
    name = _name(work, req, posix=posix)
    return Wanted(
        path=name.path,
        stream=name.stream,
        access=access,
        attributes=req.file_attributes & _KEPT_ATTRIBUTES,
        share_access=req.share_access,
        disposition=req.create_disposition,
        options=req.create_options | _kind(name, req.create_options),
        now=int(work.server.clock() * 1e9),
        posix=posix,
    )


def _check_numbers(req: CreateRequest) -> None:
    options = req.create_options
    if options & ~_VALID_OPTIONS:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"options {options:#x}")
    if options & _UNSUPPORTED:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, f"options {options:#x}")
    if req.create_disposition > FILE_OVERWRITE_IF or req.share_access > 7:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"disposition {req.create_disposition}")
    if options & FILE_DIRECTORY_FILE and (
        options & FILE_NON_DIRECTORY_FILE or req.create_disposition in _REPLACING
    ):
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"options {options:#x}")
    if req.desired_access & ~_VALID_ACCESS or not req.desired_access:
        raise NtStatusError(NtStatus.ACCESS_DENIED, f"access {req.desired_access:#x}")
    attributes = req.file_attributes
    if attributes & ~_VALID_ATTRIBUTES:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"attributes {attributes:#x}")
    if attributes & ATTR_ENCRYPTED:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "no encryption on this disk")


def _name(work: Work, req: CreateRequest, *, posix: bool) -> StreamName:
    """The name as a path and a stream; a slash separates as a backslash does.

    Samba and ksmbd take it, too: smbtorture's smb2.timestamps.test_close_not_attrib.
    """
    raw = work.buffer(req.name_offset, req.name_length, after=CreateRequest.SIZE)
    if len(raw) % 2:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "a name of an odd length")
    try:
        name = from_utf16(raw)
    except WireError as malformed:
        raise NtStatusError(NtStatus.OBJECT_NAME_INVALID, str(malformed)) from None
    path = name.replace("\\", "/")
    if path.startswith("/"):
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "a leading backslash")
    if posix:
        return StreamName(path, "", "")
    return _split(work, _without_detours(path))


def _without_detours(path: str) -> str:
    """Take each component that ``..`` undoes out of *path*, whatever is there on disk.

    OBJECT_PATH_SYNTAX_BAD   the path leads out of the share
    """
    if ".." not in path:
        return path
    kept: list[str] = []
    for name in path.split("/"):
        if name != "..":
            kept.append(name)
        elif kept:
            kept.pop()
        else:
            raise NtStatusError(NtStatus.OBJECT_PATH_SYNTAX_BAD, path)
    return "/".join(kept)


def _split(work: Work, name: str) -> StreamName:
    """OBJECT_NAME_INVALID   no name of a stream, or any in a share that has none

    ksmbd says OBJECT_NAME_NOT_FOUND in such a share; as Samba: smbtorture's create_no_streams.
    """
    try:
        found = split_stream(name)
    except NameInvalid as invalid:
        raise NtStatusError(NtStatus.OBJECT_NAME_INVALID, str(invalid)) from None
    if found.kind and not (
        (found.stream == QUOTA and found.kind == INDEX) or work.the_tree().share.streams
    ):
        raise NtStatusError(NtStatus.OBJECT_NAME_INVALID, f"{name}: no streams here")
    return found


def _kind(name: StreamName, options: int) -> int:
    """The create option that the type in a name stands for.

    NOT_A_DIRECTORY       a data stream, to be opened as a directory
    FILE_IS_A_DIRECTORY   a directory's list of names, not to be opened as one
    """
    if name.kind == INDEX:
        if options & FILE_NON_DIRECTORY_FILE:
            raise NtStatusError(NtStatus.FILE_IS_A_DIRECTORY, name.path)
        return FILE_DIRECTORY_FILE
    if name.kind and options & FILE_DIRECTORY_FILE:
        raise NtStatusError(NtStatus.NOT_A_DIRECTORY, f"{name.path}:{name.stream}")
    return FILE_NON_DIRECTORY_FILE if name.kind else 0
