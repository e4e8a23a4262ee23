"""Holes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ksmbd.vfs import sparse
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.sparse import allocated_ranges, fill_holes, trim, zero_range
from ksmbd.vfs.streams import first_stream

Open = Callable[..., Handle]
MIB = 1 << 20


def test_ranges_with_storage_are_reported(share: ShareRoot, opened: Open) -> None:
    handle = opened(share, "f")
    handle.write(b"x" * 4096, 0)
    handle.write(b"x" * 4096, MIB)
    handle.truncate(2 * MIB)
    ranges = allocated_ranges(handle, 0, 4 * MIB)
    assert ranges in ([(0, 4096), (MIB, 4096)], [(0, 2 * MIB)])
    if len(ranges) == 2:
        assert allocated_ranges(handle, 0, 4 * MIB, limit=1) == [(0, 4096)]
        assert allocated_ranges(handle, 100, MIB) == [(100, 3996), (MIB, 100)]
        assert allocated_ranges(handle, 8192, 8192) == []
    assert allocated_ranges(handle, 2 * MIB, MIB) == []
    assert allocated_ranges(handle, (1 << 63) - 1, 1) == []


@pytest.mark.parametrize("supported", [True, False])
def test_a_range_is_zeroed_up_to_the_end_of_the_file(
    share: ShareRoot, disk: Path, opened: Open, monkeypatch: pytest.MonkeyPatch, supported: bool
) -> None:
    def unsupported(*_: object, **_options: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    if not supported:
        monkeypatch.setattr(sparse, "fallocate", unsupported)
    handle = opened(share, "f")
    handle.write(b"x" * 200_000, 0)
    zero_range(handle, 10, 150_000)
    assert (disk / "f").read_bytes() == b"x" * 10 + bytes(150_000) + b"x" * 49_990
    zero_range(handle, 199_999, 1 << 62)
    assert (disk / "f").read_bytes()[-2:] == b"x\0"
    zero_range(handle, 300_000, 10)
    assert handle.stat().size == 200_000


def test_zeroed_storage_is_kept_if_asked(disk: Path, share: ShareRoot, opened: Open) -> None:
    handle = opened(share, "f")
    handle.write(b"x" * MIB, 0)
    zero_range(handle, 0, MIB, free=False)
    assert (disk / "f").read_bytes() == bytes(MIB)
    assert os.stat(disk / "f").st_blocks * 512 >= MIB


def test_holes_are_filled_up_to_the_end(disk: Path, share: ShareRoot, opened: Open) -> None:
    handle = opened(share, "f")
    fill_holes(handle)
    handle.truncate(MIB)
    fill_holes(handle)
    assert os.stat(disk / "f").st_size == MIB
    assert os.stat(disk / "f").st_blocks * 512 >= MIB


def test_where_nothing_can_be_reserved_holes_stay(
    share: ShareRoot, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = opened(share, "f")
    handle.truncate(MIB)
    monkeypatch.setattr(sparse, "fallocate", failing(errno.EOPNOTSUPP))
    fill_holes(handle)
    assert trim(handle, 0, 10) is False
    monkeypatch.setattr(sparse, "fallocate", failing(errno.EIO))
    for call in (
        lambda: fill_holes(handle),
        lambda: trim(handle, 0, 10),
        lambda: zero_range(handle, 0, 10),
    ):
        with pytest.raises(OSError, match="Input/output"):
            call()


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_stream_is_one_range_that_can_be_zeroed(share: ShareRoot, opened: Open) -> None:
    stream = first_stream(opened(share, "f"), "s")
    stream.write(b"0123456789", 0)
    assert allocated_ranges(stream, 3, 100) == [(3, 7)]
    assert allocated_ranges(stream, 10, 100) == []
    zero_range(stream, 8, 100)
    assert stream.raw() == b"01234567\0\0"
