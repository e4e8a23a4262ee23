"""Finding a name without regard to case, in directories of any size.

A directory is read once into a table of folded names. The table is good for as long as the
directory's time stamps stand still, provided they were settled (older than a clock tick) when
it was read. Our own changes are entered into the table, so that filling a directory does not
read it again for each new name; since a local process may have changed the directory between
our look and our change, such a table is read afresh after a second at the latest.

Of a very large directory hashes are kept, which tell that a name is free: vfs.hashed_names. A
name that may be there is looked for in the directory, which makes no new table. Such a directory
is read by one thread at a time: who waits for it mostly finds a table then.

A large directory that changes all the same is followed: the kernel tells of each name that comes
or goes, ours too, and its table is read no more.
"""

from __future__ import annotations

import os
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ksmbd.vfs.depot import DIRECTORY
from ksmbd.vfs.followed import Change, Followed, Key
from ksmbd.vfs.hashed_names import HashedNames
from ksmbd.vfs.shortnames import MadeNames, may_be_made
from ksmbd.vfs.stamps import Clock, settled
from ksmbd.vfs.xattr import proc_path
from ksmbd.wire.text import is_utf8, upcase

MAX_NAMES: Final = 1 << 18  # in all tables of a share; some 60 MiB
MAX_HASHED: Final = 1 << 22  # in one directory; of more it is always read whether a name is free
FOLLOWED: Final = 1000  # names; a smaller directory is read again as quickly
LARGE: Final = 4 << 20  # bytes of a directory; tens of thousands of names at least
_MAX_OWN: Final = 1024
_PROVISIONAL: Final = 1_000_000_000  # ns

_Stamp = tuple[int, int]  # mtime, ctime


class _Unknown(Enum):
    """What no table tells."""

    UNKNOWN = 1


_UNKNOWN: Final = _Unknown.UNKNOWN


@dataclass(slots=True)
class _Table:
    names: dict[str, str]  # folded -> on disk
    alike: set[str]  # folded, of which there are several on disk
    stamp: _Stamp
    expires: int | None = None  # ns; None = only when the stamp changes
    followed: bool = False  # the stamp says nothing, Followed everything
    made: MadeNames | None = None  # from the first look for an 8.3 name on
    hashed: HashedNames | None = None  # instead of names that are too many

    @property
    def weight(self) -> int:
        """Its memory, as so many names."""
        return (len(self.names) if self.hashed is None else self.hashed.weight) + 1

    def add(self, name: str) -> None:
        if self.hashed is not None:
            self.hashed.add(name)
            return
        before = len(self.names)
        if self.names.setdefault(upcase(name), name) != name:
            self.alike.add(upcase(name))
        if len(self.names) > before and self.made is not None:
            self.made.add(name)

    def remove(self, name: str) -> None:
        if self.hashed is not None:
            self.hashed.remove(name)
            return
        gone = self.names.pop(upcase(name), None) is not None
        if gone and self.made is not None and not self.made.remove(name):
            self.made = None

    def tell(self, name: str, same_form: bool) -> str | _Unknown | None:
        """As :meth:`look_up`, or that it must be looked up in the directory."""
        if self.hashed is None:
            return self.look_up(name, same_form)
        if may_be_made(name):
            return _UNKNOWN
        possible = list(filter(self.hashed.may_have, _forms(name, same_form)))
        return (self.hashed.spelling(possible[0]) or _UNKNOWN) if possible else None

    def look_up(self, name: str, same_form: bool) -> str | None:
        """The on-disk spelling of *name*, see :meth:`FoldedNames.find`."""
        found = self.names.get(upcase(name))
        if found is not None:
            return found
        if may_be_made(name):
            if self.made is None:
                self.made = MadeNames(self.names.values())
            return self.made.find(name)
        if same_form or name.isascii():
            return None
        for form in ("NFC", "NFD"):
            found = self.names.get(upcase(unicodedata.normalize(form, name)))
            if found is not None:
                return found
        return None

    def is_without(self, name: str) -> bool:
        """Whether it tells what is on disk once *name* is removed from both."""
        if self.hashed is not None:
            return self.hashed.is_without(name)
        folded = upcase(name)
        return folded not in self.alike and self.names.get(folded, name) == name


class FoldedNames:
    """The tables of one share, least recently used ones dropped first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._large = threading.Lock()  # held while a large directory is read, taken before _lock
        self._lock = threading.Lock()
        self._tables: OrderedDict[Key, _Table] = OrderedDict()  # by self._lock
        self._total = 0  # names in all tables; by self._lock
        self._own: OrderedDict[Key, _Stamp] = OrderedDict()  # our last changes; by self._lock
        self._followed = Followed()  # by self._lock

    def find(self, dir_fd: int, name: str, *, same_form: bool = False) -> str | None:
        """The on-disk spelling of *name* in the directory, None if it has none.

        Spellings in Unicode's other normal form are looked up last, unless *same_form*. A
        directory that the user may not list is one without such names, whoever else has had it
        read.
        """
        found, table = self._tell(dir_fd, name, same_form)
        if isinstance(found, _Unknown):
            if os.fstat(dir_fd).st_size < LARGE:
                return self._read(dir_fd, name, same_form, table)
            with self._large:  # all its names take much memory, and for long the interpreter
                found, table = self._tell(dir_fd, name, same_form)
                if isinstance(found, _Unknown):
                    return self._read(dir_fd, name, same_form, table)
        return found if found is not None and _may_list(dir_fd) else None

    def _tell(
        self, dir_fd: int, name: str, same_form: bool
    ) -> tuple[str | _Unknown | None, _Table | None]:
        """What is known of *name* without reading the directory, and by which table."""
        key, stamp = _identify(dir_fd)
        with self._lock:
            table = self._valid(key, stamp)
            return (_UNKNOWN if table is None else table.tell(name, same_form)), table

    def _read(self, dir_fd: int, name: str, same_form: bool, table: _Table | None) -> str | None:
        """Look *name* up in the directory, of which *table* has hashes that may have it."""
        try:
            if table is None or may_be_made(name):
                return self._scan(dir_fd, name, same_form)
            return self._search(dir_fd, table, name, same_form)
        except PermissionError:
            return None

    def before_change(self, dir_fd: int) -> Key | None:
        """Call before changing a directory: a token for changed() if its table is valid."""
        key, stamp = _identify(dir_fd)
        with self._lock:
            return key if self._valid(key, stamp) is not None else None

    def changed(
        self, token: Key | None, dir_fd: int, *, added: str = "", removed: str = ""
    ) -> None:
        """Enter our own change of a directory."""
        key, stamp = _identify(dir_fd)
        now = self._clock()
        with self._lock:
            self._note_own(key, stamp)
            table = self._tables.get(key)
            if table is None or table.followed:
                return
            if token != key:
                self._drop(key)
                return
            table.stamp = stamp
            table.expires = table.expires or now + _PROVISIONAL
            if removed:
                self._change(Change(key, removed, added=False))
            if added:
                self._change(Change(key, added, added=True))

    def created(self, dir_fd: int) -> None:
        """Note that we have just made this directory, so that it is empty."""
        key, stamp = _identify(dir_fd)
        now = self._clock()
        with self._lock:
            self._note_own(key, stamp)
            self._keep(key, _Table({}, set(), stamp, now + _PROVISIONAL))

    def close(self) -> None:
        """Follow no directory any more; a second call does nothing."""
        self._followed.close()

    def _valid(self, key: Key, stamp: _Stamp) -> _Table | None:
        table = self._tables.get(key)
        if table is not None and table.followed:
            self._catch_up()
            table = self._tables.get(key)
        elif table is not None and table.expires is not None and table.expires < self._clock():
            return None
        if table is None or (table.stamp != stamp and not table.followed):
            return None
        self._tables.move_to_end(key)
        return table

    def _catch_up(self) -> None:
        """Enter what the kernel has told of the directories that are followed."""
        for change in self._followed.news():
            table = self._tables.get(change.key)
            if table is not None and table.followed:
                self._change(change)

    def _change(self, change: Change) -> None:
        """Enter one change; the table goes where it would not tell any more what is on disk."""
        key, name, added = change
        table = self._tables.get(key)
        if table is None:
            return
        if name == DIRECTORY:
            return
        if not name or not (added or table.is_without(name)):
            self._drop(key)
        else:
            self._total -= table.weight
            (table.add if added else table.remove)(name)
            self._total += table.weight
        if self._total > MAX_NAMES:
            self._drop(next(iter(self._tables)))

    def _search(self, dir_fd: int, table: _Table, name: str, same_form: bool) -> str | None:
        """Look for *name* alone; remember its spelling if nothing has changed meanwhile."""
        key, stamp = _identify(dir_fd)
        with self._lock:
            self._catch_up()
            before = (stamp, table.stamp, self._followed.told(key))
        found = _spelled_in(dir_fd, _forms(name, same_form))
        key, stamp = _identify(dir_fd)
        with self._lock:
            unchanged = self._valid(key, stamp) is table
            after = (stamp, table.stamp, self._followed.told(key))
            if found is not None and unchanged and after == before and table.hashed is not None:
                self._total -= table.weight
                table.hashed.spell(found)
                self._total += table.weight
        return found

    def _scan(self, dir_fd: int, name: str, same_form: bool) -> str | None:
        """Look *name* up in the directory; keep the table if its time stamps allow."""
        key, stamp = _identify(dir_fd)
        now = self._clock()  # before reading: what comes after is not covered
        with self._lock:
            self._catch_up()
            told = self._followed.told(key)
        fd = os.open(proc_path(dir_fd), os.O_RDONLY | os.O_DIRECTORY)
        try:
            listed = [name for name in os.listdir(fd) if is_utf8(name) and name != DIRECTORY]
        finally:
            os.close(fd)
        names = {upcase(name): name for name in listed}
        table = _Table(names, set(), stamp)
        if len(names) < len(listed):
            table.alike = _settle(names, listed)
        found = table.look_up(name, same_form)  # once others have the table they may change it
        if len(names) > MAX_NAMES:
            table = _Table({}, set(), stamp, hashed=HashedNames(names, table.alike))
        with self._lock:
            if told is not None and told == self._followed.told(key):
                table.followed = True  # what changed meanwhile is yet to be read
            elif not settled(max(stamp), now):
                if self._own.get(key) != stamp:
                    self._follow(dir_fd, key, len(listed))
                    return found
                table.expires = now + _PROVISIONAL
            self._keep(key, table)
            self._follow(dir_fd, key, len(listed))
        return found

    def _follow(self, dir_fd: int, key: Key, size: int) -> None:
        """From the next reading on: what has changed since this one was not told."""
        if FOLLOWED <= size <= MAX_HASHED:
            self._followed.follow(dir_fd, key)
            while len(self._followed) > MAX_NAMES // FOLLOWED:
                self._drop(self._followed.oldest())

    def _keep(self, key: Key, table: _Table) -> None:
        self._forget(key)
        if table.weight > MAX_NAMES:
            self._followed.leave(key)
            return
        self._tables[key] = table
        self._total += table.weight
        while self._total > MAX_NAMES:
            self._drop(next(iter(self._tables)))

    def _drop(self, key: Key) -> None:
        self._followed.leave(key)
        self._forget(key)

    def _forget(self, key: Key) -> None:
        table = self._tables.pop(key, None)
        if table is not None:
            self._total -= table.weight

    def _note_own(self, key: Key, stamp: _Stamp) -> None:
        self._own[key] = stamp
        self._own.move_to_end(key)
        if len(self._own) > _MAX_OWN:
            self._own.popitem(last=False)


def _settle(names: dict[str, str], listed: list[str]) -> set[str]:
    """Of names that fold alike take the same every time; the folded ones that do."""
    alike: set[str] = set()
    for name in listed:
        folded = upcase(name)
        if names[folded] != name:
            alike.add(folded)
            names[folded] = min(names[folded], name)
    return alike


def _spelled_in(dir_fd: int, forms: Sequence[str]) -> str | None:
    """How the directory has the first of these names that it has in any letter case."""
    wanted = list(map(upcase, forms))
    lengths = set(map(len, wanted))  # folding keeps it
    alike: dict[str, str] = {}
    with os.scandir(proc_path(dir_fd)) as listing:
        for entry in listing:
            name = entry.name
            if name == DIRECTORY:
                continue
            if len(name) in lengths and (folded := upcase(name)) in wanted and is_utf8(name):
                alike[folded] = min(name, alike.get(folded, name))
    return next((alike[folded] for folded in wanted if folded in alike), None)


def _may_list(dir_fd: int) -> bool:
    return os.access(proc_path(dir_fd), os.R_OK, effective_ids=True)


def _identify(dir_fd: int) -> tuple[Key, _Stamp]:
    st = os.fstat(dir_fd)
    return (st.st_dev, st.st_ino), (st.st_mtime_ns, st.st_ctime_ns)


def _forms(name: str, same_form: bool) -> tuple[str, ...]:
    """As what *name* may be on the disk, but for letter case."""
    if same_form or name.isascii():
        return (name,)
    return (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))
