"""Kerberos as a mechanism of SPNEGO, RFC 4121 and [MS-KILE]: one token there, one back.

The keytab and the library live in mountd; here the client's token is handed over and the
verdict turned into a log-on.  AP-REQ in, AP-REP out: mutual authentication takes no third leg.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple

from ksmbd.auth.mechanism import A, Result, Step
from ksmbd.wire.base import Buffer
from ksmbd.wire.status import NtStatus, NtStatusError


class Verdict(NamedTuple, Generic[A]):
    """What mountd found in a ticket."""

    account: A | None  # None: refused
    user: str
    session_key: bytes  # the subkey, whole: 16 or 32 bytes
    token: bytes  # for the client
    expiry: int  # seconds since 1970; 0: unknown
    clocks: bool = False  # refused because a clock is wrong


class KerberosAcceptor(Generic[A]):
    """One Kerberos log-on attempt."""

    def __init__(self, accept: Callable[[bytes], Verdict[A]]) -> None:
        self._accept = accept
        self.expiry = 0  # when the ticket ends, once done

    def step(self, token: Buffer) -> Step[A]:
        """Take the AP-REQ.

        LOGON_FAILURE           the ticket is refused: another service's, expired, not AES
        TIME_DIFFERENCE_AT_DC   the client's clock, the KDC's or ours is wrong
        """
        verdict = self._accept(bytes(token))
        if verdict.clocks:
            raise NtStatusError(NtStatus.TIME_DIFFERENCE_AT_DC, "Kerberos: clocks are apart")
        if verdict.account is None:
            raise NtStatusError(NtStatus.LOGON_FAILURE, "Kerberos: the ticket is refused")
        self.expiry = verdict.expiry
        result = Result(verdict.user, "", "", verdict.account, verdict.session_key)
        return Step(verdict.token, True, result)

    @property
    def integrity(self) -> bool:
        """Kerberos is offered first: nothing is reselected, and no mechListMIC is due."""
        return False

    def mic(self, data: bytes) -> bytes | None:
        return None

    def verify(self, data: bytes, mic: bytes) -> bool:
        return False
