"""Directory listings: one layout per class, packed straight into the reply's buffer.

[MS-FSCC] 2.4.10, 2.4.8, 2.4.17 to 2.4.25, 2.4.33. This is the hot path of listings: an
entry is one ``pack_into`` and one slice assignment.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

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


Tail = Callable[[int, int, int, bytes], tuple[Any, ...]]  # inode, EaSize, reparse tag, short name


class Layout(NamedTuple):
    """A class: the whole fixed part, and the fields that follow FileNameLength."""

    fixed: struct.Struct
    tail: Tail | None


# NextEntryOffset, FileIndex, four times, EndOfFile, AllocationSize, attributes, FileNameLength
_HEAD: Final = "<IIQQQQQQII"
_NAMES: Final = struct.Struct("<III")  # NextEntryOffset, FileIndex, FileNameLength
# as FilePosixInformation, behind NextEntryOffset and FileIndex
_POSIX: Final = struct.Struct("<IIQQQQQQIQIIIII")


def _layout(codes: str, tail: Tail) -> Layout:
    return Layout(struct.Struct(_HEAD + codes), tail)


# EaSize holds the reparse tag where a class has no field for it, [MS-FSCC] 2.4.8.
LAYOUTS: Final[dict[int, Layout]] = {
    FileInfo.DIRECTORY: _layout("", lambda ino, ea, tag, short: ()),
    FileInfo.FULL_DIRECTORY: _layout("I", lambda ino, ea, tag, short: (tag or ea,)),
    FileInfo.BOTH_DIRECTORY: _layout(
        "IBx24s", lambda ino, ea, tag, short: (tag or ea, len(short), short)
    ),
    FileInfo.NAMES: Layout(_NAMES, None),
    FileInfo.ID_BOTH_DIRECTORY: _layout(
        "IBx24s2xQ", lambda ino, ea, tag, short: (tag or ea, len(short), short, ino)
    ),
    FileInfo.ID_FULL_DIRECTORY: _layout("I4xQ", lambda ino, ea, tag, short: (tag or ea, ino)),
    FileInfo.ID_EXTD_DIRECTORY: _layout("IIQ8x", lambda ino, ea, tag, short: (ea, tag, ino)),
    FileInfo.ID_EXTD_BOTH_DIRECTORY: _layout(
        "IIQ8xBx24s", lambda ino, ea, tag, short: (ea, tag, ino, len(short), short)
    ),
    FileInfo.ID_64_EXTD_DIRECTORY: _layout("IIQ", lambda ino, ea, tag, short: (ea, tag, ino)),
    FileInfo.ID_64_EXTD_BOTH_DIRECTORY: _layout(
        "IIQBx24s", lambda ino, ea, tag, short: (ea, tag, ino, len(short), short)
    ),
    FileInfo.ID_ALL_EXTD_DIRECTORY: _layout(
        "IIQQ8x", lambda ino, ea, tag, short: (ea, tag, ino, ino)
    ),
    FileInfo.ID_ALL_EXTD_BOTH_DIRECTORY: _layout(
        "IIQQ8xBx24s", lambda ino, ea, tag, short: (ea, tag, ino, ino, len(short), short)
    ),
    FileInfo.POSIX: Layout(_POSIX, None),
}

_AAPL: Final = struct.Struct(_HEAD + "IBx24sHQ")  # ID_BOTH_DIRECTORY as macOS reads it
_LENGTH: Final = struct.Struct("<I")
_PADDING: Final = tuple(bytes(n) for n in range(8))


class Listing:
    """The entries of one QUERY_DIRECTORY response, in a buffer of at most *limit* bytes.

    ``add`` until it answers that an entry does not fit, then take ``finish()``. Entries begin
    at multiples of 8 from the first; the last is not padded and its NextEntryOffset is 0.
    """

    __slots__ = ("_at", "_buf", "_end", "_fixed", "_last", "_limit", "_start", "_tail", "count")

    def __init__(
        self, info_class: int, limit: int, buffer: bytearray | None = None, start: int = 0
    ) -> None:
        """*info_class* is a key of LAYOUTS.

        The entries go to ``buffer[start : start + limit]``, or to a new buffer. What the
        buffer held before never shows in the entries.
        """
        self._fixed, self._tail = LAYOUTS[info_class]
        self._buf = bytearray(start + limit) if buffer is None else buffer
        self._start = start
        self._limit = min(start + limit, len(self._buf))
        self._at = start  # where the next entry begins
        self._end = start  # where the last one ends
        self._last = start  # where the last one begins
        self.count = 0

    def add(
        self,
        name: str,
        st: EntryStat,
        *,
        ea_size: int = 0,
        reparse_tag: int = 0,
        short_name: bytes = b"",
    ) -> bool:
        """Append an entry; False, and nothing changed, if it does not fit.

        *short_name* is UTF-16LE, 24 bytes at most. Not for class POSIX.
        """
        raw = name.encode("utf-16-le")
        at = self._at
        end = at + self._fixed.size + len(raw)
        if end > self._limit:
            return False
        step = end - at + (at - end & 7)
        if self._tail is None:
            self._fixed.pack_into(self._buf, at, step, 0, len(raw))
        else:
            tail = self._tail(st.ino, ea_size, reparse_tag, short_name)
            self._pack(self._fixed, at, step, st, len(raw), tail)
        self._commit(at, step, end, raw)
        return True

    def add_aapl(
        self, name: str, st: EntryStat, *, max_access: int, resource_size: int, finder_info: bytes
    ) -> bool:
        """As ``add``, for class ID_BOTH_DIRECTORY once AAPL READ_DIR_ATTR was negotiated.

        EaSize holds *max_access*, the short name the size of the resource fork and 16 bytes
        of *finder_info*, the reserved field the UNIX mode.
        """
        raw = name.encode("utf-16-le")
        at = self._at
        end = at + _AAPL.size + len(raw)
        if end > self._limit:
            return False
        step = end - at + (at - end & 7)
        short = resource_size.to_bytes(8, "little") + finder_info
        tail = (max_access, 0, short, st.mode & 0xFFFF, st.ino)
        self._pack(_AAPL, at, step, st, len(raw), tail)
        self._commit(at, step, end, raw)
        return True

    def add_posix(
        self, name: str, st: EntryStat, *, owner: bytes, group: bytes, reparse_tag: int = 0
    ) -> bool:
        """As ``add``, for class POSIX; *owner* and *group* are binary SIDs."""
        text = name.encode("utf-16-le")
        raw = owner + group + _LENGTH.pack(len(text)) + text
        at = self._at
        end = at + _POSIX.size + len(raw)
        if end > self._limit:
            return False
        step = end - at + (at - end & 7)
        _POSIX.pack_into(
            self._buf,
            at,
            step,
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
            wire_mode(st.mode),
        )
        self._commit(at, step, end, raw)
        return True

    def finish(self) -> memoryview:
        """The entries added so far; valid as long as the buffer is not reused."""
        if self.count:
            _LENGTH.pack_into(self._buf, self._last, 0)
        return memoryview(self._buf)[self._start : self._end]

    def _pack(
        self,
        fixed: struct.Struct,
        at: int,
        step: int,
        st: EntryStat,
        name_length: int,
        tail: tuple[Any, ...],
    ) -> None:
        attributes = st.attributes or ATTR_NORMAL
        directory = attributes & ATTR_DIRECTORY
        size = 0 if directory else st.size
        allocation = 0 if directory else st.allocation
        try:
            fixed.pack_into(
                self._buf,
                at,
                step,
                0,
                st.birth // 100 + EPOCH_1970,
                st.access // 100 + EPOCH_1970,
                st.write // 100 + EPOCH_1970,
                st.change // 100 + EPOCH_1970,
                size,
                allocation,
                attributes,
                name_length,
                *tail,
            )
        except struct.error:  # a time before 1601 or far in the future
            rest = (size, allocation, attributes, name_length)
            fixed.pack_into(self._buf, at, step, 0, *_times(st), *rest, *tail)

    def _commit(self, at: int, step: int, end: int, raw: bytes) -> None:
        """Write the variable part, clear the gap before the entry, and move on."""
        buf = self._buf
        buf[end - len(raw) : end] = raw
        if at != self._end:
            buf[self._end : at] = _PADDING[at - self._end]
        self._last = at
        self._end = end
        self._at = at + step
        self.count += 1


def fixed_size(info_class: int) -> int:
    """Bytes an entry takes at least; a smaller output buffer is INFO_LENGTH_MISMATCH."""
    return LAYOUTS[info_class].fixed.size


def _times(st: EntryStat) -> tuple[int, int, int, int]:
    return (
        filetime_from_ns(st.birth),
        filetime_from_ns(st.access),
        filetime_from_ns(st.write),
        filetime_from_ns(st.change),
    )
