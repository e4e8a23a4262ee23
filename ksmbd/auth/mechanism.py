"""What every security mechanism offers, and what a log-on yields.

A mechanism object serves one log-on attempt: ``step`` takes the client's token and returns
ours until ``done``.  NTLMSSP is in ksmbd/auth/ntlmssp.py; another mechanism is another class
with the same face, offered to ksmbd/auth/spnego.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

from ksmbd.wire.base import Buffer
from ksmbd.wire.status import NtStatus, NtStatusError


class Account(Protocol):
    """What the caller's look-up returns; all but the hash is the caller's own business."""

    @property
    def nt_hash(self) -> bytes: ...


A = TypeVar("A", bound=Account)


class Refused(NamedTuple):
    """Whose log-on failed, for ``map to guest`` and for counting failures."""

    user: str
    domain: str
    workstation: str
    known: bool  # whether the account exists


Lookup = Callable[[str, str], A | None]  # (user, domain) as the client sent them
MapToGuest = Callable[[Refused], A | None]  # the account to use instead, or None to refuse


class LogonRefused(NtStatusError):
    """LOGON_FAILURE that names whom it refused."""

    def __init__(self, refused: Refused) -> None:
        why = "wrong password" if refused.known else "unknown user"
        super().__init__(NtStatus.LOGON_FAILURE, f"{refused.domain}\\{refused.user}: {why}")
        self.refused = refused


class Result(NamedTuple, Generic[A]):
    """A successful log-on."""

    user: str
    domain: str
    workstation: str
    account: A | None  # None only if anonymous
    session_key: bytes  # whole, as the mechanism made it; 16 zero bytes for a guest
    guest: bool = False  # let in by map_to_guest
    anonymous: bool = False

    @property
    def proven(self) -> bool:
        """Whether the client showed that it knows a secret."""
        return not (self.guest or self.anonymous)


class Step(NamedTuple, Generic[A]):
    """The outcome of one token."""

    reply: bytes
    done: bool
    result: Result[A] | None = None  # set with done


class Mechanism(Protocol[A]):
    """One log-on attempt under one mechanism."""

    def step(self, token: Buffer) -> Step[A]:
        """Take the client's next token.

        INVALID_PARAMETER  the token is malformed or out of turn
        LOGON_FAILURE      the client is not who it says it is
        NOT_SUPPORTED      a first token cannot be used here; another mechanism may be tried
        """
        ...

    @property
    def integrity(self) -> bool:
        """Whether mechListMIC can be made and demanded; asked once done."""
        ...

    def mic(self, data: bytes) -> bytes | None:
        """GSS_GetMIC of *data*; None if the mechanism negotiated no signatures at all."""
        ...

    def verify(self, data: bytes, mic: bytes) -> bool:
        """GSS_VerifyMIC."""
        ...
