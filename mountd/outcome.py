"""What became of mountd's last reload, for whoever asked for it.

He asked with a signal, which has no answer.  mountd leaves it beside its lock file, in
``LOCK.reload``, whole or not at all; ``number`` tells one reload from the one before.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Final, NamedTuple, Self

from mountd.users import replace_file

_SUFFIX: Final = ".reload"
_MOST: Final = 4 << 20  # bytes that are read of it
_MODE: Final = 0o600
_MOST_LINES: Final = 1000  # that are kept of each kind


class Outcome(NamedTuple):
    """One reload."""

    pid: int  # of the mountd it was
    number: int  # of this mountd's reloads, from 1
    error: str = ""  # why the old configuration stays; "": it does not
    changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ValueError for what is none."""
        try:
            said = dict(json.loads(text))
            lists = {name: tuple(map(str, said[name])) for name in ("changes", "warnings")}
            return cls(int(said["pid"]), int(said["number"]), str(said["error"]), **lists)
        except (TypeError, KeyError) as wrong:
            raise ValueError(f"no outcome: {wrong}") from None

    def to_json(self) -> str:
        fewer = {name: getattr(self, name)[:_MOST_LINES] for name in ("changes", "warnings")}
        return json.dumps({**self._asdict(), **fewer})


def write(lock: str, outcome: Outcome) -> None:
    """Leave it beside the lock file *lock*.  Raises OSError."""
    replace_file(lock + _SUFFIX, outcome.to_json().encode(), _MODE)


def read(lock: str) -> Outcome | None:
    """The last one that was left beside *lock*, if any.  Raises OSError."""
    try:
        fd = os.open(lock + _SUFFIX, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file, contextlib.suppress(ValueError):
        return Outcome.from_json(file.read(_MOST).decode())
    return None


def remove(lock: str) -> None:
    """mountd ends: nobody is told any more."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(lock + _SUFFIX)
