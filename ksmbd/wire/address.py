"""Clients' addresses as text."""

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
