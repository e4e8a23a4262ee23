"""The elastic pool: growth, preference, shrinking, shutdown."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from ksmbd.server.pool import Pool

SOON = 30.0  # seconds; only a broken pool ever waits so long


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(4, idle_seconds=60)
    yield made
    assert made.shutdown_within(SOON)


class Gate:
    """Holds work items up until ``open``; ``entered`` counts those that came in."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self._open = threading.Event()
        self.names: list[str] = []

    def __call__(self) -> None:
        self.names.append(threading.current_thread().name)
        self.entered.release()
        assert self._open.wait(SOON)

    def open(self) -> None:
        self._open.set()

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.entered.acquire(timeout=SOON)


def until(pool: Pool, **wanted: int) -> None:
    """Return once the figures named have the values wanted; fail if they never do."""
    turn = threading.Event()
    for _ in range(10_000):
        figures = pool.figures()._asdict()
        if all(figures[name] == value for name, value in wanted.items()):
            return
        turn.wait(0.001)
    raise AssertionError(pool.figures())


def threads_of(pool: Pool) -> list[threading.Thread]:
    return [worker.thread for worker in pool._workers if worker.thread is not None]


def test_a_worker_starts_only_when_work_waits_and_none_is_idle(pool: Pool) -> None:
    assert pool.figures().workers == 0
    for count in range(1, 4):
        gates = [Gate() for _ in range(count)]
        for gate in gates:
            pool.run(gate)
        for gate in gates:
            gate.wait_for(1)
        assert pool.figures().busy == count
        for gate in gates:
            gate.open()
        until(pool, busy=0)
    assert pool.figures().grown == 3


def test_no_more_workers_than_the_maximum_and_the_rest_waits_in_order(pool: Pool) -> None:
    gate = Gate()
    for _ in range(4):
        pool.run(gate)
    gate.wait_for(4)
    order: list[int] = []
    done = threading.Event()
    pool.set_max_workers(1)
    for number in range(5):
        pool.run(order.append, number)
    pool.run(done.set)
    assert pool.figures().queued == 6
    gate.open()
    assert done.wait(SOON)
    assert order == [0, 1, 2, 3, 4]


def test_the_worker_that_was_busy_last_is_preferred(pool: Pool) -> None:
    gates = [Gate() for _ in range(3)]
    for gate in gates:
        pool.run(gate)
        gate.wait_for(1)
    for gate in gates:  # 0 gets idle first, 2 last
        gate.open()
        until(pool, idle=gates.index(gate) + 1)
    for _ in range(5):
        probe = Gate()
        probe.open()
        pool.run(probe)
        probe.wait_for(1)
        until(pool, busy=0)
        assert probe.names == gates[2].names


def test_idle_workers_retire_and_the_pool_grows_again() -> None:
    pool = Pool(8, idle_seconds=0.01)
    gate = Gate()
    for _ in range(8):
        pool.run(gate)
    gate.wait_for(8)
    threads = threads_of(pool)
    gate.open()
    for thread in threads:
        thread.join(SOON)
        assert not thread.is_alive()
    figures = pool.figures()
    assert (figures.workers, figures.grown, figures.shrunk) == (0, 8, 8)
    again = threading.Event()
    pool.run(again.set)
    assert again.wait(SOON)
    assert pool.shutdown_within(SOON)


def test_an_item_handed_over_while_the_worker_retires_is_not_lost() -> None:
    pool = Pool(2, idle_seconds=0.0001)
    ran = threading.Semaphore(0)
    for _ in range(500):
        pool.run(ran.release)
        assert ran.acquire(timeout=SOON)
    assert pool.shutdown_within(SOON)


def test_workers_are_named_like_kworkers(pool: Pool) -> None:
    assert pool.submit(lambda: threading.current_thread().name).result(SOON) == "ksmbd-io/0"


def test_an_exception_in_an_item_is_logged_and_the_worker_lives(
    pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise SystemExit("no")

    pool.run(fail)
    assert pool.submit(lambda: 7).result(SOON) == 7
    until(pool, busy=0)
    assert "a bug in the server" in caplog.text
    assert pool.figures().shrunk == 0


def test_submit_and_map_keep_the_meaning_of_an_executor(pool: Pool) -> None:
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        pool.submit(fail).result(SOON)
    assert list(pool.map(lambda n: n * n, range(20))) == [n * n for n in range(20)]
    assert pool.submit(int, "11", base=2).result(SOON) == 3


def test_a_future_cancelled_in_the_queue_does_not_run() -> None:
    with Pool(1) as pool:
        gate = Gate()
        pool.run(gate)
        gate.wait_for(1)
        ran: list[int] = []
        future = pool.submit(ran.append, 1)
        assert future.cancel()
        gate.open()
    assert ran == []


def test_the_maximum_can_be_raised_at_run_time_and_waiting_work_starts(pool: Pool) -> None:
    pool.set_max_workers(1)
    gate = Gate()
    for _ in range(3):
        pool.run(gate)
    gate.wait_for(1)
    assert pool.figures().queued == 2
    pool.set_max_workers(3)
    gate.wait_for(2)
    assert (pool.figures().busy, pool.figures().max_workers) == (3, 3)
    gate.open()


def test_the_maximum_can_be_lowered_at_run_time(pool: Pool) -> None:
    gate = Gate()
    for _ in range(4):
        pool.run(gate)
    gate.wait_for(4)
    threads = threads_of(pool)
    gate.open()
    until(pool, busy=0)
    pool.set_max_workers(1)
    until(pool, workers=1, shrunk=3)
    (kept,) = threads_of(pool)
    for thread in threads:
        if thread is not kept:
            thread.join(SOON)
            assert not thread.is_alive()
    with pytest.raises(ValueError, match="at least one"):
        pool.set_max_workers(0)


def test_items_that_submit_and_park_do_not_deadlock_a_full_pool() -> None:
    """Every worker's item waits for another item: parked as a callback, not as a thread."""
    pool = Pool(2)
    done = threading.Semaphore(0)

    def first(depth: int) -> None:
        if depth:
            pool.run(first, depth - 1)  # parks: goes on in a later item
        else:
            done.release()

    for _ in range(50):
        pool.run(first, 20)
    for _ in range(50):
        assert done.acquire(timeout=SOON)
    assert pool.shutdown_within(SOON)


def test_shutdown_finishes_what_waits_and_refuses_more() -> None:
    pool = Pool(1)
    gate = Gate()
    pool.run(gate)
    gate.wait_for(1)
    future = pool.submit(lambda: 5)
    threading.Timer(0, gate.open).start()
    assert pool.shutdown_within(SOON)
    assert future.result(0) == 5
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.run(print)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(print)


def test_shutdown_keeps_its_deadline_although_a_worker_is_stuck(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool = Pool(1)
    gate = Gate()
    pool.run(gate)
    gate.wait_for(1)
    waiting = pool.submit(lambda: 5)
    assert not pool.shutdown_within(0.01)
    assert "ksmbd-io/0" in caplog.text
    assert waiting.cancelled()
    gate.open()
    for thread in threads_of(pool):
        thread.join(SOON)


def test_workers_never_keep_the_process_alive(pool: Pool) -> None:
    assert pool.submit(lambda: threading.current_thread().daemon).result(SOON)


def test_when_no_thread_can_be_started_another_worker_takes_the_item(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    pool.run(gate)
    gate.wait_for(1)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done = threading.Event()
    pool.run(done.set)
    assert pool.figures().queued == 1
    gate.open()
    assert done.wait(SOON)
    assert "limit of threads" in caplog.text


def test_without_any_worker_the_caller_does_the_item_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = Pool(2)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    ran: list[int] = []
    pool.run(ran.append, 1)
    assert ran == [1]
    assert pool.figures().workers == 0
