"""Access-based enumeration: on a share with `hide unreadable` its users see what they may read.

[MS-SMB2] 3.3.1.6 Share.DoAccessBasedDirectoryEnumeration.  The user of a tree connect to such a
share has a ``Sight``; on others, or with all privileges, one has none and nothing is asked.

To be seen takes every right of ``READABLE``, from the file's own descriptor and, by the mode or
POSIX ACL, from the kernel.  What the parent directory lends does not count, as with Windows
(smb2.acls.ACCESSBASED).  Opening what one cannot see is refused as it is on any other share.

All of it runs on a thread that acts as the tree's user.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Final

from ksmbd.state.rights import Descriptor
from ksmbd.vfs import access, acl
from ksmbd.vfs.path import O_PATH
from ksmbd.vfs.root import PathNotFound
from ksmbd.vfs.xattr import proc_path
from ksmbd.wire.access import FILE_READ_ATTRIBUTES, FILE_READ_DATA, FILE_READ_EA, READ_CONTROL
from ksmbd.wire.change_notify import (
    ACTION_RENAMED_NEW_NAME,
    ACTION_RENAMED_OLD_NAME,
    OF_STREAMS,
    Change,
)

if TYPE_CHECKING:
    from ksmbd.state.tree import TreeConnect
    from ksmbd.vfs.access import Token
    from ksmbd.vfs.root import ShareRoot
    from ksmbd.vfs.sid import Domain

READABLE: Final = FILE_READ_DATA | FILE_READ_EA | FILE_READ_ATTRIBUTES | READ_CONTROL


class Seen(Enum):
    """What a user learns of a name."""

    SHOWN = 1
    HIDDEN = 2
    GONE = 3  # there is nothing by that name, and nobody to ask who might have read it


class Sight:
    """What one user of one share sees."""

    __slots__ = ("_domain", "_keep", "_token")

    def __init__(self, token: Token, domain: Domain, keep: acl.Keep) -> None:
        self._token = token
        self._domain = domain
        self._keep = keep

    def shows(self, directory: int, name: str) -> bool:
        """Whether an entry of an open directory is seen; of a symlink, whether it is itself."""
        if not os.access(
            name, os.R_OK, dir_fd=directory, effective_ids=True, follow_symlinks=False
        ):
            return False
        if not self._keep:
            return True  # the descriptor is made from what the kernel has just judged by
        try:
            fd = os.open(name, O_PATH | os.O_NOFOLLOW, dir_fd=directory)
        except (FileNotFoundError, PermissionError):
            return False
        try:
            return self._may_read(Descriptor(fd))
        finally:
            os.close(fd)

    def shows_behind(self, root: ShareRoot, path: str) -> bool:
        """Whether what *path* leads to over symlinks is seen."""
        try:
            with root.resolve(path) as entry:
                return (
                    entry.exists
                    and os.access(proc_path(entry.fd), os.R_OK, effective_ids=True)
                    and self._may_read(entry)
                )
        except OSError:
            return False

    def tells(self, root: ShareRoot, base: str, changes: Sequence[Change]) -> list[Change] | None:
        """Those of *changes* beneath *base* that the user may hear of.

        None if there are some of which nobody can say any more who may: a name that is gone.
        The client must list then, which tells it what it may know and no more.
        """
        told: list[Change] = []
        known: dict[str, Seen] = {}
        for number, change in enumerate(changes):
            seen = self._look(root, base, _path(_subject(changes, number)), known)
            if seen is Seen.GONE:
                return None
            if seen is Seen.SHOWN:
                told.append(change)
        return told

    def _look(self, root: ShareRoot, base: str, path: str, known: dict[str, Seen]) -> Seen:
        """One name beneath *base*, which is seen only if all directories on the way are."""
        parent, seen = "", Seen.SHOWN
        for name in path.split("/"):
            beneath = f"{parent}/{name}" if parent else name
            before = known.get(beneath)
            if before is None:
                directory = "/".join(filter(None, (base, parent)))
                before = known[beneath] = self._look_in(root, directory, name)
            parent, seen = beneath, before
            if seen is not Seen.SHOWN:
                break
        return seen

    def _look_in(self, root: ShareRoot, directory: str, name: str) -> Seen:
        try:
            fd = root.open_directory(directory)
        except PathNotFound:
            return Seen.GONE
        except OSError:
            return Seen.HIDDEN
        try:
            if self.shows(fd, name):
                return Seen.SHOWN
            os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return Seen.GONE
        except PermissionError:
            return Seen.HIDDEN
        finally:
            os.close(fd)
        return Seen.HIDDEN

    def _may_read(self, found: acl.Opened) -> bool:
        sd = acl.descriptor(found, self._domain, self._keep)
        return access.maximum(sd, self._token) & READABLE == READABLE


def sight(tree: TreeConnect) -> Sight | None:
    """What the user of *tree* sees of its share; None if that is everything."""
    share = tree.share
    if not share.hide_unreadable or tree.the_token.privileged:
        return None
    return Sight(tree.the_token, tree.session.domain, share.acl_xattr)


def _subject(changes: Sequence[Change], number: int) -> Change:
    """The change whose name is to be asked of: who sees a renamed file now, saw it before."""
    change, *following = changes[number : number + 2]
    if change.action == ACTION_RENAMED_OLD_NAME and following:
        return following[0] if following[0].action == ACTION_RENAMED_NEW_NAME else change
    return change


def _path(change: Change) -> str:
    """The file of a change, with '/' between; a stream is as visible as its file."""
    name = change.name.rpartition(":")[0] if change.action in OF_STREAMS else change.name
    return name.replace("\\", "/")
