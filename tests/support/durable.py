"""Durable opens in the engine: asking for one, losing the connection, coming back for it."""

from __future__ import annotations

from typing import Any, Final

from ksmbd.wire import create_context as wire
from ksmbd.wire.create import OPLOCK_BATCH, OPLOCK_LEASE
from ksmbd.wire.negotiate import CAP_DIRECTORY_LEASING, CAP_PERSISTENT_HANDLES
from tests.support.client import Client, File
from tests.support.engine import Engine
from tests.support.replies import Response

RH: Final = wire.LEASE_READ | wire.LEASE_HANDLE
RWH: Final = RH | wire.LEASE_WRITE
GUID: Final = bytes(range(0x50, 0x60))
KEY: Final = bytes(range(1, 17))
HOME: Final = b"joe's own client"  # ClientGuid

Context = tuple[bytes, bytes]
V1: Final[Context] = (wire.DURABLE_HANDLE_REQUEST, bytes(16))


def v2(guid: bytes = GUID, *, timeout: int = 0, flags: int = 0) -> Context:
    """DH2Q; *timeout* in milliseconds."""
    asked = wire.DurableHandleRequestV2(timeout=timeout, flags=flags, create_guid=guid)
    return wire.DURABLE_HANDLE_REQUEST_V2, asked.pack()


def lease(level: int = RWH, key: bytes = KEY) -> Context:
    return wire.REQUEST_LEASE, wire.RequestLeaseV2(lease_key=key, lease_state=level).pack()


def lease_v1(level: int = RWH, key: bytes = KEY) -> Context:
    return wire.REQUEST_LEASE, wire.RequestLease(lease_key=key, lease_state=level).pack()


def back_v1(file: File) -> Context:
    """DHnC."""
    persistent_id, volatile_id = file.ids
    asked = wire.DurableHandleReconnect(persistent_id=persistent_id, volatile_id=volatile_id)
    return wire.DURABLE_HANDLE_RECONNECT, asked.pack()


def back_v2(file: File, guid: bytes = GUID, *, flags: int = 0) -> Context:
    """DH2C."""
    persistent_id, volatile_id = file.ids
    asked = wire.DurableHandleReconnectV2(
        persistent_id=persistent_id, volatile_id=volatile_id, create_guid=guid, flags=flags
    )
    return wire.DURABLE_HANDLE_RECONNECT_V2, asked.pack()


def connected(
    engine: Engine,
    *dialects: int,
    guid: bytes = HOME,
    user: str = "joe",
    share: str = "data",
    previous: int = 0,
) -> Client:
    """A client with a ClientGuid; *previous* is the session that it lost."""
    client = Client(engine)
    capabilities = CAP_DIRECTORY_LEASING | CAP_PERSISTENT_HANDLES
    client.negotiate(*dialects, client_guid=guid, capabilities=capabilities)
    password = engine.mountd.users[user].password
    client.log_on(user, password, previous_session_id=previous)
    client.connect(share)
    return client


def level_of(contexts: tuple[Context, ...]) -> int:
    """RequestedOplockLevel for these contexts."""
    names = {name for name, _ in contexts}
    return OPLOCK_LEASE if wire.REQUEST_LEASE in names else OPLOCK_BATCH


def ask(client: Client, *contexts: Context, name: str = "file", **changes: Any) -> Response:
    """A CREATE with these contexts; with a lease if there is one among them, else batch."""
    changes = {"requested_oplock_level": level_of(contexts)} | changes
    return client.call(client.frames.create(name, contexts=contexts, **changes))


def durable(client: Client, *contexts: Context, **changes: Any) -> File:
    """A durable open, by version 2 if nothing else is asked for."""
    response = ask(client, *(contexts or (v2(),)), **changes)
    file = client.file(response)
    granted = response.contexts()
    assert {wire.DURABLE_HANDLE_REQUEST, wire.DURABLE_HANDLE_REQUEST_V2} & set(granted)
    return file
