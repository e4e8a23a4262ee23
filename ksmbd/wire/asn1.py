"""The strict DER subset that SPNEGO is made of, X.690 10.1.

Single-byte tags, definite minimal lengths, every length within its parent, everything read
or refused.  Values are read on demand, so that no input can make the reader recurse.
"""

from __future__ import annotations

from typing import Final

from ksmbd.wire.base import Buffer, WireError

ENUMERATED: Final = 0x0A
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
GENERAL_STRING: Final = 0x1B
SEQUENCE: Final = 0x30
APPLICATION_0: Final = 0x60

MAX_DEPTH: Final = 16
_MAX_LENGTH_BYTES: Final = 4


def context(number: int) -> int:
    """The tag of a constructed, context-specific ``[number]`` field."""
    return 0xA0 | number


class Reader:
    """Reads the values that lie side by side in one buffer."""

    __slots__ = ("_at", "_buf", "_depth")

    def __init__(self, buf: Buffer, depth: int = 0) -> None:
        if depth > MAX_DEPTH:
            raise WireError("DER nested too deep")
        self._buf = memoryview(buf)
        self._at = 0
        self._depth = depth

    def more(self) -> bool:
        """Whether anything is left to read."""
        return self._at < len(self._buf)

    def any(self) -> tuple[int, memoryview]:
        """The tag and the contents of the next value. WireError if it is not well formed."""
        tag, at = self._byte(self._at), self._at + 1
        if tag & 0x1F == 0x1F:
            raise WireError("DER tag of several bytes")
        length, at = self._length(at)
        end = at + length
        if end > len(self._buf):
            raise WireError(f"DER length {length} beyond its parent")
        self._at = end
        return tag, self._buf[at:end]

    def value(self, tag: int) -> memoryview:
        """The contents of the next value. WireError unless its tag is *tag*."""
        found, contents = self.any()
        if found != tag:
            raise WireError(f"DER tag {found:#x} where {tag:#x} is expected")
        return contents

    def inside(self, tag: int) -> Reader:
        """A reader of the contents of the next value, which must have *tag*."""
        return Reader(self.value(tag), self._depth + 1)

    def fields(self) -> dict[int, Reader]:
        """The context-specific fields up to the end by number. WireError if one comes twice."""
        found: dict[int, Reader] = {}
        while self.more():
            tag, contents = self.any()
            number = tag & 0x1F
            if tag != context(number) or number in found:
                raise WireError(f"DER field {tag:#x}")
            found[number] = Reader(contents, self._depth + 1)
        return found

    def only(self, tag: int) -> memoryview:
        """The contents of the one value there is. WireError if it has another tag or company."""
        contents = self.value(tag)
        self.end()
        return contents

    def rest(self) -> memoryview:
        """What has not been read, undecoded."""
        return self._buf[self._at :]

    def end(self) -> None:
        """WireError if anything is left."""
        if self.more():
            raise WireError(f"{len(self._buf) - self._at} bytes after the DER value")

    def _byte(self, at: int) -> int:
        try:
            return self._buf[at]
        except IndexError:
            raise WireError("DER value cut short") from None

    def _length(self, at: int) -> tuple[int, int]:
        first = self._byte(at)
        if first < 0x80:
            return first, at + 1
        count = first & 0x7F
        if not 1 <= count <= _MAX_LENGTH_BYTES:
            raise WireError("DER length indefinite or too long")
        end = at + 1 + count
        length = int.from_bytes(self._buf[at + 1 : end], "big")
        if end > len(self._buf) or length < 0x80 or length >> 8 * (count - 1) == 0:
            raise WireError("DER length cut short or not minimal")
        return length, end


def der(tag: int, *contents: Buffer) -> bytes:
    """One value with *tag* around *contents* laid end to end."""
    body = b"".join(contents)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def oid(dotted: str) -> bytes:
    """The contents of an OBJECT IDENTIFIER, without tag and length."""
    first, second, *others = map(int, dotted.split("."))
    out = bytearray()
    for arc in (first * 40 + second, *others):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | arc & 0x7F)
        out += bytes(reversed(septets))
    return bytes(out)


def dotted(contents: Buffer) -> str:
    """The text of an OBJECT IDENTIFIER's contents. WireError if they are not well formed."""
    arcs: list[int] = []
    arc = 0
    fresh = True
    for octet in bytes(contents):
        if fresh and octet == 0x80:
            raise WireError("OBJECT IDENTIFIER with a padded arc")
        arc = arc << 7 | octet & 0x7F
        fresh = octet < 0x80
        if fresh:
            arcs.append(arc)
            arc = 0
    if not fresh or not arcs:
        raise WireError("OBJECT IDENTIFIER cut short")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))
