"""Unix mode, owner and group as entries of an access list: AAPL's NFS_ACE.

A Mac reads them, as S-1-5-88-3-mode, -1-uid and -2-gid in entries that deny nothing, and to change
the mode it gives the list back as it was told it, with another mode in that entry.  So whether list
or mode is meant is seen by what has changed.  Owner and group are not set this way, as in Samba.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ksmbd.vfs import acl, sid
from ksmbd.vfs.acl import Keep
from ksmbd.wire.create_context import AAPL_NFS_ACE
from ksmbd.wire.security import (
    ACCESS_DENIED,
    DACL_SECURITY_INFORMATION,
    MAX_ACL_SIZE,
    PROTECTED_DACL_SECURITY_INFORMATION,
    UNPROTECTED_DACL_SECURITY_INFORMATION,
    Ace,
    SecurityDescriptor,
)

if TYPE_CHECKING:
    from ksmbd.state.open import Open
    from ksmbd.vfs.stat import Stat

_PARENTS: Final = (sid.NFS_MODE, sid.NFS_USERS, sid.NFS_GROUPS)
_PREFIXES: Final = frozenset(parent.child(0).prefix for parent in _PARENTS)
_OF_DACL: Final = (
    DACL_SECURITY_INFORMATION
    | PROTECTED_DACL_SECURITY_INFORMATION
    | UNPROTECTED_DACL_SECURITY_INFORMATION
)
_PERMISSIONS: Final = 0o777


class Wish(NamedTuple):
    """What a Mac's descriptor asks for."""

    sd: SecurityDescriptor  # without the entries
    wanted: int  # SECURITY_INFORMATION that is to be set of it
    mode: int | None  # and the mode, with the bits above the permissions; None: as it is


def agreed(open: Open) -> bool:
    """Whether the client of *open* knows such entries, on a share whose files they are true of."""
    return bool(open.session.aapl & AAPL_NFS_ACE) and open.tree.share.aapl


def told(sd: SecurityDescriptor, st: Stat) -> SecurityDescriptor:
    """*sd* with the entries, unless it has no list, or one they do not fit into."""
    if sd.dacl is None:
        return sd
    numbers = zip(_PARENTS, (st.posix_mode, st.uid, st.gid), strict=True)
    ours = (Ace(ACCESS_DENIED, 0, 0, parent.child(number)) for parent, number in numbers)
    others = (ace for ace in sd.dacl.aces if not _is_ours(ace))
    dacl = sd.dacl._replace(aces=(*others, *ours))
    return sd._replace(dacl=dacl) if dacl.size <= MAX_ACL_SIZE else sd


def wish(open: Open, sd: SecurityDescriptor, wanted: int) -> Wish:
    """Take apart what a Mac sets.

    A list of nothing at all is not meant: recent versions of macOS send it, and nobody could use
    the file any more.
    """
    if sd.dacl is None:
        return Wish(sd, wanted, None)
    st = open.file.stat()
    modes = (sid.sid_to_mode(ace.sid) for ace in sd.dacl.aces if ace.sid is not None)
    mode = next((mode for mode in modes if mode is not None), None)
    others = tuple(ace for ace in sd.dacl.aces if not _is_ours(ace))
    share = open.tree.share
    now = acl.descriptor(open.file, open.tree.session.domain, share.acl_xattr).dacl
    if not others or (now is not None and now.aces == others):
        wanted &= ~_OF_DACL
    before = st.posix_mode & 0o7777
    if mode is None or share.acl_xattr is Keep.ALONE or not (mode ^ before) & _PERMISSIONS:
        mode = None
    else:
        mode = mode & _PERMISSIONS | before & ~_PERMISSIONS
    return Wish(sd._replace(dacl=sd.dacl._replace(aces=others)), wanted, mode)


def _is_ours(ace: Ace) -> bool:
    return ace.sid is not None and ace.sid.prefix in _PREFIXES
