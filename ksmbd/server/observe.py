"""Watching requests from outside: counting them, and what else wants to see each of them.

As long as nobody watches, readers call ``ksmbd.server.dispatch`` and nothing here is reached.
Otherwise a connection's reader is given an ``Observing`` in its place: it notes when a frame came,
hangs an ``Observation`` on its work, and hands both on.  What happens to the work after that it is
told by dispatch, which looks at ``work.observed`` once for each answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final

from ksmbd import debug
from ksmbd.server import dispatch
from ksmbd.server.auditing import Auditor
from ksmbd.server.counters import OPERATIONS, READ, WRITTEN, Counters, Counts
from ksmbd.server.naming import requested_name
from ksmbd.server.reader import Dispatch
from ksmbd.state.connection import Connection
from ksmbd.state.work import Reply, Work
from ksmbd.wire.create import CreateRequest
from ksmbd.wire.header import Command
from ksmbd.wire.read import ReadResponse
from ksmbd.wire.write import WriteResponse

log = logging.getLogger("ksmbd.smb")

# What these wait for is as their clients want it, or as who guesses passwords does not.
_WAITS_ON_PURPOSE: Final = frozenset((Command.CHANGE_NOTIFY, Command.LOCK, Command.SESSION_SETUP))
_MS: Final = 1_000_000  # ns

PLAIN: Final[Dispatch] = dispatch  # for connections that nobody watches


class Observer:
    """Who watches; each attribute is one look, replaced as a whole."""

    def __init__(self) -> None:
        self.counts: Counts | None = None
        self.auditor: Auditor | None = None
        self.slow_ns = 0  # requests that take as long are logged; 0: none
        self.traced: frozenset[str] = frozenset()  # clients whose debug lines are wanted
        self._observing = Observing(self)
        self._tracing = Tracing(self)

    def dispatch_for(self, connection: Connection) -> Dispatch:
        """What the reader of *connection* is to call."""
        if connection.peer in self.traced:
            return self._tracing
        watched = self.counts is not None or self.auditor is not None or self.slow_ns
        return self._observing if watched else PLAIN


class Observation:
    """One frame's way through the server; ``ksmbd.state.transport.Observed``.

    Times are ns of the monotonic clock.  Like its work it belongs to one thread at a time.
    """

    __slots__ = (
        *("_began", "_mark", "_observer", "_parked", "_parks", "_request", "_waited", "arrived"),
    )

    def __init__(self, observer: Observer, arrived: int) -> None:
        self._observer = observer
        self.arrived = arrived
        self._mark = arrived  # when the command before this one had its answer
        self._began = arrived  # when a thread took it
        self._parks = 0  # how often it has left its thread
        self._parked = 0  # when it did so last
        self._request: object = None  # of the command before this one
        self._waited = 0  # ns that it was parked, altogether

    def answered(self, work: Work, reply: Reply) -> None:
        now = perf_counter_ns()
        counts = self._observer.counts
        if counts is not None:
            count(counts.mine, work, reply, now - self._mark)
        self._mark = now
        auditor = self._observer.auditor
        if auditor is not None:
            parsed = work.request is not self._request
            self._request = work.request
            auditor.answered(work, reply, parsed=parsed)

    def parks(self) -> None:
        self._parks += 1
        self._parked = perf_counter_ns()

    def stays(self) -> None:
        self._parks -= 1

    def begin(self, work: Work) -> None:
        """Run it for the first time."""
        self._began = perf_counter_ns()
        self._run(work, dispatch.run, work)

    def go_on(self, work: Work, run: Callable[..., None], *args: Any) -> None:
        self._waited += perf_counter_ns() - self._parked
        self._run(work, run, *args)

    def _run(self, work: Work, run: Callable[..., None], *args: Any) -> None:
        """Until it ends or parks; once parked it may be another thread's already."""
        before = self._parks
        run(*args)
        if self._parks == before and self._observer.slow_ns:
            self._ended(work)

    def _ended(self, work: Work) -> None:
        """Its replies are sent, or left to be sent: log it if that took long."""
        now = perf_counter_ns()
        total = counts = now - self.arrived
        open = work.compound_open
        if work.header.command in _WAITS_ON_PURPOSE or (open is not None and open.pipe is not None):
            counts -= self._waited
        if counts < self._observer.slow_ns:
            return
        session = work.session
        log.warning(
            "slow: %s %s of %s from %s: %d ms (queued %d, handled %d, waited %d, sent %d)",
            _command(work),
            _path(work).encode("unicode_escape").decode() or "-",
            session.account if session is not None and session.account else "-",
            work.connection.peer,
            total // _MS,
            (self._began - self.arrived) // _MS,
            (self._mark - self._began - self._waited) // _MS,
            self._waited // _MS,
            (now - self._mark) // _MS,
        )


class TracedObservation(Observation):
    """That of a client whose debug lines are wanted: what is logged meanwhile is about it."""

    __slots__ = ()

    def _run(self, work: Work, run: Callable[..., None], *args: Any) -> None:
        with debug.about(work.connection.peer):
            super()._run(work, run, *args)


class Observing:
    """``ksmbd.server.reader.Dispatch`` with an eye on each work."""

    _make: type[Observation] = Observation

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.is_direct = dispatch.is_direct
        self.in_order = dispatch.in_order
        self.queued = dispatch.queued

    def receive(self, connection: Connection, frame: memoryview, /) -> Work | None:
        arrived = perf_counter_ns()
        work = dispatch.receive(connection, frame)
        if work is not None:
            work.observed = self._make(self._observer, arrived)
        return work

    def run(self, work: Work, /) -> None:
        observed = work.observed
        if isinstance(observed, Observation):
            observed.begin(work)
        else:  # it came before somebody began to watch
            dispatch.run(work)


class Tracing(Observing):
    """``Observing`` for such clients."""

    _make = TracedObservation

    def receive(self, connection: Connection, frame: memoryview, /) -> Work | None:
        with debug.about(connection.peer):
            return super().receive(connection, frame)


def _command(work: Work) -> str:
    """Its name; of a compound that of the last."""
    command = work.header.command
    name = Command(command).name if command < len(Command) else f"command {command:#x}"
    return f"{name} (last of a compound)" if work.next_offset else name


def _path(work: Work) -> str:
    """What it was about: share and path; a CREATE that failed has its own word for it."""
    share = f"{work.tree.share.name}/" if work.tree is not None else ""
    if work.compound_open is not None:
        return share + work.compound_open.path
    return share + (requested_name(work) if isinstance(work.request, CreateRequest) else "")


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
