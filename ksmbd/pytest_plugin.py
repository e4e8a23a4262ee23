"""Fixtures for the tests of programs that speak SMB; pytest finds them when ksmbd is installed.

def test_upload(ksmbd_server):
    upload(ksmbd_server.address, ksmbd_server.port, "share", "user", "password", "report.txt")
    assert (ksmbd_server.path / "report.txt").exists()
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Protocol

import pytest

from ksmbd.embedded import Server, Share, StrPath

SHARE: Final = "share"
USER: Final = "user"
PASSWORD: Final = "password"


class TestServer(Server):
    """A server with one share in the test's temporary directory, and one account for it."""

    __test__ = False  # its name begins as those of collected classes do

    share: Final = SHARE
    user: Final = USER
    password: Final = PASSWORD

    def __init__(self, path: Path) -> None:
        """*path* is the directory that the share serves."""
        super().__init__({SHARE: path}, {USER: PASSWORD})
        self.path: Final = path


class MakeServer(Protocol):
    """What ``make_ksmbd_server`` is: the arguments are those of ``ksmbd.Server``."""

    def __call__(
        self,
        shares: Mapping[str, StrPath | Share],
        users: Mapping[str, str] | None = None,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        parameters: Mapping[str, str] | None = None,
    ) -> Server: ...


@pytest.fixture
def ksmbd_server(tmp_path: Path) -> Iterator[TestServer]:
    """A server with the share "share", writable for the account "user" with "password"."""
    with TestServer(tmp_path / "ksmbd-share") as server:
        yield server


@pytest.fixture
def make_ksmbd_server() -> Iterator[MakeServer]:
    """Start servers to order; they end with the test."""
    with ExitStack() as running:

        def make(
            shares: Mapping[str, StrPath | Share],
            users: Mapping[str, str] | None = None,
            *,
            address: str = "127.0.0.1",
            port: int = 0,
            parameters: Mapping[str, str] | None = None,
        ) -> Server:
            made = Server(shares, users, address=address, port=port, parameters=parameters)
            return running.enter_context(made)

        yield make
