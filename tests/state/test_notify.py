"""state/notify.py: who is told what; through the whole server in tests/commands."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ksmbd.state.notify import Notify, Report, renaming
from ksmbd.state.own_changes import Kind
from ksmbd.state.watch import Outcome, Watch
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.root import ShareRoot
from ksmbd.wire.change_notify import (
    ACTION_ADDED,
    ACTION_ADDED_STREAM,
    ACTION_MODIFIED,
    ACTION_MODIFIED_STREAM,
    ACTION_REMOVED,
    ACTION_REMOVED_STREAM,
    CHANGE_ATTRIBUTES,
    CHANGE_DIR_NAME,
    CHANGE_FILE_NAME,
    CHANGE_STREAM_NAME,
    CHANGE_STREAM_SIZE,
    CHANGE_STREAM_WRITE,
    CHANGE_VALID,
)
from ksmbd.wire.status import NtStatus
from tests.support.compiled import stands_in_for

pytestmark = stands_in_for("ksmbd.vfs.handle")

ROOT = cast(ShareRoot, SimpleNamespace(location="/srv", vetoed=None))


class Local:
    """A ``LocalChanges`` that remembers what it was told."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def cover(self, watch: Watch, directory: Handle) -> None:
        self.calls.append(("cover", watch.path))

    def uncover(self, watch: Watch) -> None:
        self.calls.append(("uncover", watch.path))

    def noted(self) -> None:
        self.calls.append("noted")


def handle(path: str, *, is_directory: bool = False, stream: str = "") -> Handle:
    fake = SimpleNamespace(root=ROOT, path=path, is_directory=is_directory, stream=stream)
    return cast(Handle, fake)


@pytest.fixture
def notify() -> Notify:
    return Notify()


@pytest.fixture
def local(notify: Notify) -> Local:
    notify.local = local = Local()
    return local


def watch(
    notify: Notify, path: str = "/srv", filter: int = CHANGE_VALID, *, tree: bool = False
) -> Watch:
    made = Watch(ROOT, path, filter=filter, recursive=tree, limit=4096)
    notify.add(made, handle("", is_directory=True))
    return made


def told(notify: Notify, watch: Watch) -> list[tuple[int, str]]:
    outcome = notify.request(watch)
    if not isinstance(outcome, Outcome):
        notify.give_up(watch, outcome)
        return []
    return [(change.action, change.name) for change in outcome.changes]


def test_who_watches_the_directory_is_told(notify: Notify) -> None:
    here, elsewhere = watch(notify, "/srv/a"), watch(notify, "/srv/ab", tree=True)
    notify.report(ROOT, "a/x", ACTION_ADDED, CHANGE_FILE_NAME)
    assert told(notify, here) == [(ACTION_ADDED, "x")]
    assert told(notify, elsewhere) == []


def test_trees_are_told_of_all_depths(notify: Notify) -> None:
    top, middle, flat = watch(notify, tree=True), watch(notify, "/srv/a", tree=True), watch(notify)
    notify.report(ROOT, "a/b/c", ACTION_ADDED, CHANGE_FILE_NAME)
    assert told(notify, top) == [(ACTION_ADDED, "a\\b\\c")]
    assert told(notify, middle) == [(ACTION_ADDED, "b\\c")]
    assert told(notify, flat) == []


def test_the_root_of_the_file_system_can_be_watched(notify: Notify) -> None:
    root = cast(ShareRoot, SimpleNamespace(location="", vetoed=None))
    made = Watch(root, "", filter=CHANGE_VALID, recursive=True, limit=4096)
    notify.add(made, handle(""))
    notify.report(root, "x", ACTION_ADDED, CHANGE_FILE_NAME)
    notify.report(root, "a/x", ACTION_ADDED, CHANGE_FILE_NAME)
    assert told(notify, made) == [(ACTION_ADDED, "x"), (ACTION_ADDED, "a\\x")]


@pytest.mark.parametrize("bit", [1 << i for i in range(12)])
def test_a_filter_lets_through_what_it_names(notify: Notify, bit: int) -> None:
    one, others = watch(notify, filter=bit), watch(notify, filter=CHANGE_VALID & ~bit)
    notify.report(ROOT, "x", ACTION_MODIFIED, bit)
    assert told(notify, one) == [(ACTION_MODIFIED, "x")]
    assert told(notify, others) == []


@pytest.mark.parametrize(
    ("call", "action", "bits"),
    [
        ("created", ACTION_ADDED_STREAM, CHANGE_STREAM_NAME),
        ("removed", ACTION_REMOVED_STREAM, CHANGE_STREAM_NAME),
        ("written", ACTION_MODIFIED_STREAM, CHANGE_STREAM_SIZE),
        ("written", ACTION_MODIFIED_STREAM, CHANGE_STREAM_WRITE),
    ],
)
def test_streams_have_filters_and_actions_of_their_own(
    notify: Notify, local: Local, call: str, action: int, bits: int
) -> None:
    one, others = watch(notify, filter=bits), watch(notify, filter=0x1FF)
    getattr(notify, call)(handle("file", stream="s"))
    assert told(notify, one) == [(action, "file:s")]
    assert told(notify, others) == []
    assert notify.is_echo("/srv/file", Kind.TOUCHED)


@pytest.mark.parametrize(
    ("is_directory", "bit"), [(False, CHANGE_FILE_NAME), (True, CHANGE_DIR_NAME)]
)
def test_files_and_directories_have_different_filters(
    notify: Notify, is_directory: bool, bit: int
) -> None:
    one, others = watch(notify, filter=bit), watch(notify, filter=CHANGE_VALID & ~bit)
    notify.created(handle("x", is_directory=is_directory))
    notify.removed(handle("x", is_directory=is_directory))
    assert told(notify, one) == [(ACTION_ADDED, "x"), (ACTION_REMOVED, "x")]
    assert told(notify, others) == []


def test_a_renamed_directory_takes_its_watches_along(notify: Notify) -> None:
    inside, itself = watch(notify, "/srv/a/b"), watch(notify, "/srv/a", tree=True)
    beside = watch(notify, "/srv/ab")
    notify.renamed(handle("z", is_directory=True), "a")
    assert (inside.path, itself.path, beside.path) == ("/srv/z/b", "/srv/z", "/srv/ab")
    notify.report(ROOT, "z/b/x", ACTION_ADDED, CHANGE_FILE_NAME)
    assert told(notify, inside) == [(ACTION_ADDED, "x")]
    assert told(notify, itself) == [(ACTION_ADDED, "b\\x")]


def test_a_directory_says_nothing_of_attributes_when_it_is_renamed(notify: Notify) -> None:
    reports = renaming("/srv/a", "/srv/b", True)
    assert all(report.filter == CHANGE_DIR_NAME for report in reports)


# -- both sources ------------------------------------------------------------------------


def test_our_own_change_has_an_echo_where_somebody_watches(notify: Notify, local: Local) -> None:
    watch(notify, "/srv/a", CHANGE_DIR_NAME)
    notify.created(handle("a/x"))
    notify.created(handle("b/x"))
    assert notify.is_echo("/srv/a/x", Kind.APPEARED)
    assert not notify.is_echo("/srv/b/x", Kind.APPEARED)


def test_the_reader_is_woken_for_the_first_note_only(notify: Notify, local: Local) -> None:
    watch(notify)
    notify.created(handle("x"))
    notify.created(handle("y"))
    assert local.calls.count("noted") == 1
    notify.forget(notify.next_turn())
    assert not notify.has_notes
    notify.created(handle("z"))
    assert local.calls.count("noted") == 2


def test_without_inotify_nothing_is_noted(notify: Notify) -> None:
    watch(notify)
    notify.created(handle("x"))
    assert not notify.has_notes


def test_what_was_read_before_a_watch_is_not_told_to_it(notify: Notify) -> None:
    old, new = watch(notify), watch(notify)
    new.since = 7
    report = Report("/srv/x", ACTION_ADDED, CHANGE_FILE_NAME)
    notify.changed([report], 7)
    assert told(notify, old) == [(ACTION_ADDED, "x")]
    assert told(notify, new) == []
    notify.changed([report], 8)
    assert told(notify, new) == [(ACTION_ADDED, "x")]


def test_who_may_have_missed_something_must_list(notify: Notify) -> None:
    tree, flat = watch(notify, tree=True), watch(notify)
    notify.missed("/srv/a/b")
    assert notify.request(tree) == (NtStatus.NOTIFY_ENUM_DIR, [])
    assert told(notify, flat) == []
    notify.missed()
    assert notify.request(flat) == (NtStatus.NOTIFY_ENUM_DIR, [])


def test_a_directory_is_wanted_for_itself_and_for_trees(notify: Notify) -> None:
    watch(notify, "/srv/a", CHANGE_FILE_NAME)
    tree = watch(notify, "/srv", CHANGE_ATTRIBUTES, tree=True)
    assert notify.wanted("/srv/a") == (CHANGE_FILE_NAME | CHANGE_ATTRIBUTES, tree)
    assert notify.wanted("/srv/a/b") == (CHANGE_ATTRIBUTES, tree)
    assert notify.wanted("/srv/a/b", top="/srv/a") == (0, None)
    assert notify.wanted("/srv/a", top="/srv/a") == (CHANGE_FILE_NAME, None)
    assert notify.wanted("/elsewhere") == (0, None)
    assert [notify.holds(path) for path in ("/srv", "", "/srv/a")] == [True, True, False]
    notify.remove(tree)
    assert [notify.holds(path) for path in ("/srv", "")] == [True, False]


# -- beginning and end -------------------------------------------------------------------


def test_a_watch_is_covered_and_uncovered(notify: Notify, local: Local) -> None:
    made = watch(notify)
    notify.remove(made)
    assert local.calls == [("cover", "/srv"), ("uncover", "/srv")]
    assert notify.wanted("/srv") == (0, None)


def test_an_open_that_was_closed_meanwhile_watches_nothing(notify: Notify, local: Local) -> None:
    made = Watch(ROOT, "/srv", filter=CHANGE_VALID, recursive=True, limit=4096)
    notify.remove(made)
    notify.add(made, handle(""))
    assert notify.wanted("/srv") == (0, None)
    assert notify._recursive == 0


def test_a_directory_that_has_moved_is_watched_there(notify: Notify, local: Local) -> None:
    made = watch(notify, "/srv/a", tree=True)
    notify.move(made, "/srv/b", handle("b"))
    assert local.calls[-1] == ("cover", "/srv/b")
    assert notify.wanted("/srv/a") == (0, None)
    assert notify.wanted("/srv/b")[1] is made


def test_a_report_costs_almost_nothing_while_nobody_watches(notify: Notify) -> None:
    file = handle("x")
    events: list[str] = []
    sys.setprofile(lambda _frame, event, _arg: events.append(event))
    try:
        notify.written(file)
    finally:
        sys.setprofile(None)
    assert events[:-1] == ["call", "return"]  # the last one is setprofile's
