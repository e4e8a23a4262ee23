"""The names of a very large directory, as far as that they are not there can be told of others.

Who fills a directory asks of each name whether it is free, whatever its letter case.  Of a band of
Time Machine's, one of hundreds of thousands, that is all that anybody asks: so a hash of each
folded name will do, in eight bytes.  A name that may be there is looked up in the directory, and
its spelling remembered.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from ksmbd.wire.text import upcase

MAX_CHANGES: Final = 1 << 16  # after which the directory is better read again
MAX_SPELLED: Final = 1 << 12  # names that were looked up and are remembered
_BUCKETS: Final = 256  # sorted one by one: sorting a million at once would hold everybody up
_PER_NAME: Final = 16  # hashes take as much memory as a name in a table of names


class HashedNames:
    """Hashes of folded names, sorted, and what has changed since.

    Two names that are alike in all but case, or in their hash, cannot be told from one: where one
    of them goes the other may be there.
    """

    def __init__(self, folded: Iterable[str], alike: Iterable[str]) -> None:
        buckets = [array("q") for _ in range(_BUCKETS)]
        for number in map(hash, folded):
            buckets[number % _BUCKETS].append(number)
        self._count = sum(map(len, buckets))
        self._buckets = [array("q", sorted(bucket)) for bucket in buckets]
        self._spelled: dict[int, str] = {}
        self._added: set[int] = set()
        self._removed: set[int] = set()  # out of _buckets
        self._alike = set(map(hash, alike))

    @property
    def weight(self) -> int:
        """Its memory, as so many names."""
        changes = len(self._added) + len(self._removed)
        return self._count // _PER_NAME + changes + len(self._spelled)

    def may_have(self, name: str) -> bool:
        """False if no name on the disk is *name* in any letter case."""
        return self._has(hash(upcase(name)))

    def spelling(self, name: str) -> str | None:
        """As which it was found on the disk, if it has been looked for."""
        folded = upcase(name)
        found = self._spelled.get(hash(folded))
        return found if found is not None and upcase(found) == folded else None

    def spell(self, name: str) -> None:
        """Remember that it is so on the disk."""
        if len(self._spelled) >= MAX_SPELLED:
            del self._spelled[next(iter(self._spelled))]
        self._spelled[hash(upcase(name))] = name

    def add(self, name: str) -> None:
        number = hash(upcase(name))
        self._spelled.pop(number, None)
        if self._has(number):
            self._alike.add(number)
        elif number in self._removed:
            self._removed.remove(number)
        else:
            self._added.add(number)

    def remove(self, name: str) -> None:
        number = hash(upcase(name))
        self._spelled.pop(number, None)
        if number in self._added:
            self._added.remove(number)
        elif self._is_sorted(number):
            self._removed.add(number)

    def is_without(self, name: str) -> bool:
        """Whether it tells what is on disk once *name* is removed from both, and is no burden."""
        changes = len(self._added) + len(self._removed)
        return hash(upcase(name)) not in self._alike and changes < MAX_CHANGES

    def _has(self, number: int) -> bool:
        if number in self._added:
            return True
        return number not in self._removed and self._is_sorted(number)

    def _is_sorted(self, number: int) -> bool:
        bucket = self._buckets[number % _BUCKETS]
        at = bisect_left(bucket, number)
        return at < len(bucket) and bucket[at] == number
