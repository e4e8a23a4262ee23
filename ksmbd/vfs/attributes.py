"""DOS attributes and creation times, remembered per inode while its change time stands still.

Setting an xattr moves ctime, so (dev, ino, ctime) names one content of user.DOSATTRIB: once
read, the next stat of an unchanged file costs no getxattr (5 us through /proc). A file that
changed within the last tick of the file system's clock is read afresh each time, since a
second change might bear the same ctime.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Callable
from typing import Final

from ksmbd.vfs import credentials
from ksmbd.vfs.reader import NameReader
from ksmbd.vfs.stat import Stat, default_attributes, stat_from
from ksmbd.vfs.syscalls import birth_ns
from ksmbd.vfs.xattr import (
    ABSENT,
    DOSATTRIB,
    Item,
    get_value,
    pack_dosattrib,
    proc_path,
    set_value,
    unpack_dosattrib,
)

log = logging.getLogger("ksmbd.vfs")

Clock = Callable[[], int]  # ns since 1970, the clock that stamps files

TICK: Final = 20_000_000  # ns; time stamps of files move in steps of at most 10 ms (HZ=100)
COARSE_TICK: Final = 2_100_000_000  # ns; FAT's, for stamps that are whole seconds
_REMEMBERED: Final = 1 << 15  # inodes in each of two generations; 18 MB at most
_KIND: Final = 0o170000
_HAS_XATTRS: Final = frozenset({0o100000, 0o040000})  # the kernel allows user.* on these only

_Known = tuple[int, int, int | None]  # ctime, attributes, birth


def settled(stamp: int, now: int) -> bool:
    """Whether any later change must bear a later time stamp than *stamp*."""
    return now - stamp > (TICK if stamp % 1_000_000_000 else COARSE_TICK)


class AttributeStore:
    """Reads and writes user.DOSATTRIB for one share.

    Its dictionaries are shared between threads without a lock: each access is a single
    look-up or store, and a lost entry only costs reading it again.
    """

    def __init__(self, *, stored: bool, hide_dot_files: bool, clock: Clock) -> None:
        self._stored = stored
        self._hide_dot_files = hide_dot_files
        self._clock = clock
        self._young: dict[int, _Known] = {}
        self._old: dict[int, _Known] = {}
        self._without: set[int] = set()  # devices whose file system has no user xattrs

    def stat_fd(self, fd: int, name: str, *, path_only: bool) -> Stat:
        """Stat an open file; *name* is its final component, *path_only* an O_PATH descriptor."""
        st = os.fstat(fd)
        known = self._recall(st.st_dev, st.st_ino, st.st_ctime_ns)
        if known is None:
            item = proc_path(fd) if path_only else fd
            known = self._learn(st, lambda: get_value(item, DOSATTRIB), lambda: birth_ns(fd))
        hidden = self._hide_dot_files and name[:1] == "."
        return stat_from(st, known[1], known[2], hidden)

    def stat_in(self, dir_fd: int, name: str, reader: NameReader) -> Stat:
        """Stat *name* in a directory, itself if it is a symlink. OSError if it is gone."""
        st = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        known = self._recall(st.st_dev, st.st_ino, st.st_ctime_ns)
        if known is None:
            encoded = name.encode()
            known = self._learn(
                st,
                lambda: reader.attribute(dir_fd, name, encoded, DOSATTRIB),
                lambda: reader.birth(dir_fd, encoded),
            )
        hidden = self._hide_dot_files and name[:1] == "."
        return stat_from(st, known[1], known[2], hidden)

    def store(self, item: Item, attributes: int, birth: int) -> None:
        """Write both. Where the owner alone may, write as the server: the caller has checked.

        A file system without user xattrs keeps nothing, as with "store dos attributes = no".
        """
        if not self._stored:
            return
        blob = pack_dosattrib(attributes, birth)
        try:
            try:
                set_value(item, DOSATTRIB, blob)
            except PermissionError:
                with credentials.privileged():
                    set_value(item, DOSATTRIB, blob)
        except OSError as failed:
            if failed.errno not in (errno.EOPNOTSUPP, errno.EPERM):
                raise
            log.debug("attributes of %s not kept: %s", item, failed)

    def store_new(self, fd: int, attributes: int, *, path_only: bool = False) -> None:
        """Give a file just created its attributes and creation time.

        Without room for them it still is a good file, so that is no failure.
        """
        birth = birth_ns(fd) or os.fstat(fd).st_mtime_ns
        with contextlib.suppress(OSError):
            self.store(proc_path(fd) if path_only else fd, attributes, birth)

    def _recall(self, dev: int, ino: int, change: int) -> _Known | None:
        key = dev << 64 | ino
        known = self._young.get(key)
        if known is None:
            known = self._old.get(key)
            if known is None:
                return None
            self._young[key] = known
        return known if known[0] == change else None

    def _learn(
        self,
        st: os.stat_result,
        read_value: Callable[[], bytes | None],
        read_birth: Callable[[], int | None],
    ) -> _Known:
        """Ask the file system, and remember the answer if it is settled."""
        now = self._clock()  # before asking: what changes after this is not covered
        attributes = birth = None
        refused = False
        if self._stored and st.st_mode & _KIND in _HAS_XATTRS and st.st_dev not in self._without:
            try:
                blob = read_value()
            except OSError as failed:
                refused = self._note_failure(failed, st.st_dev)
            else:
                if blob is not None:
                    attributes, birth = unpack_dosattrib(blob)
        if birth is None:
            birth = read_birth()
        if attributes is None:
            attributes = default_attributes(st.st_mode)
        known = (st.st_ctime_ns, attributes, birth)
        if settled(st.st_ctime_ns, now) and not refused:
            if len(self._young) >= _REMEMBERED:
                self._old, self._young = self._young, {}
            self._young[st.st_dev << 64 | st.st_ino] = known
        return known

    def _note_failure(self, failed: OSError, dev: int) -> bool:
        """Take in why there is no value; whether another user might get one."""
        if failed.errno == errno.EOPNOTSUPP:
            self._without.add(dev)
        elif failed.errno not in ABSENT and failed.errno != errno.ERANGE:
            raise failed
        return failed.errno in (errno.EACCES, errno.EPERM)
