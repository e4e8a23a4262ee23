"""Addresses as text."""

from __future__ import annotations

import ipaddress


def host_of(address: str) -> str:
    """Who counts as one: an IPv4 address, or the /64 network that one IPv6 host owns.

    What is no address stands for itself.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(ip, ipaddress.IPv6Address) or ip.is_loopback:
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    if ip.is_link_local:
        return address
    return str(ipaddress.ip_network((ip.packed[:8] + bytes(8), 64)))


def split_port(endpoint: str) -> tuple[str, int]:
    """The address and port of ``127.0.0.1:9445`` or ``[::1]:9445``; ValueError for others."""
    address, colon, port = endpoint.rpartition(":")
    bracketed = address.startswith("[") and address.endswith("]")
    ip = ipaddress.ip_address(address[1:-1] if bracketed else address)
    if (
        not colon
        or bracketed != (ip.version == 6)
        or not (port.isascii() and port.isdecimal())
        or int(port) > 65535
    ):
        raise ValueError(f"{endpoint!r} is no address with a port")
    return str(ip), int(port)
