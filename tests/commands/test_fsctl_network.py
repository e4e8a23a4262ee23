"""commands/fsctl_network.py through the engine, [MS-SMB2] 3.3.5.15.12."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from ksmbd.wire.fsctl import (
    VALIDATE_NEGOTIATE_INFO,
    ValidateNegotiateInfoRequest,
    ValidateNegotiateInfoResponse,
)
from ksmbd.wire.header import NO_FILE
from ksmbd.wire.negotiate import SIGNING_ENABLED
from ksmbd.wire.status import NtStatus
from tests.support.client import DIALECTS, Client, ready
from tests.support.engine import Engine
from tests.support.frames import CLIENT_GUID, Frame


def info(
    client: Client, *dialects: int, mode: int = SIGNING_ENABLED, guid: bytes = CLIENT_GUID,
    capabilities: int = 0, **changes: Any,
) -> Frame:  # fmt: skip
    """What a client says it had sent in its NEGOTIATE."""
    said = ValidateNegotiateInfoRequest(
        capabilities=capabilities, guid=guid, security_mode=mode, dialect_count=len(dialects)
    )
    data = said.pack() + struct.pack(f"<{len(dialects)}H", *dialects)
    frames = client.frames.on(NO_FILE, NO_FILE)
    return frames.ioctl(VALIDATE_NEGOTIATE_INFO, data, **changes)


@pytest.mark.parametrize("dialect", DIALECTS[:-1])
def test_what_was_negotiated_is_said_again(engine: Engine, dialect: int) -> None:
    client = ready(engine, dialect)
    response = client.call(info(client, dialect))
    assert response.status is NtStatus.SUCCESS
    body = ValidateNegotiateInfoResponse.unpack(response.data)
    assert len(response.data) == 24
    assert body.guid == engine.server.guid
    assert body.dialect == dialect
    assert body.security_mode == client.connection.server_security_mode
    assert body.capabilities == client.connection.server_capabilities


def test_several_dialects_choose_the_same_again(engine: Engine) -> None:
    client = ready(engine, 0x0202, 0x0210, 0x0300, 0x0302)
    response = client.call(info(client, 0x0202, 0x0210, 0x0300, 0x0302))
    assert response.status is NtStatus.SUCCESS


@pytest.mark.parametrize(
    "change",
    [
        {"mode": 0},
        {"mode": 3},
        {"guid": bytes(16)},
        {"capabilities": 1},
        {"capabilities": 0xFFFF_FFFF},
    ],
)
def test_a_difference_ends_the_connection(engine: Engine, change: dict[str, Any]) -> None:
    client = ready(engine, 0x0302)
    assert client.send(info(client, 0x0302, **change)) == []
    assert client.closed
    engine.assert_idle()


@pytest.mark.parametrize("dialects", [(0x0300,), (0x0302, 0x0311), (), (0x9999,)])
def test_other_dialects_end_the_connection(engine: Engine, dialects: tuple[int, ...]) -> None:
    """Somebody has taken the better dialect out on the way."""
    client = ready(engine, 0x0302)
    assert client.send(info(client, *dialects)) == []
    assert client.closed


def test_on_3_1_1_it_ends_the_connection(client: Client) -> None:
    assert client.send(info(client, 0x0311)) == []
    assert client.closed


@pytest.mark.parametrize("limit", [0, 23])
def test_no_room_for_the_answer_is_refused(engine: Engine, limit: int) -> None:
    client = ready(engine, 0x0302)
    frame = info(client, 0x0302, max_output_response=limit)
    assert client.status(frame) is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("count", [2, 100, 0xFFFF])
def test_more_dialects_than_the_input_has_are_refused(engine: Engine, count: int) -> None:
    client = ready(engine, 0x0302)
    frame = info(client, 0x0302)
    data = bytearray(frame.data)
    struct.pack_into("<H", data, 22, count)
    assert client.status(frame.set(data=bytes(data))) is NtStatus.INVALID_PARAMETER
