"""The addresses of this machine, and which of them ``interfaces`` means."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from ksmbd.wire.interface_word import parse, stands_for


class Address(NamedTuple):
    """One address of this machine."""

    interface: str
    text: str  # link-local ones with %interface
    up: bool = True


class _SockAddr(ctypes.Structure):
    _fields_ = (("family", ctypes.c_ushort), ("data", ctypes.c_ubyte * 26))


class _IfAddrs(ctypes.Structure):
    pass


_IfAddrs._fields_ = [
    ("next", ctypes.POINTER(_IfAddrs)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("addr", ctypes.POINTER(_SockAddr)),
    ("netmask", ctypes.c_void_p),
    ("ifu", ctypes.c_void_p),
    ("data", ctypes.c_void_p),
]

_UP: Final = 0x1  # IFF_UP
_libc: Final = ctypes.CDLL(None, use_errno=True)
# where the address begins in sockaddr_in and sockaddr_in6, after the family, and its length
_LAYOUT: Final = {int(socket.AF_INET): (2, 4), int(socket.AF_INET6): (6, 16)}


def local_addresses() -> list[Address]:
    """Every IPv4 and IPv6 address of this machine, getifaddrs(3).  Raises OSError."""
    head = ctypes.POINTER(_IfAddrs)()
    if _libc.getifaddrs(ctypes.byref(head)):
        raise OSError(ctypes.get_errno(), "getifaddrs")
    found = []
    try:
        entry: Any = head
        while entry:
            address = _address(entry.contents)
            if address is not None:
                found.append(address)
            entry = entry.contents.next
    finally:
        _libc.freeifaddrs(head)
    return found


def _address(entry: Any) -> Address | None:
    layout = _LAYOUT.get(entry.addr.contents.family) if entry.addr else None
    if layout is None:
        return None
    start, length = layout
    raw = bytes(entry.addr.contents.data[start : start + length])
    ip = ipaddress.ip_address(raw)
    name = entry.name.decode(errors="replace")
    scope = f"%{name}" if ip.version == 6 and ip.is_link_local else ""
    return Address(name, f"{ip}{scope}", bool(entry.flags & _UP))


def choose(wanted: Iterable[str], addresses: Sequence[Address]) -> list[str]:
    """The addresses that names (with wildcards), addresses or networks stand for, in order.

    An address that this machine does not have (yet) stands for nothing.
    """
    chosen: dict[str, None] = {}
    for item in wanted:
        pattern = parse(item).pattern
        for address in addresses:
            if matches(pattern, address):
                chosen[address.text] = None
    return list(chosen)


def matches(item: str, address: Address) -> bool:
    """Whether *address* is one of what *item*, a name, an address or a network, stands for."""
    return stands_for(item, address.interface, ipaddress.ip_address(address.text.partition("%")[0]))
