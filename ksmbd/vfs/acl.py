"""Security descriptors of files: read, stored, inherited.

A share with ``acl_xattr`` keeps what a client sets in the xattr security.NTACL, and
sets mode and POSIX ACL so that local users have the same rights, as far as POSIX can
say it.  Without a stored descriptor, or when mode or POSIX ACL were changed locally
since, the descriptor is made from mode and POSIX ACL.  With `ignore system acls` the
stored descriptor alone decides, and the mode lets everybody in.

    descriptor   what QUERY_INFO and the access check see
    store        SET_INFO
    settle       CREATE, after the file was made

The kernel judges all of it by the identity of the calling thread.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import time
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from ksmbd.vfs import credentials, ntacl, posix_acl
from ksmbd.vfs.access import Token
from ksmbd.vfs.inherit import effective, inherited
from ksmbd.vfs.portable import as_stored, as_told
from ksmbd.vfs.posix_acl import Entry, Permissions
from ksmbd.vfs.sid import Domain, is_account
from ksmbd.vfs.stamps import Clock, Remembered
from ksmbd.vfs.stat import Stat
from ksmbd.vfs.xattr import ABSENT, Item, get_value, proc_path, remove_value, set_value
from ksmbd.wire.base import WireError
from ksmbd.wire.security import (
    ATTRIBUTE_SECURITY_INFORMATION,
    BACKUP_SECURITY_INFORMATION,
    DACL_AUTO_INHERIT_REQ,
    DACL_AUTO_INHERITED,
    DACL_DEFAULTED,
    DACL_PRESENT,
    DACL_PROTECTED,
    DACL_SECURITY_INFORMATION,
    GROUP_SECURITY_INFORMATION,
    LABEL_SECURITY_INFORMATION,
    OWNER_SECURITY_INFORMATION,
    PROTECTED_DACL_SECURITY_INFORMATION,
    PROTECTED_SACL_SECURITY_INFORMATION,
    SACL_AUTO_INHERIT_REQ,
    SACL_AUTO_INHERITED,
    SACL_DEFAULTED,
    SACL_PRESENT,
    SACL_PROTECTED,
    SACL_SECURITY_INFORMATION,
    SCOPE_SECURITY_INFORMATION,
    SELF_RELATIVE,
    SYSTEM_MANDATORY_LABEL,
    SYSTEM_RESOURCE_ATTRIBUTE,
    SYSTEM_SCOPED_POLICY_ID,
    UNPROTECTED_DACL_SECURITY_INFORMATION,
    UNPROTECTED_SACL_SECURITY_INFORMATION,
    Acl,
    SecurityDescriptor,
    Sid,
)

__all__ = ["InvalidOwner", "Keep", "descriptor", "inherited", "select", "settle", "store", "stored"]

log = logging.getLogger("ksmbd.vfs")

_ACCESS: Final = "system.posix_acl_access"
_DEFAULT: Final = "system.posix_acl_default"
_CAP_SYS_ADMIN: Final = 21
_CACHED_SIZE: Final = 4096  # bytes of an xattr, and
_CACHED_ENTRIES: Final = 128  # entries: they bound the memory that caches may hold
_NO_XATTR: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS})

_DACL_BITS: Final = (
    DACL_PRESENT | DACL_DEFAULTED | DACL_AUTO_INHERIT_REQ | DACL_AUTO_INHERITED | DACL_PROTECTED
)
_SACL_BITS: Final = (
    SACL_PRESENT | SACL_DEFAULTED | SACL_AUTO_INHERIT_REQ | SACL_AUTO_INHERITED | SACL_PROTECTED
)
# The parts of a SACL that have a SECURITY_INFORMATION bit of their own
_SACL_PARTS: Final = {
    SYSTEM_MANDATORY_LABEL: LABEL_SECURITY_INFORMATION,
    SYSTEM_RESOURCE_ATTRIBUTE: ATTRIBUTE_SECURITY_INFORMATION,
    SYSTEM_SCOPED_POLICY_ID: SCOPE_SECURITY_INFORMATION,
}
_IN_SACL: Final = (
    SACL_SECURITY_INFORMATION
    | LABEL_SECURITY_INFORMATION
    | ATTRIBUTE_SECURITY_INFORMATION
    | SCOPE_SECURITY_INFORMATION
)
_EVERYTHING: Final = (
    OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION | _IN_SACL
)


class Opened(Protocol):
    """A handle or entry; an O_PATH descriptor will do."""

    @property
    def fd(self) -> int: ...


class InvalidOwner(PermissionError):
    """EPERM: the SID may not be made owner or group of the file (INVALID_OWNER)."""


class Keep(IntEnum):
    """How a share keeps what clients set; true if it stores descriptors."""

    POSIX = 0  # as mode and POSIX ACL
    STORED = 1  # whole; mode and POSIX ACL follow, and count when they are changed locally
    ALONE = 2  # whole; mode and POSIX ACL let everybody in


class _State(NamedTuple):
    """A file's POSIX permissions; ``default`` as in `ntacl.permissions_hash`."""

    uid: int
    gid: int
    mode: int
    access: tuple[Entry, ...]
    default: tuple[Entry, ...] | None

    @property
    def is_directory(self) -> bool:
        return self.default is not None

    @property
    def is_small(self) -> bool:
        return len(self.access) + len(self.default or ()) <= _CACHED_ENTRIES

    @property
    def hash(self) -> bytes:
        return (_hash_cached if self.is_small else ntacl.permissions_hash)(*self)


class _Looked(NamedTuple):
    """What was read of a file, for whom."""

    domain: Domain
    keep: Keep
    state: _State
    stored: SecurityDescriptor | None
    descriptor: SecurityDescriptor  # that, or one made of the state


_looked_at: Final[Remembered[_Looked]] = Remembered(1 << 13)


def descriptor(
    handle: Opened, domain: Domain, keep: Keep, seen: Stat | None = None
) -> SecurityDescriptor:
    """The whole descriptor of an open file or directory: stored, else from POSIX.

    *seen* is what the same request has been told of it before: what was read of the file as it
    was then will do.
    """
    if seen is not None:
        known = _looked_at.recall_of(seen.dev, seen.ino, seen.ctime)
        if known is not None and known.domain is domain and known.keep == keep:
            return known.descriptor
    return _look(handle.fd, domain, keep).descriptor


def stored(handle: Opened, domain: Domain, keep: Keep) -> SecurityDescriptor | None:
    """The stored descriptor, if there is one that still holds; a child inherits from it."""
    return _look(handle.fd, domain, keep).stored


def select(sd: SecurityDescriptor, info_bits: int) -> SecurityDescriptor:
    """The parts of *sd* that SECURITY_INFORMATION *info_bits* ask for; control says no more."""
    if info_bits & BACKUP_SECURITY_INFORMATION:
        info_bits |= _EVERYTHING
    control = SELF_RELATIVE
    sacl = dacl = None
    if info_bits & DACL_SECURITY_INFORMATION:
        control |= sd.control & _DACL_BITS
        dacl = sd.dacl
    if info_bits & _IN_SACL and sd.sacl is not None:
        aces = [ace for ace in sd.sacl.aces if _sacl_part(ace.type) & info_bits]
        if aces or info_bits & SACL_SECURITY_INFORMATION:
            control |= sd.control & _SACL_BITS | SACL_PRESENT
            sacl = sd.sacl._replace(aces=tuple(aces))
    return SecurityDescriptor(
        control,
        sd.owner if info_bits & OWNER_SECURITY_INFORMATION else None,
        sd.group if info_bits & GROUP_SECURITY_INFORMATION else None,
        sacl,
        dacl,
    )


def store(
    handle: Opened,
    sd: SecurityDescriptor,
    info_bits: int,
    domain: Domain,
    keep: Keep,
    token: Token | None = None,
) -> None:
    """Make the parts of *sd* that *info_bits* name those of the file.

    A DACL that is named but not in *sd* becomes a NULL DACL, as with Windows
    (smbtorture's smb2.create.nulldacl); other parts stay as they are.  Owner and group
    are changed by the kernel's rules for the calling thread; with *token* also
    by Windows': unless privileged one may only make oneself owner.  So a caller that
    found WRITE_DAC or WRITE_OWNER granted by a stored descriptor may call this as
    root.  Without *keep* what POSIX cannot say is lost, a SACL refused.

    InvalidOwner (EPERM)   a SID that is no user here, or one the token may not name
    OSError                the kernel's refusal: EPERM, EACCES, ENOSPC, EOPNOTSUPP, E2BIG …
    """
    if info_bits & BACKUP_SECURITY_INFORMATION:
        info_bits |= _EVERYTHING
    if info_bits & DACL_SECURITY_INFORMATION and not sd.dacl_present:
        sd = sd._replace(control=sd.control | DACL_PRESENT, dacl=None)
    fd = handle.fd
    state = _state(fd)
    old = _stored(_item(fd), state, domain, keep) if keep else None
    new = _merged(old or _from_posix(state, domain), sd, info_bits)
    if new.sacl and not keep:
        raise OSError(errno.EOPNOTSUPP, "this share stores no SACL")
    if keep:
        _encoded(
            new, domain, state.hash
        )  # refuses what cannot be stored before anything is changed
    now = _chown(fd, state, new, info_bits, domain, keep, token)
    # Entries for the former owner count as any other user's from now on.
    if (info_bits & DACL_SECURITY_INFORMATION and sd.dacl_present) or (old and now != state):
        _set_permissions(fd, now, new.dacl, domain, keep)
    said = (domain.uid_to_sid(now.uid), domain.gid_to_sid(now.gid))
    if keep and (
        old or info_bits & (DACL_SECURITY_INFORMATION | _IN_SACL) or (new.owner, new.group) != said
    ):
        _write(fd, new, domain)


def settle(
    handle: Opened,
    parent: Opened,
    token: Token,
    domain: Domain,
    keep: Keep,
    explicit: SecurityDescriptor | None = None,
    heir: Sid | None = None,
) -> SecurityDescriptor | None:
    """Give a file just created its descriptor: what was asked for, else what it inherits.

    Returns it if it is stored; None if nothing was, and mode and POSIX ACL say it all.

    *explicit* is the descriptor of the SecD create context; its SACL counts only if the
    token is privileged.  With *keep* the rest comes from the stored descriptor of
    *parent*; otherwise, and if nothing is stored there, the file keeps what the kernel
    gave it from create mask, umask and default ACL (stored before its mode is opened, if
    that is to say nothing).  *heir* is who will own it instead of its
    maker, and is the CREATOR OWNER of what is inherited.  Errors as of `store`.
    """
    above = stored(parent, domain, keep) if keep else None
    if above is None and explicit is None and keep != Keep.ALONE:
        return None
    state = _state(handle.fd)
    new = _from_posix(state, domain)
    if above is not None:
        group = domain.gid_to_sid(state.gid)
        handed = inherited(above, token, domain, state.is_directory, group=group, owner=heir)
        if handed is None and explicit is None and keep != Keep.ALONE:
            return None
        if handed is not None:
            handed = handed._replace(owner=new.owner) if heir else handed
            new = handed if handed.dacl_present else new._replace(sacl=handed.sacl)
    if explicit is not None:
        info = _EVERYTHING if token.privileged and keep else _EVERYTHING & ~_IN_SACL
        new = _merged(new, explicit, info)
    asked = OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION
    state = _chown(handle.fd, state, new, asked, domain, keep, token)
    _set_permissions(handle.fd, state, new.dacl, domain, keep)
    if not keep:
        return None
    _write(handle.fd, new, domain)
    return new


# Reading


def _look(fd: int, domain: Domain, keep: Keep, clock: Clock = time.time_ns) -> _Looked:
    """The permissions and the descriptor, from memory while ctime stands still."""
    st = os.fstat(fd)
    known = _looked_at.recall(st)
    if known is not None and known.domain is domain and known.keep == keep:
        return known
    now = clock()
    item = _item(fd)
    state = _state_of(st, item)
    found = _stored(item, state, domain, keep) if keep else None
    looked = _Looked(domain, keep, state, found, found or _from_posix(state, domain))
    # Without the privilege another user may be refused what this one could read.
    if state.is_small and _is_small(found) and (not keep or _may_write_security()):
        _looked_at.keep(st, now, looked)
    return looked


def _is_small(sd: SecurityDescriptor | None) -> bool:
    """Whether many of that size may be kept."""
    acls = (sd.dacl, sd.sacl) if sd else ()
    return sum(len(acl.aces) for acl in acls if acl) <= _CACHED_ENTRIES


def _item(fd: int) -> Item:
    """By descriptor an xattr is read three times faster, unless that is O_PATH."""
    return proc_path(fd) if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_PATH else fd


def _get(item: Item, name: str) -> bytes | None:
    try:
        return get_value(item, name)
    except OSError as failed:
        if failed.errno in ABSENT:
            return None
        raise


def _state(fd: int) -> _State:
    return _state_of(os.fstat(fd), _item(fd))


def _state_of(st: os.stat_result, item: Item) -> _State:
    access = _entries(_get(item, _ACCESS)) or posix_acl.from_mode(st.st_mode)
    default = None
    if stat.S_ISDIR(st.st_mode):
        default = _entries(_get(item, _DEFAULT))
    return _State(st.st_uid, st.st_gid, st.st_mode, access, default)


def _entries(blob: bytes | None) -> tuple[Entry, ...]:
    if blob is None:
        return ()
    try:
        return _unpack_cached(blob) if len(blob) <= _CACHED_SIZE else posix_acl.unpack(blob)
    except ValueError as reason:
        log.debug("POSIX ACL ignored: %s", reason)
        return ()


def _from_posix(state: _State, domain: Domain) -> SecurityDescriptor:
    return (_synthetic_cached if state.is_small else _synthetic)(state, domain)


def _synthetic(state: _State, domain: Domain) -> SecurityDescriptor:
    uid, gid, mode, access, default = state
    sticky = bool(mode & stat.S_ISVTX)
    dacl = posix_acl.dacl(uid, gid, access, default, domain, state.is_directory, sticky)
    owner, group = domain.uid_to_sid(uid), domain.gid_to_sid(gid)
    return SecurityDescriptor(SELF_RELATIVE | DACL_PRESENT, owner, group, None, dacl)


def _stored(item: Item, state: _State, domain: Domain, keep: Keep) -> SecurityDescriptor | None:
    """The stored descriptor; None if there is none, it is damaged, or no longer holds."""
    blob = _get(item, ntacl.NAME)
    if blob is None and not _may_write_security():
        blob = _get(item, ntacl.NAME_UNPRIVILEGED)
    if blob is None:
        return None
    small = len(blob) <= _CACHED_SIZE and state.is_small
    return (_judged_cached if small else _judged)(blob, state, domain, keep)


def _judged(blob: bytes, state: _State, domain: Domain, keep: Keep) -> SecurityDescriptor | None:
    """The descriptor that the value *blob* is for a file in *state*; None if it is none."""
    try:
        sd, _, posix_hash = ntacl.decode(blob)
    except WireError as reason:
        log.debug("stored descriptor ignored: %s", reason)
        return None
    # Before version 4 nothing tells a local change, so the descriptor is taken as it
    # is; the kernel still enforces mode and POSIX ACL below us.
    if keep != Keep.ALONE and posix_hash is not None and posix_hash != state.hash:
        log.debug("stored descriptor ignored: mode or POSIX ACL have changed since")
        return None
    return as_told(sd, state.uid, state.gid, domain)


# Pure, and asked on every open: most files of a share have one of a few answers.
_unpack_cached = lru_cache(maxsize=1024)(posix_acl.unpack)
_hash_cached = lru_cache(maxsize=1024)(ntacl.permissions_hash)
_synthetic_cached = lru_cache(maxsize=1024)(_synthetic)
_judged_cached = lru_cache(maxsize=1024)(_judged)


# Merging


def _sacl_part(ace_type: int) -> int:
    return _SACL_PARTS.get(ace_type, SACL_SECURITY_INFORMATION)


def _merged(old: SecurityDescriptor, new: SecurityDescriptor, info: int) -> SecurityDescriptor:
    """*old* with the parts of *new* that *info* names and *new* has."""
    control, sacl, dacl = old.control, old.sacl, old.dacl
    if info & DACL_SECURITY_INFORMATION and new.dacl_present:
        dacl = effective(new.dacl)
        control = control & ~_DACL_BITS | DACL_PRESENT
        if new.control & DACL_AUTO_INHERIT_REQ and new.control & DACL_AUTO_INHERITED:
            control |= DACL_AUTO_INHERITED
        control |= new.control & DACL_PROTECTED
    if info & PROTECTED_DACL_SECURITY_INFORMATION:
        control |= DACL_PROTECTED
    elif info & UNPROTECTED_DACL_SECURITY_INFORMATION:
        control &= ~DACL_PROTECTED
    if info & _IN_SACL and new.sacl_present:
        sacl = _merged_sacl(old.sacl, effective(new.sacl), info)
        control = control & ~_SACL_BITS | (SACL_PRESENT if sacl else 0)
        if new.control & SACL_AUTO_INHERIT_REQ and new.control & SACL_AUTO_INHERITED:
            control |= SACL_AUTO_INHERITED
        control |= new.control & SACL_PROTECTED
    if info & PROTECTED_SACL_SECURITY_INFORMATION:
        control |= SACL_PROTECTED
    elif info & UNPROTECTED_SACL_SECURITY_INFORMATION:
        control &= ~SACL_PROTECTED
    owner = new.owner if info & OWNER_SECURITY_INFORMATION else None
    group = new.group if info & GROUP_SECURITY_INFORMATION else None
    return SecurityDescriptor(control, owner or old.owner, group or old.group, sacl, dacl)


def _merged_sacl(old: Acl | None, new: Acl | None, info: int) -> Acl | None:
    """Of each kind of SACL entry the old ones or, if *info* names the kind, the new ones."""
    kept = [ace for ace in (old.aces if old else ()) if not _sacl_part(ace.type) & info]
    added = [ace for ace in (new.aces if new else ()) if _sacl_part(ace.type) & info]
    if not kept and not added:
        return None
    return Acl(tuple(kept + added), max(acl.revision for acl in (old, new) if acl))


# Writing


def _chown(
    fd: int,
    state: _State,
    new: SecurityDescriptor,
    info: int,
    domain: Domain,
    keep: Keep,
    token: Token | None,
) -> _State:
    """Change owner and group where *new* names others; give the state that results."""
    uid = gid = -1
    if info & OWNER_SECURITY_INFORMATION and new.owner != domain.uid_to_sid(state.uid):
        uid = _new_owner(new.owner, domain, keep, token)
    if info & GROUP_SECURITY_INFORMATION and new.group is not None:
        named = domain.sid_to_gid(new.group)
        if named is not None:
            gid = named
        elif not keep:  # a stored descriptor may keep a group that is none here
            raise InvalidOwner(errno.EPERM, f"{new.group} is no group here")
    if uid in (-1, state.uid) and gid in (-1, state.gid):
        return state
    os.chown(proc_path(fd), uid, gid)
    return _state(fd)


def _new_owner(owner: Sid | None, domain: Domain, keep: Keep, token: Token | None) -> int:
    """The uid of *owner*.

    One that only a stored descriptor can name, such as Everyone, the inode cannot have: it gets
    whom the token stands for, who takes it from whose it was; -1 without a token.
    """
    uid = None if owner is None else domain.sid_to_uid(owner)
    if uid is None and (not keep or owner is None or is_account(owner)):
        raise InvalidOwner(errno.EPERM, f"{owner} is no user here")
    if token is not None and not token.privileged and owner not in token.sids:
        raise InvalidOwner(errno.EPERM, f"{owner} is not whom the token stands for")
    if uid is None:
        return -1 if token is None else token.uid
    return uid


def _set_permissions(fd: int, state: _State, dacl: Acl | None, domain: Domain, keep: Keep) -> None:
    """Set mode, access ACL and default ACL to what *dacl* says, or to what is in nobody's way."""
    if keep == Keep.ALONE:
        wanted = _open_to_all(state)
    else:
        wanted = posix_acl.permissions(
            dacl, state.uid, state.gid, domain, state.is_directory, beside=bool(keep)
        )
    path = proc_path(fd)
    if wanted.access != state.access:
        _set_access(path, state, wanted)
    if wanted.special is not None and wanted.special != state.mode & 0o3000:
        kept = stat.S_IMODE(os.fstat(fd).st_mode) & ~(0o3000 if state.is_directory else 0o1000)
        os.chmod(path, kept | wanted.special)
    if not state.is_directory or (wanted.default or ()) == state.default:
        return
    if wanted.default is None:
        remove_value(path, _DEFAULT)
        return
    try:
        set_value(path, _DEFAULT, posix_acl.pack(wanted.default))
    except OSError as failed:
        if failed.errno not in _NO_XATTR:
            raise
        log.debug("no default ACLs on this file system")  # the stored descriptor has it


def _open_to_all(state: _State) -> Permissions:
    """Everybody may read and write, and enter a directory; who may execute a file still may."""
    mode = state.mode | (0o777 if state.is_directory else 0o666)
    return Permissions(posix_acl.from_mode(mode), None, None)


def _set_access(path: str, state: _State, wanted: Permissions) -> None:
    """Set the access ACL; chmod is enough when neither old nor new ACL names anybody.

    A file system without ACLs gets the mode, and named users and groups are lost.
    """
    mode = stat.S_IMODE(state.mode) & ~0o777 | posix_acl.to_mode(wanted.access)
    if len(wanted.access) == 3 == len(state.access):
        os.chmod(path, mode)
        return
    try:
        set_value(path, _ACCESS, posix_acl.pack(wanted.access))
    except OSError as failed:
        if failed.errno not in _NO_XATTR:
            raise
        bare = [entry for entry in wanted.access if entry.tag != posix_acl.MASK]
        os.chmod(path, mode & ~0o777 | posix_acl.to_mode(tuple(bare)))


def _encoded(sd: SecurityDescriptor, domain: Domain, posix_hash: bytes) -> bytes:
    try:
        return ntacl.encode(as_stored(sd, domain), posix_hash)
    except WireError as reason:
        raise OSError(errno.E2BIG, str(reason)) from None


def _write(fd: int, sd: SecurityDescriptor, domain: Domain) -> None:
    """Store *sd* with the hash of the permissions as they are now.

    The kernel lets who may write security.* do so to any file.  So that is asked here which the
    kernel asks of a chmod, that the file is the user's: EPERM.
    """
    state = _state(fd)
    blob = _encoded(sd, domain, state.hash)
    if not _may_write_security():
        set_value(proc_path(fd), ntacl.NAME_UNPRIVILEGED, blob)
        return
    acting = credentials.current()
    if acting is not None and acting.uid not in (0, state.uid):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    with credentials.holding(_CAP_SYS_ADMIN):
        set_value(proc_path(fd), ntacl.NAME, blob)


@lru_cache(maxsize=1)
def _may_write_security() -> bool:
    """Whether this process may write security.*: CAP_SYS_ADMIN in the first user namespace.

    Permitted is enough: a thread that acts as a user has it not in effect.
    """
    # As bytes: a codec that is not loaded yet may lie where the thread's user cannot read it.
    with open("/proc/self/uid_map", "rb") as file:
        first_namespace = file.read().split() == [b"0", b"0", b"4294967295"]
    with open("/proc/self/status", "rb") as file:
        held = next(line.split()[1] for line in file if line.startswith(b"CapPrm:"))
    return first_namespace and bool(int(held, 16) >> _CAP_SYS_ADMIN & 1)
