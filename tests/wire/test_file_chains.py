"""Extended attributes, streams, hard links."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.wire.base import Wire, WireError
from ksmbd.wire.file_chains import (
    FileFullEaInformation,
    FileGetEaInformation,
    FileLinkEntryInformation,
    FileLinksInformation,
    FileStreamInformation,
    Stream,
    flagged_eas,
    pack_full_eas,
    pack_get_eas,
    pack_links,
    pack_streams,
    unpack_full_eas,
    unpack_get_eas,
    unpack_streams,
)
from tests.wire.vectors import check, name

VECTORS = [
    (FileFullEaInformation(flags=0x80, ea_name_length=3, ea_value_length=5), "00000000 80 03 0500"),
    (FileGetEaInformation(ea_name_length=3), "00000000 03"),
    (
        FileStreamInformation(stream_name_length=14, stream_size=5, stream_allocation_size=4096),
        "00000000 0e000000 0500000000000000 0010000000000000",
    ),
    (FileLinksInformation(bytes_needed=60, entries_returned=2), "3c000000 02000000"),
    (
        FileLinkEntryInformation(parent_file_id=7, file_name_length=2),
        "00000000 00000000 0700000000000000 02000000",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)


EAS = (
    "10000000 00 02 0300 4142 00 010203 0000"  # AB = 010203, padded to 4
    " 00000000 00 01 0000 43 00"  # C, empty: delete
)


def test_a_chain_of_eas() -> None:
    raw = bytes.fromhex(EAS)
    eas = [("AB", b"\x01\x02\x03"), ("C", b"")]
    assert unpack_full_eas(raw) == eas
    assert pack_full_eas(eas) == (raw, 2)
    assert pack_full_eas(eas, len(raw) - 1) == (
        bytes.fromhex("00000000 00 02 0300 4142 00 010203"),
        1,
    )


@pytest.mark.parametrize(
    "hexbytes",
    [
        "00000000 00 02 0300 4142",  # no NUL
        "00000000 00 02 0300 4142 41 010203",  # no NUL where it must be
        "00000000 00 03 0200 410042 00 0102",  # NUL in the name
        "00000000 00 00 0300 00 010203",  # no name
        "00000000 00 01 0100 ff 00 01",  # no UTF-8
        "00000000 00 02 0400 4142 00 010203",  # value past the end
        "00000000 00 ff ffff 4142 00 010203",
        "0e000000 00 02 0300 4142 00 010203 00000000 00 01 0000 43 00",  # unaligned
        "04000000 00 02 0300 4142 00 010203",  # into itself
        "0c000000 00 02 0300 4142 00 01 00000000 00 01 0000 43 00",  # the value is cut off
        "40000000 00 02 0300 4142 00 010203 0000",  # past the end
        "10000000 00 02 0300 4142 00 010203 0000",  # the end
        "00000000 00 02 03",
    ],
)
def test_a_bad_chain_of_eas_is_refused(hexbytes: str) -> None:
    with pytest.raises(WireError):
        unpack_full_eas(bytes.fromhex(hexbytes))


def test_eas_that_a_file_needs_are_flagged() -> None:
    raw = bytes.fromhex(EAS[:9] + "80" + EAS[11:])
    assert flagged_eas(raw) == {"AB"}
    assert pack_full_eas(unpack_full_eas(raw), needed=frozenset({"AB"})) == (raw, 2)
    with pytest.raises(ValueError, match="flags"):
        flagged_eas(bytes.fromhex(EAS[:9] + "01" + EAS[11:]))


def test_a_list_of_wanted_eas() -> None:
    raw = bytes.fromhex("08000000 02 4142 00 00000000 01 43 00")
    assert unpack_get_eas(raw) == ["AB", "C"]
    assert pack_get_eas(["AB", "C"]) == raw


@pytest.mark.parametrize(
    "hexbytes",
    [
        "00000000",
        "00000000 02 4142",
        "00000000 00 00",
        "00000000 02 4100 00",
        "07000000 01 41 00 00000000 01 43 00",
        "0c000000 02 4142 00",
    ],
)
def test_a_bad_list_of_wanted_eas_is_refused(hexbytes: str) -> None:
    with pytest.raises(WireError):
        unpack_get_eas(bytes.fromhex(hexbytes))


EA_NAMES = st.text("ABCäé.", min_size=1, max_size=60)


@given(st.lists(st.tuples(EA_NAMES, st.binary(max_size=100))))
def test_eas_survive(eas: list[tuple[str, bytes]]) -> None:
    raw, count = pack_full_eas(eas)
    assert count == len(eas)
    assert unpack_full_eas(raw) == eas
    assert unpack_get_eas(pack_get_eas(name for name, _ in eas)) == [name for name, _ in eas]


STREAMS = (
    "28000000 0e000000 0500000000000000 0010000000000000 3a003a0024004400410054004100 0000"
    " 00000000 10000000 0100000000000000 0100000000000000 3a0061003a0024004400410054004100"
)


def test_a_chain_of_streams() -> None:
    raw = bytes.fromhex(STREAMS)
    streams = [Stream("::$DATA", 5, 4096), Stream(":a:$DATA", 1, 1)]
    assert pack_streams(streams) == (raw, 2)
    assert unpack_streams(raw) == streams
    assert pack_streams(streams, len(raw) - 1)[1] == 1
    assert pack_streams([]) == (b"", 0)


@pytest.mark.parametrize(
    "hexbytes",
    [
        "00000000 10000000 0500000000000000 0010000000000000 3a00",
        "1c000000 02000000 0500000000000000 0010000000000000 3a00 0000" + " 00" * 24,
        "00000000 01000000 0500000000000000 0010000000000000 3a",
        "00000000 00000000 0500000000000000",
    ],
)
def test_a_bad_chain_of_streams_is_refused(hexbytes: str) -> None:
    with pytest.raises(WireError):
        unpack_streams(bytes.fromhex(hexbytes))


@given(st.lists(st.builds(Stream, st.text(min_size=1), st.integers(0, 99), st.integers(0, 99))))
def test_streams_survive(streams: list[Stream]) -> None:
    assert unpack_streams(pack_streams(streams)[0]) == streams


LINKS = (
    "36000000 02000000"
    " 18000000 00000000 0700000000000000 02000000 61006200"
    " 00000000 00000000 0800000000000000 01000000 6300"
)


def test_hard_links_tell_what_they_need_when_they_do_not_fit() -> None:
    links = [(7, "ab"), (8, "c")]
    raw = bytes.fromhex(LINKS)
    assert pack_links(links) == (raw, 2)
    short, count = pack_links(links, len(raw) - 1)
    assert (short[:8], count) == (raw[:4] + bytes.fromhex("01000000"), 1)
    assert pack_links(links, 8) == (raw[:4] + bytes(4), 0)
