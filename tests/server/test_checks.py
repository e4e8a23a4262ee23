"""server/checks.py: the ladder every request climbs, [MS-SMB2] 3.3.5.2."""

from __future__ import annotations

from typing import Any

import pytest

from ksmbd.server import checks
from ksmbd.wire.close import CloseResponse
from ksmbd.wire.echo import EchoResponse
from ksmbd.wire.header import RELATED_OPERATIONS, SIGNATURE_OFFSET, SIGNED, Command
from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY, UNLOCK, LockResponse
from ksmbd.wire.logoff import LogoffResponse
from ksmbd.wire.negotiate import SIGNING_REQUIRED
from ksmbd.wire.status import NtStatus
from tests.support.client import DIALECTS, Client, ready
from tests.support.engine import Engine
from tests.support.frames import Frame, FrameFactory

# -- session -----------------------------------------------------------------------------


def of_every_kind(frames: FrameFactory) -> list[Frame]:
    """One request of each command that needs a session."""
    return [
        frames.logoff(),
        frames.tree_connect(),
        frames.tree_disconnect(),
        frames.create(),
        frames.close(),
        frames.flush(),
        frames.read(),
        frames.write(),
        frames.lock(),
        frames.ioctl(0x00140204),
        frames.query_directory(),
        frames.change_notify(),
        frames.query_info(),
        frames.set_info(4, bytes(40)),
        frames.oplock_break(),
        frames.lease_break(),
    ]


@pytest.mark.parametrize("index", range(len(of_every_kind(FrameFactory()))))
def test_an_unknown_session_is_refused(client: Client, index: int) -> None:
    frame = of_every_kind(client.frames)[index].set(session_id=0xDEAD)
    assert client.status(frame) is NtStatus.USER_SESSION_DELETED


@pytest.mark.parametrize("index", range(len(of_every_kind(FrameFactory()))))
def test_a_session_of_another_connection_is_refused(client: Client, index: int) -> None:
    other = Client(client.engine)
    other.negotiate()
    frame = of_every_kind(other.frames)[index]
    frame.set(session_id=client.frames.session_id, tree_id=client.frames.tree_id)
    assert other.status(frame) is NtStatus.USER_SESSION_DELETED
    client.open("file")


@pytest.mark.parametrize("index", range(len(of_every_kind(FrameFactory()))))
def test_a_session_in_progress_is_refused(engine: Engine, index: int) -> None:
    client = Client(engine)
    client.negotiate()
    first = client.call(client.frames.session_setup(NTLM_NEGOTIATE))
    assert first.status is NtStatus.MORE_PROCESSING_REQUIRED
    frame = of_every_kind(client.frames)[index].set(session_id=first.header.session_id)
    assert client.status(frame) is NtStatus.USER_SESSION_DELETED


NTLM_NEGOTIATE = b"NTLMSSP\0\1\0\0\0\x97\x82\x08\xe2" + bytes(24)


def test_the_session_of_zero_is_refused(client: Client) -> None:
    assert client.status(client.frames.create(session_id=0)) is NtStatus.USER_SESSION_DELETED


def expire(client: Client) -> None:
    session = client.engine.server.sessions[client.frames.session_id]
    session.expiration_time = client.engine.clock() + 10
    client.open("before")
    client.engine.advance(10)


@pytest.mark.parametrize("index", range(len(of_every_kind(FrameFactory()))))
def test_an_expired_session_may_end_things_only(client: Client, index: int) -> None:
    expire(client)
    frame = of_every_kind(client.frames)[index]
    allowed = {2: "LOGOFF", 6: "CLOSE", 10: "LOCK"}
    expired = client.status(frame) is NtStatus.NETWORK_SESSION_EXPIRED
    assert expired == (frame.header.command not in allowed)


def test_what_an_expired_session_may_do_it_does(client: Client) -> None:
    """As smb2.session.expire2s wants it."""
    file = client.open("file")
    lock, unlock = (0, 10, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY), (0, 10, UNLOCK)
    client.ok(file.frames.lock(lock), LockResponse)
    expire(client)
    client.ok(file.frames.lock(unlock), LockResponse)
    assert client.status(file.frames.lock(unlock)) is NtStatus.RANGE_NOT_LOCKED
    assert client.status(file.frames.lock(lock)) is NtStatus.NETWORK_SESSION_EXPIRED
    client.ok(file.frames.close(), CloseResponse)
    assert client.status(client.frames.tree_disconnect()) is NtStatus.NETWORK_SESSION_EXPIRED
    client.ok(client.frames.logoff(), LogoffResponse)


def test_a_refusal_of_an_expired_session_is_signed(client: Client) -> None:
    expire(client)
    assert client.call(client.frames.create()).header.flags & SIGNED


# -- signature ---------------------------------------------------------------------------


def required(engine: Engine, *dialects: int) -> Client:
    """A client that insists on signing."""
    client = Client(engine)
    client.negotiate(*dialects)
    client.log_on(security_mode=SIGNING_REQUIRED)
    client.connect()
    return client


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_unsigned_request_is_refused_where_signing_is_required(
    engine: Engine, dialect: int
) -> None:
    client = required(engine, dialect)
    response = client.call(client.frames.create(sign=False))
    assert response.status is NtStatus.ACCESS_DENIED
    assert response.header.flags & SIGNED


@pytest.mark.parametrize("signing", [(2,), (1,), (0,), ()])
def test_every_algorithm_of_3_1_1_signs_both_ways(engine: Engine, signing: tuple[int, ...]) -> None:
    client = Client(engine)
    client.negotiate(signing=signing)
    assert client.algorithm == (signing or (1,))[0]
    client.log_on(security_mode=SIGNING_REQUIRED)
    client.connect()
    file = client.open("file")
    client.call(file.frames.write(bytes(100_000)))
    response = client.call(file.frames.read(100_000))
    assert response.header.flags & SIGNED
    assert len(response.data) == 100_000


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_signs_both_ways(engine: Engine, dialect: int) -> None:
    client = required(engine, dialect)
    file = client.open("file")
    assert file.response.header.flags & SIGNED
    assert client.status(file.frames.write(b"data")) is NtStatus.SUCCESS
    assert client.call(file.frames.read(4)).header.flags & SIGNED


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("at", [4, 8, 14, 30, 36, 48, 63, 64, 100])
def test_any_changed_byte_is_refused(engine: Engine, dialect: int, at: int) -> None:
    client = required(engine, dialect)
    packed = client.pack(client.frames.create("new"))
    packed[at] ^= 0x80
    responses = client.raw(packed)
    assert client.closed or [r.status for r in responses] != [NtStatus.SUCCESS]
    assert list(engine.folder.iterdir()) == []


def test_a_wrong_signature_is_refused_even_where_none_is_needed(client: Client) -> None:
    packed = client.pack(client.frames.create("new"))
    packed[SIGNATURE_OFFSET] ^= 1
    assert [r.status for r in client.raw(packed)] == [NtStatus.ACCESS_DENIED]


def test_a_signature_of_another_session_is_refused(client: Client) -> None:
    first = client.frames.session_id
    second = client.log_on("jane", "Secret!", use=False)
    frame = client.frames.create("new")
    client.sessions[first], kept = second, client.sessions[first]
    packed = client.pack(frame)
    client.sessions[first] = kept
    assert [r.status for r in client.raw(packed)] == [NtStatus.ACCESS_DENIED]


def test_an_unsigned_request_is_answered_unsigned_where_signing_is_optional(client: Client) -> None:
    response = client.call(client.frames.create(sign=False))
    assert response.status is NtStatus.SUCCESS
    assert not response.header.flags & SIGNED


def test_the_server_can_insist_on_signing(folder: Any) -> None:
    client = ready(Engine(folder, signing=3))
    assert client.status(client.frames.create(sign=False)) is NtStatus.ACCESS_DENIED
    client.open("file")


def test_an_unsigned_echo_is_answered_where_signing_is_required(engine: Engine) -> None:
    client = required(engine)
    client.ok(client.frames.echo(sign=False, session_id=0), EchoResponse)


def test_signed_for_no_session_is_refused(client: Client) -> None:
    """The answer says that it is signed, too: some clients believe it only then."""
    frame = client.frames.create(header_flags=SIGNED, session_id=0x99, sign=False)
    response = client.call(frame)
    assert response.status is NtStatus.USER_SESSION_DELETED
    assert response.header.flags & SIGNED
    assert response.header.signature == bytes(16)
    unsigned = client.call(client.frames.create(session_id=0x99, sign=False))
    assert unsigned.status is NtStatus.USER_SESSION_DELETED
    assert not unsigned.header.flags & SIGNED


# -- tree --------------------------------------------------------------------------------


@pytest.mark.parametrize("tree_id", [0, 2, 0xFFFF_FFFE, 0xFFFF_FFFF])
def test_an_unknown_tree_is_refused(client: Client, tree_id: int) -> None:
    frame = client.frames.create(tree_id=tree_id)
    assert client.status(frame) is NtStatus.NETWORK_NAME_DELETED


def test_a_tree_of_another_session_is_refused(client: Client) -> None:
    client.log_on("jane", "Secret!")
    assert client.status(client.frames.create()) is NtStatus.NETWORK_NAME_DELETED


def test_an_open_of_another_tree_is_refused(client: Client) -> None:
    file = client.open("file")
    other = client.connect(use=False)
    assert client.status(file.frames.read(tree_id=other)) is NtStatus.FILE_CLOSED


def test_an_open_of_another_session_is_refused(client: Client) -> None:
    file = client.open("file")
    other = ready(client.engine)
    for frame in (other.frames.on(*file.ids).read(), other.frames.on(*file.ids).close()):
        assert other.status(frame) is NtStatus.FILE_CLOSED
    assert client.status(file.frames.close()) is NtStatus.SUCCESS


# -- body and charge ---------------------------------------------------------------------


@pytest.mark.parametrize("length", range(2, 56))
def test_a_create_cut_short_is_refused(client: Client, length: int) -> None:
    body = client.frames.create("").pack()[64 + 4 : 64 + length]
    cut = client.frames.echo(command=Command.CREATE, size=57, data=bytes(body))
    assert client.status(cut) is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("dialect", DIALECTS[1:])
def test_a_charge_that_does_not_cover_the_payload_is_refused(engine: Engine, dialect: int) -> None:
    client = ready(engine, dialect)
    file = client.open("file")
    for frame in (
        file.frames.read(65537, credit_charge=1),
        file.frames.read(65537, credit_charge=0),
        file.frames.write(bytes(65537), credit_charge=1),
        file.frames.query_info(output_buffer_length=65537),
        file.frames.query_directory(output_buffer_length=65537),
        file.frames.change_notify(output_buffer_length=65537),
        file.frames.ioctl(0x00140204, max_output_response=65537),
        file.frames.ioctl(0x00140204, max_input_response=32769, max_output_response=32768),
    ):
        assert client.status(frame) is NtStatus.INVALID_PARAMETER


def test_a_charge_of_zero_counts_as_one(client: Client) -> None:
    file = client.open("file")
    assert client.status(file.frames.write(bytes(65536), credit_charge=0)) is NtStatus.SUCCESS


def test_2_0_2_knows_no_charge(engine: Engine) -> None:
    client = ready(engine, 0x0202)
    file = client.open("file")
    assert client.status(file.frames.write(bytes(65536), credit_charge=7)) is NtStatus.SUCCESS
    assert client.status(file.frames.read(65536)) is NtStatus.SUCCESS


# -- the common case ---------------------------------------------------------------------


def test_the_common_case_and_the_ladder_agree(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unsigned commands with every session, tree, flag: decided the short way and the long way."""
    (client_side,) = client.sessions.values()
    client_side.signing = False
    (ours,) = client.connection.sessions.values()
    ours.signing_required = False
    changes: list[dict[str, int]] = [
        {},
        {"session_id": 7},
        {"session_id": 0},
        {"tree_id": client.frames.tree_id + 1},
        {"volatile_id": 7},
        {"header_flags": RELATED_OPERATIONS},
    ]

    def answers() -> list[NtStatus]:
        opened = client.open("file")
        asked = [client.status(opened.frames.query_info().set(**change)) for change in changes]
        return [*asked, client.status(client.frames.echo())]

    short = answers()
    monkeypatch.setattr(checks, "common", lambda work, spec: False)
    assert answers() == short
    assert len(set(short)) > 2
