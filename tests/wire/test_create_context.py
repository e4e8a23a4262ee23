"""Create contexts."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.wire import create_context
from ksmbd.wire.base import Wire, WireError
from ksmbd.wire.create_context import (
    AAPL_READ_DIR_ATTR,
    AAPL_UNIX_BASED,
    AAPL_VOLUME_CASE_SENSITIVE,
    AaplQuery,
    AaplReply,
    AllocationSize,
    AppInstanceId,
    AppInstanceVersion,
    CreateContext,
    DurableHandleReconnect,
    DurableHandleReconnectV2,
    DurableHandleRequest,
    DurableHandleRequestV2,
    DurableHandleResponse,
    DurableHandleResponseV2,
    MaximalAccessRequest,
    MaximalAccessResponse,
    OnDiskIdResponse,
    PosixRequest,
    RequestLease,
    RequestLeaseV2,
    TimewarpToken,
    contexts,
    pack_contexts,
    unpack_exact,
    unpack_lease,
)
from tests.wire.vectors import check, name

KEY = bytes(range(16))
KEYH = "000102030405060708090a0b0c0d0e0f"
FILE_ID = "140400000c000000 510010000c000000"
PERSISTENT, VOLATILE = 0x0000000C00000414, 0x0000000C00100051

VECTORS = [
    (DurableHandleRequest(), "00" * 16),
    (DurableHandleResponse(), "00" * 8),
    (DurableHandleReconnect(persistent_id=PERSISTENT, volatile_id=VOLATILE), FILE_ID),
    (
        DurableHandleRequestV2(timeout=60000, flags=2, create_guid=KEY),
        f"60ea0000 02000000 0000000000000000 {KEYH}",
    ),
    (DurableHandleResponseV2(timeout=60000, flags=2), "60ea0000 02000000"),
    (
        DurableHandleReconnectV2(
            persistent_id=PERSISTENT, volatile_id=VOLATILE, create_guid=KEY, flags=2
        ),
        f"{FILE_ID} {KEYH} 02000000",
    ),
    (MaximalAccessRequest(timestamp=5), "0500000000000000"),
    (MaximalAccessResponse(query_status=0, maximal_access=0x1F01FF), "00000000 ff011f00"),
    (AllocationSize(allocation_size=0x100000), "0000100000000000"),
    (TimewarpToken(timestamp=0x01D0F1E2D3C4B5A6), "a6b5c4d3e2f1d001"),
    (
        OnDiskIdResponse(disk_file_id=0x1234, volume_id=0x5678),
        "3412000000000000 7856000000000000" + " 00" * 16,
    ),
    (RequestLease(lease_key=KEY, lease_state=7), f"{KEYH} 07000000 00000000 0000000000000000"),
    (
        RequestLeaseV2(
            lease_key=KEY, lease_state=3, lease_flags=4, parent_lease_key=KEY[::-1], epoch=1
        ),
        f"{KEYH} 03000000 04000000 0000000000000000 0f0e0d0c0b0a09080706050403020100 0100 0000",
    ),
    (AppInstanceId(app_instance_id=KEY), f"1400 0000 {KEYH}"),
    (
        AppInstanceVersion(app_instance_version_high=1, app_instance_version_low=2),
        "1800 0000 00000000 0100000000000000 0200000000000000",
    ),
    (PosixRequest(mode=0o644), "a4010000"),
    (AaplQuery(request_bitmap=7), "01000000 00000000 0700000000000000 0000000000000000"),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)


@pytest.mark.parametrize("value", [value for value, _ in VECTORS], ids=name)
def test_data_of_another_length_is_refused(value: Wire) -> None:
    raw = value.pack()
    assert unpack_exact(type(value), raw) == value
    for wrong in (raw[:-1], raw + b"\0", b""):
        with pytest.raises(WireError):
            unpack_exact(type(value), wrong)


TWO = (
    "20000000 1000 0400 0000 1800 08000000 4d784163 00000000 0500000000000000"  # MxAc
    " 00000000 1000 0400 0000 0000 00000000 51466964"  # QFid, no data
)
GUID_CONTEXT = f"00000000 1000 1000 0000 2000 04000000 {create_context.POSIX.hex()} a4010000"


def test_a_chain_of_contexts() -> None:
    raw = bytes.fromhex(TWO)
    items = [(b"MxAc", struct.pack("<Q", 5)), (b"QFid", b"")]
    assert pack_contexts(items) == raw
    assert [(c.name, bytes(c.data)) for c in contexts(raw)] == items


def test_a_guid_names_a_context() -> None:
    raw = bytes.fromhex(GUID_CONTEXT)
    assert pack_contexts([(create_context.POSIX, struct.pack("<I", 0o644))]) == raw
    assert next(contexts(raw)).name.hex() == "93ad25509cb411e7b42383de968bcd7c"


def test_no_bytes_are_no_contexts() -> None:
    assert list(contexts(b"")) == []
    assert pack_contexts([]) == b""


def one(
    next_: int = 0, name_at: int = 16, name: int = 4, data_at: int = 24, data: int = 8
) -> bytes:
    head = struct.pack("<IHHHHI", next_, name_at, name, 0, data_at, data)
    return head + b"MxAc" + bytes(12)


def test_the_refused_contexts_are_otherwise_good() -> None:
    assert list(contexts(one())) == [CreateContext(b"MxAc", bytes(8))]
    assert list(contexts(one(data_at=20))) == [CreateContext(b"MxAc", bytes(8))]
    assert len(list(contexts(one(32) + one()))) == 2


@pytest.mark.parametrize(
    "raw",
    [
        one()[:15],
        one()[:31],
        one(name_at=15),
        one(name_at=0),
        one(name=3),
        one(name=0),
        one(name=17),
        one(name_at=0xFFFF),
        one(data_at=19),  # overlaps the name
        one(data_at=0),
        one(data_at=25),
        one(data=9),
        one(data=0xFFFF_FFFF),
        one(data_at=0xFFFF),
        one(30) + one(),  # unaligned
        one(8) + one(),  # into itself
        one(16)[:16] + one(),  # the name is not in its own context
        one(32),  # the end
        one(64) + one(),  # past the end
        one(24) + one(),  # the data is cut off
        one(0xFFFF_FFF8) + one(),
    ],
)
def test_a_bad_chain_is_refused(raw: bytes) -> None:
    with pytest.raises(WireError):
        list(contexts(raw))


TAGS = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))


@given(st.lists(st.tuples(TAGS, st.binary(max_size=60))))
def test_contexts_survive(items: list[tuple[bytes, bytes]]) -> None:
    raw = pack_contexts(items)
    assert [(c.name, bytes(c.data)) for c in contexts(raw)] == items


@given(st.binary(max_size=100))
def test_any_bytes_give_contexts_or_a_wire_error(raw: bytes) -> None:
    try:
        list(contexts(raw))
    except WireError:
        pass


def test_the_length_tells_the_version_of_a_lease() -> None:
    first = RequestLease(lease_key=KEY, lease_state=1)
    second = RequestLeaseV2(lease_key=KEY, lease_state=1, epoch=9)
    assert unpack_lease(first.pack()) == first
    assert unpack_lease(second.pack()) == second


@pytest.mark.parametrize("size", [0, 31, 33, 51, 53])
def test_a_lease_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(WireError):
        unpack_lease(bytes(size))


REPLY = (
    "01000000 00000000 0700000000000000 0500000000000000 0200000000000000"
    " 00000000 06000000 4d00 6100 6300"
)


def test_an_aapl_reply_has_its_parts_in_the_order_of_their_bits() -> None:
    reply = AaplReply(AAPL_READ_DIR_ATTR | AAPL_UNIX_BASED, AAPL_VOLUME_CASE_SENSITIVE, "Mac")
    raw = bytes.fromhex(REPLY)
    assert reply.pack() == raw
    assert AaplReply.unpack(raw) == reply
    for length in range(len(raw)):
        with pytest.raises(WireError):
            AaplReply.unpack(raw[:length])


def test_an_aapl_reply_leaves_out_what_was_not_asked() -> None:
    reply = AaplReply(volume_capabilities=0)
    assert reply.pack() == bytes.fromhex("01000000 00000000 0200000000000000 0000000000000000")
    assert AaplReply.unpack(reply.pack()) == reply


def test_another_aapl_command_is_refused() -> None:
    with pytest.raises(WireError):
        AaplReply.unpack(bytes.fromhex("02000000 00000000 0000000000000000"))
