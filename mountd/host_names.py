"""Names of hosts, for ``hosts allow`` and ``hosts deny``: asked of the resolver, and remembered.

A name counts only if it leads back to the address: whoever serves the reverse zone of an address
may call it anything.
"""

from __future__ import annotations

import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

TTL_S: Final = 60.0
MAX_ENTRIES: Final = 1024


def resolve(name: str) -> frozenset[str]:
    """The addresses of *name*; none if it has none, or nobody can say."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(str(entry[4][0]).partition("%")[0] for entry in found)


def reverse(address: str) -> str:
    """The name of *address*, or an empty text."""
    try:
        return socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]
    except (OSError, UnicodeError):
        return ""


class HostNames:
    """The resolver's answers of the last minute; for any thread, which may wait for the network."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        resolve: Callable[[str], frozenset[str]] = resolve,
        reverse: Callable[[str], str] = reverse,
    ) -> None:
        """*clock* gives seconds that never go back."""
        self._clock = clock
        self._resolve = resolve
        self._reverse = reverse
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[float, frozenset[str]]] = OrderedDict()  # by _lock

    def has(self, name: str, address: str) -> bool:
        """Whether *address* is one of *name*'s."""
        return address in self._remembered(name, lambda: self._resolve(name))

    def of(self, address: str) -> str:
        """The name of *address* that leads back to it, in lower case; empty if there is none."""
        found = self._remembered(f"of {address}", lambda: frozenset((self._reverse(address),)))
        name = next(iter(found)).rstrip(".").lower()
        return name if name and self.has(name, address) else ""

    def _remembered(self, key: str, ask: Callable[[], frozenset[str]]) -> frozenset[str]:
        now = self._clock()
        with self._lock:
            known = self._answers.get(key)
        if known is not None and now - known[0] < TTL_S:
            return known[1]
        answer = ask()
        with self._lock:
            self._answers[key] = now, answer
            self._answers.move_to_end(key)
            while len(self._answers) > MAX_ENTRIES:
                self._answers.popitem(last=False)
        return answer
