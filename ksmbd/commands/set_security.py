"""SET_INFO of the security descriptor, [MS-SMB2] 3.3.5.21.3."""

from __future__ import annotations

from typing import Final

from ksmbd.state import nfs_aces
from ksmbd.state.open import Open
from ksmbd.state.tree import TreeConnect
from ksmbd.state.work import Work
from ksmbd.vfs import acl, credentials
from ksmbd.wire.access import ACCESS_SYSTEM_SECURITY, WRITE_DAC, WRITE_OWNER
from ksmbd.wire.base import Buffer, WireError
from ksmbd.wire.change_notify import CHANGE_SECURITY
from ksmbd.wire.security import (
    ATTRIBUTE_SECURITY_INFORMATION,
    BACKUP_SECURITY_INFORMATION,
    DACL_SECURITY_INFORMATION,
    GROUP_SECURITY_INFORMATION,
    LABEL_SECURITY_INFORMATION,
    OWNER_SECURITY_INFORMATION,
    PROTECTED_DACL_SECURITY_INFORMATION,
    PROTECTED_SACL_SECURITY_INFORMATION,
    SACL_SECURITY_INFORMATION,
    SCOPE_SECURITY_INFORMATION,
    UNPROTECTED_DACL_SECURITY_INFORMATION,
    UNPROTECTED_SACL_SECURITY_INFORMATION,
    SecurityDescriptor,
)
from ksmbd.wire.set_info import SetInfoRequest
from ksmbd.wire.status import NtStatus, NtStatusError

_GIVES_GROUP: Final = GROUP_SECURITY_INFORMATION | BACKUP_SECURITY_INFORMATION
# What a part of the descriptor needs to have been granted, [MS-SMB2] 3.3.5.21.3.
_NEEDS: Final = (
    (
        OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | LABEL_SECURITY_INFORMATION,
        WRITE_OWNER,
    ),
    (
        DACL_SECURITY_INFORMATION
        | ATTRIBUTE_SECURITY_INFORMATION
        | PROTECTED_DACL_SECURITY_INFORMATION
        | UNPROTECTED_DACL_SECURITY_INFORMATION,
        WRITE_DAC,
    ),
    (
        SACL_SECURITY_INFORMATION
        | SCOPE_SECURITY_INFORMATION
        | PROTECTED_SACL_SECURITY_INFORMATION
        | UNPROTECTED_SACL_SECURITY_INFORMATION,
        ACCESS_SYSTEM_SECURITY,
    ),
)


def set_security(work: Work, open: Open, req: SetInfoRequest, data: memoryview) -> None:
    """Replace the parts that AdditionalInformation names.

    MEDIA_WRITE_PROTECTED    a previous version
    ACCESS_DENIED            a part's right was not granted, or the kernel refuses the owner
    INVALID_SECURITY_DESCR   malformed
    INVALID_OWNER            an owner nobody here has, or may give
    """
    open.require_writable()
    wanted = req.additional_information
    for access in access_to_write(wanted):
        open.require(access)
    if wanted & DACL_SECURITY_INFORMATION and nfs_aces.agreed(open):
        _set_for_mac(open, data, wanted)
    else:
        store(open.tree, open.file, data, wanted)
    work.server.notify.modified(open.file, CHANGE_SECURITY)


def access_to_write(wanted: int) -> tuple[int, ...]:
    """The rights that setting the parts *wanted* takes."""
    every = BACKUP_SECURITY_INFORMATION
    return tuple(access for bits, access in _NEEDS if wanted & (bits | every))


def store(tree: TreeConnect, file: acl.Opened, data: Buffer, wanted: int) -> None:
    """Set the parts *wanted* of *data* on a file, whose access has been checked.

    INVALID_SECURITY_DESCR   malformed
    INVALID_OWNER            an owner nobody here has, or may give
    """
    _set(tree, file, _unpacked(data), wanted)


def _unpacked(data: Buffer) -> SecurityDescriptor:
    try:
        return SecurityDescriptor.unpack(data)
    except WireError as malformed:
        raise NtStatusError(NtStatus.INVALID_SECURITY_DESCR, str(malformed)) from None


def _set(tree: TreeConnect, file: acl.Opened, sd: SecurityDescriptor, wanted: int) -> None:
    try:
        _store(tree, file, sd, wanted)
    except acl.InvalidOwner as refused:
        raise NtStatusError(NtStatus.INVALID_OWNER, str(refused)) from None


def _set_for_mac(open: Open, data: Buffer, wanted: int) -> None:
    """Set what has changed: the list, or the mode that an entry of it carries; the mode last."""
    wish = nfs_aces.wish(open, _unpacked(data), wanted)
    if wish.wanted:
        _set(open.tree, open.file, wish.sd, wish.wanted)
    if wish.mode is None:
        return
    try:
        open.file.set_mode(wish.mode)
    except PermissionError:
        if not open.tree.share.acl_xattr:  # else the stored descriptor has granted WRITE_DAC
            raise
        with credentials.privileged():
            open.file.set_mode(wish.mode)


def _store(tree: TreeConnect, file: acl.Opened, sd: SecurityDescriptor, wanted: int) -> None:
    """Store as the user; where only a file's owner may, the stored descriptor's word counts too.

    The access check has found it to grant WRITE_DAC or WRITE_OWNER.  A group that is not the
    user's is left to the kernel, for a file of that group may give its rights away.
    """
    token, domain, keep = tree.the_token, tree.session.domain, tree.share.acl_xattr
    try:
        acl.store(file, sd, wanted, domain, keep, token)
    except acl.InvalidOwner:
        raise
    except PermissionError:
        gives_group = wanted & _GIVES_GROUP and sd.group is not None
        if not keep or (gives_group and sd.group not in token.sids):
            raise
        with credentials.privileged():
            acl.store(file, sd, wanted, domain, keep, token)
