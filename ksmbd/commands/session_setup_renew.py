"""Re-authentication: SESSION_SETUP of a session that is valid or has expired, [MS-SMB2] 3.3.5.5.3.

    owner --proves himself again--> owner       a new expiry, everything goes on
    owner --anonymous-------------> nobody      the session lives on with nobody's rights
    nobody --the owner------------> owner
    anything --anybody else, a wrong proof--> the session ends

Keys, opens and tree connects stay as they are.  What is open goes on with the access it was
granted; names are looked up only on tree connects of the user whom the session has now
(:meth:`TreeConnect.require_user`).
"""

from __future__ import annotations

from ksmbd.auth.identity import Identity
from ksmbd.state.identities import credentials_of, token_for
from ksmbd.state.logon import LoggedOn
from ksmbd.state.session import Session, SessionState
from ksmbd.state.work import Work
from ksmbd.wire.negotiate import SMB_3_0
from ksmbd.wire.status import NtStatus, NtStatusError


def require_renewable(work: Work, session: Session) -> None:
    """Look at the session before its user is asked for anything.

    ACCESS_DENIED         unsigned, where the session's requests are signed, 3.3.5.2.4
    USER_SESSION_DELETED  its encryption key is worn out: re-authentication keeps the keys
    """
    if session.signing_required and not work.request_signed and work.sealed is None:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "unsigned re-authentication")
    if session.sealer is not None and session.sealer.spent:
        work.server.end_session(session)
        raise NtStatusError(NtStatus.USER_SESSION_DELETED, "its encryption key is worn out")


def renew(work: Work, session: Session, who: LoggedOn) -> None:
    """Give the session the user *who* has proved to be, and the lifetime of that proof.

    ACCESS_DENIED   neither the user who logged on first nor nobody
    """
    session.identity = _now(session, who.identity)
    session.account_flags = who.login.status
    session.is_anonymous = session.identity.anonymous
    session.credentials = credentials_of(who.login)
    session.token = token_for(work.server, session, session.credentials)
    session.expiration_time = who.expiry or None
    session.state = SessionState.VALID
    if work.connection.dialect >= SMB_3_0 and session.identity.can_sign:
        work.signer = session.signer_on(work.connection)  # as that of a first log-on is


def _now(session: Session, proven: Identity) -> Identity:
    """Whom the session has from now on: the same object for the same user."""
    owner = session.owner
    if owner is not None and owner.same_user(proven):
        return owner
    if proven.anonymous:
        already = session.identity is not None and session.identity.same_user(proven)
        return session.identity if already and session.identity is not None else proven
    raise NtStatusError(NtStatus.ACCESS_DENIED, "re-authentication as somebody else")
