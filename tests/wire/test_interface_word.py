"""Words of ``interfaces``."""

from __future__ import annotations

import pytest

from ksmbd.wire.interface_word import InterfaceWord, parse


@pytest.mark.parametrize(
    ("word", "parsed"),
    [
        ("eth0", InterfaceWord("eth0")),
        (" 192.0.2.0/24 ", InterfaceWord("192.0.2.0/24")),
        ("eth0;speed=10000000000", InterfaceWord("eth0", speed=10_000_000_000)),
        ("eth0;capability=RSS", InterfaceWord("eth0", rss=True)),
        (
            "192.0.2.7; Speed=1 , capability=rss, if_index=9",
            InterfaceWord("192.0.2.7", speed=1, rss=True, if_index=9),
        ),
        ("eth0;", InterfaceWord("eth0")),
    ],
)
def test_a_word_has_a_pattern_and_options(word: str, parsed: InterfaceWord) -> None:
    assert parse(word) == parsed
    assert parsed.has_options == (";" in word.rstrip(";"))


@pytest.mark.parametrize(
    "word",
    ["", ";speed=1", "eth0;speed", "eth0;speed=0", "eth0;speed=fast", "eth0;speed=-1",
     "eth0;speed=99999999999999999999999", "eth0;capability=RDMA", "eth0;if_index=4294967296",
     "eth0;colour=blue", "eth0;speed=\u0663", f"eth0;if_index={1:020}{9:020}"],
)  # fmt: skip
def test_what_makes_no_sense_is_an_error_that_says_what_does(word: str) -> None:
    with pytest.raises(ValueError, match="capability=RSS"):
        parse(word)
