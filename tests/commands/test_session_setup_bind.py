"""commands/session_setup_bind.py through the engine: one session on several connections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ksmbd.state.connection import MAX_PENDING_SESSIONS
from ksmbd.state.session import MAX_CHANNELS
from ksmbd.wire import ipc
from ksmbd.wire import negotiate as wire
from ksmbd.wire.header import SIGNED
from ksmbd.wire.logoff import LogoffResponse
from ksmbd.wire.negotiate import AES_128_CCM, AES_128_GCM, AES_CMAC, AES_GMAC, HMAC_SHA256
from ksmbd.wire.policy import Encryption
from ksmbd.wire.session_setup import BINDING, ENCRYPT_DATA, SessionSetupResponse
from ksmbd.wire.status import NtStatus
from ksmbd.wire.write import WriteResponse
from tests.auth import client as ntlm
from tests.support.client import Client, LogOn
from tests.support.engine import Engine
from tests.support.frames import standard_contexts
from tests.support.mountd import GUEST, PASSWORD, User

OK = NtStatus.SUCCESS
MORE = NtStatus.MORE_PROCESSING_REQUIRED
INVALID = NtStatus.INVALID_PARAMETER
DENIED = NtStatus.ACCESS_DENIED
DELETED = NtStatus.USER_SESSION_DELETED
NOT_ACCEPTED = NtStatus.REQUEST_NOT_ACCEPTED
NOT_SUPPORTED = NtStatus.NOT_SUPPORTED
OUT_OF_SEQUENCE = NtStatus.REQUEST_OUT_OF_SEQUENCE
EXPIRED = NtStatus.NETWORK_SESSION_EXPIRED
TOO_MANY = NtStatus.INSUFFICIENT_RESOURCES
GMAC = {"signing": (AES_GMAC,)}
CMAC = {"signing": (AES_CMAC,)}
DIALECTS_3 = (0x0300, 0x0302, 0x0311)


@pytest.fixture
def engine(folder: Path) -> Engine:
    return Engine(folder, multichannel=True)


def first(engine: Engine, *dialects: int, user: str = "joe", **changes: Any) -> Client:
    """The connection that the session is made on, with a tree connect."""
    client = Client(engine)
    client.negotiate(*dialects, **changes)
    client.log_on(user, engine.mountd.users[user].password)
    client.connect()
    return client


def session_of(client: Client) -> LogOn:
    return client.sessions[client.frames.session_id]


def second(engine: Engine, one: Client, *dialects: int, **changes: Any) -> Client:
    """Another channel of the session of *one*, for the same tree."""
    client = Client(engine)
    client.negotiate(*(dialects or (one.dialect,)), **changes)
    client.bind(session_of(one))
    client.frames.tree_id = one.frames.tree_id
    return client


def attempt(engine: Engine, one: Client, *dialects: int, **changes: Any) -> LogOn:
    """A binding that may fail."""
    client = Client(engine)
    client.negotiate(*(dialects or (one.dialect,)), **changes)
    return client.try_bind(session_of(one), ntlm.Client("joe", password=PASSWORD))


def last(session: LogOn) -> NtStatus:
    return session.responses[-1].status


# -- what works --------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS_3)
def test_a_bound_connection_uses_trees_and_opens_of_the_session(
    engine: Engine, dialect: int
) -> None:
    one = first(engine, dialect)
    two = second(engine, one)
    file = one.open("file")
    write = two.frames.write(b"by two", persistent_id=file.ids[0], volatile_id=file.ids[1])
    assert two.ok(write, WriteResponse).count == 6
    assert (engine.folder / "file").read_bytes() == b"by two"
    assert one.status(file.frames.close()) is OK


@pytest.mark.parametrize("dialect", DIALECTS_3)
def test_each_channel_signs_with_a_key_of_its_own(engine: Engine, dialect: int) -> None:
    """The first response of the binding has the session's signature, the last the channel's."""
    one = first(engine, dialect)
    two = Client(engine)
    two.negotiate(dialect)
    channel = two.bind(session_of(one))
    of_session = session_of(one).signer
    assert of_session is not None
    assert channel.signer is not None
    begun, ended = channel.responses
    assert begun.signed_by(of_session)
    assert ended.signed_by(channel.signer)
    assert not ended.signed_by(of_session)
    session_of(two).signer = of_session
    two.signing_now = channel  # the refusal is signed with the channel's key
    assert two.status(two.frames.create("file")) is DENIED


def test_the_algorithm_is_the_connection_s_own(engine: Engine) -> None:
    """AES-CMAC and HMAC-SHA256 mix, as smb2.session.bind_negative_smb3signCtoHs wants it."""
    one = first(engine, signing=(AES_CMAC,))
    two = second(engine, one, signing=(HMAC_SHA256,))
    assert two.algorithm == HMAC_SHA256
    two.open("file")


def test_the_client_guid_may_be_another(engine: Engine) -> None:
    one = first(engine)
    two = second(engine, one, client_guid=bytes(range(50, 66)))
    two.open("file")


def test_an_encrypted_session_is_so_on_every_channel(folder: Path) -> None:
    engine = Engine(folder, multichannel=True, encryption=Encryption.DESIRED)
    one = Client(engine)
    one.negotiate()
    one.log_on()
    two = Client(engine)
    two.negotiate()
    channel = two.bind(session_of(one))
    assert channel.responses[-1].body(SessionSetupResponse).session_flags == ENCRYPT_DATA
    assert len(engine.server.sessions) == 1


def test_a_channel_can_authenticate_again(engine: Engine) -> None:
    one = first(engine)
    two = second(engine, one)
    side = ntlm.Client("joe", password=PASSWORD)
    begun = two.call(two.frames.session_setup(side.negotiate()))
    assert begun.status is MORE
    ended = two.call(two.frames.session_setup(side.authenticate(begun.token())))
    assert ended.status is OK
    one.open("one")
    two.open("two")


def test_two_channels_may_authenticate_again_at_a_time(engine: Engine) -> None:
    one = first(engine)
    two = second(engine, one)
    sides = [(client, ntlm.Client("joe", password=PASSWORD)) for client in (one, two)]
    begun = [client.call(client.frames.session_setup(side.negotiate())) for client, side in sides]
    for (client, side), response in zip(sides, begun, strict=True):
        assert response.status is MORE
        assert client.status(client.frames.session_setup(side.authenticate(response.token()))) is OK
    two.open("file")


def test_32_channels_are_the_limit(engine: Engine) -> None:
    one = first(engine)
    others = [second(engine, one) for _ in range(MAX_CHANNELS - 1)]
    refused = attempt(engine, one)
    assert last(refused) is TOO_MANY
    others[0].lose()
    second(engine, one).open("file")


# -- the life of the session -------------------------------------------------------------


def test_the_session_outlives_the_connection_it_was_made_on(engine: Engine) -> None:
    one = first(engine)
    two = second(engine, one)
    file = one.open("file")
    one.lose()
    assert two.status(two.frames.on(*file.ids).write(b"still here")) is OK
    two.lose()
    engine.assert_idle()


def test_a_lost_connection_can_be_bound_again(engine: Engine) -> None:
    one = first(engine)
    two = second(engine, one)
    one.lose()
    three = Client(engine)
    three.negotiate()
    three.bind(session_of(one))  # SigningKey stays that of the first channel
    three.frames.tree_id = two.frames.tree_id
    two.lose()
    three.open("file")


def test_a_logoff_ends_it_on_all_channels(engine: Engine) -> None:
    one = first(engine)
    two = second(engine, one)
    assert two.ok(two.frames.logoff(), LogoffResponse)
    for client in (one, two):
        client.sessions.clear()
        assert client.status(client.frames.create("file")) is DELETED
    assert not engine.server.sessions


def test_a_binding_under_way_dies_with_the_session(engine: Engine) -> None:
    one = first(engine)
    two = Client(engine)
    two.negotiate()
    side, session = ntlm.Client("joe", password=PASSWORD), session_of(one)
    two.sessions[session.session_id] = session
    said = {"flags": BINDING, "session_id": session.session_id}
    begun = two.call(two.frames.session_setup(side.negotiate(), **said))
    assert begun.status is MORE
    one.ok(one.frames.logoff(), LogoffResponse)
    two.sessions.clear()
    token = side.authenticate(begun.token())
    assert two.status(two.frames.session_setup(token, sign=False, **said)) is DELETED
    two.lose()
    one.lose()
    engine.assert_idle()


def test_a_lost_connection_takes_its_half_made_binding_along(engine: Engine) -> None:
    one = first(engine)
    two = Client(engine)
    two.negotiate()
    session = session_of(one)
    two.sessions[session.session_id] = session
    frame = two.frames.session_setup(
        ntlm.Client().negotiate(), flags=BINDING, session_id=session.session_id
    )
    assert two.status(frame) is MORE
    assert two.connection.preauth_sessions
    two.lose()
    assert not two.connection.preauth_sessions
    one.open("file")


# -- what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_session", "of_connection", "status"),
    [
        (((0x0300,), {}), ((0x0302,), {}), INVALID),
        (((0x0210,), {}), ((0x0300,), {}), INVALID),
        (((0x0300,), {}), ((0x0210,), {}), NOT_ACCEPTED),
        (((0x0202,), {}), ((0x0202,), {}), NOT_ACCEPTED),
        (((0x0311,), GMAC), ((0x0311,), CMAC), OUT_OF_SEQUENCE),
        (((0x0311,), GMAC), ((0x0210,), {}), OUT_OF_SEQUENCE),
        (((0x0311,), CMAC), ((0x0311,), GMAC), NOT_SUPPORTED),
        (((0x0302,), {}), ((0x0311,), GMAC), NOT_SUPPORTED),
    ],
)  # fmt: skip
def test_the_connections_must_be_alike(
    engine: Engine, of_session: Any, of_connection: Any, status: NtStatus
) -> None:
    """And the refusal is signed with the session's key, in the session's algorithm."""
    one = first(engine, *of_session[0], **of_session[1])
    refused = attempt(engine, one, *of_connection[0], **of_connection[1])
    assert last(refused) is status
    signer = session_of(one).signer
    assert signer is not None
    assert refused.responses[-1].signed_by(signer)
    one.open("file")


def test_the_cipher_must_be_the_same(engine: Engine) -> None:
    def offer(cipher: int) -> Any:
        kept = [c for c in standard_contexts() if c[0] != wire.ENCRYPTION_CAPABILITIES]
        return [*kept, (wire.ENCRYPTION_CAPABILITIES, wire.Encryption((cipher,)).pack())]

    one, two = Client(engine), Client(engine)
    agree(one, offer(AES_128_GCM))
    one.log_on()
    agree(two, offer(AES_128_CCM))
    refused = two.try_bind(session_of(one), ntlm.Client("joe", password=PASSWORD))
    assert last(refused) is INVALID


def agree(client: Client, contexts: Any) -> None:
    frame = client.frames.negotiate(0x0311, contexts=contexts)
    response = client.call(frame)
    client._agreed(response, response.body(wire.NegotiateResponse))


def test_without_the_parameter_it_is_refused(folder: Path) -> None:
    engine = Engine(folder)
    assert last(attempt(engine, first(engine))) is NOT_ACCEPTED


def unsigned(client: Client, one: Client) -> NtStatus:
    frame = client.frames.session_setup(
        ntlm.Client().negotiate(), flags=BINDING, session_id=one.frames.session_id
    )
    return client.status(frame)


def unknown(client: Client, one: Client) -> NtStatus:
    frame = client.frames.session_setup(
        ntlm.Client().negotiate(), flags=BINDING, session_id=one.frames.session_id ^ 1
    )
    return client.status(frame)


def forged(client: Client, one: Client) -> NtStatus:
    frame = client.frames.session_setup(
        ntlm.Client().negotiate(),
        flags=BINDING,
        session_id=one.frames.session_id,
        header_flags=SIGNED,
    )
    return client.status(frame)


def unfinished(client: Client, one: Client) -> NtStatus:
    begun = one.call(one.frames.session_setup(ntlm.Client().negotiate(), session_id=0))
    frame = client.frames.session_setup(
        ntlm.Client().negotiate(),
        flags=BINDING,
        session_id=begun.header.session_id,
        header_flags=SIGNED,
    )
    return client.status(frame)


def expired(client: Client, one: Client) -> NtStatus:
    session = client.engine.server.sessions[one.frames.session_id]
    session.expiration_time = client.engine.clock() - 1
    return last(client.try_bind(session_of(one), ntlm.Client("joe", password=PASSWORD)))


def somebody_else(client: Client, one: Client) -> NtStatus:
    jane = ntlm.Client("jane", password="Secret!")
    return last(client.try_bind(session_of(one), jane))


def wrong_password(client: Client, one: Client) -> NtStatus:
    return last(client.try_bind(session_of(one), ntlm.Client("joe", password="wrong")))


def bound_already(client: Client, one: Client) -> NtStatus:
    channel = client.bind(session_of(one))
    return last(client.try_bind(channel, ntlm.Client("joe", password=PASSWORD)))


def with_the_session_s_key_once_more(client: Client, one: Client) -> NtStatus:
    client.bind(session_of(one))
    return last(client.try_bind(session_of(one), ntlm.Client("joe", password=PASSWORD)))


@pytest.mark.parametrize(
    ("how", "status"),
    [
        (unsigned, INVALID),
        (unknown, DELETED),
        (forged, DENIED),
        (unfinished, NOT_ACCEPTED),
        (expired, EXPIRED),
        (somebody_else, DENIED),
        (wrong_password, NtStatus.LOGON_FAILURE),
        (bound_already, NOT_ACCEPTED),
        (with_the_session_s_key_once_more, DENIED),
    ],
)
def test_a_binding_is_refused(
    engine: Engine, how: Callable[[Client, Client], NtStatus], status: NtStatus
) -> None:
    """Nothing is left of it, and the session goes on."""
    one = first(engine)
    file = one.open("file")
    client = Client(engine)
    client.negotiate()
    assert how(client, one) is status
    assert not client.connection.preauth_sessions
    session = engine.server.sessions[one.frames.session_id]
    session.expiration_time = None
    assert one.status(file.frames.write(b"goes on")) is OK


def test_guests_and_nobody_cannot_bind(folder: Path) -> None:
    users = [User("joe"), User("guest", status=GUEST.status)]
    engine = Engine(folder, users=users, multichannel=True)
    one, two = Client(engine), Client(engine)
    one.negotiate()
    two.negotiate()
    session = one.log_on("guest")
    refused = two.frames.session_setup(
        ntlm.Client().negotiate(),
        flags=BINDING,
        session_id=session.session_id,
        header_flags=SIGNED,
    )
    assert two.status(refused) is NOT_SUPPORTED
    nobody = one.log_on_nobody()
    made = engine.server.sessions[nobody.session_id]
    assert made.signer is not None
    nobody.signer = made.signer  # whose key everybody can work out
    assert last(two.try_bind(nobody, ntlm.Client())) is NOT_SUPPORTED


def test_a_wrong_password_is_answered_late(engine: Engine) -> None:
    one = first(engine)
    engine.mountd.users["joe"].delay_s = 2.0
    two = Client(engine)
    two.negotiate()
    session = session_of(one)
    two.sessions[session.session_id] = session
    side = ntlm.Client("joe", password="wrong")
    said = {"flags": BINDING, "session_id": session.session_id}
    begun = two.call(two.frames.session_setup(side.negotiate(), **said))
    token = side.authenticate(begun.token())
    assert two.send(two.frames.session_setup(token, **said)) == []
    engine.advance(2.0)
    (late,) = two.receive()
    assert late.status is NtStatus.LOGON_FAILURE
    assert not two.connection.preauth_sessions


def test_bindings_count_among_the_log_ons_in_progress(engine: Engine) -> None:
    one = first(engine)
    two = Client(engine)
    two.negotiate()
    for _ in range(MAX_PENDING_SESSIONS):
        frame = two.frames.session_setup(ntlm.Client().negotiate(), session_id=0)
        assert two.status(frame) is MORE
    refused = two.try_bind(session_of(one), ntlm.Client("joe", password=PASSWORD))
    assert last(refused) is NOT_ACCEPTED


def test_who_knows_the_key_is_told_signed_that_the_session_is_not_here(engine: Engine) -> None:
    one = first(engine)
    two = Client(engine)
    two.negotiate()
    session = session_of(one)
    two.sessions[session.session_id] = session
    frame = two.frames.session_setup(ntlm.Client().negotiate(), session_id=session.session_id)
    response = two.call(frame)
    assert response.status is DELETED
    assert response.header.flags & SIGNED


def test_only_the_capability_says_that_there_are_channels(folder: Path) -> None:
    offered = wire.CAP_MULTI_CHANNEL
    for on in (True, False):
        for dialect in (0x0210, *DIALECTS_3):
            body = Client(Engine(folder, multichannel=on)).negotiate(dialect, capabilities=offered)
            told = bool(body.capabilities & wire.CAP_MULTI_CHANNEL)
            assert told == (on and dialect >= 0x0300)
    unasked = Client(Engine(folder, multichannel=True)).negotiate(capabilities=0)
    assert not unasked.capabilities & wire.CAP_MULTI_CHANNEL


def test_the_flag_of_the_start_up_message_is_known() -> None:
    assert ipc.MULTICHANNEL == 0x4
