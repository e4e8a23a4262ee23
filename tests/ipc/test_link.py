from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksmbd.ipc.link import Link, listen
from ksmbd.wire import ipc
from ksmbd.wire.base import WireError


@pytest.fixture
def pair() -> Iterator[tuple[Link, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * ipc.MAX_FRAME)
    theirs.settimeout(10)
    link = Link(ours)
    with theirs:
        yield link, theirs
        link.close()


def test_a_message_is_one_datagram(pair: tuple[Link, socket.socket]) -> None:
    link, theirs = pair
    link.send(ipc.Heartbeat(handle=1))
    link.send(ipc.Heartbeat(handle=2))
    assert theirs.recv(1000) == ipc.Heartbeat(handle=1).pack()
    theirs.send(ipc.Heartbeat(handle=3).pack())
    assert link.receive() == ipc.Heartbeat(handle=3)


def test_the_largest_frame_arrives_whole(pair: tuple[Link, socket.socket]) -> None:
    link, theirs = pair
    message = ipc.RpcResponse(handle=1, flags=0, payload=bytes(ipc.MAX_FRAME - 24))
    assert len(message.pack()) == ipc.MAX_FRAME
    theirs.send(message.pack())
    assert link.receive() == message


def test_a_longer_frame_is_malformed(pair: tuple[Link, socket.socket]) -> None:
    link, theirs = pair
    theirs.send(bytes(ipc.MAX_FRAME + 1))
    with pytest.raises(WireError, match="longer"):
        link.receive()


def test_the_end_is_none(pair: tuple[Link, socket.socket]) -> None:
    link, theirs = pair
    theirs.close()
    assert link.receive() is None
    with pytest.raises(OSError, match="Broken pipe"):
        link.send(ipc.Heartbeat(handle=1))


def test_the_peer_is_who_connected(pair: tuple[Link, socket.socket]) -> None:
    assert pair[0].peer() == (os.getpid(), os.getuid(), os.getgid())


def test_a_link_may_be_closed_twice(pair: tuple[Link, socket.socket]) -> None:
    pair[0].close()
    pair[0].close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        pair[0].send(ipc.Heartbeat(handle=1))


def test_the_socket_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    old = os.umask(0)
    try:
        with listen(str(path)):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(old)


def test_the_socket_can_belong_to_mountd(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("chown needs root")
    path = tmp_path / "sock"
    with listen(str(path), 4711):
        assert path.stat().st_uid == 4711


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    listen(path).close()
    with listen(path), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(path)


def test_a_live_socket_is_not_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    with listen(path), pytest.raises(OSError, match="another ksmbd") as refused:
        listen(path)
    assert refused.value.errno == errno.EADDRINUSE
