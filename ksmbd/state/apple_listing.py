"""Directory entries as Apple's clients want them once AAPL's READ_DIR_ATTR was agreed on.

Each entry of FileIdBothDirectoryInformation tells in fields that it has besides what a Mac would
open each file for: what its user may do with it, how large its resource fork is, the Finder's
information and the Unix mode.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from ksmbd.state import apple_ids
from ksmbd.state.rights import Descriptor
from ksmbd.vfs import access, acl, afp_info
from ksmbd.vfs.file_ids import file_id
from ksmbd.vfs.path import O_PATH
from ksmbd.wire.access import FILE_ALL_ACCESS

if TYPE_CHECKING:
    from ksmbd.state.open import Open
    from ksmbd.vfs.directory import DirEntry
    from ksmbd.wire.dir_info import Listing
    from ksmbd.wire.security import SecurityDescriptor


class AppleListing:
    """Adds entries of one open directory to a listing."""

    def __init__(self, open: Open) -> None:
        self._tree = open.tree
        self._lasting = apple_ids.tells_lasting(open)
        self._directory = open.file

    def add(self, listing: Listing, entry: DirEntry) -> bool:
        """As ``Listing.add``."""
        # what lies above the directory may be none of the client's business
        name = "." if entry.name == ".." else entry.name
        directory = self._directory
        found = afp_info.summary(directory.root, directory.fd, name, entry.stat)
        max_access, number = self._look(name, entry.stat.ino)
        return listing.add_aapl(
            entry.name,
            entry.stat,
            number=number,
            max_access=max_access,
            resource_size=found.resource_size,
            finder_info=found.finder_info,
        )

    def _look(self, name: str, ino: int) -> tuple[int, int]:
        """Everything the tree's user could ask for, and the file's number, which is remembered.

        No right, and the inode's number, of a file that cannot be reached.
        """
        try:
            fd = os.open(name, O_PATH | os.O_NOFOLLOW, dir_fd=self._directory.fd)
        except OSError:
            return 0, ino
        try:
            return self._maximal(fd), self._number(name, fd, ino)
        finally:
            os.close(fd)

    def _maximal(self, fd: int) -> int:
        tree = self._tree
        if tree.the_token.privileged:
            return FILE_ALL_ACCESS & tree.maximal_access
        sd = self._descriptor(fd)
        return access.maximum(sd, tree.the_token, lambda: self._parent) & tree.maximal_access

    def _number(self, name: str, fd: int, ino: int) -> int:
        if not self._lasting:
            return ino
        number = file_id(fd, ino)
        if name != ".":
            directory = self._directory
            path = f"{directory.path}/{name}" if directory.path else name
            directory.root.places.remember(number, path)
        return number

    @cached_property
    def _parent(self) -> SecurityDescriptor:
        return self._descriptor(self._directory.fd)

    def _descriptor(self, fd: int) -> SecurityDescriptor:
        tree = self._tree
        return acl.descriptor(Descriptor(fd), tree.session.domain, tree.share.acl_xattr)
