"""One log-on attempt: the mechanisms, the accounts behind them, and what comes of it.

The proofs are ``ksmbd/auth``'s, the accounts mountd's; here they meet.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from ksmbd.auth.identity import Identity
from ksmbd.auth.kerberos import KerberosAcceptor, Verdict
from ksmbd.auth.mechanism import LogonRefused, Refused, Result
from ksmbd.auth.ntlmssp import NtlmAcceptor, Target
from ksmbd.auth.spnego import Acceptor, Offer
from ksmbd.ipc.requests import LoginReply
from ksmbd.state import tally
from ksmbd.state.wait import Event, Wait
from ksmbd.wire.base import Buffer
from ksmbd.wire.ipc import USER_BAD_PASSWORD, USER_CLOCK_SKEW, USER_GUEST, USER_HOST_DENIED, USER_OK
from ksmbd.wire.marked import Account
from ksmbd.wire.spnego import KERBEROS, MS_KERBEROS, NTLMSSP
from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.state.server import Server
    from ksmbd.state.work import Work

log = logging.getLogger("ksmbd.auth")

# What metrics call a refusal that comes from neither a password nor an unknown name.
REASONS: Final[dict[NtStatus, str]] = {
    NtStatus.ACCESS_DENIED: "not admitted",  # from that host, or anonymously
    NtStatus.INVALID_PARAMETER: "malformed",
    NtStatus.NO_LOGON_SERVERS: "no mountd",
    NtStatus.TIME_DIFFERENCE_AT_DC: "clock skew",
}
OTHER_REASON: Final = "refused"  # a ticket, a signature, or NTLM without version 2


class LogonFailed(NtStatusError):
    """Refused, to be answered after ``delay_s`` seconds: guessing passwords must not be fast."""

    def __init__(self, status: NtStatus, why: str, delay_s: float) -> None:
        super().__init__(status, why)
        self.delay_s = delay_s


def refuse(work: Work, refused: NtStatusError, logon: Logon | None = None) -> None:
    """A log-on has failed: have it recorded, and perhaps answered later.

    Raises Wait then; ``work.memo`` is the answer.
    """
    audit = work.server.audit
    if audit is not None:
        audit.logon_refused(logon.user if logon is not None else "", work.connection.peer, refused)
    if isinstance(refused, LogonFailed) and refused.delay_s:
        work.memo = NtStatusError(refused.status, refused.why)
        raise Wait(Event(), timeout_s=refused.delay_s, cancellable=False, interim=False)


class LoggedOn(NamedTuple):
    """Who it is."""

    identity: Identity
    login: LoginReply
    expiry: int = 0  # seconds since 1970 at which the credentials end; 0: never


class Outcome(NamedTuple):
    """What one token led to; without ``logged_on`` the client must go on."""

    token: bytes
    logged_on: LoggedOn | None


def _admitted(login: LoginReply) -> LoginReply:
    if login.status & USER_HOST_DENIED:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "hosts allow, hosts deny")
    return login


class Logon:
    """The server's side of one exchange of SESSION_SETUPs."""

    def __init__(self, server: Server, peer: str) -> None:
        """*peer* is the client's address."""
        self._server = server
        self._peer = peer
        self._login: LoginReply | None = None  # mountd's last word on the user who tries
        self.user = ""  # whom the client has said it is, if it has
        self._counted = False  # mountd knows that the password was wrong
        self._kerberos: KerberosAcceptor[LoginReply] | None = None
        offers: list[Offer[LoginReply]] = [Offer((NTLMSSP,), self._ntlm)]
        if server.settings.kerberos:
            offers.insert(0, Offer((MS_KERBEROS, KERBEROS), self._krb5))
        self._acceptor = Acceptor(offers)

    def step(self, token: Buffer) -> Outcome:
        """Take the client's next token.

        LOGON_FAILURE       unknown user, wrong password, no guests allowed (LogonFailed)
        INVALID_PARAMETER   a malformed token, or one out of turn
        ACCESS_DENIED       the server's ``hosts allow`` and ``hosts deny`` keep the client out;
                            nobody may be anonymous
        NO_LOGON_SERVERS    mountd is away
        """
        counts = self._server.tally
        try:
            step = self._acceptor.step(token)
            who = self._identify(step.result) if step.result is not None else None
        except LogonRefused as refused:
            raise self._failed(refused.refused, str(refused)) from None
        except NtStatusError as refused:
            counts.count(tally.Event.LOG_ON_FAILED, REASONS.get(refused.status, OTHER_REASON))
            raise
        if who is not None:
            counts.count(tally.Event.LOGGED_ON)
        return Outcome(step.reply, who)

    def _ntlm(self) -> NtlmAcceptor[LoginReply]:
        server = self._server
        name = server.settings.netbios_name.upper()
        target = Target(name, name, name.lower(), "")
        return NtlmAcceptor(
            target,
            self._look_up,
            clock=lambda: int(server.clock() * 1e9),
            random=server.random,
            map_to_guest=self._map_to_guest,
        )

    def _krb5(self) -> KerberosAcceptor[LoginReply]:
        self._kerberos = KerberosAcceptor(self._ask_kerberos)
        return self._kerberos

    def _ask_kerberos(self, blob: bytes) -> Verdict[LoginReply]:
        reply = self._server.mountd.spnego_authen(blob, self._peer)
        self.user = reply.login.account
        login = _admitted(reply.login)
        account = login if login.ok else None
        clocks = bool(login.status & USER_CLOCK_SKEW)
        key, token = reply.session_key, reply.token
        return Verdict(account, login.account, key, token, reply.expiry, clocks)

    def _look_up(self, user: str, _domain: str) -> LoginReply | None:
        """A guest's reply has no hash: no proof holds against it, and ``_map_to_guest`` decides."""
        self.user = user
        self._login = self._ask(user)
        return self._login if self._login.ok else None

    def _ask(self, user: str) -> LoginReply:
        return _admitted(self._server.mountd.login(user, self._peer))

    def _map_to_guest(self, refused: Refused) -> LoginReply | None:
        """``map to guest``: mountd has said already that an unknown user is one."""
        login = self._login
        if login is not None and login.ok and login.guest:
            return login
        if self._server.settings.wrong_password_is_guest:
            self._count(refused)
            login = self._ask("")
            if login.ok and login.guest:
                return login
        return None

    def _identify(self, result: Result[LoginReply]) -> LoggedOn:
        if result.anonymous:
            return self._anonymous(result)
        login = result.account
        if login is None:
            raise NtStatusError(NtStatus.LOGON_FAILURE, f"no account for {result.user}")
        guest = result.guest or login.guest_after_proof
        identity = _identity(login, result, guest=guest)
        if guest:
            log.info("%s\\%s is a guest", result.domain, result.user)
            login = login._replace(status=login.status | USER_GUEST)
        return LoggedOn(identity, login, self._kerberos.expiry if self._kerberos else 0)

    def _anonymous(self, result: Result[LoginReply]) -> LoggedOn:
        login = self._ask("")
        if not login.status & USER_OK:
            raise NtStatusError(NtStatus.ACCESS_DENIED, "no anonymous log-on")
        identity = _identity(login, result, anonymous=True)
        return LoggedOn(identity, login._replace(status=login.status | USER_GUEST))

    def _failed(self, refused: Refused, why: str) -> LogonFailed:
        """mountd has said how long the answer is held back."""
        self._count(refused)
        delay = self._login.delay_s if self._login is not None else 0.0
        reason = "wrong password" if refused.known else "unknown user"
        if self._login is not None and self._login.unheard:
            reason = "too many tries"
            why = f"{refused.user}: not looked at, after too many wrong passwords"
        log.info("%s: log-on refused: %s", self._peer, why, extra={Account.FIELD: refused.user})
        self._server.tally.count(tally.Event.LOG_ON_FAILED, reason)
        return LogonFailed(NtStatus.LOGON_FAILURE, why, delay)

    def _count(self, refused: Refused) -> None:
        """Tell mountd of a wrong password, once, and only if it was looked at."""
        if not self._counted and not (self._login is not None and self._login.unheard):
            self._server.mountd.logout(refused.user, USER_BAD_PASSWORD, self._peer)
        self._counted = True


def _identity(
    login: LoginReply, result: Result[LoginReply], *, guest: bool = False, anonymous: bool = False
) -> Identity:
    """Who has proved himself, or need not."""
    return Identity(
        account=login.account,
        domain=result.domain,
        uid=login.uid,
        gid=login.gid,
        groups=login.groups,
        guest=guest,
        anonymous=anonymous,
        workstation=result.workstation,
        session_key=result.session_key,
    )
