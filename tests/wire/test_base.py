"""How a structure is declared."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire, WireError, bytes4, bytes16, i8, u8, u16, u32, wire


@wire(structure_size=9)
class Sized(Wire):
    first: u16
    second: u32 = 7


@wire()
class Single(Wire):
    only: i8


@wire()
class Mixed(Wire):
    tag: bytes4 = b"abcd"
    number: u8 = 0
    key: bytes16


@wire(structure_size=2)
class Empty(Wire):
    """StructureSize alone."""


def test_structure_size_is_written_and_skipped() -> None:
    assert Sized(first=1).pack() == bytes.fromhex("0900 0100 07000000")
    assert Sized.unpack(bytes.fromhex("ffff 0100 07000000")) == Sized(first=1)
    assert (Sized.SIZE, Sized.STRUCTURE_SIZE) == (8, 9)


def test_a_single_field() -> None:
    assert Single(only=-2).pack() == b"\xfe"
    assert Single.unpack(b"\xfe").only == -2


def test_no_field_at_all() -> None:
    assert Empty().pack() == b"\x02\x00"
    assert Empty.unpack(b"\x02\x00") == Empty()


def test_a_byte_field_without_a_default_is_zeros() -> None:
    assert Mixed.unpack(Mixed(key=bytes(range(16))).pack()).tag == b"abcd"
    assert Mixed.SIZE == 21


def test_a_structure_can_be_read_and_written_inside_a_buffer() -> None:
    buffer = bytearray(10)
    Sized(first=1).pack_into(buffer, 1)
    assert Sized.unpack(memoryview(buffer), 1) == Sized(first=1)


@pytest.mark.parametrize(("size", "offset"), [(0, 0), (7, 0), (8, 1), (8, 100)])
def test_a_short_buffer_is_a_wire_error(size: int, offset: int) -> None:
    with pytest.raises(WireError, match="Sized: short buffer"):
        Sized.unpack(bytes(size), offset)


def test_a_field_that_does_not_exist_cannot_be_set() -> None:
    with pytest.raises(AttributeError):
        Sized(first=1).frist = 2  # type: ignore[attr-defined]
