"""QUERY_INFO of the security descriptor, [MS-SMB2] 3.3.5.20.3."""

from __future__ import annotations

from typing import Final

from ksmbd.state import nfs_aces
from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.vfs import acl
from ksmbd.wire.access import ACCESS_SYSTEM_SECURITY, READ_CONTROL
from ksmbd.wire.base import Buffer
from ksmbd.wire.query_info import QueryInfoRequest
from ksmbd.wire.security import (
    ATTRIBUTE_SECURITY_INFORMATION,
    BACKUP_SECURITY_INFORMATION,
    DACL_SECURITY_INFORMATION,
    GROUP_SECURITY_INFORMATION,
    LABEL_SECURITY_INFORMATION,
    OWNER_SECURITY_INFORMATION,
    SACL_SECURITY_INFORMATION,
    SCOPE_SECURITY_INFORMATION,
)
from ksmbd.wire.status import NtStatus, NtStatusError

_NEEDS_READ_CONTROL: Final = (
    OWNER_SECURITY_INFORMATION
    | GROUP_SECURITY_INFORMATION
    | DACL_SECURITY_INFORMATION
    | LABEL_SECURITY_INFORMATION
    | ATTRIBUTE_SECURITY_INFORMATION
    | SCOPE_SECURITY_INFORMATION
    | BACKUP_SECURITY_INFORMATION
)
_NEEDS_PRIVILEGE: Final = SACL_SECURITY_INFORMATION | BACKUP_SECURITY_INFORMATION


def query_security(work: Work, open: Open, req: QueryInfoRequest) -> tuple[Buffer, NtStatus]:
    """The parts of the descriptor that AdditionalInformation asks for; an empty one for none.

    ACCESS_DENIED            without READ_CONTROL, or ACCESS_SYSTEM_SECURITY for the SACL
    NOT_SUPPORTED            a pipe
    BUFFER_TOO_SMALL         it does not fit; ErrorData says what it needs
    """
    if open.pipe is not None:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "a pipe has no descriptor")
    wanted = req.additional_information
    for access in access_to_read(wanted):
        open.require(access)
    sd = acl.descriptor(open.file, open.tree.session.domain, open.tree.share.acl_xattr)
    if wanted & DACL_SECURITY_INFORMATION and nfs_aces.agreed(open):
        sd = nfs_aces.told(sd, open.file.stat())
    data = acl.select(sd, wanted).pack()
    if len(data) > req.output_buffer_length:
        raise NtStatusError(
            NtStatus.BUFFER_TOO_SMALL, f"{len(data)} bytes", len(data).to_bytes(4, "little")
        )
    return data, NtStatus.SUCCESS


def access_to_read(wanted: int) -> tuple[int, ...]:
    """The rights that telling the parts *wanted* takes."""
    needs = ((_NEEDS_PRIVILEGE, ACCESS_SYSTEM_SECURITY), (_NEEDS_READ_CONTROL, READ_CONTROL))
    return tuple(access for bits, access in needs if wanted & bits)
