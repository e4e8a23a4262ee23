"""Who closes what."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ksmbd.vfs.entry import Entry
from ksmbd.vfs.root import ShareRoot


def test_an_entry_closes_both_descriptors_once() -> None:
    entry = Entry("a", "a", fd=os.open("/", os.O_PATH), parent=os.open("/", os.O_PATH))
    fds = (entry.fd, entry.parent)
    entry.close()
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
    assert (entry.fd, entry.parent) == (-1, -1)
    entry.close()


def test_what_was_taken_is_not_closed() -> None:
    with Entry("a/b", "a/B", fd=os.open("/", os.O_PATH)) as entry:
        fd = entry.take()
        assert entry.name == "b"
    os.fstat(fd)
    os.close(fd)


def test_a_handle_takes_the_descriptor_over(share: ShareRoot, disk: Path) -> None:
    (disk / "f").touch()
    with share.resolve("f") as entry:
        fd = entry.fd
        handle = share.open(entry, read=False, write=False)
        assert (handle.fd, entry.fd) == (fd, -1)
    os.fstat(fd)
    handle.close()
