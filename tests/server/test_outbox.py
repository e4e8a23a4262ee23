"""Sending: order, partial sends, clients that do not read, nobody pinned."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from ksmbd.server.outbox import HELD, MAX_BACKLOG, MOST_HELD, SHORT, Outbox

SOON = 30.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Line:
    """An outbox and the socket at its other end."""

    def __init__(self, patience_s: float = 0.01) -> None:
        self.ours, self.client = socket.socketpair()
        self.client.settimeout(SOON)
        self.lost: list[str] = []
        self.gone = threading.Event()
        self.clock = Clock()
        self.outbox = Outbox(
            self.ours, "peer", self._lost, clock=self.clock, patience_s=patience_s, stall_s=30
        )

    def _lost(self, why: str) -> None:
        self.lost.append(why)
        self.gone.set()

    def fill(self) -> int:
        """Send until the client does not keep up; returns how much."""
        sent = 0
        while not self.outbox.slow:
            self.outbox.send([b"f" * 65536])
            sent += 65536
        return sent

    def read(self, count: int) -> bytes:
        got = bytearray()
        while len(got) < count:
            more = self.client.recv(count - len(got))
            assert more
            got += more
        return bytes(got)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.outbox.close()
    made.ours.shutdown(socket.SHUT_RDWR)
    made.outbox.wait_unused()
    made.ours.close()
    made.client.close()


def until(true: Callable[[], bool]) -> None:
    turn = threading.Event()
    for _ in range(10_000):
        if true():
            return
        turn.wait(0.001)
    raise AssertionError("never became true")


def test_more_parts_than_one_system_call_takes_are_all_sent(line: Line) -> None:
    parts = [bytes([n % 256]) for n in range(5000)]
    line.outbox.send(parts)
    assert line.read(5000) == b"".join(parts)


def test_a_reply_larger_than_the_socket_buffer_arrives_whole() -> None:
    line = Line(patience_s=5)
    body = bytes(range(256)) * (4 << 12)  # 4 MiB
    thread = threading.Thread(target=line.outbox.send, args=([b"head", memoryview(body)],))
    thread.start()
    assert line.read(4 + len(body)) == b"head" + body
    thread.join(SOON)
    assert not line.outbox.slow
    line.ours.close()
    line.client.close()


def test_a_client_that_does_not_read_holds_no_sender_up(line: Line) -> None:
    sent = line.fill()
    for number in range(50):  # returns although nothing can be written
        line.outbox.send([b"%08d" % number])
    assert line.lost == []
    assert line.read(sent) == b"f" * sent
    assert line.read(400) == b"".join(b"%08d" % number for number in range(50))
    until(lambda: not line.outbox.slow)


def test_the_caller_may_reuse_its_buffer_when_send_returns(line: Line) -> None:
    sent = line.fill()
    buffer = bytearray(b"a" * 1000)
    line.outbox.send([buffer])
    buffer[:] = b"b" * 1000
    line.read(sent)
    assert line.read(1000) == b"a" * 1000


def test_after_a_slow_time_the_outbox_is_fast_again(line: Line) -> None:
    for _ in range(3):
        line.read(line.fill())
        until(lambda: not line.outbox.slow)
        line.outbox.send([b"direct"])
        assert line.read(6) == b"direct"


def test_a_client_that_takes_nothing_loses_the_connection(line: Line) -> None:
    line.fill()
    line.clock.now += 29
    line.outbox.send([b"x"])
    assert not line.gone.wait(0.05)
    line.clock.now += 1
    assert line.gone.wait(SOON)
    assert line.lost == ["does not read its replies"]
    line.outbox.send([b"x"])  # dropped


def test_a_client_that_dribbles_loses_the_connection_too(line: Line) -> None:
    line.fill()

    def another_byte_half_a_minute_later() -> bool:
        if not line.lost:
            line.read(1)
            line.clock.now += 30
        return bool(line.lost)

    until(another_byte_half_a_minute_later)
    assert line.lost == ["does not read its replies"]


def test_frames_of_many_threads_are_never_mixed_and_keep_each_threads_order() -> None:
    line = Line(patience_s=5)
    threads, count, size = 6, 200, 700

    def talk(name: int) -> None:
        for number in range(count):
            line.outbox.send([b"%02d%05d" % (name, number), b"." * (size - 8), b"\n"])

    talkers = [threading.Thread(target=talk, args=(n,)) for n in range(threads)]
    for talker in talkers:
        talker.start()
    rows = line.read(threads * count * size).split(b"\n")
    for talker in talkers:
        talker.join(SOON)
    assert rows.pop() == b""
    seen: dict[bytes, list[int]] = {}
    for row in rows:
        assert row[7:] == b"." * (size - 8)
        seen.setdefault(row[:2], []).append(int(row[2:7]))
    assert all(numbers == list(range(count)) for numbers in seen.values())
    assert len(seen) == threads
    line.ours.close()
    line.client.close()


def test_a_small_reply_that_finds_the_lock_taken_goes_out_with_the_holder() -> None:
    line = Line(patience_s=20)
    big = b"B" * (1 << 20)
    holder = threading.Thread(target=line.outbox.send, args=([big],))
    holder.start()
    assert line.read(1) == b"B"  # it is writing, and cannot have finished
    line.outbox.send([b"small"])  # returns at once, patience would be 20 s
    assert not line.outbox.slow
    assert line.read(len(big) - 1 + 5)[-5:] == b"small"
    holder.join(SOON)
    line.ours.close()
    line.client.close()


def test_the_backlog_is_bounded(line: Line) -> None:
    line.fill()
    chunk = b"c" * (4 << 20)
    for _ in range(MAX_BACKLOG // len(chunk) - 1):
        line.outbox.send([chunk])
    over = threading.Thread(target=lambda: [line.outbox.send([chunk]) for _ in range(3)])
    over.start()
    over.join(0.05)
    assert over.is_alive()  # waits for room
    assert line.outbox._backlog_size <= MAX_BACKLOG + SHORT
    line.outbox.close()
    line.ours.shutdown(socket.SHUT_RDWR)
    over.join(SOON)
    assert not over.is_alive()


def test_a_dead_peer_is_reported_once(line: Line) -> None:
    line.client.close()
    line.outbox.send([b"x"])
    line.outbox.send([b"x"])
    assert len(line.lost) == 1


def test_replies_are_held_for_the_next_and_go_first(line: Line) -> None:
    line.outbox.holding = True
    line.outbox.send([b"one", b"two"])
    line.outbox.send([b"three"])
    line.client.setblocking(False)
    with pytest.raises(BlockingIOError):
        line.client.recv(1)
    line.client.settimeout(SOON)
    line.outbox.holding = False
    line.outbox.send([b"four"])
    assert line.read(15) == b"onetwothreefour"


def test_what_is_held_goes_with_a_flush(line: Line) -> None:
    line.outbox.holding = True
    line.outbox.send([b"held"])
    line.outbox.flush()
    assert line.read(4) == b"held"
    assert not line.outbox.holding


def test_a_large_reply_is_not_held_and_pushes_the_others_out(line: Line) -> None:
    line.outbox.holding = True
    line.outbox.send([b"small"])
    line.outbox.send([b"L" * (HELD + 1)])
    assert line.read(5 + HELD + 1) == b"small" + b"L" * (HELD + 1)


def test_it_tells_of_long_replies() -> None:
    ours, theirs = socket.socketpair()
    told: list[int] = []
    outbox = Outbox(ours, "peer", lambda why: None, patience_s=SOON, much=lambda: told.append(1))
    reader = threading.Thread(target=lambda: theirs.recv(2 * SHORT + 1, socket.MSG_WAITALL))
    with ours, theirs:
        reader.start()
        outbox.send([bytes(SHORT)])
        until(lambda: not outbox.slow)
        assert not told
        outbox.send([bytes(SHORT + 1)])
        assert told == [1]
        reader.join()


def test_only_so_many_replies_are_held(line: Line) -> None:
    line.outbox.holding = True
    for _ in range(MOST_HELD + 1):
        line.outbox.send([b"r"])
    assert line.read(MOST_HELD + 1) == b"r" * (MOST_HELD + 1)


def test_nothing_is_held_for_a_connection_that_is_closed(line: Line) -> None:
    line.outbox.holding = True
    line.outbox.close()
    line.outbox.send([b"late"])
    line.outbox.flush()
    line.ours.shutdown(socket.SHUT_WR)
    assert line.client.recv(1) == b""


def test_a_small_reply_that_the_kernel_takes_in_part_is_completed(line: Line) -> None:
    sent = line.fill()
    line.outbox.send([b"e" * 100])
    assert line.read(sent + 100)[-100:] == b"e" * 100
