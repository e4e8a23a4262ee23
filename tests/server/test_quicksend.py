"""A send that never waits."""

from __future__ import annotations

import socket

from ksmbd.server.quicksend import quick_send


def test_all_is_taken_by_a_socket_with_room() -> None:
    ours, client = socket.socketpair()
    with ours, client:
        assert quick_send(ours.fileno(), b"with\0nul") == 8
        assert client.recv(100) == b"with\0nul"


def test_a_full_socket_takes_nothing_and_is_not_waited_for() -> None:
    ours, client = socket.socketpair()
    with ours, client:
        while quick_send(ours.fileno(), b"x" * 4096):
            continue
        assert quick_send(ours.fileno(), b"x") == 0


def test_a_peer_that_is_gone_takes_nothing_and_raises_no_signal() -> None:
    ours, client = socket.socketpair()
    with ours:
        client.close()
        assert quick_send(ours.fileno(), b"x") == 0
