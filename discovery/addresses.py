"""The addresses of this machine, and when they change: rtnetlink(7)."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_RTM_NEWADDR: Final = 20
_RTM_GETADDR: Final = 22
_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_REQUEST_DUMP: Final = 0x1 | 0x300
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_IFA_FLAGS: Final = 8
_TENTATIVE: Final = 0x40 | 0x08  # not known to be unique yet, or known not to be
_GROUPS: Final = 0x1 | 0x10 | 0x100  # links, IPv4 and IPv6 addresses
_HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ADDRESS: Final = struct.Struct("=BBBBI")  # family, prefix, flags, scope, interface
_ATTRIBUTE: Final = struct.Struct("=HH")  # length, type
_ROOM: Final = 64 << 10


class Address(NamedTuple):
    """One address of one interface."""

    interface: str
    number: int  # of the interface
    ip: IP
    prefix: int  # bits of it that all on its link have

    @property
    def host(self) -> str:
        """As URLs have it."""
        return f"[{self.ip}]" if self.ip.version == 6 else str(self.ip)

    @property
    def link(self) -> Network:
        """The addresses that are reached without a router."""
        return ipaddress.ip_network((self.ip, self.prefix), strict=False)


def local_addresses() -> list[Address]:
    """Every address that can be used now.  Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC) as asking:
        asking.bind((0, 0))
        body = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        size = _HEADER.size + len(body)
        asking.send(_HEADER.pack(size, _RTM_GETADDR, _REQUEST_DUMP, 1, 0) + body)
        found: list[Address] = []
        while True:
            for kind, payload in _messages(asking.recv(_ROOM)):
                if kind == _NLMSG_DONE:
                    return found
                if kind == _NLMSG_ERROR:
                    code = -struct.unpack_from("=i", payload)[0]
                    raise OSError(code, os.strerror(code))
                address = _address(payload) if kind == _RTM_NEWADDR else None
                if address is not None:
                    found.append(address)


def watch() -> socket.socket:
    """A socket that can be read when an address or an interface has come or gone."""
    watching = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    )
    watching.bind((0, _GROUPS))
    return watching


def drain(watching: socket.socket) -> None:
    """Read all that was told; what it was does not matter, nor whether some of it was lost."""
    while True:
        try:
            watching.recv(_ROOM)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: more was told than we read
            continue


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            return
        yield kind, data[_HEADER.size : length]
        data = data[_aligned(length) :]


def _address(payload: bytes) -> Address | None:
    family, prefix, flags, _, index = _ADDRESS.unpack_from(payload)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    attributes = dict(_attributes(payload[_ADDRESS.size :]))
    if raw := attributes.get(_IFA_FLAGS):
        flags = int.from_bytes(raw[:4], sys.byteorder)
    raw = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS, b"")
    if flags & _TENTATIVE or len(raw) not in (4, 16):
        return None
    try:
        name = socket.if_indextoname(index)
    except OSError:  # gone meanwhile
        return None
    return Address(name, index, ipaddress.ip_address(raw), prefix)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= length <= len(data):
            return
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3
