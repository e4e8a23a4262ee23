"""The packet header, the transform header, and the walk over a compound."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import WireError
from ksmbd.wire.header import (
    ASYNC_COMMAND,
    SERVER_TO_REDIR,
    Command,
    Header,
    elements,
)
from tests.support.transform import TransformHeader
from tests.wire.vectors import check

SYNC = (
    "fe534d42 4000 0100 00000000 0300 1f00 00000000 00000000 0300000000000000 fffe0000"
    " 01000000 1100000000040000 000102030405060708090a0b0c0d0e0f"
)
ASYNC = (
    "fe534d42 4000 0100 03010000 0f00 0100 03000000 00000000 0700000000000000"
    " 8877665544332211 1100000000040000" + " 00" * 16
)


def is_packed_as(header: Header, hexbytes: str) -> None:
    """It packs to the bytes, they are parsed to it, and every truncation is refused."""
    raw = bytes.fromhex(hexbytes)
    assert header.pack().hex(" ") == raw.hex(" ")
    assert Header.parse(raw) == header
    assert Header.parse(b"\xaa\xbb\xcc" + raw, 3) == header
    assert header != Header(command=Command.ECHO)
    for length in range(len(raw)):
        with pytest.raises(WireError):
            Header.parse(raw[:length])


def test_sync_header() -> None:
    header = Header(
        credit_charge=1,
        command=Command.TREE_CONNECT,
        credits=31,
        message_id=3,
        process_id=0xFEFF,
        tree_id=1,
        session_id=0x0000_0400_0000_0011,
        signature=bytes(range(16)),
    )
    is_packed_as(header, SYNC)


def test_async_header_keeps_the_id_in_process_and_tree_id() -> None:
    header = Header(
        credit_charge=1,
        status=0x103,
        command=Command.CHANGE_NOTIFY,
        credits=1,
        flags=SERVER_TO_REDIR | ASYNC_COMMAND,
        message_id=7,
        session_id=0x0000_0400_0000_0011,
    )
    header.async_id = 0x1122334455667788
    is_packed_as(header, ASYNC)
    assert Header.parse(bytes.fromhex(ASYNC)).async_id == 0x1122334455667788


def test_the_channel_sequence_is_the_low_half_of_a_requests_status() -> None:
    assert Header(command=Command.WRITE, status=0xABCD0002).channel_sequence == 2


@pytest.mark.parametrize(
    ("at", "byte"), [(0, 0xFF), (0, 0xFD), (3, 0x41), (4, 0x3F), (5, 0x01)], ids=str
)
def test_parse_refuses_another_protocol_or_size(at: int, byte: int) -> None:
    raw = bytearray.fromhex(SYNC)
    raw[at] = byte
    with pytest.raises(WireError):
        Header.parse(raw)


def test_the_nineteen_commands() -> None:
    assert [int(command) for command in Command] == list(range(19))


TRANSFORM = "fd534d42" + " 0f" * 16 + " 01" * 12 + " 00" * 4
TRANSFORM += " 68000000 0000 0100 1100000000040000"


def test_transform_header() -> None:
    header = TransformHeader(
        signature=b"\x0f" * 16,
        nonce=b"\x01" * 12 + bytes(4),
        original_message_size=104,
        session_id=0x0000_0400_0000_0011,
    )
    check(header, TRANSFORM)
    assert TransformHeader.parse(bytes.fromhex(TRANSFORM)) == header


@pytest.mark.parametrize(("at", "byte"), [(0, 0xFE), (42, 0), (42, 2), (43, 1)])
def test_parse_refuses_another_transform(at: int, byte: int) -> None:
    raw = bytearray.fromhex(TRANSFORM)
    raw[at] = byte
    with pytest.raises(WireError):
        TransformHeader.parse(raw)


def element(size: int, after: int) -> bytes:
    return Header(command=Command.ECHO, next_command=after).pack() + bytes(size - 64)


def test_a_single_command_is_one_element() -> None:
    assert [bytes(e) for e in elements(element(68, 0))] == [element(68, 0)]


def test_a_compound_is_cut_with_its_padding() -> None:
    message = element(72, 72) + element(88, 88) + element(68, 0)
    assert [len(e) for e in elements(message)] == [72, 88, 68]
    assert b"".join(elements(message)) == message


@pytest.mark.parametrize(
    ("size", "after"),
    [
        (64, 0),  # no room for StructureSize
        (65, 0),
        (144, 68),  # no multiple of 8
        (144, 64),  # inside this element
        (144, 8),
        (144, 80),  # leaves a header without StructureSize
        (144, 144),  # the end
        (144, 152),  # past the end
        (144, 0xFFFF_FFF8),
    ],
)
def test_a_next_command_that_leaves_no_room_is_refused(size: int, after: int) -> None:
    with pytest.raises(WireError):
        list(elements(element(size, after)))


def test_elements_before_a_bad_one_are_still_given() -> None:
    walk = elements(element(72, 72) + element(72, 4))
    assert len(next(walk)) == 72
    with pytest.raises(WireError):
        next(walk)
