from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mountd.lock import Locked, LockFile, holder, notify

HOLD = """
import os, sys
from mountd.lock import LockFile
LockFile(sys.argv[1]).acquire(os.getpid())
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ksmbd.lock")


def test_the_lock_names_its_holder(path: str) -> None:
    lock = LockFile(path)
    lock.acquire(4711)
    assert holder(path) == 4711
    assert Path(path).read_text() == "4711\n"
    lock.release()
    assert holder(path) == 0
    assert not Path(path).exists()


def test_a_live_holder_refuses_another(path: str) -> None:
    first = LockFile(path)
    first.acquire(os.getpid())
    with pytest.raises(Locked, match=f"another ksmbd-mountd runs .process {os.getpid()}") as found:
        LockFile(path).acquire(1)
    assert found.value.pid == os.getpid()
    first.release()


def test_a_dead_holder_does_not(path: str) -> None:
    Path(path).write_text(f"{os.getpid()}\n")  # alive, but it holds no lock
    assert holder(path) == 0
    assert notify(path) == 0
    lock = LockFile(path)
    lock.acquire(1)
    assert holder(path) == 1
    lock.release()


def test_a_killed_holder_leaves_no_lock(path: str) -> None:
    command = [sys.executable, "-c", HOLD, path]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert holder(path) == process.pid
        assert notify(path, signal.SIGKILL) == process.pid
        assert process.wait() == -signal.SIGKILL
    lock = LockFile(path)
    lock.acquire(1)
    lock.release()


def test_without_a_file_there_is_nobody(path: str) -> None:
    assert holder(path) == 0
    assert notify(path) == 0


def test_releasing_twice_is_fine(path: str) -> None:
    lock = LockFile(path)
    lock.acquire(1)
    lock.release()
    lock.release()


def test_a_lock_file_that_is_gone_can_be_released(path: str) -> None:
    lock = LockFile(path)
    lock.acquire(1)
    Path(path).unlink()
    lock.release()
    assert holder(path) == 0


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LockFile(str(tmp_path / "none" / "lock")).acquire(1)
