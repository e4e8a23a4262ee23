"""Alternate data streams, kept in xattrs: user.DosStream.<name>:$DATA.

Two layouts, of which a share has one, for a value does not tell.  ksmbd's: the value is the
stream's bytes and nothing else.  Samba's (``RootOptions.samba_streams``): a byte follows which
counts the further attributes user.DosStreamExt.<number>.<name>:$DATA that the stream goes on in;
they are read, but what is written must fit into the first, as it must for Samba by default.

How much fits is the file system's to say: at most 64 KiB, 4 KiB or so on ext4.  What does not moves
to the depot (vfs.depot), whoever has it open, and stays there; the value is its ticket then.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from typing import Final, NamedTuple

from ksmbd.vfs.copy import copy_range
from ksmbd.vfs.depot import is_ticket, may_be_kept
from ksmbd.vfs.entry import Entry
from ksmbd.vfs.handle import MAX_OFFSET, Handle
from ksmbd.vfs.pattern import NameInvalid
from ksmbd.vfs.quota_file import STREAM as QUOTA
from ksmbd.vfs.quota_file import is_quota_file
from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.stat import BLOCK, Stat, stat_from
from ksmbd.vfs.xattr import (
    ABSENT,
    STREAM_PREFIX,
    STREAM_SUFFIX,
    Item,
    get_value,
    names,
    proc_path,
    remove_extents,
    remove_stream,
    set_value,
    stream_extent_xattr,
    stream_xattr,
)
from ksmbd.wire.access import ATTR_DIRECTORY
from ksmbd.wire.base import Buffer
from ksmbd.wire.text import upcase

log = logging.getLogger("ksmbd.vfs")

MAX_STREAM: Final = 65536  # bytes, XATTR_SIZE_MAX: more is never in an xattr
MAX_NAME: Final = 255 - len(STREAM_PREFIX) - len(STREAM_SUFFIX)  # bytes of UTF-8
DATA: Final = "$DATA"
INDEX: Final = "$INDEX_ALLOCATION"
_ILLEGAL: Final = frozenset("/\\:\0")
_BLOCK: Final = 512
MACS_COLON: Final = "\uf022"

# What says that the value must move: no room beside the other attributes, or in any
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.E2BIG, errno.ERANGE})

# A write to an xattr reads, changes and stores the whole value. These locks, picked by inode, keep
# two writers from losing each other's bytes, and a value from moving twice; unlike all others they
# are held across system calls, and nothing but the depot's is ever taken inside.
_locks: Final = tuple(threading.Lock() for _ in range(64))


class StreamName(NamedTuple):
    """``file:stream:type``, taken apart."""

    path: str
    stream: str  # "" is the file's own data, or a directory's own list
    kind: str  # DATA, INDEX, or "" if the name has no colon


class StreamInfo(NamedTuple):
    """One stream of a file, not counting its unnamed one. Both sizes are bytes."""

    name: str
    size: int
    allocation: int


def split_stream(path: str) -> StreamName:
    """Divide ``file:stream:type``, [MS-FSCC] 2.1.5.

    ``::$DATA`` is the file itself, ``:$I30:$INDEX_ALLOCATION`` the directory.
    NameInvalid for other types, illegal characters, or a name too long for an xattr.
    """
    file, colon, rest = path.partition(":")
    if not colon:
        return StreamName(path, "", "")
    if "/" in rest:
        raise NameInvalid(path, "a stream is no directory")
    stream, typed, kind = rest.partition(":")
    kind = upcase(kind)
    if kind == INDEX and upcase(stream) in ("", "$I30"):
        return StreamName(file, "", INDEX)
    if kind == INDEX and upcase(stream) == QUOTA and is_quota_file(file):
        return StreamName(file, QUOTA, INDEX)
    if (typed and kind != DATA) or _ILLEGAL & set(stream) or not (stream or typed):
        raise NameInvalid(path, "no stream name")
    if len(stream.encode("utf-8", "surrogatepass")) > MAX_NAME:
        raise NameInvalid(path, "stream name too long", errno.ENAMETOOLONG)
    return StreamName(file, stream, DATA)


# -- what lies on the disk ---------------------------------------------------------------


def list_streams(root: ShareRoot, fd: int) -> list[StreamInfo]:
    """The named streams of an open file or directory; *fd* may be an O_PATH descriptor."""
    found = []
    item = proc_path(fd)
    for name in names(item):
        if not (name.startswith(STREAM_PREFIX) and name.endswith(STREAM_SUFFIX)):
            continue
        stream = name[len(STREAM_PREFIX) : -len(STREAM_SUFFIX)]
        try:
            value = _load(item, stream, samba=root.options.samba_streams)
            if is_ticket(value):
                st = root.depot.stat(value, fd)
                found.append(StreamInfo(stream, st.st_size, st.st_blocks * BLOCK))
            else:
                found.append(StreamInfo(stream, len(value), allocation(len(value))))
        except FileNotFoundError as lost:
            log.debug("%s: stream %s: %s", os.readlink(item), stream, lost)
        except OSError as failed:
            if failed.errno not in ABSENT:
                raise
    return found


def find_stream(root: ShareRoot, fd: int, stream: str) -> str | None:
    """The stored spelling of a stream's name, found without regard to case, and as it is shown.

    One whose ticket leads nowhere, as in a copy of a file by a local process, is not there.
    """
    wanted = upcase(stream)
    item = proc_path(fd)
    for name in names(item):
        if name.startswith(STREAM_PREFIX) and name.endswith(STREAM_SUFFIX):
            found = name[len(STREAM_PREFIX) : -len(STREAM_SUFFIX)]
            if upcase(shown(found)) == wanted:
                return found if _is_there(root, fd, found) else None
    return None


def shown(stored: str) -> str:
    """A stored name as clients see it: colons, which local programs may use, as Macs send them."""
    return stored.replace(":", MACS_COLON) if ":" in stored else stored


def _is_there(root: ShareRoot, fd: int, stream: str) -> bool:
    try:
        value = _load(proc_path(fd), stream, samba=root.options.samba_streams)
        if is_ticket(value):
            root.depot.stat(value, fd)
    except FileNotFoundError:
        return False
    except OSError as failed:
        if failed.errno not in ABSENT:  # what may not be read is there all the same
            raise
    return True


def _load(item: Item, stream: str, *, samba: bool) -> bytes:
    """A stream's bytes. OSError ENODATA if there is none."""
    value = get_value(item, stream_xattr(stream))
    if not (samba and value):  # Samba's empty stream still has the byte
        return value
    parts = [value[:-1]]
    for number in range(1, value[-1] + 1):
        try:
            parts.append(get_value(item, stream_extent_xattr(stream, number)))
        except OSError as failed:
            if failed.errno != errno.ENODATA:
                raise
            break
    return b"".join(parts)


def _store(item: Item, stream: str, value: bytes, *, samba: bool) -> None:
    if not samba:
        set_value(item, stream_xattr(stream), value)
        return
    if len(value) >= MAX_STREAM:
        raise OSError(errno.ERANGE, os.strerror(errno.ERANGE))
    set_value(item, stream_xattr(stream), value + b"\0")
    remove_extents(item, stream)


def size_of(root: ShareRoot, fd: int, stream: str) -> int:
    """Bytes of a stream in its stored spelling; 0 if it is gone."""
    try:
        value = _load(proc_path(fd), stream, samba=root.options.samba_streams)
        return root.depot.stat(value, fd).st_size if is_ticket(value) else len(value)
    except FileNotFoundError:
        return 0
    except OSError as failed:
        if failed.errno not in ABSENT:
            raise
        return 0


# -- open streams ------------------------------------------------------------------------


def open_stream(
    root: ShareRoot,
    entry: Entry,
    stream: str,
    *,
    read: bool,
    write: bool,
    create: bool,
    kind: type[StreamHandle] | None = None,
) -> StreamHandle:
    """Open a stream of an existing file, as a *kind* or plainly; takes over the entry's descriptor.

    With *create* it must not exist and is made empty: FileExistsError. Without, it must:
    FileNotFoundError. Whether the user may touch the file's data the kernel checks here.
    """
    st = entry.stat
    if st is None or entry.fd < 0:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), entry.path)
    base = root.open(entry, read=False, write=False)
    try:
        _check_permission(base, read=read, write=write or create)
        stored = find_stream(root, base.fd, stream)
        if create:
            if stored is not None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), entry.path)
            _store(base.item, stream, b"", samba=root.options.samba_streams)
        elif stored is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), entry.path)
    except BaseException:
        base.close()
        raise
    handle = (kind or StreamHandle)(
        root, base.fd, entry.path, st, readable=read, writable=write, path_only=True
    )
    handle.stream = stored or stream
    return handle


def first_stream(base: Handle, stream: str, kind: type[StreamHandle] | None = None) -> StreamHandle:
    """Make a stream of a file that was just made; takes over its descriptor.

    If that fails the file stays, and its handle is still the caller's.
    """
    st = base.stat()
    _store(base.item, stream, b"", samba=base.root.options.samba_streams)
    handle = (kind or StreamHandle)(
        base.root, base.fd, base.path, st, readable=True, writable=True, path_only=False
    )
    handle.stream = stream
    return handle


def remove_if_empty(handle: StreamHandle) -> None:
    """Remove the stream unless it holds something.  The caller holds ``handle.lock``."""
    if not _load(handle.item, handle.stream, samba=handle.root.options.samba_streams):
        remove_stream(handle.item, handle.stream)


def rename_stream(handle: StreamHandle, stream: str, *, replace: bool) -> None:
    """Rename a stream within its file. FileExistsError if the name is taken, unless *replace*."""
    root = handle.root
    samba = root.options.samba_streams
    with handle.lock:
        stored = find_stream(root, handle.fd, stream)
        if stored is not None and upcase(stored) != upcase(handle.stream):
            if not replace:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), stream)
            root.depot.remove_stream(handle.fd, stored, samba=samba)
        if stream != handle.stream:
            # a ticket goes with the name; for a moment there are two of it
            _store(handle.item, stream, handle.raw(), samba=samba)
            remove_stream(handle.item, handle.stream)
        handle.stream = stream


def rename_to_file(handle: StreamHandle) -> None:
    """Make a stream the file's own data, which it had none of; the handle is the file's then."""
    with handle.lock:
        fd = os.open(proc_path(handle.fd), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            st = handle.of_file().stat()
            file = Handle(handle.root, fd, "", st, readable=True, writable=True, path_only=False)
            held = handle.held()
            if isinstance(held, Handle):
                copy_range(held, 0, file, 0, MAX_OFFSET)
            else:
                file.write(held, 0)
            samba = handle.root.options.samba_streams
            handle.root.depot.remove_stream(handle.fd, handle.stream, samba=samba)
            os.dup2(fd, handle.fd, inheritable=False)  # other threads use its number
        finally:
            os.close(fd)
        handle.path_only = False
        handle.stream = ""


class StreamHandle(Handle):
    """An open stream. Data are the stream's; times, attributes and EAs are the file's.

    Only after :func:`rename_to_file` ``stream`` is "", and the data are the file's too.
    """

    __slots__ = ("_opened",)

    def __init__(
        self,
        root: ShareRoot,
        fd: int,
        path: str,
        stat: Stat,
        *,
        readable: bool,
        writable: bool,
        path_only: bool,
    ) -> None:
        super().__init__(
            root, fd, path, stat, readable=readable, writable=writable, path_only=path_only
        )
        self.is_directory = False
        self._opened: dict[bytes, Handle] = {}  # by ticket; what was opened stays so to the end

    @property
    def lock(self) -> threading.Lock:
        """Held while the value is read, changed and stored."""
        return _locks[self.ino % len(_locks)]

    def of_file(self) -> Handle:
        st = super().stat()
        return Handle(
            self.root, self.fd, self.path, st,
            readable=False, writable=False, path_only=self.path_only,
        )  # fmt: skip

    def raw(self) -> bytes:
        """What the xattr says: the stream, or its ticket. FileNotFoundError once it is removed."""
        try:
            return _load(self.item, self.stream, samba=self.root.options.samba_streams)
        except OSError as failed:
            if failed.errno != errno.ENODATA:
                raise
            raise FileNotFoundError(errno.ENOENT, "the stream is gone", self.stream) from None

    def held(self) -> bytes | Handle:
        """The whole stream, or the open file in the depot that it lies in."""
        value = self.raw()
        if not is_ticket(value):
            return value
        return self._opened.get(value) or self._enter(
            value, self.root.depot.open(value, self.fd, write=self.writable)
        )

    def data_fd(self) -> int:
        if not self.stream:
            return super().data_fd()
        held = self.held()
        return held.fd if isinstance(held, Handle) else -1

    def stat(self) -> Stat:
        """The file's, with the stream's size; a stream of a directory is no directory."""
        found = super().stat()
        if not self.stream:
            return found
        held = self.held()
        if isinstance(held, Handle):
            st = os.fstat(held.fd)
            found.size, found.allocation = st.st_size, st.st_blocks * BLOCK
        else:
            found.size, found.allocation = len(held), allocation(len(held))
        found.is_directory = False
        found.attributes &= ~ATTR_DIRECTORY
        return found

    def readinto(self, buffer: memoryview, offset: int) -> int:
        if not self.stream:
            return super().readinto(buffer, offset)
        if offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        held = self.held()
        if isinstance(held, Handle):
            return held.readinto(buffer, offset)
        part = held[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    @property
    def tells_cached(self) -> bool:
        return any(stored.tells_cached for stored in list(self._opened.values()))

    def readinto_cached(self, buffer: memoryview, offset: int) -> int | None:
        """Of a stored stream alone: nothing tells whether an xattr is in memory."""
        if not self.stream or not self._opened:
            return None
        held = self.held()
        return held.readinto_cached(buffer, offset) if isinstance(held, Handle) else None

    def write(self, data: Buffer, offset: int) -> int:
        if not self.stream:
            return super().write(data, offset)
        length = len(data)
        if offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if offset + length > MAX_OFFSET:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        if not length:
            return 0
        with self.lock:
            held: bytes | Handle | None = self.held()
            if isinstance(held, bytes):
                whole = None
                if offset + length <= MAX_STREAM:
                    whole = held[:offset].ljust(offset, b"\0") + data + held[offset + length :]
                held = self._replace(held, whole)
        if held is not None:
            held.write(data, offset)
        self.touch()
        return length

    def append(self, data: Buffer) -> int:
        return self.write(data, self.stat().size) if self.stream else super().append(data)

    def truncate(self, size: int) -> None:
        if not self.stream:
            super().truncate(size)
            return
        if size > MAX_OFFSET:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        with self.lock:
            held: bytes | Handle | None = self.held()
            if isinstance(held, bytes):
                if size == len(held):
                    return
                fits = size <= MAX_STREAM
                held = self._replace(held, held[:size].ljust(size, b"\0") if fits else None)
        if isinstance(held, Handle):
            held.truncate(size)
        self.touch()

    def allocate(self, size: int) -> None:
        """Nothing can be reserved in an xattr; less than the stream has cuts it off there."""
        if not self.stream:
            super().allocate(size)
            return
        if size > MAX_OFFSET:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        if size < self.stat().size:
            self.truncate(size)
            return
        with self.lock:
            held: bytes | Handle | None = self.held()
            if size > MAX_STREAM and isinstance(held, bytes):
                held = self._replace(held, None)
        if isinstance(held, Handle):
            held.allocate(size)

    def sync(self) -> None:
        if not self.writable:
            return
        for stored in list(self._opened.values()):
            os.fsync(stored.fd)
        fd = os.open(proc_path(self.fd), os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def touch(self) -> None:
        """To write to a stream is to write to its file, on NTFS too."""
        self.set_times(write=self.root.attributes.now())

    def close(self) -> None:
        super().close()
        while self._opened:
            self._opened.popitem()[1].close()

    def _replace(self, before: bytes, value: bytes | None) -> Handle | None:
        """Store *value*; None is too long. The lock is held.

        Where it has no place *before* moves to the depot, and the caller goes on there.
        """
        samba = self.root.options.samba_streams
        if value is not None and may_be_kept(value):
            try:
                _store(self.item, self.stream, value, samba=samba)
                return None
            except OSError as failed:
                if failed.errno not in _NO_ROOM:
                    raise
        ticket, fd = self.root.depot.create(self.fd, before)
        try:
            _store(self.item, self.stream, ticket, samba=samba)
        except BaseException:
            os.close(fd)
            self.root.depot.discard([ticket], self.fd)
            raise
        return self._enter(ticket, fd)

    def _enter(self, ticket: bytes, fd: int) -> Handle:
        """Keep what was opened in the depot."""
        st = stat_from(os.fstat(fd), 0, None)
        made = Handle(
            self.root, fd, self.path, st,
            readable=True, writable=self.writable, path_only=False,
        )  # fmt: skip
        kept = self._opened.setdefault(ticket, made)
        if kept is not made:  # another thread was first
            made.close()
        return kept


def allocation(size: int) -> int:
    """What a stream of *size* bytes is said to take."""
    return -(-size // _BLOCK) * _BLOCK


def _check_permission(handle: Handle, *, read: bool, write: bool) -> None:
    """As open(2) would: an O_PATH descriptor has passed no check of its own."""
    mode = (os.R_OK if read else 0) | (os.W_OK if write else 0)
    if not os.access(handle.item, mode, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), handle.path)
