"""The kworkers: an elastic pool of threads, ``ksmbd-io/N``.

A stock ThreadPoolExecutor never shrinks and wakes whichever thread the kernel likes.  This
one starts a worker when work waits and none is idle, hands work to the worker that was busy
last (its caches are warm, and the others can grow old), and retires workers that were idle
for a time.  Each idle worker sleeps on a gate of its own, so that one item wakes one thread.

    starting -> busy <-> idle -> retired

Locks: ``Pool._lock`` is a leaf.  Under it only memory is touched: gates are opened and
threads are started after it was released.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

log = logging.getLogger("ksmbd.conn")

DEFAULT_WORKERS: Final = 32
DEFAULT_IDLE_SECONDS: Final = 30.0

Item = tuple[Callable[..., Any], tuple[Any, ...]]
P = ParamSpec("P")
T = TypeVar("T")


class PoolFigures(NamedTuple):
    """What ``ksmbd-control status`` shows of the pool."""

    workers: int
    busy: int
    idle: int
    queued: int
    grown: int  # workers started since the start
    shrunk: int  # workers retired since the start
    max_workers: int


class _Worker:
    """One thread and the gate it sleeps on; ``item`` is set before the gate opens."""

    __slots__ = ("gate", "item", "thread")

    def __init__(self, item: Item) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.item: Item | None = item  # None behind an open gate: retire
        self.thread: threading.Thread | None = None


class Pool(ThreadPoolExecutor):
    """An Executor that grows under load and shrinks afterwards.

    ``run`` is the hot path: no Future, exceptions are logged.  ``submit`` and ``map`` keep the
    meaning they have in :mod:`concurrent.futures`.
    """

    def __init__(
        self,
        max_workers: int = DEFAULT_WORKERS,
        *,
        idle_seconds: float = DEFAULT_IDLE_SECONDS,
        name: str = "ksmbd-io",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(max_workers, thread_name_prefix=name)
        self.idle_seconds = idle_seconds
        self._name = name
        self._clock = clock
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)  # told when a worker ends
        self._limit = max_workers  # by self._lock
        self._workers: set[_Worker] = set()  # by self._lock
        self._idle: list[_Worker] = []  # by self._lock; the one busy last is at the end
        self._waiting: deque[Item] = deque()  # by self._lock
        self._closed = False  # by self._lock
        self._grown = 0  # by self._lock
        self._shrunk = 0  # by self._lock

    @property
    def max_workers(self) -> int:
        return self._limit

    def set_max_workers(self, count: int) -> None:
        """Allow *count* workers from now on; idle surplus ends now, busy surplus when done."""
        if count < 1:
            raise ValueError("a pool needs at least one worker")
        starting: list[_Worker] = []
        retiring: list[_Worker] = []
        with self._lock:
            self._limit = count
            while self._idle and len(self._workers) - len(retiring) > count:
                worker = self._idle.pop(0)
                worker.item = None
                retiring.append(worker)
            while self._waiting and len(self._workers) < count:
                starting.append(self._enlist(self._waiting.popleft()))
        for worker in retiring:
            worker.gate.release()
        for worker in starting:
            self._start(worker)

    def run(self, fn: Callable[..., Any], *args: Any) -> None:
        """Have a worker call ``fn(*args)``; what it raises is logged.

        Raises RuntimeError after shutdown.
        """
        self._place((fn, args))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As in Executor: a Future of ``fn(*args, **kwargs)``."""
        future: Future[T] = Future()
        self._place((_fulfil, (future, fn, args, kwargs)))
        return future

    def figures(self) -> PoolFigures:
        with self._lock:
            workers, idle = len(self._workers), len(self._idle)
            return PoolFigures(
                workers,
                workers - idle,
                idle,
                len(self._waiting),
                self._grown,
                self._shrunk,
                self._limit,
            )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As in Executor: take nothing more, finish what waits (or cancel it)."""
        self._close(discard=cancel_futures)
        if wait:
            with self._changed:
                self._changed.wait_for(lambda: not self._workers)

    def shutdown_within(self, deadline_s: float) -> bool:
        """Take nothing more, finish what waits, but give up after *deadline_s* seconds.

        Returns whether every worker has ended.  What still waits then is dropped, its Futures
        are cancelled; a worker that is still busy is a daemon thread and ends with the process.
        """
        self._close(discard=False)
        with self._changed:
            done = self._changed.wait_for(lambda: not self._workers, deadline_s)
            stuck = sorted(w.thread.name for w in self._workers if w.thread)
        if not done:
            self._close(discard=True)
            log.warning("shutdown: still busy after %.1f s: %s", deadline_s, ", ".join(stuck))
        return done

    def _place(self, item: Item) -> None:
        """Hand *item* to the worker that was busy last, to a new one, or to the queue."""
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new work after shutdown")
            if self._idle:
                worker = self._idle.pop()
                worker.item = item
            elif len(self._workers) >= self._limit:
                self._waiting.append(item)
                return
            else:
                worker = self._enlist(item)
        if worker.thread is None:
            self._start(worker)
        else:
            worker.gate.release()

    def _enlist(self, item: Item) -> _Worker:
        """A worker that still has to be started.  Caller holds the lock."""
        worker = _Worker(item)
        self._workers.add(worker)
        self._grown += 1
        return worker

    def _start(self, worker: _Worker) -> None:
        name = f"{self._name}/{next(self._numbers)}"
        worker.thread = threading.Thread(target=self._work, args=(worker,), name=name, daemon=True)
        try:
            worker.thread.start()
        except RuntimeError:
            self._start_failed(worker)

    def _start_failed(self, worker: _Worker) -> None:
        """The system gives us no thread: another worker shall do it, else the caller does."""
        log.warning("cannot start another worker; the system's limit of threads is reached")
        item = worker.item
        with self._lock:
            self._workers.discard(worker)
            self._grown -= 1
            self._changed.notify_all()
            other = self._idle.pop() if self._idle else None
            if other is not None:
                other.item = item
            elif item is not None and self._workers:
                self._waiting.append(item)
                return
        if other is not None:
            other.gate.release()
        elif item is not None:
            _call(*item)

    def _work(self, worker: _Worker) -> None:
        """The life of a worker thread."""
        while True:
            item = worker.item
            worker.item = None
            if item is None:
                break
            _call(*item)
            item = None  # let go of the request while idle
            with self._lock:
                if len(self._workers) > self._limit:
                    break
                if self._waiting:
                    worker.item = self._waiting.popleft()
                    continue
                if self._closed:
                    break
                self._idle.append(worker)
            if not worker.gate.acquire(timeout=self.idle_seconds) and self._too_old(worker):
                break
        with self._lock:
            self._workers.discard(worker)
            self._shrunk += 1
            self._changed.notify_all()

    def _too_old(self, worker: _Worker) -> bool:
        """Nothing came for a time: leave, unless an item is being handed over right now."""
        with self._lock:
            if worker in self._idle:
                self._idle.remove(worker)
                return True
        worker.gate.acquire()
        return False

    def _close(self, *, discard: bool) -> None:
        dropped: list[Item] = []
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for worker in idle:
                worker.item = None
            if discard:
                dropped.extend(self._waiting)
                self._waiting.clear()
        for worker in idle:
            worker.gate.release()
        for fn, args in dropped:
            if fn is _fulfil:
                args[0].cancel()


def _call(fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Run one item; nothing it raises may end the worker."""
    try:
        fn(*args)
    except BaseException:
        log.exception("a work item failed: a bug in the server")


def _fulfil(
    future: Future[T], fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = fn(*args, **kwargs)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
