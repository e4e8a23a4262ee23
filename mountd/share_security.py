"""ksmbdshares.db, the shares' own descriptors: one ``name:base64(descriptor)`` a line, sorted.

What Samba keeps in share_info.tdb: who may use a share at all, and how.  A share that is not in
it is everyone's, and the files' own descriptors decide.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
from collections.abc import Iterator
from typing import Final

from ksmbd.wire.base import WireError
from ksmbd.wire.security import SecurityDescriptor
from mountd import users
from mountd.conf import ConfError

NAME: Final = "ksmbdshares.db"
MODE: Final = 0o640

Descriptors = dict[str, bytes]  # folded name of a share -> self-relative descriptor


def beside(accounts: str) -> str:
    """Where the file is: with the accounts."""
    return os.path.join(os.path.dirname(os.path.abspath(accounts)), NAME)


def load(path: str) -> Descriptors:
    """Read the file; without one all shares are everyone's. Raises ConfError with the line."""
    found: Descriptors = {}
    for number, line in users.numbered_lines(path):
        try:
            # a share's name may have a colon in it, base64 has none
            name, _, encoded = line.decode().rpartition(":")
            descriptor = base64.b64decode(encoded, validate=True)
            SecurityDescriptor.unpack(descriptor)
        except (UnicodeDecodeError, binascii.Error, WireError) as error:
            raise ConfError(path, number, f"expected name:descriptor ({error})") from None
        if not name:
            raise ConfError(path, number, "expected name:descriptor")
        if name in found:  # which of them would count?
            raise ConfError(path, number, f"{name!r} is there twice")
        found[name] = descriptor
    return found


@contextlib.contextmanager
def editing(path: str, *, wait: bool = True) -> Iterator[Descriptors]:
    """The descriptors, to be changed inside ``with``; written at its end unless it raises.

    Raises ConfError, OSError; without *wait* BlockingIOError if somebody else edits.
    """
    with users.locked(path, wait=wait):
        descriptors = load(path)
        before = dict(descriptors)
        yield descriptors
        if descriptors != before:
            lines = (f"{name}:{base64.b64encode(d).decode()}\n" for name, d in descriptors.items())
            users.replace_file(path, "".join(sorted(lines)).encode(), MODE)


def forget(path: str, name: str, *, wait: bool = True) -> None:
    """A share is gone, and what it was let to do with it; statuses as ``editing``."""
    folded = name.casefold()
    if folded not in load(path):
        return
    with editing(path, wait=wait) as descriptors:
        descriptors.pop(folded, None)
