"""What a client is told of our network interfaces, [MS-SMB2] 3.3.5.15.11.

Told are the addresses that we listen on and that ``interfaces``, if it is given, stands for.

RSS_CAPABLE is said of an interface whose driver has several receive queues, on a machine with
several processors: then several connections are served side by side, and only then do they gain
anything.  A word of ``interfaces`` may say it of others, and may name an address that this machine
has not: one that a router forwards to us.

Read anew each time, from sysfs, for addresses and links come and go.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from typing import Final

from ksmbd.server.interfaces import Address, local_addresses, matches
from ksmbd.wire.fsctl import RSS_CAPABLE, NetworkInterfaceInfo, pack_sockaddr
from ksmbd.wire.interface_word import InterfaceWord, parse

SYSFS: Final = Path("/sys/class/net")
UNKNOWN_SPEED: Final = 1_000_000_000  # bits a second: what Windows and Samba assume of a link
_FORWARDED: Final = 1 << 16  # IfIndex of the first address that is not of this machine
_SOCKADDR: Final = 128  # bytes of SockAddr_Storage
_ANY: Final = frozenset({"0.0.0.0", "::"})


class Network:
    """Answers for one server; called with the address of ours that the client has reached."""

    def __init__(
        self,
        words: Sequence[str],
        listening: Container[str],
        *,
        addresses: Callable[[], list[Address]] = local_addresses,
        sysfs: Path = SYSFS,
        processors: int | None = None,
    ) -> None:
        self._words = [parse(word) for word in words]
        self._listening = listening
        self._addresses = addresses
        self._sysfs = sysfs
        self._processors = processors or os.cpu_count() or 1

    def __call__(self, reached: str) -> list[NetworkInterfaceInfo]:
        """Each address with its interface.  Raises OSError if the system does not tell."""
        here = self._addresses()
        over_loopback = _ip(reached).is_loopback
        found = []
        for address in here:
            word = self._word_of(address)
            if word is None or not self._is_served(address, over_loopback):
                continue
            name = address.interface.partition(":")[0]  # without the label of an alias
            index = word.if_index or _index(name)
            if index:
                rss = word.rss or self._has_rss(name)
                found.append(_info(address.text, index, word.speed or self._speed(name), rss))
        return found + list(self._forwarded(here))

    def _word_of(self, address: Address) -> InterfaceWord | None:
        """The first that stands for it; None: the configuration leaves it out."""
        if not self._words:
            return InterfaceWord(address.interface)
        return next((word for word in self._words if matches(word.pattern, address)), None)

    def _is_served(self, address: Address, over_loopback: bool) -> bool:
        """Whether a client could reach us there.

        Link-local addresses mean nothing without the client's own scope, and the loopback's are
        the client's own unless it is on this machine.
        """
        ip = _ip(address.text)
        if not address.up or ip.is_link_local or (ip.is_loopback and not over_loopback):
            return False
        any_of_family = "::" if ip.version == 6 else "0.0.0.0"
        return any_of_family in self._listening or address.text in self._listening

    def _forwarded(self, here: list[Address]) -> Iterator[NetworkInterfaceInfo]:
        """Addresses with options that are not this machine's."""
        own = {address.text for address in here}
        for number, word in enumerate(self._words):
            if not word.has_options or word.pattern in own:
                continue
            try:
                ipaddress.ip_address(word.pattern)
            except ValueError:
                continue
            index = word.if_index or _FORWARDED + number
            yield _info(word.pattern, index, word.speed or UNKNOWN_SPEED, word.rss)

    def _speed(self, name: str) -> int:
        """Bits a second; sysfs has Mbit/s, and -1 or an error where it cannot say."""
        try:
            mbits = int((self._sysfs / name / "speed").read_text())
        except (OSError, ValueError):
            return UNKNOWN_SPEED
        return mbits * 1_000_000 if mbits > 0 else UNKNOWN_SPEED

    def _has_rss(self, name: str) -> bool:
        if self._processors < 2:
            return False
        return len(list((self._sysfs / name / "queues").glob("rx-*"))) > 1


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(text.partition("%")[0])


def _index(name: str) -> int:
    """IfIndex; 0 if the interface is gone."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def _info(address: str, index: int, speed: int, rss: bool) -> NetworkInterfaceInfo:
    return NetworkInterfaceInfo(
        if_index=index,
        capability=RSS_CAPABLE if rss else 0,
        link_speed=speed,
        sock_addr_storage=pack_sockaddr(address).ljust(_SOCKADDR, b"\0"),
    )
