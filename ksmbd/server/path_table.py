"""Paths in order, so that what lies beneath one is found without a look at all others."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import UserDict
from typing import Final

_AFTER_SLASH: Final = chr(ord("/") + 1)


class PathTable(UserDict[str, int]):
    """Absolute paths without a slash at their end, each with a number.  No lock of its own."""

    def __init__(self) -> None:
        self._sorted: list[str] = []
        super().__init__()

    def __setitem__(self, path: str, number: int) -> None:
        if path not in self.data:
            insort(self._sorted, path)
        self.data[path] = number

    def __delitem__(self, path: str) -> None:
        del self.data[path]
        del self._sorted[bisect_left(self._sorted, path)]

    def beneath(self, path: str) -> list[str]:
        """All that begin with *path* and a slash, in order."""
        first = bisect_left(self._sorted, path + "/")
        return self._sorted[first : bisect_left(self._sorted, path + _AFTER_SLASH, first)]
