"""AFP_AfpInfo: the stream in which Macs keep a file's Finder information, 60 bytes.

On the disk it is a stream like others, as Samba's fruit keeps it with ``fruit:metadata = stream``.
Open, it behaves as macOS' own server has it: it is read from its start and written as a whole,
whatever the offset; it has one size; and one that says nothing is not there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from typing import Final, NamedTuple

from ksmbd.vfs.depot import is_ticket
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.stat import Stat
from ksmbd.vfs.streams import StreamHandle, remove_if_empty
from ksmbd.vfs.xattr import stream_xattr, value_in
from ksmbd.wire.base import Buffer
from ksmbd.wire.text import upcase

NAME: Final = "AFP_AfpInfo"
RESOURCE: Final = "AFP_Resource"
SIZE: Final = 60
_FINDER: Final = 16  # bytes before the Finder information
_FINDER_END: Final = _FINDER + 32
_FOLDED: Final = upcase(NAME)
_FOLDED_RESOURCE: Final = upcase(RESOURCE)
_SIGNATURE: Final = b"AFP"
_NEVER: Final = 0x8000_0000  # a date: that of no backup
# signature, version, -, date of the last backup; then Finder information, ProDOS', -
_FRESH: Final = struct.pack(">4sIII44x", b"AFP\0", 0x0000_0100, 0, _NEVER)
_UNKNOWN_DATE: Final = struct.pack(">I", _NEVER)
_EPOCH_2000: Final = 946_684_800  # seconds since 1970; from which Macs count


class Summary(NamedTuple):
    """What a listing tells Macs of a file."""

    resource_size: int  # bytes of its resource fork
    finder_info: bytes  # 16: type, creator, flags, extended flags, when it was added


class AfpInfoHandle(StreamHandle):
    """An open AFP_AfpInfo.  What is stored is all of it, or nothing while it says nothing."""

    __slots__ = ()

    def _found(self) -> bytes | Handle:
        """What is stored; nothing once another open of it was closed."""
        try:
            return super().held()
        except FileNotFoundError:
            return b""

    def held(self) -> bytes:
        stored = self._found()
        if isinstance(stored, Handle):  # there was no room for it, or it is not ours
            room = bytearray(SIZE)
            size = stored.readinto(memoryview(room), 0)
            stored = bytes(room[:size])
        return (stored + _FRESH[len(stored) :])[:SIZE]

    def readinto(self, buffer: memoryview, offset: int) -> int:
        """From the start; macOS reads at offsets of up to its size and means that."""
        if not self.stream:
            return super().readinto(buffer, offset)
        if not 0 <= offset <= SIZE:
            return 0
        part = self.held()[: len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def write(self, data: Buffer, offset: int) -> int:
        """All of it, or its first part; OSError EINVAL for what is none."""
        if not self.stream:
            return super().write(data, offset)
        given = bytes(data[:SIZE])
        if not given.startswith(_SIGNATURE) or (offset and len(given) < SIZE):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if len(given) > _FINDER:
            with self.lock:
                whole = given + self.held()[len(given) :]
                value = whole if any(whole[_FINDER:_FINDER_END]) else b""
                stored = self._found()
                if isinstance(stored, bytes):
                    moved = self._replace(stored, value)
                    stored = moved if moved is not None else value
                if isinstance(stored, Handle):
                    stored.write(value, 0)
                    stored.truncate(len(value))
            self.touch()
        return len(data)

    def truncate(self, size: int) -> None:
        """Nothing happens; OSError EOVERFLOW beyond its size."""
        if not self.stream:
            super().truncate(size)
        elif size > SIZE:
            raise OSError(errno.EOVERFLOW, os.strerror(errno.EOVERFLOW))

    def close(self) -> None:
        """One that says nothing goes."""
        if self.fd >= 0 and self.stream and self.writable:
            with contextlib.suppress(OSError), self.lock:
                remove_if_empty(self)
        super().close()


class ResourceHandle(StreamHandle):
    """An open resource fork: Macs empty it to be rid of it, and write it anew."""

    __slots__ = ()

    def raw(self) -> bytes:
        try:
            return super().raw()
        except FileNotFoundError:  # another open of it was closed when it was empty
            return b""

    def close(self) -> None:
        if self.fd >= 0 and self.stream and self.writable:
            with contextlib.suppress(OSError), self.lock:
                remove_if_empty(self)
        super().close()


_KINDS: Final[dict[str, type[StreamHandle]]] = {
    _FOLDED: AfpInfoHandle,
    _FOLDED_RESOURCE: ResourceHandle,
}


def summary(root: ShareRoot, directory: int, name: str, st: Stat) -> Summary:
    """Of a name in an open directory; of a symlink, its own, and it has none."""
    more = int(root.options.samba_streams)  # bytes that Samba appends
    value = value_in(directory, name, stream_xattr(RESOURCE))
    value = value[: max(len(value) - more, 0)]
    resource = _stored_size(root, directory, name, value) if is_ticket(value) else len(value)
    info = value_in(directory, name, stream_xattr(NAME))
    if len(info) < SIZE:
        return Summary(resource, bytes(12) + _UNKNOWN_DATE)
    finder = info[_FINDER:_FINDER_END]
    kind_and_creator = bytes(8) if st.is_directory else finder[:8]
    added = struct.pack(">I", (st.birth // 1_000_000_000 - _EPOCH_2000) & 0xFFFF_FFFF)
    return Summary(resource, kind_and_creator + finder[8:10] + finder[24:26] + added)


def _stored_size(root: ShareRoot, directory: int, name: str, ticket: bytes) -> int:
    """Bytes of a resource fork that no xattr holds."""
    try:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            return root.depot.stat(ticket, fd).st_size
        finally:
            os.close(fd)
    except FileNotFoundError:
        return 0


def kind(root: ShareRoot, stream: str) -> type[StreamHandle]:
    """What opens a stream of that name."""
    return _KINDS.get(upcase(stream), StreamHandle) if root.options.apple else StreamHandle


def is_blank(stream: str, size: int, mac: int) -> bool:
    """Whether a stream says nothing, and is not shown: Finder information that is none.

    To a Mac, whose session has agreed on *mac* of AAPL, no stream that is empty says anything.
    """
    if upcase(stream) == _FOLDED:
        return size < SIZE
    return not size and bool(mac)


def outlives_deletion(handle: Handle) -> bool:
    """Whether the stream stays when it is deleted: a resource fork, which Macs empty instead."""
    return handle.root.options.apple and upcase(handle.stream) == _FOLDED_RESOURCE
