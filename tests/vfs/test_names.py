"""Tables of folded names: fast, and never older than promised."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from ksmbd.vfs import followed, notify, shortnames
from ksmbd.vfs import names as module
from ksmbd.vfs.credentials import Credentials, become
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.names import FoldedNames
from ksmbd.vfs.root import ShareRoot
from ksmbd.wire.text import is_utf8

SECOND = 1_000_000_000


class Clock:
    """Ours to move: starts a minute after all files were stamped."""

    def __init__(self, directory: Path) -> None:
        self.now = directory.stat().st_ctime_ns + 60 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    for name in ("One", "TWO", "three"):
        (tmp_path / "d" / name).touch()
    return tmp_path / "d"


@pytest.fixture
def clock(directory: Path) -> Clock:
    return Clock(directory)


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each directory read."""
    seen: list[int] = []
    listdir = os.listdir

    def counted(fd: int) -> list[str]:
        seen.append(fd)
        return listdir(fd)

    monkeypatch.setattr(os, "listdir", counted)
    return seen


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each directory searched for one name."""
    seen: list[int] = []
    searched = module._spelled_in

    def counted(dir_fd: int, forms: Sequence[str]) -> str | None:
        seen.append(dir_fd)
        return searched(dir_fd, forms)

    monkeypatch.setattr(module, "_spelled_in", counted)
    return seen


@pytest.fixture
def fd(directory: Path) -> Iterator[int]:
    fd = os.open(directory, os.O_PATH)
    yield fd
    os.close(fd)


def test_a_settled_directory_is_read_once(clock: Clock, fd: int, scans: list[int]) -> None:
    names = FoldedNames(clock)
    assert [names.find(fd, name) for name in ("ONE", "two", "Three", "four")] == [
        "One",
        "TWO",
        "three",
        None,
    ]
    assert len(scans) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as other users")
def test_who_may_not_list_finds_no_spelling_that_another_has_read(
    clock: Clock, directory: Path, fd: int, scans: list[int]
) -> None:
    directory.chmod(0o711)
    os.chown(directory, 1001, 1001)
    clock.now += 60 * SECOND
    names = FoldedNames(clock)

    def found_by(user: int) -> str | None:
        try:
            become(Credentials(user, user, (user,)))
            return names.find(fd, "ONE")
        finally:
            become(None)

    assert [found_by(1002), found_by(1001), found_by(1002)] == [None, "One", None]
    assert found_by(1001) == "One"
    assert len(scans) == 1


def test_changes_of_others_are_seen(
    clock: Clock, directory: Path, fd: int, scans: list[int]
) -> None:
    names = FoldedNames(clock)
    assert names.find(fd, "FOUR") is None
    (directory / "four").touch()
    assert names.find(fd, "FOUR") == "four"
    (directory / "four").rename(directory / "Four")
    assert names.find(fd, "FOUR") == "Four"
    (directory / "Four").unlink()
    assert names.find(fd, "FOUR") is None
    assert len(scans) == 4


def test_a_directory_that_has_just_changed_is_not_trusted(
    clock: Clock, directory: Path, fd: int, scans: list[int]
) -> None:
    clock.now = directory.stat().st_mtime_ns + 1_000_000
    names = FoldedNames(clock)
    for _ in range(3):
        names.find(fd, "x")
    assert len(scans) == 3


def test_whole_second_stamps_are_trusted_later(
    clock: Clock, directory: Path, fd: int, scans: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = 1000 * SECOND
    monkeypatch.setattr(module, "_identify", lambda _fd: ((1, 2), (stamp, stamp)))
    names = FoldedNames(clock)
    clock.now = stamp + SECOND
    names.find(fd, "x")
    names.find(fd, "x")
    clock.now = stamp + 3 * SECOND
    names.find(fd, "x")
    names.find(fd, "x")
    assert len(scans) == 3


def test_our_own_changes_need_no_second_look(
    clock: Clock, directory: Path, fd: int, scans: list[int]
) -> None:
    names = FoldedNames(clock)
    for number in range(100):
        assert names.find(fd, f"NEW{number}") is None
        token = names.before_change(fd)
        (directory / f"new{number}").touch()
        names.changed(token, fd, added=f"new{number}")
        assert names.find(fd, f"New{number}") == f"new{number}"
    token = names.before_change(fd)
    (directory / "new0").unlink()
    names.changed(token, fd, removed="new0")
    assert names.find(fd, "New0") is None
    assert len(scans) == 1


def test_a_table_with_our_changes_lives_for_a_second(
    clock: Clock, directory: Path, fd: int, scans: list[int]
) -> None:
    names = FoldedNames(clock)
    names.find(fd, "x")
    token = names.before_change(fd)
    (directory / "mine").touch()
    (directory / "theirs").touch()  # within the gap
    names.changed(token, fd, added="mine")
    clock.now += SECOND // 2
    assert names.find(fd, "Theirs") is None
    clock.now += SECOND
    assert names.find(fd, "Theirs") == "theirs"
    assert len(scans) == 2


def test_a_stale_table_is_not_kept_alive_by_our_change(
    clock: Clock, directory: Path, fd: int
) -> None:
    names = FoldedNames(clock)
    names.find(fd, "x")
    (directory / "theirs").touch()
    token = names.before_change(fd)
    (directory / "mine").touch()
    names.changed(token, fd, added="mine")
    assert names.find(fd, "THEIRS") == "theirs"


def test_filling_a_fresh_directory_reads_it_never(
    share: ShareRoot, scans: list[int], opened: Callable[..., Handle]
) -> None:
    with share.resolve("fresh") as entry:
        share.create_directory(entry, 0o755).close()
    scans.clear()
    begun = time.monotonic()
    for number in range(50):
        opened(share, f"FRESH/f{number}").close()
    seconds = int(time.monotonic() - begun)
    assert len(scans) <= 2 + seconds  # the root's spelling of "fresh", and once a second


def test_of_names_that_fold_alike_the_choice_is_fixed(
    clock: Clock, directory: Path, fd: int
) -> None:
    for name in ("aB", "Ab", "ab"):
        (directory / name).touch()
    names = FoldedNames(clock)
    assert names.find(fd, "AB") == "Ab"
    token = names.before_change(fd)
    (directory / "Ab").unlink()
    names.changed(token, fd, removed="Ab")
    assert names.find(fd, "AB") == "aB"


def test_memory_is_bounded(
    clock: Clock,
    tmp_path: Path,
    scans: list[int],
    searches: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_NAMES", 10)
    names = FoldedNames(clock)
    fds = []
    for number in range(4):
        (tmp_path / f"x{number}").mkdir()
        for name in "abc":
            (tmp_path / f"x{number}" / name).touch()
        fds.append(os.open(tmp_path / f"x{number}", os.O_PATH))
    for fd in fds:
        assert names.find(fd, "A") == "a"
    assert names.find(fds[-1], "B") == "b"
    assert len(scans) == 4
    assert names.find(fds[0], "A") == "a"
    assert len(scans) == 5
    for name in "defghijklmn":
        (tmp_path / "x0" / name).touch()
    for fd in (fds[0], fds[0]):
        assert names.find(fd, "N") == "n"
    assert len(scans) + len(searches) == 7
    for fd in fds:
        os.close(fd)


class Folder:
    """A large directory, followed from its second reading on."""

    def __init__(self, path: Path, fd: int, clock: Clock) -> None:
        self.path = path
        self.fd = fd
        self.names = FoldedNames(clock)
        self.find("x")
        (path / "changed").touch()
        self.find("x")

    def find(self, name: str) -> str | None:
        return self.names.find(self.fd, name)


@pytest.fixture
def large(
    directory: Path, fd: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Folder]:
    monkeypatch.setattr(module, "FOLLOWED", 3)
    made = Folder(directory, fd, clock)
    yield made
    made.names.close()


def test_a_large_directory_that_others_change_is_read_no_more(
    large: Folder, scans: list[int]
) -> None:
    for number in range(50):
        (large.path / f"theirs{number}").touch()
        assert large.find(f"THEIRS{number}") == f"theirs{number}"
        assert large.find("missing") is None
    (large.path / "theirs0").rename(large.path / "Renamed")
    (large.path / "theirs1").unlink()
    (large.path / "theirs2").rename(large.path.parent / "away")
    assert large.find("Theirs0") is large.find("Theirs1") is large.find("Theirs2") is None
    assert large.find("RENAMED") == "Renamed"
    assert scans == []


def test_nor_is_one_that_we_change(large: Folder, scans: list[int]) -> None:
    for number in range(50):
        token = large.names.before_change(large.fd)
        (large.path / f"mine{number}").touch()
        large.names.changed(token, large.fd, added=f"mine{number}")
        assert large.find(f"MINE{number}") == f"mine{number}"
    token = large.names.before_change(large.fd)
    (large.path / "mine0").unlink()
    (large.path / "Mine0").touch()  # somebody else is quick
    large.names.changed(token, large.fd, removed="mine0")
    assert large.find("MINE0") == "Mine0"
    assert scans == []


def test_what_changes_while_it_is_read_is_seen(
    large: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    listdir = os.listdir

    def slow(fd: int) -> list[str]:
        listed = listdir(fd)
        (large.path / "late").touch()
        (large.path / "One").unlink()
        return listed

    (large.path / "one").touch()  # folds like One: the next removal of either is not followed
    (large.path / "one").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", slow)
        large.find("x")
    assert large.find("LATE") == "late"
    assert large.find("ONE") is None


def test_of_followed_names_that_fold_alike_the_choice_is_fixed(
    large: Folder, scans: list[int]
) -> None:
    for name in ("aB", "Ab"):
        (large.path / name).touch()
    assert large.find("AB") in ("aB", "Ab")
    (large.path / "Ab").unlink()
    assert large.find("AB") == "aB"
    assert len(scans) == 1


def test_what_went_before_it_was_read_takes_no_other_spelling_along(
    large: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    listdir = os.listdir

    def late(fd: int) -> list[str]:
        (large.path / "TWO").unlink()
        return listdir(fd)

    (large.path / "one").touch()
    (large.path / "One").unlink()
    large.find("x")  # of names that fold alike one is gone: read, and followed from now on
    (large.path / "Two").touch()
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", late)
        assert large.find("two") == "Two"
    assert large.find("two") == "Two"


def test_a_name_that_is_replaced_is_still_one(
    large: Folder, scans: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_NAMES", 7)
    for _ in range(5):
        (large.path / "b").touch()
        (large.path / "b").rename(large.path / "a")
        assert large.find("A") == "a"
    assert scans == []


def test_only_so_many_directories_are_followed(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though there is no table of any: all had just changed when they were read."""
    monkeypatch.setattr(module, "FOLLOWED", 1)
    monkeypatch.setattr(module, "MAX_NAMES", 10)
    names = FoldedNames(clock)
    for number in range(30):
        path = tmp_path / f"x{number}"
        path.mkdir()
        (path / "a").touch()
        clock.now = path.stat().st_ctime_ns
        with open_directory(path) as fd:
            assert names.find(fd, "A") == "a"
    assert len(names._followed) == 10
    names.close()


def test_a_short_name_is_looked_for_while_others_change_the_directory(
    directory: Path, fd: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = FoldedNames(clock)
    short_name = shortnames.short_name

    def slow(name: str) -> str:
        token = names.before_change(fd)
        (directory / f"for {name}").touch()
        names.changed(token, fd, added=f"for {name}")
        return short_name(name)

    monkeypatch.setattr(shortnames, "short_name", slow)
    assert names.find(fd, "NO0000~1") is None


def test_after_events_were_lost_it_is_read_again(
    large: Folder, scans: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = notify.Event(-1, notify.IN_Q_OVERFLOW, 0, "")
    (large.path / "theirs").touch()
    with monkeypatch.context() as patch:
        patch.setattr(notify.Inotify, "read", lambda self: [lost])
        assert large.find("THEIRS") == "theirs"
    assert len(scans) == 1
    (large.path / "more").touch()
    assert large.find("MORE") == "more"


def test_a_followed_directory_that_is_removed_has_no_names(large: Folder) -> None:
    for file in large.path.iterdir():
        file.unlink()
    large.path.rmdir()
    assert large.find("ONE") is None


@pytest.mark.parametrize("reason", ["file system", "limit"])
def test_where_the_kernel_does_not_tell_stamps_decide(
    directory: Path,
    fd: int,
    clock: Clock,
    scans: list[int],
    monkeypatch: pytest.MonkeyPatch,
    reason: str,
) -> None:
    monkeypatch.setattr(module, "FOLLOWED", 3)

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "")

    if reason == "limit":
        monkeypatch.setattr(notify, "inotify_init", refuse)
    else:
        monkeypatch.setattr(followed, "fs_type", lambda fd: 0x6969)  # NFS
    names = Folder(directory, fd, clock)
    assert len(scans) == 2
    (directory / "theirs").touch()
    assert names.find("THEIRS") == "theirs"
    assert len(scans) == 3


def test_a_table_that_was_dropped_is_not_followed(
    large: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_NAMES", 7)
    (tmp_path / "other").mkdir()
    for name in "abcd":
        (tmp_path / "other" / name).touch()
    with open_directory(tmp_path / "other") as other:
        assert large.names.find(other, "A") == "a"
    inotify = large.names._followed._inotify
    assert inotify is not None
    inotify.read()
    (large.path / "theirs").touch()
    assert inotify.read() == []
    assert large.find("THEIRS") == "theirs"


@contextmanager
def open_directory(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_PATH)
    yield fd
    os.close(fd)


def test_undecodable_names_are_no_names() -> None:
    assert is_utf8("a")
    assert is_utf8("é")
    assert not is_utf8(os.fsdecode(b"\xff"))


@pytest.fixture
def hashed(directory: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[FoldedNames]:
    """The directory has more names than are kept."""
    monkeypatch.setattr(module, "MAX_NAMES", 60)
    monkeypatch.setattr(module, "FOLLOWED", 1)
    for number in range(80):
        (directory / f"old {number}").touch()
    made = FoldedNames(clock)
    yield made
    made.close()


def test_of_a_very_large_directory_it_is_told_what_is_free_without_reading_it_again(
    hashed: FoldedNames, directory: Path, fd: int, scans: list[int], searches: list[int]
) -> None:
    names = hashed
    assert names.find(fd, "four") is None
    names.find(fd, "five")  # from the second reading on it is followed
    before = len(scans)
    for number in range(40):
        name = f"new {number}"
        assert names.find(fd, name) is None
        token = names.before_change(fd)
        (directory / name).touch()
        names.changed(token, fd, added=name)
    assert len(scans) <= before + 1
    before = len(scans)
    for _ in range(3):
        assert names.find(fd, "ONE") == "One"
        assert names.find(fd, "NEW 7") == "new 7"
    assert (len(scans), len(searches)) == (before, 2)
    (directory / "three").unlink()
    assert names.find(fd, "THREE") is None
    assert names.find(fd, "\xe9") is None


@pytest.mark.parametrize("followed", [False, True])
def test_a_spelling_is_remembered_for_as_long_as_it_is_right(
    hashed: FoldedNames, directory: Path, fd: int, searches: list[int], followed: bool
) -> None:
    assert hashed.find(fd, "free") is None
    if followed:
        (directory / "another").touch()
        assert hashed.find(fd, "free") is None
    assert [hashed.find(fd, "OLD 7") for _ in range(2)] == ["old 7"] * 2
    assert len(searches) == 1
    (directory / "old 7").rename(directory / "Old 7")
    assert hashed.find(fd, "OLD 7") == "Old 7"
    (directory / "Old 7").unlink()
    assert hashed.find(fd, "OLD 7") is None


@pytest.mark.parametrize("followed", [False, True])
def test_what_goes_while_it_is_looked_for_is_not_remembered(
    hashed: FoldedNames,
    directory: Path,
    fd: int,
    monkeypatch: pytest.MonkeyPatch,
    followed: bool,
) -> None:
    assert hashed.find(fd, "free") is None
    if followed:
        (directory / "another").touch()
        assert hashed.find(fd, "free") is None
    searched = module._spelled_in

    def slow(dir_fd: int, forms: Sequence[str]) -> str | None:
        found = searched(dir_fd, forms)
        (directory / "old 7").unlink(missing_ok=True)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(module, "_spelled_in", slow)
        assert hashed.find(fd, "OLD 7") == "old 7"
    assert hashed.find(fd, "OLD 7") is None


def test_of_names_that_fold_alike_a_very_large_directory_gives_the_same(
    hashed: FoldedNames, directory: Path, fd: int, searches: list[int]
) -> None:
    for name in ("aB", "Ab"):
        (directory / name).touch()
    assert hashed.find(fd, "free") is None
    assert hashed.find(fd, "AB") == "Ab"
    assert searches
    assert hashed.find(fd, "e\u0301") is None
    (directory / "\xe9").touch()
    assert hashed.find(fd, "E\u0301") == "\xe9"
    assert hashed.find(fd, "E\u0301", same_form=True) is None


def test_those_who_ask_for_a_large_directory_at_once_have_it_read_once(
    clock: Clock, fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE", 0)
    names, scans = FoldedNames(clock), []
    all_have_asked, listdir = threading.Barrier(8), os.listdir

    def slow(fd: int) -> list[str]:
        scans.append(fd)
        return listdir(fd)

    monkeypatch.setattr(os, "listdir", slow)
    found: list[str | None] = []

    def ask() -> None:
        all_have_asked.wait(30)
        found.append(names.find(fd, "ONE"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["One"] * 8
    assert len(scans) == 1
