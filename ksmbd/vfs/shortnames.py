"""8.3 names: made from the long name whenever somebody asks, stored nowhere.

[MS-FSCC] 2.1.5.2.1.  A name that is short already is its own.  Any other gets two characters of
its own, four of a hash, a tilde and one more of the hash, and its extension: ``LO4K2P~7.TXT``.
Who asks for the short name of a file gets it, and can open the file by it.  Listings tell it, and
find files by it, on shares with `mangled names = yes`; on others they leave the field empty, as
Windows does with 8.3 names off.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from typing import Final

from ksmbd.wire.text import upcase

_LEGAL: Final = r"A-Z0-9$%'_@`!(){}^#&\-"
_SHORT: Final = re.compile(rf"[{_LEGAL}~]{{1,8}}(?:\.[{_LEGAL}~]{{1,3}})?")
_MADE: Final = re.compile(rf"[{_LEGAL}]{{2}}[A-Z0-9]{{4}}~[A-Z0-9](?:\.[{_LEGAL}]{{1,3}})?")
_ILLEGAL: Final = re.compile(rf"[^{_LEGAL}]")
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_HASH: Final = 5  # digits


def short_name(name: str) -> str:
    """The 8.3 name of a file called *name*; the same every time."""
    folded = upcase(name)
    if _SHORT.fullmatch(folded):
        return folded
    base, _, extension = folded.rpartition(".") if "." in folded.strip(".") else (folded, "", "")
    prefix = (_ILLEGAL.sub("", base) + "__")[:2]
    number = zlib.crc32(folded.encode("utf-8", "surrogatepass"))
    digits = ""
    for _ in range(_HASH):
        number, digit = divmod(number, len(_DIGITS))
        digits += _DIGITS[digit]
    suffix = _ILLEGAL.sub("", extension)[:3]
    return f"{prefix}{digits[:4]}~{digits[4]}" + (f".{suffix}" if suffix else "")


def told(name: str) -> str:
    """The 8.3 name beside *name* in a listing; empty for a name that is short itself."""
    if name in (".", ".."):
        return ""
    made = short_name(name)
    return "" if made == upcase(name) else made


def may_be_made(name: str) -> bool:
    """Whether *name* has the shape of a made 8.3 name, so that looking for its file is worth it."""
    return _MADE.fullmatch(upcase(name)) is not None


class MadeNames:
    """The files of a directory by their made 8.3 names.

    Making them takes half a second for 100,000 names: once, and not at each look for one.
    """

    __slots__ = ("_names", "_twice")

    def __init__(self, names: Iterable[str]) -> None:
        self._names: dict[str, str] = {}  # made -> long; of several the first
        self._twice: set[str] = set()  # made names of several files
        for name in names:
            self.add(name)

    def find(self, made: str) -> str | None:
        """The file whose made name that is, in whatever case."""
        return self._names.get(upcase(made))

    def add(self, name: str) -> None:
        made = told(name)
        if made and self._names.setdefault(made, name) != name:
            self._twice.add(made)

    def remove(self, name: str) -> bool:
        """False if it is not known which file has its made name now: begin anew."""
        made = told(name)
        if made in self._twice:
            return False
        self._names.pop(made, None)
        return True
