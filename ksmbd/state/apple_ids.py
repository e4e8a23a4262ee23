"""Which numbers Macs are told of files, and where the file of a number is: AAPL's RESOLVE_ID."""

from __future__ import annotations

import os
from itertools import accumulate
from typing import TYPE_CHECKING

from ksmbd.state.rights import Descriptor
from ksmbd.state.sight import sight
from ksmbd.vfs import access, acl
from ksmbd.vfs.file_ids import file_id, has_lasting_ids, search
from ksmbd.vfs.xattr import proc_path
from ksmbd.wire.access import FILE_LIST_DIRECTORY
from ksmbd.wire.create_context import AAPL_READ_DIR_ATTR

if TYPE_CHECKING:
    from ksmbd.state.open import Open
    from ksmbd.state.tree import TreeConnect
    from ksmbd.state.work import Work
    from ksmbd.vfs.stat import Stat


def number(open: Open, st: Stat) -> int:
    """The number of an open file, for its client: to Macs whose listings tell it one that lasts."""
    if open.session.aapl and tells_lasting(open):
        return file_id(open.file.fd, st.ino)
    return st.ino


def tells_lasting(open: Open) -> bool:
    """Whether the client of *open* hears of numbers that last, on this share, and nothing else."""
    return bool(open.session.aapl & AAPL_READ_DIR_ATTR) and open.tree.share.aapl


def resolves(tree: TreeConnect) -> bool:
    """Whether the share's files have numbers by which they can be found again."""
    return has_lasting_ids(tree.root.fd)


def path_of(work: Work, tree: TreeConnect, file: int) -> str | None:
    """Where in the share the file of that number is, as far as the tree's user can see it."""
    root = tree.root
    found = root.places.find(root, file)
    if found is not None and not _may_list_way(tree, found):
        return None  # somebody else has had it listed
    if found is None:
        found = search(root, file, lambda fd: _may_list(tree, fd), work.given_up)
    if found is None or not _shows(tree, found):
        return None
    root.places.remember(file, found)
    return found


def _may_list_way(tree: TreeConnect, path: str) -> bool:
    """Whether the user could find *path*: may list every directory that it leads through."""
    for parent in ("", *accumulate(path.split("/")[:-1], "{}/{}".format)):
        try:
            fd = tree.root.open_directory(parent)
        except OSError:
            return False
        try:
            if not (os.access(proc_path(fd), os.R_OK, effective_ids=True) and _may_list(tree, fd)):
                return False
        finally:
            os.close(fd)
    return True


def _may_list(tree: TreeConnect, fd: int) -> bool:
    token = tree.the_token
    if token.privileged:
        return True
    sd = acl.descriptor(Descriptor(fd), tree.session.domain, tree.share.acl_xattr)
    return bool(access.maximum(sd, token) & FILE_LIST_DIRECTORY)


def _shows(tree: TreeConnect, path: str) -> bool:
    seen = sight(tree)
    return seen is None or seen.shows_behind(tree.root, path)
