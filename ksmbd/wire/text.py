"""Names and times as SMB2 writes them: UTF-16LE and FILETIME."""

from __future__ import annotations

from codecs import utf_16_le_encode
from typing import Final

from ksmbd.wire.base import Buffer, WireError

EPOCH_1970: Final = 116_444_736_000_000_000  # FILETIME of 1970-01-01 UTC
MAX_FILETIME: Final = 0x7FFF_FFFF_FFFF_FFFF


def utf16(text: str) -> bytes:
    """UTF-16LE without a terminator. *text* holds no lone surrogate."""
    return utf_16_le_encode(text)[0]  # a fifth of the time of str.encode


def from_utf16(buf: Buffer) -> str:
    """Decode UTF-16LE. WireError if the length is odd or a surrogate stands alone."""
    try:
        return str(buf, "utf-16-le")
    except UnicodeDecodeError as bad:
        raise WireError(f"no UTF-16: {bad.reason}") from None


def printable(text: str) -> str:
    """*text* with escapes for what does not print: names come from clients, and nothing in them may
    end a line or steer a terminal.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_utf8(name: str) -> bool:
    """Whether a name from the file system can be sent to a client at all."""
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def filetime_from_ns(ns: int) -> int:
    """FILETIME of *ns* since 1970, rounded down; before 1601 is 0, far future the largest."""
    ticks = ns // 100 + EPOCH_1970
    return ticks if 0 <= ticks <= MAX_FILETIME else 0 if ticks < 0 else MAX_FILETIME


def ns_from_filetime(ft: int) -> int:
    """Nanoseconds since 1970 of a FILETIME; negative before 1970."""
    return (ft - EPOCH_1970) * 100


def upcase(text: str) -> str:
    """Upper-case each character on its own, for comparing names without case.

    As in Windows' table a character never becomes two, those outside the BMP stay as they
    are, and no other character becomes an ASCII letter.
    """
    return text.upper() if text.isascii() else text.translate(_UPPER)


class _Upper(dict[int, int]):
    """Code point -> upper-cased code point, filled as characters turn up."""

    def __missing__(self, code: int) -> int:
        upper = chr(code).upper()
        kept = code > 0xFFFF or len(upper) != 1 or (code > 0x7F and upper.isascii())
        self[code] = code if kept else ord(upper)
        return self[code]


_UPPER: Final = _Upper()
