"""POSIX ACLs: the kernel's xattr form, and the same permissions as a DACL.

`dacl` turns mode bits and POSIX ACLs into ACEs under which the Windows access check
decides as the kernel does; `permissions` goes the other way.  Everything here is
pure: reading and writing the xattrs is `ksmbd.vfs.acl`'s.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from ksmbd.vfs.sid import (
    AUTHENTICATED_USERS,
    CREATOR_GROUP,
    CREATOR_OWNER,
    EVERYONE,
    NETWORK,
    OWNER_RIGHTS,
    USERS,
    Domain,
    sid_to_mode,
)
from ksmbd.wire.access import (
    DELETE,
    FILE_ALL_ACCESS,
    FILE_APPEND_DATA,
    FILE_DELETE_CHILD,
    FILE_EXECUTE,
    FILE_GENERIC_EXECUTE,
    FILE_GENERIC_READ,
    FILE_GENERIC_WRITE,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_READ_EA,
    FILE_WRITE_ATTRIBUTES,
    FILE_WRITE_DATA,
    FILE_WRITE_EA,
    READ_CONTROL,
    SYNCHRONIZE,
    WRITE_DAC,
    WRITE_OWNER,
    map_generic,
)
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    ACCESS_DENIED,
    CONTAINER_INHERIT,
    INHERIT_ONLY,
    MAX_ACL_SIZE,
    OBJECT_INHERIT,
    Ace,
    Acl,
    Sid,
)

# acl(5) tags as the kernel and the xattr have them
USER_OBJ: Final = 0x01
USER: Final = 0x02
GROUP_OBJ: Final = 0x04
GROUP: Final = 0x08
MASK: Final = 0x10
OTHER: Final = 0x20

_VERSION: Final = 2
_NO_ID: Final = 0xFFFFFFFF
_HEADER: Final = struct.Struct("<I")
_ENTRY: Final = struct.Struct("<HHI")

# What everybody may do, whatever the mode says: stat(2) needs no permission either.
MINIMUM: Final = FILE_READ_ATTRIBUTES | READ_CONTROL | SYNCHRONIZE
# What the owner may do whatever the mode says: chmod, utimes, and name what to delete.
OWNER_ALWAYS: Final = MINIMUM | DELETE | WRITE_DAC | WRITE_OWNER | FILE_WRITE_ATTRIBUTES

INHERITABLE: Final = OBJECT_INHERIT | CONTAINER_INHERIT
_TO_CHILDREN_ONLY: Final = INHERITABLE | INHERIT_ONLY

# Everyone who may be on the other end of a share counts as "others".
_WORLD_SIDS: Final = frozenset((EVERYONE, AUTHENTICATED_USERS, USERS, NETWORK))


class Entry(NamedTuple):
    """One ACL entry; *id* is 0xFFFFFFFF except for USER and GROUP; *perms* r4 w2 x1."""

    tag: int
    perms: int
    id: int = _NO_ID


class Permissions(NamedTuple):
    """What a DACL becomes: an access ACL, for directories a default ACL, special bits."""

    access: tuple[Entry, ...]
    default: tuple[Entry, ...] | None
    special: int | None = None  # setgid and sticky bit, when the client sent a Unix mode


def unpack(blob: bytes) -> tuple[Entry, ...]:
    """Read a ``system.posix_acl_*`` value, in its order; ValueError when it is malformed."""
    if len(blob) < 4 or (len(blob) - 4) % _ENTRY.size or _HEADER.unpack_from(blob) != (_VERSION,):
        raise ValueError("not a POSIX ACL of version 2")
    return tuple([Entry(tag, perms & 7, id) for tag, perms, id in _ENTRY.iter_unpack(blob[4:])])


def pack(entries: Iterable[Entry]) -> bytes:
    """The ``system.posix_acl_*`` value, in the order the kernel insists on."""
    ordered = sorted(entries, key=lambda entry: (entry.tag, entry.id))
    return _HEADER.pack(_VERSION) + b"".join([_ENTRY.pack(*entry) for entry in ordered])


def from_mode(mode: int) -> tuple[Entry, ...]:
    """The three entries that the permission bits of *mode* are."""
    return (
        Entry(USER_OBJ, mode >> 6 & 7),
        Entry(GROUP_OBJ, mode >> 3 & 7),
        Entry(OTHER, mode & 7),
    )


def to_mode(entries: tuple[Entry, ...]) -> int:
    """The nine permission bits that chmod(2) would show: the mask, if any, as the group's."""
    perms = {entry.tag: entry.perms for entry in entries}
    group = perms.get(MASK, perms.get(GROUP_OBJ, 0))
    return perms.get(USER_OBJ, 0) << 6 | group << 3 | perms.get(OTHER, 0)


# POSIX -> DACL


@lru_cache(maxsize=64)
def rights(perms: int, deletes: bool) -> int:
    """The access mask that rwx bits are; with *deletes* (a directory's) w deletes children."""
    mask = MINIMUM
    if perms & 4:
        mask |= FILE_GENERIC_READ
    if perms & 2:
        mask |= FILE_GENERIC_WRITE | (FILE_DELETE_CHILD if deletes else 0)
    if perms & 1:
        mask |= FILE_GENERIC_EXECUTE
    return mask


def _owner_rights(perms: int, deletes: bool) -> int:
    return FILE_ALL_ACCESS if perms == 7 else OWNER_ALWAYS | rights(perms, deletes)


class _Classes(NamedTuple):
    """A POSIX ACL by the classes in which the kernel looks for an answer, mask applied."""

    owner: int
    users: tuple[tuple[Sid, int], ...]
    groups: tuple[tuple[Sid, int], ...]  # the owning group first
    other: int


def _classes(entries: tuple[Entry, ...], uid: int | None, group: Sid, domain: Domain) -> _Classes:
    """Sort *entries* into classes, without the entry of *uid*, which the kernel never reads."""
    mask = next((entry.perms for entry in entries if entry.tag == MASK), 7)
    owner = other = owning = 0
    users, groups = [], []
    for tag, perms, id in entries:
        if tag == USER_OBJ:
            owner = perms
        elif tag == USER and id != uid:
            users.append((domain.uid_to_sid(id), perms & mask))
        elif tag == GROUP_OBJ or (tag == GROUP and domain.gid_to_sid(id) == group):
            owning |= perms & mask
        elif tag == GROUP:
            groups.append((domain.gid_to_sid(id), perms & mask))
        elif tag == OTHER:
            other = perms
    return _Classes(owner, tuple(users), ((group, owning), *groups), other)


def _aces(owner: Sid, classes: _Classes, flags: int, deletes: tuple[bool, bool]) -> list[Ace]:
    """The ACEs under which the access check decides as the kernel does on *classes*.

    A user's entry hides those of groups and others, and a group's that of others, so
    what they would add is denied.  Denying comes first as Windows wants it, except
    for groups: there any member entry may allow, so all allow before one denies.
    Ordinary modes, where nobody has less than others, need no denying ACE at all.
    *deletes*: whether w deletes children, for the owner and for everybody else.
    """
    mine, theirs = deletes

    def allow(sid: Sid, mask: int) -> Ace:
        return Ace(ACCESS_ALLOWED, flags, mask, sid)

    def deny(sid: Sid, perms: int, keep: int = MINIMUM) -> list[Ace]:
        mask = rights(perms, mine) & ~keep
        return [Ace(ACCESS_DENIED, flags, mask, sid)] if perms else []

    below = classes.other
    for _, perms in classes.groups:
        below |= perms
    aces = deny(owner, below & ~classes.owner, OWNER_ALWAYS)
    for sid, perms in classes.users:
        aces += deny(sid, below & ~perms)
    aces.append(allow(owner, _owner_rights(classes.owner, mine)))
    aces += [allow(sid, rights(perms, theirs)) for sid, perms in classes.users]
    aces += [allow(sid, rights(perms, theirs)) for sid, perms in classes.groups]
    for sid, perms in classes.groups:
        aces += deny(sid, classes.other & ~perms)
    aces.append(allow(EVERYONE, rights(classes.other, theirs)))
    return aces


def dacl(
    uid: int,
    gid: int,
    access: tuple[Entry, ...],
    default: tuple[Entry, ...] | None,
    domain: Domain,
    is_directory: bool,
    sticky: bool = False,
) -> Acl:
    """The DACL that says what a POSIX access ACL and a directory's default ACL say.

    In a *sticky* directory only its owner may delete what others put there.

    A directory without default ACL is shown as if it had one like its access ACL,
    with CREATOR OWNER and CREATOR GROUP: it is what a client that adds an entry and
    stores the list expects new files to get.
    """
    owner, group = domain.uid_to_sid(uid), domain.gid_to_sid(gid)
    deletes = is_directory, is_directory and not sticky
    aces = _aces(owner, _classes(access, uid, group, domain), 0, deletes)
    if is_directory:
        classes = _classes(default or access, None, CREATOR_GROUP, domain)
        aces = _merged(aces, _aces(CREATOR_OWNER, classes, _TO_CHILDREN_ONLY, (True, True)))
    if Acl(tuple(aces)).size > MAX_ACL_SIZE:
        aces = _abridged(owner, _classes(access, uid, group, domain), deletes)
    return Acl(tuple(aces))


def _merged(own: list[Ace], inherited: list[Ace]) -> list[Ace]:
    """*own* and *inherited* as one list; an entry in both becomes one, if order is free."""
    if any(ace.type == ACCESS_DENIED for ace in own + inherited):
        return own + inherited
    both = {(ace.sid, ace.mask) for ace in own} & {(ace.sid, ace.mask) for ace in inherited}
    merged = [
        ace._replace(flags=INHERITABLE) if (ace.sid, ace.mask) in both else ace for ace in own
    ]
    return merged + [ace for ace in inherited if (ace.sid, ace.mask) not in both]


def _abridged(owner: Sid, classes: _Classes, deletes: tuple[bool, bool]) -> list[Ace]:
    """The owner and as many named users as 16 bits of AclSize hold; nobody gains a right."""
    aces = [Ace(ACCESS_ALLOWED, 0, _owner_rights(classes.owner, deletes[0]), owner)]
    room = MAX_ACL_SIZE - 64 - aces[0].size
    for sid, perms in classes.users:
        ace = Ace(ACCESS_ALLOWED, 0, rights(perms, deletes[1]), sid)
        room -= ace.size
        if room < 0:
            break
        aces.append(ace)
    aces.append(Ace(ACCESS_ALLOWED, 0, MINIMUM, EVERYONE))
    return aces


# DACL -> POSIX


class _Verdict:
    """The bits decided so far for one principal; the first ACE to speak decides."""

    __slots__ = ("allowed", "denied", "named")

    def __init__(self) -> None:
        self.allowed = 0
        self.denied = 0
        self.named = False

    def hear(self, kind: int, bits: int) -> None:
        if kind == ACCESS_ALLOWED:
            self.allowed |= bits & ~self.denied
        else:
            self.denied |= bits & ~self.allowed

    def adopt(self, world: _Verdict) -> None:
        """Let what everybody was allowed or denied so far decide what is still open."""
        open_bits = ~(self.allowed | self.denied)
        self.allowed |= world.allowed & open_bits
        self.denied |= world.denied & open_bits


def _perms(mask: int) -> int:
    """The rwx bits of an access mask: writing of any kind is w."""
    mask = map_generic(mask)
    perms = 4 if mask & FILE_READ_DATA else 0
    if mask & (FILE_WRITE_DATA | FILE_APPEND_DATA):
        perms |= 2
    return perms | (1 if mask & FILE_EXECUTE else 0)


def _owners_perms(mask: int) -> int:
    """The rwx bits without which the kernel would refuse its owner something of *mask*.

    To execute is to read, over the network; extended attributes are read and written as data.
    """
    perms = _perms(mask)
    if mask & (FILE_EXECUTE | FILE_READ_EA):
        perms |= 4
    return perms | (2 if mask & FILE_WRITE_EA else 0)


class _Ballot:
    """Hears a DACL's ACEs in order and keeps a verdict per POSIX principal.

    What Everyone is allowed or denied holds for all principals: it is folded into a
    verdict only when that principal is named or at the end, so that a list of n ACEs
    costs n steps.  *bits* are what a verdict is about; the rwx bits, but for `_owners_rights`.
    """

    def __init__(
        self,
        uid: int | None,
        gid: int | None,
        creator: bool,
        domain: Domain,
        bits: Callable[[int], int] = _perms,
    ) -> None:
        self.owner = _Verdict()
        self.group = _Verdict()
        self.world = _Verdict()
        self.users: dict[int, _Verdict] = {}
        self.groups: dict[int, _Verdict] = {}
        self._uid = uid
        self._gid = gid
        self._owner_sids = (CREATOR_OWNER,) if creator else (OWNER_RIGHTS,)
        self._group_sids = (CREATOR_GROUP,) if creator else ()
        self._domain = domain
        self._bits = bits

    def _principal(self, sid: Sid) -> _Verdict | None:
        if sid in _WORLD_SIDS or sid == self._domain.users:
            return self.world
        if sid in self._owner_sids:
            return self.owner
        if sid in self._group_sids:
            return self.group
        uid = self._domain.sid_to_uid(sid)
        if uid is not None:
            return self.owner if uid == self._uid else self.users.setdefault(uid, _Verdict())
        gid = self._domain.sid_to_gid(sid)
        if gid is not None:
            return self.group if gid == self._gid else self.groups.setdefault(gid, _Verdict())
        return None

    def hear(self, ace: Ace) -> None:
        if ace.sid is None or ace.type not in (ACCESS_ALLOWED, ACCESS_DENIED):
            return
        verdict = self._principal(ace.sid)
        if verdict is None:
            return
        if verdict is not self.world:
            verdict.named = True
            verdict.adopt(self.world)
        verdict.hear(ace.type, self._bits(ace.mask))

    def close(self) -> None:
        """Let what Everyone may decide what nobody has spoken of."""
        for verdict in (self.owner, self.group, *self.users.values(), *self.groups.values()):
            verdict.adopt(self.world)

    def owners(self, if_unnamed: int | None) -> int:
        """The owner's bits; one whom no ACE names has *if_unnamed*, or all that any group gets.

        The kernel looks only at the owner's entry for the owner, where Windows would
        find the groups of the owner too; the owner can chmod, so nothing is given away.
        """
        if self.owner.named:
            return self.owner.allowed
        return self.with_groups() if if_unnamed is None else if_unnamed

    def with_groups(self) -> int:
        """All that the owner may have: his own bits, and any group's that are not denied him."""
        groups = self.group.allowed
        for verdict in self.groups.values():
            groups |= verdict.allowed
        return self.owner.allowed | groups & ~self.owner.denied

    def entries(self, owner: int, enters: bool) -> tuple[Entry, ...]:
        """The ACL, with the owner's bits; *enters*: who may list or change may pass through."""

        def perms(verdict: _Verdict) -> int:
            return verdict.allowed | (_entering(verdict.allowed) & ~verdict.denied if enters else 0)

        entries = [Entry(USER_OBJ, owner), Entry(GROUP_OBJ, perms(self.group))]
        entries += [Entry(USER, perms(v), uid) for uid, v in self.users.items()]
        entries += [Entry(GROUP, perms(v), gid) for gid, v in self.groups.items()]
        if len(entries) > 2:
            mask = 0
            for entry in entries[1:]:
                mask |= entry.perms
            entries.append(Entry(MASK, mask))
        entries.append(Entry(OTHER, perms(self.world)))
        return tuple(sorted(entries, key=lambda entry: (entry.tag, entry.id)))


def _entering(perms: int) -> int:
    """x of a directory for who may do anything else in it, as with Windows.

    There everybody may pass through what they may not even list ("bypass traverse checking").
    """
    return 1 if perms & 6 else 0


def permissions(
    acl: Acl | None,
    uid: int,
    gid: int,
    domain: Domain,
    is_directory: bool,
    *,
    beside: bool = False,
) -> Permissions:
    """The POSIX ACLs under which the kernel decides as near to *acl* as it can.

    A NULL DACL (None) is rwx for all, an empty one nothing for all.  SIDs that name no
    Unix id are passed over.  An ACE for S-1-5-88-3-mode, which the Linux client adds,
    sets the nine bits itself; of the special bits it may set the sticky bit, and on a
    directory setgid.

    *beside* a stored descriptor, which says exactly who may what, the kernel is to be in the
    way of nobody more than need be: the owner has every bit that any right of his takes, for
    he could take it himself by chmod; and who may list or change a directory may enter it.
    """
    if acl is None:
        return Permissions(from_mode(0o777), None)
    heard = [ace for ace in acl.aces if not ace.flags & INHERIT_ONLY]
    effective = _counted(heard, uid, gid, False, domain)
    owner = effective.owners(None)
    if beside:
        exact = _counted(heard, uid, gid, False, domain, map_generic)
        owner = _owners_perms(exact.with_groups())
        if is_directory and owner & 6:  # Samba opens for reading what it is to change
            owner |= 5
    access, special = effective.entries(owner, beside and is_directory), None
    mode = _unix_mode(acl)
    if mode is not None:
        access = _with_mode(access, mode)
        special = mode & (0o3000 if is_directory else 0o1000)
    return Permissions(access, _default(acl, domain, beside) if is_directory else None, special)


def _counted(
    aces: Iterable[Ace],
    uid: int | None,
    gid: int | None,
    creator: bool,
    domain: Domain,
    bits: Callable[[int], int] = _perms,
) -> _Ballot:
    """The ballot after all *aces*."""
    ballot = _Ballot(uid, gid, creator, domain, bits)
    for ace in aces:
        ballot.hear(ace)
    ballot.close()
    return ballot


def _default(acl: Acl, domain: Domain, beside: bool) -> tuple[Entry, ...] | None:
    """The default ACL that the inheritable ACEs are; None when there are none.

    Its x is for new directories: the mode that a file is made with has none.
    """
    heirs = [ace for ace in acl.aces if ace.flags & INHERITABLE and ace.sid is not None]
    if not heirs:
        return None
    ballot = _counted(heirs, None, None, True, domain)
    # Without a CREATOR OWNER entry a creator is judged by name on Windows; the kernel
    # would see only the owner's entry, so leave the owner whole.
    owner = ballot.owners(7)
    return ballot.entries(owner | _entering(owner) if beside else owner, beside)


def _unix_mode(acl: Acl) -> int | None:
    for ace in acl.aces:
        mode = None if ace.sid is None else sid_to_mode(ace.sid)
        if mode is not None:
            return mode
    return None


def _with_mode(entries: tuple[Entry, ...], mode: int) -> tuple[Entry, ...]:
    """*entries* after chmod(mode): the group bits go to the mask if there is one."""
    group_tag = MASK if any(entry.tag == MASK for entry in entries) else GROUP_OBJ
    bits = {USER_OBJ: mode >> 6 & 7, group_tag: mode >> 3 & 7, OTHER: mode & 7}
    return tuple([entry._replace(perms=bits.get(entry.tag, entry.perms)) for entry in entries])
