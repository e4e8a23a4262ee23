"""Guessing passwords is slow: by account and address, by address, and by account.

Three counts of wrong passwords run side by side, and the strictest decides:

    of an account from one address   ``max failed logons`` are free; then one more is looked at,
                                     after a second the next, after 2, 4, ... up to 60
    from an address, any accounts    5 times as many; then one a second
    of an account, from anywhere     10 times as many; then one a second

Each attempt takes the next moment that is free, so that many at once are no faster than one after
the other.  One whose moment is more than MAX_HOLD_S away is refused without a look at its
password, be it right or wrong.  Whoever logged on from an address lately is subject to the first
count alone: nobody else can lock him out there.  Counts are forgotten after ``failed logon
window`` without another failure, the first one with a right password, too.

Memory is bounded: each table keeps what was used last.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from ksmbd.wire.address import host_of

log = logging.getLogger("mountd")

MAX_HOLD_S: Final = 5.0  # as long as ksmbd lets a client wait
MAX_DELAY_S: Final = 60.0
ADDRESS_FACTOR: Final = 5
ACCOUNT_FACTOR: Final = 10
MAX_RECORDS: Final = 4096  # in each table
KNOWN_S: Final = 30 * 86400.0

K = TypeVar("K")
Pair = tuple[str, str]  # account, host


@dataclass(slots=True)
class _Record:
    count: int = 0
    last: float = 0.0  # when the count last grew
    next_at: float = 0.0  # when the next attempt may be looked at


class _Table(Generic[K]):
    """Counts by key; the caller holds the lock."""

    def __init__(self, factor: int, *, doubling: bool) -> None:
        self._factor = factor
        self._doubling = doubling
        self._records: OrderedDict[K, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def over(self, key: K, now: float, allowed: int, window: float) -> _Record | None:
        """The record of *key* if its free attempts are used up."""
        record = self._records.get(key)
        if record is None or record.count < allowed * self._factor:
            return None
        if now - record.last > window and now >= record.next_at:
            del self._records[key]
            return None
        return record

    def reserve(self, record: _Record, now: float, allowed: int) -> None:
        """Take the next free moment; the one after it comes later each time."""
        beyond = record.count - allowed * self._factor
        delay = min(2.0 ** min(beyond, 10), MAX_DELAY_S) if self._doubling else 1.0
        record.next_at = max(now, record.next_at) + delay
        record.last = now
        if self._doubling:
            record.count += 1

    def failed(self, key: K, now: float, allowed: int, window: float) -> bool:
        """Count a wrong password; True when it was the last free one.

        Beyond those an attempt was counted when it was admitted.
        """
        record = self._records.setdefault(key, _Record())
        self._records.move_to_end(key)
        while len(self._records) > MAX_RECORDS:
            self._records.popitem(last=False)
        if record.count and now - record.last > window:
            record.count = 0
        record.last = now
        if record.count >= allowed * self._factor:
            return False
        record.count += 1
        return record.count == allowed * self._factor

    def forget(self, key: K) -> None:
        self._records.pop(key, None)


class Throttle:
    """Says when a password may be looked at; for any thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """*clock* gives seconds that never go back."""
        self._clock = clock
        self._lock = threading.Lock()
        self._allowed = 10  # by _lock, as all that follows
        self._window = 300.0
        self._pairs = _Table[Pair](1, doubling=True)
        self._hosts = _Table[str](ADDRESS_FACTOR, doubling=False)
        self._accounts = _Table[str](ACCOUNT_FACTOR, doubling=False)
        self._known: OrderedDict[Pair, float] = OrderedDict()  # when they last logged on

    def configure(self, allowed: int, window_s: float) -> None:
        """*allowed* wrong passwords are free, 0: all; without another they count *window_s*."""
        with self._lock:
            self._allowed, self._window = allowed, window_s

    def admit(self, account: str, peer: str) -> float | None:
        """May a password for *account* be looked at?

        Returns for how many seconds to hold back the answer to a wrong one; None: not now.
        """
        pair = account.casefold(), host_of(peer)
        now = self._clock()
        with self._lock:
            if not self._allowed:
                return 0.0
            strict = [
                (table, record) for table, record in self._over(pair, now) if record is not None
            ]
            hold = max((record.next_at - now for _, record in strict), default=0.0)
            if hold > MAX_HOLD_S:
                return None
            for table, record in strict:
                table.reserve(record, now, self._allowed)
        return max(hold, 0.0)

    def failed(self, account: str, peer: str) -> None:
        """A password was wrong."""
        pair = folded, host = account.casefold(), host_of(peer)
        now = self._clock()
        with self._lock:
            if not self._allowed:
                return
            limits = now, self._allowed, self._window
            told = (
                (self._pairs.failed(pair, *limits), f"of {account!r} from {host}"),
                (self._hosts.failed(host, *limits), f"from {host}"),
                (self._accounts.failed(folded, *limits), f"of {account!r}"),
            )
        for reached, whose in told:
            if reached:
                log.warning("too many wrong passwords: log-ons %s are slowed down", whose)

    def succeeded(self, account: str, peer: str) -> None:
        """*account* has logged on from there."""
        pair = account.casefold(), host_of(peer)
        with self._lock:
            self._pairs.forget(pair)
            self._known[pair] = self._clock()
            self._known.move_to_end(pair)
            while len(self._known) > MAX_RECORDS:
                self._known.popitem(last=False)

    def sizes(self) -> tuple[int, int, int, int]:
        """Entries of each table, for tests of their bounds."""
        with self._lock:
            return len(self._pairs), len(self._hosts), len(self._accounts), len(self._known)

    def _over(self, pair: Pair, now: float) -> list[tuple[_Table[Any], _Record | None]]:
        account, host = pair
        limits = now, self._allowed, self._window
        found: list[tuple[_Table[Any], _Record | None]] = [
            (self._pairs, self._pairs.over(pair, *limits))
        ]
        if now - self._known.get(pair, -KNOWN_S) >= KNOWN_S:
            found.append((self._hosts, self._hosts.over(host, *limits)))
            found.append((self._accounts, self._accounts.over(account, *limits)))
        return found
