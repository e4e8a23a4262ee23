"""Renaming, linking and removing open files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ksmbd.vfs import moving
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.root import ShareRoot
from tests.vfs.conftest import MakeShare

Open = Callable[..., Handle]


def rename(share: ShareRoot, handle: Handle, path: str, *, replace: bool = False) -> None:
    with share.resolve(path) as target:
        share.rename(handle, target, replace=replace)


def link(share: ShareRoot, handle: Handle, path: str, *, replace: bool = False) -> None:
    with share.resolve(path) as target:
        share.link(handle, target, replace=replace)


def names(disk: Path) -> list[str]:
    return sorted(os.listdir(disk))


def test_rename_moves_between_directories(share: ShareRoot, disk: Path, opened: Open) -> None:
    (disk / "D").mkdir()
    handle = opened(share, "a")
    rename(share, handle, "d/b")
    assert (names(disk), names(disk / "D"), handle.path) == (["D"], ["b"], "D/b")


def test_rename_onto_an_existing_file_needs_replace(
    share: ShareRoot, disk: Path, opened: Open
) -> None:
    handle = opened(share, "a")
    opened(share, "b").write(b"b", 0)
    with pytest.raises(FileExistsError):
        rename(share, handle, "B")
    assert names(disk) == ["a", "b"]
    rename(share, handle, "B", replace=True)
    assert (names(disk), handle.path) == (["B"], "B")
    assert (disk / "B").read_bytes() == b""


def test_rename_without_replace_loses_no_race(share: ShareRoot, disk: Path, opened: Open) -> None:
    handle = opened(share, "a")
    with share.resolve("b") as target:
        (disk / "b").write_text("kept")
        with pytest.raises(FileExistsError):
            share.rename(handle, target, replace=False)
    assert (disk / "b").read_text() == "kept"


@pytest.mark.parametrize("replace", [True, False])
def test_case_alone_can_change(share: ShareRoot, disk: Path, opened: Open, replace: bool) -> None:
    handle = opened(share, "file")
    rename(share, handle, "FILE", replace=replace)
    assert (names(disk), handle.path) == (["FILE"], "FILE")
    rename(share, handle, "FILE", replace=replace)
    assert names(disk) == ["FILE"]
    with share.resolve("file") as entry:
        assert entry.path == "FILE"


def test_rename_onto_another_link_of_the_file_leaves_that_one(
    share: ShareRoot, disk: Path, opened: Open
) -> None:
    handle = opened(share, "a")
    os.link(disk / "a", disk / "b")
    with pytest.raises(FileExistsError):
        rename(share, handle, "b")
    rename(share, handle, "b", replace=True)
    assert (names(disk), handle.path) == (["b"], "b")


def test_rename_to_the_same_file_by_another_way_keeps_it(
    make_share: MakeShare, disk: Path, opened: Open
) -> None:
    share = make_share(follow_symlinks=True)
    (disk / "d").mkdir()
    (disk / "link").symlink_to("d")
    handle = opened(share, "link/f")
    rename(share, handle, "d/f", replace=True)
    assert names(disk / "d") == ["f"]


def test_rename_onto_a_symlink_to_the_file_replaces_the_symlink(
    make_share: MakeShare, disk: Path, opened: Open
) -> None:
    share = make_share(follow_symlinks=True)
    handle = opened(share, "f")
    (disk / "link").symlink_to("f")
    rename(share, handle, "link", replace=True)
    assert names(disk) == ["link"]
    assert not (disk / "link").is_symlink()


def test_directories_move_with_what_is_in_them(share: ShareRoot, disk: Path) -> None:
    (disk / "a/b").mkdir(parents=True)
    (disk / "a/b/f").touch()
    with share.resolve("a") as entry:
        handle = share.open(entry, read=True, write=False)
    with pytest.raises(OSError, match="Invalid argument"):
        rename(share, handle, "a/b/c")
    rename(share, handle, "c")
    with share.resolve("c/b/f") as entry:
        assert entry.exists
    with share.resolve("a") as entry:
        assert not entry.exists
    handle.close()


@pytest.mark.parametrize(
    ("source", "target", "code"),
    [
        ("f", "full", errno.EISDIR),
        ("d", "full", errno.ENOTEMPTY),
        ("d", "f", errno.ENOTDIR),
    ],
)
def test_the_kernels_refusals_pass_through(
    share: ShareRoot, disk: Path, source: str, target: str, code: int
) -> None:
    (disk / "d").mkdir()
    (disk / "full/x").mkdir(parents=True)
    (disk / "f").touch()
    with share.resolve(source) as entry:
        handle = share.open(entry, read=True, write=False)
    with pytest.raises(OSError, match=r".") as refused:
        rename(share, handle, target, replace=True)
    assert refused.value.errno == code
    assert handle.path == source
    handle.close()


def test_a_file_moved_by_others_is_found(share: ShareRoot, disk: Path, opened: Open) -> None:
    (disk / "d").mkdir()
    handle = opened(share, "a")
    (disk / "a").rename(disk / "d/elsewhere")
    (disk / "a").write_text("another file")
    rename(share, handle, "b")
    assert (names(disk), names(disk / "d")) == (["a", "b", "d"], [])
    (disk / "b").rename(disk / "d/again")
    share.unlink(handle)
    assert (names(disk), names(disk / "d")) == (["a", "d"], [])


def test_nothing_is_removed_in_place_of_a_file_that_has_gone(
    share: ShareRoot, disk: Path, tmp_path: Path, opened: Open
) -> None:
    handle, outside = opened(share, "a"), opened(share, "b")
    (disk / "a").unlink()
    (disk / "a").touch()
    (disk / "b").rename(tmp_path / "b")
    for gone in (handle, outside):
        with pytest.raises(FileNotFoundError):
            share.unlink(gone)
    assert names(disk) == ["a"]
    assert (tmp_path / "b").exists()


def test_unlink_removes_files_and_empty_directories(
    share: ShareRoot, disk: Path, opened: Open
) -> None:
    (disk / "d/x").mkdir(parents=True)
    share.unlink(opened(share, "f"))
    with share.resolve("d") as entry:
        handle = share.open(entry, read=False, write=False)
    with pytest.raises(OSError, match="not empty"):
        share.unlink(handle)
    (disk / "d/x").rmdir()
    share.unlink(handle)
    assert names(disk) == []
    handle.close()


def test_the_root_is_neither_moved_nor_removed(share: ShareRoot) -> None:
    with share.resolve("") as entry:
        handle = share.open(entry, read=False, write=False)
    with pytest.raises(PermissionError):
        share.unlink(handle)
    with pytest.raises(PermissionError):
        rename(share, handle, "x")
    handle.close()


def test_unlink_through_a_symlink_removes_the_symlink(make_share: MakeShare, disk: Path) -> None:
    share = make_share(follow_symlinks=True)
    (disk / "d").mkdir()
    (disk / "link").symlink_to("d")
    (disk / "dangling").symlink_to("no")
    for name in ("link", "dangling"):
        with share.resolve(name) as entry:
            handle = share.open(entry, read=False, write=False)
        share.unlink(handle)
        handle.close()
    assert names(disk) == ["d"]


def test_link_gives_a_second_name(share: ShareRoot, disk: Path, opened: Open) -> None:
    (disk / "d").mkdir()
    handle = opened(share, "a")
    link(share, handle, "D/b")
    assert (disk / "d/b").samefile(disk / "a")
    assert handle.path == "a"
    opened(share, "c")
    with pytest.raises(FileExistsError):
        link(share, handle, "C")
    link(share, handle, "C", replace=True)
    link(share, handle, "c", replace=True)
    assert (disk / "c").samefile(disk / "a")
    assert names(disk) == ["a", "c", "d"]


def test_where_a_file_has_moved_to_is_asked_only_if_it_has(
    share: ShareRoot, disk: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    readlink = os.readlink

    def counted(path: str) -> str:
        asked.append(path)
        return readlink(path)

    monkeypatch.setattr(moving.os, "readlink", counted)
    stays, goes = opened(share, "stays"), opened(share, "goes")
    share.unlink(stays)
    assert not asked
    (disk / "goes").rename(disk / "gone")
    share.unlink(goes)
    assert asked
    assert names(disk) == []
