"""Locks on a descriptor, as the kernel tells somebody else of them."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ksmbd.vfs import posix_locks
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.posix_locks import END
from ksmbd.vfs.root import ShareRoot

TOP = 1 << 64


@pytest.fixture
def root(tmp_path: Path) -> Iterator[ShareRoot]:
    (tmp_path / "file").touch()
    made = ShareRoot(str(tmp_path))
    yield made
    made.close()


def opened(root: ShareRoot, *, read: bool = True, write: bool = True) -> Handle:
    with root.resolve("file") as entry:
        return root.open(entry, read=read, write=write)


@pytest.fixture
def one(root: ShareRoot) -> Iterator[Handle]:
    made = opened(root)
    yield made
    made.close()


@pytest.fixture
def other(root: ShareRoot) -> Iterator[Handle]:
    made = opened(root)
    yield made
    made.close()


def seen(by: Handle, byte: int) -> str:
    """What *by* could not have there."""
    if posix_locks.in_the_way(by, byte, byte + 1, False):
        return "exclusive"
    return "shared" if posix_locks.in_the_way(by, byte, byte + 1, True) else "free"


def test_a_lock_is_seen_by_other_descriptions(one: Handle, other: Handle) -> None:
    assert posix_locks.place(one, 10, 20, True)
    assert posix_locks.place(one, 20, 30, False)
    assert [seen(other, at) for at in (9, 10, 19, 20, 29, 30)] == [
        *("free", "exclusive", "exclusive", "shared", "shared", "free")
    ]
    assert [seen(one, at) for at in (10, 20)] == ["free", "free"]
    assert not posix_locks.place(other, 19, 20, False)
    assert posix_locks.place(other, 20, 21, False)
    assert not posix_locks.place(other, 20, 21, True)


def test_a_lock_is_seen_by_other_processes(one: Handle, tmp_path: Path) -> None:
    script = """\
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
for start in (0, 50):
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, start)
        print("locked")
    except BlockingIOError:
        print("refused")
"""
    assert posix_locks.place(one, 5, 6, False)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "file")],
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.split() == ["refused", "locked"]


def test_a_lock_becomes_another_and_goes(one: Handle, other: Handle) -> None:
    posix_locks.place(one, 0, 30, True)
    posix_locks.place(one, 10, 20, False)
    posix_locks.remove(one, 12, 14)
    assert [seen(other, at) for at in (9, 10, 12, 14, 20)] == [
        *("exclusive", "shared", "free", "shared", "exclusive")
    ]
    posix_locks.remove(one)
    assert not posix_locks.in_the_way(other, 0, TOP, True)


def test_locks_end_with_the_description(root: ShareRoot, other: Handle) -> None:
    one = opened(root)
    posix_locks.place(one, 0, 1, True)
    one.close()
    assert seen(other, 0) == "free"


@pytest.mark.parametrize(
    ("start", "end", "held", "free"),
    [
        (END - 10, TOP, [END - 10, END - 1], [END - 11]),  # as far as the kernel goes
        (0, TOP, [0, END - 1], []),
        (END - 1, END, [END - 1], [END - 2]),
        (END, TOP, [], [0, END - 1]),
        (TOP - 1, TOP, [], [0, END - 1]),
        (5, 5, [], [4, 5, END - 1]),  # of length 0: in fcntl that would be all that follows
    ],
)
def test_offsets_beyond_the_kernel_s(
    one: Handle, other: Handle, start: int, end: int, held: list[int], free: list[int]
) -> None:
    assert posix_locks.place(one, start, end, True)
    assert {seen(other, at) for at in held} <= {"exclusive"}
    assert {seen(other, at) for at in free} <= {"free"}
    assert posix_locks.in_the_way(other, start, end, True) is bool(held)


@pytest.mark.parametrize(
    ("read", "write", "exclusive", "expected"),
    [
        (True, True, True, "exclusive"),
        (True, True, False, "shared"),
        (True, False, True, "shared"),  # the most that the descriptor can have
        (True, False, False, "shared"),
        (False, True, True, "exclusive"),
        (False, True, False, "free"),
    ],
)
def test_the_descriptor_decides_what_there_can_be(
    root: ShareRoot, other: Handle, read: bool, write: bool, exclusive: bool, expected: str
) -> None:
    one = opened(root, read=read, write=write)
    assert posix_locks.place(one, 0, 1, exclusive)
    assert seen(other, 0) == expected
    one.close()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks_is_no_obstacle(
    one: Handle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    def refuse(*_: Any) -> bytes:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(posix_locks, "fcntl", refuse)
    with caplog.at_level(logging.DEBUG, "ksmbd.vfs"):
        assert posix_locks.place(one, 0, 1, True)
        assert not posix_locks.in_the_way(one, 0, 1, True)
    assert caplog.text.count("file: no locks that local programs see") == 2
