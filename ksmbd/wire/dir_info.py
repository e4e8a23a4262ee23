"""Directory listings: one layout per class, packed straight into the reply's buffer.

[MS-FSCC] 2.4. This is the hot path of listings: an
entry is one ``pack`` and two appends to the reply's buffer.
"""

from __future__ import annotations

import struct
from codecs import utf_16_le_encode
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from ksmbd.wire.access import ATTR_DIRECTORY, ATTR_NORMAL
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.posix import wire_mode
from ksmbd.wire.text import EPOCH_1970, filetime_from_ns


class EntryStat(Protocol):
    """What an entry tells of its file; times in ns since 1970."""

    @property
    def ino(self) -> int: ...
    @property
    def mode(self) -> int: ...
    @property
    def posix_mode(self) -> int: ...
    @property
    def nlink(self) -> int: ...
    @property
    def rdev(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def allocation(self) -> int: ...
    @property
    def birth(self) -> int: ...
    @property
    def access(self) -> int: ...
    @property
    def write(self) -> int: ...
    @property
    def change(self) -> int: ...
    @property
    def attributes(self) -> int: ...


Pack = Callable[..., bytes]  # of a Struct
Write = Callable[[Pack, tuple[int, ...], int, int, int, bytes], bytes]


class Layout(NamedTuple):
    """A class: its fixed part, and how the fields behind FileNameLength are written.

    ``write(fixed.pack, head, inode, ea_size, reparse_tag, short_name)``
    """

    fixed: struct.Struct
    write: Write


# NextEntryOffset, FileIndex, four times, EndOfFile, AllocationSize, attributes, FileNameLength
_HEAD: Final = "<IIQQQQQQII"


# NextEntryOffset, FileIndex, then as FilePosixInformation
_POSIX: Final = struct.Struct("<IIQQQQQQIQIIIII")


def _layout(codes: str, write: Write) -> Layout:
    return Layout(struct.Struct(_HEAD + codes), write)


def _needs_owner(
    pack: Pack, head: tuple[int, ...], ino: int, ea: int, tag: int, short: bytes
) -> bytes:
    raise TypeError("entries of class POSIX are added by add_posix")


# EaSize holds the reparse tag where a class has no field of its own for it.
LAYOUTS: Final[dict[int, Layout]] = {
    FileInfo.DIRECTORY: _layout("", lambda pack, head, ino, ea, tag, short: pack(*head)),
    FileInfo.FULL_DIRECTORY: _layout(
        "I", lambda pack, head, ino, ea, tag, short: pack(*head, tag or ea)
    ),
    FileInfo.BOTH_DIRECTORY: _layout(
        "IBx24s",
        lambda pack, head, ino, ea, tag, short: pack(*head, tag or ea, len(short), short),
    ),
    FileInfo.NAMES: Layout(
        struct.Struct("<III"),  # NextEntryOffset, FileIndex, FileNameLength
        lambda pack, head, ino, ea, tag, short: pack(head[0], 0, head[-1]),
    ),
    FileInfo.ID_BOTH_DIRECTORY: _layout(
        "IBx24s2xQ",
        lambda pack, head, ino, ea, tag, short: pack(*head, tag or ea, len(short), short, ino),
    ),
    FileInfo.ID_FULL_DIRECTORY: _layout(
        "I4xQ",
        lambda pack, head, ino, ea, tag, short: pack(*head, tag or ea, ino),
    ),
    FileInfo.ID_EXTD_DIRECTORY: _layout(
        "IIQ8x", lambda pack, head, ino, ea, tag, short: pack(*head, ea, tag, ino)
    ),
    FileInfo.ID_EXTD_BOTH_DIRECTORY: _layout(
        "IIQ8xBx24s",
        lambda pack, head, ino, ea, tag, short: pack(*head, ea, tag, ino, len(short), short),
    ),
    FileInfo.ID_64_EXTD_DIRECTORY: _layout(
        "IIQ", lambda pack, head, ino, ea, tag, short: pack(*head, ea, tag, ino)
    ),
    FileInfo.ID_64_EXTD_BOTH_DIRECTORY: _layout(
        "IIQBx24s",
        lambda pack, head, ino, ea, tag, short: pack(*head, ea, tag, ino, len(short), short),
    ),
    FileInfo.ID_ALL_EXTD_DIRECTORY: _layout(
        "IIQQ8x",
        lambda pack, head, ino, ea, tag, short: pack(*head, ea, tag, ino, ino),
    ),
    FileInfo.ID_ALL_EXTD_BOTH_DIRECTORY: _layout(
        "IIQQ8xBx24s",
        lambda pack, head, ino, ea, tag, short: pack(*head, ea, tag, ino, ino, len(short), short),
    ),
    FileInfo.POSIX: Layout(_POSIX, _needs_owner),
}

_AAPL: Final = struct.Struct(_HEAD + "IBx24sHQ")  # ID_BOTH_DIRECTORY as macOS reads it
_SHORT_NAME: Final = 24  # bytes; the field is full
_LENGTH: Final = struct.Struct("<I")
_PADDING: Final = tuple(bytes(n) for n in range(8))


class Listing:
    """The entries of one QUERY_DIRECTORY response, *limit* bytes at most.

    ``add`` until it answers that an entry does not fit, then take ``finish()``. Entries begin
    at multiples of 8 from the first; the last is not padded and its NextEntryOffset is 0.
    """

    __slots__ = ("_at", "_buf", "_end", "_limit", "_pack", "_size", "_start", "_write", "count")

    def __init__(self, info_class: int, limit: int, buffer: bytearray | None = None) -> None:
        """*info_class* is a key of LAYOUTS. The entries are appended to *buffer*."""
        fixed, self._write = LAYOUTS[info_class]
        self._pack, self._size = fixed.pack, fixed.size
        self._buf = bytearray() if buffer is None else buffer
        self._start = len(self._buf)
        self._limit = self._start + limit
        self._at = self._start  # of the last entry
        self._end = self._start  # of the last entry's name
        self.count = 0

    def add(
        self,
        name: str,
        st: EntryStat,
        ea_size: int = 0,
        reparse_tag: int = 0,
        short_name: bytes = b"",
    ) -> bool:
        """Append an entry; False, and nothing changed, if it does not fit.

        *short_name* is UTF-16LE, 24 bytes at most. Not for class POSIX.
        """
        raw = utf_16_le_encode(name)[0]
        gap = self._start - self._end & 7
        end = self._end + gap + self._size + len(raw)
        if end > self._limit:
            return False
        attributes = st.attributes or ATTR_NORMAL
        size, allocation = st.size, st.allocation
        if attributes & ATTR_DIRECTORY:
            size = allocation = 0
        head = (
            self._size + len(raw) + 7 & ~7,
            0,
            st.birth // 100 + EPOCH_1970,
            st.access // 100 + EPOCH_1970,
            st.write // 100 + EPOCH_1970,
            st.change // 100 + EPOCH_1970,
            size,
            allocation,
            attributes,
            len(raw),
        )
        try:
            fixed = self._write(self._pack, head, st.ino, ea_size, reparse_tag, short_name)
        except struct.error:  # a time before 1601 or far in the future
            head = (head[0], 0, *_times(st), *head[6:])
            fixed = self._write(self._pack, head, st.ino, ea_size, reparse_tag, short_name)
        buf = self._buf
        buf += _PADDING[gap]
        buf += fixed
        buf += raw
        self._at = self._end + gap
        self._end = end
        self.count += 1
        return True

    def add_aapl(
        self,
        name: str,
        st: EntryStat,
        *,
        number: int,
        max_access: int,
        resource_size: int,
        finder_info: bytes,
    ) -> bool:
        """As ``add``, for class ID_BOTH_DIRECTORY once AAPL READ_DIR_ATTR was negotiated.

        FileId is *number*, EaSize holds *max_access*, the short name the size of the resource
        fork and 16 bytes of *finder_info*, the reserved field the UNIX mode.
        """
        raw = utf_16_le_encode(name)[0]
        attributes = st.attributes or ATTR_NORMAL
        directory = attributes & ATTR_DIRECTORY
        fixed = _AAPL.pack(
            _AAPL.size + len(raw) + 7 & ~7,
            0,
            *_times(st),
            0 if directory else st.size,
            0 if directory else st.allocation,
            attributes,
            len(raw),
            max_access,
            _SHORT_NAME,
            resource_size.to_bytes(8, "little") + finder_info,
            st.mode & 0xFFFF,
            number,
        )
        return self._append(fixed + raw)

    def add_posix(
        self, name: str, st: EntryStat, *, owner: bytes, group: bytes, reparse_tag: int = 0
    ) -> bool:
        """As ``add``, for class POSIX; *owner* and *group* are binary SIDs."""
        text = utf_16_le_encode(name)[0]
        raw = owner + group + _LENGTH.pack(len(text)) + text
        fixed = _POSIX.pack(
            _POSIX.size + len(raw) + 7 & ~7,
            0,
            *_times(st),
            st.size,
            st.allocation,
            st.attributes or ATTR_NORMAL,
            st.ino,
            st.rdev & 0xFFFF_FFFF,
            0,
            st.nlink,
            reparse_tag,
            wire_mode(st.posix_mode),
        )
        return self._append(fixed + raw)

    def finish(self) -> memoryview:
        """The entries added so far; nothing can be added while the view lives."""
        if self.count:
            _LENGTH.pack_into(self._buf, self._at, 0)
        return memoryview(self._buf)[self._start :]

    def _append(self, entry: bytes) -> bool:
        gap = self._start - self._end & 7
        if self._end + gap + len(entry) > self._limit:
            return False
        self._buf += _PADDING[gap]
        self._buf += entry
        self._at = self._end + gap
        self._end = len(self._buf)
        self.count += 1
        return True


def fixed_size(info_class: int) -> int:
    """Bytes an entry takes at least; a smaller output buffer is INFO_LENGTH_MISMATCH.

    KeyError if *info_class* is no class of directory entries.
    """
    return LAYOUTS[info_class].fixed.size


def _times(st: EntryStat) -> tuple[int, int, int, int]:
    return (
        filetime_from_ns(st.birth),
        filetime_from_ns(st.access),
        filetime_from_ns(st.write),
        filetime_from_ns(st.change),
    )
