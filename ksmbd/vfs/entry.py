"""What a path led to: a file, or a free place in a directory."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from ksmbd.vfs.stat import Stat


class Entry:
    """The result of ShareRoot.resolve(). Whoever has it closes it (or uses ``with``).

    ``path``    share-relative, in the spelling on disk; the final component as asked if missing
    ``asked``   the same with the final component always as asked: renames need the spelling
    ``fd``      an O_PATH descriptor of the file, -1 if there is none or it was taken over
    ``parent``  an O_PATH descriptor of the directory, only if the file is missing, else -1
    ``stat``    None if the file is missing
    """

    __slots__ = ("asked", "fd", "parent", "path", "stat")

    def __init__(
        self, path: str, asked: str, *, fd: int = -1, stat: Stat | None = None, parent: int = -1
    ) -> None:
        self.path = path
        self.asked = asked
        self.fd = fd
        self.stat = stat
        self.parent = parent

    @property
    def exists(self) -> bool:
        return self.stat is not None

    @property
    def name(self) -> str:
        """The final component, as on disk."""
        return self.path.rpartition("/")[2]

    def take(self) -> int:
        """The file's descriptor, from now on the caller's to close."""
        fd, self.fd = self.fd, -1
        return fd

    def close(self) -> None:
        """Give the descriptors back; a second call does nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
        fd, self.parent = self.parent, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
