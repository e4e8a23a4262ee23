"""SMB2 SESSION_SETUP, [MS-SMB2] 3.3.5.5: log on, go on logging on, log on again."""

from __future__ import annotations

from ksmbd.auth.identity import Identity
from ksmbd.commands.session_setup_bind import bind, verify
from ksmbd.commands.session_setup_renew import renew, require_renewable
from ksmbd.crypto import kdf, preauth
from ksmbd.crypto.sealing import Sealer, Unsealer
from ksmbd.crypto.signing import Signer
from ksmbd.state.connection import Connection
from ksmbd.state.identities import credentials_of, token_for
from ksmbd.state.logon import LoggedOn, Logon, refuse
from ksmbd.state.refusals import NO_ACCOUNT, not_encrypted, refused
from ksmbd.state.session import Session, SessionState
from ksmbd.state.work import Reply, Work
from ksmbd.wire.negotiate import SIGNING_REQUIRED, SMB_3_0, SMB_3_1_1
from ksmbd.wire.policy import Encryption
from ksmbd.wire.session_setup import (
    BINDING,
    ENCRYPT_DATA,
    IS_GUEST,
    IS_NULL,
    SessionSetupRequest,
    SessionSetupResponse,
)
from ksmbd.wire.status import NtStatus, NtStatusError


def session_setup(work: Work, req: SessionSetupRequest) -> Reply:
    """Take one token of a log-on or re-authentication.

    MORE_PROCESSING_REQUIRED   go on
    LOGON_FAILURE              unknown user, wrong password; after a time if it is one of many
    USER_SESSION_DELETED       no session of this connection has the id
    REQUEST_NOT_ACCEPTED       too many log-ons at a time
    ACCESS_DENIED              a re-authentication as somebody else, or without a signature;
                               a guest where signing or encryption is mandatory, and a client
                               that cannot encrypt where it must
    TOO_MANY_SESSIONS          of the server, the user, or the connection
    INVALID_PARAMETER          a malformed token
    NO_LOGON_SERVERS           mountd is away

    With SMB2_SESSION_FLAG_BINDING: :func:`~ksmbd.commands.session_setup_bind.bind`.
    """
    if isinstance(work.memo, NtStatusError):  # a refusal that was held back
        raise work.memo
    offset, length = req.security_buffer_offset, req.security_buffer_length
    token = work.buffer(offset, length, after=req.SIZE)
    if req.flags & BINDING and work.header.session_id:
        return bind(work, token)
    try:
        session = _session(work)
    except NtStatusError as refusal:
        refuse(work, refusal)
        raise
    work.header.session_id = session.session_id
    with session.setup_lock:
        try:
            return _step(work, req, session, token)
        except NtStatusError as refusal:
            _give_up(work, session, refusal)
            raise


def _session(work: Work) -> Session:
    """The session of the request, a new one if it names none."""
    connection = work.connection
    if connection.cipher_id == 0 and work.server.settings.encryption == Encryption.REQUIRED:
        raise not_encrypted(connection, "smb3 encryption")
    session_id = work.header.session_id
    if session_id:
        session = connection.sessions.get(session_id)
        if session is None:
            elsewhere = work.server.sessions.get(session_id)
            refusal = work.no_session(f"session {session_id:#x}")
            if elsewhere is not None:
                verify(work, elsewhere)  # who has its key may believe that it is not here
            raise refusal
        if session.state != SessionState.IN_PROGRESS:
            require_renewable(work, session)
        return session
    connection.require_few_log_ons()
    session = work.server.new_session(connection)
    session.preauth_integrity_hash_value = connection.preauth_integrity_hash_value
    return session


def _step(work: Work, req: SessionSetupRequest, session: Session, token: memoryview) -> Reply:
    hashing = work.connection.dialect == SMB_3_1_1 and session.state == SessionState.IN_PROGRESS
    if hashing:
        session.preauth_integrity_hash_value = preauth.extend(
            session.preauth_integrity_hash_value, work.message
        )
    # Two channels may renew it at a time, each in a conversation of its own.
    place = session.channels.get(work.connection.number, session)
    if place.logon is None:
        place.logon = Logon(work.server, work.connection.peer)
    outcome = place.logon.step(token)
    if outcome.logged_on is None:
        if hashing:
            work.keep_preauth = session
        return _reply(outcome.token, 0, NtStatus.MORE_PROCESSING_REQUIRED)
    if session.state == SessionState.IN_PROGRESS:
        how = "new"
        _log_on(work, req, session, outcome.logged_on)
    else:
        how = "again"
        renew(work, session, outcome.logged_on)
    place.logon = None
    if work.server.audit is not None:
        work.server.audit.logged_on(session, work.connection.peer, how)
    flags = IS_GUEST if session.is_guest else IS_NULL if session.is_anonymous else 0
    if session.encrypt_data:
        flags |= ENCRYPT_DATA
    return _reply(outcome.token, flags, NtStatus.SUCCESS)


def _reply(token: bytes, flags: int, status: NtStatus) -> Reply:
    response = SessionSetupResponse(session_flags=flags, security_buffer_length=len(token))
    return Reply(response, token, status)


def _log_on(work: Work, req: SessionSetupRequest, session: Session, who: LoggedOn) -> None:
    """The session becomes valid: user, keys, and the end of the one it replaces."""
    identity = who.identity
    connection = work.connection
    if not identity.can_sign and connection.should_sign:
        why = f"guests cannot sign, and server signing = mandatory; {NO_ACCOUNT}"
        raise refused(connection, NtStatus.ACCESS_DENIED, why)
    encryption = work.server.settings.encryption
    if not identity.can_sign and encryption == Encryption.REQUIRED:
        why = f"guests cannot encrypt, and smb3 encryption = required; {NO_ACCOUNT}"
        raise refused(connection, NtStatus.ACCESS_DENIED, why)
    if req.previous_session_id not in (0, session.session_id):
        _end_previous(work, req.previous_session_id, identity)
    work.server.count_session(session, identity.account)
    session.identity = session.owner = identity
    session.account_flags = who.login.status
    session.expiration_time = who.expiry or None
    session.is_guest = identity.guest
    session.is_anonymous = identity.anonymous
    session.credentials = credentials_of(who.login)
    session.token = token_for(work.server, session, session.credentials)
    signer = _keys(connection, session, identity)
    wants = req.security_mode & SIGNING_REQUIRED or connection.should_sign
    session.signing_required = bool(wants) and identity.can_sign
    session.encrypt_data = session.can_encrypt and encryption >= Encryption.DESIRED
    session.signer = signer
    session.add_channel(connection, signer)
    session.state = SessionState.VALID
    connection.mark_authenticated()
    if session.signing_required or (connection.dialect >= SMB_3_0 and identity.can_sign):
        work.signer = signer  # with the key that this response makes the client derive


def _keys(connection: Connection, session: Session, identity: Identity) -> Signer | None:
    """Derive what the dialect derives; None where the two sides share no key.

    An anonymous user's key is no secret, but clients may sign and seal with it, as Windows has it.
    """
    if identity.guest:
        return None
    dialect = connection.dialect
    transcript = session.preauth_integrity_hash_value
    session.full_session_key = identity.session_key
    session.session_key = kdf.short_key(identity.session_key)
    session.application_key = kdf.application_key(dialect, session.session_key, transcript)
    if connection.cipher_id:  # whoever asks for it, now or later: server, share or client
        cipher = connection.cipher_id
        keys = kdf.cipher_keys(dialect, cipher, session.full_session_key, transcript)
        session.sealer = Sealer(cipher, keys.encrypt, connection.server.random)
        session.unsealer = Unsealer(cipher, keys.decrypt)
    key = kdf.signing_key(dialect, session.session_key, transcript)
    return Signer(connection.signing_algorithm_id, key)


def _end_previous(work: Work, session_id: int, identity: Identity) -> None:
    """[MS-SMB2] 3.3.5.5.3: the client lost its connection before we noticed.

    Who has proved nothing ends no session: guests, and nobody, are all the same user.
    """
    previous = work.server.sessions.get(session_id)
    if previous is None or previous.owner is None:
        return
    if not identity.can_sign or not previous.owner.same_user(identity):
        work.server.log_conn.info(
            "%s names session %#x of another user as its previous one",
            work.connection.peer,
            session_id,
        )
        return
    work.server.end_session(previous, preserve=True)


def _give_up(work: Work, session: Session, refusal: NtStatusError) -> None:
    """End the attempt and the session, 3.3.5.5.3.  May hold the answer back.

    Where mountd could not be asked, nobody has failed to prove anything: a valid session stays.
    """
    place = session.channels.get(work.connection.number, session)
    logon, place.logon = place.logon, None
    unasked = refusal.status == NtStatus.NO_LOGON_SERVERS
    if session.state == SessionState.IN_PROGRESS or not unasked:
        work.server.end_session(session)
    refuse(work, refusal, logon)
