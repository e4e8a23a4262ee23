"""The sentences of the reference."""

from __future__ import annotations

import pytest

from mountd.meanings import GLOBAL, SHARE


@pytest.mark.parametrize("text", [*GLOBAL.values(), *SHARE.values()])
def test_a_meaning_is_a_sentence_on_one_line(text: str) -> None:
    assert text[0].isupper() or text[0] in "`0123456789"
    assert text.endswith(".")
    assert "\n" not in text
    assert "  " not in text
    assert text.count("`") % 2 == 0
