"""8.3 names and opening files by them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.shortnames import may_be_made, short_name
from ksmbd.wire.text import upcase


@pytest.mark.parametrize("name", ["readme.txt", "A", "config.sys", "x~1.y"])
def test_a_short_name_is_its_own(name: str) -> None:
    assert short_name(name) == name.upper()


@pytest.mark.parametrize("name", ["a long name.text", "größe", ".profile", "a.b.c", "x" * 255, "☃"])
def test_any_other_gets_one_of_eight_and_three(name: str) -> None:
    short = short_name(name)
    base, _, extension = short.partition(".")
    assert len(base) == 8
    assert len(extension) <= 3
    assert may_be_made(short)
    assert short == short_name(upcase(name))


@given(st.text(min_size=1, max_size=40))
def test_every_name_has_one_that_is_short_itself(name: str) -> None:
    assert short_name(short_name(name)) == short_name(name)


def test_names_that_only_begin_alike_differ() -> None:
    names = [short_name(f"a very long name {n}.txt") for n in range(2000)]
    assert len(set(names)) == len(names)


def test_a_file_is_found_by_its_short_name(tmp_path: Path) -> None:
    (tmp_path / "A Long Name.html").touch()
    root = ShareRoot(str(tmp_path))
    with root.resolve(short_name("A Long Name.html")) as entry:
        assert entry.path == "A Long Name.html"
    with root.resolve(short_name("Another Name.html")) as entry:
        assert not entry.exists
    root.close()
