"""QUERY_INFO of the file system behind a share: one row per class, [MS-FSCC] 2.5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ksmbd.state.open import Open
from ksmbd.state.quotas import available
from ksmbd.state.work import Work
from ksmbd.vfs import quota
from ksmbd.vfs.abilities import COMPRESSES, FREES_RANGES, SHARES_BLOCKS, abilities
from ksmbd.vfs.stat import FsStat
from ksmbd.wire import fs_info
from ksmbd.wire.base import Buffer
from ksmbd.wire.fs_info import FsInfo
from ksmbd.wire.query_info import QueryInfoRequest
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import filetime_from_ns

_SECTOR: Final = 512  # bytes; programs exist that assume it
_NAME: Final = "NTFS"  # under another name some programs refuse to run from a share
_ATTRIBUTES: Final = (
    fs_info.FS_CASE_SENSITIVE_SEARCH
    | fs_info.FS_CASE_PRESERVED_NAMES
    | fs_info.FS_UNICODE_ON_DISK
    | fs_info.FS_SUPPORTS_HARD_LINKS
    | fs_info.FS_SUPPORTS_EXTENDED_ATTRIBUTES
    | fs_info.FS_SUPPORTS_REPARSE_POINTS
)


class FsQuery(NamedTuple):
    """A class: who builds it, and how many bytes of it must fit."""

    build: Callable[[Work, Open], bytes]
    fixed: int


def _volume(work: Work, open: Open) -> bytes:
    share = open.tree.share
    with open.tree.root.resolve("") as root:
        created = root.stat.birth if root.stat is not None else 0
    label = share.volume or share.name
    return fs_info.pack_volume(label, share.volume_serial, filetime_from_ns(created))


def _statfs(open: Open) -> FsStat:
    """The file system of the file, as large as the user's quota and the share may be."""
    fs = available(open.tree, open.file.fd, open.file.statfs())
    limit = open.tree.share.backup_limit
    return fs if limit is None else limit.applied(open.tree.root, fs)


def _units(open: Open) -> tuple[int, int, int, int, int]:
    """Total, available to the user, free, sectors per unit, bytes per sector."""
    fs = _statfs(open)
    if fs.block_size % _SECTOR:
        return fs.blocks, fs.available, fs.free, 1, fs.block_size
    return fs.blocks, fs.available, fs.free, fs.block_size // _SECTOR, _SECTOR


def _size(work: Work, open: Open) -> bytes:
    total, available, _free, sectors, sector = _units(open)
    return fs_info.FileFsSizeInformation(
        total_allocation_units=total,
        available_allocation_units=available,
        sectors_per_allocation_unit=sectors,
        bytes_per_sector=sector,
    ).pack()


def _full_size(work: Work, open: Open) -> bytes:
    total, available, free, sectors, sector = _units(open)
    return fs_info.FileFsFullSizeInformation(
        total_allocation_units=total,
        caller_available_allocation_units=available,
        actual_available_allocation_units=free,
        sectors_per_allocation_unit=sectors,
        bytes_per_sector=sector,
    ).pack()


def _device(work: Work, open: Open) -> bytes:
    flags = fs_info.DEVICE_IS_MOUNTED
    if not open.tree.writable:
        flags |= fs_info.READ_ONLY_DEVICE
    return fs_info.FileFsDeviceInformation(
        device_type=fs_info.DEVICE_DISK, characteristics=flags
    ).pack()


def _attribute(work: Work, open: Open) -> bytes:
    share = open.tree.share
    flags = _ATTRIBUTES | work.server.settings.fake_fscaps
    if share.acl_xattr:
        flags |= fs_info.FS_PERSISTENT_ACLS
    if share.streams:
        flags |= fs_info.FS_NAMED_STREAMS
    if not open.tree.writable:
        flags |= fs_info.FS_READ_ONLY_VOLUME
    if quota.state(open.tree.root.fd).tracked:
        flags |= fs_info.FS_VOLUME_QUOTAS
    able = abilities(open.tree.root.fd)
    if able & COMPRESSES:
        flags |= fs_info.FS_FILE_COMPRESSION
    if able & SHARES_BLOCKS:
        flags |= fs_info.FS_SUPPORTS_BLOCK_REFCOUNTING
    return fs_info.pack_attribute(_NAME, flags)


def _control(work: Work, open: Open) -> bytes:
    """Whether there are quotas, and the limits of users who are new."""
    now = quota.state(open.file.fd)
    flags = fs_info.QUOTA_TRACK if now.tracked else 0
    flags |= fs_info.QUOTA_ENFORCE if now.enforced else 0
    told = fs_info.FileFsControlInformation(file_system_control_flags=flags)
    if now.tracked:
        given = quota.defaults(open.file.fd)
        told.default_quota_threshold = given.threshold or fs_info.NO_QUOTA
        told.default_quota_limit = given.limit or fs_info.NO_QUOTA
    return told.pack()


def _object_id(work: Work, open: Open) -> bytes:
    return fs_info.FileFsObjectIdInformation(object_id=open.tree.share.volume_guid).pack()


def _sector_size(work: Work, open: Open) -> bytes:
    block = open.file.statfs().block_size
    flags = fs_info.SECTOR_ALIGNED_DEVICE | fs_info.SECTOR_PARTITION_ALIGNED
    if abilities(open.tree.root.fd) & FREES_RANGES:
        flags |= fs_info.SECTOR_TRIM_ENABLED
    return fs_info.FileFsSectorSizeInformation(
        logical_bytes_per_sector=_SECTOR,
        physical_bytes_per_sector_for_atomicity=block,
        physical_bytes_per_sector_for_performance=block,
        file_system_effective_physical_bytes_per_sector_for_atomicity=block,
        flags=flags,
    ).pack()


def _posix(work: Work, open: Open) -> bytes:
    """Level 100 of the POSIX extensions: statvfs."""
    fs = _statfs(open)
    return fs_info.FilePosixFsInformation(
        optimal_transfer_size=fs.block_size,
        block_size=fs.block_size,
        total_blocks=fs.blocks,
        blocks_available=fs.free,
        user_blocks_available=fs.available,
        total_file_nodes=fs.files,
        free_file_nodes=fs.files_free,
        file_system_identifier=fs.fsid & 0xFFFF_FFFF_FFFF_FFFF,
    ).pack()


FS_QUERIES: Final[dict[int, FsQuery]] = {
    FsInfo.VOLUME: FsQuery(_volume, 24),
    FsInfo.SIZE: FsQuery(_size, 24),
    FsInfo.DEVICE: FsQuery(_device, 8),
    FsInfo.ATTRIBUTE: FsQuery(_attribute, 16),
    FsInfo.CONTROL: FsQuery(_control, 48),
    FsInfo.FULL_SIZE: FsQuery(_full_size, 32),
    FsInfo.OBJECT_ID: FsQuery(_object_id, 64),
    FsInfo.SECTOR_SIZE: FsQuery(_sector_size, 28),
    FsInfo.POSIX: FsQuery(_posix, 56),
}


_KNOWN: Final = frozenset(int(info_class) for info_class in FsInfo)


def query_filesystem(work: Work, open: Open, req: QueryInfoRequest) -> tuple[Buffer, NtStatus]:
    """The class *req* names, cut to its OutputBufferLength.

    INVALID_INFO_CLASS     no such class
    NOT_SUPPORTED          one that is not for clients; any of a pipe, which lies on no file system;
                           the POSIX extensions' of an open that was made without them
    INFO_LENGTH_MISMATCH   not even the fixed part fits
    BUFFER_OVERFLOW        a label or name is cut
    """
    info_class, length = req.file_info_class, req.output_buffer_length
    query = FS_QUERIES.get(info_class)
    if query is None or open.pipe is not None:
        status = NtStatus.NOT_SUPPORTED if info_class in _KNOWN else NtStatus.INVALID_INFO_CLASS
        raise NtStatusError(status, f"file system class {info_class}")
    if info_class == FsInfo.POSIX and not open.posix:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "not opened with the POSIX extensions")
    if length < query.fixed:
        raise NtStatusError(NtStatus.INFO_LENGTH_MISMATCH, f"{length} bytes", b"")
    data = query.build(work, open)
    if len(data) > length:
        return data[:length], NtStatus.BUFFER_OVERFLOW
    return data, NtStatus.SUCCESS
