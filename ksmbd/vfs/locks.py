"""The byte-range locks of one inode, [MS-SMB2] 3.3.5.14, [MS-FSA] 2.1.5.8. Pure: no I/O.

What excludes what (Windows, as smbtorture's smb2.lock checks it):

    ==============  ==========================  ============================
    asked for       against another's           against the owner's own
    ==============  ==========================  ============================
    shared lock     exclusive                   nothing (stacks on exclusive)
    exclusive lock  exclusive, shared           exclusive, shared
    read            exclusive                   nothing
    write           exclusive, shared           shared
    ==============  ==========================  ============================

A range of length 0 collides only with a range it lies strictly inside of. So exclusive locks
never overlap each other, which keeps every question below a matter of bisection.

Not thread-safe: the inode's lock guards its table.
"""

from __future__ import annotations

import errno
import os
from bisect import bisect_left, bisect_right, insort
from collections.abc import Hashable, Iterator
from itertools import islice, repeat
from typing import Final

MAX_LOCKS: Final = 1 << 17  # on one inode; a client must not fill the memory
_CHUNK: Final = 512

Part = tuple[int, int, bool | None]  # from, to, whether locked exclusively; None: not at all


class _Disjoint:
    """Exclusive locks: ranges that do not overlap, and points (ranges of length 0)."""

    __slots__ = ("ends", "points", "starts")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.points: list[int] = []

    def add(self, start: int, end: int) -> None:
        if start == end:
            insort(self.points, start)
            return
        index = bisect_left(self.starts, start)
        self.starts.insert(index, start)
        self.ends.insert(index, end)

    def remove(self, start: int, end: int) -> bool:
        """Remove exactly this one; False if there is none."""
        if start == end:
            index = bisect_left(self.points, start)
            if index == len(self.points) or self.points[index] != start:
                return False
            del self.points[index]
            return True
        index = bisect_left(self.starts, start)
        if index == len(self.starts) or self.starts[index] != start or self.ends[index] != end:
            return False
        del self.starts[index], self.ends[index]
        return True

    def overlapping(self, start: int, end: int) -> int:
        """How many ranges and points collide with start..end."""
        if start == end:
            return bisect_left(self.starts, start) - bisect_right(self.ends, start)
        found = bisect_left(self.starts, end) - bisect_right(self.ends, start)
        if self.points:
            found += bisect_left(self.points, end) - bisect_right(self.points, start)
        return found


class _Stacked:
    """Shared locks: ranges that may overlap in any way, in chunks sorted by start.

    Each chunk knows its furthest end, so that whole chunks answer at once.
    """

    __slots__ = ("_chunks", "_firsts", "_furthest", "_points")

    def __init__(self) -> None:
        self._chunks: list[list[tuple[int, int]]] = []
        self._firsts: list[int] = []  # start of each chunk's first range
        self._furthest: list[int] = []  # largest end in each chunk
        self._points: list[int] = []

    def add(self, start: int, end: int) -> None:
        if start == end:
            insort(self._points, start)
            return
        if not self._chunks:
            self._insert_chunk(0, [(start, end)])
            return
        index = max(bisect_right(self._firsts, start) - 1, 0)
        chunk = self._chunks[index]
        insort(chunk, (start, end))
        self._firsts[index] = chunk[0][0]
        self._furthest[index] = max(self._furthest[index], end)
        if len(chunk) > 2 * _CHUNK:
            self._insert_chunk(index + 1, chunk[_CHUNK:])
            del chunk[_CHUNK:]
            self._furthest[index] = max(stop for _, stop in chunk)

    def remove(self, start: int, end: int) -> None:
        if start == end:
            del self._points[bisect_left(self._points, start)]
            return
        index = bisect_right(self._firsts, start) - 1
        while True:  # equal starts may spill over into earlier chunks
            chunk = self._chunks[index]
            place = bisect_left(chunk, (start, end))
            if place < len(chunk) and chunk[place] == (start, end):
                break
            index -= 1
        del chunk[place]
        if not chunk:
            del self._chunks[index], self._firsts[index], self._furthest[index]
            return
        self._firsts[index] = chunk[0][0]
        if self._furthest[index] == end:
            self._furthest[index] = max(stop for _, stop in chunk)

    def overlaps(self, start: int, end: int) -> bool:
        """Whether any range or point collides with start..end."""
        if not self._firsts and not self._points:
            return False
        if start < end and bisect_left(self._points, end) > bisect_right(self._points, start):
            return True
        last = bisect_left(self._firsts, end) - 1  # the last chunk with a start before end
        if last < 0:
            return False
        if any(furthest > start for furthest in self._furthest[:last]):
            return True
        chunk = self._chunks[last]
        before = bisect_left(chunk, (end,))
        return any(stop > start for _, stop in chunk[:before])

    def within(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The ranges that overlap start..end, by their start."""
        for index in range(bisect_left(self._firsts, end)):
            if self._furthest[index] > start:
                for first, stop in self._chunks[index]:
                    if first < end and stop > start:
                        yield first, stop

    def _insert_chunk(self, index: int, chunk: list[tuple[int, int]]) -> None:
        self._chunks.insert(index, chunk)
        self._firsts.insert(index, chunk[0][0])
        self._furthest.insert(index, max(stop for _, stop in chunk))


class _Held:
    """What one owner holds.  An owner that has locked once, and not closed, has it for the next."""

    __slots__ = ("exclusive", "shared", "sorted")

    def __init__(self) -> None:
        self.exclusive = _Disjoint()
        self.shared: dict[tuple[int, int], int] = {}  # how many times
        self.sorted: _Stacked | None = None  # the shared ones, once somebody asks what they cover

    def add_shared(self, start: int, end: int) -> None:
        self.shared[start, end] = self.shared.get((start, end), 0) + 1
        if self.sorted is not None:
            self.sorted.add(start, end)

    def remove_shared(self, start: int, end: int) -> bool:
        """Remove one of exactly this range; False if there is none."""
        times = self.shared.get((start, end), 0)
        if times > 1:
            self.shared[start, end] = times - 1
        elif times:
            del self.shared[start, end]
        else:
            return False
        if self.sorted is not None:
            self.sorted.remove(start, end)
        return True

    def each_shared(self) -> Iterator[tuple[int, int]]:
        """Each range as often as it is held."""
        for range_, times in self.shared.items():
            yield from repeat(range_, times)

    def covering(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The shared ranges that overlap start..end, by their start."""
        if self.sorted is None:
            self.sorted = _Stacked()
            for range_ in self.each_shared():
                self.sorted.add(*range_)
        return self.sorted.within(start, end)


class LockTable:
    """All byte-range locks of one inode. Offsets and lengths are 64-bit, their sum at most 2**64.

    An owner is any hashable; the Open.
    """

    __slots__ = ("_count", "_exclusive", "_owners", "_shared")

    def __init__(self) -> None:
        self._exclusive = _Disjoint()
        self._shared = _Stacked()
        self._owners: dict[Hashable, _Held] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def count(self, owner: Hashable) -> int:
        """How many locks *owner* holds."""
        held = self._owners.get(owner)
        if held is None:
            return 0
        exclusive = len(held.exclusive.starts) + len(held.exclusive.points)
        return exclusive + sum(held.shared.values())

    def of(self, owner: Hashable, limit: int) -> list[tuple[int, int, bool]]:
        """Offset, length and whether exclusive of what *owner* holds, the first *limit* of it."""
        held = self._owners.get(owner)
        if held is None:
            return []
        ends = zip(held.exclusive.starts, held.exclusive.ends, strict=True)
        found = [(start, end - start, True) for start, end in islice(ends, limit)]
        found += [(point, 0, True) for point in held.exclusive.points[: limit - len(found)]]
        more = islice(held.each_shared(), limit - len(found))
        return found + [(start, end - start, False) for start, end in more]

    def lock(self, owner: Hashable, offset: int, length: int, exclusive: bool) -> bool:
        """Take the lock; False if another (or, for exclusive, any) lock is in the way.

        OSError ENOLCK when the inode has MAX_LOCKS already.
        """
        end = offset + length
        if not self._count:
            pass  # nothing is in the way
        elif exclusive:
            if self._exclusive.overlapping(offset, end) or self._shared.overlaps(offset, end):
                return False
        elif self._excluded_by_others(owner, offset, end):
            return False
        if self._count >= MAX_LOCKS:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        held = self._owners.get(owner)
        if held is None:
            held = self._owners[owner] = _Held()
        if exclusive:
            self._exclusive.add(offset, end)
            held.exclusive.add(offset, end)
        else:
            self._shared.add(offset, end)
            held.add_shared(offset, end)
        self._count += 1
        return True

    def unlock(
        self, owner: Hashable, offset: int, length: int, *, exclusive: bool | None = None
    ) -> bool:
        """Release one lock with exactly this range; False if *owner* has none.

        Where a shared lock is stacked on an exclusive one, the exclusive one goes first, unless
        *exclusive* says which of them is meant.
        """
        held = self._owners.get(owner)
        if held is None:
            return False
        end = offset + length
        if exclusive is not False and held.exclusive.remove(offset, end):
            self._exclusive.remove(offset, end)
        elif exclusive is not True and held.remove_shared(offset, end):
            self._shared.remove(offset, end)
        else:
            return False
        self._count -= 1
        return True

    def coverage(self, owner: Hashable, start: int, end: int) -> list[Part]:
        """What the owner's locks come to between two offsets: from, to, and whether exclusively.

        The parts follow each other from *start* to *end*; None where it has no lock.
        """
        if start >= end:
            return []
        held = self._owners.get(owner)
        if held is None:
            return [(start, end, None)]
        exclusive = held.exclusive
        next_ = bisect_right(exclusive.ends, start)
        if next_ == len(exclusive.starts) or exclusive.starts[next_] >= end:
            return _shared_parts(held, start, end)
        if exclusive.starts[next_] <= start and exclusive.ends[next_] >= end:
            return [(start, end, True)]
        parts: list[Part] = []
        at = start
        for index in range(next_, len(exclusive.starts)):
            first, stop = exclusive.starts[index], exclusive.ends[index]
            if first >= end:
                break
            parts += _shared_parts(held, at, first)
            parts.append((max(first, start), min(stop, end), True))
            at = min(stop, end)
        return parts + _shared_parts(held, at, end)

    def conflicts_read(self, owner: Hashable, offset: int, length: int) -> bool:
        """Whether a read by *owner* would enter another's exclusive range."""
        return self._count > 0 and self._excluded_by_others(owner, offset, offset + length)

    def conflicts_write(self, owner: Hashable, offset: int, length: int) -> bool:
        """Whether a write by *owner* would enter another's range, or a shared one of its own."""
        return self._count > 0 and (
            self._shared.overlaps(offset, offset + length)
            or self._excluded_by_others(owner, offset, offset + length)
        )

    def release_all(self, owner: Hashable) -> bool:
        """Release everything *owner* holds, and forget it; whether that was anything."""
        held = self._owners.pop(owner, None)
        if held is None:
            return False
        ranges = list(zip(held.exclusive.starts, held.exclusive.ends, strict=True))
        ranges += ((point, point) for point in held.exclusive.points)
        count = len(ranges) + sum(held.shared.values())
        self._count -= count
        if count > _CHUNK:
            self._rebuild()
            return True
        for start, end in ranges:
            self._exclusive.remove(start, end)
        for start, end in held.each_shared():
            self._shared.remove(start, end)
        return count > 0

    def _rebuild(self) -> None:
        """Fill the common structures from the owners': cheaper than many single removals."""
        self._exclusive, self._shared = _Disjoint(), _Stacked()
        others = [held.exclusive for held in self._owners.values()]
        self._exclusive.starts = sorted(start for other in others for start in other.starts)
        self._exclusive.ends = sorted(end for other in others for end in other.ends)
        self._exclusive.points = sorted(point for other in others for point in other.points)
        for held in self._owners.values():
            for start, end in held.each_shared():
                self._shared.add(start, end)

    def _excluded_by_others(self, owner: Hashable, start: int, end: int) -> bool:
        total = self._exclusive.overlapping(start, end)
        if not total:
            return False
        held = self._owners.get(owner)
        return held is None or held.exclusive.overlapping(start, end) < total


def _shared_parts(held: _Held, start: int, end: int) -> list[Part]:
    """``LockTable.coverage`` where there are no exclusive locks."""
    if not held.shared:
        return [(start, end, None)] if start < end else []
    parts: list[Part] = []
    at = begun = start  # shared from begun to at
    for first, stop in held.covering(start, end) if start < end else ():
        if first > at:
            if begun < at:
                parts.append((begun, at, False))
            parts.append((at, first, None))
            begun = at = first
        at = max(at, min(stop, end))
    if begun < at:
        parts.append((begun, at, False))
    if at < end:
        parts.append((at, end, None))
    return parts
