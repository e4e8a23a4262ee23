"""commands/smb1_negotiate.py through the engine, [MS-SMB2] 3.3.5.3."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ksmbd.wire.header import Command
from ksmbd.wire.negotiate import NegotiateResponse
from ksmbd.wire.status import NtStatus
from tests.support.client import Client
from tests.support.engine import Engine
from tests.support.replies import Response

OLD = ("PC NETWORK PROGRAM 1.0", "LANMAN1.0", "NT LM 0.12")


def smb1(*names: str, command: int = 0x72, words: int = 0, count: int | None = None) -> bytes:
    """An SMB_COM_NEGOTIATE, [MS-CIFS] 2.2.4.52.1."""
    data = b"".join(b"\2" + name.encode() + b"\0" for name in names)
    header = b"\xffSMB" + bytes((command,)) + bytes(27)
    body = struct.pack("<BH", words, len(data) if count is None else count)
    return header + body + data


def answer(client: Client, *names: str) -> Response:
    (response,) = client.raw(smb1(*names))
    client.next_id = 1
    return response


@pytest.fixture
def client(engine: Engine) -> Client:
    return Client(engine)


def test_the_wildcard_is_answered_with_the_wildcard(client: Client) -> None:
    response = answer(client, *OLD, "SMB 2.002", "SMB 2.???")
    body = response.body(NegotiateResponse)
    assert response.status is NtStatus.SUCCESS
    assert response.header.command == Command.NEGOTIATE
    assert response.header.message_id == 0
    assert body.dialect_revision == 0x02FF
    assert client.credits >= 1


def test_a_real_negotiate_may_follow_the_wildcard(client: Client) -> None:
    answer(client, "SMB 2.???")
    client.preauth = bytes(64)
    assert client.negotiate().dialect_revision == 0x0311
    client.log_on()
    client.connect()
    client.open("file")


def test_nothing_else_may_follow_the_wildcard(client: Client) -> None:
    answer(client, "SMB 2.???")
    client.send(client.frames.echo())
    assert client.closed


def test_2_002_alone_is_agreed_on_at_once(client: Client) -> None:
    response = answer(client, *OLD, "SMB 2.002")
    assert response.body(NegotiateResponse).dialect_revision == 0x0202
    client.dialect = 0x0202
    client.log_on()
    client.connect()
    client.open("file")


def test_smb1_twice_ends_the_connection(client: Client) -> None:
    answer(client, "SMB 2.???")
    client.raw(smb1("SMB 2.???"))
    assert client.closed


def test_smb1_after_2_002_ends_the_connection(client: Client) -> None:
    answer(client, "SMB 2.002")
    client.raw(smb1("SMB 2.002"))
    assert client.closed


@pytest.mark.parametrize("names", [(), OLD, ("SMB 2.003",), ("smb 2.002",)])
def test_no_smb2_ends_the_connection(client: Client, names: tuple[str, ...]) -> None:
    assert client.raw(smb1(*names)) == []
    assert client.closed


@pytest.mark.parametrize(
    "frame",
    [
        smb1("SMB 2.002", command=0x73),
        smb1("SMB 2.002", words=17),
        smb1("SMB 2.002", count=0xFFFF),
        smb1("SMB 2.002")[:-1],
        smb1("SMB 2.002")[:35],
        smb1("SMB 2.002")[:32],
        smb1("SMB 2.002")[:4],
        b"\xffSMB",
    ],
)
def test_a_malformed_request_ends_the_connection(client: Client, frame: bytes) -> None:
    assert client.raw(frame) == []
    assert client.closed


def test_the_administrator_can_do_without_2_002(folder: Path) -> None:
    client = Client(Engine(folder, min_dialect=0x0210))
    client.raw(smb1(*OLD, "SMB 2.002"))
    assert client.closed


def test_the_administrator_can_do_with_2_002_only(folder: Path) -> None:
    client = Client(Engine(folder, max_dialect=0x0202))
    response = answer(client, "SMB 2.???", "SMB 2.002")
    assert response.body(NegotiateResponse).dialect_revision == 0x0202
