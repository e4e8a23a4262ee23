"""Text that says what it is, so that a log line's entry in the journal has it as a field.

Whoever makes the text marks it, once; everywhere else it is a ``str`` like others.  A line gives
its entry the fields of the arguments that are marked::

    log.info("%s: dropped: %s", peer, why)          # SMB_CLIENT=192.0.2.7
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final


class Marked(str):
    """The text of one journal field."""

    __slots__ = ()
    FIELD: ClassVar[str]


class Client(Marked):
    """A client's address, without the port."""

    __slots__ = ()
    FIELD = "SMB_CLIENT"


class Account(Marked):
    """An account, as it is kept or, if there is none, as somebody tried it."""

    __slots__ = ()
    FIELD = "SMB_USER"


class ShareName(Marked):
    """A share."""

    __slots__ = ()
    FIELD = "SMB_SHARE"


MARKS: Final = (Client, Account, ShareName)


def fields_of(arguments: Iterable[object]) -> dict[str, str]:
    """The journal fields of what is marked among *arguments*; of several alike the first."""
    found: dict[str, str] = {}
    for value in arguments:
        if isinstance(value, Marked):
            found.setdefault(value.FIELD, value)
    return found


def entry(fields: Mapping[str, str]) -> bytes:
    """One entry in the journal's own protocol: a line ``NAME=value`` for each field.

    A value with a newline is announced by its length, 64 bits little-endian.
    """
    parts = []
    for name, value in fields.items():
        data = value.encode("utf-8", "backslashreplace")
        if b"\n" in data:
            parts.append(b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data))
        else:
            parts.append(b"%s=%s\n" % (name.encode(), data))
    return b"".join(parts)
