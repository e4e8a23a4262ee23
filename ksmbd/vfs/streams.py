"""Alternate data streams, kept in xattrs as ksmbd keeps them: user.DosStream.<name>:$DATA.

A value holds the stream's bytes and nothing else. How much fits is the file system's to say:
at most 64 KiB, 4 KiB or so on ext4; ENOSPC beyond.
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
    remove_value,
    set_value,
    stream_xattr,
)
from ksmbd.wire.access import ATTR_DIRECTORY
from ksmbd.wire.base import Buffer
from ksmbd.wire.text import upcase

MAX_STREAM: Final = 65536  # bytes, XATTR_SIZE_MAX
MAX_NAME: Final = 255 - len(STREAM_PREFIX) - len(STREAM_SUFFIX)  # bytes of UTF-8
_ILLEGAL: Final = frozenset("/\\:\0")
_BLOCK: Final = 512

# A write reads, changes and stores the whole value. These locks, picked by inode, keep two
# writers from losing each other's bytes; unlike all others they are held across system calls,
# and nothing else is ever taken inside.
_locks: Final = tuple(threading.Lock() for _ in range(64))


class StreamInfo(NamedTuple):
    """One stream of a file, not counting its unnamed one."""

    name: str
    size: int  # bytes


def split_stream(path: str) -> tuple[str, str]:
    """Divide ``file:stream:type`` into path and stream name, "" for the file itself.

    ``::$DATA`` and a directory's ``:$I30:$INDEX_ALLOCATION`` are the file itself.
    NameInvalid for other types, illegal characters, or a name too long for an xattr.
    """
    file, colon, rest = path.partition(":")
    if not colon:
        return path, ""
    stream, typed, kind = rest.partition(":")
    kind = upcase(kind)
    if kind == "$INDEX_ALLOCATION" and upcase(stream) in ("", "$I30"):
        return file, ""
    if (typed and kind != "$DATA") or _ILLEGAL & set(stream) or not (stream or typed):
        raise NameInvalid(path, "no stream name")
    if "/" in rest:
        raise NameInvalid(path, "a stream is no directory")
    if len(stream.encode("utf-8", "surrogatepass")) > MAX_NAME:
        raise NameInvalid(path, "stream name too long", errno.ENAMETOOLONG)
    return file, stream


def list_streams(item: Item) -> list[StreamInfo]:
    """The named streams of a file or directory."""
    found = []
    for name in names(item):
        if not (name.startswith(STREAM_PREFIX) and name.endswith(STREAM_SUFFIX)):
            continue
        try:
            size = len(get_value(item, name))
        except OSError as failed:
            if failed.errno not in ABSENT:
                raise
            continue
        found.append(StreamInfo(name[len(STREAM_PREFIX) : -len(STREAM_SUFFIX)], size))
    return found


def find_stream(item: Item, stream: str) -> str | None:
    """The stored spelling of a stream's name, found without regard to case."""
    wanted = upcase(stream_xattr(stream))
    for name in names(item):
        if name.startswith(STREAM_PREFIX) and upcase(name) == wanted:
            return name[len(STREAM_PREFIX) : -len(STREAM_SUFFIX)]
    return None


def open_stream(
    root: ShareRoot, entry: Entry, stream: str, *, read: bool, write: bool, create: bool
) -> StreamHandle:
    """Open a stream of an existing file; takes over the entry's descriptor.

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
            set_value(base.item, stream_xattr(stream), b"")
        elif stored is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), entry.path)
    except BaseException:
        base.close()
        raise
    handle = StreamHandle(
        root, base.fd, entry.path, st, readable=read, writable=write, path_only=True
    )
    handle.stream = stored or stream
    return handle


def rename_stream(handle: StreamHandle, stream: str, *, replace: bool) -> None:
    """Rename a stream within its file. FileExistsError if the name is taken, unless *replace*."""
    with handle.lock:
        stored = find_stream(handle.item, stream)
        if stored is not None and stored != handle.stream:
            if upcase(stored) != upcase(handle.stream) and not replace:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), stream)
            remove_value(handle.item, stream_xattr(stored))
        value = get_value(handle.item, stream_xattr(handle.stream))
        if stream != handle.stream:
            set_value(handle.item, stream_xattr(stream), value)
            remove_value(handle.item, stream_xattr(handle.stream))
        handle.stream = stream


class StreamHandle(Handle):
    """An open stream. Data are the stream's; times, attributes and EAs are the file's."""

    __slots__ = ()

    @property
    def lock(self) -> threading.Lock:
        """Held while the value is read, changed and stored."""
        return _locks[self.ino % len(_locks)]

    def stat(self) -> Stat:
        """The file's, with the stream's size; a stream of a directory is no directory."""
        found = super().stat()
        found.size = len(self._value())
        found.allocation = -(-found.size // _BLOCK) * _BLOCK
        found.is_directory = False
        found.attributes &= ~ATTR_DIRECTORY
        return found

    def readinto(self, buffer: memoryview, offset: int) -> int:
        if offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        part = self._value()[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def readinto_cached(self, buffer: memoryview, offset: int) -> int | None:
        return None  # nothing tells whether an xattr is in memory

    def write(self, data: Buffer, offset: int) -> int:
        """ENOSPC (DISK_FULL on the wire) where the stream would outgrow an xattr."""
        length = len(data)
        if offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if offset + length > MAX_STREAM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if not length:
            return 0
        with self.lock:
            value = bytearray(self._value())
            if len(value) < offset:
                value.extend(bytes(offset - len(value)))
            value[offset : offset + length] = data
            set_value(self.item, stream_xattr(self.stream), bytes(value))
        return length

    def truncate(self, size: int) -> None:
        if size > MAX_STREAM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with self.lock:
            value = self._value()[:size]
            set_value(self.item, stream_xattr(self.stream), value + bytes(size - len(value)))

    def allocate(self, size: int) -> None:
        """Nothing can be reserved in an xattr; less than the stream has cuts it off there."""
        if size > MAX_STREAM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if size < len(self._value()):
            self.truncate(size)

    def sync(self) -> None:
        if not self.writable:
            return
        fd = os.open(str(self.item), os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _value(self) -> bytes:
        """The whole stream. FileNotFoundError once it has been removed."""
        try:
            return get_value(self.item, stream_xattr(self.stream))
        except OSError as failed:
            if failed.errno != errno.ENODATA:
                raise
            raise FileNotFoundError(errno.ENOENT, "the stream is gone", self.stream) from None


def _check_permission(handle: Handle, *, read: bool, write: bool) -> None:
    """As open(2) would: an O_PATH descriptor has passed no check of its own."""
    mode = (os.R_OK if read else 0) | (os.W_OK if write else 0)
    if not os.access(handle.item, mode, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), handle.path)
