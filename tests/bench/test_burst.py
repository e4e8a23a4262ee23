"""bench/burst.py against an engine: what it sends is what it says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from bench.burst import Opener
from bench.client import NBSS, Link
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, ready
from tests.support.engine import Engine, give_to_joe


class Wire:
    """A Link whose other end is an engine; replies come in any order."""

    def __init__(self, client: Client) -> None:
        self.socket = SimpleNamespace(sendall=self.sendall)
        self._client = client
        self._replies: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        while data:
            length = int.from_bytes(data[:NBSS], "big")
            self._client.engine.receive(
                self._client.connection, bytearray(data[NBSS : NBSS + length])
            )
            self._replies += self._client.transport.take()
            data = data[NBSS + length :]

    def read(self) -> bytes:
        return self._replies.pop()  # the last first


@pytest.fixture
def client(engine: Engine) -> Client:
    for number in range(40):
        path = engine.folder / f"file {number:02}"
        path.touch()
        give_to_joe(path)
    made = ready(engine)
    for session in made.sessions.values():
        session.signing = False
    return made


def opener(client: Client) -> Opener:
    return Opener(client, cast(Link, Wire(client)), "file 00")


def test_files_are_opened_and_closed_in_bursts(client: Client) -> None:
    made = opener(client)
    opens = client.engine.server.opens
    files = made.open(f"file {number:02}" for number in range(16))
    files += made.open(f"file {number:02}" for number in range(16, 32))
    names = {open.volatile_id: open.path for open in opens.all()}
    told = [names[int.from_bytes(file[8:], "little")] for file in files]
    assert told == [f"file {number:02}" for number in range(32)]
    made.close(files[:16])
    made.close(files[16:])
    assert len(opens) == 0
    assert client.status(client.frames.echo()) is NtStatus.SUCCESS  # its own numbers go on


def test_a_file_that_does_not_open_is_told(client: Client) -> None:
    with pytest.raises(ConnectionError, match="c0000034"):
        opener(client).open(["file 00", "file 99"])
