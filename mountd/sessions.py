"""Sessions and tree connects as ksmbd reports them, and their limits."""

from __future__ import annotations

import threading
from typing import NamedTuple

from ksmbd.wire.ipc import TreeStatus


class Tree(NamedTuple):
    """One tree connect."""

    session_id: int
    connect_id: int
    account: str
    share: str  # as in the configuration
    peer: str
    guest: bool
    since: float  # seconds since 1970


class Limits(NamedTuple):
    """How many there may be; 0 means any number."""

    sessions: int
    of_share: int


class Sessions:
    """Every tree connect, by session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trees: dict[int, dict[int, Tree]] = {}  # by _lock
        self._per_share: dict[str, int] = {}  # by _lock; folded name

    def session_room(self, session_id: int, limit: int) -> TreeStatus:
        """OK, or TOO_MANY_SESSIONS if a new session would be one more than *limit*."""
        with self._lock:
            return self._session_room(session_id, limit)

    def share_room(self, share: str, limit: int) -> TreeStatus:
        """OK, or TOO_MANY_CONNS if one more tree connect would be more than *limit*."""
        with self._lock:
            return self._share_room(share, limit)

    def add(self, tree: Tree, limits: Limits) -> TreeStatus:
        """Count *tree* if there is room: what another thread took since is looked at again.

        CONN_EXIST  the session has a tree connect of that id
        """
        folded = tree.share.casefold()
        with self._lock:
            status = self._session_room(tree.session_id, limits.sessions)
            status = status or self._share_room(folded, limits.of_share)
            if status:
                return status
            trees = self._trees.setdefault(tree.session_id, {})
            if tree.connect_id in trees:
                return TreeStatus.CONN_EXIST
            trees[tree.connect_id] = tree
            self._per_share[folded] = self._per_share.get(folded, 0) + 1
        return TreeStatus.OK

    def remove(self, session_id: int, connect_id: int) -> Tree | None:
        """Forget a tree connect, and the session with its last one."""
        with self._lock:
            trees = self._trees.get(session_id, {})
            tree = trees.pop(connect_id, None)
            if tree is None:
                return None
            if not trees:
                del self._trees[session_id]
            folded = tree.share.casefold()
            self._per_share[folded] -= 1
            if not self._per_share[folded]:
                del self._per_share[folded]
        return tree

    def clear(self) -> None:
        """A new ksmbd has no sessions."""
        with self._lock:
            self._trees.clear()
            self._per_share.clear()

    def trees(self) -> list[Tree]:
        with self._lock:
            return [tree for trees in self._trees.values() for tree in trees.values()]

    def count(self, share: str) -> int:
        """Tree connects of *share*."""
        with self._lock:
            return self._per_share.get(share.casefold(), 0)

    def __len__(self) -> int:
        with self._lock:
            return len(self._trees)

    def _session_room(self, session_id: int, limit: int) -> TreeStatus:
        full = limit and session_id not in self._trees and len(self._trees) >= limit
        return TreeStatus.TOO_MANY_SESSIONS if full else TreeStatus.OK

    def _share_room(self, share: str, limit: int) -> TreeStatus:
        full = limit and self._per_share.get(share.casefold(), 0) >= limit
        return TreeStatus.TOO_MANY_CONNS if full else TreeStatus.OK
