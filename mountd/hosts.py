"""``hosts allow`` and ``hosts deny``: addresses, networks, names, ALL, LOCAL and EXCEPT."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple, Protocol

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PREFIX: Final = re.compile(r"(\d{1,3}\.){1,3}")
# a host, or with a dot in front the hosts of a domain; what has no letter is a broken address
_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
_NAME: Final = re.compile(rf"(?=.*[a-z])\.?{_LABEL}(\.{_LABEL})*")
EXPECTED: Final = (
    "addresses, networks (10.0.0.0/8, 192.168., fe80::/10), names (host.example.org, "
    ".example.org), ALL, LOCAL, EXCEPT; here is"
)


class Names(Protocol):
    """Who knows what hosts are called: :class:`mountd.host_names.HostNames`, or a test."""

    def has(self, name: str, address: str) -> bool:
        """Whether *address* is one of *name*'s."""

    def of(self, address: str) -> str:
        """The name of *address*, or an empty text."""


class Hosts(NamedTuple):
    """A set of hosts: any of *networks* and *names*, without *exceptions*."""

    everyone: bool = False
    local: bool = False  # this machine, and hosts whose name has no dot
    networks: tuple[Network, ...] = ()
    names: tuple[str, ...] = ()  # lower case; ".example.org" is a domain
    exceptions: Hosts | None = None

    def contains(self, address: Address, names: Names) -> bool:
        """Addresses are looked at first: names may mean waiting for the network."""
        if self.exceptions is not None and self.exceptions.contains(address, names):
            return False
        if self.everyone or any(address in network for network in self.networks):
            return True
        if self.local and (address.is_loopback or "." not in (names.of(str(address)) or ".")):
            return True
        return any(_is_called(name, str(address), names) for name in self.names)

    def __bool__(self) -> bool:
        return self.everyone or self.local or bool(self.networks or self.names)


def _is_called(name: str, address: str, names: Names) -> bool:
    if name.startswith("."):
        return names.of(address).endswith(name)
    return names.has(name, address)


NOBODY: Final = Hosts()


def parse(items: tuple[str, ...]) -> Hosts:
    """Read a list; raises ValueError with what was expected."""
    words: set[str] = set()
    networks: list[Network] = []
    names: list[str] = []
    exceptions: Hosts | None = None
    for index, item in enumerate(items):
        if item.upper() == "EXCEPT":
            exceptions = parse(items[index + 1 :])
            if not index or not exceptions:
                raise ValueError(f"{EXPECTED} an EXCEPT with nothing on one side")
            break
        if item.upper() in ("ALL", "LOCAL"):
            words.add(item.upper())
        elif _NAME.fullmatch(item.lower()):
            names.append(item.lower())
        else:
            networks.append(_network(item))
    return Hosts("ALL" in words, "LOCAL" in words, tuple(networks), tuple(names), exceptions)


def allowed(peer: str, allow: Hosts, deny: Hosts, names: Names) -> bool:
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
    if allow.contains(address, names):
        return True
    if deny.contains(address, names):
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
