"""state/watch.py: what is kept for an open directory, and who is answered with it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from ksmbd.state.watch import MAX_CHANGES, Outcome, Waiter, Watch
from ksmbd.vfs.root import ShareRoot
from ksmbd.wire.change_notify import (
    ACTION_ADDED,
    ACTION_MODIFIED,
    ACTION_REMOVED,
    CHANGE_VALID,
    Change,
    pack_changes,
)
from ksmbd.wire.status import NtStatus

OK, LIST = NtStatus.SUCCESS, NtStatus.NOTIFY_ENUM_DIR


def make(limit: int = 4096, vetoed: Callable[[str], bool] | None = None) -> Watch:
    root = cast(ShareRoot, SimpleNamespace(vetoed=vetoed))
    return Watch(root, "/srv", filter=CHANGE_VALID, recursive=True, limit=limit)


@pytest.fixture
def watch() -> Watch:
    return make()


def wait(watch: Watch) -> Waiter:
    waiter = watch.request()
    assert isinstance(waiter, Waiter)
    return waiter


def taken(watch: Watch) -> Outcome:
    outcome = watch.request()
    assert isinstance(outcome, Outcome)
    return outcome


def test_nothing_kept_is_a_wait(watch: Watch) -> None:
    waiter = wait(watch)
    assert waiter.outcome is None
    assert not waiter.event.fired


def test_what_is_kept_is_taken_as_a_whole_and_once(watch: Watch) -> None:
    watch.add(ACTION_ADDED, "dir/a")
    watch.add(ACTION_REMOVED, "b")
    assert taken(watch) == (OK, [Change(ACTION_ADDED, "dir\\a"), Change(ACTION_REMOVED, "b")])
    wait(watch)


def test_the_oldest_request_is_served(watch: Watch) -> None:
    first, second = wait(watch), wait(watch)
    watch.add(ACTION_ADDED, "a")
    watch.add(ACTION_ADDED, "b")
    watch.serve()
    assert first.event.fired
    assert first.outcome == (OK, [Change(ACTION_ADDED, "a"), Change(ACTION_ADDED, "b")])
    assert second.outcome is None


def test_a_second_modification_adds_nothing(watch: Watch) -> None:
    for action in (ACTION_ADDED, ACTION_MODIFIED, ACTION_MODIFIED, ACTION_REMOVED, ACTION_MODIFIED):
        watch.add(action, "a")
    actions = [change.action for change in taken(watch).changes]
    assert actions == [ACTION_ADDED, ACTION_MODIFIED, ACTION_REMOVED, ACTION_MODIFIED]


def test_a_modification_after_the_answer_is_told_again(watch: Watch) -> None:
    watch.add(ACTION_MODIFIED, "a")
    taken(watch)
    watch.add(ACTION_MODIFIED, "a")
    assert taken(watch).changes == [Change(ACTION_MODIFIED, "a")]


@pytest.mark.parametrize("names", [["a"], ["a", "bb"], ["abc", "a", "bcdef"]])
def test_the_limit_is_the_size_on_the_wire(names: list[str]) -> None:
    changes = [Change(ACTION_ADDED, name) for name in names]
    packed = pack_changes(changes, 1 << 20)
    assert packed is not None
    for limit, status in (len(packed), OK), (len(packed) - 1, LIST):
        watch = make(limit)
        for name in names:
            watch.add(ACTION_ADDED, name)
        assert taken(watch).status is status


def test_after_too_much_the_client_lists_and_goes_on() -> None:
    watch = make(limit=20)
    for i in range(9):
        watch.add(ACTION_ADDED, f"{i}")
    assert taken(watch) == (LIST, [])
    watch.add(ACTION_ADDED, "a")
    assert taken(watch) == (OK, [Change(ACTION_ADDED, "a")])


def test_no_buffer_at_all_means_to_list_always() -> None:
    watch = make(limit=0)
    for _ in range(2):
        waiter = wait(watch)
        watch.add(ACTION_ADDED, "a")
        watch.serve()
        assert waiter.outcome == (LIST, [])


def test_a_large_buffer_is_bounded_too() -> None:
    watch = make(limit=1 << 30)
    for i in range(MAX_CHANGES + 1):
        watch.add(ACTION_ADDED, f"{i}")
    assert taken(watch).status is LIST


def test_missed_changes_mean_to_list(watch: Watch) -> None:
    watch.add(ACTION_ADDED, "a")
    watch.lose()
    watch.add(ACTION_ADDED, "b")
    assert taken(watch) == (LIST, [])


@pytest.mark.parametrize("name", ["secret", "dir/secret", "secret/file"])
def test_vetoed_names_are_not_told(name: str) -> None:
    watch = make(vetoed=lambda part: part == "secret")
    watch.add(ACTION_ADDED, name)
    wait(watch)


def test_who_gives_up_is_not_served(watch: Watch) -> None:
    first, second = wait(watch), wait(watch)
    watch.give_up(first)
    watch.add(ACTION_ADDED, "a")
    watch.serve()
    assert first.outcome is None
    assert second.outcome is not None


def test_the_answer_of_who_gives_up_goes_to_the_next(watch: Watch) -> None:
    first = wait(watch)
    watch.add(ACTION_ADDED, "a")
    watch.serve()
    watch.add(ACTION_ADDED, "b")
    watch.give_up(first)
    assert [change.name for change in taken(watch).changes] == ["a", "b"]


def test_the_answer_of_who_gives_up_goes_to_who_waits(watch: Watch) -> None:
    first, second = wait(watch), wait(watch)
    watch.add(ACTION_ADDED, "a")
    watch.serve()
    watch.give_up(first)
    assert second.outcome == (OK, [Change(ACTION_ADDED, "a")])


def test_an_order_to_list_is_not_lost_either() -> None:
    watch = make(limit=0)
    waiter = wait(watch)
    watch.add(ACTION_ADDED, "a")
    watch.serve()
    watch.give_up(waiter)
    assert taken(watch).status is LIST


def test_all_who_wait_can_be_ended(watch: Watch) -> None:
    waiters = [wait(watch), wait(watch)]
    watch.end(NtStatus.DELETE_PENDING)
    assert [w.outcome for w in waiters] == [(NtStatus.DELETE_PENDING, [])] * 2
    wait(watch)


def test_a_closed_directory_lets_nobody_wait(watch: Watch) -> None:
    watch.closed = True
    assert taken(watch).status is NtStatus.NOTIFY_CLEANUP
