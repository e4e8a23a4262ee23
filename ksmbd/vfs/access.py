"""The access check, [MS-DTYP] 2.5.3.2: a token's rights under a security descriptor.

The first ACE that speaks of a right decides it, so one pass over the DACL yields
everything a token may do; what was asked is then compared with that.  Two rights
may also come from the parent directory, as NTFS has it: DELETE from its
FILE_DELETE_CHILD and FILE_READ_ATTRIBUTES from its FILE_LIST_DIRECTORY.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final, NamedTuple

from ksmbd.vfs.sid import (
    ADMINISTRATORS,
    AUTHENTICATED_USERS,
    EVERYONE,
    GUESTS,
    NETWORK,
    OWNER_RIGHTS,
    USERS,
    Domain,
)
from ksmbd.wire.access import (
    ACCESS_SYSTEM_SECURITY,
    DELETE,
    FILE_ALL_ACCESS,
    FILE_DELETE_CHILD,
    FILE_LIST_DIRECTORY,
    FILE_READ_ATTRIBUTES,
    MAXIMUM_ALLOWED,
    READ_CONTROL,
    WRITE_DAC,
    map_generic,
)
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    ACCESS_DENIED,
    ACCESS_DENIED_CALLBACK,
    FAILED_ACCESS,
    INHERIT_ONLY,
    SUCCESSFUL_ACCESS,
    SYSTEM_AUDIT,
    SYSTEM_AUDIT_CALLBACK,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)

OWNER_IMPLICIT: Final = READ_CONTROL | WRITE_DAC

Parent = Callable[[], SecurityDescriptor | None]  # called only if its answer can matter

_MOST_ANSWERS: Final = 1024  # that are kept, and
_MOST_ACES: Final = 128  # of a DACL with one: they bound the memory


class PrivilegeNotHeld(PermissionError):
    """EPERM: ACCESS_SYSTEM_SECURITY was asked without the privilege (PRIVILEGE_NOT_HELD)."""


class Token(NamedTuple):
    """Who asks: the user, every SID that stands for the user, and the Unix ids."""

    user: Sid
    sids: frozenset[Sid]  # the user's and the groups' names, all forms, and the well-known ones
    uid: int
    privileged: bool  # holds SeSecurity, SeTakeOwnership, SeBackup and SeRestore
    gid: int = 65534


class _Answer(NamedTuple):
    """What a token may do by a DACL."""

    owner: Sid | None
    dacl: Acl
    token: Token
    rights: int


# Shared between threads without a lock: each access is one look-up or store.
_answers: Final[dict[tuple[int, int], _Answer]] = {}


def token(
    domain: Domain,
    uid: int,
    gid: int,
    groups: tuple[int, ...] = (),
    *,
    guest: bool = False,
    privileged: bool | None = None,
) -> Token:
    """The token of a session that acts as *uid*, *gid* and *groups*.

    A guest is in Guests, anybody else in Authenticated Users, Users and the domain's
    users.  *privileged* is by default true for uid 0, unless a guest.
    """
    if privileged is None:
        privileged = uid == 0 and not guest
    sids = {EVERYONE, NETWORK, *domain.names_of_user(uid)}
    for group in {gid, *groups}:
        sids.update(domain.names_of_group(group))
    if guest:
        sids.add(GUESTS)
    else:
        sids.update((AUTHENTICATED_USERS, USERS, domain.users))
    if privileged:
        sids.add(ADMINISTRATORS)
    return Token(domain.uid_to_sid(uid), frozenset(sids), uid, privileged, gid)


def maximum(sd: SecurityDescriptor, token: Token, parent: Parent | None = None) -> int:
    """Every right *token* has to the object of *sd*: what MAXIMUM_ALLOWED yields.

    ACCESS_SYSTEM_SECURITY is never part of it: it must be asked for by name.
    """
    if token.privileged or sd.dacl is None:  # absent and NULL DACLs protect nothing
        return FILE_ALL_ACCESS
    return _from_parent(
        _own(sd.owner, sd.dacl, token), token, parent, DELETE | FILE_READ_ATTRIBUTES
    )


def granted(
    sd: SecurityDescriptor, token: Token, desired: int, parent: Parent | None = None
) -> int:
    """The rights an open that desires *desired* is granted, generic rights resolved.

    MAXIMUM_ALLOWED adds all that `maximum` gives; rights named beside it must be held
    nevertheless.  *parent* yields the parent directory's descriptor, if there is one.

    PermissionError (EACCES)   a right is not held: ACCESS_DENIED
    PrivilegeNotHeld (EPERM)   ACCESS_SYSTEM_SECURITY without the privilege
    """
    desired = map_generic(desired)
    if desired & ACCESS_SYSTEM_SECURITY and not token.privileged:
        raise PrivilegeNotHeld(errno.EPERM, "ACCESS_SYSTEM_SECURITY needs a privilege")
    wanted = desired & ~(MAXIMUM_ALLOWED | ACCESS_SYSTEM_SECURITY)
    if desired & MAXIMUM_ALLOWED:
        held = maximum(sd, token, parent)
    elif token.privileged or sd.dacl is None:
        held = FILE_ALL_ACCESS
    else:
        held = _own(sd.owner, sd.dacl, token)
        if wanted & ~held:
            held = _from_parent(held, token, parent, wanted)
    if wanted & ~held:
        raise PermissionError(errno.EACCES, f"rights {wanted & ~held:#x} are not granted")
    return desired & ~MAXIMUM_ALLOWED | (held if desired & MAXIMUM_ALLOWED else 0)


def audited(sacl: Acl, token: Token, access: int, *, success: bool) -> list[Ace]:
    """The audit ACEs that want to hear of *access*, granted or refused to *token*.

    [MS-DTYP] 2.4.4.10.  Of one with a condition, which we cannot evaluate, rather too much.
    """
    wanted = SUCCESSFUL_ACCESS if success else FAILED_ACCESS
    return [
        ace
        for ace in sacl.aces
        if ace.type in (SYSTEM_AUDIT, SYSTEM_AUDIT_CALLBACK)
        and ace.flags & wanted
        and not ace.flags & INHERIT_ONLY
        and ace.sid in token.sids
        and map_generic(ace.mask) & access
    ]


def _own(owner: Sid | None, dacl: Acl, token: Token) -> int:
    """What the file's descriptor itself gives; the same of the same DACL and token.

    Both are immutable, and the same objects come again: files with equal descriptors share one,
    a session's opens one token.  Whose identity is a key is kept alive by the entry.
    """
    key = id(dacl), id(token)
    known = _answers.get(key)
    if known is not None and known.dacl is dacl and known.token is token and known.owner == owner:
        return known.rights
    rights = _from_dacl(owner, dacl, token)
    if len(dacl.aces) <= _MOST_ACES:
        if len(_answers) >= _MOST_ANSWERS:
            _answers.clear()
        _answers[key] = _Answer(owner, dacl, token, rights)
    return rights


def _from_dacl(owner: Sid | None, dacl: Acl, token: Token) -> int:
    """The rights that the owner's standing and the ordered ACEs give."""
    sids, aces = token.sids, dacl.aces
    held = denied = 0
    owns = owner in sids
    if owns and not _limits_owner(dacl):
        held = OWNER_IMPLICIT
    for kind, flags, mask, sid, _ in aces:
        if flags & INHERIT_ONLY or not (sid in sids or (owns and sid == OWNER_RIGHTS)):
            continue
        if mask & 0xF0000000:
            mask = map_generic(mask)
        if kind == ACCESS_ALLOWED:
            held |= mask & ~denied
        elif kind in (ACCESS_DENIED, ACCESS_DENIED_CALLBACK):
            # A condition we cannot evaluate is UNKNOWN: it denies and never allows,
            # [MS-DTYP] 2.4.4.17.3
            denied |= mask & ~held
    return held & FILE_ALL_ACCESS


def _limits_owner(dacl: Acl) -> bool:
    """Whether an OWNER RIGHTS ACE takes the place of what an owner has implicitly."""
    return any(ace.sid == OWNER_RIGHTS and not ace.flags & INHERIT_ONLY for ace in dacl.aces)


def _from_parent(held: int, token: Token, parent: Parent | None, wanted: int) -> int:
    """*held* and those of DELETE and FILE_READ_ATTRIBUTES that the parent directory lends."""
    missing = wanted & ~held & (DELETE | FILE_READ_ATTRIBUTES)
    if not missing or parent is None:
        return held
    above = parent()
    if above is None:
        return held
    rights = maximum(above, token)
    if missing & DELETE and rights & FILE_DELETE_CHILD:
        held |= DELETE
    if missing & FILE_READ_ATTRIBUTES and rights & FILE_LIST_DIRECTORY:
        held |= FILE_READ_ATTRIBUTES
    return held
