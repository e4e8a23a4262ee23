"""NDR 2.0 transfer syntax, little-endian, [C706] chapter 14 and [MS-RPCE] 2.2.4.

Alignment counts from the start of the stub.  The reader trusts nothing: every
count is compared with the bytes that are there before anything is allocated,
and whatever does not fit is a ``WireError``.

A *field table* is a tuple of (attribute, kind); a kind is the name of a scalar
method that reader and writer share, or a pointer with its referent deferred:
``unique_wstring``, ``unicode``, ``sid``, ``octets``, ``null``.  The same table
packs a reply from objects and unpacks a request into dictionaries.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from ksmbd.wire.base import Buffer, WireError
from ksmbd.wire.security import MAX_SUB_AUTHORITIES, Sid

T = TypeVar("T")
Fields = tuple[tuple[str, str], ...]

MAX_ROWS: Final = 20480  # structures in a row: SIDs to look up, [MS-LSAT] 2.2.18; nothing has more
REFERENT: Final = 0x00020000  # the first referent id we write; any non-zero value will do
POINTERS: Final = frozenset({"unique_wstring", "unicode", "sid", "octets", "null"})
_READERS: Final = {"sid": "sid", "octets": "octets"}  # kind -> method, else ``wstring``
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

    def align(self, size: int) -> None:
        """Skip to the next multiple of *size*."""
        self.raw(0, size)

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

    def octets(self) -> bytes:
        """Read a conformant array of bytes."""
        return self.raw(self.conformance())

    def unique(self, read: Callable[[], T]) -> T | None:
        """Read a top-level ``[unique]`` pointer, whose referent follows at once."""
        return read() if self.u32() else None

    def unicode(self) -> str:
        """Read a top-level RPC_UNICODE_STRING, [MS-DTYP] 2.3.10."""
        return self._referent("unicode", self._head("unicode")) or ""

    def sid(self) -> Sid:
        """Read an RPC_SID, [MS-DTYP] 2.4.2.3: the conformance repeats SubAuthorityCount."""
        count = self.u32()
        if count > MAX_SUB_AUTHORITIES:
            raise WireError(f"SID of {count} sub-authorities")
        sid = Sid.unpack(self.raw(8 + 4 * count))
        if len(sid) != 8 + 4 * count:
            raise WireError(f"SID says {sid[1]} sub-authorities and has {count}")
        return sid

    def struct(self, fields: Fields) -> dict[str, Any]:
        """Read one structure and then the referents of its pointers."""
        return self.structs(fields, 1)[0]

    def structs(self, fields: Fields, count: int) -> list[dict[str, Any]]:
        """Read *count* structures in a row, then the referents of all their pointers.

        Each takes many times its bytes here: hence MAX_ROWS.
        """
        if count > MAX_ROWS:
            raise WireError(f"{count} structures in a row")
        rows = [{name: self._head(kind) for name, kind in fields} for _ in range(count)]
        for row in rows:
            for name, kind in fields:
                if kind in POINTERS:
                    row[name] = self._referent(kind, row[name])
        return rows

    def array(self, fields: Fields) -> list[dict[str, Any]]:
        """Read a container: EntriesRead and a ``[size_is]`` pointer to that many structures."""
        entries = self.u32()
        return self.conformant(fields, entries) if self.u32() else []

    def conformant(self, fields: Fields, entries: int) -> list[dict[str, Any]]:
        """Read a conformant array that must have *entries* structures."""
        if self.conformance(each=4) != entries:
            raise WireError(f"array of {entries} has another conformance")
        return self.structs(fields, entries)

    def _head(self, kind: str) -> Any:
        """Read what a field has inside its structure: of a pointer, the referent id."""
        if kind == "unicode":
            self.align(4)
            length, maximum = self.u16(), self.u16()
            if length % 2 or length > maximum:
                raise WireError(f"string of {length} bytes in {maximum}")
            return (length, maximum, self.u32())
        return self.u32() if kind in POINTERS else getattr(self, kind)()

    def _referent(self, kind: str, head: Any) -> Any:
        if kind == "unicode":
            return self._units(*head)
        if not head:
            return None
        return getattr(self, _READERS.get(kind, "wstring"))()

    def _units(self, length: int, _maximum: int, referent: int) -> str | None:
        if not referent:
            if length:
                raise WireError(f"string of {length} bytes that points nowhere")
            return None
        units = self.varying()
        if len(units) != length:
            raise WireError(f"string of {length} bytes has {len(units)}")
        return units.decode("utf-16-le", "replace").rstrip("\0")


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

    def unicode(self, text: str | None) -> None:
        """Write an RPC_UNICODE_STRING; None and "" are the empty one, the latter with a referent.

        The length does not count a NUL, and none is sent, as Windows does it.
        """
        self.align(4)
        units = (text or "").encode("utf-16-le", "replace")[:0xFFFE]
        self.u16(len(units))
        self.u16(len(units))
        self.pointer(None if text is None else lambda: self._units(units))

    def _units(self, units: bytes) -> None:
        self.u32(len(units) // 2)
        self.u32(0)
        self.u32(len(units) // 2)
        self.raw(units)

    def sid(self, sid: Sid | None) -> None:
        """Write a pointer to an RPC_SID."""
        self.pointer(None if sid is None else lambda: self._sid(sid))

    def _sid(self, sid: Sid) -> None:
        self.u32(sid[1])
        self.raw(sid)

    def octets(self, data: bytes | None) -> None:
        """Write a pointer to a conformant array of bytes."""
        self.pointer(None if data is None else lambda: self._octets(data))

    def _octets(self, data: bytes) -> None:
        self.u32(len(data))
        self.raw(data)

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


def size_of(fields: Fields, value: object) -> int:
    """Bytes *value* takes in a caller's buffer: 4 a field, and its strings with NUL."""
    strings = (getattr(value, name) or "" for name, kind in fields if kind == "unique_wstring")
    return 4 * len(fields) + sum(2 * len(text) + 2 for text in strings)
