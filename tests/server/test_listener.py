"""Accepting: limits that always return to zero, ports that are taken, the end."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from typing import Self

import pytest

from ksmbd.server.listener import Admission, BindError, Listener, bind, bind_all

SOON = 30.0


class Door:
    """A listener on a free loopback port; ``serve`` is what the test wants."""

    def __init__(self, admission: Admission, serve: Callable[[socket.socket, str], None]) -> None:
        sock = bind("127.0.0.1", 0)
        self.listener = Listener(sock, admission, serve)
        self.listener.start()

    def knock(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.listener.port), SOON)
        client.settimeout(SOON)
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()


def test_the_total_is_a_limit() -> None:
    admission = Admission(total=2)
    assert admission.admit("192.0.2.1") is None
    assert admission.admit("192.0.2.2") is None
    assert admission.admit("192.0.2.3") == "2 connections are the limit"
    admission.leave("192.0.2.1")
    assert admission.admit("192.0.2.3") is None


def test_one_address_is_limited_and_others_are_not_affected() -> None:
    admission = Admission(per_address=1)
    assert admission.admit("192.0.2.1") is None
    assert admission.admit("192.0.2.1") == "1 connections from one address are the limit"
    assert admission.admit("192.0.2.2") is None


def test_an_ipv6_host_does_not_multiply_by_its_addresses() -> None:
    admission = Admission(per_address=1)
    assert admission.admit("2001:db8:0:1::1") is None
    assert admission.admit("2001:db8:0:1:ffff::2") is not None
    assert admission.admit("2001:db8:0:2::1") is None
    assert admission.admit("fe80::1%eth0") is None
    assert admission.admit("fe80::2%eth0") is None


def test_zero_is_no_limit() -> None:
    admission = Admission()
    assert all(admission.admit("192.0.2.1") is None for _ in range(1000))


def test_counters_return_to_zero() -> None:
    admission = Admission(total=5, per_address=3)
    for _ in range(3):
        admitted = [a for a in ("192.0.2.1", "192.0.2.2") * 5 if admission.admit(a) is None]
        assert admission.figures() == (5, 2)
        for address in admitted:
            admission.leave(address)
        assert admission.figures() == (0, 0)


def test_lowered_limits_hold_for_later_connections() -> None:
    admission = Admission()
    admission.admit("192.0.2.1")
    admission.set_limits(1, 0)
    assert admission.admit("192.0.2.2") is not None
    admission.leave("192.0.2.1")
    assert admission.admit("192.0.2.2") is None


def test_an_admitted_connection_is_served_on_the_listeners_thread() -> None:
    served: list[tuple[str, str]] = []
    done = threading.Event()

    def serve(sock: socket.socket, peer: str) -> None:
        served.append((peer, threading.current_thread().name))
        sock.close()
        done.set()

    with Door(Admission(), serve) as door:
        door.knock().close()
        assert done.wait(SOON)
        assert served == [("127.0.0.1", f"ksmbd/{door.listener.port}-127.0.0.1")]


def test_a_refused_connection_is_closed_and_not_counted() -> None:
    admission = Admission(per_address=1)
    kept: list[socket.socket] = []
    with Door(admission, lambda sock, _: kept.append(sock)) as door:
        first, second = door.knock(), door.knock()
        assert second.recv(1) == b""
        assert admission.figures() == (1, 1)
        for sock in (first, second, *kept):
            sock.close()


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("no thread"), KeyError("bug")])
def test_a_connection_that_cannot_be_served_is_counted_out_again(error: Exception) -> None:
    admission = Admission()

    def serve(sock: socket.socket, peer: str) -> None:
        raise error

    with Door(admission, serve) as door:
        for _ in range(3):
            client = door.knock()
            assert client.recv(1) == b""  # closed by the listener, after counting it out
            client.close()
    assert admission.figures() == (0, 0)


def test_clients_that_reset_at_once_do_not_stop_the_listener() -> None:
    admission = Admission()
    done = threading.Semaphore(0)

    def serve(sock: socket.socket, peer: str) -> None:
        sock.close()
        admission.leave(peer)
        done.release()

    with Door(admission, serve) as door:
        for _ in range(50):
            client = door.knock()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
        for _ in range(50):
            assert done.acquire(timeout=SOON)
    assert admission.figures() == (0, 0)


class FailingSocket:
    """Fails to accept in the given ways, then waits until it is shut down."""

    def __init__(self, *errors: int) -> None:
        self.errors = list(errors)
        self.tried = threading.Semaphore(0)
        self.down = threading.Event()

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 445

    def accept(self) -> None:
        self.tried.release()
        if self.errors:
            code = self.errors.pop(0)
            raise OSError(code, "failed")
        assert self.down.wait(SOON)
        raise OSError(errno.EINVAL, "shut down")

    def shutdown(self, how: int) -> None:
        self.down.set()

    def close(self) -> None: ...


def test_the_listener_survives_what_accept_may_raise(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ksmbd.server.listener.PAUSE_S", 0.001)
    sock = FailingSocket(errno.ECONNABORTED, errno.EMFILE, errno.ENOMEM, errno.EBADMSG)
    listener = Listener(sock, Admission(), lambda *_: None)  # type: ignore[arg-type]
    listener.start()
    for _ in range(5):
        assert sock.tried.acquire(timeout=SOON)
    listener.close()
    assert [r.levelname for r in caplog.records] == ["WARNING", "WARNING", "ERROR"]


def test_after_close_nobody_is_accepted_and_the_thread_is_gone() -> None:
    door = Door(Admission(), lambda sock, _: sock.close())
    port = door.listener.port
    door.listener.close()
    assert not door.listener._thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_a_port_that_is_taken_is_named_in_one_line() -> None:
    first = bind("127.0.0.1", 0)
    port = first.getsockname()[1]
    with pytest.raises(BindError) as taken:
        bind_all(["127.0.0.1"], port)
    assert str(taken.value) == f"cannot listen on 127.0.0.1:{port}: another server has this port"
    assert taken.value.errno == errno.EADDRINUSE
    first.close()


def test_one_address_that_fails_leaves_no_socket_behind() -> None:
    with pytest.raises(BindError, match="'nowhere' is not an IP address"):
        bind_all(["127.0.0.1", "nowhere"], 0)
    with pytest.raises(BindError, match=r"cannot listen on 192\.0\.2\.77:"):
        bind_all(["127.0.0.1", "192.0.2.77"], 0)


def test_several_addresses_share_one_free_port() -> None:
    sockets = list(bind_all(["127.0.0.1", "127.0.0.2"], 0).values())
    assert len({sock.getsockname()[1] for sock in sockets}) == 1
    assert [sock.getsockname()[0] for sock in sockets] == ["127.0.0.1", "127.0.0.2"]
    for sock in sockets:
        sock.close()


def test_without_addresses_all_are_listened_on_in_both_families() -> None:
    sockets = list(bind_all([], 0).values())
    hosts = [sock.getsockname()[0] for sock in sockets]
    assert hosts[0] == "0.0.0.0"
    assert hosts[1:] in ([], ["::"])
    port = sockets[0].getsockname()[1]
    for sock in sockets:
        if sock.family == socket.AF_INET6:  # beside IPv4, not instead of it
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            socket.create_connection(("::1", port), SOON).close()
        sock.close()
