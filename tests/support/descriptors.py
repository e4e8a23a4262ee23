"""Security descriptors and their ACEs, in as few words as tests can say them."""

from __future__ import annotations

from ksmbd.wire.query_info import INFO_SECURITY
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    ACCESS_DENIED,
    DACL_PRESENT,
    DACL_SECURITY_INFORMATION,
    SELF_RELATIVE,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File


def allow(sid: Sid, mask: int, flags: int = 0) -> Ace:
    return Ace(ACCESS_ALLOWED, flags, mask, sid)


def deny(sid: Sid, mask: int, flags: int = 0) -> Ace:
    return Ace(ACCESS_DENIED, flags, mask, sid)


def with_dacl(
    *aces: Ace, owner: Sid | None = None, group: Sid | None = None, control: int = 0
) -> SecurityDescriptor:
    """One of these ACEs; *control* are flags besides those it has anyhow."""
    control |= SELF_RELATIVE | DACL_PRESENT
    return SecurityDescriptor(control, owner, group, None, Acl(aces))


def set_dacl(client: Client, file: File, *aces: Ace) -> None:
    """Have the server store them, as Explorer does."""
    frame = file.frames.set_info(
        0,
        with_dacl(*aces).pack(),
        info_type=INFO_SECURITY,
        additional_information=DACL_SECURITY_INFORMATION,
    )
    assert client.status(frame) is NtStatus.SUCCESS
