"""Chains by NextEntryOffset."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.wire.base import WireError
from ksmbd.wire.chain import entries, link, link_within


def entry(after: int, size: int) -> bytes:
    return struct.pack("<I", after) + bytes(size - 4)


def test_an_empty_buffer_has_no_entries() -> None:
    assert list(entries(b"", fixed=8, align=8)) == []


def test_the_last_entry_ends_with_the_buffer() -> None:
    raw = entry(16, 16) + entry(0, 13)
    assert [len(e) for e in entries(raw, fixed=8, align=8)] == [16, 13]


@pytest.mark.parametrize(
    ("after", "size"),
    [
        (0, 7),  # shorter than the fixed part
        (12, 32),  # unaligned
        (1, 32),
        (8, 15),  # leaves a short entry
        (4, 32),  # into itself
        (32, 32),  # the end
        (40, 32),  # past the end
        (0xFFFF_FFF8, 32),  # backwards, were it signed
    ],
)
def test_a_bad_link_is_refused(after: int, size: int) -> None:
    with pytest.raises(WireError):
        list(entries(entry(after, size), fixed=8, align=8))


def test_a_link_back_to_the_first_entry_cannot_be_written_so_the_walk_ends() -> None:
    raw = entry(8, 8) * 1000 + entry(0, 8)
    assert len(list(entries(raw, fixed=8, align=8))) == 1001


@given(st.lists(st.binary(min_size=4, max_size=40)), st.sampled_from([1, 4, 8]))
def test_what_is_linked_is_found_again(items: list[bytes], align: int) -> None:
    raw = link(items, align=align)
    found = list(entries(raw, fixed=4, align=align))
    assert len(found) == len(items)
    for had, item in zip(found, items, strict=True):
        assert bytes(had[4 : len(item)]) == item[4:]
        assert not any(had[len(item) :])
    assert not items or len(found[-1]) == len(items[-1])


@given(st.lists(st.binary(min_size=4, max_size=40)), st.integers(0, 200))
def test_only_what_fits_is_linked(items: list[bytes], limit: int) -> None:
    raw, count = link_within(items, align=8, limit=limit)
    assert raw == link(items[:count], align=8)
    assert len(raw) <= limit
    assert count == len(items) or len(link(items[: count + 1], align=8)) > limit


@given(st.binary(max_size=120))
def test_any_bytes_give_entries_or_a_wire_error(raw: bytes) -> None:
    try:
        found = list(entries(raw, fixed=8, align=4))
    except WireError:
        return
    assert b"".join(found) == raw
