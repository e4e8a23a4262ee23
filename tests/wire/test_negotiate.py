"""NEGOTIATE and its contexts."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.wire import negotiate
from ksmbd.wire.base import Wire, WireError
from ksmbd.wire.header import Header
from ksmbd.wire.negotiate import (
    AES_128_CCM,
    AES_128_GCM,
    COMPRESSION_CHAINED,
    HMAC_SHA256,
    LZ77,
    POSIX_GUID,
    SHA_512,
    Compression,
    Encryption,
    NegotiateContext,
    NegotiateRequest,
    NegotiateResponse,
    NetName,
    PreauthIntegrity,
    RdmaTransform,
    Signing,
    Transport,
    contexts,
    offers_posix,
    pack_contexts,
    unpack_dialects,
)
from tests.wire.vectors import check, name

GUID = "ecd86f326276024f9f7752b89bb33f3a"
SALT = "fa49e6578f1f3a9f4cd3e9cc14a67aa884b3d05844e0e5a118225c15887f32ff"
VECTORS = [
    (
        NegotiateRequest(
            dialect_count=5,
            capabilities=0x3F,
            security_mode=0,
            client_guid=bytes.fromhex(GUID),
            negotiate_context_offset=0x70,
            negotiate_context_count=2,
        ),
        f"2400 0500 0000 0000 3f000000 {GUID} 70000000 0200 0000",
    ),
    (
        NegotiateResponse(
            security_mode=1,
            dialect_revision=0x0311,
            negotiate_context_count=2,
            server_guid=bytes.fromhex(GUID),
            capabilities=0x2F,
            max_transact_size=0x800000,
            max_read_size=0x800000,
            max_write_size=0x800000,
            system_time=0x01D0F1E2D3C4B5A6,
            security_buffer_length=0x60,
            negotiate_context_offset=0xE0,
        ),
        f"4100 0100 1103 0200 {GUID} 2f000000 00008000 00008000 00008000"
        " a6b5c4d3e2f1d001 0000000000000000 8000 6000 e0000000",
    ),
]

# What a Windows 10 client sent, from Microsoft's article on SMB 3.1.1 pre-authentication integrity
WINDOWS = (
    "fe534d42400001000000000000008000 00000000000000000100000000000000"
    "fffe0000000000000000000000000000 00000000000000000000000000000000"
    f"2400 0500 0000 0000 3f000000 {GUID} 70000000 0200 0000"
    " 0202 1002 0003 0203 1103 0000"
    f" 0100 2600 00000000 0100 2000 0100 {SALT} 0000"
    " 0200 0600 00000000 0200 0200 0100"
)


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)


def test_a_windows_client_is_understood() -> None:
    message = bytes.fromhex(WINDOWS)
    assert Header.parse(message).credits == 128
    request = NegotiateRequest.unpack(message, 64)
    dialects = unpack_dialects(message[64 + NegotiateRequest.SIZE :], request.dialect_count)
    assert dialects == (0x0202, 0x0210, 0x0300, 0x0302, 0x0311)
    area = message[request.negotiate_context_offset :]
    preauth, encryption = contexts(area, request.negotiate_context_count)
    assert preauth.type == negotiate.PREAUTH_INTEGRITY_CAPABILITIES
    assert PreauthIntegrity.unpack(preauth.data) == ((SHA_512,), bytes.fromhex(SALT))
    assert encryption.type == negotiate.ENCRYPTION_CAPABILITIES
    assert Encryption.unpack(encryption.data) == ((AES_128_GCM, AES_128_CCM),)
    assert pack_contexts([preauth, encryption]) == area


@pytest.mark.parametrize(("count", "size"), [(1, 1), (5, 9), (0xFFFF, 10)])
def test_fewer_dialects_than_counted_are_refused(count: int, size: int) -> None:
    with pytest.raises(WireError):
        unpack_dialects(bytes(size), count)


def test_dialects_before_the_contexts_are_read_alone() -> None:
    assert unpack_dialects(bytes.fromhex("0202 1103 ffff"), 2) == (0x0202, 0x0311)
    assert unpack_dialects(b"", 0) == ()


def context(type_: int, length: int, data: bytes) -> bytes:
    return struct.pack("<HHI", type_, length, 0) + data


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        (b"", 1),
        (context(1, 0, b"")[:7], 1),
        (context(1, 1, b""), 1),
        (context(1, 0xFFFF, b"x" * 100), 1),
        (context(1, 0, b""), 2),
        (context(1, 4, b"abcd") + b"\0\0\0" + context(2, 0, b""), 2),  # not aligned: too short
        (context(1, 4, b"abcd"), 0xFFFF),
    ],
)
def test_contexts_that_leave_the_buffer_are_refused(raw: bytes, count: int) -> None:
    with pytest.raises(WireError):
        list(contexts(raw, count))


def test_padding_after_the_last_context_is_no_context() -> None:
    raw = context(5, 2, b"a\0") + bytes(6) + context(0x100, 1, b"x") + bytes(9)
    assert [(c.type, bytes(c.data)) for c in contexts(raw, 2)] == [(5, b"a\0"), (0x100, b"x")]


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40))))
def test_contexts_survive(items: list[tuple[int, bytes]]) -> None:
    raw = pack_contexts(items)
    assert list(contexts(raw, len(items))) == [NegotiateContext(*item) for item in items]


@given(st.binary(max_size=100), st.integers(0, 10))
def test_any_bytes_give_contexts_or_a_wire_error(raw: bytes, count: int) -> None:
    try:
        assert len(list(contexts(raw, count))) == count
    except WireError:
        pass


DATA = [
    (PreauthIntegrity((1, 2), b"\xaa\xbb\xcc"), "0200 0300 0100 0200 aabbcc"),
    (Encryption((2, 1)), "0200 0200 0100"),
    (Compression((LZ77, 4), COMPRESSION_CHAINED), "0200 0000 01000000 0200 0400"),
    (Transport(1), "01000000"),
    (RdmaTransform((1, 2)), "0200 0000 00000000 0100 0200"),
    (Signing((2, 1, HMAC_SHA256)), "0300 0200 0100 0000"),
]
Data = PreauthIntegrity | Encryption | Compression | Transport | RdmaTransform | Signing


@pytest.mark.parametrize(("value", "hexbytes"), DATA, ids=lambda v: type(v).__name__)
def test_context_data(value: Data, hexbytes: str) -> None:
    raw = bytes.fromhex(hexbytes)
    assert value.pack() == raw
    assert type(value).unpack(memoryview(raw)) == value
    for length in range(len(raw)):
        with pytest.raises(WireError):
            type(value).unpack(raw[:length])


@pytest.mark.parametrize(
    ("kind", "hexbytes"),
    [
        (PreauthIntegrity, "0000 0000"),
        (Encryption, "0000"),
        (Compression, "0000 0000 00000000"),
        (RdmaTransform, "0000 0000 00000000"),
        (Signing, "0000"),
    ],
)
def test_an_offer_of_nothing_is_refused(kind: type[Data], hexbytes: str) -> None:
    with pytest.raises(WireError):
        kind.unpack(bytes.fromhex(hexbytes))


def test_the_net_name_is_utf16() -> None:
    assert NetName.unpack(bytes.fromhex("6600 7300")) == NetName("fs")
    assert NetName("fs").pack() == bytes.fromhex("6600 7300")
    with pytest.raises(WireError):
        NetName.unpack(b"odd")


@pytest.mark.parametrize(
    ("data", "offered"),
    [
        (POSIX_GUID, True),
        (bytes(16) + POSIX_GUID, True),
        (b"", False),
        (POSIX_GUID[:15], False),
        (b"\0" + POSIX_GUID, False),  # not at a multiple of 16
    ],
)
def test_posix_is_offered_by_its_guid(data: bytes, offered: bool) -> None:
    assert offers_posix(data) is offered
