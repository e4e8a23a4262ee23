"""How much of a share Time Machine may fill, and how much it has: ``time machine max size``.

A backup is a directory, a bundle: in ``bands`` a file for each band that was ever written, and in
``Info.plist`` how many bytes a band has at most.  Their product is what the backup takes; asking
each band would be slower by as many calls.  A bundle may be another user's: it is looked into as
the server itself, whose configuration sets the limit for all of them together.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from ksmbd.vfs import credentials
from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.stamps import Remembered
from ksmbd.vfs.stat import FsStat
from ksmbd.vfs.xattr import proc_path

UNIT: Final = 1024  # bytes; in which the limited size is told, as Samba has it
_BUNDLES: Final = (".sparsebundle", ".backupbundle")
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BAND_SIZE: Final = re.compile(rb"<key>\s*band-size\s*</key>\s*<integer>\s*(\d{1,15})\s*</integer>")
_LONGEST_PLIST: Final = 64 << 10  # bytes
_REMEMBERED: Final = 256  # bundles
_MANY: Final = 1000  # bands; fewer are counted in no time
_PAUSES: Final = 50  # times as long as counting takes it is not counted again


class _Recent(NamedTuple):
    """How many bands there were, and until when that will do; ns since 1970."""

    bands: int
    until: int


class BackupLimit:
    """The limit of one share.  Safe for any number of threads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit  # bytes
        self._counts: Remembered[int] = Remembered(_REMEMBERED)  # of directories of bands
        self._recent: dict[tuple[int, int], _Recent] = {}  # of those that are large

    def applied(self, root: ShareRoot, fs: FsStat) -> FsStat:
        """The file system as large as the limit lets it be, in units of UNIT bytes."""
        left = max(self.limit - self.used(root), 0)
        return fs._replace(
            block_size=UNIT,
            blocks=min(self.limit, fs.blocks * fs.block_size) // UNIT,
            free=min(left, fs.free * fs.block_size) // UNIT,
            available=min(left, fs.available * fs.block_size) // UNIT,
        )

    def used(self, root: ShareRoot) -> int:
        """Bytes that the bundles directly in the share take at most."""
        with credentials.privileged(), os.scandir(proc_path(root.fd)) as listing:
            names = [entry.name for entry in listing if entry.name.endswith(_BUNDLES)]
            return sum(self._size(root, name) for name in names)

    def _size(self, root: ShareRoot, name: str) -> int:
        """Of one bundle; nothing if it is none yet, or not any more."""
        with contextlib.suppress(OSError), _opened(name, _LIST, root.fd) as bundle:
            return _band_size(bundle) * self._bands(root, bundle)
        return 0

    def _bands(self, root: ShareRoot, bundle: int) -> int:
        """How many there are; counted again when the directory has changed.

        While a backup runs that is always.  A Mac asks often, so what takes long to count is not
        counted more often than the time it takes allows.
        """
        with _opened("bands", _LIST, bundle) as fd:
            st = os.fstat(fd)
            count = self._counts.recall(st)
            if count is not None:
                return count
            now = root.clock()
            key = (st.st_dev, st.st_ino)
            recent = self._recent.get(key)
            if recent is not None and now < recent.until:
                return recent.bands
            count = len(os.listdir(fd))
            self._counts.keep(st, now, count)
            if count >= _MANY:
                if len(self._recent) >= _REMEMBERED:
                    self._recent.clear()
                after = root.clock()
                self._recent[key] = _Recent(count, after + _PAUSES * (after - now))
            return count


def _band_size(bundle: int) -> int:
    """Bytes; 0 if the bundle does not say."""
    with _opened("Info.plist", _READ, bundle) as fd:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return 0
        found = _BAND_SIZE.search(os.read(fd, _LONGEST_PLIST))
    return int(found[1]) if found else 0


@contextmanager
def _opened(name: str, flags: int, dir_fd: int) -> Iterator[int]:
    fd = os.open(name, flags, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)
