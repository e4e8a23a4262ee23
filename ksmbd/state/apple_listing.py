"""Directory entries as Apple's clients want them once AAPL's READ_DIR_ATTR was agreed on.

Each entry of FileIdBothDirectoryInformation tells in fields that it has besides what a Mac would
open each file for: what its user may do with it, how large its resource fork is, the Finder's
information and the Unix mode.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from ksmbd.state.rights import Descriptor
from ksmbd.vfs import access, acl, afp_info
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
        self._directory = open.file

    def add(self, listing: Listing, entry: DirEntry) -> bool:
        """As ``Listing.add``."""
        # what lies above the directory may be none of the client's business
        name = "." if entry.name == ".." else entry.name
        directory = self._directory
        found = afp_info.summary(directory.root, directory.fd, name, entry.stat)
        return listing.add_aapl(
            entry.name,
            entry.stat,
            max_access=self._maximal(name),
            resource_size=found.resource_size,
            finder_info=found.finder_info,
        )

    def _maximal(self, name: str) -> int:
        """Everything the tree's user could ask for; nothing of a file that cannot be reached."""
        tree = self._tree
        if tree.the_token.privileged:
            return FILE_ALL_ACCESS & tree.maximal_access
        try:
            fd = os.open(name, O_PATH | os.O_NOFOLLOW, dir_fd=self._directory.fd)
        except OSError:
            return 0
        try:
            sd = self._descriptor(fd)
        finally:
            os.close(fd)
        return access.maximum(sd, tree.the_token, lambda: self._parent) & tree.maximal_access

    @cached_property
    def _parent(self) -> SecurityDescriptor:
        return self._descriptor(self._directory.fd)

    def _descriptor(self, fd: int) -> SecurityDescriptor:
        tree = self._tree
        return acl.descriptor(Descriptor(fd), tree.session.domain, tree.share.acl_xattr)
