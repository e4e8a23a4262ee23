"""Copying on the server."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ksmbd.vfs import copy
from ksmbd.vfs.copy import clone_range, copy_range
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.streams import open_stream

Open = Callable[..., Handle]


@pytest.fixture(params=["kernel", "by hand"])
def _either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> int:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    if request.param == "by hand":
        monkeypatch.setattr(os, "copy_file_range", unsupported)
        monkeypatch.setattr(copy, "_CHUNK", 7)


@pytest.mark.usefixtures("_either")
class TestBothWays:
    def test_a_range_is_copied(self, share: ShareRoot, disk: Path, opened: Open) -> None:
        source, target = opened(share, "a"), opened(share, "b")
        source.write(b"0123456789" * 3, 0)
        assert copy_range(source, 5, target, 2, 20) == 20
        assert (disk / "b").read_bytes() == b"\0\0" + b"56789" + b"0123456789" + b"01234"

    def test_the_end_of_the_source_ends_the_copy(
        self, share: ShareRoot, disk: Path, opened: Open
    ) -> None:
        source, target = opened(share, "a"), opened(share, "b")
        source.write(b"0123456789", 0)
        assert copy_range(source, 8, target, 0, 100) == 2
        assert copy_range(source, 10, target, 0, 100) == 0
        assert copy_range(source, 50, target, 0, 100) == 0
        assert (disk / "b").read_bytes() == b"89"

    @pytest.mark.parametrize(("start", "to"), [(0, 10), (10, 0), (3, 4), (4, 3), (5, 5)])
    def test_overlaps_copy_as_if_through_a_buffer(
        self, share: ShareRoot, disk: Path, opened: Open, start: int, to: int
    ) -> None:
        handle, other = opened(share, "a"), opened(share, "a")
        data = bytes(range(100))
        handle.write(data, 0)
        assert copy_range(handle, start, other, to, 60) == 60
        expected = bytearray(data)
        expected[to : to + 60] = data[start : start + 60]
        assert (disk / "a").read_bytes() == expected


def test_streams_are_copied_by_hand(share: ShareRoot, opened: Open) -> None:
    target = opened(share, "b")
    opened(share, "a")
    with share.resolve("a") as entry:
        source = open_stream(share, entry, "s", read=True, write=True, create=True)
    source.write(b"stream", 0)
    assert copy_range(source, 0, target, 0, 6) == 6
    assert target.stat().size == 6
    source.close()


def test_cloning_works_or_says_that_it_cannot(share: ShareRoot, disk: Path, opened: Open) -> None:
    source, target = opened(share, "a"), opened(share, "b")
    source.write(b"x" * 4096, 0)
    try:
        clone_range(source, 0, target, 0, 4096)
    except OSError as failed:
        cannot = failed.errno
    else:
        cannot = 0
    assert cannot in (0, errno.EOPNOTSUPP)
    assert (disk / "b").read_bytes() == (b"" if cannot else b"x" * 4096)
