"""Streams that no xattr holds: one file for each, in a directory of the server's own.

What the stream's xattr holds is then a *ticket*: a mark and a random number, which is the name of
the file in ``.ksmbd-streams`` at the top of the share.  So a stream goes with its file wherever a
local process moves it, and several names of one file have the same streams.

Nobody but the server gets into that directory: whoever opens a stream has passed the check of its
file.  A ticket alone opens nothing, either, or who may read a file could copy its ticket into a
file that he may write.  A record on the stored file says whose stream it is: the file's inode
number with the time it was made, its owner, and its handle, by which the kernel finds it whatever
it is called.  Another file gets in only with the same owner, and if the first is gone or the
stored file is itself a copy: the share was restored from a backup, or copied as a whole.

What belongs to no file any more (local processes delete files, too) is removed a few at a time,
whenever something is added or somebody connects to the share.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
import threading
from collections.abc import Callable, Iterator
from heapq import nsmallest
from itertools import count
from typing import Final, NamedTuple
from weakref import WeakSet

from ksmbd.vfs import credentials
from ksmbd.vfs.filehandles import handle_of, open_handle
from ksmbd.vfs.stamps import Clock
from ksmbd.vfs.syscalls import birth_ns
from ksmbd.vfs.xattr import (
    ABSENT,
    STREAM_PREFIX,
    get_value,
    names,
    proc_path,
    remove_stream,
    set_value,
    stream_xattr,
)

DIRECTORY: Final = ".ksmbd-streams"
MARK: Final = b"\0ksmbd: a ticket"
TICKET: Final = len(MARK) + 16  # bytes
_RECORD: Final = "user.ksmbd.stream-of"
_LAYOUT: Final = struct.Struct("<IQqQqI")  # version, itself, the file it is of, its owner
_VERSION: Final = 1
_GRACE: Final = 900_000_000_000  # ns; what is younger may be just about to get its ticket
_PORTION: Final = 64  # looked at in one sweep
_EACH: Final = 16  # stored streams between two sweeps
_OWN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLAIN: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_depots: Final[WeakSet[Depot]] = WeakSet()  # by _depots_lock
_depots_lock: Final = threading.Lock()


class Identity(NamedTuple):
    """An inode, told from a later one with the same number."""

    ino: int
    birth: int  # ns since 1970, 0 where the file system keeps none


class _Record(NamedTuple):
    itself: Identity  # of the stored file: another one's says that this is a copy
    of: Identity
    owner: int
    handle: bytes

    def pack(self) -> bytes:
        return _LAYOUT.pack(_VERSION, *self.itself, *self.of, self.owner) + self.handle

    @classmethod
    def read(cls, fd: int) -> _Record | None:
        """The record on a stored file; None if it has none that can be understood."""
        try:
            blob = get_value(fd, _RECORD)
            version, ino, birth, of, born, owner = _LAYOUT.unpack_from(blob)
        except (OSError, struct.error):
            return None
        handle = blob[_LAYOUT.size :]
        if version != _VERSION:
            return None
        return cls(Identity(ino, birth), Identity(of, born), owner, handle)


def is_ticket(value: bytes) -> bool:
    """Whether a stream's value is none, but says where it lies."""
    return len(value) == TICKET and value.startswith(MARK)


def may_be_kept(value: bytes) -> bool:
    """Whether an xattr may hold it: nothing that looks like a ticket is a client's to store."""
    return not value.startswith(MARK)


def holds(fd: int) -> bool:
    """Whether an open file is a depot's directory, or in one."""
    path = os.readlink(proc_path(fd))
    return DIRECTORY in path and DIRECTORY in path.split("/")


class Depot:
    """The stored streams of one share's files. *fd* is the share's directory.

    Everything is done as the server itself; what happens to the data is done as the user, by
    the descriptor, so that a quota counts.  OSError as the file system says it.
    """

    def __init__(self, fd: int, clock: Clock, random: Callable[[int], bytes]) -> None:
        self._fd = fd
        self._clock = clock
        self._random = random
        self._sweeping = threading.Lock()
        # by self._sweeping; (device, inode number) of a directory -> where the last sweep ended
        self._swept: dict[tuple[int, int], str] = {}
        self._made = count(1)
        try:
            os.stat(DIRECTORY, dir_fd=fd, follow_symlinks=False)
            self.used = True  # some file may have a stored stream: whoever removes one looks
        except OSError:
            self.used = False
        with _depots_lock:
            _depots.add(self)

    def create(self, base: int, value: bytes) -> tuple[bytes, int]:
        """Store *value* for a stream of the open file *base*; its ticket and a descriptor.

        All of it is on the disk then; nothing refers to it before the ticket is written.
        """
        self.used = True
        number = self._random(TICKET - len(MARK))
        with credentials.privileged():
            top = self._top(base)
            try:
                directory = _make_directory(top)
            finally:
                os.close(top)
            try:
                fd = _create(directory, number.hex(), base, value)
                try:
                    os.fsync(directory)
                except BaseException:
                    os.close(fd)
                    os.unlink(number.hex(), dir_fd=directory)
                    raise
                if next(self._made) % _EACH == 0:
                    with contextlib.suppress(OSError):  # what is left over can wait
                        self._sweep(directory)
            finally:
                os.close(directory)
        return MARK + number, fd

    def open(self, ticket: bytes, base: int, *, write: bool) -> int:
        """A descriptor of the stored stream; FileNotFoundError if *base* has none by that ticket.

        Whether the user may have it is for the caller to know.
        """
        with credentials.privileged():
            return _open(self, ticket, base, write=write)

    def stat(self, ticket: bytes, base: int) -> os.stat_result:
        """Of the stored stream; errors as in open()."""
        fd = self.open(ticket, base, write=False)
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def discard(self, tickets: list[bytes], base: int) -> None:
        """Remove the stored streams of *base*, whose tickets are gone; what fails is swept."""
        for ticket in tickets:
            with credentials.privileged(), contextlib.suppress(OSError):
                for directory in self._directories(base):
                    if _belongs(directory, ticket, base):
                        os.unlink(_name(ticket), dir_fd=directory)
                        break

    def remove_stream(self, base: int, stream: str, *, samba: bool) -> None:
        """Remove a stream, in its stored spelling, of the open file *base*, wherever it lies."""
        item = proc_path(base)
        tickets = []
        with contextlib.suppress(OSError):  # what cannot be read is removed, or not, all the same
            value = get_value(item, stream_xattr(stream))
            tickets = [ticket for ticket in (value[:-1] if samba else value,) if is_ticket(ticket)]
        remove_stream(item, stream)
        self.discard(tickets, base)

    def tickets(self, base: int) -> list[bytes]:
        """Those that an open file has. Of many files nothing is asked: see ``used``."""
        if not self.used:
            return []
        with credentials.privileged():
            return _tickets(base)

    def sweep(self) -> None:
        """Remove what belongs to no file any more, as far as a portion of them tells."""
        with credentials.privileged(), contextlib.suppress(OSError):
            directory = os.open(DIRECTORY, _OWN_DIRECTORY, dir_fd=self._fd)
            try:
                self._sweep(directory)
            finally:
                os.close(directory)

    def _top(self, base: int) -> int:
        """Where the directory is made: the share's own, or the top of what is mounted in it."""
        dev = os.fstat(base).st_dev
        if os.fstat(self._fd).st_dev == dev:
            return os.dup(self._fd)
        top = -1
        for fd in _upwards(base, dev):
            if top >= 0:
                os.close(top)
            top = os.dup(fd)
        if top < 0:
            raise FileNotFoundError(errno.ENOENT, "the file is nowhere")
        return top

    def _directories(self, base: int) -> Iterator[int]:
        """Each directory that may hold a stream of *base*, open while it is looked at.

        The share's own; those of shares around and within it; and for what was moved out of an
        inner share all that this server has met.
        """
        dev = os.fstat(base).st_dev
        yield from _trusted(self._fd, dev)
        for fd in _upwards(base, dev):
            yield from _trusted(fd, dev)
        with _depots_lock:
            others = list(_depots)
        for other in others:
            if other is not self:
                yield from _trusted(other._fd, dev)

    def _sweep(self, directory: int) -> None:
        """Look at a portion, in the order of the names, which are random."""
        if not self._sweeping.acquire(blocking=False):
            return  # somebody is at it
        try:
            st = os.fstat(directory)
            key = st.st_dev, st.st_ino
            last = self._swept.pop(key, "")
            portion = nsmallest(_PORTION, (n for n in os.listdir(directory) if n > last))
            for name in portion:
                if _is_left_over(directory, name, self._clock()):
                    with contextlib.suppress(FileNotFoundError):  # another server's sweep
                        os.unlink(name, dir_fd=directory)
            if len(portion) == _PORTION:
                self._swept[key] = portion[-1]
        finally:
            self._sweeping.release()


def _name(ticket: bytes) -> str:
    return ticket[len(MARK) :].hex()


def _identity(fd: int) -> Identity:
    return Identity(os.fstat(fd).st_ino, birth_ns(fd) or 0)


def _make_directory(top: int) -> int:
    """The server's directory in *top*, made if need be; PermissionError if it is not its own."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(DIRECTORY, 0o700, dir_fd=top)
    fd = os.open(DIRECTORY, _OWN_DIRECTORY, dir_fd=top)
    if not _is_own(fd):
        os.close(fd)
        raise PermissionError(errno.EACCES, f"others get into {DIRECTORY}")
    return fd


def _is_own(directory: int) -> bool:
    st = os.fstat(directory)
    return st.st_uid == os.geteuid() and not st.st_mode & 0o077


def _trusted(top: int, dev: int) -> Iterator[int]:
    """The server's own directory in *top*, if there is one on the file system *dev*."""
    try:
        fd = os.open(DIRECTORY, _OWN_DIRECTORY, dir_fd=top)
    except OSError:
        return
    try:
        if _is_own(fd) and os.fstat(fd).st_dev == dev:
            yield fd
    finally:
        os.close(fd)


def _upwards(base: int, dev: int) -> Iterator[int]:
    """The directories above an open file on its file system, each open while it is looked at."""
    path = os.readlink(proc_path(base))
    if not stat.S_ISDIR(os.fstat(base).st_mode):
        path = os.path.dirname(path)
    while path.startswith("/"):
        try:
            fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            fd = -1  # "… (deleted)", or it is being moved
        if fd >= 0:
            try:
                if os.fstat(fd).st_dev != dev:
                    return
                yield fd
            finally:
                os.close(fd)
        if path == "/":
            return
        path = os.path.dirname(path)


def _create(directory: int, name: str, base: int, value: bytes) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _PLAIN
    fd = os.open(name, flags, 0o600, dir_fd=directory)
    try:
        st = os.fstat(base)
        if os.geteuid() == 0:
            os.fchown(fd, st.st_uid, st.st_gid)  # whose quota it counts for
        record = _Record(_identity(fd), _identity(base), st.st_uid, handle_of(base))
        set_value(fd, _RECORD, record.pack())
        rest = memoryview(value)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    except BaseException:
        os.close(fd)
        os.unlink(name, dir_fd=directory)
        raise
    return fd


def _open(depot: Depot, ticket: bytes, base: int, *, write: bool) -> int:
    for directory in depot._directories(base):
        if _belongs(directory, ticket, base):
            flags = (os.O_RDWR if write else os.O_RDONLY) | _PLAIN
            depot.used = True
            return os.open(_name(ticket), flags, dir_fd=directory)
    raise FileNotFoundError(errno.ENOENT, "no such stream is stored", _name(ticket))


def _belongs(directory: int, ticket: bytes, base: int) -> bool:
    """Whether the stored stream is *base*'s, or becomes so now."""
    try:
        fd = os.open(_name(ticket), os.O_RDONLY | _PLAIN, dir_fd=directory)
    except OSError:
        return False
    try:
        record = _Record.read(fd)
        if record is None or not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        now = _identity(base)
        if record.of == now:
            return True
        st = os.fstat(base)
        if record.owner != st.st_uid:
            return False
        itself = _identity(fd)
        if record.itself == itself and not _is_gone(directory, record, _name(ticket)):
            return False
        with contextlib.suppress(OSError):  # read-only: it is asked again the next time
            record = _Record(itself, now, st.st_uid, handle_of(base))
            set_value(fd, _RECORD, record.pack())
        return True
    finally:
        os.close(fd)


def _is_gone(directory: int, record: _Record, name: str) -> bool:
    """Whether the file that a record tells of is certainly not there, or has lost the stream."""
    if not record.handle:
        return False
    try:
        fd = open_handle(directory, record.handle)
    except OSError as failed:
        return failed.errno == errno.ESTALE
    try:
        if _identity(fd) != record.of or not os.fstat(fd).st_nlink:
            return True
        return all(_name(ticket) != name for ticket in _tickets(fd))
    except OSError:
        return False
    finally:
        os.close(fd)


def _is_left_over(directory: int, name: str, now: int) -> bool:
    """Whether a stored stream belongs to nothing.

    Not one of a restored share: its record tells of a file as it was before.
    """
    try:
        fd = os.open(name, os.O_RDONLY | _PLAIN, dir_fd=directory)
    except OSError:
        return False
    try:
        record = _Record.read(fd)
        if record is None or now - os.fstat(fd).st_ctime_ns < _GRACE:
            return False
        return record.itself == _identity(fd) and _is_gone(directory, record, name)
    finally:
        os.close(fd)


def _tickets(fd: int) -> list[bytes]:
    item = proc_path(fd)
    found = []
    for name in names(item):
        if not name.startswith(STREAM_PREFIX):
            continue
        try:
            value = get_value(item, name)
        except OSError as failed:
            if failed.errno not in ABSENT:
                raise
            continue
        if is_ticket(value[:TICKET]) and len(value) <= TICKET + 1:  # Samba's layout has one more
            found.append(value[:TICKET])
    return found
