"""A client over TCP that is made of the tests' own: every dialect, signature and cipher.

``tests/support/client.py`` speaks to an engine in the same process; a ``Link`` stands in for the
engine and is a connection to a running server.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Final, Self

from ksmbd.wire.base import Buffer
from ksmbd.wire.negotiate import AES_CMAC, SMB_3_1_1
from tests.support.peers import Peer
from tests.support.sealing import SealingClient

NBSS: Final = 4  # bytes of the length before each PDU
TIMEOUT_S: Final = 60.0


class Link:
    """The tests' engine and transport in one: what is sent has one PDU for an answer."""

    def __init__(self, peer: Peer) -> None:
        self.socket = socket.create_connection((peer.host, peer.port), TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.random = os.urandom
        self.closed = False
        self._pdus: list[bytes] = []  # where the tests' client looks for them

    def connection(self, _peer: str) -> tuple[Self, Self]:
        return self, self

    def receive(self, _connection: object, frame: Buffer) -> None:
        """Send *frame*, wait for the answer."""
        self.socket.sendall(framed(frame))
        self._pdus.append(self.read())

    def take(self) -> list[bytes]:
        pdus, self._pdus = self._pdus, []
        return pdus

    def await_more(self) -> None:
        """One more PDU: the end of what went asynchronous, a notification."""
        self.put(self.read())

    def put(self, pdu: bytes) -> None:
        """A PDU that came, for the client to take."""
        self._pdus.append(pdu)

    def read(self) -> bytes:
        return self.read_exactly(int.from_bytes(self.read_exactly(NBSS), "big"))

    def read_exactly(self, length: int) -> bytes:
        got = bytearray(length)
        view = memoryview(got)
        while view:
            count = self.socket.recv_into(view)
            if not count:
                raise ConnectionError("the server closed the connection")
            view = view[count:]
        return bytes(got)

    def close(self) -> None:
        self.closed = True
        self.socket.close()


def framed(pdu: Buffer) -> bytes:
    return len(pdu).to_bytes(NBSS, "big") + bytes(pdu)


def connect(
    peer: Peer,
    *,
    signing: int = AES_CMAC,
    ciphers: Sequence[int] = (),
    signed: bool = False,
    share: str = "share",
) -> tuple[SealingClient, Link]:
    """Logged on with 3.1.1 and connected; sealed if there are *ciphers*, signed if asked for."""
    link = Link(peer)
    client = SealingClient(link, ciphers=ciphers)  # type: ignore[arg-type]
    try:
        client.negotiate(SMB_3_1_1, signing=[signing])
        user, password = next(iter(peer.users.items()))
        session = client.log_on(user, password)
        client.sealing = bool(ciphers)
        client.connect(share)  # 3.1.1 insists that this one is signed
    except BaseException:
        link.close()
        raise
    session.signing = signed
    return client, link


def earn(client: SealingClient, credits: int) -> None:
    """Ask for credits with echoes until there are so many."""
    for _ in range(100):
        if client.credits >= credits:
            return
        client.call(client.frames.echo(credits=credits))
    raise ConnectionError(f"the server grants no more than {client.credits} credits")
