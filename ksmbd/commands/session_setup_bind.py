"""SESSION_SETUP that binds a session to one more connection, [MS-SMB2] 3.3.5.5 and 3.3.5.5.3.

The new channel has a signing key of its own, from the log-on that made it; everything else is
the session's: its user, its encryption keys, its trees and opens.
"""

from __future__ import annotations

from ksmbd.crypto import kdf, preauth
from ksmbd.crypto.signing import Signer
from ksmbd.state.binding import PreauthSession, begin, forget
from ksmbd.state.connection import Connection
from ksmbd.state.logon import LoggedOn, refuse
from ksmbd.state.session import Session, SessionState
from ksmbd.state.work import Reply, Work
from ksmbd.wire.header import SIGNED
from ksmbd.wire.negotiate import AES_GMAC, SMB_3_0, SMB_3_1_1
from ksmbd.wire.session_setup import ENCRYPT_DATA, SessionSetupResponse
from ksmbd.wire.status import NtStatus, NtStatusError


def bind(work: Work, token: memoryview) -> Reply:
    """Take one token of a binding.

    MORE_PROCESSING_REQUIRED    go on
    USER_SESSION_DELETED        there is no such session
    ACCESS_DENIED               not signed with the session's key; another user
    REQUEST_OUT_OF_SEQUENCE     the session signs with AES-GMAC, this connection does not
    NOT_SUPPORTED               the other way round; guests and anonymous users
    REQUEST_NOT_ACCEPTED        no 3.x dialect, multichannel is off, the connection has the
                                session already, its log-on is not over, too many log-ons
    INVALID_PARAMETER           unsigned; another dialect or cipher than the session's
    NETWORK_SESSION_EXPIRED     its credentials have expired
    INSUFFICIENT_RESOURCES      it has 32 channels
    LOGON_FAILURE               and the like: see :meth:`ksmbd.state.logon.Logon.step`
    """
    session = work.server.sessions.get(work.header.session_id)
    if session is None:
        raise work.no_session("nothing to bind to")
    verify(work, session)
    _require_the_same(work.connection, session)
    _require_bindable(work, session)
    binding = begin(session, work.connection)
    with binding.setup_lock:
        try:
            return _step(work, binding, token)
        except NtStatusError as refused:
            forget(binding, work.connection)
            refuse(work, refused, binding.logon)
            raise


def verify(work: Work, session: Session) -> None:
    """3.3.5.2.4 where the connection has no channel of the session yet: by Session.SigningKey.

    The reply is signed likewise, whatever it says; only who knows the key gets it signed.

    ACCESS_DENIED   the signature is wrong
    """
    signer = session.signer
    if signer is None or not work.header.flags & SIGNED or work.request_signed:
        return
    if not signer.verify(work.message, work.header.message_id):
        raise NtStatusError(NtStatus.ACCESS_DENIED, "not signed with the session's key")
    work.signer = signer
    work.request_signed = True


def _require_the_same(connection: Connection, session: Session) -> None:
    """What both connections must have in common.

    The order and the statuses that [MS-SMB2] does not name are those of Windows:
    smbtorture's smb2.session.bind_negative_*.  So is that the ClientGuid may differ.
    """
    first = session.connection
    ours, its = connection.signing_algorithm_id, first.signing_algorithm_id
    if ours != its and its == AES_GMAC:
        raise NtStatusError(NtStatus.REQUEST_OUT_OF_SEQUENCE, "the session signs with AES-GMAC")
    if ours != its and ours == AES_GMAC:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "the session does not sign with AES-GMAC")
    if connection.dialect < SMB_3_0 or not connection.server.settings.multichannel:
        raise NtStatusError(NtStatus.REQUEST_NOT_ACCEPTED, "no multichannel")
    if connection.dialect != first.dialect:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "another dialect")
    if connection.cipher_id != first.cipher_id:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "another cipher")


def _require_bindable(work: Work, session: Session) -> None:
    """What the session must be like."""
    if not work.header.flags & SIGNED:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "an unsigned binding")
    if session.state == SessionState.IN_PROGRESS:
        raise NtStatusError(NtStatus.REQUEST_NOT_ACCEPTED, "its log-on is not over")
    if session.expired(work.server.clock()):
        raise NtStatusError(NtStatus.NETWORK_SESSION_EXPIRED, f"session {session.session_id:#x}")
    if session.is_guest or session.is_anonymous:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "a session without a user")
    if session.session_id in work.connection.sessions:
        raise NtStatusError(NtStatus.REQUEST_NOT_ACCEPTED, "bound already")
    session.require_room()


def _step(work: Work, binding: PreauthSession, token: memoryview) -> Reply:
    hashing = work.connection.dialect == SMB_3_1_1
    if hashing:
        binding.preauth_integrity_hash_value = preauth.extend(
            binding.preauth_integrity_hash_value, work.message
        )
    outcome = binding.logon.step(token)
    flags, status = 0, NtStatus.MORE_PROCESSING_REQUIRED
    if outcome.logged_on is not None:
        _add_channel(work, binding, outcome.logged_on)
        forget(binding, work.connection)
        if work.server.audit is not None:
            work.server.audit.logged_on(binding.session, work.connection.peer, "channel")
        flags = ENCRYPT_DATA if binding.session.encrypt_data else 0
        status = NtStatus.SUCCESS
    elif hashing:
        work.keep_preauth = binding
    response = SessionSetupResponse(session_flags=flags, security_buffer_length=len(outcome.token))
    return Reply(response, outcome.token, status)


def _add_channel(work: Work, binding: PreauthSession, who: LoggedOn) -> None:
    """The connection becomes one of the session's, 3.3.5.5.3."""
    connection, session = work.connection, binding.session
    if session.owner is None or not session.owner.same_user(who.identity):
        raise NtStatusError(NtStatus.ACCESS_DENIED, "a binding by somebody else")
    if not who.identity.can_sign:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "a log-on that leaves no key")
    transcript = binding.preauth_integrity_hash_value
    key = kdf.signing_key(connection.dialect, who.identity.session_key, transcript)
    signer = Signer(connection.signing_algorithm_id, key)
    session.add_channel(connection, signer)
    if not connection.add_session(session):
        if session.remove_channel(connection):
            work.server.end_session(session)
        raise NtStatusError(NtStatus.USER_SESSION_DELETED, "the connection is lost")
    if session.ended:  # while it was put into the table
        connection.remove_session(session)
        raise NtStatusError(NtStatus.USER_SESSION_DELETED, "ended meanwhile")
    connection.mark_authenticated()
    work.signer = signer
