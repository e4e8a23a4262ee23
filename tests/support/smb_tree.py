"""smbprotocol below its smbclient module: for tests that send requests of their own."""

from __future__ import annotations

import uuid
from typing import Any, Self

from smbprotocol.connection import Connection
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from tests.support.live import PASSWORD
from tests.support.peers import Peer


class SmbTree:
    """A connection with one session of tester's and one tree connect."""

    def __init__(self, peer: Peer, share: str = "share") -> None:
        self.connection = Connection(uuid.uuid4(), peer.host, peer.port)
        self.connection.connect()
        self.session = Session(self.connection, "tester", PASSWORD, auth_protocol="ntlm")
        self.session.connect()
        self.tree = TreeConnect(self.session, rf"\\{peer.host}\{share}")
        self.tree.connect()

    def exchange(self, request: Any) -> bytes:
        """Send a request of smbprotocol's; the body of its successful response."""
        ids = self.session.session_id, self.tree.tree_connect_id
        response = self.connection.receive(self.connection.send(request, *ids))
        data: bytes = response["data"].get_value()
        return data

    def close(self) -> None:
        self.connection.disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
