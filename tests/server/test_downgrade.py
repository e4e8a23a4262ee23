"""Somebody on the way would like weaker algorithms: none of it goes unnoticed.

[MS-SMB2] 3.3.5.15.12 (VALIDATE_NEGOTIATE_INFO of 3.0 and 3.0.2), 3.3.5.4 and 3.3.5.5
(preauthentication integrity of 3.1.1).  And what the defaults of today's Windows ask for.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from ksmbd.state.settings import SigningPolicy
from ksmbd.wire import negotiate as wire
from ksmbd.wire.fsctl import (
    VALIDATE_NEGOTIATE_INFO,
    ValidateNegotiateInfoRequest,
    ValidateNegotiateInfoResponse,
)
from ksmbd.wire.header import HEADER_SIZE, NO_FILE, SIGNED
from ksmbd.wire.negotiate import (
    AES_128_CCM,
    AES_128_GCM,
    AES_256_CCM,
    AES_256_GCM,
    AES_GMAC,
    CAP_DIRECTORY_LEASING,
    CAP_ENCRYPTION,
    CAP_LARGE_MTU,
    CAP_LEASING,
    CAP_MULTI_CHANNEL,
    CAP_PERSISTENT_HANDLES,
    HMAC_SHA256,
    SIGNING_ENABLED,
    SIGNING_REQUIRED,
    SMB_3_0,
    SMB_3_0_2,
    SMB_3_1_1,
    NegotiateRequest,
    NegotiateResponse,
)
from ksmbd.wire.session_setup import ENCRYPT_DATA, SessionSetupResponse
from ksmbd.wire.status import NtStatus
from tests.auth import client as ntlm
from tests.support.client import DIALECTS, Client
from tests.support.engine import Engine
from tests.support.frames import CLIENT_GUID, Frame
from tests.support.replies import Response
from tests.support.sealing import SealingClient, encryption_contexts, sealing

OK: Final = NtStatus.SUCCESS
DENIED: Final = NtStatus.ACCESS_DENIED
SMB_3: Final = (SMB_3_0, SMB_3_0_2)


# -- 3.0 and 3.0.2 -----------------------------------------------------------------------


def validate(client: Client, *dialects: int, capabilities: int = CAP_ENCRYPTION) -> Frame:
    """What the client had sent in its NEGOTIATE, to be compared with what arrived."""
    said = ValidateNegotiateInfoRequest(
        capabilities=capabilities,
        guid=CLIENT_GUID,
        security_mode=SIGNING_ENABLED,
        dialect_count=len(dialects),
    )
    data = said.pack() + struct.pack(f"<{len(dialects)}H", *dialects)
    return client.frames.on(NO_FILE, NO_FILE).ioctl(VALIDATE_NEGOTIATE_INFO, data)


@pytest.mark.parametrize("dialect", SMB_3)
def test_the_answer_says_again_that_encryption_is_possible(engine: Engine, dialect: int) -> None:
    client = sealing(engine, (dialect, AES_128_CCM))
    response = client.call(validate(client, dialect))
    assert client.sealed == [True]
    body = ValidateNegotiateInfoResponse.unpack(response.data)
    assert body.capabilities & CAP_ENCRYPTION


@pytest.mark.parametrize("dialect", SMB_3)
def test_without_the_capability_bit_that_the_client_sent_the_connection_ends(
    engine: Engine, dialect: int
) -> None:
    client = SealingClient(engine)
    client.negotiate(dialect, capabilities=0)  # as it arrives
    client.log_on()
    client.connect()
    assert client.send(validate(client, dialect)) == []
    assert client.closed


def test_without_the_dialect_that_the_client_would_rather_have_the_connection_ends(
    engine: Engine,
) -> None:
    client = SealingClient(engine)
    client.negotiate(*DIALECTS[:-1])  # as it arrives
    client.log_on()
    client.connect()
    assert client.send(validate(client, *DIALECTS)) == []
    assert client.closed


# -- 3.1.1 -------------------------------------------------------------------------------


Contexts = list[tuple[int, bytes]]


def contexts_of(frame: Frame) -> Contexts:
    """The contexts of a NEGOTIATE that was made by the factory."""
    body = frame.body
    assert isinstance(body, NegotiateRequest)
    found = frame.data[body.negotiate_context_offset - HEADER_SIZE - body.SIZE :]
    return [(c.type, bytes(c.data)) for c in wire.contexts(found, body.negotiate_context_count)]


def other_context(type_: int, data: bytes) -> Callable[[Frame], None]:
    """Give one context of the request other data of the same length."""

    def change(frame: Frame) -> None:
        contexts = contexts_of(frame)
        changed = wire.pack_contexts([(t, data if t == type_ else old) for t, old in contexts])
        frame.data = frame.data[: -len(changed)] + changed

    return change


def no_capabilities(frame: Frame) -> None:
    frame.set(capabilities=0)


TAMPERING: Final = {
    "a weaker cipher": other_context(
        wire.ENCRYPTION_CAPABILITIES, wire.Encryption((AES_128_CCM, AES_256_CCM)).pack()
    ),
    "a cipher nobody has": other_context(
        wire.ENCRYPTION_CAPABILITIES, wire.Encryption((77, 78)).pack()
    ),
    "a slower signature": other_context(
        wire.SIGNING_CAPABILITIES, wire.Signing((HMAC_SHA256, HMAC_SHA256)).pack()
    ),
    "no capabilities": no_capabilities,
}


@pytest.mark.parametrize("name", TAMPERING)
def test_a_changed_request_leaves_the_two_sides_without_a_common_key(
    engine: Engine, name: str
) -> None:
    client = SealingClient(engine, ciphers=(AES_128_GCM, AES_256_GCM))
    frame = client.frames.negotiate(
        contexts=encryption_contexts(client.ciphers, (AES_GMAC, HMAC_SHA256)),
        capabilities=CAP_ENCRYPTION,
    )
    sent = client.pack(frame)
    TAMPERING[name](frame)
    arrived = frame.pack()
    assert arrived != sent
    _agree(client, sent, client.raw(arrived))
    _assert_no_common_key(client)


@pytest.mark.parametrize("at", [HEADER_SIZE + 2, HEADER_SIZE + 24, HEADER_SIZE + 28, 100])
def test_a_changed_response_leaves_the_two_sides_without_a_common_key(
    engine: Engine, at: int
) -> None:
    """SecurityMode, Capabilities, MaxTransactSize, ..."""
    client = SealingClient(engine)
    sent = client.pack(
        client.frames.negotiate(SMB_3_1_1, contexts=encryption_contexts(client.ciphers))
    )
    engine.receive(client.connection, bytearray(sent))
    (pdu,) = client.transport.take()
    changed = bytearray(pdu)
    changed[at] ^= 0x40
    client.transport._pdus = [bytes(changed)]
    _agree(client, sent, client.receive())
    _assert_no_common_key(client)


def _agree(client: SealingClient, sent: bytes | bytearray, responses: list[Response]) -> None:
    """The client goes on with what it sent and what it received."""
    (response,) = responses
    client.sent = bytes(sent)
    client._agreed(response, response.body(NegotiateResponse))


def _assert_no_common_key(client: SealingClient) -> None:
    with pytest.raises(AssertionError, match="wrong signature"):
        client.log_on()
    (session,) = client.engine.server.sessions.values()
    frame = client.frames.tree_connect(session_id=session.session_id, sign=True)
    client.engine.receive(client.connection, client.pack(frame))
    assert not session.trees


# -- what Windows 11 24H2 does of its own ------------------------------------------------


def windows_11(engine: Engine) -> SealingClient:
    client = SealingClient(engine, ciphers=(AES_256_GCM, AES_128_GCM, AES_256_CCM, AES_128_CCM))
    client.negotiate(
        security_mode=SIGNING_ENABLED | SIGNING_REQUIRED,
        capabilities=CAP_LEASING | CAP_LARGE_MTU | CAP_MULTI_CHANNEL | CAP_PERSISTENT_HANDLES
        | CAP_DIRECTORY_LEASING | CAP_ENCRYPTION,
    )  # fmt: skip
    return client


def test_it_signs_everything_and_encrypts_nothing_out_of_the_box(engine: Engine) -> None:
    client = windows_11(engine)
    client.sealing = False
    session = client.log_on(security_mode=SIGNING_ENABLED | SIGNING_REQUIRED)
    last = session.responses[-1]
    assert last.header.flags & SIGNED
    assert not last.body(SessionSetupResponse).session_flags & ENCRYPT_DATA
    client.connect()
    assert client.call(client.frames.create("new")).header.flags & SIGNED
    assert client.status(client.frames.create("other", sign=False)) is DENIED
    assert client.algorithm == AES_GMAC
    assert client.cipher == AES_128_GCM


def test_nobody_is_made_a_guest_out_of_the_box(engine: Engine) -> None:
    """Windows 11 24H2 refuses to be one."""
    client = windows_11(engine)
    refused = client.try_log_on(ntlm.Client("stranger"), security_mode=SIGNING_REQUIRED)
    assert refused.responses[-1].status is NtStatus.LOGON_FAILURE


@pytest.mark.parametrize("policy", [SigningPolicy.DISABLED, SigningPolicy.AUTO])
def test_whatever_the_server_prefers_a_client_can_insist_on_signing(
    folder: Path, policy: SigningPolicy
) -> None:
    client = Client(Engine(folder, signing=policy))
    body = client.negotiate(security_mode=SIGNING_ENABLED | SIGNING_REQUIRED)
    assert body.security_mode == SIGNING_ENABLED
    client.log_on(security_mode=SIGNING_REQUIRED)
    client.connect()
    assert client.status(client.frames.create("new", sign=False)) is DENIED
    assert client.status(client.frames.create("new")) is OK


def test_where_signing_is_mandatory_no_client_can_do_without(folder: Path) -> None:
    client = Client(Engine(folder, signing=SigningPolicy.MANDATORY))
    assert client.negotiate().security_mode == SIGNING_ENABLED | SIGNING_REQUIRED
    client.log_on()
    client.connect()
    assert client.status(client.frames.create("new", sign=False)) is DENIED
