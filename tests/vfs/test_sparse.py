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
from ksmbd.vfs.sparse import allocated_ranges, zero_range

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
