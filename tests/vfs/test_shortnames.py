"""8.3 names and opening files by them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.vfs import shortnames
from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.shortnames import MadeNames, may_be_made, short_name
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


def test_a_missing_short_name_is_not_looked_for_in_each_name_each_time(
    share: ShareRoot, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        (disk / f"a long name {number}").touch()
    made: list[str] = []

    def counted(name: str) -> str:
        made.append(name)
        return short_name(name)

    monkeypatch.setattr(shortnames, "short_name", counted)
    share.names._clock = lambda: time.time_ns() + 3600 * 10**9  # the directory is settled
    for number in range(10):
        with share.resolve(f"NOSUCH~{number}") as entry:
            assert not entry.exists
    assert len(made) == 50


def test_made_names_follow_what_comes_and_goes(share: ShareRoot) -> None:
    def found(name: str) -> str | None:
        with share.resolve(short_name(name).lower()) as entry:
            return entry.path if entry.exists else None

    with share.resolve("the first of all") as entry:
        share.create_file(entry, 0o644).close()
    assert found("the first of all") == "the first of all"
    with share.resolve("the second of all") as entry:
        share.create_file(entry, 0o644).close()
    assert found("the second of all") == "the second of all"
    with share.resolve("the first of all") as entry:
        handle = share.open(entry, read=False, write=False)
    share.unlink(handle)
    handle.close()
    assert found("the first of all") is None
    assert found("the second of all") == "the second of all"


def test_two_files_of_one_made_name_are_found_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shortnames, "short_name", lambda _name: "ALIKE0~0")
    names = MadeNames(["first of two", "second of two"])
    assert names.find("alike0~0") == "first of two"
    assert not names.remove("first of two")  # who has the table makes another
    assert MadeNames(["second of two"]).find("ALIKE0~0") == "second of two"
