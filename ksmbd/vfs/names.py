"""Finding a name without regard to case, in directories of any size.

A directory is read once into a table of folded names. The table is good for as long as the
directory's time stamps stand still, provided they were settled (older than a clock tick) when
it was read. Our own changes are entered into the table, so that filling a directory does not
read it again for each new name; since a local process may have changed the directory between
our look and our change, such a table is read afresh after a second at the latest.
"""

from __future__ import annotations

import os
import threading
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from ksmbd.vfs.shortnames import may_be_made, short_name
from ksmbd.vfs.stamps import Clock, settled
from ksmbd.vfs.xattr import proc_path
from ksmbd.wire.text import upcase

MAX_NAMES: Final = 1 << 18  # in all tables of a share; some 60 MiB
_MAX_OWN: Final = 1024
_PROVISIONAL: Final = 1_000_000_000  # ns

_Key = tuple[int, int]  # device, inode
_Stamp = tuple[int, int]  # mtime, ctime


@dataclass(slots=True)
class _Table:
    names: dict[str, str]  # folded -> on disk
    ambiguous: bool  # some names fold to the same
    stamp: _Stamp
    expires: int | None  # ns; None = only when the stamp changes


def is_utf8(name: str) -> bool:
    """Whether a name from the file system can be sent to a client at all."""
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


class FoldedNames:
    """The tables of one share, least recently used ones dropped first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tables: OrderedDict[_Key, _Table] = OrderedDict()  # by self._lock
        self._total = 0  # names in all tables; by self._lock
        self._own: OrderedDict[_Key, _Stamp] = OrderedDict()  # our last changes; by self._lock

    def find(self, dir_fd: int, name: str) -> str | None:
        """The on-disk spelling of *name* in the directory, None if it has none.

        Spellings in Unicode's other normal form are looked up last. A directory that the
        user may not list is one without such names, whoever else has had it read.
        """
        key, stamp = _identify(dir_fd)
        with self._lock:
            table = self._valid(key, stamp)
            found = None if table is None else _look_up(table.names, name)
        if table is not None:
            return found if found is not None and _may_list(dir_fd) else None
        try:
            return _look_up(self._scan(dir_fd, key, stamp), name)
        except PermissionError:
            return None

    def before_change(self, dir_fd: int) -> _Key | None:
        """Call before changing a directory: a token for changed() if its table is valid."""
        key, stamp = _identify(dir_fd)
        with self._lock:
            return key if self._valid(key, stamp) is not None else None

    def changed(
        self, token: _Key | None, dir_fd: int, *, added: str = "", removed: str = ""
    ) -> None:
        """Enter our own change of a directory."""
        key, stamp = _identify(dir_fd)
        now = self._clock()
        with self._lock:
            self._note_own(key, stamp)
            table = self._tables.get(key)
            if table is None:
                return
            if token != key or (removed and table.ambiguous):
                self._drop(key)
                return
            table.stamp = stamp
            table.expires = table.expires or now + _PROVISIONAL
            if removed:
                self._total -= table.names.pop(upcase(removed), None) is not None
            if added:
                stored = table.names.setdefault(upcase(added), added)
                self._total += stored is added
                table.ambiguous |= stored != added

    def created(self, dir_fd: int) -> None:
        """Note that we have just made this directory, so that it is empty."""
        key, stamp = _identify(dir_fd)
        now = self._clock()
        with self._lock:
            self._note_own(key, stamp)
            self._keep(key, _Table({}, False, stamp, now + _PROVISIONAL))

    def _valid(self, key: _Key, stamp: _Stamp) -> _Table | None:
        table = self._tables.get(key)
        if table is None or table.stamp != stamp:
            return None
        if table.expires is not None and table.expires < self._clock():
            return None
        self._tables.move_to_end(key)
        return table

    def _scan(self, dir_fd: int, key: _Key, stamp: _Stamp) -> dict[str, str]:
        """Read the directory; keep the table if its time stamps allow."""
        now = self._clock()  # before reading: what comes after is not covered
        fd = os.open(proc_path(dir_fd), os.O_RDONLY | os.O_DIRECTORY)
        try:
            listed = [name for name in os.listdir(fd) if is_utf8(name)]
        finally:
            os.close(fd)
        names = {upcase(name): name for name in listed}
        ambiguous = len(names) < len(listed)
        if ambiguous:  # the same choice every time
            for name in listed:
                folded = upcase(name)
                names[folded] = min(names[folded], name)
        with self._lock:
            expires = None
            if not settled(max(stamp), now):
                if self._own.get(key) != stamp:
                    return names
                expires = now + _PROVISIONAL
            self._keep(key, _Table(names, ambiguous, stamp, expires))
        return names

    def _keep(self, key: _Key, table: _Table) -> None:
        self._drop(key)
        if len(table.names) > MAX_NAMES:
            return
        self._tables[key] = table
        self._total += len(table.names) + 1
        while self._total > MAX_NAMES:
            self._drop(next(iter(self._tables)))

    def _drop(self, key: _Key) -> None:
        table = self._tables.pop(key, None)
        if table is not None:
            self._total -= len(table.names) + 1

    def _note_own(self, key: _Key, stamp: _Stamp) -> None:
        self._own[key] = stamp
        self._own.move_to_end(key)
        if len(self._own) > _MAX_OWN:
            self._own.popitem(last=False)


def _may_list(dir_fd: int) -> bool:
    return os.access(proc_path(dir_fd), os.R_OK, effective_ids=True)


def _identify(dir_fd: int) -> tuple[_Key, _Stamp]:
    st = os.fstat(dir_fd)
    return (st.st_dev, st.st_ino), (st.st_mtime_ns, st.st_ctime_ns)


def _look_up(names: dict[str, str], name: str) -> str | None:
    found = names.get(upcase(name))
    if found is not None:
        return found
    if may_be_made(name):
        wanted = upcase(name)
        return next((each for each in names.values() if short_name(each) == wanted), None)
    if name.isascii():
        return None
    for form in ("NFC", "NFD"):
        found = names.get(upcase(unicodedata.normalize(form, name)))
        if found is not None:
            return found
    return None
