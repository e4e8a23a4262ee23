"""When a change time names one content of a file, so that what was read of it may be kept.

Setting an extended attribute, chmod, chown and writing all move ctime.  What was read after
ctime is therefore good for as long as ctime stands still, provided that a later change cannot
bear the same stamp:

- The stamp is older than the steps in which the file system's clock moves.
- Or the file system stamps finely: since Linux 6.13 ext4, xfs, btrfs and tmpfs give a change
  that follows a stat of the file a stamp of its own.  No version is asked; it is believed once
  two stamps of one file have been seen that lie closer together than any clock's step.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, Generic, TypeVar

Clock = Callable[[], int]  # ns since 1970, the clock that stamps files

TICK: Final = 20_000_000  # ns; time stamps of files move in steps of at most 10 ms (HZ=100)
COARSE_TICK: Final = 2_100_000_000  # ns; FAT's, for stamps that are whole seconds
FINEST_STEP: Final = 700_000  # ns; steps of a clock are 1 ms (HZ=1000) and longer

T = TypeVar("T")

_fine: Final[set[int]] = set()  # devices that stamp finely; only ever grows


def settled(stamp: int, now: int) -> bool:
    """Whether any later change must bear a later time stamp than *stamp*."""
    return now - stamp > (TICK if stamp % 1_000_000_000 else COARSE_TICK)


def lasting(st: os.stat_result, now: int) -> bool:
    """Whether what is read after *st* was taken, at *now* or later, may be kept by its ctime."""
    return st.st_dev in _fine or settled(st.st_ctime_ns, now)


def is_fine(device: int) -> bool:
    """Whether it is known that the device stamps finely."""
    return device in _fine


def observe(before: os.stat_result, after: os.stat_result) -> None:
    """Learn from two looks at one file that was changed in between."""
    if 0 < after.st_ctime_ns - before.st_ctime_ns < FINEST_STEP:
        _fine.add(after.st_dev)


class Remembered(Generic[T]):
    """Something read of each of many files; two generations, the older one is dropped when full.

    Shared between threads without a lock: each access is one look-up or store, and what is lost
    is read again.
    """

    def __init__(self, most: int) -> None:
        """*most*: files in each generation."""
        self._most = most
        self._young: dict[int, tuple[int, T]] = {}
        self._old: dict[int, tuple[int, T]] = {}

    def recall(self, st: os.stat_result) -> T | None:
        """What was kept, unless the file has changed since."""
        return self.recall_of(st.st_dev, st.st_ino, st.st_ctime_ns)

    def recall_of(self, dev: int, ino: int, ctime: int) -> T | None:
        """The same by what a stat has told before; *ctime* is the kernel's, ns."""
        key = dev << 64 | ino
        known = self._young.get(key)
        if known is None:
            known = self._old.get(key)
            if known is None:
                return None
            self._young[key] = known
        return known[1] if known[0] == ctime else None

    def keep(self, st: os.stat_result, now: int, value: T) -> None:
        """Keep what was read after *st*, taken at *now* or later, if its ctime names it."""
        if not lasting(st, now):
            return
        if len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        self._young[st.st_dev << 64 | st.st_ino] = (st.st_ctime_ns, value)
