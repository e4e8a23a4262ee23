"""The descriptor of a new file from its parent's, [MS-DTYP] 2.5.3.4.1 - 2.5.3.4.3.

    parent's flags         on a file      on a directory
    -                      -              -
    OI                     effective      kept, inherit-only
    CI                     -              effective, kept
    OI CI                  effective      effective, kept
    with NP                as above       OI alone: -; else effective, no longer inheritable

An INHERIT_ONLY entry of the parent is inherited as any other.
"""

from __future__ import annotations

import errno
from typing import Final

from ksmbd.vfs.access import Token
from ksmbd.vfs.sid import CREATOR_GROUP, CREATOR_OWNER, Domain
from ksmbd.wire.access import map_generic
from ksmbd.wire.security import (
    CONTAINER_INHERIT,
    DACL_AUTO_INHERITED,
    DACL_PRESENT,
    INHERIT_ONLY,
    INHERITED_ACE,
    MAX_ACL_SIZE,
    NO_PROPAGATE_INHERIT,
    OBJECT_INHERIT,
    SACL_AUTO_INHERITED,
    SACL_PRESENT,
    SELF_RELATIVE,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)

_INHERITANCE: Final = (
    OBJECT_INHERIT | CONTAINER_INHERIT | NO_PROPAGATE_INHERIT | INHERIT_ONLY | INHERITED_ACE
)
_GENERIC: Final = 0xF0000000


def inherited(
    parent_sd: SecurityDescriptor,
    token: Token,
    domain: Domain,
    is_directory: bool,
    *,
    group: Sid | None = None,
    owner: Sid | None = None,
) -> SecurityDescriptor | None:
    """The descriptor of a file that *token* creates below *parent_sd*.

    *group* is the file's group if it is not the token's, as below a setgid directory; *owner*
    its owner if that is not the token's user.
    None when the parent has nothing to hand down: the file system's own rules decide.
    The DACL may be absent when only a SACL is inherited.
    OSError (E2BIG) when a list would exceed the 64 KiB of an ACL.
    """
    owner, group = owner or token.user, group or domain.gid_to_sid(token.gid)
    control = parent_sd.control & (DACL_AUTO_INHERITED | SACL_AUTO_INHERITED) | SELF_RELATIVE
    mark = INHERITED_ACE if control & DACL_AUTO_INHERITED else 0
    dacl = _child_acl(parent_sd.dacl, owner, group, is_directory, mark)
    mark = INHERITED_ACE if control & SACL_AUTO_INHERITED else 0
    sacl = _child_acl(parent_sd.sacl, owner, group, is_directory, mark)
    if dacl is None and sacl is None:
        return None
    control |= DACL_PRESENT if dacl else 0
    control |= SACL_PRESENT if sacl else 0
    return SecurityDescriptor(control, owner, group, sacl, dacl)


def effective(acl: Acl | None) -> Acl | None:
    """*acl* with the generic rights of its effective ACEs resolved, as it is stored."""
    if acl is None:
        return None
    aces = [
        ace if ace.flags & INHERIT_ONLY else ace._replace(mask=map_generic(ace.mask))
        for ace in acl.aces
    ]
    return acl._replace(aces=tuple(aces))


def _child_acl(
    parent: Acl | None, owner: Sid, group: Sid, is_directory: bool, mark: int
) -> Acl | None:
    """What a child inherits of *parent*; None when that is nothing."""
    if parent is None:
        return None
    aces: list[Ace] = []
    for ace in parent.aces:
        aces += _child_aces(ace, owner, group, is_directory, mark)
    if not aces:
        return None
    acl = Acl(tuple(aces), parent.revision)
    if acl.size > MAX_ACL_SIZE:
        raise OSError(errno.E2BIG, "the inherited ACL is too long")
    return acl


def _child_aces(ace: Ace, owner: Sid, group: Sid, is_directory: bool, mark: int) -> list[Ace]:
    """One parent entry on a child: none, one, or an effective one and one to hand down."""
    flags = ace.flags
    own = flags & ~_INHERITANCE | mark
    here = _replaced(ace, owner, group)._replace(flags=own)
    if not is_directory:
        return [here] if flags & OBJECT_INHERIT else []
    if flags & NO_PROPAGATE_INHERIT:
        return [here] if flags & CONTAINER_INHERIT else []
    down = own | flags & (OBJECT_INHERIT | CONTAINER_INHERIT)
    if not flags & CONTAINER_INHERIT:
        return [ace._replace(flags=down | INHERIT_ONLY)] if flags & OBJECT_INHERIT else []
    if here[2:] == ace[2:]:  # mask, SID and data: one entry can serve both
        return [ace._replace(flags=down)]
    return [here, ace._replace(flags=down | INHERIT_ONLY)]


def _replaced(ace: Ace, owner: Sid, group: Sid) -> Ace:
    """*ace* as it takes effect: creator SIDs become *owner* and *group*, generic rights real."""
    sid = ace.sid
    if sid == CREATOR_OWNER:
        sid = owner
    elif sid == CREATOR_GROUP:
        sid = group
    mask = map_generic(ace.mask) if ace.mask & _GENERIC else ace.mask
    return ace._replace(sid=sid, mask=mask)
