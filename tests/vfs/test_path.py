"""Opening beneath a directory, by openat2 and by the walk that stands in for it.

What they give for whole shares is in test_root; here is what only the walk has to get right.
"""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ksmbd.vfs import path as module
from ksmbd.vfs.path import O_PATH, Beneath, Openat2, PlainOpenat2, Walk, beneath
from ksmbd.vfs.syscalls import has_openat2

KINDS = [Walk] + ([Openat2] if has_openat2() else [])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "root/a/b").mkdir(parents=True)
    (tmp_path / "root/a/b/f").write_text("inside")
    (tmp_path / "outside").write_text("outside")
    links = {
        "to-b": "a/b",
        "a/up": "..",
        "a/dots": ".././a//b/../b/f",
        "a/out": "../../outside",
        "a/b/abs": "/etc",
        "root-itself": ".",
        "loop": "loop2",
        "loop2": "loop",
    }
    for name, target in links.items():
        (tmp_path / "root" / name).symlink_to(target)
    return tmp_path / "root"


@pytest.fixture(params=KINDS)
def following(request: pytest.FixtureRequest, tree: Path) -> Iterator[Beneath]:
    fd = os.open(tree, os.O_PATH)
    yield request.param(fd, follow_symlinks=True, crossmnt=True)
    os.close(fd)


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """The block closes what it opens; what earlier tests left to the collector stays meanwhile."""
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        yield
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "path", [b"a/b/f", b"to-b/f", b"a/up/a/b/f", b"a/dots", b"root-itself/root-itself/to-b/f"]
)
def test_links_beneath_are_followed(following: Beneath, tree: Path, path: bytes) -> None:
    with nothing_left_open():
        fd = following.open(path, O_PATH)
        assert os.fstat(fd).st_ino == (tree / "a/b/f").stat().st_ino
        assert not os.get_inheritable(fd)
        os.close(fd)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (b"a/out", errno.EXDEV),
        (b"a/up/../outside", errno.EXDEV),
        (b"a/b/abs/passwd", errno.EXDEV),
        (b"loop", errno.ELOOP),
        (b"loop/x", errno.ELOOP),
        (b"a/b/f/x", errno.ENOTDIR),
        (b"a/none/x", errno.ENOENT),
        (b"a/none", errno.ENOENT),
    ],
)
def test_refusals(following: Beneath, path: bytes, code: int) -> None:
    with nothing_left_open(), pytest.raises(OSError, match=r".") as refused:
        following.open(path, O_PATH)
    assert refused.value.errno == code


@pytest.mark.parametrize("path", [b"root-itself", b"a/up", b"to-b", b"a"])
def test_directories_behind_links_can_be_opened(following: Beneath, path: bytes) -> None:
    os.close(following.open(path, O_PATH | os.O_DIRECTORY))


def test_the_best_way_is_chosen(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fd = os.open(tree, os.O_PATH)
    if has_openat2():
        assert type(beneath(fd, follow_symlinks=False, crossmnt=True)) is PlainOpenat2
        assert type(beneath(fd, follow_symlinks=True, crossmnt=True)) is Openat2
        assert type(beneath(fd, follow_symlinks=False, crossmnt=False)) is Openat2
    monkeypatch.setattr(module, "has_openat2", lambda: False)
    assert type(beneath(fd, follow_symlinks=False, crossmnt=True)) is Walk
    os.close(fd)
