"""Which SID a Unix id has, and back.

A user is the machine domain's SID with the uid as RID, a group is S-1-22-2-gid:
users and groups can never meet.  Uid 0 and the few uids whose RID has a fixed
meaning (513 is Domain Users) are S-1-22-1-uid.  The way back is strict: only this
domain, S-1-22-1/2 and S-1-5-88-1/2 name Unix ids; every other SID names none.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from ksmbd.wire.security import Sid

# Well-known SIDs, [MS-DTYP] 2.4.2.4
NOBODY: Final = Sid(0, 0)
EVERYONE: Final = Sid(1, 0)
LOCAL: Final = Sid(2, 0)
CREATOR_OWNER: Final = Sid(3, 0)
CREATOR_GROUP: Final = Sid(3, 1)
OWNER_RIGHTS: Final = Sid(3, 4)
NETWORK: Final = Sid(5, 2)
ANONYMOUS: Final = Sid(5, 7)
AUTHENTICATED_USERS: Final = Sid(5, 11)
SYSTEM: Final = Sid(5, 18)
BUILTIN: Final = Sid(5, 32)
ADMINISTRATORS: Final = Sid(5, 32, 544)
USERS: Final = Sid(5, 32, 545)
GUESTS: Final = Sid(5, 32, 546)

# RIDs of every domain, [MS-DTYP] 2.4.2.4
DOMAIN_USERS_RID: Final = 513
DOMAIN_GUESTS_RID: Final = 514
_FIXED_RIDS: Final = range(512, 528)  # Domain Admins … Enterprise Key Admins: groups all

UNIX_USERS: Final = Sid(22, 1)
UNIX_GROUPS: Final = Sid(22, 2)
NFS_USERS: Final = Sid(5, 88, 1)
NFS_GROUPS: Final = Sid(5, 88, 2)
NFS_MODE: Final = Sid(5, 88, 3)

_NO_ID: Final = 0xFFFFFFFF  # to chown(2) it means: leave as it is


@lru_cache(maxsize=4096)
def _child(parent: Sid, rid: int) -> Sid:
    return parent.child(rid)


def _id_under(sid: Sid, *parents: Sid) -> int | None:
    """The last sub-authority of *sid* when the rest of it is one of *parents*."""
    rid = sid.rid
    if rid is None or rid == _NO_ID:
        return None
    prefix, count = sid.prefix, sid[1] - 1
    for parent in parents:
        if parent[1] == count and parent[2:] == prefix:
            return rid
    return None


def unix_user(uid: int) -> Sid:
    """S-1-22-1-uid, the form that depends on no domain."""
    return _child(UNIX_USERS, uid)


def gid_to_sid(gid: int) -> Sid:
    """S-1-22-2-gid."""
    return _child(UNIX_GROUPS, gid)


@lru_cache(maxsize=4096)
def sid_to_gid(sid: Sid) -> int | None:
    """The gid that S-1-22-2-gid or S-1-5-88-2-gid names; None for any other SID."""
    return _id_under(sid, UNIX_GROUPS, NFS_GROUPS)


def is_account(sid: Sid) -> bool:
    """Whether *sid* is that of a user or group of some machine or domain, ours or another."""
    subs = sid.sub_authorities
    return sid.authority == 22 or (sid.authority == 5 and subs[:1] in ((21,), (88,)))


def sid_to_mode(sid: Sid) -> int | None:
    """The permission bits that S-1-5-88-3-mode carries; None for any other SID."""
    mode = _id_under(sid, NFS_MODE)
    return None if mode is None else mode & 0o7777


class Domain(NamedTuple):
    """The machine's own domain S-1-5-21-a-b-c."""

    sub_authorities: tuple[int, int, int]

    @property
    def sid(self) -> Sid:
        return _domain_sid(self.sub_authorities)

    @property
    def users(self) -> Sid:
        """Domain Users, the group of every account but guests."""
        return _child(self.sid, DOMAIN_USERS_RID)

    def uid_to_sid(self, uid: int) -> Sid:
        """The SID under which *uid* owns files and logs on."""
        if uid == 0 or uid in _FIXED_RIDS:
            return unix_user(uid)
        return _child(self.sid, uid)

    def gid_to_sid(self, gid: int) -> Sid:
        return gid_to_sid(gid)

    def sid_to_uid(self, sid: Sid) -> int | None:
        """The uid that *sid* names, as domain user, Unix user or NFS user; else None."""
        return _sid_to_uid(self.sid, sid)

    def sid_to_gid(self, sid: Sid) -> int | None:
        return sid_to_gid(sid)

    def names_of_user(self, uid: int) -> tuple[Sid, ...]:
        """Every SID that means *uid*, the preferred first: a token carries them all."""
        preferred, unix = self.uid_to_sid(uid), unix_user(uid)
        nfs = _child(NFS_USERS, uid)
        return (unix, nfs) if preferred == unix else (preferred, unix, nfs)

    def names_of_group(self, gid: int) -> tuple[Sid, ...]:
        """Every SID that means *gid*, the preferred first."""
        return gid_to_sid(gid), _child(NFS_GROUPS, gid)


@lru_cache(maxsize=16)
def _domain_sid(sub_authorities: tuple[int, int, int]) -> Sid:
    return Sid(5, 21, *sub_authorities)


@lru_cache(maxsize=4096)
def _sid_to_uid(domain: Sid, sid: Sid) -> int | None:
    uid = _id_under(sid, domain)
    if uid is not None:
        return None if uid == 0 or uid in _FIXED_RIDS else uid
    return _id_under(sid, UNIX_USERS, NFS_USERS)
