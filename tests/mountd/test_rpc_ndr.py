"""NDR: what the reader refuses, what the writer writes."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.wire.base import WireError
from mountd.rpc.ndr import MAX_ROWS, NdrReader, NdrWriter, size_of

FIELDS = (("name", "unique_wstring"), ("number", "u32"), ("note", "unique_wstring"))


def varying(maximum, offset, actual, units=b""):
    return struct.pack("<III", maximum, offset, actual) + units


def test_scalars_are_aligned_from_the_start_of_the_stub():
    r = NdrReader(b"\x01\xff\x02\x00\x03\x00\xff\xff\x04\x00\x00\x00\xff\xff\xff\xff" + b"\x05" * 8)
    assert (r.u8(), r.u16(), r.u16(), r.u32()) == (1, 2, 3, 4)
    assert r.u64() == 0x0505050505050505
    assert r.remaining == 0


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_a_scalar_that_leaves_the_stub_is_refused(size):
    read = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}[size]
    with pytest.raises(WireError):
        getattr(NdrReader(bytes(size - 1)), read)()


def test_alignment_past_the_end_is_refused():
    r = NdrReader(b"\x01\x02")
    r.u8()
    with pytest.raises(WireError):
        r.u32()


@pytest.mark.parametrize(
    "stub",
    [
        varying(3, 0, 3, b"a\0b\0"),  # shorter than it says
        varying(2, 1, 1, b"\0\0"),  # an offset
        varying(1, 0, 2, b"a\0\0\0"),  # more than the maximum
        varying(1, 0, 1, b"a\0"),  # no terminator
        varying(0, 0, 0),  # not even that
        varying(0xFFFFFFFF, 0, 0xFFFFFFFF, b"a\0\0\0"),
    ],
)
def test_a_bad_string_is_refused(stub):
    with pytest.raises(WireError):
        NdrReader(stub).wstring()


def test_more_structures_than_any_call_has_are_refused_before_they_are_made():
    number = (("number", "u32"),)
    most = struct.pack("<I", MAX_ROWS) + bytes(4 * MAX_ROWS)
    assert len(NdrReader(most).conformant(number, MAX_ROWS)) == MAX_ROWS
    more = struct.pack("<I", MAX_ROWS + 1) + bytes(4 * MAX_ROWS + 4)
    with pytest.raises(WireError, match="in a row"):
        NdrReader(more).conformant(number, MAX_ROWS + 1)


def test_a_string_ends_at_its_first_nul_and_survives_lone_surrogates():
    assert NdrReader(varying(4, 0, 4, b"a\0\0\0b\0\0\0")).wstring() == "a"
    assert NdrReader(varying(2, 0, 2, b"\0\xd8\0\0")).wstring() == "\ufffd"


def test_conformance_is_compared_with_the_bytes_there():
    with pytest.raises(WireError):
        NdrReader(struct.pack("<I", 3) + bytes(11)).conformance(each=4)
    with pytest.raises(WireError):
        NdrReader(struct.pack("<I", 2) + bytes(99)).conformance(at_least=3)
    assert NdrReader(struct.pack("<I", 3) + bytes(12)).conformance(each=4) == 3


def test_a_container_must_have_the_array_it_announces():
    stub = struct.pack("<IIII", 2, 1, 1, 7) + bytes(64)
    with pytest.raises(WireError):
        NdrReader(stub).array((("number", "u32"),))
    assert NdrReader(struct.pack("<II", 5, 0)).array(FIELDS) == []


def test_referents_follow_depth_first():
    w = NdrWriter()

    def outer():
        w.u32(0xA)
        w.pointer(lambda: w.u32(0xA1))

    w.pointer(outer)
    w.pointer(lambda: w.u32(0xB))
    w.flush()
    values = struct.unpack("<6I", bytes(w.out))
    assert values == (0x20000, 0x20004, 0xA, 0x20008, 0xA1, 0xB)


def test_referent_ids_are_never_shared_and_never_zero():
    w = NdrWriter()
    for _ in range(100):
        w.unique_wstring("x")
    ids = struct.unpack_from("<100I", bytes(w.out))
    assert len(set(ids)) == 100
    assert 0 not in ids


def test_pad_bytes_are_zero():
    w = NdrWriter()
    w.u8(0xFF)
    w.u64(1)
    assert bytes(w.out) == b"\xff" + bytes(7) + b"\x01" + bytes(7)


text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
rows = st.builds(
    SimpleNamespace, name=st.none() | text, number=st.integers(0, 2**32 - 1), note=text
)


@given(st.lists(rows, max_size=8))
def test_arrays_survive_the_round_trip(values):
    w = NdrWriter()
    w.array(FIELDS, values)
    w.flush()
    r = NdrReader(w.out)
    expected = [vars(value) for value in values]
    assert r.array(FIELDS) == expected
    assert r.remaining == 0


def test_size_counts_fields_and_strings():
    assert size_of(FIELDS, SimpleNamespace(name="ab", number=1, note=None)) == 12 + 6 + 2


def test_text_utf16_cannot_hold_is_replaced():
    w = NdrWriter()
    w.wstring("a\udcff")
    assert NdrReader(w.out).wstring() == "a?"
