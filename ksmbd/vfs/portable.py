"""Whom a stored descriptor names, in words that any server understands.

A domain's SIDs mean nothing to another server that serves the same folder, or to this one when it
was given another domain.  So users of ours are stored as S-1-22-1-uid, which ksmbd and Samba know
and whose owners Samba lets do what owners may; clients are told the domain's SIDs again.
"""

from __future__ import annotations

from collections.abc import Callable

from ksmbd.vfs.sid import UNIX_USERS, Domain, is_account, unix_user
from ksmbd.wire.security import MAX_ACL_SIZE, Acl, SecurityDescriptor, Sid


def as_stored(sd: SecurityDescriptor, domain: Domain) -> SecurityDescriptor:
    """*sd* without SIDs of *domain* that are users'."""
    ours = domain.sid

    def named(sid: Sid) -> Sid:
        uid = domain.sid_to_uid(sid) if sid.prefix == ours[2:] else None
        return sid if uid is None else unix_user(uid)

    return _renamed(sd, named)


def as_told(sd: SecurityDescriptor, uid: int, gid: int, domain: Domain) -> SecurityDescriptor:
    """The stored *sd* with the file's true owner, and the true group if it names another one here.

    A share that comes from another server has that server's SID for its owners; who
    owns the file is known, so the entries for that SID are the owner's.  An owner that is
    nobody's account, such as Everyone, stays.
    """

    def named(sid: Sid) -> Sid:
        found = domain.sid_to_uid(sid) if sid.prefix == UNIX_USERS[2:] else None
        return sid if found is None else domain.uid_to_sid(found)

    sd = _renamed(sd, named)
    everybodys = sd.owner is not None and not is_account(sd.owner)
    if not everybodys and (sd.owner is None or domain.sid_to_uid(sd.owner) != uid):
        owner, former = domain.uid_to_sid(uid), sd.owner
        if former is not None and domain.sid_to_uid(former) is None:
            sd = _renamed(sd, lambda sid: owner if sid == former else sid)
        sd = sd._replace(owner=owner)
    if sd.group is None or domain.sid_to_gid(sd.group) not in (gid, None):
        sd = sd._replace(group=domain.gid_to_sid(gid))
    return sd


def _renamed(sd: SecurityDescriptor, named: Callable[[Sid], Sid]) -> SecurityDescriptor:
    return sd._replace(
        owner=sd.owner and named(sd.owner),
        group=sd.group and named(sd.group),
        dacl=_renamed_acl(sd.dacl, named),
        sacl=_renamed_acl(sd.sacl, named),
    )


def _renamed_acl(acl: Acl | None, named: Callable[[Sid], Sid]) -> Acl | None:
    """*acl* under other names; as it is if they are longer than the 64 KiB of an ACL."""
    if acl is None:
        return None
    aces = [ace if ace.sid is None else ace._replace(sid=named(ace.sid)) for ace in acl.aces]
    renamed = acl._replace(aces=tuple(aces))
    return renamed if renamed.size <= MAX_ACL_SIZE else acl
