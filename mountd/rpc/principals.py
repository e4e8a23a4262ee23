"""Names of SIDs and SIDs of names, for lsarpc and samr.

The mapping is the file server's own: uid n is the machine domain's SID with
RID n (uid 0 and RIDs with a fixed meaning: S-1-22-1-n), gid n is S-1-22-2-n.
Well-known names are English, as a Windows server's are on the wire of every
client that asks an English one.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from ksmbd.wire.security import Sid
from mountd.rpc.interface import Account, Context

DOMAIN_USERS_RID: Final = 513
_FIXED_RIDS: Final = range(512, 528)  # groups of every domain: never a uid
_NO_ID: Final = 0xFFFFFFFF

BUILTIN: Final = Sid(5, 32)
UNIX_USERS: Final = Sid(22, 1)
UNIX_GROUPS: Final = Sid(22, 2)


class Use(IntEnum):
    """SID_NAME_USE, [MS-LSAT] 2.2.13."""

    USER = 1
    GROUP = 2
    DOMAIN = 3
    ALIAS = 4
    WELL_KNOWN_GROUP = 5
    UNKNOWN = 8


class Principal(NamedTuple):
    """A SID with its name."""

    sid: Sid
    name: str
    domain: Sid  # equal to sid if this is a domain
    domain_name: str
    use: Use


ALIASES: Final[dict[int, str]] = {  # of BUILTIN, [MS-DTYP] 2.4.2.4
    544: "Administrators",
    545: "Users",
    546: "Guests",
    547: "Power Users",
    548: "Account Operators",
    549: "Server Operators",
    551: "Backup Operators",
}
GROUPS: Final[dict[int, str]] = {DOMAIN_USERS_RID: "None"}  # what a stand-alone server calls it

_AUTHORITY: Final = Sid(5)
_WELL_KNOWN: Final[tuple[tuple[Sid, Sid, str, str], ...]] = (
    (Sid(1, 0), Sid(1), "", "Everyone"),
    (Sid(3, 0), Sid(3), "", "CREATOR OWNER"),
    (Sid(3, 1), Sid(3), "", "CREATOR GROUP"),
    (Sid(3, 4), Sid(3), "", "OWNER RIGHTS"),
    (Sid(5, 2), _AUTHORITY, "NT AUTHORITY", "NETWORK"),
    (Sid(5, 4), _AUTHORITY, "NT AUTHORITY", "INTERACTIVE"),
    (Sid(5, 7), _AUTHORITY, "NT AUTHORITY", "ANONYMOUS LOGON"),
    (Sid(5, 11), _AUTHORITY, "NT AUTHORITY", "Authenticated Users"),
    (Sid(5, 18), _AUTHORITY, "NT AUTHORITY", "SYSTEM"),
)
WELL_KNOWN: Final[dict[Sid, Principal]] = {
    sid: Principal(sid, name, domain, domain_name, Use.WELL_KNOWN_GROUP)
    for sid, domain, domain_name, name in _WELL_KNOWN
}
WELL_KNOWN_NAMES: Final = {found.name.casefold(): found for found in WELL_KNOWN.values()}


class Principals:
    """Both directions, asked of one context."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.domain = Sid(5, 21, *context.sub_authorities)
        self.domain_name = context.server_name.upper()

    def by_sid(self, sid: Sid) -> Principal | None:
        """Return whom *sid* means; None if nobody."""
        known = WELL_KNOWN.get(sid)
        if known is not None:
            return known
        for domain, name in self._domains():
            if sid == domain:
                return Principal(sid, name, domain, name, Use.DOMAIN)
            rid = sid.rid
            if rid is not None and sid[1] == domain[1] + 1 and sid.prefix == domain[2:]:
                return self._member(domain, name, rid)
        return None

    def by_name(self, text: str) -> Principal | None:
        """Return whom *text* means: ``name``, ``DOMAIN\\name``, ``name@domain`` or a domain."""
        domain_name, backslash, name = text.rpartition("\\")
        if not backslash and "@" in text:
            name, _, domain_name = text.rpartition("@")
        if not domain_name:
            return self._isolated(name)
        for domain, known_name in self._domains():
            if known_name.casefold() == domain_name.casefold():
                return self._named(domain, known_name, name)
        found = WELL_KNOWN_NAMES.get(name.casefold())
        if found and found.domain_name.casefold() == domain_name.casefold():
            return found
        return None

    def user(self, uid: int) -> Sid:
        """The SID a uid goes by."""
        fixed = uid == 0 or uid in _FIXED_RIDS
        return (UNIX_USERS if fixed else self.domain).child(uid)

    def rid_of(self, name: str) -> tuple[int, Use] | None:
        """RID and kind of a name in the machine domain."""
        found = self._named(self.domain, self.domain_name, name)
        if found is None or found.domain != self.domain or found.sid.rid is None:
            return None
        return found.sid.rid, found.use

    def accounts(self) -> list[tuple[int, Account]]:
        """The accounts with a RID in the machine domain: who has a Unix user of that name."""
        known = [(self.rid_of(account.name), account) for account in self._context.accounts()]
        return [(found[0], account) for found, account in known if found is not None]

    def _domains(self) -> tuple[tuple[Sid, str], ...]:
        return (
            (self.domain, self.domain_name),
            (BUILTIN, "BUILTIN"),
            (UNIX_USERS, "Unix User"),
            (UNIX_GROUPS, "Unix Group"),
        )

    def _member(self, domain: Sid, domain_name: str, rid: int) -> Principal | None:
        """The member of *domain* with that RID."""
        name: str | None
        if domain == BUILTIN:
            name, use = ALIASES.get(rid), Use.ALIAS
        elif domain == UNIX_GROUPS:
            name, use = self._context.group_name(rid) if rid != _NO_ID else None, Use.GROUP
        elif domain == self.domain and (rid == 0 or rid in _FIXED_RIDS):
            name, use = GROUPS.get(rid), Use.GROUP
        else:
            name, use = self._context.user_name(rid) if rid != _NO_ID else None, Use.USER
        if name is None:
            return None
        return Principal(domain.child(rid), name, domain, domain_name, use)

    def _named(self, domain: Sid, domain_name: str, name: str) -> Principal | None:
        """The member of *domain* with that name; the domain itself for an empty one."""
        if not name:
            return Principal(domain, domain_name, domain, domain_name, Use.DOMAIN)
        if domain == BUILTIN:
            rid = _find(ALIASES, name)
        elif domain == UNIX_GROUPS:
            rid = self._context.group_id(name)
        else:
            rid = self._context.user_id(name)
            if rid is None and domain == self.domain:
                rid = _find(GROUPS, name)
        return None if rid is None else self._member(domain, domain_name, rid)

    def _isolated(self, name: str) -> Principal | None:
        """Whom a name without a domain means: well-known, domain, user, alias, Unix group."""
        if not name:
            return self.by_sid(BUILTIN)  # as Windows since 2003
        well_known = WELL_KNOWN_NAMES.get(name.casefold())
        if well_known is not None:
            return well_known
        for domain, domain_name in self._domains()[:2]:
            if name.casefold() == domain_name.casefold():
                return Principal(domain, domain_name, domain, domain_name, Use.DOMAIN)
        for domain, domain_name in self._domains():
            found = self._named(domain, domain_name, name)
            if found is not None:
                return found
        return None


def _find(names: dict[int, str], name: str) -> int | None:
    wanted = name.casefold()
    return next((rid for rid, known in names.items() if known.casefold() == wanted), None)
