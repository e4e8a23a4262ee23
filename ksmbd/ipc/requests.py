"""mountd's answers as Python values; the messages themselves are in ``ksmbd.wire.ipc``."""

from __future__ import annotations

from typing import NamedTuple

from ksmbd.wire.ipc import (
    NO_ID,
    SHARE_PIPE,
    SHARE_READONLY,
    USER_BAD_UID,
    USER_DELAY_SESSION,
    USER_GUEST,
    USER_OK,
    LoginResponse,
    RpcResponse,
    ShareConfigResponse,
    SpnegoAuthenResponse,
    TreeConnectResponse,
    TreeStatus,
)


class LoginReply(NamedTuple):
    """Who an account is.

    A session begins as a guest's without a password if ``guest``; with ``ok`` and a hash the
    password is checked first, and if ``guest_after_proof`` the session is a guest's all the same
    (``map to guest = bad uid``).  Everything else is a refusal.
    """

    status: int  # USER_OK ... of ksmbd.wire.ipc
    uid: int
    gid: int
    groups: tuple[int, ...]  # supplementary
    nt_hash: bytes  # 16 bytes; none for a guest
    account: str  # as in the database; the guest account's name for a guest
    delay_s: float = 0.0  # hold back the answer to a wrong password for so long

    @property
    def ok(self) -> bool:
        return bool(self.status & USER_OK)

    @property
    def guest(self) -> bool:
        return bool(self.status & USER_GUEST)

    @property
    def guest_after_proof(self) -> bool:
        return bool(self.status & USER_BAD_UID and self.status & USER_OK)

    @property
    def unheard(self) -> bool:
        """Too many wrong passwords: this one is not looked at."""
        return bool(self.status & USER_DELAY_SESSION) and not self.ok


class ShareConfig(NamedTuple):
    """A share as the administrator described it; ids are None where nothing is forced."""

    name: str  # as spelled in the configuration
    flags: int  # SHARE_AVAILABLE ... of ksmbd.wire.ipc
    path: str
    comment: str
    volume: str  # label; "": the share's name
    veto: tuple[str, ...]
    hide: tuple[str, ...]  # names that are shown as hidden
    vfs_objects: tuple[str, ...]
    guest_account: str
    create_mask: int
    directory_mask: int
    force_create_mode: int
    force_directory_mode: int
    force_uid: int | None
    force_gid: int | None
    force_groups: tuple[int, ...]  # supplementary groups of `force user`
    max_connections: int  # 0: no limit
    time_machine_max_size: int  # bytes; 0: no limit
    snapshot_dir: str = ""  # where previous versions lie; "": there are none
    snapshot_base: str = ""  # what each is a copy of; "": the mount point
    snapshot_format: str = ""  # of their names, as strftime(3) has it
    snapshot_flags: int = 0  # SNAPSHOT_LOCAL_TIME ... of ksmbd.wire.ipc
    recycle_repository: str = ""  # where deleted files are kept; "": nowhere
    recycle_flags: int = 0  # RECYCLE_KEEP_TREE ... of ksmbd.wire.ipc
    recycle_minsize: int = 0  # bytes
    recycle_maxsize: int = 0  # bytes; 0: no limit
    recycle_exclude: tuple[str, ...] = ()
    recycle_exclude_dir: tuple[str, ...] = ()
    recycle_noversions: tuple[str, ...] = ()
    recycle_directory_mode: int = 0o700
    recycle_subdir_mode: int = 0o700
    security: bytes = b""  # the share's own descriptor, self-relative; b"": everyone may do all
    audit_success: int = 0  # Operation of ksmbd.wire.auditing
    audit_failure: int = 0
    audit_prefix: str = ""

    @property
    def is_pipe(self) -> bool:
        return bool(self.flags & SHARE_PIPE)

    @property
    def read_only(self) -> bool:
        return bool(self.flags & SHARE_READONLY)


class TreeConnectReply(NamedTuple):
    """Whether a session may connect to a share.

    With ``uid`` the tree acts as that identity (a guest's on this share) instead of the session's.
    With ``variant`` it uses a share that is not the same for all clients.
    """

    status: TreeStatus
    flags: int  # TREE_GUEST ... of ksmbd.wire.ipc
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()
    variant: str = ""


class RpcReply(NamedTuple):
    """What an operation on a pipe gave."""

    flags: int  # RpcStatus, or the Win32 code of the operation
    payload: bytes


class SpnegoReply(NamedTuple):
    """Who a Kerberos ticket names; ``login.ok`` tells whether it was accepted."""

    login: LoginReply
    session_key: bytes
    token: bytes  # to send back to the client
    expiry: int  # seconds since 1970; 0: unknown


class ShareEntry(NamedTuple):
    """One line of the list of shares."""

    name: str
    comment: str
    flags: int


def login_reply(response: LoginResponse) -> LoginReply:
    return LoginReply(
        status=response.status,
        uid=response.uid,
        gid=response.gid,
        groups=response.groups,
        nt_hash=response.hash,
        account=response.account,
        delay_s=response.delay_ms / 1000,
    )


def share_config(response: ShareConfigResponse) -> ShareConfig | None:
    """None if there is no such share."""
    if not response.flags:
        return None
    return ShareConfig(
        name=response.name,
        flags=response.flags,
        path=response.path,
        comment=response.comment,
        volume=response.volume,
        veto=response.veto,
        hide=response.hide,
        vfs_objects=response.vfs_objects,
        guest_account=response.guest_account,
        create_mask=response.create_mask,
        directory_mask=response.directory_mask,
        force_create_mode=response.force_create_mode,
        force_directory_mode=response.force_directory_mode,
        force_uid=_id(response.force_uid),
        force_gid=_id(response.force_gid),
        force_groups=response.force_groups,
        max_connections=response.max_connections,
        time_machine_max_size=response.time_machine_max_size,
        snapshot_dir=response.snapshot_dir,
        snapshot_base=response.snapshot_base,
        snapshot_format=response.snapshot_format,
        snapshot_flags=response.snapshot_flags,
        recycle_repository=response.recycle_repository,
        recycle_flags=response.recycle_flags,
        recycle_minsize=response.recycle_minsize,
        recycle_maxsize=response.recycle_maxsize,
        recycle_exclude=response.recycle_exclude,
        recycle_exclude_dir=response.recycle_exclude_dir,
        recycle_noversions=response.recycle_noversions,
        recycle_directory_mode=response.recycle_directory_mode,
        recycle_subdir_mode=response.recycle_subdir_mode,
        security=response.security,
        audit_success=response.audit_success,
        audit_failure=response.audit_failure,
        audit_prefix=response.audit_prefix,
    )


def tree_connect_reply(response: TreeConnectResponse) -> TreeConnectReply:
    """Raises ValueError if mountd sent a status that there is not."""
    return TreeConnectReply(
        status=TreeStatus(response.status),
        flags=response.connection_flags,
        uid=_id(response.uid),
        gid=_id(response.gid),
        groups=response.groups,
        variant=response.variant,
    )


def rpc_reply(response: RpcResponse) -> RpcReply:
    return RpcReply(response.flags, response.payload)


def spnego_reply(response: SpnegoAuthenResponse) -> SpnegoReply:
    login = LoginReply(
        status=response.status,
        uid=response.uid,
        gid=response.gid,
        groups=response.groups,
        nt_hash=b"",
        account=response.account,
    )
    return SpnegoReply(login, response.session_key, response.spnego_blob, response.expiry)


def _id(value: int) -> int | None:
    return None if value == NO_ID else value
