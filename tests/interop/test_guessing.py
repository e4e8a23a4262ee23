"""Somebody guesses passwords, many at a time: what gets through, and whom it keeps out."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from smbprotocol.connection import Connection
from smbprotocol.exceptions import LogonFailure
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from tests.support.live import PASSWORD, USERS, LiveServer

pytestmark = pytest.mark.interop

GUESSES: Final = 30
FREE: Final = 3


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    folder = real_folder / "guessed"
    folder.mkdir()
    users = {**USERS, "clumsy": PASSWORD}
    globals_ = {"max failed logons": str(FREE)}
    with LiveServer(folder, users=users, globals_=globals_) as running:
        yield running


def log_on(server: LiveServer, user: str, password: str) -> None:
    """Log on and connect.  LogonFailure if it fails."""
    connection = Connection(uuid.uuid4(), server.host, server.port)
    connection.connect(timeout=30)
    try:
        session = Session(connection, user, password, require_encryption=False)
        session.connect()
        TreeConnect(session, rf"\\{server.host}\share").connect()
    finally:
        connection.disconnect()


def wrong(server: LiveServer, user: str, number: int) -> None:
    with pytest.raises(LogonFailure):
        log_on(server, user, f"guess {number}")


def test_many_guesses_at_a_time_are_looked_at_one_by_one(server: LiveServer) -> None:
    """Other users notice nothing, and the right password counts as soon as there is a moment."""
    log_on(server, "tester2", PASSWORD)
    with ThreadPoolExecutor(GUESSES) as lanes:
        for number in range(FREE):
            wrong(server, "tester", number)
        flood = [lanes.submit(wrong, server, "tester", number) for number in range(GUESSES)]
        log_on(server, "tester2", PASSWORD)
        assert not all(guess.done() for guess in flood)  # their answers are held back
        for _ in range(4):
            log_on(server, "tester2", PASSWORD)
        for guess in flood:
            guess.result()
    log = server.log_text()
    assert log.count("tester: wrong password") <= FREE + 4
    assert log.count("tester: not looked at") >= GUESSES - 4
    assert log.count("log-ons of 'tester' from 127.0.0.1 are slowed down") == 1
    tries = 1
    while not right(server, "tester"):
        tries += 1
        assert tries < 10


def right(server: LiveServer, user: str) -> bool:
    try:
        log_on(server, user, PASSWORD)
    except LogonFailure:
        return False
    return True


def test_who_mistypes_gets_in_at_once(server: LiveServer) -> None:
    for number in range(FREE):
        wrong(server, "clumsy", number)
    log_on(server, "clumsy", PASSWORD)
    log_on(server, "clumsy", PASSWORD)
    assert "clumsy: not looked at" not in server.log_text()
