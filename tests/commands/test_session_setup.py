"""commands/session_setup.py through the engine, [MS-SMB2] 3.3.5.5."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ksmbd.state.connection import MAX_PENDING_SESSIONS
from ksmbd.state.session import SessionState
from ksmbd.state.settings import SigningPolicy
from ksmbd.wire import ipc
from ksmbd.wire.header import SIGNED
from ksmbd.wire.negotiate import SIGNING_REQUIRED
from ksmbd.wire.session_setup import BINDING, IS_GUEST, IS_NULL, SessionSetupResponse
from ksmbd.wire.spnego import (
    NTLMSSP,
    NegState,
    NegTokenResp,
    build_init,
    build_resp,
    mech_type_list,
    parse,
)
from ksmbd.wire.status import NtStatus
from tests.auth import client as ntlm
from tests.support.client import DIALECTS, Client, LogOn, chain, nobody, ready
from tests.support.engine import Engine
from tests.support.mountd import GUEST, User
from tests.support.replies import Response

OK = NtStatus.SUCCESS
MORE = NtStatus.MORE_PROCESSING_REQUIRED
INVALID = NtStatus.INVALID_PARAMETER
FAILURE = NtStatus.LOGON_FAILURE
DENIED = NtStatus.ACCESS_DENIED
DELETED = NtStatus.USER_SESSION_DELETED
NOT_ACCEPTED = NtStatus.REQUEST_NOT_ACCEPTED


@pytest.fixture
def client(engine: Engine) -> Client:
    """Nobody has logged on yet."""
    client = Client(engine)
    client.negotiate()
    return client


def first_leg(client: Client) -> Response:
    response = client.call(client.frames.session_setup(ntlm.Client().negotiate(), session_id=0))
    assert response.status is MORE
    return response


def last(session: LogOn) -> NtStatus:
    return session.responses[-1].status


# -- success -----------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_log_on_with_ntlm(engine: Engine, dialect: int) -> None:
    """The client derives the key from its own hash of the conversation, and the reply fits it."""
    client = Client(engine)
    client.negotiate(dialect)
    session = client.log_on()
    made = engine.server.sessions[session.session_id]
    assert made.state is SessionState.VALID
    assert made.account == "joe"
    signed = session.responses[-1].header.flags & SIGNED
    assert bool(signed) == (dialect >= 0x0300)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_last_response_is_signed_where_signing_is_required(
    engine: Engine, dialect: int
) -> None:
    client = Client(engine)
    client.negotiate(dialect)
    session = client.log_on(security_mode=SIGNING_REQUIRED)
    assert session.responses[-1].header.flags & SIGNED


def test_log_on_through_spnego(client: Client) -> None:
    side = ntlm.Client()
    first = client.call(
        client.frames.session_setup(build_init([NTLMSSP], mech_token=side.negotiate()))
    )
    assert first.status is MORE
    challenge = parse(first.token())
    assert isinstance(challenge, NegTokenResp)
    assert challenge.state == NegState.ACCEPT_INCOMPLETE
    assert challenge.response_token is not None
    token = side.authenticate(challenge.response_token)
    assert side.signer is not None
    mic = side.signer.sign(mech_type_list([NTLMSSP]))
    frame = client.frames.session_setup(
        build_resp(NegTokenResp(None, None, token, mic)), session_id=first.header.session_id
    )
    client.signing_now = LogOn(0)
    response = client.call(frame)
    assert response.status is OK
    done = parse(response.token())
    assert isinstance(done, NegTokenResp)
    assert done.state == NegState.ACCEPT_COMPLETED


def test_several_sessions_live_on_one_connection(client: Client) -> None:
    ids = {client.log_on(use=False).session_id for _ in range(5)}
    assert len(ids) == 5
    assert set(client.connection.sessions) == ids


def test_session_ids_are_random_and_fit_32_bits(client: Client) -> None:
    ids = [client.log_on(use=False).session_id for _ in range(10)]
    assert all(0 < i < 0xFFFF_FFFF for i in ids)
    assert max(ids) - min(ids) > 1 << 16


def test_the_connection_may_send_long_frames_from_then_on(client: Client) -> None:
    before = client.connection.max_frame
    client.log_on()
    assert before == 64 << 10
    assert client.connection.max_frame > 8 << 20


def test_each_session_of_3_1_1_has_its_own_hash(client: Client) -> None:
    """Log-ons that interleave do not disturb each other."""
    sides = [ntlm.Client(), ntlm.Client("jane", password="Secret!")]
    sent, answers = [], []
    for side in sides:
        response = client.call(client.frames.session_setup(side.negotiate(), session_id=0))
        sent.append(client.sent)
        answers.append(response)
    for side, request, response in zip(sides, sent, answers, strict=True):
        before = client.preauth
        client.preauth = before
        session = LogOn(response.header.session_id, responses=[response])
        token = side.authenticate(response.token())
        client.signing_now = session
        frame = client.frames.session_setup(token, session_id=session.session_id)
        session.responses += client.send(frame)
        client.signing_now = None
        assert last(session) is OK
        value = chain(before, request, response.raw, client.sent)
        client._logged_on(session, side.key, value)


# -- refusals ----------------------------------------------------------------------------


def test_a_wrong_password_is_a_logon_failure(client: Client) -> None:
    session = client.try_log_on(ntlm.Client(password="wrong"))
    assert last(session) is FAILURE
    assert session.session_id not in client.engine.server.sessions
    assert client.engine.mountd.logouts == [("joe", ipc.USER_BAD_PASSWORD)]
    assert not session.responses[-1].header.flags & SIGNED


def test_an_unknown_user_is_a_logon_failure(client: Client) -> None:
    assert last(client.try_log_on(ntlm.Client("nobody-knows"))) is FAILURE


def test_after_a_failure_another_try_may_succeed(client: Client) -> None:
    for _ in range(20):
        assert last(client.try_log_on(ntlm.Client(password="wrong"))) is FAILURE
    client.log_on()


def test_a_second_leg_without_a_first_is_refused(client: Client) -> None:
    side = ntlm.Client()
    challenge = first_leg(client).token()
    token = side.authenticate(challenge)
    assert client.status(client.frames.session_setup(token, session_id=0)) is INVALID


@pytest.mark.parametrize("session_id", [1, 0xFFFF_FFFF, (1 << 64) - 1])
def test_an_unknown_session_is_refused(client: Client, session_id: int) -> None:
    frame = client.frames.session_setup(ntlm.Client().negotiate(), session_id=session_id)
    assert client.status(frame) is DELETED


def test_a_session_of_another_connection_is_refused(client: Client) -> None:
    pending = first_leg(client).header.session_id
    valid = client.log_on().session_id
    other = Client(client.engine)
    other.negotiate()
    for session_id in (pending, valid):
        frame = other.frames.session_setup(ntlm.Client().negotiate(), session_id=session_id)
        assert other.status(frame) is DELETED
    client.connect()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_binding_is_refused_and_harms_nobody(engine: Engine, dialect: int) -> None:
    victim = ready(engine, dialect)
    other = Client(engine)
    other.negotiate(dialect)
    frame = other.frames.session_setup(
        ntlm.Client().negotiate(), flags=BINDING, session_id=victim.frames.session_id
    )
    assert other.status(frame) is NOT_ACCEPTED
    assert other.status(other.frames.create(session_id=victim.frames.session_id)) is DELETED
    victim.open("file")


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"\0",
        b"NTLMSSP\0",
        b"NTLMSSP\0\1\0\0\0",
        b"NTLMSSP\0\2\0\0\0" + bytes(40),
        b"NTLMSSP\0\3\0\0\0" + bytes(80),
        b"\x60",
        b"\x60\x84\xff\xff\xff\xff",
        b"\x60\x80" + bytes(20),
        b"\xa1\x02\x30\x00",
        b"\x30" * 200,
        bytes(5000),
    ],
)
def test_a_malformed_token_is_refused_and_leaves_no_session(client: Client, token: bytes) -> None:
    assert client.status(client.frames.session_setup(token)) is INVALID
    assert client.engine.server.sessions == {}
    client.log_on()


@pytest.mark.parametrize("length", range(0, 32, 4))
def test_a_token_cut_short_is_refused(client: Client, length: int) -> None:
    first = first_leg(client)
    token = ntlm.Client().authenticate(first.token())[: 12 + length * 8]
    frame = client.frames.session_setup(token, session_id=first.header.session_id)
    assert client.status(frame) in {INVALID, FAILURE}
    assert client.engine.server.sessions == {}


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 40), (64, 40), (87, 40), (88, 41), (89, 40), (0xFFFF, 1), (88, 65535)],
)
def test_a_token_outside_the_message_is_refused(client: Client, offset: int, length: int) -> None:
    frame = client.frames.session_setup(
        bytes(40), security_buffer_offset=offset, security_buffer_length=length
    )
    assert client.status(frame) is INVALID


def test_too_many_log_ons_at_a_time_are_refused(client: Client) -> None:
    pending = [first_leg(client) for _ in range(MAX_PENDING_SESSIONS)]
    frame = client.frames.session_setup(ntlm.Client().negotiate(), session_id=0)
    assert client.status(frame) is NOT_ACCEPTED
    other = Client(client.engine)
    other.negotiate()
    other.log_on()
    spent = pending[0].header.session_id
    client.call(client.frames.session_setup(b"junk", session_id=spent))
    client.log_on()


def test_the_server_takes_no_more_sessions_than_it_may(folder: Path) -> None:
    client = Client(Engine(folder, max_sessions=3))
    client.negotiate()
    for _ in range(3):
        client.log_on()
    frame = client.frames.session_setup(ntlm.Client().negotiate(), session_id=0)
    assert client.status(frame) is NtStatus.TOO_MANY_SESSIONS
    client.call(client.frames.logoff())
    client.log_on()


def test_a_user_takes_no_more_sessions_than_he_may(folder: Path) -> None:
    engine = Engine(folder, max_user_sessions=2)
    client, other = Client(engine), Client(engine)
    for each in (client, other):
        each.negotiate()
        each.log_on()
    assert last(client.try_log_on(ntlm.Client("JOE"))) is NtStatus.TOO_MANY_SESSIONS
    client.log_on("jane", "Secret!", use=False)
    again = client.try_log_on(ntlm.Client(), previous_session_id=other.frames.session_id)
    assert last(again) is OK
    assert last(client.try_log_on(ntlm.Client())) is NtStatus.TOO_MANY_SESSIONS
    client.call(client.frames.logoff())
    client.log_on()
    client.lose()
    other.lose()
    engine.assert_idle()


def test_a_connection_takes_no_more_sessions_than_it_may(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ksmbd.state.server.MAX_SESSIONS", 2)
    client.log_on()
    client.log_on("jane", "Secret!")
    frame = client.frames.session_setup(ntlm.Client().negotiate(), session_id=0)
    assert client.status(frame) is NtStatus.TOO_MANY_SESSIONS
    other = Client(client.engine)
    other.negotiate()
    other.log_on()
    client.call(client.frames.logoff())
    client.log_on()


def test_log_ons_that_were_not_finished_end_with_the_connection(client: Client) -> None:
    for _ in range(MAX_PENDING_SESSIONS):
        first_leg(client)
    client.lose()
    client.engine.assert_idle()
    assert client.engine.mountd.logouts == []


def test_without_mountd_nobody_logs_on(client: Client) -> None:
    client.engine.mountd.away = True
    assert last(client.try_log_on(ntlm.Client())) is NtStatus.NO_LOGON_SERVERS
    assert client.engine.server.sessions == {}
    client.engine.mountd.away = False
    client.log_on()


@pytest.mark.parametrize(
    "change",
    [
        {"nt_response": b""},
        {"nt_response": bytes(16)},
        {"nt_response": bytes(23)},
        {"nt_response": bytes(24)},
        {"nt_response": bytes(43)},
        {"nt_response": bytes(44)},
        {"encrypted_key": bytes(15)},
        {"encrypted_key": bytes(17)},
        {"encrypted_key": bytes(200)},
        {"wrong_mic": True},
        {"user": "joe\ud800"[:3] + "\0"},
        {"password": "x" * 1000},
    ],
)
def test_a_response_that_proves_nothing_is_refused(
    client: Client, change: dict[str, object]
) -> None:
    session = client.try_log_on(ntlm.Client(**change))  # type: ignore[arg-type]
    assert last(session) in {INVALID, FAILURE}
    assert client.engine.server.sessions == {}


# -- a failure that is held back ---------------------------------------------------------


@pytest.fixture
def slow(engine: Engine) -> Client:
    """mountd wants the answer to a wrong password delayed by five seconds."""
    engine.mountd.users["joe"] = User("joe", delay_s=5.0)
    client = Client(engine)
    client.negotiate()
    return client


def test_a_logon_failure_is_held_back(slow: Client) -> None:
    session = slow.try_log_on(ntlm.Client(password="wrong"))
    assert [r.status for r in session.responses] == [MORE]
    slow.engine.advance(4.9)
    assert slow.receive() == []
    slow.engine.advance(0.2)
    (response,) = slow.receive()
    assert response.status is FAILURE
    assert response.header.session_id == session.session_id


def test_nobody_else_is_held_back(slow: Client) -> None:
    for _ in range(3):
        slow.try_log_on(ntlm.Client(password="wrong"))
    slow.log_on("jane", "Secret!")
    other = ready(slow.engine, user="jane")
    other.open("file")


def test_the_right_password_is_answered_at_once(slow: Client) -> None:
    slow.log_on()


def test_the_session_is_gone_before_its_failure_is_told(slow: Client) -> None:
    session = slow.try_log_on(ntlm.Client(password="wrong"))
    assert slow.engine.server.sessions == {}
    frame = slow.frames.session_setup(ntlm.Client().negotiate(), session_id=session.session_id)
    assert slow.status(frame) is DELETED


def test_a_failure_held_back_ends_with_its_connection(slow: Client) -> None:
    slow.try_log_on(ntlm.Client(password="wrong"))
    slow.lose()
    slow.engine.assert_idle()
    slow.engine.advance(10)
    assert slow.receive() == []


def test_cancel_does_not_hurry_a_failure(slow: Client) -> None:
    """Guessing passwords stays slow; and a refusal is a refusal."""
    session = slow.try_log_on(ntlm.Client(password="wrong"))
    message_id = slow.next_id - 1
    cancel = slow.frames.cancel(message_id=message_id, session_id=session.session_id)
    assert slow.send(cancel) == []
    slow.engine.advance(6)
    assert [r.status for r in slow.receive()] == [FAILURE]


# -- guests and nobody -------------------------------------------------------------------


@pytest.fixture
def guests(engine: Engine) -> Client:
    engine.mountd.guest = replace(GUEST)
    client = Client(engine)
    client.negotiate()
    return client


def test_an_unknown_user_can_be_a_guest(guests: Client) -> None:
    session = guests.log_on("stranger", "whatever")
    body = session.responses[-1].body(SessionSetupResponse)
    assert body.session_flags == IS_GUEST
    assert session.signer is None
    assert guests.engine.server.sessions[session.session_id].is_guest


def test_a_guest_is_never_asked_to_sign(guests: Client) -> None:
    guests.log_on("stranger", "whatever", security_mode=SIGNING_REQUIRED)
    guests.connect()
    assert not guests.open("file").response.header.flags & SIGNED


def test_a_wrong_password_of_a_known_user_is_no_guest(guests: Client) -> None:
    assert last(guests.try_log_on(ntlm.Client(password="wrong"))) is FAILURE


def test_a_wrong_password_can_be_a_guest(folder: Path) -> None:
    engine = Engine(folder, wrong_password_is_guest=True)
    engine.mountd.guest = replace(GUEST)
    client = Client(engine)
    client.negotiate()
    session = client.log_on(password="wrong")
    assert session.responses[-1].body(SessionSetupResponse).session_flags == IS_GUEST
    assert engine.server.sessions[session.session_id].account == "nobody"


def test_guests_are_refused_where_signing_is_mandatory(folder: Path) -> None:
    engine = Engine(folder, signing=SigningPolicy.MANDATORY)
    engine.mountd.guest = replace(GUEST)
    client = Client(engine)
    client.negotiate()
    assert last(client.try_log_on(ntlm.Client("stranger"))) is DENIED
    assert last(client.try_log_on(nobody())) is DENIED
    assert engine.server.sessions == {}


def test_a_null_session_is_marked_as_one(client: Client) -> None:
    session = client.log_on_nobody()
    assert session.responses[-1].body(SessionSetupResponse).session_flags == IS_NULL
    made = client.engine.server.sessions[session.session_id]
    assert made.is_anonymous
    assert not made.signing_required
    assert not made.can_encrypt


def test_a_null_session_can_be_refused(client: Client) -> None:
    client.engine.mountd.anonymous = None
    assert last(client.try_log_on(nobody())) is DENIED


# -- the session before ------------------------------------------------------------------


def test_a_new_session_ends_the_one_it_replaces(client: Client) -> None:
    engine = client.engine
    old = ready(engine)
    old.open("file")
    session = client.log_on(previous_session_id=old.frames.session_id)
    assert set(engine.server.sessions) == {session.session_id}
    assert len(engine.server.opens) == 0
    assert old.status(old.frames.create()) is DELETED
    assert not old.closed


def test_a_new_session_cannot_end_another_users(client: Client) -> None:
    old = ready(client.engine)
    client.log_on("jane", "Secret!", previous_session_id=old.frames.session_id)
    old.open("file")


def test_a_failed_log_on_ends_no_session(client: Client) -> None:
    old = ready(client.engine)
    session = client.try_log_on(
        ntlm.Client(password="wrong"), previous_session_id=old.frames.session_id
    )
    assert last(session) is FAILURE
    old.open("file")


def test_a_guest_cannot_end_anybodys_session(guests: Client) -> None:
    old = ready(guests.engine)
    guests.log_on("stranger", previous_session_id=old.frames.session_id)
    guests.log_on_nobody()
    old.open("file")


def test_a_null_session_cannot_end_anybodys_session(client: Client) -> None:
    old = ready(client.engine)
    session = client.try_log_on(nobody(), previous_session_id=old.frames.session_id)
    assert last(session) is OK
    old.open("file")


def test_somebody_who_proves_nothing_ends_no_session_of_his_like(guests: Client) -> None:
    """All guests are the same user, and so is nobody."""
    guest = Client(guests.engine)
    guest.negotiate()
    stays = guest.log_on("stranger", "whatever").session_id
    guests.log_on("other", "whatever", previous_session_id=stays)
    nobodys = guest.log_on_nobody().session_id
    session = guests.try_log_on(nobody(), previous_session_id=nobodys)
    assert last(session) is OK
    assert {stays, nobodys} <= set(guests.engine.server.sessions)


def test_a_previous_session_that_is_not_there_is_no_matter(client: Client) -> None:
    client.log_on(previous_session_id=0x1234_5678_9ABC)


def test_a_previous_session_still_in_progress_stays(client: Client) -> None:
    pending = first_leg(client).header.session_id
    client.log_on(previous_session_id=pending)
    assert pending in client.engine.server.sessions


def test_a_session_does_not_end_itself(client: Client) -> None:
    side = ntlm.Client()
    first = client.call(client.frames.session_setup(side.negotiate(), session_id=0))
    own = first.header.session_id
    client.signing_now = LogOn(own)
    frame = client.frames.session_setup(
        side.authenticate(first.token()), session_id=own, previous_session_id=own
    )
    assert client.status(frame) is OK
    assert own in client.engine.server.sessions
