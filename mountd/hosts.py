"""``hosts allow`` and ``hosts deny``: addresses, networks, ALL and EXCEPT, no host names."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PREFIX: Final = re.compile(r"(\d{1,3}\.){1,3}")
EXPECTED: Final = (
    "addresses, networks (10.0.0.0/8, 192.168., fe80::/10), ALL, EXCEPT; "
    "host names are not resolved, and here is"
)


class Hosts(NamedTuple):
    """A set of addresses: any of *networks*, without *exceptions*."""

    everyone: bool = False
    networks: tuple[Network, ...] = ()
    exceptions: Hosts | None = None

    def contains(self, address: Address) -> bool:
        if self.exceptions is not None and self.exceptions.contains(address):
            return False
        return self.everyone or any(address in network for network in self.networks)

    def __bool__(self) -> bool:
        return self.everyone or bool(self.networks)


NOBODY: Final = Hosts()


def parse(items: tuple[str, ...]) -> Hosts:
    """Read a list; raises ValueError with what was expected."""
    everyone = False
    networks: list[Network] = []
    for index, item in enumerate(items):
        if item.upper() == "EXCEPT":
            exceptions = parse(items[index + 1 :])
            if not index or not exceptions:
                raise ValueError(f"{EXPECTED} an EXCEPT with nothing on one side")
            return Hosts(everyone, tuple(networks), exceptions)
        if item.upper() == "ALL":
            everyone = True
        else:
            networks.append(_network(item))
    return Hosts(everyone, tuple(networks))


def allowed(peer: str, allow: Hosts, deny: Hosts) -> bool:
    """Whether *peer* (an address as text) may come in, by Samba's rules.

    The allow list wins over the deny list; with an allow list alone everybody else is denied; the
    loopback addresses are denied only if the deny list names them and the allow list does not.
    """
    if not allow and not deny:
        return True
    try:
        address = address_of(peer)
    except ValueError:
        return False
    if allow.contains(address):
        return True
    if deny.contains(address):
        return False
    return bool(deny) or address.is_loopback


def address_of(peer: str) -> Address:
    """The address without its zone; an IPv4 address inside an IPv6 one is IPv4."""
    address = ipaddress.ip_address(peer.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _network(item: str) -> Network:
    if _PREFIX.fullmatch(item):
        octets = item.rstrip(".").split(".")
        padded = ".".join((octets + ["0"] * 4)[:4])
        item = f"{padded}/{8 * len(octets)}"
    try:
        return ipaddress.ip_network(item, strict=False)
    except ValueError:
        raise ValueError(f"{EXPECTED} {item!r}") from None
