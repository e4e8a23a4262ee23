"""The thread that hears of local programs."""

from __future__ import annotations

import errno
import os
import queue
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksmbd.server.lease_reader import LeaseReader
from ksmbd.vfs import file_leases
from ksmbd.vfs.root import ShareRoot

Heard = queue.Queue[int | None]


@pytest.fixture
def heard() -> Heard:
    return queue.Queue()


@pytest.fixture
def reader(heard: Heard) -> Iterator[LeaseReader]:
    made = LeaseReader(heard.put)
    yield made
    made.close()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ksmbd-leases"]


def test_it_tells_which_file_somebody_wants(
    reader: LeaseReader, heard: Heard, tmp_path: Path
) -> None:
    paths = [tmp_path / name for name in "abc"]
    root = ShareRoot(str(tmp_path))
    handles = []
    for path in paths:
        path.touch()
        with root.resolve(path.name) as entry:
            handles.append(root.open(entry, read=True, write=True))
        reader.claim(handles[-1].fd)
        assert file_leases.take(handles[-1], file_leases.WRITE)
    for number in (1, 0):
        with pytest.raises(BlockingIOError):
            os.open(paths[number], os.O_RDONLY | os.O_NONBLOCK)
        assert heard.get(timeout=10) == handles[number].fd
    assert heard.empty()
    for handle in handles:
        handle.close()
    root.close()


def test_lost_signals_mean_all(reader: LeaseReader, heard: Heard, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    reader.claim(fd)
    (thread,) = threads()
    assert thread.ident is not None
    signal.pthread_kill(thread.ident, file_leases.OVERFLOW)
    assert heard.get(timeout=10) is None
    os.close(fd)


def test_who_cannot_hear_claims_nothing(
    reader: LeaseReader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse() -> int:
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(file_leases, "signal_descriptor", refuse)
    fd = os.open(tmp_path, os.O_RDONLY)
    assert not reader.claim(fd)
    assert not reader.claim(fd)
    assert "signals cannot be read" in caplog.text
    os.close(fd)


def test_the_thread_starts_with_the_first_lease_and_ends(heard: Heard, tmp_path: Path) -> None:
    reader = LeaseReader(heard.put)
    assert threads() == []
    fd = os.open(tmp_path, os.O_RDONLY)
    reader.claim(fd)
    reader.claim(fd)
    assert len(threads()) == 1
    reader.close()
    assert threads() == []
    assert not reader.claim(fd)
    reader.close()
    os.close(fd)
