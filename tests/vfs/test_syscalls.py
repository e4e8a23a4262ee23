"""The system calls behind ctypes."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import os
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from ksmbd.vfs import syscalls
from ksmbd.vfs.syscalls import (
    FALLOC_KEEP_SIZE,
    FALLOC_PUNCH_HOLE,
    OpenHow,
    birth_ns,
    fallocate,
    fs_type,
    getxattrat_into,
    has_getxattrat,
    has_openat2,
    inotify_add_watch,
    openat2,
    renameat2,
    statx_into,
)

AT_FDCWD = -100


@pytest.mark.skipif(not has_openat2(), reason="the kernel has no openat2")
def test_openat2_opens_or_says_why(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    how = OpenHow(os.O_RDONLY | os.O_CLOEXEC, 0, 0)
    fd = openat2(AT_FDCWD, bytes(tmp_path / "f"), how)
    assert os.read(fd, 2) == b"x"
    os.close(fd)
    with pytest.raises(FileNotFoundError) as failed:
        openat2(AT_FDCWD, bytes(tmp_path / "no"), how)
    assert failed.value.filename == bytes(tmp_path / "no")


def test_interrupted_calls_are_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [errno.EINTR, errno.EAGAIN, 0]

    def interrupted(*_: object) -> int:
        code = answers.pop(0)
        ctypes.set_errno(code)
        return -1 if code else 7

    monkeypatch.setattr(syscalls, "_openat2", interrupted)
    assert openat2(AT_FDCWD, b"x", OpenHow(0, 0, 0)) == 7
    assert answers == []


def test_renames_without_end_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def disturbed(*_: object) -> int:
        tries.append(1)
        ctypes.set_errno(errno.EAGAIN)
        return -1

    monkeypatch.setattr(syscalls, "_openat2", disturbed)
    with pytest.raises(OSError, match="renames kept it from being opened") as failed:
        openat2(AT_FDCWD, b"x", OpenHow(0, 0, 0))
    assert (failed.value.errno, failed.value.filename) == (errno.EBUSY, b"x")
    assert len(tries) == syscalls._MOST_TRIES


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
def test_a_kernel_without_the_calls_is_noticed(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def missing(*_: object) -> int:
        ctypes.set_errno(code)
        return -1

    monkeypatch.setattr(syscalls, "_openat2", missing)
    monkeypatch.setattr(syscalls, "_getxattrat", missing)
    assert not has_openat2()
    assert not has_getxattrat()


def test_renameat2_replaces_only_when_told(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("a")
    b.write_text("b")
    with pytest.raises(FileExistsError):
        renameat2(AT_FDCWD, bytes(a), AT_FDCWD, bytes(b), replace=False)
    renameat2(AT_FDCWD, bytes(a), AT_FDCWD, bytes(b), replace=True)
    assert b.read_text() == "a"
    assert not a.exists()


def test_birth_time_stays_when_times_are_set(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    fd = os.open(tmp_path / "f", os.O_PATH)
    born = birth_ns(fd)
    os.utime(tmp_path / "f", ns=(0, 0))
    assert birth_ns(fd) == born
    assert born is None or abs(born - os.fstat(fd).st_ctime_ns) < 10**10
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        birth_ns(fd)


def test_fallocate_reserves_without_growing(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    with contextlib.suppress(OSError):  # not every file system can
        fallocate(fd, 0, 1 << 20)
        assert os.fstat(fd).st_blocks * 512 >= 1 << 20
    assert os.fstat(fd).st_size == 0
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        fallocate(fd, 0, 1)


def test_fallocate_punches_holes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 8192)
    fd = os.open(tmp_path / "f", os.O_RDWR)
    with contextlib.suppress(OSError):
        fallocate(fd, 10, 100, mode=FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE)
        assert (tmp_path / "f").read_bytes() == b"x" * 10 + bytes(100) + b"x" * 8082
    os.close(fd)


def test_a_file_system_has_its_number() -> None:
    fd = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    assert fs_type(fd) == 0x9FA0
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        fs_type(fd)


class Request:
    """Stands for what is in the frames above a call."""


FAILING: dict[str, Callable[[], object]] = {
    "openat2": lambda: openat2(AT_FDCWD, b"/no such file", OpenHow(os.O_RDONLY, 0, 0)),
    "renameat2": lambda: renameat2(-1, b"a", -1, b"b", replace=True),
    "statx": lambda: statx_into(-1, b"a", 0),
    "getxattrat": lambda: getxattrat_into(-1, b"a", b"user.a", 0),
    "fallocate": lambda: fallocate(-1, 0, 1),
    "fs_type": lambda: fs_type(-1),
    "inotify": lambda: inotify_add_watch(-1, b"/", 1),
}


@pytest.mark.parametrize("name", FAILING)
def test_what_fails_keeps_nothing_alive(name: str) -> None:
    """Until garbage is collected it would be the request, with its buffers."""

    def attempt() -> weakref.ref[Request]:
        request = Request()
        with contextlib.suppress(OSError):
            FAILING[name]()
        return weakref.ref(request)

    gc.disable()
    try:
        assert attempt()() is None
    finally:
        gc.enable()


def test_a_birth_time_leaves_no_garbage(tmp_path: Path) -> None:
    with (tmp_path / "f").open("w") as file:
        birth_ns(file.fileno())
        gc.collect()
        gc.disable()
        try:
            birth_ns(file.fileno())
            assert gc.collect() == 0
        finally:
            gc.enable()
