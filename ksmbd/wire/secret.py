"""Bytes that nobody should read by chance."""

from __future__ import annotations


class Secret(bytes):
    """A key or a password's hash: bytes, but no log line, traceback or debugger shows them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} secret bytes>"

    __str__ = __repr__
