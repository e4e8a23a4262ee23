"""Fixtures of the tests that use the engine; a folder's conftest imports those it needs."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

import pytest

from ksmbd.ipc.requests import ShareConfig
from tests.support.client import Client, ready
from tests.support.engine import Engine, give_to_joe


@pytest.fixture
def folder(real_folder: Path) -> Iterator[Path]:
    """A fresh directory of joe's, on a file system that keeps extended attributes."""
    made = Path(tempfile.mkdtemp(prefix="share-", dir=real_folder))
    give_to_joe(made)
    yield made
    rmtree(made, ignore_errors=True)


@pytest.fixture
def shares() -> Sequence[ShareConfig] | None:
    """The engine's own; a module that needs others has a fixture of this name."""
    return None


@pytest.fixture
def engine(
    folder: Path, shares: Sequence[ShareConfig] | None, caplog: pytest.LogCaptureFixture
) -> Iterator[Engine]:
    """A server; a test during which it meets a bug of its own has failed, whatever it asserts."""
    yield Engine(folder, shares=shares)
    assert_no_bug(caplog)


@contextmanager
def watching(handler: logging.Handler) -> Iterator[None]:
    """Have *handler* see everything that the server logs."""
    log = logging.getLogger("ksmbd")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def assert_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    for when in ("setup", "call"):
        for record in caplog.get_records(when):
            assert "a bug in the server" not in record.getMessage(), record.exc_text


@pytest.fixture
def client(engine: Engine) -> Client:
    """joe on 3.1.1, connected to the share data."""
    return ready(engine)
