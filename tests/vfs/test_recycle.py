"""vfs/recycle.py: which files the recycle bin takes, where it puts them, and what stays out."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import closing
from pathlib import Path

import pytest

from ksmbd.vfs import recycle
from ksmbd.vfs.recycle import RecycleBin, Rules
from tests.support.held import held
from tests.vfs.conftest import MakeShare

BIN = ".recycle"


def put(disk: Path, name: str, content: bytes = b"content") -> Path:
    path = disk / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


class Deleting:
    """A share with a bin, whose files are deleted by name."""

    def __init__(self, make_share: MakeShare, **options: object) -> None:
        self.root = make_share(**options)

    def keep(self, name: str, repository: str = BIN, **rules: object) -> str | None:
        made = RecycleBin(Rules(repository, **rules))  # type: ignore[arg-type]
        with (
            self.root.resolve(name) as entry,
            closing(self.root.open(entry, read=False, write=False)) as handle,
        ):
            return made.keep(handle)


@pytest.fixture
def deleting(make_share: MakeShare) -> Deleting:
    return Deleting(make_share)


def test_a_file_goes_whole(deleting: Deleting, disk: Path) -> None:
    path = put(disk, "dir/file")
    before = path.stat()
    assert deleting.keep("dir/file") == ".recycle/file"
    kept = disk / ".recycle/file"
    assert not path.exists()
    assert kept.read_bytes() == b"content"
    assert kept.stat().st_ino == before.st_ino
    assert kept.stat().st_mtime_ns == before.st_mtime_ns


def test_the_tree_above_a_file_is_made_again(deleting: Deleting, disk: Path) -> None:
    put(disk, "a/b/file")
    kept = deleting.keep("a/b/file", keep_tree=True, directory_mode=0o770, subdir_mode=0o750)
    assert kept == ".recycle/a/b/file"
    modes = [stat.S_IMODE((disk / d).stat().st_mode) for d in (BIN, ".recycle/a", ".recycle/a/b")]
    mask = os.umask(0)
    os.umask(mask)
    assert modes == [0o770 & ~mask, 0o750 & ~mask, 0o750 & ~mask]
    put(disk, "top")
    assert deleting.keep("top", keep_tree=True) == ".recycle/top"


@pytest.mark.parametrize("place", ["", "/", "..", "a/../..", "./a", "/srv", "a//b"])
def test_a_repository_outside_is_none(place: str) -> None:
    with pytest.raises(ValueError, match="not inside the share"):
        RecycleBin(Rules(place))


def test_directories_pass_their_group_on_where_it_is_asked_for(
    deleting: Deleting, disk: Path
) -> None:
    put(disk, "file")
    assert deleting.keep("file", directory_mode=0o2750) == ".recycle/file"
    assert (disk / ".recycle").stat().st_mode & 0o7777 == 0o2750


def test_a_repository_may_lie_deep(deleting: Deleting, disk: Path) -> None:
    put(disk, "file")
    assert deleting.keep("file", "trash/of/all") == "trash/of/all/file"
    assert (disk / "trash/of/all/file").exists()


def test_the_last_of_a_name_replaces_the_one_before(deleting: Deleting, disk: Path) -> None:
    for content in (b"first", b"second"):
        put(disk, "file", content)
        assert deleting.keep("file") == ".recycle/file"
    assert os.listdir(disk / BIN) == ["file"]
    assert (disk / ".recycle/file").read_bytes() == b"second"


def test_versions_are_numbered(deleting: Deleting, disk: Path) -> None:
    for content in (b"0", b"1", b"2", b"3", b"4", b"5"):
        put(disk, "file", content)
        deleting.keep("file", versions=True)
    for number in range(1, 6):
        kept = disk / f".recycle/Copy #{number} of file"
        assert kept.read_bytes() == str(number).encode()
    assert (disk / ".recycle/file").read_bytes() == b"0"


def test_few_questions_find_the_number_after_many(
    deleting: Deleting, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(disk, ".recycle/file")
    for number in range(1, 500):
        put(disk, f".recycle/Copy #{number} of file")
    asked: list[str] = []
    real = recycle._is_taken
    monkeypatch.setattr(
        recycle, "_is_taken", lambda fd, name: (asked.append(name), real(fd, name))[1]
    )
    put(disk, "file")
    assert deleting.keep("file", versions=True) == ".recycle/Copy #500 of file"
    assert len(asked) < 25


def test_names_without_versions_replace(deleting: Deleting, disk: Path) -> None:
    for _ in range(2):
        put(disk, "a.LOG")
        assert deleting.keep("a.LOG", versions=True, no_versions=("*.log",)) == ".recycle/a.LOG"


def test_a_copy_of_the_longest_name_is_kept_too(deleting: Deleting, disk: Path) -> None:
    name = "ä" * 127
    put(disk, f".recycle/{name}")
    put(disk, name, b"new")
    kept = deleting.keep(name, versions=True)
    assert kept is not None
    assert kept.startswith(".recycle/Copy #1 of ä")
    assert (disk / kept).read_bytes() == b"new"


def test_what_comes_to_exist_meanwhile_is_not_replaced(
    deleting: Deleting, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(disk, ".recycle/file", b"first")
    put(disk, "file", b"second")
    real, told = recycle._is_taken, iter((False,))
    monkeypatch.setattr(recycle, "_is_taken", lambda fd, name: next(told, real(fd, name)))
    assert deleting.keep("file", versions=True) == ".recycle/Copy #1 of file"
    assert (disk / ".recycle/file").read_bytes() == b"first"


def test_a_directory_of_the_name_stays(deleting: Deleting, disk: Path) -> None:
    (disk / ".recycle/file").mkdir(parents=True)
    put(disk, "file")
    assert deleting.keep("file") == ".recycle/Copy #1 of file"
    assert (disk / ".recycle/file").is_dir()


@pytest.mark.parametrize(
    "rules",
    [
        {"minsize": 8},
        {"maxsize": 6},
        {"exclude": ("*.tmp", "FI*")},
        {"exclude_dir": ("temp*",)},
        {"exclude_dir": ("inner",)},
        {"exclude_dir": ("/temp1",)},
        {"exclude_dir": ("temp?/inner/",)},
    ],
)
def test_what_is_deleted_for_good(deleting: Deleting, disk: Path, rules: dict[str, object]) -> None:
    put(disk, "Temp1/inner/file")
    assert deleting.keep("Temp1/inner/file", **rules) is None
    assert (disk / "Temp1/inner/file").exists(), "the caller deletes"
    assert not (disk / BIN).exists()


@pytest.mark.parametrize(
    "rules",
    [{"minsize": 7}, {"maxsize": 7}, {"exclude": ("inner",)}, {"exclude_dir": ("file", "in")}],
)
def test_what_just_does_not_match_is_kept(
    deleting: Deleting, disk: Path, rules: dict[str, object]
) -> None:
    put(disk, "inner/file")
    assert deleting.keep("inner/file", **rules) == ".recycle/file"


def test_a_path_of_directories_begins_at_the_root_of_the_share(
    deleting: Deleting, disk: Path
) -> None:
    put(disk, "tmp/file")
    put(disk, "other/tmp/file")
    assert deleting.keep("tmp/file", exclude_dir=("/tmp",)) is None
    assert deleting.keep("other/tmp/file", exclude_dir=("/tmp",)) == ".recycle/file"


def test_an_empty_file_is_kept_unless_minsize_says_so(deleting: Deleting, disk: Path) -> None:
    put(disk, "empty", b"")
    assert deleting.keep("empty", minsize=1) is None
    assert deleting.keep("empty") == ".recycle/empty"


def test_what_has_no_content_is_deleted_for_good(deleting: Deleting, disk: Path) -> None:
    (disk / "dir").mkdir()
    (disk / "link").symlink_to("nowhere")
    os.mkfifo(disk / "fifo")
    assert [deleting.keep(name) for name in ("dir", "link", "fifo")] == [None] * 3


def test_what_lies_in_the_repository_is_deleted_for_good(deleting: Deleting, disk: Path) -> None:
    put(disk, ".recycle/file")
    put(disk, ".recycle/tree/file")
    assert deleting.keep(".recycle/file", versions=True) is None
    assert deleting.keep(".recycle/tree/file", versions=True) is None
    put(disk, ".recycled/file")
    assert deleting.keep(".recycled/file") == ".recycle/file"


def test_the_repository_is_known_by_every_path(make_share: MakeShare, disk: Path) -> None:
    deleting = Deleting(make_share, follow_symlinks=True)
    put(disk, ".recycle/file")
    (disk / "bin").symlink_to(BIN)
    assert deleting.keep("bin/file", versions=True) is None


def test_a_followed_link_is_deleted_and_its_file_stays(make_share: MakeShare, disk: Path) -> None:
    deleting = Deleting(make_share, follow_symlinks=True)
    put(disk, "file")
    (disk / "link").symlink_to("file")
    assert deleting.keep("link") is None
    assert (disk / "file").exists()


def test_of_two_links_one_is_kept(deleting: Deleting, disk: Path) -> None:
    """rename(2) of one link of a file over another leaves both."""
    put(disk, "file")
    (disk / "other").mkdir()
    os.link(disk / "file", disk / "other/file")
    assert deleting.keep("file") == ".recycle/file"
    assert deleting.keep("other/file") is None


@pytest.mark.parametrize(("touch", "touch_mtime"), [(True, False), (False, True)])
def test_the_time_of_the_deletion(
    deleting: Deleting, disk: Path, touch: bool, touch_mtime: bool
) -> None:
    os.utime(put(disk, "file"), ns=(10**18, 10**18))
    deleting.root.clock = lambda: 17 * 10**17
    deleting.keep("file", touch=touch, touch_mtime=touch_mtime)
    st = (disk / ".recycle/file").stat()
    assert st.st_atime_ns == 17 * 10**17
    assert st.st_mtime_ns == (17 * 10**17 if touch_mtime else 10**18)


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("place", [BIN, ".recycle/sub"])
def test_no_symlink_leads_the_file_out(
    make_share: MakeShare, disk: Path, tmp_path: Path, follow: bool, place: str
) -> None:
    deleting = Deleting(make_share, follow_symlinks=follow, wide_links=follow)
    put(disk, "sub/file")
    (disk / place).parent.mkdir(parents=True, exist_ok=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (disk / place).symlink_to(outside)
    with pytest.raises(NotADirectoryError):
        deleting.keep("sub/file", keep_tree=True)
    assert (disk / "sub/file").exists()
    assert os.listdir(outside) == []


def test_a_file_in_the_way_of_the_repository_stays(deleting: Deleting, disk: Path) -> None:
    put(disk, BIN, b"in the way")
    put(disk, "file")
    with pytest.raises(NotADirectoryError):
        deleting.keep("file")
    assert (disk / BIN).read_bytes() == b"in the way"


def test_a_vetoed_repository_takes_files_all_the_same(make_share: MakeShare, disk: Path) -> None:
    deleting = Deleting(make_share, veto=(BIN,))
    put(disk, "file")
    assert deleting.keep("file") == ".recycle/file"


def test_a_file_that_has_moved_is_found(deleting: Deleting, disk: Path) -> None:
    put(disk, "file")
    root = deleting.root
    with (
        root.resolve("file") as entry,
        closing(root.open(entry, read=True, write=False)) as handle,
    ):
        (disk / "file").rename(disk / "moved")
        assert RecycleBin(Rules(BIN)).keep(handle) == ".recycle/moved"
        (disk / ".recycle/moved").unlink()
        with pytest.raises(FileNotFoundError):
            RecycleBin(Rules(BIN)).keep(handle)


def test_the_names_of_the_directories_are_known_at_once(deleting: Deleting, disk: Path) -> None:
    put(disk, "File")
    with deleting.root.resolve("file") as entry:  # the directory's table is read
        assert entry.exists
    deleting.keep("file")
    with deleting.root.resolve("FILE") as entry:
        assert not entry.exists
    with deleting.root.resolve(".RECYCLE/FILE") as entry:
        assert entry.path == ".recycle/File"


def test_a_directory_that_does_not_get_its_mode_costs_no_descriptor(
    deleting: Deleting, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(disk, "file")
    before = held(disk)

    def fails(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(recycle, "set_group_id", fails)
    with pytest.raises(OSError, match="Input/output"):
        deleting.keep("file", directory_mode=0o2770)
    assert held(disk) == before
    assert (disk / "file").exists()
