"""vfs/hashed_names.py: that a name is free, told without the names."""

from __future__ import annotations

import pytest

from ksmbd.vfs import hashed_names
from ksmbd.vfs.hashed_names import HashedNames
from ksmbd.wire.text import upcase


def made(*names: str) -> HashedNames:
    folded = [upcase(name) for name in names]
    return HashedNames(dict.fromkeys(folded), {each for each in folded if folded.count(each) > 1})


def test_a_name_is_there_in_any_letter_case() -> None:
    names = made("One", "two")
    assert names.may_have("oNE")
    assert names.may_have("TWO")
    assert not names.may_have("three")
    assert not made().may_have("one")


def test_changes_are_entered() -> None:
    names = made("one", "two")
    names.add("three")
    names.remove("ONE")
    assert [names.may_have(name) for name in ("one", "two", "Three")] == [False, True, True]
    names.add("one")
    names.remove("three")
    assert [names.may_have(name) for name in ("one", "two", "three")] == [True, True, False]
    assert names.weight == 0


def test_of_two_that_are_alike_one_may_stay() -> None:
    names = made("one", "One", "two")
    assert not names.is_without("ONE")
    assert names.is_without("two")
    names.add("TWO")
    assert not names.is_without("two")


def test_many_changes_are_a_burden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashed_names, "MAX_CHANGES", 2)
    names = made("one")
    names.add("two")
    assert names.is_without("one")
    names.add("three")
    assert not names.is_without("one")


def test_what_is_removed_and_was_not_there_changes_nothing() -> None:
    names = made("one")
    names.remove("two")
    assert names.weight == 0


def test_a_spelling_goes_with_the_name_and_with_another_that_is_alike() -> None:
    names = made("One", "two", "three")
    for name in ("One", "two"):
        names.spell(name)
    assert [names.spelling(name) for name in ("ONE", "TWO", "THREE")] == ["One", "two", None]
    assert names.weight == 2
    names.remove("One")
    names.add("TWO")
    assert names.spelling("one") is names.spelling("two") is None


def test_so_many_spellings_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashed_names, "MAX_SPELLED", 2)
    names = made("a", "b", "c")
    for name in "abc":
        names.spell(name)
    assert [names.spelling(name) for name in "ABC"] == [None, "b", "c"]
