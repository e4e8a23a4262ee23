"""vfs/quota.py: what the kernel's numbers mean.  With a real one: tests/vm/quota.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksmbd.vfs import quota
from ksmbd.vfs.quota import Quota, State
from ksmbd.vfs.stat import FsStat, fs_stat
from tests.support.quotas import MIB, Kernel, kernel

__all__ = ["kernel"]  # a fixture

DISK = FsStat(4096, 1000_000, 500_000, 400_000, 0, 0, 255, False, 0)
ME = 1000


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    found = os.open(tmp_path, os.O_PATH)
    yield found
    os.close(found)


def test_there_may_be_none(fd: int, kernel: Kernel) -> None:
    kernel.flags = 0
    assert quota.state(fd) == State(False, False)
    with pytest.raises(ProcessLookupError):
        quota.quota_of(fd, ME)
    assert quota.applied(DISK, fd, ME) is DISK


def test_the_kernel_is_asked_in_its_own_way() -> None:
    """The call itself, where no file system can have quotas: nothing is mistaken for one."""
    reader, writer = os.pipe()
    try:
        assert quota.state(reader) == State(False, False)
        with pytest.raises(OSError, match=r".") as failed:
            quota.quota_of(reader, os.geteuid())
        assert failed.value.errno
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize(("flags", "meant"), [(1, (True, False)), (3, (True, True))])
def test_counting_is_not_enforcing(
    fd: int, kernel: Kernel, flags: int, meant: tuple[bool, bool]
) -> None:
    kernel.flags = flags
    assert quota.state(fd) == State(*meant)


def test_limits_are_full_units_and_0_is_none(fd: int, kernel: Kernel) -> None:
    quota.set_limits(fd, ME, 1, 2 * MIB + 1)
    assert quota.quota_of(fd, ME) == Quota(ME, 0, 1024, 2 * MIB + 1024)
    quota.set_limits(fd, ME, None, None)
    assert quota.quota_of(fd, ME) == Quota(ME, 0, None, None)
    assert quota.quota_of(fd, 4711) == Quota(4711, 0, None, None)


def test_users_come_in_the_order_of_their_uids(fd: int, kernel: Kernel) -> None:
    kernel.users = {7: (0, 0, 70), 5: (0, 0, 50), 1 << 31: (0, 0, 1)}
    assert [each.uid for each in quota.quotas_from(fd, 0)] == [5, 7, 1 << 31]
    assert [each.used for each in quota.quotas_from(fd, 6)] == [70, 1]


@pytest.mark.parametrize(
    ("hard", "soft", "used", "total", "free"),
    [
        (8, 0, 2, 8, 6),
        (8, 4, 2, 4, 2),  # the threshold is what one is meant to keep to
        (0, 4, 2, 4, 2),
        (8, 4, 5, 5, 0),  # beyond it, though for a while more is allowed
        (8, 0, 9, 9, 0),
    ],
)
def test_a_disk_is_as_large_as_its_user_may_fill_it(
    fd: int, kernel: Kernel, hard: int, soft: int, used: int, total: int, free: int
) -> None:
    kernel.users[ME] = hard * 1024, soft * 1024, used * MIB
    found = quota.applied(DISK, fd, ME)
    assert (found.blocks * 4096, found.available * 4096) == (total * MIB, free * MIB)
    assert found.free == DISK.free
    kernel.flags = 1  # counted, and nothing is refused
    assert quota.applied(DISK, fd, ME) == DISK


def test_a_limit_beyond_the_disk_changes_nothing(fd: int, kernel: Kernel) -> None:
    kernel.users[ME] = 1 << 40, 0, 0
    disk = fs_stat(fd)
    assert quota.applied(disk, fd, ME) == disk
    kernel.users[ME] = 0, 0, MIB
    assert quota.applied(disk, fd, ME) == disk
