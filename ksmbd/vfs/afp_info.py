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

from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.stat import Stat
from ksmbd.vfs.streams import StreamHandle, StreamInfo, remove_if_empty
from ksmbd.vfs.xattr import stream_xattr, value_in
from ksmbd.wire.base import Buffer
from ksmbd.wire.text import upcase

NAME: Final = "AFP_AfpInfo"
RESOURCE: Final = "AFP_Resource"
SIZE: Final = 60
FINDER_INFO: Final = slice(16, 48)
_FOLDED: Final = upcase(NAME)
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

    def value(self) -> bytes:
        stored = b""
        with contextlib.suppress(FileNotFoundError):  # another open of it was closed
            stored = super().value()
        return (stored + _FRESH[len(stored) :])[:SIZE]

    def readinto(self, buffer: memoryview, offset: int) -> int:
        """From the start; macOS reads at offsets of up to its size and means that."""
        if not self.stream:
            return super().readinto(buffer, offset)
        if not 0 <= offset <= SIZE:
            return 0
        part = self.value()[: len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def write(self, data: Buffer, offset: int) -> int:
        """All of it, or its first part; OSError EINVAL for what is none."""
        if not self.stream:
            return super().write(data, offset)
        given = bytes(data[:SIZE])
        if not given.startswith(_SIGNATURE) or (offset and len(given) < SIZE):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if len(given) > FINDER_INFO.start:
            with self.lock:
                whole = given + self.value()[len(given) :]
                self._replace(whole if any(whole[FINDER_INFO]) else b"")
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


def summary(directory: int, name: str, st: Stat, *, samba: bool = False) -> Summary:
    """Of a name in an open directory; of a symlink, its own, and it has none."""
    more = int(samba)  # bytes that Samba appends
    resource = max(len(value_in(directory, name, stream_xattr(RESOURCE))) - more, 0)
    info = value_in(directory, name, stream_xattr(NAME))
    if len(info) < SIZE:
        return Summary(resource, bytes(12) + _UNKNOWN_DATE)
    finder = info[FINDER_INFO]
    kind_and_creator = bytes(8) if st.is_directory else finder[:8]
    added = struct.pack(">I", (st.birth // 1_000_000_000 - _EPOCH_2000) & 0xFFFF_FFFF)
    return Summary(resource, kind_and_creator + finder[8:10] + finder[24:26] + added)


def kind(root: ShareRoot, stream: str) -> type[StreamHandle]:
    """What opens a stream of that name."""
    return AfpInfoHandle if root.options.apple and upcase(stream) == _FOLDED else StreamHandle


def is_blank(stream: StreamInfo) -> bool:
    """Whether it says nothing, and is not listed."""
    return not stream.size and upcase(stream.name) == _FOLDED
