"""SET_INFO of the security descriptor, [MS-SMB2] 3.3.5.21.3."""

from __future__ import annotations

from typing import Final

from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.vfs import acl
from ksmbd.wire.access import ACCESS_SYSTEM_SECURITY, WRITE_DAC, WRITE_OWNER
from ksmbd.wire.base import WireError
from ksmbd.wire.query_info import (
    DACL_SECURITY_INFORMATION,
    GROUP_SECURITY_INFORMATION,
    LABEL_SECURITY_INFORMATION,
    OWNER_SECURITY_INFORMATION,
    PROTECTED_DACL_SECURITY_INFORMATION,
    SACL_SECURITY_INFORMATION,
    UNPROTECTED_DACL_SECURITY_INFORMATION,
)
from ksmbd.wire.security import SecurityDescriptor
from ksmbd.wire.set_info import SetInfoRequest
from ksmbd.wire.status import NtStatus, NtStatusError

# What a part of the descriptor needs to have been granted.
_NEEDS: Final = (
    (OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION, WRITE_OWNER),
    (LABEL_SECURITY_INFORMATION, WRITE_OWNER),
    (
        DACL_SECURITY_INFORMATION
        | PROTECTED_DACL_SECURITY_INFORMATION
        | UNPROTECTED_DACL_SECURITY_INFORMATION,
        WRITE_DAC,
    ),
    (SACL_SECURITY_INFORMATION, ACCESS_SYSTEM_SECURITY),
)


def set_security(work: Work, open: Open, req: SetInfoRequest, data: memoryview) -> None:
    """Replace the parts that AdditionalInformation names.

    ACCESS_DENIED            a part's right was not granted, or the kernel refuses the owner
    INVALID_SECURITY_DESCR   malformed
    INVALID_OWNER            an owner nobody here has, or may give
    """
    open.tree.require_writable()
    for bits, access in _NEEDS:
        if req.additional_information & bits:
            open.require(access)
    try:
        sd = SecurityDescriptor.unpack(data)
    except WireError as malformed:
        raise NtStatusError(NtStatus.INVALID_SECURITY_DESCR, str(malformed)) from None
    tree = open.tree
    try:
        acl.store(
            open.file,
            sd,
            req.additional_information,
            work.server.domain,
            tree.share.acl_xattr,
            tree.the_token,
        )
    except acl.InvalidOwner as refused:
        raise NtStatusError(NtStatus.INVALID_OWNER, str(refused)) from None
