"""Information classes that are chains: extended attributes, streams, hard links.

[MS-FSCC] 2.4, and the driver kit for hard links.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from ksmbd.wire import chain
from ksmbd.wire.base import Buffer, Wire, WireError, u8, u16, u32, u64, wire
from ksmbd.wire.text import from_utf16, upcase, utf16

NEED_EA: Final = 0x80  # the file is not understood without the attribute


@wire()
class FileFullEaInformation(Wire):
    """[MS-FSCC] 2.4; the name, its NUL, and the value follow."""

    next_entry_offset: u32 = 0
    flags: u8 = 0
    ea_name_length: u8  # bytes, without the NUL
    ea_value_length: u16


@wire()
class FileGetEaInformation(Wire):
    """[MS-FSCC] 2.4; the name and its NUL follow."""

    next_entry_offset: u32 = 0
    ea_name_length: u8


def unpack_full_eas(buf: Buffer) -> list[tuple[str, bytes]]:
    """The (name, value) pairs of a chain; an empty value asks for deletion.

    WireError if a link is no multiple of 4 or leads out, a name is empty, lacks its NUL or
    holds one, or a value leaves its entry.
    """
    fixed = FileFullEaInformation.SIZE
    eas = []
    for entry in chain.entries(buf, fixed=fixed, align=4):
        head = FileFullEaInformation.unpack(entry)
        name = _ea_name(entry, fixed, head.ea_name_length)
        start = fixed + head.ea_name_length + 1
        end = start + head.ea_value_length
        if end > len(entry):
            raise WireError(f"EA value of {head.ea_value_length} bytes in {len(entry)}")
        eas.append((name, bytes(entry[start:end])))
    return eas


def flagged_eas(buf: Buffer) -> frozenset[str]:
    """The folded names of those of a valid chain that a file is not understood without.

    ValueError for a flag that is not NEED_EA.
    """
    fixed = FileFullEaInformation.SIZE
    flagged = set()
    for entry in chain.entries(buf, fixed=fixed, align=4):
        head = FileFullEaInformation.unpack(entry)
        if head.flags & ~NEED_EA:
            raise ValueError(f"flags {head.flags:#x} of an EA")
        if head.flags:
            flagged.add(upcase(_ea_name(entry, fixed, head.ea_name_length)))
    return frozenset(flagged)


def pack_full_eas(
    eas: Iterable[tuple[str, bytes]],
    limit: int = 1 << 32,
    needed: frozenset[str] = frozenset(),
) -> tuple[bytes, int]:
    """The chain of the first *eas* that fit into *limit* bytes, and how many did.

    Those of the folded names *needed* have the flag NEED_EA.
    """
    entries = (_full_ea(name, value, upcase(name) in needed) for name, value in eas)
    return chain.link_within(entries, align=4, limit=limit)


def _full_ea(name: str, value: bytes, needed: bool) -> bytes:
    raw = name.encode()
    head = FileFullEaInformation(
        flags=NEED_EA if needed else 0, ea_name_length=len(raw), ea_value_length=len(value)
    )
    return head.pack() + raw + b"\0" + value


def unpack_get_eas(buf: Buffer) -> list[str]:
    """The names asked for. WireError as for ``unpack_full_eas``."""
    fixed = FileGetEaInformation.SIZE
    return [
        _ea_name(entry, fixed, FileGetEaInformation.unpack(entry).ea_name_length)
        for entry in chain.entries(buf, fixed=fixed, align=4)
    ]


def pack_get_eas(names: Iterable[str]) -> bytes:
    """The chain that asks for *names*."""
    items = []
    for name in names:
        raw = name.encode()
        items.append(FileGetEaInformation(ea_name_length=len(raw)).pack() + raw + b"\0")
    return chain.link(items, align=4)


def _ea_name(entry: memoryview, start: int, length: int) -> str:
    end = start + length
    raw = bytes(entry[start : end + 1])
    if not length or len(raw) != length + 1 or raw.find(b"\0") != length:
        raise WireError(f"EA name {raw!r} of {length} bytes")
    try:
        return raw[:-1].decode()
    except UnicodeDecodeError:
        raise WireError(f"EA name {raw!r}") from None


@wire()
class FileStreamInformation(Wire):
    """[MS-FSCC] 2.4; the name follows."""

    next_entry_offset: u32 = 0
    stream_name_length: u32
    stream_size: u64
    stream_allocation_size: u64


class Stream(NamedTuple):
    """A data stream; *name* is ``::$DATA`` or ``:name:$DATA``."""

    name: str
    size: int
    allocation_size: int


def pack_streams(streams: Iterable[Stream], limit: int = 1 << 32) -> tuple[bytes, int]:
    """The chain of the first *streams* that fit into *limit* bytes, and how many did."""
    return chain.link_within(map(_stream, streams), align=8, limit=limit)


def _stream(stream: Stream) -> bytes:
    raw = utf16(stream.name)
    head = FileStreamInformation(
        stream_name_length=len(raw),
        stream_size=stream.size,
        stream_allocation_size=stream.allocation_size,
    )
    return head.pack() + raw


def unpack_streams(buf: Buffer) -> list[Stream]:
    """The streams of a chain. WireError if a link or a name leads out."""
    fixed = FileStreamInformation.SIZE
    streams = []
    for entry in chain.entries(buf, fixed=fixed, align=8):
        head = FileStreamInformation.unpack(entry)
        end = fixed + head.stream_name_length
        if end > len(entry):
            raise WireError(f"stream name of {head.stream_name_length} bytes in {len(entry)}")
        name = from_utf16(entry[fixed:end])
        streams.append(Stream(name, head.stream_size, head.stream_allocation_size))
    return streams


@wire()
class FileLinksInformation(Wire):
    """FILE_LINKS_INFORMATION (class 46); a chain of FILE_LINK_ENTRY_INFORMATION follows."""

    bytes_needed: u32
    entries_returned: u32


@wire()
class FileLinkEntryInformation(Wire):
    """FILE_LINK_ENTRY_INFORMATION; the name follows."""

    next_entry_offset: u32 = 0
    reserved: u32 = 0
    parent_file_id: u64
    file_name_length: u32  # characters, not bytes


def pack_links(links: Iterable[tuple[int, str]], limit: int = 1 << 32) -> tuple[bytes, int]:
    """FILE_LINKS_INFORMATION of (parent's file id, name), as many as fit into *limit* bytes.

    BytesNeeded always tells the size of all of them. *limit* is at least the fixed part.
    """
    items = [_link(*link) for link in links]
    needed = FileLinksInformation.SIZE + len(chain.link(items, align=8))
    body, count = chain.link_within(items, align=8, limit=limit - FileLinksInformation.SIZE)
    return FileLinksInformation(bytes_needed=needed, entries_returned=count).pack() + body, count


def _link(parent: int, name: str) -> bytes:
    raw = utf16(name)
    head = FileLinkEntryInformation(parent_file_id=parent, file_name_length=len(raw) // 2)
    return head.pack() + raw
