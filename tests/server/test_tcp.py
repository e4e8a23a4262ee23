"""Frames from a stream: every way of cutting it, limits, buffers, the end."""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
from collections.abc import Iterator
from errno import ECONNRESET, EPIPE

import pytest

from ksmbd.server.tcp import (
    ASK_AFTER_LARGE,
    FRAME_PATIENCE_S,
    LARGE,
    RECEIVE_BUFFER,
    TcpTransport,
    address_text,
)
from ksmbd.state import oplock
from ksmbd.state.buffers import Buffers
from ksmbd.wire.base import Buffer
from ksmbd.wire.status import Disconnect

SOON = 30.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Pair:
    """A transport and the socket of its client."""

    def __init__(self) -> None:
        ours, self.client = socket.socketpair()
        self.client.settimeout(SOON)
        self.clock = Clock()
        self.buffers = Buffers()
        self.transport = TcpTransport(ours, self.buffers, clock=self.clock)

    def next_frame(self) -> Buffer | None:
        return next_of(self.transport)

    def frames(self) -> list[bytes]:
        """Everything until the end of the stream."""
        received = []
        while (frame := self.next_frame()) is not None:
            received.append(bytes(frame))
        return received


def next_of(transport: TcpTransport) -> Buffer | None:
    """As the loop does it: wait, receive, look; None at the end of the stream."""
    while (frame := transport.next_frame()) is None:
        transport.flush()
        if not isinstance(transport._sock, Dribble):
            select.select([transport._sock], [], [], SOON)
        if not transport.receive():
            return None
    return frame


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.transport.dispose()
    made.client.close()


def framed(*bodies: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(body)) + body for body in bodies)


def test_several_frames_in_one_segment_are_handed_out_one_by_one(pair: Pair) -> None:
    bodies = [bytes([n]) * (n + 4) for n in range(20)]
    pair.client.sendall(framed(*bodies))
    pair.client.close()
    assert pair.frames() == bodies


def test_a_frame_cut_at_every_byte_is_put_together(pair: Pair) -> None:
    bodies = [b"abcdef", b"0123456789", b"wxyz"]
    stream = framed(*bodies)
    for cut in range(1, len(stream)):
        made = Pair()
        received: list[bytes] = []
        thread = threading.Thread(target=lambda r=received, m=made: r.extend(m.frames()))
        thread.start()
        made.client.sendall(stream[:cut])
        made.client.sendall(stream[cut:])
        made.client.close()
        thread.join(SOON)
        made.transport.dispose()
        assert received == bodies


def test_writes_of_64_kib_come_two_at_a_time() -> None:
    """One call for both: with a buffer of its own, each would take two."""
    body = bytes(112) + os.urandom(64 << 10)
    source = Gulp(framed(body, body, body, body))
    transport = TcpTransport(source, Buffers())  # type: ignore[arg-type]
    transport.limit = lambda: 1 << 20
    for _ in range(4):
        assert bytes(next_of(transport) or b"") == body
    assert source.calls == 2


def test_one_byte_at_a_time_is_a_frame_in_the_end() -> None:
    """No thread, no timing: the socket holds exactly one byte at each receive."""
    stream = framed(b"hello, world", b"again")
    transport = TcpTransport(Dribble(stream), Buffers())  # type: ignore[arg-type]
    assert [bytes(next_of(transport) or b"") for _ in range(2)] == [b"hello, world", b"again"]
    assert next_of(transport) is None


class Dribble:
    """A socket that gives one byte per receive."""

    family = socket.AF_UNIX

    def fileno(self) -> int:
        return -1  # nothing is sent on it

    def __init__(self, stream: bytes) -> None:
        self.stream = stream

    def getpeername(self) -> str:
        return ""

    def getsockname(self) -> str:
        return ""

    def setblocking(self, flag: bool) -> None: ...

    def setsockopt(self, *args: object) -> None: ...

    def recv_into(self, buffer: memoryview, count: int = 0, flags: int = 0) -> int:
        if not self.stream:
            return 0
        buffer[0] = self.stream[0]
        self.stream = self.stream[1:]
        return 1


class Gulp(Dribble):
    """A socket that gives whatever there is room for."""

    calls = 0

    def recv_into(self, buffer: memoryview, count: int = 0, flags: int = 0) -> int:
        self.calls += 1
        size = min(len(buffer), len(self.stream))
        buffer[:size] = self.stream[:size]
        self.stream = self.stream[size:]
        return size


def test_a_large_frame_cut_anywhere_keeps_its_bytes() -> None:
    body = bytes(range(256)) * (LARGE // 256 + 1)
    transport = TcpTransport(Dribble(framed(b"small", body, b"after")), Buffers())  # type: ignore[arg-type]
    transport.limit = lambda: 1 << 20
    assert [bytes(next_of(transport) or b"") for _ in range(3)] == [b"small", body, b"after"]


def test_frames_longer_than_the_receive_buffer_follow_each_other(pair: Pair) -> None:
    pair.transport.limit = lambda: 1 << 20
    bodies = [bytes([n]) * size for n, size in enumerate((70000, 5, 300_000, 65536, 33000, 4))]
    thread = threading.Thread(target=lambda: pair.client.sendall(framed(*bodies)))
    thread.start()
    for body in bodies:
        frame = pair.next_frame()
        assert frame is not None
        assert bytes(frame) == body
    thread.join(SOON)


def test_a_large_frame_lies_in_a_pooled_buffer_which_is_reused() -> None:
    buffers = Buffers()
    body = b"x" * (LARGE + 1)
    transport = TcpTransport(Dribble(framed(body, body)), buffers)  # type: ignore[arg-type]
    transport.limit = lambda: 1 << 20
    first = next_of(transport)
    assert isinstance(first, memoryview)
    buffer = first.obj
    assert isinstance(buffer, bytearray)
    first = None
    transport.give_back(buffer)
    second = next_of(transport)
    assert isinstance(second, memoryview)
    assert second == body
    assert second.obj is buffer


def test_a_buffer_that_somebody_still_looks_at_is_not_reused(pair: Pair) -> None:
    buffer = pair.buffers.take(LARGE)
    view = memoryview(buffer)
    pair.transport.give_back(buffer)
    assert pair.buffers.take(LARGE) is not buffer
    view.release()
    pair.transport.give_back(buffer)
    assert pair.buffers.take(LARGE) is buffer


def test_after_a_large_frame_little_is_received_ahead(pair: Pair) -> None:
    pair.transport.limit = lambda: 1 << 20
    large = b"L" * 2 * RECEIVE_BUFFER
    thread = threading.Thread(target=lambda: pair.client.sendall(framed(large, large, b"tail")))
    thread.start()
    for _ in range(2):
        frame = pair.next_frame()
        assert frame == large
        assert pair.transport._end - pair.transport._start <= ASK_AFTER_LARGE
    assert pair.next_frame() == b"tail"
    thread.join(SOON)


@pytest.mark.parametrize("prefix", ["85000000", "01000010", "ff534d42"])
def test_a_prefix_that_does_not_begin_with_zero_ends_the_connection(
    pair: Pair, prefix: str
) -> None:
    pair.client.sendall(bytes.fromhex(prefix))
    with pytest.raises(Disconnect, match="begins with"):
        pair.next_frame()


@pytest.mark.parametrize("length", [0, 1, 3])
def test_a_frame_too_short_for_a_protocol_id_ends_the_connection(pair: Pair, length: int) -> None:
    pair.client.sendall(framed(bytes(length)))
    with pytest.raises(Disconnect):
        pair.next_frame()


@pytest.mark.parametrize("length", [0x10001, 0xFFFFFF])
def test_before_log_on_64_kib_are_the_limit(pair: Pair, length: int) -> None:
    pair.client.sendall(struct.pack(">I", length))
    with pytest.raises(Disconnect, match=f"frame of {length} bytes"):
        pair.next_frame()


def test_the_limit_is_asked_for_at_every_frame(pair: Pair) -> None:
    limits = iter((100_000, 99_999))
    pair.transport.limit = lambda: next(limits)
    body = bytes(100_000)
    thread = threading.Thread(target=lambda: pair.client.sendall(framed(body, body)))
    thread.start()
    assert pair.next_frame() == body
    with pytest.raises(Disconnect):
        pair.next_frame()
    pair.transport.close()
    pair.client.close()
    thread.join(SOON)


def test_refusing_a_frame_takes_no_buffer_for_it(pair: Pair) -> None:
    pair.client.sendall(struct.pack(">I", 0xFFFFFF))
    with pytest.raises(Disconnect):
        pair.next_frame()
    assert pair.buffers._unused == {}
    assert pair.transport._large is None


@pytest.mark.parametrize("size", [0, 2, 4, 10])
def test_the_end_of_the_stream_inside_a_frame_is_an_end(pair: Pair, size: int) -> None:
    pair.client.sendall(framed(b"0123456789")[:size])
    pair.client.close()
    assert pair.next_frame() is None


def test_who_may_wait_gets_a_large_frame_by_one_call() -> None:
    ours, theirs = socket.socketpair()
    transport = TcpTransport(ours, Buffers())
    transport.be_patient(True)
    transport.limit = lambda: 16 << 20
    body = os.urandom(8 << 20)
    thread = threading.Thread(target=lambda: theirs.sendall(framed(body, b"after")))
    thread.start()
    select.select([ours], [], [], SOON)
    calls = 0
    while (frame := transport.next_frame()) is None:
        assert transport.receive()
        calls += 1
    assert calls <= 3  # the length, what came with it, and all the rest, however it comes
    assert bytes(frame) == body
    thread.join(SOON)
    assert bytes(next_of(transport) or b"") == b"after"
    transport.dispose()
    theirs.close()


def test_who_waits_for_the_rest_of_a_frame_hears_of_the_end() -> None:
    ours, theirs = socket.socketpair()
    transport = TcpTransport(ours, Buffers())
    transport.be_patient(True)
    theirs.sendall(struct.pack(">I", 50_000) + bytes(100))
    assert transport.receive()
    assert transport.next_frame() is None
    closing = threading.Thread(target=transport.close)  # as the sweep does when time is over
    closing.start()
    while transport.receive():
        assert transport.next_frame() is None
    closing.join(SOON)
    transport.dispose()
    theirs.close()


def test_who_waits_for_an_idle_client_waits_without_a_buffer() -> None:
    ours, theirs = socket.socketpair()
    spare: list[bytearray] = []
    transport = TcpTransport(ours, Buffers(), spare=spare)
    transport.be_patient(True)
    waiting = threading.Thread(target=transport.receive)
    waiting.start()
    for _ in range(int(SOON * 100)):
        if spare:
            break
        waiting.join(0.01)
    assert len(spare) == 1  # for others, while
    assert waiting.is_alive()  # this one still waits
    theirs.sendall(framed(b"0123456789"))
    waiting.join(SOON)
    assert not waiting.is_alive()
    assert bytes(next_of(transport) or b"") == b"0123456789"
    transport.dispose()
    theirs.close()


def test_the_end_of_the_stream_inside_a_large_frame_is_an_end(pair: Pair) -> None:
    pair.client.sendall(struct.pack(">I", 50_000) + bytes(100))
    pair.client.close()
    assert pair.next_frame() is None


def test_close_from_another_thread_ends_the_receiving(pair: Pair) -> None:
    ended: list[object] = []
    thread = threading.Thread(target=lambda: ended.append(pair.next_frame()))
    thread.start()
    pair.transport.close()
    thread.join(SOON)
    assert ended == [None]


def test_after_close_frames_already_received_are_not_handed_out(pair: Pair) -> None:
    pair.client.sendall(framed(b"first", b"second"))
    assert pair.next_frame() == b"first"
    pair.transport.close()
    assert pair.next_frame() is None


def test_a_frame_that_was_begun_has_a_deadline_and_a_whole_one_has_none(pair: Pair) -> None:
    ready = threading.Event()
    received: list[object] = []

    def receive() -> None:
        received.append(pair.next_frame())
        ready.set()

    pair.client.sendall(framed(b"whole") + b"\0\0")
    assert pair.next_frame() == b"whole"
    assert pair.transport.deadline == 0
    thread = threading.Thread(target=receive)
    thread.start()
    wait_until(lambda: pair.transport.deadline == pair.clock.now + FRAME_PATIENCE_S)
    pair.clock.now += 5  # more bytes do not move the deadline
    pair.client.sendall(b"\0\4ab")
    pair.client.sendall(b"cd")
    assert ready.wait(SOON)
    assert received == [b"abcd"]
    assert pair.transport.deadline == 0
    thread.join(SOON)


def wait_until(true: object) -> None:
    turn = threading.Event()
    assert callable(true)
    for _ in range(10_000):
        if true():
            return
        turn.wait(0.001)
    raise AssertionError("never became true")


def test_a_large_frame_gets_more_time(pair: Pair) -> None:
    pair.transport.limit = lambda: 1 << 20
    pair.client.sendall(struct.pack(">I", 1 << 20) + bytes(10))
    thread = threading.Thread(target=pair.next_frame)
    thread.start()
    wait_until(lambda: pair.transport.deadline == 1000 + FRAME_PATIENCE_S + 64)
    pair.transport.close()
    thread.join(SOON)


def test_parts_are_sent_in_order_as_they_are(pair: Pair) -> None:
    pair.transport.send([b"\0\0\0\7", bytearray(b"abc"), memoryview(b"defg")])
    assert pair.client.recv(100) == b"\0\0\0\7abcdefg"


def test_sending_to_a_peer_that_is_gone_closes_and_does_not_raise(pair: Pair) -> None:
    pair.client.close()
    pair.transport.send([b"x"])
    pair.transport.send([b"x"])
    assert pair.transport.closed


def test_closing_twice_and_after_the_end_is_harmless(pair: Pair) -> None:
    pair.transport.close()
    pair.transport.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_tcp_connections_have_no_delay_and_end_with_their_peers(
    family: socket.AddressFamily,
) -> None:
    loopback = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.create_server((loopback, 0), family=family) as listening:
        client = socket.create_connection(listening.getsockname()[:2])
        accepted, _ = listening.accept()
        transport = TcpTransport(accepted, Buffers())
        assert (transport.peer, transport.local) == (loopback, loopback)
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        patience_ms = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert 20_000 <= patience_ms < 1000 * oplock.TIMEOUT_S
        transport.dispose()
        client.close()


def test_addresses_as_text() -> None:
    assert address_text(("::ffff:10.1.2.3", 445, 0, 0)) == "10.1.2.3"
    assert address_text(("fe80::1%eth0", 445, 0, 2)) == "fe80::1%eth0"
    assert address_text(("192.0.2.1", 1)) == "192.0.2.1"
    assert address_text("") == "local"


def test_replies_to_frames_that_came_together_go_together(pair: Pair) -> None:
    pair.client.sendall(framed(b"one.", b"two."))
    assert pair.next_frame() == b"one."
    pair.transport.send([b"1"])
    pair.client.setblocking(False)
    with pytest.raises(BlockingIOError):
        pair.client.recv(10)
    assert pair.next_frame() == b"two."
    pair.transport.send([b"2"])
    assert pair.client.recv(10) == b"12"


def test_a_held_reply_goes_before_the_next_frame_is_waited_for(pair: Pair) -> None:
    pair.client.sendall(framed(b"one.", b"two."))
    pair.next_frame()
    pair.transport.send([b"1"])
    pair.next_frame()  # answered by somebody else, later
    pair.client.shutdown(socket.SHUT_WR)
    assert pair.next_frame() is None
    assert pair.client.recv(10) == b"1"


def test_the_kernels_counters_are_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        ours, _ = listening.accept()
    with client:
        transport = TcpTransport(ours, Buffers())
        assert transport.traffic() == (0, 0)
        client.sendall(framed(b"\xfeSMB" + bytes(96)))
        assert next_of(transport) is not None
        assert transport.traffic()[0] == 104
        transport.dispose()


def test_a_socket_without_counters_tells_none(pair: Pair) -> None:
    assert pair.transport.traffic() == (0, 0)


def test_an_abort_is_a_reset() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as peer,
    ):
        transport = TcpTransport(listener.accept()[0], Buffers())
        transport.abort()
        transport.dispose()
        assert peer.recv(1) == b""
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (EPIPE, ECONNRESET)


def test_what_the_peer_has_not_acknowledged_is_known() -> None:
    """What the peer sends acknowledges what it has; a closed socket has nothing left."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as peer,
    ):
        transport = TcpTransport(listener.accept()[0], Buffers())
        transport.send([b"\0\0\0\4ping"])
        assert peer.recv(8) == b"\0\0\0\4ping"
        peer.sendall(b"\0\0\0\4pong")
        assert next_of(transport) == b"pong"
        assert transport.resent() is None
        transport.dispose()
        assert transport.resent() is None
