"""One word of the parameter ``interfaces``, which all daemons read.

NAME | ADDRESS | NETWORK [;OPTION[,OPTION]...]

speed=N          bits a second, instead of what the system says
capability=RSS   several connections at a time are worth while, whatever the system says
if_index=N       instead of the system's; addresses of one number are one interface
"""

from __future__ import annotations

import fnmatch
import ipaddress
from typing import Final, NamedTuple

MAX_SPEED: Final = 1 << 50  # bits a second, far beyond any
_MAX_INDEX: Final = 0xFFFF_FFFF
_MAX_DIGITS: Final = 20


class InterfaceWord(NamedTuple):
    """What one word says; 0 and False leave it to the system."""

    pattern: str  # a name, with wildcards; an address; a network
    speed: int = 0
    rss: bool = False
    if_index: int = 0

    @property
    def has_options(self) -> bool:
        return bool(self.speed or self.rss or self.if_index)


def stands_for(
    pattern: str, interface: str, ip: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> bool:
    """Whether a name with wildcards, an address or a network means *ip* on *interface*."""
    try:
        if "/" in pattern:
            return ip in ipaddress.ip_network(pattern, strict=False)
        return ip == ipaddress.ip_address(pattern.partition("%")[0])
    except ValueError:
        return fnmatch.fnmatchcase(interface, pattern)


def parse(word: str) -> InterfaceWord:
    """ValueError, with what was expected, for options there are not."""
    pattern, _, options = word.strip().partition(";")
    found = InterfaceWord(pattern.strip())
    for option in filter(None, options.split(",")):
        key, _, value = (part.strip().casefold() for part in option.partition("="))
        if key == "speed":
            found = found._replace(speed=_number(value, MAX_SPEED))
        elif key == "if_index":
            found = found._replace(if_index=_number(value, _MAX_INDEX))
        elif (key, value) == ("capability", "rss"):
            found = found._replace(rss=True)
        else:
            raise _expected()
    if not found.pattern:
        raise _expected()
    return found


def _number(text: str, limit: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise _expected()
    number = int(text)
    if not 1 <= number <= limit:
        raise _expected()
    return number


def _expected() -> ValueError:
    return ValueError('names, addresses, networks, each perhaps "NAME;speed=N,capability=RSS"')
