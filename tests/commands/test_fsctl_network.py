"""commands/fsctl_network.py through the engine, [MS-SMB2] 3.3.5.15.11 and .12."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from ksmbd.wire.fsctl import (
    QUERY_NETWORK_INTERFACE_INFO,
    RSS_CAPABLE,
    VALIDATE_NEGOTIATE_INFO,
    NetworkInterfaceInfo,
    ValidateNegotiateInfoRequest,
    ValidateNegotiateInfoResponse,
    pack_sockaddr,
)
from ksmbd.wire.header import NO_FILE
from ksmbd.wire.negotiate import CAP_MULTI_CHANNEL, SIGNING_ENABLED
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


# -- QUERY_NETWORK_INTERFACE_INFO --------------------------------------------------------


def interface(address: str, index: int) -> NetworkInterfaceInfo:
    return NetworkInterfaceInfo(
        if_index=index,
        capability=RSS_CAPABLE,
        link_speed=10**10,
        sock_addr_storage=pack_sockaddr(address).ljust(128, b"\0"),
    )


def asker(folder: Path, dialect: int, *, multichannel: bool = True, offers: bool = True) -> Client:
    engine = Engine(folder, multichannel=multichannel)
    by_address = {"192.0.2.1": [interface("192.0.2.1", 2), interface("2001:db8::1", 3)]}
    engine.server.interfaces = by_address.__getitem__
    client = Client(engine)
    client.negotiate(dialect, capabilities=CAP_MULTI_CHANNEL if offers else 0)
    client.log_on()
    client.connect("IPC$")
    return client


def question(client: Client, **changes: Any) -> Frame:
    return client.frames.on(NO_FILE, NO_FILE).ioctl(QUERY_NETWORK_INTERFACE_INFO, b"", **changes)


@pytest.mark.parametrize("dialect", [0x0300, 0x0302, 0x0311])
def test_the_interfaces_are_told_by_the_address_that_was_reached(
    folder: Path, dialect: int
) -> None:
    response = asker_reply(folder, dialect)
    assert response.status is NtStatus.SUCCESS
    assert len(response.data) == 2 * 152
    first = NetworkInterfaceInfo.unpack(response.data)
    second = NetworkInterfaceInfo.unpack(response.data, first.next)
    assert (first.next, first.if_index, second.next, second.if_index) == (152, 2, 0, 3)
    assert first.sock_addr_storage == pack_sockaddr("192.0.2.1").ljust(128, b"\0")


def asker_reply(folder: Path, dialect: int) -> Any:
    client = asker(folder, dialect)
    return client.call(question(client))


@pytest.mark.parametrize(
    ("dialect", "changes"),
    [(0x0210, {}), (0x0311, {"multichannel": False}), (0x0311, {"offers": False})],
)
def test_without_multichannel_nothing_is_told(
    folder: Path, dialect: int, changes: dict[str, bool]
) -> None:
    client = asker(folder, dialect, **changes)
    assert client.status(question(client)) is NtStatus.NOT_SUPPORTED


def test_too_little_room_for_the_interfaces_is_an_error(folder: Path) -> None:
    client = asker(folder, 0x0311)
    assert client.status(question(client, max_output_response=303)) is NtStatus.BUFFER_TOO_SMALL
    assert client.status(question(client, max_output_response=304)) is NtStatus.SUCCESS
