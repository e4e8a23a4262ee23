"""Watching requests from outside: counting them, and what else wants to see each of them.

As long as nobody watches, readers call ``ksmbd.server.dispatch`` and nothing here is reached.
Otherwise a connection's reader is given an ``Observing`` in its place: it notes when a frame came,
hangs an ``Observation`` on its work, and hands both on.  What happens to the work after that it is
told by dispatch, which looks at ``work.observed`` once for each answer.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final

from ksmbd.server import dispatch
from ksmbd.server.counters import OPERATIONS, READ, WRITTEN, Counters, Counts
from ksmbd.server.reader import Dispatch
from ksmbd.state.connection import Connection
from ksmbd.state.work import Reply, Work
from ksmbd.wire.read import ReadResponse
from ksmbd.wire.write import WriteResponse

PLAIN: Final[Dispatch] = dispatch  # for connections that nobody watches


class Observer:
    """Who watches; each attribute is one look, replaced as a whole."""

    def __init__(self) -> None:
        self.counts: Counts | None = None
        self._observing = Observing(self)

    def dispatch_for(self, connection: Connection) -> Dispatch:
        """What the reader of *connection* is to call."""
        return self._observing if self.counts is not None else PLAIN


class Observing:
    """``ksmbd.server.reader.Dispatch`` with an eye on each work."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.is_direct = dispatch.is_direct

    def receive(self, connection: Connection, frame: memoryview, /) -> Work | None:
        arrived = perf_counter_ns()
        work = dispatch.receive(connection, frame)
        if work is not None:
            work.observed = Observation(self._observer, arrived)
        return work

    def run(self, work: Work, /) -> None:
        dispatch.run(work)


class Observation:
    """One frame's way through the server; ``ksmbd.state.transport.Observed``.

    Times are ns of the monotonic clock.  Like its work it belongs to one thread at a time.
    """

    __slots__ = ("_mark", "_observer", "arrived")

    def __init__(self, observer: Observer, arrived: int) -> None:
        self._observer = observer
        self.arrived = arrived
        self._mark = arrived  # when the command before this one had its answer

    def answered(self, work: Work, reply: Reply) -> None:
        now = perf_counter_ns()
        counts = self._observer.counts
        if counts is not None:
            count(counts.mine, work, reply, now - self._mark)
        self._mark = now

    def parks(self) -> None:
        """What it waits for counts as part of its time."""

    def stays(self) -> None:
        """Nothing was begun."""

    def go_on(self, work: Work, run: Callable[..., None], *args: Any) -> None:
        run(*args)


def count(mine: Counters, work: Work, reply: Reply, ns: int) -> None:
    """A command has taken so long, from its arrival or from the answer to the one before it."""
    command = work.header.command
    mine.request(command, ns, reply.status)
    tree = work.tree
    if tree is None:
        return
    numbers = mine.share(tree.share.name)
    numbers[OPERATIONS] += 1
    body = reply.body
    if type(body) is ReadResponse:
        numbers[READ] += body.data_length
    elif type(body) is WriteResponse:
        numbers[WRITTEN] += body.count
