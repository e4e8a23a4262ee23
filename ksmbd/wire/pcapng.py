"""Captures as Wireshark reads them: pcapng blocks, and the TCP/IP packets that frames go in.

Blocks are those of draft-ietf-opsawg-pcapng, little-endian.  The server never sees packets, only
the bytes of a TCP stream: ``Flow`` puts them into packets as they might have been, without a
handshake, with right lengths, numbers and checksums.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from ksmbd.wire.base import Buffer, WireError

SECTION: Final = 0x0A0D0D0A
INTERFACE: Final = 1
STATISTICS: Final = 5
PACKET: Final = 6

MAX_BLOCK: Final = 128 << 10  # bytes of one that we write or take
MAX_SEGMENT: Final = 60_000  # bytes of a frame in one packet: what IPv4 has room for, about
INBOUND: Final = 1  # epb_flags
OUTBOUND: Final = 2

_RAW_IP: Final = 101  # LINKTYPE_RAW: an IPv4 or IPv6 header comes first
_BYTE_ORDER: Final = 0x1A2B3C4D
_NANOSECONDS: Final = b"\x09"  # if_tsresol
_COMMENT, _END = 1, 0  # options of every block
_APPLICATION: Final = 4  # of a section
_NAME, _RESOLUTION = 2, 9  # of an interface
_FLAGS, _LOST = 2, 4  # of a packet
_RECEIVED, _DROPPED = 4, 5  # of statistics

_HEAD: Final = struct.Struct("<II")
_U32: Final = struct.Struct("<I")
_OPTION: Final = struct.Struct("<HH")
_SECTION: Final = struct.Struct("<IHHq")
_INTERFACE: Final = struct.Struct("<HHI")
_PACKET: Final = struct.Struct("<IIIII")
_TIME: Final = struct.Struct("<III")  # of statistics: interface, timestamp

_IPV4: Final = struct.Struct(">BBHHHBBH4s4s")
_IPV6: Final = struct.Struct(">IHBB16s16s")
_TCP: Final = struct.Struct(">HHIIBBHHH")
_PSEUDO: Final = struct.Struct(">HH")  # protocol, length of TCP
_TCP_PROTOCOL: Final = 6
_HOPS: Final = 64
_ACK_PUSH: Final = 0x18
_WINDOW: Final = 0xFFFF
_32_BITS: Final = 0xFFFF_FFFF


class Endpoint(NamedTuple):
    """One end of a TCP connection."""

    address: IPv4Address | IPv6Address
    port: int


class Statistics(NamedTuple):
    """Packets that are in a capture, and such as are not for want of room."""

    received: int
    dropped: int


def section(application: str, comment: str) -> bytes:
    """The block that a capture begins with."""
    options = _options((_APPLICATION, application.encode()), (_COMMENT, comment.encode()))
    return block(SECTION, _SECTION.pack(_BYTE_ORDER, 1, 0, -1) + options)


def interface(name: str) -> bytes:
    """Where packets are from; comes second."""
    options = _options((_NAME, name.encode()), (_RESOLUTION, _NANOSECONDS))
    return block(INTERFACE, _INTERFACE.pack(_RAW_IP, 0, 0) + options)


def packet(data: bytes, ns: int, direction: int, lost: int = 0) -> bytes:
    """One packet, *ns* since 1970; before it so many were *lost*."""
    options = [(_FLAGS, _U32.pack(direction))]
    if lost:
        options.append((_LOST, lost.to_bytes(8, "little")))
    head = _PACKET.pack(0, ns >> 32, ns & _32_BITS, len(data), len(data))
    return block(PACKET, head + _padded(data) + _options(*options))


def statistics(counted: Statistics, ns: int) -> bytes:
    """What a capture ends with."""
    options = _options(
        (_RECEIVED, counted.received.to_bytes(8, "little")),
        (_DROPPED, counted.dropped.to_bytes(8, "little")),
    )
    return block(STATISTICS, _TIME.pack(0, ns >> 32, ns & _32_BITS) + options)


def block(kind: int, body: bytes) -> bytes:
    size = _U32.pack(12 + len(body))
    return _U32.pack(kind) + size + body + size


def split(data: Buffer) -> tuple[list[bytes], int]:
    """The whole blocks at the start of *data*, and how many bytes they have together.

    WireError for what is no block of ours.
    """
    found, at = [], 0
    while len(data) - at >= _HEAD.size:
        _, size = _HEAD.unpack_from(data, at)
        if not 12 <= size <= MAX_BLOCK or size % 4:
            raise WireError(f"a block of {size} bytes")
        if len(data) - at < size:
            break
        found.append(bytes(data[at : at + size]))
        at += size
    return found, at


def kind_of(block: bytes) -> int:
    kind: int = _U32.unpack_from(block)[0]
    return kind


def statistics_of(block: bytes) -> Statistics:
    """What ``statistics`` was given.  WireError if it is another block."""
    if kind_of(block) != STATISTICS:
        raise WireError("no statistics")
    found = dict(_options_of(block[_HEAD.size + _TIME.size : -4]))
    received, dropped = (found.get(code, b"") for code in (_RECEIVED, _DROPPED))
    return Statistics(int.from_bytes(received, "little"), int.from_bytes(dropped, "little"))


def _options(*options: tuple[int, bytes]) -> bytes:
    parts = [_OPTION.pack(code, len(value)) + _padded(value) for code, value in options]
    return b"".join(parts) + _OPTION.pack(_END, 0)


def _options_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _OPTION.size <= len(data):
        code, size = _OPTION.unpack_from(data, at)
        if code == _END:
            return
        at += _OPTION.size
        yield code, data[at : at + size]
        at += -(-size // 4) * 4


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


class Flow:
    """One TCP connection, between a client and the server."""

    def __init__(self, client: Endpoint, server: Endpoint) -> None:
        """Both addresses are of one family."""
        self._ends = {INBOUND: (client, server), OUTBOUND: (server, client)}
        self._next = {INBOUND: 1, OUTBOUND: 1}  # sequence numbers

    def skip(self, direction: int, size: int) -> None:
        """So many bytes were sent that are in no packet."""
        self._next[direction] = (self._next[direction] + size) & _32_BITS

    def packets(self, direction: int, data: bytes) -> Iterator[bytes]:
        """The packets that carry *data*."""
        for at in range(0, len(data), MAX_SEGMENT):
            yield self._packet(direction, data[at : at + MAX_SEGMENT])

    def _packet(self, direction: int, data: bytes) -> bytes:
        source, target = self._ends[direction]
        sequence = self._next[direction]
        other = self._next[INBOUND + OUTBOUND - direction]
        self.skip(direction, len(data))
        addresses = source.address.packed + target.address.packed
        size = _TCP.size + len(data)
        head = _TCP.pack(
            source.port, target.port, sequence, other, _TCP.size // 4 << 4, _ACK_PUSH, _WINDOW, 0, 0
        )
        sum_ = checksum(addresses, _PSEUDO.pack(_TCP_PROTOCOL, size), head, data)
        return _ip(source, target, size) + head[:16] + sum_ + head[18:] + data


def _ip(source: Endpoint, target: Endpoint, size: int) -> bytes:
    """The header before so many bytes of TCP."""
    ends = source.address.packed, target.address.packed
    if source.address.version == 6:
        return _IPV6.pack(6 << 28, size, _TCP_PROTOCOL, _HOPS, *ends)
    head = _IPV4.pack(0x45, 0, _IPV4.size + size, 0, 0x4000, _HOPS, _TCP_PROTOCOL, 0, *ends)
    return head[:10] + checksum(head) + head[12:]


def checksum(*parts: bytes) -> bytes:
    """The internet checksum, RFC 1071; all parts but the last have an even length.

    Words are added in one's complement: what is left of the number they make together, divided
    by 0xFFFF.
    """
    total = sum(int.from_bytes(part + bytes(len(part) % 2), "big") % 0xFFFF for part in parts)
    return (-total % 0xFFFF).to_bytes(2, "big")
