"""Names and times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.wire.base import WireError
from ksmbd.wire.text import (
    MAX_FILETIME,
    filetime_from_ns,
    from_utf16,
    ns_from_filetime,
    upcase,
    utf16,
)

NAMES = st.text(st.characters(exclude_categories=["Cs"]))


@given(NAMES)
def test_a_name_survives_utf16(name: str) -> None:
    assert from_utf16(utf16(name)) == name
    assert utf16(name) == name.encode("utf-16-le")


def test_a_memoryview_is_read_without_a_copy_by_the_caller() -> None:
    assert from_utf16(memoryview(b"xa\0b\0")[1:]) == "ab"


@pytest.mark.parametrize("hexbytes", ["61", "610062", "3dd8", "00dc3dd8", "61003dd8"])
def test_odd_lengths_and_lone_surrogates_are_refused(hexbytes: str) -> None:
    with pytest.raises(WireError):
        from_utf16(bytes.fromhex(hexbytes))


@pytest.mark.parametrize(
    ("ns", "filetime"),
    [
        (0, 116_444_736_000_000_000),
        (100, 116_444_736_000_000_001),
        (199, 116_444_736_000_000_001),
        (-1, 116_444_735_999_999_999),
        (946_684_800 * 10**9, 125_911_584_000_000_000),  # 2000-01-01
        (-11_644_473_600 * 10**9, 0),  # 1601-01-01
        (-11_644_473_600 * 10**9 - 100, 0),
        (2**80, MAX_FILETIME),
    ],
)
def test_filetime(ns: int, filetime: int) -> None:
    assert filetime_from_ns(ns) == filetime


@given(st.integers(0, MAX_FILETIME))
def test_a_filetime_survives(filetime: int) -> None:
    assert filetime_from_ns(ns_from_filetime(filetime)) == filetime


def test_the_time_before_1970_is_negative() -> None:
    assert ns_from_filetime(0) == -11_644_473_600 * 10**9


@pytest.mark.parametrize(
    ("text", "upper"),
    [
        ("Straße.txt", "STRAßE.TXT"),  # one character stays one
        ("äöü ñ я ω", "ÄÖÜ Ñ Я Ω"),
        ("ÿ", "Ÿ"),
        ("\u0131 \u017f", "\u0131 \u017f"),  # would become I and S
        ("\U00010428", "\U00010428"),  # outside the BMP
        ("ﬁ", "ﬁ"),
        ("", ""),
    ],
)
def test_upcase_is_simple(text: str, upper: str) -> None:
    assert upcase(text) == upper


@given(NAMES)
def test_upcase_keeps_the_length_and_is_stable(name: str) -> None:
    assert len(upcase(name)) == len(name)
    assert upcase(upcase(name)) == upcase(name)
