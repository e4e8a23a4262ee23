"""The one walk over, and the one linking of, entries that begin with NextEntryOffset.

Extended attributes, create contexts, change notifications, streams, and network
interfaces are all written so, [MS-FSCC] 2.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ksmbd.wire.base import Buffer, WireError


def entries(buf: Buffer, *, fixed: int, align: int) -> Iterator[memoryview]:
    """Yield each entry of *buf* as a view of at least *fixed* bytes; the last ends with *buf*.

    WireError if an entry is short, or its NextEntryOffset is no multiple of *align*, leads
    into the entry itself, or leads past the end. An empty buffer has no entries.
    """
    view = memoryview(buf)
    if not len(view):
        return
    while True:
        if len(view) < fixed:
            raise WireError(f"entry of {len(view)} bytes, {fixed} needed")
        after = int.from_bytes(view[:4], "little")
        if not after:
            yield view
            return
        if after % align or after < fixed or after >= len(view):
            raise WireError(f"NextEntryOffset {after} of {len(view)} bytes")
        yield view[:after]
        view = view[after:]


def link(items: Iterable[bytes], *, align: int) -> bytes:
    """Join entries, whose first four bytes are free, padding all but the last to *align*."""
    out = bytearray()
    last = 0
    for item in items:
        if out:
            out += bytes(-len(out) % align)
            out[last : last + 4] = (len(out) - last).to_bytes(4, "little")
            last = len(out)
        out += bytes(4)
        out += item[4:]
    return bytes(out)


def link_within(items: Iterable[bytes], *, align: int, limit: int) -> tuple[bytes, int]:
    """Link the first items that fit into *limit* bytes, and say how many did."""
    fitting: list[bytes] = []
    size = 0
    for item in items:
        size += -size % align + len(item)
        if size > limit:
            break
        fitting.append(item)
    return link(fitting, align=align), len(fitting)
