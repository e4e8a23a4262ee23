"""state/own_changes.py: which events are echoes of what we did."""

from __future__ import annotations

import pytest

from ksmbd.state.own_changes import Kind, OwnChanges


@pytest.fixture
def own() -> OwnChanges:
    return OwnChanges()


def test_what_was_not_noted_is_no_echo(own: OwnChanges) -> None:
    assert not any(own.is_echo("/a", kind) for kind in Kind)


@pytest.mark.parametrize("kind", [Kind.APPEARED, Kind.VANISHED])
def test_a_name_appears_or_vanishes_once_for_each_note(own: OwnChanges, kind: Kind) -> None:
    own.note("/a", kind)
    own.note("/a", kind)
    assert [own.is_echo("/a", kind) for _ in range(3)] == [True, True, False]


def test_one_note_stands_for_all_touches(own: OwnChanges) -> None:
    own.note("/a", Kind.TOUCHED)
    assert all(own.is_echo("/a", Kind.TOUCHED) for _ in range(5))


def test_what_appears_is_touched_too(own: OwnChanges) -> None:
    own.note("/a", Kind.APPEARED)
    assert own.is_echo("/a", Kind.APPEARED)
    assert own.is_echo("/a", Kind.TOUCHED)


def test_we_made_it_but_somebody_else_removed_it(own: OwnChanges) -> None:
    own.note("/a", Kind.APPEARED)
    assert not own.is_echo("/a", Kind.VANISHED)


def test_another_path_is_no_echo(own: OwnChanges) -> None:
    own.note("/a", Kind.APPEARED)
    assert not own.is_echo("/b", Kind.APPEARED)


def test_a_turn_that_is_over_is_forgotten(own: OwnChanges) -> None:
    own.note("/a", Kind.APPEARED)
    turn = own.next_turn()
    own.note("/b", Kind.APPEARED)
    own.forget(turn)
    assert not own.is_echo("/a", Kind.APPEARED)
    assert own.is_echo("/b", Kind.APPEARED)
    own.forget(own.next_turn())
    assert not own


def test_of_two_notes_the_newer_is_kept(own: OwnChanges) -> None:
    own.note("/a", Kind.APPEARED)
    turn = own.next_turn()
    own.note("/a", Kind.APPEARED)
    own.forget(turn)
    assert [own.is_echo("/a", Kind.APPEARED) for _ in range(2)] == [True, False]


def test_a_touch_in_a_later_turn_counts_as_that(own: OwnChanges) -> None:
    own.note("/a", Kind.TOUCHED)
    turn = own.next_turn()
    own.note("/a", Kind.TOUCHED)
    own.forget(turn)
    assert own.is_echo("/a", Kind.TOUCHED)


def test_notes_are_bounded() -> None:
    own = OwnChanges(limit=10)
    for i in range(100):
        own.note(f"/{i}", Kind.TOUCHED)
    assert len(own) == 10
    assert own.is_echo("/99", Kind.TOUCHED)
    assert not own.is_echo("/0", Kind.TOUCHED)


def test_all_can_be_forgotten(own: OwnChanges) -> None:
    own.note("/a", Kind.APPEARED)
    own.clear()
    assert not own
