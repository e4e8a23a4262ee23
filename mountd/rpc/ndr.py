"""NDR 2.0 transfer syntax, little-endian, [C706] chapter 14 and [MS-RPCE] 2.2.4.

Alignment counts from the start of the stub.  The reader trusts nothing: every
count is compared with the bytes that are there before anything is allocated,
and whatever does not fit is a ``WireError``.

A *field table* is a tuple of (attribute, kind); a kind is the name of a scalar
method that reader and writer share, or ``unique_wstring``.  The same table
packs a reply from objects and unpacks a request into dictionaries.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from ksmbd.wire.base import Buffer, WireError

T = TypeVar("T")
Fields = tuple[tuple[str, str], ...]

REFERENT: Final = 0x00020000  # the first referent id we write; any non-zero value will do
_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")


class NdrReader:
    """Take values off a request's stub, front to back."""

    __slots__ = ("_buf", "_pos")

    def __init__(self, stub: Buffer) -> None:
        self._buf = memoryview(stub)
        self._pos = 0

    @property
    def remaining(self) -> int:
        return len(self._buf) - self._pos

    def raw(self, count: int, align: int = 1) -> bytes:
        """Take *count* bytes at the next multiple of *align*."""
        start = -(-self._pos // align) * align
        end = start + count
        if end > len(self._buf):
            raise WireError(f"{count} bytes at {start} leave the stub of {len(self._buf)}")
        self._pos = end
        return bytes(self._buf[start:end])

    def u8(self) -> int:
        return self.raw(1)[0]

    def u16(self) -> int:
        return int(_U16.unpack(self.raw(2, 2))[0])

    def u32(self) -> int:
        return int(_U32.unpack(self.raw(4, 4))[0])

    def u64(self) -> int:
        return int(_U64.unpack(self.raw(8, 8))[0])

    def conformance(self, at_least: int = 0, each: int = 1) -> int:
        """Read an array's maximum count; elements of *each* bytes or more must still follow."""
        count = self.u32()
        if count < at_least:
            raise WireError(f"array of {count} where {at_least} are announced")
        if count * each > self.remaining:
            raise WireError(f"array of {count} leaves the stub")
        return count

    def varying(self) -> bytes:
        """Read a conformant varying array of 16-bit units: maximum, offset, actual, units."""
        maximum, offset, actual = self.u32(), self.u32(), self.u32()
        if offset or actual > maximum:
            raise WireError(f"varying array {offset}+{actual} of {maximum}")
        return self.raw(2 * actual)

    def wstring(self) -> str:
        """Read a ``[string] wchar_t *``, which must end with NUL; cut at the first one."""
        units = self.varying()
        if units[-2:] != b"\0\0":
            raise WireError("unterminated string")
        return units.decode("utf-16-le", "replace").partition("\0")[0]

    def unique(self, read: Callable[[], T]) -> T | None:
        """Read a top-level ``[unique]`` pointer, whose referent follows at once."""
        return read() if self.u32() else None

    def struct(self, fields: Fields) -> dict[str, Any]:
        """Read one structure and then the referents of its pointers."""
        return self.structs(fields, 1)[0]

    def structs(self, fields: Fields, count: int) -> list[dict[str, Any]]:
        """Read *count* structures in a row, then the referents of all their pointers."""
        rows = []
        for _ in range(count):
            row = {name: self.u32() if pointer(kind) else self._read(kind) for name, kind in fields}
            rows.append(row)
        for row in rows:
            for name, kind in fields:
                if pointer(kind):
                    row[name] = self.wstring() if row[name] else None
        return rows

    def array(self, fields: Fields) -> list[dict[str, Any]]:
        """Read a container: EntriesRead and a ``[size_is]`` pointer to that many structures."""
        entries = self.u32()
        if not self.u32():
            return []
        if self.conformance(each=4) != entries:
            raise WireError(f"container of {entries} has another array")
        return self.structs(fields, entries)

    def _read(self, kind: str) -> Any:
        return getattr(self, kind)()


class NdrWriter:
    """Append values to a reply's stub.

    The referent of an embedded pointer is deferred until the structure around
    it is complete: :meth:`flush`, which the engine calls once more at the end.
    """

    __slots__ = ("_deferred", "_referent", "out")

    def __init__(self) -> None:
        self.out = bytearray()
        self._referent = REFERENT
        self._deferred: list[Callable[[], None]] = []

    def align(self, size: int) -> None:
        self.out += bytes(-len(self.out) % size)

    def raw(self, data: Buffer) -> None:
        self.out += data

    def u8(self, value: int) -> None:
        self.out.append(value)

    def u16(self, value: int) -> None:
        self.align(2)
        self.out += _U16.pack(value)

    def u32(self, value: int) -> None:
        self.align(4)
        self.out += _U32.pack(value)

    def u64(self, value: int) -> None:
        self.align(8)
        self.out += _U64.pack(value)

    def wstring(self, text: str) -> None:
        """Write a ``[string] wchar_t *``: maximum, offset, actual, UTF-16LE with NUL."""
        units = (text + "\0").encode("utf-16-le", "replace")
        self.u32(len(units) // 2)
        self.u32(0)
        self.u32(len(units) // 2)
        self.out += units

    def pointer(self, body: Callable[[], None] | None) -> None:
        """Write a pointer; its referent, unless null, follows at the next :meth:`flush`."""
        if body is None:
            self.u32(0)
            return
        self.u32(self._referent)
        self._referent += 4
        self._deferred.append(body)

    def unique_wstring(self, text: str | None) -> None:
        self.pointer(None if text is None else lambda: self.wstring(text))

    def unique_u32(self, value: int | None) -> None:
        self.pointer(None if value is None else lambda: self.u32(value))

    def null(self, _value: object = None) -> None:
        """Write a pointer to nothing, whatever the value."""
        self.u32(0)

    def flush(self) -> None:
        """Write the deferred referents in order, each followed by its own, [C706] 14.3.12.3."""
        bodies, self._deferred = self._deferred, []
        for body in bodies:
            body()
            self.flush()

    def struct(self, fields: Fields, value: object) -> None:
        for name, kind in fields:
            getattr(self, kind)(getattr(value, name))

    def rows(self, fields: Fields, rows: Sequence[object]) -> None:
        """Write a conformant array of structures; their referents come after the last."""
        self.u32(len(rows))
        for row in rows:
            self.struct(fields, row)

    def array(self, fields: Fields, rows: Sequence[object]) -> None:
        """Write a container: EntriesRead and a pointer to that many structures."""
        self.u32(len(rows))
        self.pointer(lambda: self.rows(fields, rows))


def pointer(kind: str) -> bool:
    """Tell whether a field of this *kind* is a pointer with a deferred referent."""
    return kind in ("unique_wstring", "null")


def size_of(fields: Fields, value: object) -> int:
    """Bytes *value* takes in a caller's buffer: 4 a field, and its strings with NUL."""
    strings = (getattr(value, name) or "" for name, kind in fields if kind == "unique_wstring")
    return 4 * len(fields) + sum(2 * len(text) + 2 for text in strings)
