"""The command sequence window and the granting of credits, [MS-SMB2] 3.3.1.1 and 3.3.1.2.

Pure: no lock of its own; the Connection's lock guards it.

    0 ............ low ........................ high
      all consumed     granted; some consumed        not granted yet
"""

from __future__ import annotations

from typing import Final

MAX_CREDITS: Final = 8192
MOST_GRANTED: Final = 0xFFFF  # in one reply


class CreditWindow:
    """The message ids a client may use now."""

    __slots__ = ("_consumed", "high", "low", "maximum")

    def __init__(self, maximum: int = MAX_CREDITS) -> None:
        self.low = 0  # the lowest id that has not been consumed
        self.high = 1  # one above the highest id granted: NEGOTIATE has id 0
        self.maximum = maximum
        self._consumed: set[int] = set()  # ids above low, used out of order

    @property
    def available(self) -> int:
        """How many ids the client holds and has not used."""
        return self.high - self.low - len(self._consumed)

    def consume(self, message_id: int, charge: int) -> bool:
        """Use *charge* ids from *message_id* on; False if any is used up or not granted."""
        last = message_id + charge
        if message_id < self.low or last > self.high:
            return False
        consumed = self._consumed
        if message_id == self.low and not consumed:  # in order, as almost always
            self.low = last
            return True
        wanted = range(message_id, last)
        if consumed and not consumed.isdisjoint(wanted):
            return False
        consumed.update(wanted)
        low = self.low
        while low in consumed:
            consumed.remove(low)
            low += 1
        self.low = low
        return True

    def grant(self, requested: int) -> int:
        """Widen the window by what was asked for, within the maximum; returns the credits given.

        A client that asks for nothing and holds nothing gets one, so that it never starves.
        A client that skips an id holds the window down until it uses that id.
        """
        possible = self.maximum - (self.high - self.low)
        granted = requested if requested or self.available else 1
        if granted > possible:
            granted = possible if possible > 0 else 0
        if granted > MOST_GRANTED:
            granted = MOST_GRANTED
        self.high += granted
        return granted
