"""CREATE requests that may come a second time, [MS-SMB2] 3.3.5.9.10.

A client whose connection breaks before the answer is there sends its CREATE again, with the same
CreateGuid.  What became of the first one is found here, by the two GUIDs that a client makes up:

    nothing --CREATE--> under way --failed, cancelled--> nothing
                           | answered
                           v
                         its open --used by another command, closed--> nothing
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.state.open import Open
    from ksmbd.state.work import Work

Key = tuple[bytes, bytes]  # ClientGuid, CreateGuid


class Replays:
    """The CREATE requests of a server that can be replayed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[Key, Work] = {}  # by self._lock
        self._opens: dict[Key, Open] = {}  # by self._lock

    def __len__(self) -> int:
        return len(self._under_way) + len(self._opens)

    def begin(self, work: Work, key: Key) -> Open | None:
        """The open that this CREATE has made before; None: there is none, and now it is under way.

        A work that waited may begin again.

        FILE_NOT_AVAILABLE   the first one is still under way
        """
        with self._lock:
            if self._under_way.get(key, work) is not work:
                raise NtStatusError(NtStatus.FILE_NOT_AVAILABLE, "the same CREATE is under way")
            found = self._opens.get(key)
            if found is None:
                self._under_way[key] = work
            return found

    def end(self, work: Work, key: Key) -> None:
        """The CREATE of *work* is not under way any more."""
        with self._lock:
            if self._under_way.get(key) is work:
                del self._under_way[key]

    def keep(self, open: Open) -> None:
        """The CREATE that made *open* can be replayed from now on."""
        assert open.durable is not None
        with self._lock:
            self._opens[open.durable.client_guid, open.durable.create_guid] = open

    def find(self, key: Key) -> Open | None:
        return self._opens.get(key)

    def used(self, open: Open) -> None:
        """Another command names the open: its client has had the answer to the CREATE.

        A persistent open can still be found by its CreateGuid, for a reconnect.
        """
        durable = open.durable
        if durable is not None and durable.replayable:
            durable.replayable = False
            if not durable.persistent:
                self.forget(open)

    def forget(self, open: Open) -> None:
        """Nothing is to be found by its CreateGuid any more."""
        if open.durable is None:
            return
        key = open.durable.client_guid, open.durable.create_guid
        with self._lock:
            if self._opens.get(key) is open:
                del self._opens[key]
