"""The names of a very large directory, as far as that they are not there can be told of others.

Who fills a directory asks of each name whether it is free, whatever its letter case.  Of a band of
Time Machine's, one of hundreds of thousands, that is all that anybody asks: so a hash of each
folded name will do, in eight bytes.  A name that may be there is looked up in the directory.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from ksmbd.wire.text import upcase

MAX_CHANGES: Final = 1 << 16  # after which the directory is better read again
_PER_NAME: Final = 16  # hashes take as much memory as a name in a table of names


class HashedNames:
    """Hashes of folded names, sorted, and what has changed since.

    Two names that are alike in all but case, or in their hash, cannot be told from one: where one
    of them goes the other may be there.
    """

    def __init__(self, folded: Iterable[str], alike: Iterable[str]) -> None:
        self._hashes = array("q", sorted(map(hash, folded)))
        self._added: set[int] = set()
        self._removed: set[int] = set()  # out of _hashes
        self._alike = set(map(hash, alike))

    @property
    def weight(self) -> int:
        """Its memory, as so many names."""
        return len(self._hashes) // _PER_NAME + len(self._added) + len(self._removed)

    def may_have(self, name: str) -> bool:
        """False if no name on the disk is *name* in any letter case."""
        return self._has(hash(upcase(name)))

    def add(self, name: str) -> None:
        number = hash(upcase(name))
        if self._has(number):
            self._alike.add(number)
        elif number in self._removed:
            self._removed.remove(number)
        else:
            self._added.add(number)

    def remove(self, name: str) -> None:
        number = hash(upcase(name))
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
        at = bisect_left(self._hashes, number)
        return at < len(self._hashes) and self._hashes[at] == number
