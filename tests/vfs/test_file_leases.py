"""Leases of the kernel on our descriptors, and how it says that somebody else comes."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ksmbd.vfs import file_leases
from ksmbd.vfs.file_leases import NONE, OVERFLOW, READ, SIGNAL, WRITE
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.syscalls import signalfd


@pytest.fixture
def root(tmp_path: Path) -> Iterator[ShareRoot]:
    (tmp_path / "file").touch()
    made = ShareRoot(str(tmp_path))
    yield made
    made.close()


@pytest.fixture
def opened(root: ShareRoot) -> Iterator[Any]:
    """Opens the file again and again."""
    handles = []

    def open_it(*, write: bool = True) -> Handle:
        with root.resolve("file") as entry:
            handles.append(root.open(entry, read=True, write=write))
        file_leases.direct(handles[-1].fd, threading.get_native_id())
        return handles[-1]

    yield open_it
    for handle in handles:
        handle.close()


@pytest.fixture
def signals() -> Iterator[int]:
    """What this thread reads its signals from."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    file_leases.hold_back_signals()
    fd = file_leases.signal_descriptor()
    yield fd
    list(file_leases.read_signals(fd))
    os.close(fd)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def knock(path: Path, flags: int) -> bool:
    """Somebody opens the file, and would have to wait."""
    try:
        os.close(os.open(path, flags | os.O_NONBLOCK))
    except BlockingIOError:
        return True
    return False


@pytest.mark.parametrize(
    ("flags", "left"), [(os.O_RDONLY, READ), (os.O_WRONLY, NONE), (os.O_RDWR, NONE)]
)
def test_the_kernel_signals_who_comes_and_waits(
    opened: Any, signals: int, path: Path, flags: int, left: int
) -> None:
    handle = opened()
    assert file_leases.take(handle, WRITE)
    assert file_leases.left(handle) == WRITE
    assert knock(path, flags)
    assert list(file_leases.read_signals(signals)) == [handle.fd]
    assert file_leases.left(handle) == left
    assert file_leases.take(handle, NONE)
    assert not knock(path, flags)


def test_read_leases_are_in_writers_way_alone(opened: Any, signals: int, path: Path) -> None:
    handle = opened(write=False)
    assert file_leases.take(handle, READ)
    assert not knock(path, os.O_RDONLY)
    assert list(file_leases.read_signals(signals)) == []
    assert knock(path, os.O_WRONLY)
    assert list(file_leases.read_signals(signals)) == [handle.fd]


def test_who_only_reads_may_keep_the_less(opened: Any, signals: int, path: Path) -> None:
    handle = opened(write=False)
    assert file_leases.take(handle, WRITE)
    assert knock(path, os.O_RDONLY)
    assert file_leases.take(handle, READ)
    assert not knock(path, os.O_RDONLY)


def test_beside_others_there_is_none(opened: Any) -> None:
    one, other = opened(), opened(write=False)
    assert not file_leases.take(one, WRITE)
    assert not file_leases.take(other, WRITE)
    assert not file_leases.take(other, READ)  # one writes


def test_a_lease_ends_with_the_description(opened: Any, path: Path) -> None:
    handle = opened()
    assert file_leases.take(handle, WRITE)
    handle.close()
    assert not knock(path, os.O_WRONLY)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EACCES, errno.EAGAIN])
def test_a_refusal_is_no_error(opened: Any, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    handle = opened()

    def refuse(*_: Any) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert not file_leases.take(handle, WRITE)


def test_lost_signals_are_told(signals: int) -> None:
    signal.pthread_kill(threading.get_ident(), OVERFLOW)
    assert list(file_leases.read_signals(signals)) == [None]


def test_signals_of_other_threads_are_not_ours(opened: Any, signals: int, path: Path) -> None:
    handle = opened()
    ready, end = threading.Event(), threading.Event()
    heard: list[int | None] = []

    def listen() -> None:
        file_leases.hold_back_signals()
        fd = file_leases.signal_descriptor()
        file_leases.direct(handle.fd, threading.get_native_id())
        ready.set()
        select.select([fd], [], [], 10)
        heard.extend(file_leases.read_signals(fd))
        os.close(fd)
        end.set()

    thread = threading.Thread(target=listen)
    thread.start()
    assert ready.wait(10)
    assert file_leases.take(handle, WRITE)
    assert knock(path, os.O_WRONLY)
    assert end.wait(10)
    thread.join()
    assert heard == [handle.fd]
    assert list(file_leases.read_signals(signals)) == []


def test_a_signal_that_is_none_is_an_error() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        signalfd((SIGNAL,), -1)
