"""From mountd's word to a Share with its directory open."""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING

from ksmbd.ipc.requests import ShareConfig
from ksmbd.state.share import AuditPolicy, Share
from ksmbd.vfs import credentials
from ksmbd.vfs.acl import Keep
from ksmbd.vfs.backups import BackupLimit
from ksmbd.vfs.recycle import RecycleBin, Rules
from ksmbd.vfs.root import RootOptions, ShareRoot
from ksmbd.vfs.snapshots import LABEL, Layout, Snapshots
from ksmbd.wire import ipc
from ksmbd.wire.base import WireError
from ksmbd.wire.marked import ShareName
from ksmbd.wire.policy import Encryption
from ksmbd.wire.security import DACL_PRESENT, SELF_RELATIVE, Acl, SecurityDescriptor
from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.state.server import Server

log = logging.getLogger("ksmbd.vfs")


def find(server: Server, name: str, variant: str = "", *, fresh: bool = False) -> Share:
    """The share of that name, from the cache unless *fresh*; *variant* as mountd said it.

    BAD_NETWORK_NAME    there is none, or its directory cannot be opened
    NO_LOGON_SERVERS    mountd is away and the share is not known yet
    """
    share = None if fresh else server.cached_share(name, variant)
    if share is not None:
        return share
    config = server.mountd.share_config(name, variant)
    if config is None:
        raise NtStatusError(NtStatus.BAD_NETWORK_NAME, name)
    share = _build(server, config, variant)
    server.keep_share(share)
    return share


def _build(server: Server, config: ShareConfig, variant: str) -> Share:
    flags = config.flags
    serial = zlib.crc32(f"{config.name}:{config.path}".encode() + server.guid)
    share = Share(
        name=config.name,
        variant=variant,
        path=config.path,
        comment=config.comment,
        volume=config.volume or config.name,
        is_pipe=config.is_pipe,
        read_only=config.read_only,
        guest_ok=bool(flags & ipc.SHARE_GUEST_OK),
        browseable=bool(flags & ipc.SHARE_BROWSEABLE),
        oplocks=bool(flags & ipc.SHARE_OPLOCKS),
        kernel_oplocks=bool(flags & ipc.SHARE_KERNEL_OPLOCKS),
        posix_locking=bool(flags & ipc.SHARE_POSIX_LOCKING),
        strict_locking=bool(flags & ipc.SHARE_STRICT_LOCKING),
        streams=bool(flags & ipc.SHARE_STREAMS),
        acl_xattr=_keep(flags),
        hide_unreadable=bool(flags & ipc.SHARE_HIDE_UNREADABLE),
        change_notify=bool(flags & ipc.SHARE_CHANGE_NOTIFY),
        aapl=bool(flags & ipc.SHARE_AAPL),
        time_machine=bool(flags & ipc.SHARE_TIME_MACHINE),
        inherit_owner=bool(flags & ipc.SHARE_INHERIT_OWNER),
        durable_handles=bool(flags & ipc.SHARE_DURABLE_HANDLES),
        continuous_availability=bool(flags & ipc.SHARE_CONTINUOUS_AVAILABILITY),
        encryption=_encryption(flags),
        create_mask=config.create_mask,
        directory_mask=config.directory_mask,
        force_create_mode=config.force_create_mode,
        force_directory_mode=config.force_directory_mode,
        force_uid=config.force_uid,
        force_gid=config.force_gid,
        force_groups=config.force_groups,
        volume_serial=serial,
        volume_guid=server.guid[:12] + serial.to_bytes(4, "little"),
        security=_security(config),
        flags=flags,
    )
    if config.audit_success or config.audit_failure:
        share.audit = AuditPolicy(config.audit_success, config.audit_failure, config.audit_prefix)
    if not share.is_pipe:
        share.snapshots = _snapshots(config)
        share.root = _open_root(server, config, share.snapshots.hidden if share.snapshots else ())
        share.recycle = _recycle_bin(config)
        if share.time_machine and config.time_machine_max_size:
            share.backup_limit = BackupLimit(config.time_machine_max_size)
        share.streams = share.streams and share.root.has_user_xattrs()
    return share


def _security(config: ShareConfig) -> SecurityDescriptor | None:
    """Who may use the share; nobody where that cannot be read."""
    if not config.security:
        return None
    try:
        return SecurityDescriptor.unpack(config.security)
    except WireError as malformed:
        log.warning("%s: nobody may use it: %s", config.name, malformed)
        return SecurityDescriptor(DACL_PRESENT | SELF_RELATIVE, dacl=Acl(()))


def _encryption(flags: int) -> Encryption:
    if flags & ipc.SHARE_ENCRYPT_DATA:
        return Encryption.REQUIRED
    if flags & ipc.SHARE_ENCRYPT_DESIRED:
        return Encryption.DESIRED
    return Encryption.AUTO


def _keep(flags: int) -> Keep:
    if not flags & ipc.SHARE_ACL_XATTR:
        return Keep.POSIX
    return Keep.ALONE if flags & ipc.SHARE_ACL_ALONE else Keep.STORED


def _snapshots(config: ShareConfig) -> Snapshots | None:
    """Where the share's previous versions are; None if it has none."""
    if not config.snapshot_dir:
        return None
    layout = Layout(
        config.snapshot_dir,
        config.snapshot_base,
        config.snapshot_format or LABEL,
        local_time=bool(config.snapshot_flags & ipc.SNAPSHOT_LOCAL_TIME),
        ascending=bool(config.snapshot_flags & ipc.SNAPSHOT_ASCENDING),
    )
    try:
        return Snapshots(config.path, layout)
    except ValueError as wrong:
        log.warning("%s: no previous versions: %s", config.name, wrong)
        return None


def _recycle_bin(config: ShareConfig) -> RecycleBin | None:
    """What takes the files that are deleted; None if they are gone."""
    if not config.recycle_repository:
        return None
    flags = config.recycle_flags
    rules = Rules(
        config.recycle_repository,
        keep_tree=bool(flags & ipc.RECYCLE_KEEP_TREE),
        versions=bool(flags & ipc.RECYCLE_VERSIONS),
        touch=bool(flags & ipc.RECYCLE_TOUCH),
        touch_mtime=bool(flags & ipc.RECYCLE_TOUCH_MTIME),
        minsize=config.recycle_minsize,
        maxsize=config.recycle_maxsize,
        exclude=config.recycle_exclude,
        exclude_dir=config.recycle_exclude_dir,
        no_versions=config.recycle_noversions,
        directory_mode=config.recycle_directory_mode,
        subdir_mode=config.recycle_subdir_mode,
    )
    try:
        return RecycleBin(rules)
    except ValueError as wrong:
        log.warning("%s: no recycle bin: %s", config.name, wrong)
        return None


def _open_root(server: Server, config: ShareConfig, hidden: tuple[str, ...]) -> ShareRoot:
    flags = config.flags
    case_sensitive = bool(flags & ipc.SHARE_CASE_SENSITIVE)
    options = RootOptions(
        case_sensitive=case_sensitive,
        short_names=bool(flags & ipc.SHARE_SHORT_NAMES) and not case_sensitive,
        follow_symlinks=bool(flags & ipc.SHARE_FOLLOW_SYMLINKS),
        wide_links=bool(flags & ipc.SHARE_WIDE_LINKS),
        crossmnt=bool(flags & ipc.SHARE_CROSSMNT),
        hide_dot_files=bool(flags & ipc.SHARE_HIDE_DOT_FILES),
        store_dos_attributes=bool(flags & ipc.SHARE_STORE_DOS_ATTRS),
        hide=config.hide,
        veto=config.veto + hidden,
        apple=bool(flags & ipc.SHARE_AAPL),
        samba_streams=bool(flags & ipc.SHARE_STREAMS_SAMBA),
        stored_descriptors=bool(flags & ipc.SHARE_ACL_XATTR),
    )
    credentials.become(None)
    try:
        return ShareRoot(config.path, options)
    except OSError as failed:
        if server.refusals.due(config.name, str(failed)) is not None:
            log.warning("%s: nobody can connect: %s", ShareName(config.name), failed)
        raise NtStatusError(NtStatus.BAD_NETWORK_NAME, f"{config.name}: {failed}") from None
