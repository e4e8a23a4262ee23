"""What the system knows of users and groups."""

from __future__ import annotations

import grp
import logging
import os
import pwd
from typing import NamedTuple, Protocol

from ksmbd.wire.ipc import MAX_GROUPS

log = logging.getLogger("mountd")


class Identity(NamedTuple):
    """Whom a thread acts as."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()  # supplementary, gid included
    full_name: str = ""


class System(Protocol):
    """The user and group databases; a test has its own."""

    def user(self, name: str) -> Identity | None:
        """The system user *name*."""

    def home(self, name: str) -> str:
        """The home directory of the system user *name*, or an empty text."""

    def user_id(self, name: str) -> int | None: ...

    def user_name(self, uid: int) -> str | None: ...

    def group_name(self, gid: int) -> str | None: ...

    def group_id(self, name: str) -> int | None: ...

    def group_members(self, name: str) -> frozenset[str]:
        """Users whom the group lists; not those who have it as their first one."""


class UnixSystem:
    """The databases of the C library."""

    def user(self, name: str) -> Identity | None:
        try:
            found = pwd.getpwnam(name)
            groups = os.getgrouplist(found.pw_name, found.pw_gid)
        except (KeyError, ValueError, UnicodeEncodeError):
            return None
        if len(groups) > MAX_GROUPS:
            log.warning("%s is in %d groups: only %d count", name, len(groups), MAX_GROUPS)
        full_name = found.pw_gecos.partition(",")[0]
        return Identity(found.pw_uid, found.pw_gid, tuple(groups[:MAX_GROUPS]), full_name)

    def home(self, name: str) -> str:
        try:
            return pwd.getpwnam(name).pw_dir
        except (KeyError, ValueError, UnicodeEncodeError):
            return ""

    def user_id(self, name: str) -> int | None:
        try:
            return pwd.getpwnam(name).pw_uid
        except (KeyError, ValueError, UnicodeEncodeError):
            return None

    def user_name(self, uid: int) -> str | None:
        try:
            return pwd.getpwuid(uid).pw_name
        except (KeyError, OverflowError):
            return None

    def group_name(self, gid: int) -> str | None:
        try:
            return grp.getgrgid(gid).gr_name
        except (KeyError, OverflowError):
            return None

    def group_id(self, name: str) -> int | None:
        try:
            return grp.getgrnam(name).gr_gid
        except (KeyError, ValueError, UnicodeEncodeError):
            return None

    def group_members(self, name: str) -> frozenset[str]:
        try:
            return frozenset(grp.getgrnam(name).gr_mem)
        except (KeyError, ValueError, UnicodeEncodeError):
            return frozenset()
