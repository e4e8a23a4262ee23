"""Reading names of a directory into reused buffers."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksmbd.vfs import reader as module
from ksmbd.vfs.reader import VALUE_MAX, NameReader
from ksmbd.vfs.syscalls import birth_ns


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").write_bytes(b"x" * 5000)
    (tmp_path / "dir").mkdir()
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    os.utime(tmp_path / "file", ns=(-1_500_000_000, 2_000_000_002))
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("name", ["file", "dir", "link", "fifo", "."])
def test_birth_times_of_names_are_those_of_the_files(directory: int, name: str) -> None:
    reader = NameReader()
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=directory)
    for _ in range(2):
        assert reader.birth(directory, name.encode()) == birth_ns(fd)
    os.close(fd)


def test_what_is_gone_is_an_error(directory: int) -> None:
    with pytest.raises(FileNotFoundError):
        NameReader().birth(directory, b"gone")


@pytest.mark.parametrize("new_kernel", [True, False])
def test_xattrs_of_names(
    directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_kernel: bool
) -> None:
    if not new_kernel:
        monkeypatch.setattr(module, "_HAS_GETXATTRAT", False)
    os.setxattr(tmp_path / "file", "user.a", b"value")
    reader = NameReader()
    assert reader.attribute(directory, "file", b"file", "user.a") == b"value"
    try:
        assert reader.attribute(directory, "file", b"file", "user.none") is None
    except OSError as failed:
        code = failed.errno
    else:
        code = errno.ENODATA
    assert code == errno.ENODATA


@pytest.mark.parametrize("new_kernel", [True, False])
def test_the_names_of_all_xattrs_of_names(
    directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_kernel: bool
) -> None:
    if not new_kernel:
        monkeypatch.setattr(module, "_HAS_GETXATTRAT", False)
    many = [f"user.{number:0100}" for number in range(7)]
    for name in ("user.a", "user.\udcff"):
        os.setxattr(tmp_path / "file", name, b"value")
    for name in many:  # their names are longer than the buffer
        os.setxattr(tmp_path / "dir", name, b"")
    reader = NameReader()
    listed = {
        name: set(reader.attributes(directory, name, name.encode()).split(b"\0"))
        for name in ("file", "dir", "link")
    }
    assert {b"user.a", b"user.\xff"} <= listed["file"]
    assert {name.encode() for name in many} <= listed["dir"]
    assert b"user.a" not in listed["link"]
    with pytest.raises(FileNotFoundError):
        reader.attributes(directory, "gone", b"gone")


@pytest.mark.skipif(not module._HAS_GETXATTRAT, reason="the kernel has no getxattrat")
def test_long_xattrs_are_refused(directory: int, tmp_path: Path) -> None:
    os.setxattr(tmp_path / "file", "user.long", b"x" * (VALUE_MAX + 1))
    with pytest.raises(OSError, match=r".") as failed:
        NameReader().attribute(directory, "file", b"file", "user.long")
    assert failed.value.errno == errno.ERANGE
