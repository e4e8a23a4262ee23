"""Alternate data streams, kept in xattrs: user.DosStream.<name>:$DATA.

Two layouts, of which a share has one, for a value does not tell.  ksmbd's: the value is the
stream's bytes and nothing else.  Samba's (``RootOptions.samba_streams``): a byte follows which
counts the further attributes user.DosStreamExt.<number>.<name>:$DATA that the stream goes on in;
they are read, but what is written must fit into the first, as it must for Samba by default.

How much fits is the file system's to say: at most 64 KiB, 4 KiB or so on ext4; ENOSPC beyond.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import Final, NamedTuple

from ksmbd.vfs.entry import Entry
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.pattern import NameInvalid
from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.stat import Stat
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

MAX_STREAM: Final = 65536  # bytes, XATTR_SIZE_MAX
MAX_NAME: Final = 255 - len(STREAM_PREFIX) - len(STREAM_SUFFIX)  # bytes of UTF-8
DATA: Final = "$DATA"
INDEX: Final = "$INDEX_ALLOCATION"
_ILLEGAL: Final = frozenset("/\\:\0")
_BLOCK: Final = 512

# A write reads, changes and stores the whole value. These locks, picked by inode, keep two
# writers from losing each other's bytes; unlike all others they are held across system calls,
# and nothing else is ever taken inside.
_locks: Final = tuple(threading.Lock() for _ in range(64))


class StreamName(NamedTuple):
    """``file:stream:type``, taken apart."""

    path: str
    stream: str  # "" is the file's own data, or a directory's own list
    kind: str  # DATA, INDEX, or "" if the name has no colon


class StreamInfo(NamedTuple):
    """One stream of a file, not counting its unnamed one."""

    name: str
    size: int  # bytes


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
    if (typed and kind != DATA) or _ILLEGAL & set(stream) or not (stream or typed):
        raise NameInvalid(path, "no stream name")
    if len(stream.encode("utf-8", "surrogatepass")) > MAX_NAME:
        raise NameInvalid(path, "stream name too long", errno.ENAMETOOLONG)
    return StreamName(file, stream, DATA)


# -- what lies on the disk ---------------------------------------------------------------


def list_streams(item: Item, *, samba: bool = False) -> list[StreamInfo]:
    """The named streams of a file or directory."""
    found = []
    for name in names(item):
        if not (name.startswith(STREAM_PREFIX) and name.endswith(STREAM_SUFFIX)):
            continue
        stream = name[len(STREAM_PREFIX) : -len(STREAM_SUFFIX)]
        try:
            size = len(_load(item, stream, samba=samba))
        except OSError as failed:
            if failed.errno not in ABSENT:
                raise
            continue
        found.append(StreamInfo(stream, size))
    return found


def find_stream(item: Item, stream: str) -> str | None:
    """The stored spelling of a stream's name, found without regard to case."""
    wanted = upcase(stream_xattr(stream))
    for name in names(item):
        if name.startswith(STREAM_PREFIX) and upcase(name) == wanted:
            return name[len(STREAM_PREFIX) : -len(STREAM_SUFFIX)]
    return None


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
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    set_value(item, stream_xattr(stream), value + b"\0")
    remove_extents(item, stream)


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
        stored = find_stream(base.item, stream)
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
    handle.is_directory = False
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
    samba = handle.root.options.samba_streams
    with handle.lock:
        stored = find_stream(handle.item, stream)
        if stored is not None and stored != handle.stream:
            if upcase(stored) != upcase(handle.stream) and not replace:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), stream)
            if upcase(stored) != upcase(handle.stream):
                remove_stream(handle.item, stored)
        value = _load(handle.item, handle.stream, samba=samba)
        if stream != handle.stream:
            _store(handle.item, stream, value, samba=samba)
            remove_stream(handle.item, handle.stream)
        handle.stream = stream


def rename_to_file(handle: StreamHandle) -> None:
    """Make a stream the file's own data, which it had none of; the handle is the file's then."""
    with handle.lock:
        value = handle.value()
        fd = os.open(proc_path(handle.fd), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            Handle(
                handle.root, fd, "", handle.stat(), readable=True, writable=True, path_only=False
            ).write(value, 0)
            remove_stream(handle.item, handle.stream)
            os.dup2(fd, handle.fd, inheritable=False)  # other threads use its number
        finally:
            os.close(fd)
        handle.path_only = False
        handle.stream = ""


class StreamHandle(Handle):
    """An open stream. Data are the stream's; times, attributes and EAs are the file's.

    Only after :func:`rename_to_file` ``stream`` is "", and the data are the file's too.
    """

    __slots__ = ()

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

    def stat(self) -> Stat:
        """The file's, with the stream's size; a stream of a directory is no directory."""
        found = super().stat()
        if not self.stream:
            return found
        found.size = len(self.value())
        found.allocation = allocation(found.size)
        found.is_directory = False
        found.attributes &= ~ATTR_DIRECTORY
        return found

    def readinto(self, buffer: memoryview, offset: int) -> int:
        if not self.stream:
            return super().readinto(buffer, offset)
        if offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        part = self.value()[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    @property
    def tells_cached(self) -> bool:
        return False

    def readinto_cached(self, buffer: memoryview, offset: int) -> int | None:
        return None  # nothing tells whether an xattr is in memory

    def write(self, data: Buffer, offset: int) -> int:
        """ENOSPC (DISK_FULL on the wire) where the stream would outgrow an xattr."""
        if not self.stream:
            return super().write(data, offset)
        length = len(data)
        if offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if offset + length > MAX_STREAM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if not length:
            return 0
        with self.lock:
            value = bytearray(self.value())
            if len(value) < offset:
                value.extend(bytes(offset - len(value)))
            value[offset : offset + length] = data
            self._replace(bytes(value))
        return length

    def append(self, data: Buffer) -> int:
        return self.write(data, self.stat().size) if self.stream else super().append(data)

    def truncate(self, size: int) -> None:
        if not self.stream:
            super().truncate(size)
            return
        if size > MAX_STREAM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with self.lock:
            value = self.value()
            if size != len(value):
                self._replace(value[:size] + bytes(max(size - len(value), 0)))

    def allocate(self, size: int) -> None:
        """Nothing can be reserved in an xattr; less than the stream has cuts it off there."""
        if not self.stream:
            super().allocate(size)
            return
        if size > MAX_STREAM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if size < len(self.value()):
            self.truncate(size)

    def sync(self) -> None:
        if not self.writable:
            return
        fd = os.open(proc_path(self.fd), os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def value(self) -> bytes:
        """The whole stream. FileNotFoundError once it has been removed."""
        try:
            return _load(self.item, self.stream, samba=self.root.options.samba_streams)
        except OSError as failed:
            if failed.errno != errno.ENODATA:
                raise
            raise FileNotFoundError(errno.ENOENT, "the stream is gone", self.stream) from None

    def _replace(self, value: bytes) -> None:
        """Store the whole stream; that is a write to the file, on NTFS too."""
        _store(self.item, self.stream, value, samba=self.root.options.samba_streams)
        self.set_times(write=self.root.attributes.now())


def allocation(size: int) -> int:
    """What a stream of *size* bytes is said to take."""
    return -(-size // _BLOCK) * _BLOCK


def _check_permission(handle: Handle, *, read: bool, write: bool) -> None:
    """As open(2) would: an O_PATH descriptor has passed no check of its own."""
    mode = (os.R_OK if read else 0) | (os.W_OK if write else 0)
    if not os.access(handle.item, mode, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), handle.path)
