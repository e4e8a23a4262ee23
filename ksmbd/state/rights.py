"""What a tree's user may do with a file: the descriptor on disk, asked with the tree's token."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ksmbd.state import audit
from ksmbd.vfs import access, acl, credentials
from ksmbd.vfs.xattr import proc_path
from ksmbd.wire.access import (
    FILE_ALL_ACCESS,
    FILE_APPEND_DATA,
    FILE_EXECUTE,
    FILE_READ_DATA,
    FILE_READ_EA,
    FILE_WRITE_DATA,
    FILE_WRITE_EA,
    MAXIMUM_ALLOWED,
)
from ksmbd.wire.security import (
    OWNER_SECURITY_INFORMATION,
    SELF_RELATIVE,
    Acl,
    SecurityDescriptor,
    Sid,
)
from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.state.open import Open
    from ksmbd.state.tree import TreeConnect
    from ksmbd.vfs.entry import Entry
    from ksmbd.vfs.root import ShareRoot


# What the kernel judges by r and by w of the file itself
_READS: Final = FILE_READ_DATA | FILE_READ_EA | FILE_EXECUTE
_WRITES: Final = FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_WRITE_EA


class Descriptor:
    """A descriptor's face towards ``acl``, which looks at ``fd`` alone."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd


def identity_of(fd: int) -> tuple[int, int]:
    """The inode table's key of what a descriptor refers to."""
    st = os.fstat(fd)
    return st.st_dev, st.st_ino


def _parent(tree: TreeConnect, root: ShareRoot, path: str) -> SecurityDescriptor | None:
    """The parent directory's descriptor; the share's root has no parent that matters."""
    if not path:
        return None
    fd = root.open_directory(path.rpartition("/")[0])
    try:
        return acl.descriptor(Descriptor(fd), tree.session.domain, tree.share.acl_xattr)
    finally:
        os.close(fd)


def granted(
    tree: TreeConnect,
    entry: Entry,
    desired: int,
    besides: int,
    decided: Callable[[audit.Decision], None] = audit.record,
) -> int:
    """The access an open of an existing file is granted, [MS-FSA] 2.1.5.1.2.

    *besides* must be allowed too (the disposition needs it) without being granted.  *decided* is
    called either way if the file has a SACL: whoever may wait afterwards records it later.

    ACCESS_DENIED        the descriptor does not give it
    PRIVILEGE_NOT_HELD   ACCESS_SYSTEM_SECURITY without the privilege
    """
    if not tree.share.acl_xattr:  # a descriptor made of mode and POSIX ACL audits nothing
        return _granted(tree, entry, None, desired, besides)
    sd = acl.descriptor(entry, tree.session.domain, tree.share.acl_xattr, entry.stat)
    if sd.sacl is None:
        return _granted(tree, entry, sd, desired, besides)
    try:
        mask = _granted(tree, entry, sd, desired, besides)
    except (PermissionError, NtStatusError):
        decided(audit.Decision(tree, entry.path, sd.sacl, desired | besides, False))
        raise
    decided(audit.Decision(tree, entry.path, sd.sacl, mask | besides, True))
    return mask


def _granted(
    tree: TreeConnect, entry: Entry, sd: SecurityDescriptor | None, desired: int, besides: int
) -> int:
    """The same by *sd*, which is read if need be."""
    token = tree.the_token
    if token.privileged:
        wanted = desired & ~MAXIMUM_ALLOWED
        return wanted | FILE_ALL_ACCESS if desired & MAXIMUM_ALLOWED else wanted
    if sd is None:
        sd = acl.descriptor(entry, tree.session.domain, tree.share.acl_xattr, entry.stat)
    try:
        mask = access.granted(
            sd, token, desired | besides, lambda: _parent(tree, tree.root, entry.path)
        )
    except access.PrivilegeNotHeld as refused:
        raise NtStatusError(NtStatus.PRIVILEGE_NOT_HELD, str(refused)) from None
    if desired & MAXIMUM_ALLOWED:
        return mask
    return mask & ~(besides & ~desired)


def possible(entry: Entry, granted: int, named: int) -> int:
    """Of what MAXIMUM_ALLOWED has *granted*, what the kernel gives, too; and all that is *named*.

    A mode says less than a descriptor: who may have some of a file is not to be refused all of it.
    """
    path, beyond = proc_path(entry.fd), 0
    for kind, rights in ((os.R_OK, _READS), (os.W_OK, _WRITES)):
        if not os.access(path, kind, effective_ids=True):
            beyond |= rights
    return granted & (~beyond | named)


def maximal(tree: TreeConnect, open: Open) -> int:
    """MaximalAccess of MxAc: everything the tree's user could ask for."""
    token = tree.the_token
    if token.privileged:
        held = FILE_ALL_ACCESS
    else:
        sd = acl.descriptor(open.file, tree.session.domain, tree.share.acl_xattr)
        held = access.maximum(sd, token, lambda: _parent(tree, open.file.root, open.path))
    return held & tree.maximal_access


def require_in_parent(tree: TreeConnect, entry: Entry, right: int) -> None:
    """ACCESS_DENIED unless *right* is held in the directory in which *entry* is to be made.

    What the directory's audit ACEs want to hear of is the refusal: a file that is made has some
    of its own.
    """
    token = tree.the_token
    if token.privileged:
        return
    if entry.parent >= 0:
        sd = acl.descriptor(Descriptor(entry.parent), tree.session.domain, tree.share.acl_xattr)
    else:  # what is there is replaced; the share's root is nobody's entry
        above = _parent(tree, tree.root, entry.path)
        if above is None:
            return
        sd = above
    try:
        access.granted(sd, token, right)
    except PermissionError:
        if sd.sacl is not None:
            parent = entry.path.rpartition("/")[0]
            audit.record(audit.Decision(tree, parent, sd.sacl, right, False))
        raise


def give_to_new(
    tree: TreeConnect, open: Open, entry: Entry, explicit: SecurityDescriptor | None
) -> Acl | None:
    """Owner and descriptor of a file just made: asked for, inherited, or as the kernel made it.

    Returns its SACL, if it has one.
    """
    share = tree.share
    domain = tree.session.domain
    heir: Sid | None = None
    made: SecurityDescriptor | None = None
    if share.inherit_owner:
        heir = domain.uid_to_sid(os.fstat(entry.parent).st_uid)
    if explicit is not None or share.acl_xattr:
        made = acl.settle(
            open.file,
            Descriptor(entry.parent),
            tree.the_token,
            domain,
            share.acl_xattr,
            explicit,
            heir,
        )
    if heir is not None:  # which takes more than its maker may
        owned = SecurityDescriptor(SELF_RELATIVE, heir, None, None, None)
        with credentials.privileged():
            acl.store(open.file, owned, OWNER_SECURITY_INFORMATION, domain, share.acl_xattr)
    return made.sacl if made is not None else None
