"""Resolving, creating and opening beneath a share's root."""

from __future__ import annotations

import errno
import gc
import os
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ksmbd.vfs import path as path_module
from ksmbd.vfs.attributes import AttributeStore
from ksmbd.vfs.entry import Entry
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.pattern import NameInvalid
from ksmbd.vfs.root import PathNotFound, RootOptions, ShareRoot
from ksmbd.wire.access import ATTR_ARCHIVE, ATTR_DIRECTORY, ATTR_HIDDEN, ATTR_REPARSE_POINT
from tests.support.held import held
from tests.vfs.conftest import MakeShare

Open = Callable[..., Handle]


@pytest.fixture(params=["openat2", "walk"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test that asks for it runs with and without openat2."""
    if request.param == "walk":
        monkeypatch.setattr(path_module, "has_openat2", lambda: False)
    return str(request.param)


@pytest.mark.usefixtures("either")
class TestBothWays:
    def test_an_existing_file_is_found_with_its_stat(self, share: ShareRoot, disk: Path) -> None:
        (disk / "a/b").mkdir(parents=True)
        (disk / "a/b/file").write_bytes(b"12345")
        with share.resolve("a/b/file") as entry:
            assert entry.exists
            assert entry.stat is not None
            assert (entry.path, entry.name, entry.stat.size) == ("a/b/file", "file", 5)
            assert entry.stat.attributes == ATTR_ARCHIVE
            assert entry.stat.ino == (disk / "a/b/file").stat().st_ino

    def test_the_empty_path_is_the_root(self, share: ShareRoot, disk: Path) -> None:
        with share.resolve("") as entry:
            assert entry.stat is not None
            assert entry.stat.is_directory
            assert entry.stat.ino == disk.stat().st_ino
            assert entry.stat.attributes == ATTR_DIRECTORY

    def test_a_missing_file_is_an_entry(self, share: ShareRoot, disk: Path) -> None:
        (disk / "a").mkdir()
        with share.resolve("A/New") as entry:
            assert not entry.exists
            assert (entry.path, entry.fd, entry.stat) == ("a/New", -1, None)

    @pytest.mark.parametrize("path", ["no/x", "file/x", "file/x/y", "d/no/x"])
    @pytest.mark.parametrize("case_sensitive", [True, False])
    def test_a_missing_parent_is_path_not_found(
        self, make_share: MakeShare, disk: Path, path: str, case_sensitive: bool
    ) -> None:
        (disk / "d").mkdir()
        (disk / "file").touch()
        with pytest.raises(PathNotFound):
            make_share(case_sensitive=case_sensitive).resolve(path)

    @pytest.mark.parametrize("path", ["..", "a/../../x", "/etc/passwd", "a/..", "a//b", "a\0b"])
    def test_nothing_leads_out_by_name(self, share: ShareRoot, disk: Path, path: str) -> None:
        (disk / "a").mkdir()
        with pytest.raises(NameInvalid):
            share.resolve(path)

    def test_symlinks_are_not_followed(self, share: ShareRoot, disk: Path) -> None:
        (disk / "d").mkdir()
        (disk / "d/f").touch()
        (disk / "link").symlink_to("d")
        (disk / "flink").symlink_to("d/f")
        with share.resolve("flink") as entry:
            assert entry.stat is not None
            assert stat.S_ISLNK(entry.stat.mode)
            assert entry.stat.attributes & ATTR_REPARSE_POINT
            assert entry.stat.reparse_tag == 0xA000000C
            with pytest.raises(OSError, match="symbolic links"):
                share.open(entry, read=True, write=False)
            handle = share.open(entry, read=False, write=False)
            assert handle.readlink() == "d/f"
            handle.close()
        for path in ("link/f", "link/new", "LINK/f"):
            with pytest.raises(OSError, match=r"symbolic links|Not a directory") as refused:
                share.resolve(path)
            assert refused.value.errno in (errno.ELOOP, errno.ENOTDIR)

    def test_symlinks_are_followed_beneath_the_root_only(
        self, make_share: MakeShare, disk: Path, tmp_path: Path
    ) -> None:
        share = make_share(follow_symlinks=True)
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside/secret").write_text("secret")
        (disk / "d/e").mkdir(parents=True)
        (disk / "d/f").write_text("inside")
        (disk / "d/e/up").symlink_to("../f")
        (disk / "abs").symlink_to(tmp_path / "outside")
        (disk / "rel").symlink_to("../outside")
        (disk / "dangling").symlink_to("nowhere")
        (disk / "loop").symlink_to("loop")
        (disk / "dir").symlink_to("d/e")
        for path in ("d/e/up", "dir/up", "DIR/UP"):
            with share.resolve(path) as entry:
                assert entry.stat is not None
                assert entry.stat.size == 6
        for path in ("abs/secret", "rel/secret", "abs/new"):
            with pytest.raises(OSError, match="cross-device"):
                share.resolve(path)
        for path in ("abs", "rel", "dangling", "loop"):
            with share.resolve(path) as entry:
                assert entry.stat is not None
                assert stat.S_ISLNK(entry.stat.mode)

    @pytest.mark.skipif(not os.path.ismount("/proc"), reason="needs a mount point")
    def test_mounts_are_not_crossed_if_the_share_says_so(self) -> None:
        root = ShareRoot("/", RootOptions(crossmnt=False))
        with pytest.raises(OSError, match="cross-device"):
            root.resolve("proc/version")
        root.close()

    def test_files_are_found_in_any_case_and_keep_theirs(
        self, share: ShareRoot, disk: Path
    ) -> None:
        (disk / "Straße/Ünter").mkdir(parents=True)
        (disk / "Straße/Ünter/File").touch()
        with share.resolve("STRAßE/ünter/FILE") as entry:
            assert entry.path == "Straße/Ünter/File"
            assert entry.asked == "Straße/Ünter/FILE"

    def test_the_exact_spelling_wins(self, share: ShareRoot, disk: Path) -> None:
        (disk / "D").mkdir()
        for name in ("ab", "aB", "AB"):
            (disk / "D" / name).touch()
        for name in ("ab", "aB", "AB"):
            for parent in ("D", "d"):
                with share.resolve(f"{parent}/{name}") as entry:
                    assert entry.path == f"D/{name}"
        with share.resolve("D/Ab") as entry:
            assert entry.path == "D/AB"

    def test_a_case_sensitive_share_tells_spellings_apart(
        self, make_share: MakeShare, disk: Path
    ) -> None:
        (disk / "a").touch()
        with make_share(case_sensitive=True).resolve("A") as entry:
            assert not entry.exists
        with make_share().resolve("A", posix=True) as entry:
            assert not entry.exists

    def test_names_are_found_in_the_other_normal_form(self, share: ShareRoot, disk: Path) -> None:
        composed, decomposed = "Caf\u00e9", "Cafe\u0301"
        (disk / decomposed).touch()
        with share.resolve(composed) as entry:
            assert entry.path == decomposed
        (disk / composed).touch()
        with share.resolve(composed) as entry:
            assert entry.path == composed


def test_wide_links_lead_anywhere_but_through_proc(
    make_share: MakeShare, disk: Path, tmp_path: Path
) -> None:
    share = make_share(follow_symlinks=True, wide_links=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("outside")
    (disk / "abs").symlink_to(tmp_path / "outside")
    (disk / "rel").symlink_to("../outside")
    (disk / "chain").symlink_to("abs/file")
    (disk / "magic").symlink_to(f"/proc/self/fd/{share.fd}")
    for path in ("abs/file", "rel/file", "ABS/FILE", "chain"):
        with share.resolve(path) as entry:
            assert entry.stat is not None
            assert entry.stat.size == 7
    with pytest.raises(OSError, match="symbolic links"):
        share.resolve("magic/abs")
    with share.resolve("rel/new") as entry, closing(share.create_file(entry, 0o644)):
        assert (tmp_path / "outside/new").exists()


def test_wide_links_do_not_widen_names(make_share: MakeShare, disk: Path) -> None:
    share = make_share(follow_symlinks=True, wide_links=True)
    for path in ("../outside", "a/../../outside", "/etc/passwd"):
        with pytest.raises(NameInvalid):
            share.resolve(path)
        with pytest.raises(OSError, match="cross-device"):
            share.open_directory(path)


def test_wide_links_need_follow_symlinks(
    make_share: MakeShare, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a kernel that can tell the magic links of /proc from others."""
    (tmp_path / "outside").mkdir()
    (disk / "abs").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="symbolic links"):
        make_share(wide_links=True).resolve("abs/file")
    monkeypatch.setattr(path_module, "has_openat2", lambda: False)
    with pytest.raises(OSError, match="cross-device"):
        make_share(follow_symlinks=True, wide_links=True).resolve("abs/file")


def test_vetoed_names_are_not_there(make_share: MakeShare, disk: Path) -> None:
    share = make_share(veto=("*.tmp", "Secret"))
    (disk / "secret").mkdir()
    (disk / "secret/x").touch()
    (disk / "a.TMP").touch()
    for path in ("a.tmp", "a.TMP", "secret", "new.tmp"):
        with pytest.raises(FileNotFoundError):
            share.resolve(path)
    with pytest.raises(PathNotFound):
        share.resolve("SECRET/x")


def test_a_vetoed_name_cannot_be_created_or_renamed_to(
    share: ShareRoot, make_share: MakeShare, opened: Open
) -> None:
    strict = make_share(veto=("*.tmp",))
    handle = opened(share, "a")
    with share.resolve("b.tmp") as entry:
        with pytest.raises(PermissionError):
            strict.create_file(entry, 0o644)
        with pytest.raises(PermissionError):
            strict.rename(handle, entry, replace=False)
        with pytest.raises(PermissionError):
            strict.link(handle, entry, replace=False)


def test_a_created_file_has_attributes_birth_and_mode(share: ShareRoot, disk: Path) -> None:
    old = os.umask(0)
    try:
        with share.resolve("new") as entry:
            handle = share.create_file(entry, 0o746)
    finally:
        os.umask(old)
    found = handle.stat()
    assert handle.readable
    assert handle.writable
    assert found.attributes == ATTR_ARCHIVE
    assert found.mode == stat.S_IFREG | 0o746
    assert abs(found.birth - found.write) < 10_000_000_000
    assert len(os.getxattr(disk / "new", "user.DOSATTRIB")) == 32
    os.utime(disk / "new", ns=(1, 1))
    assert handle.stat().birth == found.birth
    handle.close()


def test_creating_what_has_come_to_exist_is_refused(share: ShareRoot, disk: Path) -> None:
    with share.resolve("a") as file, share.resolve("b") as directory:
        (disk / "a").touch()
        (disk / "b").symlink_to("/etc")
        with pytest.raises(FileExistsError):
            share.create_file(file, 0o644)
        with pytest.raises(FileExistsError):
            share.create_directory(directory, 0o755)
    with share.resolve("a") as entry, pytest.raises(FileExistsError):
        share.create_file(entry, 0o644)


def test_a_created_directory_can_be_used(share: ShareRoot, disk: Path, opened: Open) -> None:
    with share.resolve("d") as entry:
        handle = share.create_directory(entry, 0o755, ATTR_HIDDEN)
    assert handle.is_directory
    assert handle.stat().attributes == ATTR_DIRECTORY | ATTR_HIDDEN
    opened(share, "D/x")
    assert (disk / "d/x").exists()
    handle.close()


@pytest.mark.parametrize("make", [ShareRoot.create_file, ShareRoot.create_directory])
def test_what_cannot_be_made_whole_is_not_there(
    share: ShareRoot,
    disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[ShareRoot, Entry, int], Handle],
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with share.resolve("new") as entry:
        monkeypatch.setattr(AttributeStore, "stat_fd", fails)
        with pytest.raises(OSError, match="Input/output"):
            make(share, entry, 0o755)
    assert list(disk.iterdir()) == []


def test_a_directory_that_finds_no_descriptor_is_not_there(
    share: ShareRoot, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ = os.open

    def full(path: str, *rest: object, **named: object) -> int:
        if path == "new":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return open_(path, *rest, **named)  # type: ignore[arg-type]

    with share.resolve("new") as entry:
        monkeypatch.setattr(os, "open", full)
        with pytest.raises(OSError, match="Too many open files"):
            share.create_directory(entry, 0o755)
    assert list(disk.iterdir()) == []


@pytest.mark.parametrize("step", ["os.readlink", "ksmbd.vfs.root.compile_patterns"])
def test_a_root_that_cannot_be_made_gives_its_descriptor_back(
    disk: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)

    def fails(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(step, fails)
        with pytest.raises(OSError, match="Input/output") as failed:
            ShareRoot(str(disk))
    del failed
    gc.collect()
    assert held(disk) == 0
    assert unraisable == []


def test_special_files_are_not_opened_for_io(share: ShareRoot, disk: Path) -> None:
    os.mkfifo(disk / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(disk, os.O_PATH)
        listener.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
        for name, tag in (("fifo", 0x80000024), ("socket", 0x80000023)):
            with share.resolve(name) as entry:
                assert entry.stat is not None
                assert entry.stat.reparse_tag == tag
                with pytest.raises(PermissionError):
                    share.open(entry, read=True, write=False)
                share.open(entry, read=False, write=False).close()


def test_opening_a_missing_entry_is_refused(share: ShareRoot) -> None:
    with share.resolve("no") as entry, pytest.raises(FileNotFoundError):
        share.open(entry, read=True, write=False)


def test_open_reaches_the_inode_that_was_resolved(share: ShareRoot, disk: Path) -> None:
    (disk / "a").write_text("old")
    with share.resolve("a") as entry:
        (disk / "a").rename(disk / "b")
        (disk / "a").write_text("new")
        handle = share.open(entry, read=True, write=False)
    buffer = bytearray(3)
    assert handle.readinto(memoryview(buffer), 0) == 3
    assert buffer == b"old"
    handle.close()


def test_descriptors_are_given_back(share: ShareRoot, disk: Path) -> None:
    (disk / "d").mkdir()
    (disk / "d/f").touch()
    (disk / "link").symlink_to("d")
    before = len(os.listdir("/proc/self/fd"))
    for path in ("d/f", "D/F", "d/new", "no/x", "link/x", "a:b", "", "d"):
        try:
            with share.resolve(path) as entry:
                if entry.exists:
                    share.open(entry, read=True, write=False).close()
        except OSError:
            continue
    assert len(os.listdir("/proc/self/fd")) == before


def test_descriptors_do_not_reach_child_processes(share: ShareRoot, opened: Open) -> None:
    handle = opened(share, "f")
    with share.resolve("f") as entry, share.resolve("new") as missing:
        for fd in (share.fd, handle.fd, entry.fd, missing.parent):
            assert not os.get_inheritable(fd)


def test_statfs_describes_the_file_system(share: ShareRoot) -> None:
    found = share.statfs()
    assert found.block_size > 0
    assert found.blocks >= found.free >= 0
    assert found.name_max >= 143
    assert not found.read_only
