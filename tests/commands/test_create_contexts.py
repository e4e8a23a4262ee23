"""commands/create_contexts.py through the engine, [MS-SMB2] 2.2.13.2 and 3.3.5.9.1 on."""

from __future__ import annotations

import os
import struct
from typing import Any

import pytest

from ksmbd.wire import create_context as wire
from ksmbd.wire.access import (
    FILE_ALL_ACCESS,
    FILE_DIRECTORY_FILE,
    FILE_NO_EA_KNOWLEDGE,
    FILE_OPEN,
    FILE_READ_ATTRIBUTES,
)
from ksmbd.wire.create import CreateRequest, CreateResponse
from ksmbd.wire.file_chains import pack_full_eas
from ksmbd.wire.status import NtStatus
from tests.support.client import DIALECTS, Client, ready
from tests.support.engine import Engine

OK = NtStatus.SUCCESS
INVALID = NtStatus.INVALID_PARAMETER
NOT_FOUND = NtStatus.OBJECT_NAME_NOT_FOUND
NONE_MAPPED = 0xC0000073

GUID = bytes(range(16))
MXAC = wire.QUERY_MAXIMAL_ACCESS
QFID = wire.QUERY_ON_DISK_ID


def status(client: Client, *contexts: tuple[bytes, bytes], **changes: Any) -> NtStatus:
    return client.status(client.frames.create("new", contexts=contexts, **changes))


def answers(client: Client, *contexts: tuple[bytes, bytes], **changes: Any) -> dict[bytes, bytes]:
    response = client.call(client.frames.create("new", contexts=contexts, **changes))
    assert response.status is OK, response
    if not response.body(CreateResponse).create_contexts_length:
        return {}
    return response.contexts()


# -- answers -----------------------------------------------------------------------------


def test_without_contexts_there_is_no_answer(client: Client) -> None:
    response = client.call(client.frames.create("new"))
    body = response.body(CreateResponse)
    assert (body.create_contexts_offset, body.create_contexts_length) == (0, 0)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_maximal_access_and_file_id(engine: Engine, dialect: int) -> None:
    client = ready(engine, dialect)
    found = answers(client, (MXAC, b""), (QFID, b""))
    assert list(found) == [MXAC, QFID]
    maximal = wire.MaximalAccessResponse.unpack(found[MXAC])
    assert (maximal.query_status, maximal.maximal_access) == (0, FILE_ALL_ACCESS)
    ids = wire.OnDiskIdResponse.unpack(found[QFID])
    assert ids.disk_file_id == (engine.folder / "new").stat().st_ino
    assert ids.volume_id != 0


def test_the_volume_is_the_same_for_every_tree(client: Client) -> None:
    first = wire.OnDiskIdResponse.unpack(answers(client, (QFID, b""))[QFID])
    client.connect()
    second = wire.OnDiskIdResponse.unpack(answers(client, (QFID, b""))[QFID])
    assert first == second


def test_maximal_access_is_told_whatever_was_granted(client: Client) -> None:
    client.open("new")
    found = answers(client, (MXAC, b""), desired_access=FILE_READ_ATTRIBUTES)
    assert wire.MaximalAccessResponse.unpack(found[MXAC]).maximal_access == FILE_ALL_ACCESS


def test_maximal_access_on_a_read_only_share(engine: Engine) -> None:
    engine.make_file("new")
    client = ready(engine, share="ro")
    found = answers(
        client, (MXAC, b""), desired_access=FILE_READ_ATTRIBUTES, create_disposition=FILE_OPEN
    )
    assert wire.MaximalAccessResponse.unpack(found[MXAC]).maximal_access == 0x001200A9


def test_maximal_access_is_not_told_to_who_knows_it(client: Client) -> None:
    written = client.ok(client.frames.create("new"), CreateResponse).last_write_time
    found = answers(client, (MXAC, struct.pack("<Q", written)))
    assert wire.MaximalAccessResponse.unpack(found[MXAC]).query_status == NONE_MAPPED
    found = answers(client, (MXAC, struct.pack("<Q", written + 1)))
    assert wire.MaximalAccessResponse.unpack(found[MXAC]).query_status == 0


def test_unknown_contexts_and_features_not_offered_are_ignored(client: Client) -> None:
    lease = wire.RequestLease(lease_key=GUID, lease_state=7).pack()
    second = wire.RequestLeaseV2(lease_key=GUID, lease_state=7).pack()
    durable = wire.DurableHandleRequestV2(timeout=0, flags=0, create_guid=GUID).pack()
    for context in (
        (b"XXXX", b"whatever"),
        (b"a long name", b""),
        (wire.POSIX, struct.pack("<I", 0o644)),
        (wire.REQUEST_LEASE, lease),
        (wire.REQUEST_LEASE, second),
        (wire.DURABLE_HANDLE_REQUEST, bytes(16)),
        (wire.DURABLE_HANDLE_REQUEST_V2, durable),
        (wire.AAPL, bytes(24)),
        (wire.APP_INSTANCE_ID, bytes(20)),
    ):
        assert answers(client, context) == {}


def test_the_first_of_two_equal_contexts_counts(client: Client) -> None:
    found = answers(client, (QFID, b""), (QFID, b""), (MXAC, b""), (MXAC, b""))
    assert list(found) == [MXAC, QFID]


def test_a_thousand_contexts_are_just_many(client: Client) -> None:
    assert answers(client, *[(b"NONE", b"")] * 1000, (QFID, b"")).keys() == {QFID}


def test_space_is_reserved_for_a_new_file(client: Client) -> None:
    response = client.call(
        client.frames.create("new", contexts=[(wire.ALLOCATION_SIZE, struct.pack("<Q", 1 << 20))])
    )
    body = response.body(CreateResponse)
    assert body.allocation_size >= 1 << 20
    assert body.end_of_file == 0


def test_more_space_than_there_is_is_refused_and_leaves_nothing(client: Client) -> None:
    for size in (1 << 62, (1 << 63) - 1, (1 << 64) - 1):
        context = (wire.ALLOCATION_SIZE, struct.pack("<Q", size))
        assert status(client, context) in {NtStatus.DISK_FULL, INVALID}
        assert os.listdir(client.engine.folder) == []
    assert len(client.engine.server.opens) == 0


def test_space_for_a_directory_means_nothing(client: Client) -> None:
    context = (wire.ALLOCATION_SIZE, struct.pack("<Q", 1 << 20))
    assert status(client, context, create_options=FILE_DIRECTORY_FILE) is OK


def test_a_new_file_gets_its_extended_attributes(client: Client) -> None:
    packed, _ = pack_full_eas([("COLOUR", b"red"), ("SIZE", b"\0\1")])
    assert status(client, (wire.EA_BUFFER, packed)) is OK
    path = client.engine.folder / "new"
    found = {name.upper() for name in os.listxattr(path)}
    assert {"USER.COLOUR", "USER.SIZE"} <= found


# -- refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "context",
    [
        (wire.ALLOCATION_SIZE, b""),
        (wire.ALLOCATION_SIZE, bytes(7)),
        (wire.ALLOCATION_SIZE, bytes(9)),
        (wire.QUERY_MAXIMAL_ACCESS, bytes(4)),
        (wire.QUERY_MAXIMAL_ACCESS, bytes(16)),
        (wire.TIMEWARP_TOKEN, b""),
        (wire.TIMEWARP_TOKEN, bytes(4)),
        (wire.DURABLE_HANDLE_REQUEST, b""),
        (wire.DURABLE_HANDLE_REQUEST, bytes(15)),
        (wire.DURABLE_HANDLE_RECONNECT, bytes(15)),
        (wire.DURABLE_HANDLE_REQUEST_V2, bytes(31)),
        (wire.DURABLE_HANDLE_RECONNECT_V2, bytes(35)),
        (wire.REQUEST_LEASE, b""),
        (wire.REQUEST_LEASE, bytes(31)),
        (wire.REQUEST_LEASE, bytes(33)),
        (wire.REQUEST_LEASE, bytes(51)),
        (wire.REQUEST_LEASE, bytes(53)),
        (wire.SD_BUFFER, b""),
        (wire.SD_BUFFER, b"\1\0\4\x80" + bytes(12)),
        (wire.SD_BUFFER, b"\x09" + bytes(19)),
        (wire.SD_BUFFER, b"\1\0\4\x80" + bytes(12) + b"\xff\xff\xff\xff"),
        (wire.SD_BUFFER, b"\1\0\4\x80" + bytes(12) + b"\x14\0\0\0" + b"\2\0\x08\0\xff\xff\0\0"),
        (wire.EA_BUFFER, bytes(7)),
        (wire.EA_BUFFER, b"\0\0\0\0\0\xff\0\0A\0"),
        (wire.EA_BUFFER, b"\0\0\0\0\0\1\xff\xffA\0"),
        (wire.EA_BUFFER, b"\0\0\0\0\0\1\0\0AA"),
        (wire.EA_BUFFER, b"\4\0\0\0\0\1\0\0A\0\0\0"),
        (wire.EA_BUFFER, b"\xfc\xff\xff\xff\0\1\0\0A\0\0\0"),
    ],
)
def test_malformed_data_is_refused_and_nothing_made(
    client: Client, context: tuple[bytes, bytes]
) -> None:
    assert status(client, context) is INVALID
    assert os.listdir(client.engine.folder) == []
    client.open("new")


def test_a_previous_version_is_not_there(client: Client) -> None:
    context = (wire.TIMEWARP_TOKEN, struct.pack("<Q", 116_444_736_000_000_000))
    assert status(client, context) is NOT_FOUND
    assert status(client, (wire.TIMEWARP_TOKEN, bytes(8))) is OK


def test_eas_of_who_knows_none_are_refused(client: Client) -> None:
    packed, _ = pack_full_eas([("A", b"1")])
    frame = status(client, (wire.EA_BUFFER, packed), create_options=FILE_NO_EA_KNOWLEDGE)
    assert frame is NtStatus.ACCESS_DENIED


@pytest.mark.parametrize(("name", "flags"), [("A*", 0), ("A", 1)])
def test_eas_that_no_file_has_are_refused_and_leave_no_file(
    client: Client, engine: Engine, name: str, flags: int
) -> None:
    packed = bytearray(pack_full_eas([(name, b"1")])[0])
    packed[4] = flags
    assert status(client, (wire.EA_BUFFER, bytes(packed))) is NtStatus.INVALID_EA_NAME
    assert not os.listdir(engine.folder)


RECONNECT = (wire.DURABLE_HANDLE_RECONNECT, bytes(16))
RECONNECT_V2 = (wire.DURABLE_HANDLE_RECONNECT_V2, bytes(36))
REQUEST = (wire.DURABLE_HANDLE_REQUEST, bytes(16))
REQUEST_V2 = (wire.DURABLE_HANDLE_REQUEST_V2, bytes(32))


@pytest.mark.parametrize("context", [RECONNECT, RECONNECT_V2])
def test_there_is_no_durable_handle_to_reconnect_to(
    client: Client, context: tuple[bytes, bytes]
) -> None:
    client.open("new")
    assert status(client, context) is NOT_FOUND


@pytest.mark.parametrize(
    "pair",
    [
        (RECONNECT, RECONNECT_V2),
        (RECONNECT, REQUEST_V2),
        (RECONNECT_V2, REQUEST),
        (RECONNECT_V2, REQUEST_V2),
    ],
)
def test_contradictory_durable_contexts_are_refused(
    client: Client, pair: tuple[tuple[bytes, bytes], ...]
) -> None:
    assert status(client, *pair) is INVALID
    assert status(client, *reversed(pair)) is INVALID


# -- the chain ---------------------------------------------------------------------------


def chained(client: Client, raw: bytes, *, length: int | None = None) -> NtStatus:
    """A CREATE with these bytes for its contexts."""
    frame = client.frames.create("new", contexts=[(QFID, b"")])
    assert isinstance(frame.body, CreateRequest)
    start = frame.body.create_contexts_offset - 64 - CreateRequest.SIZE
    frame.data = frame.data[:start] + raw
    frame.body.create_contexts_length = len(raw) if length is None else length
    return client.status(frame)


def context(
    next_: int = 0,
    name: bytes = b"QFid",
    data: bytes = b"",
    *,
    name_at: int = 16,
    name_length: int | None = None,
    data_at: int | None = None,
    data_length: int | None = None,
) -> bytes:
    """One context, every number of whose header can lie."""
    where = -(-(16 + len(name)) // 8) * 8
    head = struct.pack(
        "<IHHHHI",
        next_,
        name_at,
        len(name) if name_length is None else name_length,
        0,
        (where if data else 0) if data_at is None else data_at,
        len(data) if data_length is None else data_length,
    )
    body = head + name
    return body + bytes(where - len(body)) + data if data else body


@pytest.mark.parametrize(
    "raw",
    [
        context()[:15],
        context()[:3],
        context(next_=1),
        context(next_=8),
        context(next_=16),
        context(next_=20),
        context(next_=24),
        context(next_=0xFFFF_FFF8),
        context(next_=24) + bytes(4) + b"\0" * 15,
        context(name_length=0),
        context(name_length=3),
        context(name_length=5),
        context(name_length=0xFFFF),
        context(name_at=0),
        context(name_at=15),
        context(name_at=17),
        context(name_at=0xFFFF),
        context(data=bytes(8), data_at=0),
        context(data=bytes(8), data_at=16),
        context(data=bytes(8), data_at=25),
        context(data=bytes(8), data_at=0xFFFF),
        context(data=bytes(8), data_length=9),
        context(data=bytes(8), data_length=0xFFFF_FFFF),
        context(data_at=0, data_length=1),
        bytes(24),
    ],
)
def test_a_chain_that_lies_is_refused(client: Client, raw: bytes) -> None:
    assert chained(client, raw) is INVALID
    assert os.listdir(client.engine.folder) == []


def test_a_chain_that_goes_round_is_refused(client: Client) -> None:
    raw = bytearray(context(next_=24) + bytes(4) + context(next_=24) + bytes(4))
    assert chained(client, bytes(raw)) is INVALID


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 20), (64, 20), (119, 20), (128, 21), (136, 20), (0xFFFF_FFFF, 20), (128, 0xFFFF_FFFF)],
)
def test_contexts_outside_the_message_are_refused(client: Client, offset: int, length: int) -> None:
    frame = client.frames.create("new", contexts=[(QFID, b"")])
    frame.set(create_contexts_offset=offset, create_contexts_length=length)
    assert client.status(frame) is INVALID


def test_an_offset_without_a_length_means_nothing(client: Client) -> None:
    frame = client.frames.create("new", create_contexts_offset=0xFFFF_FFFF)
    assert client.status(frame) is OK


@pytest.mark.parametrize("cut", range(20))
def test_a_chain_cut_short_is_refused(client: Client, cut: int) -> None:
    raw = wire.pack_contexts([(MXAC, bytes(8)), (QFID, b"")])
    assert chained(client, raw[: len(raw) - 1 - cut]) is INVALID
