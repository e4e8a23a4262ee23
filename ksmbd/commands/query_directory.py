"""SMB2 QUERY_DIRECTORY, [MS-SMB2] 3.3.5.18."""

from __future__ import annotations

from typing import Final

from ksmbd.state.apple_listing import AppleListing
from ksmbd.state.open import Open
from ksmbd.state.sight import sight
from ksmbd.state.work import Reply, Work
from ksmbd.vfs.directory import DirEntry, Enumeration
from ksmbd.vfs.pattern import NameInvalid
from ksmbd.vfs.shortnames import told
from ksmbd.wire.access import ATTR_REPARSE_POINT, FILE_LIST_DIRECTORY
from ksmbd.wire.base import WireError
from ksmbd.wire.create_context import AAPL_READ_DIR_ATTR
from ksmbd.wire.dir_info import LAYOUTS, Listing, fixed_size
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.posix import unix_group_sid, unix_user_sid
from ksmbd.wire.query_directory import (
    REOPEN,
    RESTART_SCANS,
    RETURN_SINGLE_ENTRY,
    QueryDirectoryRequest,
    QueryDirectoryResponse,
)
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import from_utf16

SHORT: Final = 64  # entries; about a millisecond: longer listings keep others waiting


def query_directory(work: Work, req: QueryDirectoryRequest) -> Reply:
    """List as many entries as fit, from where the last request ended.

    INVALID_INFO_CLASS     a class that is none of directories
    INVALID_PARAMETER      no directory, or more than MaxTransactSize asked for
    ACCESS_DENIED          the open may not list
    OBJECT_NAME_INVALID    an impossible pattern
    INFO_LENGTH_MISMATCH   not even one entry fits
    NO_SUCH_FILE           the first request of a scan finds nothing
    NO_MORE_FILES          a later one does

    A reader with several connections does a short listing only; a longer one is a kworker's, from
    its beginning.
    """
    if req.file_information_class not in LAYOUTS:
        raise NtStatusError(NtStatus.INVALID_INFO_CLASS, f"{req.file_information_class}")
    if req.output_buffer_length > work.connection.max_transact_size:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "longer than MaxTransactSize")
    if req.output_buffer_length < fixed_size(req.file_information_class):
        raise NtStatusError(NtStatus.INFO_LENGTH_MISMATCH, f"{req.output_buffer_length} bytes")
    open = work.open(req.persistent_id, req.volatile_id)
    if not open.is_directory:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "no directory")
    if req.file_information_class == FileInfo.POSIX and not open.posix:
        raise NtStatusError(NtStatus.INVALID_INFO_CLASS, "not opened with the POSIX extensions")
    open.require(FILE_LIST_DIRECTORY)
    if open.enumeration is not None and open.enumeration.is_long and _holds_others_up(work):
        work.needs_kworker()
    pattern = _pattern(work, req)
    # A scan is a sequence: requests on one open take turns, over the I/O as well.
    with open.scan_lock:
        entries, first = _scan(open, req, pattern) if work.memo is None else work.memo
        work.memo = entries, first  # once begun it is not begun again
        if entries.is_long:
            work.needs_kworker()
        listing = _fill(work, open, entries, req)
    if not listing.count:
        raise NtStatusError(NtStatus.NO_SUCH_FILE if first else NtStatus.NO_MORE_FILES, pattern)
    data = listing.finish()
    return Reply(QueryDirectoryResponse(output_buffer_length=len(data)), data)


def _pattern(work: Work, req: QueryDirectoryRequest) -> str:
    raw = work.buffer(req.file_name_offset, req.file_name_length, after=req.SIZE)
    try:
        pattern = from_utf16(raw)
    except WireError as malformed:
        raise NtStatusError(NtStatus.OBJECT_NAME_INVALID, str(malformed)) from None
    if not pattern or "\\" in pattern or "/" in pattern or "\0" in pattern:
        raise NtStatusError(NtStatus.OBJECT_NAME_INVALID, f"pattern {pattern!r}")
    return pattern


def _scan(open: Open, req: QueryDirectoryRequest, pattern: str) -> tuple[Enumeration, bool]:
    """The scan to go on with, and whether it begins now."""
    entries = open.enumeration
    if entries is not None and not req.flags & (RESTART_SCANS | REOPEN):
        return entries, False
    if entries is None:
        entries = open.file.entries(sight(open.tree))
    try:
        entries.restart(pattern)
    except NameInvalid as invalid:
        raise NtStatusError(NtStatus.OBJECT_NAME_INVALID, str(invalid)) from None
    open.enumeration = entries
    return entries, True


def _fill(work: Work, open: Open, entries: Enumeration, req: QueryDirectoryRequest) -> Listing:
    listing = Listing(req.file_information_class, req.output_buffer_length)
    single = req.flags & RETURN_SINGLE_ENTRY
    add = _add_short if open.file.root.options.short_names else None
    if req.file_information_class == FileInfo.POSIX:
        add = _add_posix
    elif (
        req.file_information_class == FileInfo.ID_BOTH_DIRECTORY
        and open.session.aapl & AAPL_READ_DIR_ATTR
    ):
        add = AppleListing(open).add
    listed: list[DirEntry] = []
    hurries = _holds_others_up(work)
    for entry in entries.stream():
        if hurries:
            listed.append(entry)
            if len(listed) > SHORT:
                _pass_on(work, entries, listed)
        if add is not None:
            fits = add(listing, entry)
        else:
            name, st = entry
            tag = st.reparse_tag if st.attributes & ATTR_REPARSE_POINT else 0
            fits = listing.add(name, st, st.ea_size, tag)
        if not fits:
            entries.push_back(entry)
            if not listing.count:
                raise NtStatusError(NtStatus.INFO_LENGTH_MISMATCH, entry.name)
            break
        if single:
            break
    return listing


def _holds_others_up(work: Work) -> bool:
    """Whether a reader runs this that has other connections, too."""
    return work.direct and not work.connection.has_thread


def _pass_on(work: Work, entries: Enumeration, listed: list[DirEntry]) -> None:
    """To a kworker, by a Wait; what the reader has *listed* comes again."""
    for entry in reversed(listed):
        entries.push_back(entry)
    entries.is_long = True
    work.needs_kworker()


def _add_short(listing: Listing, entry: DirEntry) -> bool:
    short, st = told(entry.name).encode("utf-16-le"), entry.stat
    return listing.add(entry.name, st, st.ea_size, st.reparse_tag, short)


def _add_posix(listing: Listing, entry: DirEntry) -> bool:
    st = entry.stat
    owner, group = unix_user_sid(st.uid), unix_group_sid(st.gid)
    return listing.add_posix(entry.name, st, owner=owner, group=group, reparse_tag=st.reparse_tag)
