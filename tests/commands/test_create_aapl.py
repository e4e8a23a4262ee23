"""commands/create_aapl.py through the engine: what Apple's clients agree on with the server."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ksmbd.ipc.requests import ShareConfig
from ksmbd.wire import create_context as wire
from ksmbd.wire import ipc
from ksmbd.wire.create import CreateResponse
from ksmbd.wire.create_context import AAPL, AaplReply
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, ready
from tests.support.engine import Engine
from tests.support.mountd import DISK, share

APPLE = DISK | ipc.SHARE_AAPL
SERVER = wire.AAPL_UNIX_BASED | wire.AAPL_OSX_COPYFILE | wire.AAPL_NFS_ACE
ALL = wire.AAPL_BIT_SERVER_CAPS | wire.AAPL_BIT_VOLUME_CAPS | wire.AAPL_BIT_MODEL_INFO


@pytest.fixture
def shares(folder: Path) -> list[ShareConfig]:
    return [
        share("data", str(folder), APPLE),
        share("exact", str(folder), APPLE | ipc.SHARE_CASE_SENSITIVE),
        share("backups", str(folder), APPLE | ipc.SHARE_TIME_MACHINE),
        share("plain", str(folder)),
        share("streamless", str(folder), APPLE & ~ipc.SHARE_STREAMS),
    ]


def query(bitmap: int = ALL, client_capabilities: int = 0, command: int = 1) -> bytes:
    return struct.pack("<IIQQ", command, 0, bitmap, client_capabilities)


def asked(client: Client, data: bytes) -> AaplReply | None:
    response = client.call(client.frames.create("", contexts=[(AAPL, data)]))
    assert response.status is NtStatus.SUCCESS, response
    if not response.body(CreateResponse).create_contexts_length:
        return None
    return AaplReply.unpack(response.contexts()[AAPL])


def test_a_mac_is_told_what_the_server_is(engine: Engine) -> None:
    client = ready(engine)
    found = asked(client, query(client_capabilities=0xFFFF))
    capabilities = SERVER | wire.AAPL_READ_DIR_ATTR
    assert found == AaplReply(capabilities, 0, "MacSamba")
    (session,) = engine.server.sessions.values()
    assert session.aapl == capabilities


def test_without_streams_listings_tell_nothing_of_them(engine: Engine) -> None:
    client = ready(engine, share="streamless")
    found = asked(client, query(client_capabilities=0xFFFF))
    assert found is not None
    assert found.server_capabilities == SERVER


@pytest.mark.parametrize(
    ("name", "capabilities"),
    [
        ("data", 0),
        ("exact", wire.AAPL_VOLUME_CASE_SENSITIVE),
        ("backups", wire.AAPL_VOLUME_FULL_SYNC),
    ],
)
def test_the_volume_is_as_the_share(engine: Engine, name: str, capabilities: int) -> None:
    found = asked(ready(engine, share=name), query())
    assert found is not None
    assert found.volume_capabilities == capabilities


@pytest.mark.parametrize(
    ("bit", "reply"),
    [
        (wire.AAPL_BIT_SERVER_CAPS, AaplReply(server_capabilities=SERVER)),
        (wire.AAPL_BIT_VOLUME_CAPS, AaplReply(volume_capabilities=0)),
        (wire.AAPL_BIT_MODEL_INFO, AaplReply(model="MacSamba")),
        (0, AaplReply()),
        (0x8, AaplReply()),
    ],
)
def test_only_what_is_asked_for_is_told(engine: Engine, bit: int, reply: AaplReply) -> None:
    assert asked(ready(engine), query(bit)) == reply


def test_nothing_is_agreed_on_without_asking_for_the_server(engine: Engine) -> None:
    asked(ready(engine), query(wire.AAPL_BIT_VOLUME_CAPS))
    (session,) = engine.server.sessions.values()
    assert session.aapl == 0


@pytest.mark.parametrize("data", [query(command=2), query(command=0), query()[:-1], query() + b"x"])
def test_another_request_is_refused(engine: Engine, data: bytes) -> None:
    """Looking names up by their file's id is command 2, which we do not offer."""
    client = ready(engine)
    frame = client.frames.create("", contexts=[(AAPL, data)])
    assert client.status(frame) is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("data", [query(), b"x"])
def test_elsewhere_the_context_is_one_nobody_knows(engine: Engine, data: bytes) -> None:
    assert asked(ready(engine, share="plain"), data) is None
