"""The tokens of offloaded copies, [MS-FSCC] 2.1.11: ranges of files as they are now.

    issued --file changed, open closed, session ended, time over, too many since--> invalid

A token is a promise about data, kept by looking whether the file is still what it was; whoever
finds it broken copies the data itself.  It is good for the session that it was issued to.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from ksmbd.vfs.stamps import lasting

if TYPE_CHECKING:
    from ksmbd.state.open import Open
    from ksmbd.state.session import Session
    from ksmbd.vfs.handle import Handle

MOST_TOKENS: Final = 1024  # of all clients; the oldest goes
DEFAULT_S: Final = 30.0  # what a client gets that asks for no time
LONGEST_S: Final = 300.0
ID_SIZE: Final = 32  # random bytes

Version = tuple[int, int, int]  # change time, write time, size


class Token(NamedTuple):
    """A range of an open file."""

    open: Open
    offset: int
    length: int
    version: Version
    expires: float


class OffloadTokens:
    """Those that are out."""

    def __init__(self, clock: Callable[[], float], random: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._random = random
        self._lock = threading.Lock()
        self._tokens: OrderedDict[bytes, Token] = OrderedDict()  # by self._lock

    def __len__(self) -> int:
        return len(self._tokens)

    def issue(self, open: Open, offset: int, length: int, lifetime_s: float) -> bytes | None:
        """The id of a new token; None while the file has changed so lately that a further
        change could not be told."""
        version = version_of(open.file)
        if version is None:
            return None
        now = self._clock()
        expires = now + min(lifetime_s or DEFAULT_S, LONGEST_S)
        token_id = self._random(ID_SIZE)
        with self._lock:
            self._drop_stale(now)
            self._tokens[token_id] = Token(open, offset, length, version, expires)
        return token_id

    def find(self, session: Session | None, token_id: bytes) -> Token | None:
        """The session's token of that id if it still is what was promised."""
        with self._lock:
            token = self._tokens.get(token_id)
        if token is None or token.open.session is not session or token.open.closed:
            return None
        return token if self._clock() < token.expires else None

    def forget(self, session: Session) -> None:
        """The session has ended: nothing of it stays here."""
        if not self._tokens:  # as good as always
            return
        with self._lock:
            for token_id in [i for i, t in self._tokens.items() if t.open.session is session]:
                del self._tokens[token_id]

    def _drop_stale(self, now: float) -> None:
        for token_id in [i for i, t in self._tokens.items() if t.open.closed or t.expires <= now]:
            del self._tokens[token_id]
        while len(self._tokens) >= MOST_TOKENS:
            self._tokens.popitem(last=False)


def version_of(handle: Handle) -> Version | None:
    """What changes with the data; None if the next change might look the same."""
    st = os.fstat(handle.fd)
    if not lasting(st, handle.root.clock()):
        return None
    return st.st_ctime_ns, st.st_mtime_ns, st.st_size
