"""Listing directories."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ksmbd.vfs import directory as module
from ksmbd.vfs.directory import Enumeration
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.root import ShareRoot
from ksmbd.wire.access import ATTR_ARCHIVE, ATTR_HIDDEN, ATTR_REPARSE_POINT
from tests.vfs.conftest import MakeShare

Lister = Callable[..., Enumeration]


@pytest.fixture
def listing() -> Iterator[Lister]:
    """Start an enumeration of a path; closed at the end."""
    closing: list[Enumeration | Handle] = []

    def start(share: ShareRoot, path: str = "", pattern: str = "*") -> Enumeration:
        with share.resolve(path) as entry:
            handle = share.open(entry, read=True, write=False)
        enumeration = handle.entries()
        closing.extend([handle, enumeration])
        enumeration.restart(pattern)
        return enumeration

    yield start
    for item in closing:
        item.close()


def names(enumeration: Enumeration) -> list[str]:
    return [entry.name for entry in enumeration.stream()]


def test_the_dot_names_come_first(share: ShareRoot, disk: Path, listing: Lister) -> None:
    for name in ("b", "a", ".c"):
        (disk / name).touch()
    found = names(listing(share))
    assert found[:2] == [".", ".."]
    assert sorted(found[2:]) == [".c", "a", "b"]


def test_names_of_hide_files_are_listed_as_hidden(
    make_share: MakeShare, disk: Path, listing: Lister
) -> None:
    for name in ("a.bak", "a.txt", ".dot"):
        (disk / name).touch()
    entries = listing(make_share(hide=("*.BAK",))).batch(10)
    hidden = {entry.name for entry in entries if entry.stat.attributes & ATTR_HIDDEN}
    assert hidden == {"a.bak", ".dot"}


def test_entries_carry_their_stat(share: ShareRoot, disk: Path, listing: Lister) -> None:
    (disk / "d").mkdir()
    (disk / "d/.f").write_bytes(b"12345")
    (disk / "d/link").symlink_to(".f")
    entries = {entry.name: entry.stat for entry in listing(share, "d").batch(10)}
    assert entries[".f"].size == 5
    assert entries[".f"].attributes == ATTR_ARCHIVE | ATTR_HIDDEN
    assert entries["link"].attributes == ATTR_REPARSE_POINT
    assert entries["."].ino == (disk / "d").stat().st_ino
    assert entries[".."].ino == disk.stat().st_ino


def test_above_the_root_nothing_is_shown(share: ShareRoot, disk: Path, listing: Lister) -> None:
    first, second = listing(share).batch(2)
    assert (first.name, second.name) == (".", "..")
    assert first.stat.ino == second.stat.ino == disk.stat().st_ino


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["A.TXT", "b.txt"]),
        ("a.txt", ["A.TXT"]),
        ("A.TXT", ["A.TXT"]),
        ("no", []),
        ("../share/b.txt", []),
        ("a.txt/", []),
        (".", ["."]),
        ("..", [".."]),
        ("?", [".", "c"]),
        ("", []),
    ],
)
def test_patterns_select(
    share: ShareRoot, disk: Path, listing: Lister, pattern: str, expected: list[str]
) -> None:
    for name in ("A.TXT", "b.txt", "c"):
        (disk / name).touch()
    assert sorted(names(listing(share, "", pattern))) == expected


def test_a_case_sensitive_share_lists_the_exact_name_only(
    make_share: MakeShare, disk: Path, listing: Lister
) -> None:
    (disk / "a").touch()
    assert names(listing(make_share(case_sensitive=True), "", "A")) == []


def test_vetoed_and_undecodable_names_are_left_out(
    make_share: MakeShare, disk: Path, listing: Lister
) -> None:
    for name in (b"good", b"bad\xff", b"x.tmp"):
        (disk / os.fsdecode(name)).touch()
    assert names(listing(make_share(veto=("*.TMP",)))) == [".", "..", "good"]


def test_what_has_gone_since_is_skipped(share: ShareRoot, disk: Path, listing: Lister) -> None:
    for name in ("a", "b", "c"):
        (disk / name).touch()
    enumeration = listing(share)
    (disk / "b").unlink()
    (disk / "d").touch()
    assert sorted(names(enumeration)) == [".", "..", "a", "c"]
    enumeration.restart("*")
    assert sorted(names(enumeration)) == [".", "..", "a", "c", "d"]


def test_a_pushed_back_entry_comes_again(share: ShareRoot, disk: Path, listing: Lister) -> None:
    for name in ("a", "b", "c"):
        (disk / name).touch()
    enumeration = listing(share)
    first = enumeration.batch(3)
    for entry in reversed(first):
        enumeration.push_back(entry)
    assert enumeration.batch(2) == first[:2]
    assert next(enumeration.stream(), None) == first[2]
    assert len(enumeration.batch(10)) == 2
    assert next(enumeration.stream(), None) is None
    assert enumeration.batch(5) == []


def test_followed_symlinks_show_what_they_lead_to(
    make_share: MakeShare, disk: Path, tmp_path: Path, listing: Lister
) -> None:
    (tmp_path / "secret").write_bytes(b"123456789")
    (disk / "d").mkdir()
    (disk / "f").write_bytes(b"12345")
    (disk / "d/in").symlink_to("../f")
    (disk / "d/out").symlink_to(tmp_path / "secret")
    entries = {e.name: e.stat for e in listing(make_share(follow_symlinks=True), "d").batch(9)}
    assert (entries["in"].size, entries["in"].attributes) == (5, ATTR_ARCHIVE)
    assert entries["out"].attributes == ATTR_REPARSE_POINT


def test_a_directory_opened_for_metadata_can_still_be_listed(share: ShareRoot, disk: Path) -> None:
    (disk / "a").touch()
    with share.resolve("") as entry:
        handle = share.open(entry, read=False, write=False)
    enumeration = handle.entries()
    enumeration.restart("*")
    assert names(enumeration) == [".", "..", "a"]
    enumeration.close()
    handle.close()


def test_listing_a_file_is_refused(share: ShareRoot, disk: Path, listing: Lister) -> None:
    (disk / "f").touch()
    with pytest.raises(NotADirectoryError):
        listing(share, "f")


def test_a_directory_that_was_moved_out_of_the_share_shows_nothing_around_it(
    share: ShareRoot, disk: Path, listing: Lister, tmp_path: Path
) -> None:
    (disk / "a/b").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    share_of_it = listing(share, "a/b")
    (disk / "a/b").rename(tmp_path / "outside/b")
    (disk / "a").rmdir()
    share_of_it.restart("*")
    dots = {entry.name: entry.stat.ino for entry in share_of_it.stream()}
    inside = (tmp_path / "outside/b").stat().st_ino
    assert dots == {".": inside, "..": inside}


@pytest.fixture
def portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PORTION", 3)


@pytest.mark.parametrize("count", [2, 3, 4, 9, 10])
def test_a_directory_of_many_portions_is_listed_whole(
    share: ShareRoot, disk: Path, listing: Lister, portions: None, count: int
) -> None:
    made = {f"file {number}" for number in range(count)}
    for name in made:
        (disk / name).touch()
    found = names(listing(share))
    assert found[:2] == [".", ".."]
    assert sorted(found[2:]) == sorted(made)


def test_a_pattern_is_looked_for_in_every_portion(
    share: ShareRoot, disk: Path, listing: Lister, portions: None
) -> None:
    for number in range(30):
        (disk / f"file {number}").touch()
    assert names(listing(share, pattern="FILE 2?")) != []
    assert sorted(names(listing(share, pattern="FILE 2?"))) == [f"file 2{n}" for n in range(10)]
    assert names(listing(share, pattern="a*")) == []


def test_what_is_deleted_as_it_is_listed_is_listed_whole(
    share: ShareRoot, disk: Path, listing: Lister, portions: None
) -> None:
    made = {f"file {number}" for number in range(100)}
    for name in made:
        (disk / name).touch()
    entries = listing(share)
    seen = []
    for entry in entries.stream():
        if entry.name not in (".", ".."):
            seen.append(entry.name)
            (disk / entry.name).unlink()
    assert sorted(seen) == sorted(made)


def test_of_a_large_directory_a_portion_is_kept(
    share: ShareRoot, disk: Path, listing: Lister, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PORTION", 100)
    folder = disk / "many"
    folder.mkdir()
    for number in range(4000):
        os.close(os.open(folder / f"{number:0100}", os.O_CREAT | os.O_WRONLY))
    tracemalloc.start()
    try:
        entries = [listing(share, "many") for _ in range(20)]
        for each in entries:
            assert len(each.batch(50)) == 50
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 20 * 4000 * 100 / 4, "the names of the whole directory, twenty times"


def test_an_enumeration_that_is_given_up_keeps_no_descriptor(
    share: ShareRoot, disk: Path, listing: Lister, portions: None
) -> None:
    for number in range(30):
        (disk / f"file {number}").touch()
    with share.resolve("") as entry:
        handle = share.open(entry, read=True, write=False)
    before = len(os.listdir("/proc/self/fd"))
    entries = handle.entries()
    entries.restart("*")
    entries.batch(5)
    entries.restart("f*")
    entries.batch(5)
    entries.close()
    assert len(os.listdir("/proc/self/fd")) == before
    handle.close()
