"""Shares as they are served: parameters, flags, and who is on their lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ksmbd.wire import ipc
from ksmbd.wire.ipc import NO_ID, ShareConfigResponse
from ksmbd.wire.policy import Encryption
from mountd import variables
from mountd.conf import HOMES, IPC, Configuration
from mountd.params import ShareParams
from mountd.system import Identity, System

GROUP_MARKS: Final = "@+&"

BOOLEAN_FLAGS: Final = (  # attribute, flag
    ("available", ipc.SHARE_AVAILABLE),
    ("browseable", ipc.SHARE_BROWSEABLE),
    ("read_only", ipc.SHARE_READONLY),
    ("guest_ok", ipc.SHARE_GUEST_OK),
    ("guest_only", ipc.SHARE_GUEST_ONLY),
    ("store_dos_attributes", ipc.SHARE_STORE_DOS_ATTRS),
    ("oplocks", ipc.SHARE_OPLOCKS),
    ("kernel_oplocks", ipc.SHARE_KERNEL_OPLOCKS),
    ("posix_locking", ipc.SHARE_POSIX_LOCKING),
    ("strict_locking", ipc.SHARE_STRICT_LOCKING),
    ("change_notify", ipc.SHARE_CHANGE_NOTIFY),
    ("hide_dot_files", ipc.SHARE_HIDE_DOT_FILES),
    ("inherit_owner", ipc.SHARE_INHERIT_OWNER),
    ("follow_symlinks", ipc.SHARE_FOLLOW_SYMLINKS),
    ("crossmnt", ipc.SHARE_CROSSMNT),
    ("continuous_availability", ipc.SHARE_CONTINUOUS_AVAILABILITY),
    ("durable_handles", ipc.SHARE_DURABLE_HANDLES),
    ("hide_unreadable", ipc.SHARE_HIDE_UNREADABLE),
    ("mangled_names", ipc.SHARE_SHORT_NAMES),
    ("time_machine", ipc.SHARE_TIME_MACHINE),
    ("allow_insecure_wide_links", ipc.SHARE_WIDE_LINKS),
    ("case_sensitive", ipc.SHARE_CASE_SENSITIVE),
    ("acl_xattr_ignore_system_acls", ipc.SHARE_ACL_ALONE),
    ("streams_xattr_samba_format", ipc.SHARE_STREAMS_SAMBA),
)
ENCRYPT_FLAGS: Final[dict[int, int]] = {
    Encryption.DESIRED: ipc.SHARE_ENCRYPT_DESIRED,
    Encryption.REQUIRED: ipc.SHARE_ENCRYPT_DATA,
}
SNAPSHOT_FLAGS: Final = (  # attribute, value, flag
    ("shadow_localtime", True, ipc.SNAPSHOT_LOCAL_TIME),
    ("shadow_sort", "asc", ipc.SNAPSHOT_ASCENDING),
)
RECYCLE_FLAGS: Final = (  # attribute, flag
    ("recycle_keeptree", ipc.RECYCLE_KEEP_TREE),
    ("recycle_versions", ipc.RECYCLE_VERSIONS),
    ("recycle_touch", ipc.RECYCLE_TOUCH),
    ("recycle_touch_mtime", ipc.RECYCLE_TOUCH_MTIME),
)
VFS_FLAGS: Final = {
    "acl_xattr": ipc.SHARE_ACL_XATTR,
    "fruit": ipc.SHARE_AAPL,
    "streams_xattr": ipc.SHARE_STREAMS,
}
_COMPARED: Final = ("name", "path", "root", "params", "known", "security")


@dataclass(slots=True)
class Share:
    """One share. Only ``updated`` ever changes."""

    name: str
    params: ShareParams
    path: str = ""  # `root directory` in front
    is_pipe: bool = False
    updated: bool = False  # since ksmbd last asked for its parameters
    root: str = ""
    is_home: bool = False  # of an account: a share of [homes]
    known: Mapping[str, str] = field(default_factory=dict)  # the server's variables
    variables: frozenset[str] = frozenset()  # the client's, which ``params`` still has in it
    security: bytes = b""  # its descriptor, self-relative; b"": everyone may do all

    @property
    def is_homes(self) -> bool:
        """Whether it stands for a share of each account: ``of_account`` gives that."""
        return self.name.casefold() == HOMES and not self.is_home

    def of_account(self, account: str) -> Share:
        """The share of ``[homes]`` for *account*, by its name."""
        return replace(self, name=account, is_home=True)

    def of_client(self, values: Mapping[str, str]) -> Share:
        """The share with the client's *values* in the place of the variables."""
        every = {**self.known, variables.SHARE: self.name, **values}
        params = variables.in_share(self.params, every)
        return replace(self, params=params, path=self.root + params.path, variables=frozenset())

    @property
    def flags(self) -> int:
        """The flag word of ShareConfigResponse."""
        params = self.params
        flags = sum(flag for name, flag in BOOLEAN_FLAGS if getattr(params, name))
        flags |= sum(flag for name, flag in VFS_FLAGS.items() if name in params.vfs_objects)
        if not params.read_only:
            flags |= ipc.SHARE_WRITEABLE
        if params.time_machine:  # which speaks them
            flags |= ipc.SHARE_AAPL
        flags |= ENCRYPT_FLAGS.get(params.smb_encrypt, 0)
        if self.is_pipe:
            flags |= ipc.SHARE_PIPE
        return flags | (ipc.SHARE_UPDATE if self.updated else 0)

    def same(self, other: Share) -> bool:
        return all(getattr(self, name) == getattr(other, name) for name in _COMPARED)


class Shares:
    """All shares by name, without regard to case."""

    def __init__(self, shares: Mapping[str, Share]) -> None:
        self._shares = dict(shares)

    def get(self, name: str) -> Share | None:
        return self._shares.get(name.casefold())

    def of_account(self, name: str, account: str) -> Share | None:
        """The share that *account* means by *name*; ``[homes]`` has one for it alone."""
        share = self.get(name)
        if share is None and name.casefold() == account.casefold():
            share = self.get(HOMES)
        if share is not None and share.is_homes:
            return share.of_account(account) if account else None
        return share

    def of_variant(self, name: str, variant: str) -> Share | None:
        """The share as :func:`mountd.login.tree_connect` gave it to a client.

        None if there is none, or not any more one of such variables.
        """
        values = variables.unpack(variant)
        share = self.get(name) or (self.get(HOMES) if variant else None)
        if share is None or share.variables - values.keys():
            return None
        if share.is_homes:
            account = values.get(variables.SHARE)
            if account is None:
                return None
            share = share.of_account(account)
        return share.of_client(values) if variant else share

    def taken(self, share: Share) -> None:
        """ksmbd knows *share* as it is now."""
        known = self.get(HOMES if share.is_home else share.name)
        if known is not None:
            known.updated = False

    def __iter__(self) -> Iterator[Share]:
        return iter(self._shares.values())

    def __len__(self) -> int:
        return len(self._shares)

    def changes(self, old: Shares) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names new or changed since *old*, marked as updated, and names removed."""
        changed = []
        for share in self:
            before = old.get(share.name)
            if before is None or not share.same(before):
                share.updated = before is not None
                changed.append(share.name)
            else:
                share.updated = before.updated
        removed = tuple(share.name for share in old if self.get(share.name) is None)
        return tuple(changed), removed


def build(configuration: Configuration, security: Mapping[str, bytes] | None = None) -> Shares:
    """The shares of a configuration, ``IPC$`` among them; *security* by folded name."""
    security = security or {}
    root = configuration.globals.root_directory.rstrip("/")
    known = variables.of_server(configuration.globals)
    shares = {
        folded: _share(
            Share(name, params, root=root, known=known, security=security.get(folded, b""))
        )
        for folded, (name, params) in configuration.shares.items()
    }
    _, params = configuration.shares.get(IPC, (IPC, replace(configuration.defaults)))
    params = replace(
        params,
        comment=params.comment or f"IPC Service ({configuration.globals.server_string})",
        guest_ok=configuration.globals.restrict_anonymous == 0,
        guest_only=False,
        read_only=False,
        max_connections=0,
        vfs_objects=(),
    )
    shares[IPC] = _share(Share("IPC$", replace(params, path=""), is_pipe=True, known=known))
    return Shares(shares)


def _share(share: Share) -> Share:
    """With its path, unless that is another for each client."""
    wanted = variables.used(share.params) & variables.CLIENT.keys()
    if not wanted and not share.is_homes:
        return replace(share.of_client({}), known={})
    return replace(share, variables=wanted)


def on_list(name: str, items: tuple[str, ...], identity: Identity | None, system: System) -> bool:
    """Whether account *name* is on a user list; ``@group`` and ``+group`` name system groups."""
    folded = name.casefold()
    for item in items:
        group = item.lstrip(GROUP_MARKS)
        if group == item:
            if item.casefold() == folded:
                return True
        elif _in_group(name, group, identity, system):
            return True
    return False


def _in_group(name: str, group: str, identity: Identity | None, system: System) -> bool:
    if name in system.group_members(group):
        return True
    gid = system.group_id(group)
    return identity is not None and gid is not None and gid in (identity.gid, *identity.groups)


def forced(params: ShareParams, system: System) -> tuple[Identity, str]:
    """What ``force user`` and ``force group`` mean, and what is wrong with them, if anything."""
    uid, gid = NO_ID, NO_ID
    groups: tuple[int, ...] = ()
    if params.force_user:
        user = system.user(params.force_user)
        if user is None:
            return Identity(uid, gid), f"force user: there is no user {params.force_user!r}"
        uid, gid, groups = user.uid, user.gid, user.groups
    if params.force_group:
        found = system.group_id(params.force_group)
        if found is None:
            return Identity(uid, gid), f"force group: there is no group {params.force_group!r}"
        gid = found
    return Identity(uid, gid, groups), ""


def config_response(handle: int, share: Share, identity: Identity) -> ShareConfigResponse:
    """What ksmbd is told about *share*; *identity* as ``forced`` gave it."""
    params = share.params
    snapshots = "shadow_copy2" in params.vfs_objects
    recycles = "recycle" in params.vfs_objects
    audits = "full_audit" in params.vfs_objects
    return ShareConfigResponse(
        handle=handle,
        flags=share.flags,
        create_mask=params.create_mask,
        directory_mask=params.directory_mask,
        force_create_mode=params.force_create_mode,
        force_directory_mode=params.force_directory_mode,
        force_uid=identity.uid,
        force_gid=identity.gid,
        max_connections=params.max_connections,
        time_machine_max_size=params.time_machine_max_size,
        name=share.name,
        comment=params.comment,
        path=share.path,
        volume=params.volume,
        guest_account=params.guest_account,
        veto=params.veto_files,
        hide=params.hide_files,
        vfs_objects=params.vfs_objects,
        force_groups=identity.groups,
        snapshot_dir=params.shadow_snapdir if snapshots else "",
        snapshot_base=params.shadow_basedir,
        snapshot_format=params.shadow_format,
        snapshot_flags=sum(
            flag for name, value, flag in SNAPSHOT_FLAGS if getattr(params, name) == value
        ),
        recycle_repository=params.recycle_repository if recycles else "",
        recycle_flags=sum(flag for name, flag in RECYCLE_FLAGS if getattr(params, name)),
        recycle_minsize=params.recycle_minsize,
        recycle_maxsize=params.recycle_maxsize,
        recycle_exclude=params.recycle_exclude,
        recycle_exclude_dir=params.recycle_exclude_dir,
        recycle_noversions=params.recycle_noversions,
        recycle_directory_mode=params.recycle_directory_mode,
        recycle_subdir_mode=params.recycle_subdir_mode or params.recycle_directory_mode,
        security=share.security,
        audit_success=params.full_audit_success if audits else 0,
        audit_failure=params.full_audit_failure if audits else 0,
        audit_prefix=params.full_audit_prefix,
    )
