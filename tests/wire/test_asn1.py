from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.wire import asn1
from ksmbd.wire.asn1 import Reader, der
from ksmbd.wire.base import WireError


@pytest.mark.parametrize("size", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000])
def test_a_value_of_any_size_reads_back(size: int) -> None:
    assert len(Reader(der(asn1.OCTET_STRING, bytes(size))).only(asn1.OCTET_STRING)) == size


@pytest.mark.parametrize(
    ("size", "head"),
    [(0, "0400"), (0x7F, "047f"), (0x80, "048180"), (0x100, "04820100"), (0x10000, "0483010000")],
)
def test_a_length_is_written_in_its_shortest_form(size: int, head: str) -> None:
    assert der(asn1.OCTET_STRING, bytes(size))[: len(head) // 2].hex() == head


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "04",  # no length
        "0401",  # no contents
        "0480",  # indefinite
        "04800000",
        "048500000000 01 00",  # five bytes of length
        "0484ffffffff",
        "0481",  # length cut short
        "048200",
        "04817f" + "00" * 0x7F,  # not minimal
        "04820080" + "00" * 0x80,
        "04ff",
        "1f0100",  # tag of several bytes
    ],
)
def test_malformed_values_are_refused(malformed: str) -> None:
    with pytest.raises(WireError):
        Reader(bytes.fromhex(malformed)).any()


def test_a_child_cannot_reach_beyond_its_parent() -> None:
    outer = der(asn1.SEQUENCE, b"\x04\x05ab") + b"cdefgh"
    with pytest.raises(WireError, match="beyond its parent"):
        Reader(outer).inside(asn1.SEQUENCE).value(asn1.OCTET_STRING)


def test_the_tag_must_be_the_expected_one() -> None:
    with pytest.raises(WireError, match="0x4 where 0x6"):
        Reader(der(asn1.OCTET_STRING)).value(asn1.OBJECT_IDENTIFIER)


def test_only_and_end_refuse_company() -> None:
    with pytest.raises(WireError, match="1 bytes after"):
        Reader(der(asn1.OCTET_STRING) + b"\0").only(asn1.OCTET_STRING)


def test_nesting_ends_at_the_limit() -> None:
    token = b""
    for _ in range(asn1.MAX_DEPTH + 2):
        token = der(asn1.SEQUENCE, token)
    reader = Reader(token)
    for _ in range(asn1.MAX_DEPTH):
        reader = reader.inside(asn1.SEQUENCE)
    with pytest.raises(WireError, match="too deep"):
        reader.inside(asn1.SEQUENCE)


def test_fields_are_found_by_number_and_come_once() -> None:
    fields = Reader(der(0xA0, b"x") + der(0xA3, b"y")).fields()
    assert {number: bytes(field.rest()) for number, field in fields.items()} == {0: b"x", 3: b"y"}
    with pytest.raises(WireError, match="field 0xa0"):
        Reader(der(0xA0) + der(0xA0)).fields()
    with pytest.raises(WireError, match="field 0x80"):
        Reader(der(0x80)).fields()


@pytest.mark.parametrize(
    ("dotted", "contents"),
    [
        ("1.3.6.1.5.5.2", "2b0601050502"),
        ("1.2.840.113554.1.2.2", "2a864886f712010202"),
        ("1.3.6.1.4.1.311.2.2.10", "2b06010401823702020a"),
        ("2.999.3", "883703"),
    ],
)
def test_object_identifiers_convert_both_ways(dotted: str, contents: str) -> None:
    assert asn1.oid(dotted).hex() == contents
    assert asn1.dotted(bytes.fromhex(contents)) == dotted


@pytest.mark.parametrize("contents", ["", "80", "2b80", "2b8001", "2b86"])
def test_malformed_object_identifiers_are_refused(contents: str) -> None:
    with pytest.raises(WireError, match="OBJECT IDENTIFIER"):
        asn1.dotted(bytes.fromhex(contents))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    reader = Reader(data)
    try:
        while reader.more():
            reader.any()
    except WireError:
        return
    reader.end()
