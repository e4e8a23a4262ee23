"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest
from hypothesis import settings

from ksmbd import compiled
from tests.support.compiled import keep_patches_honest
from tests.support.engine import ENGINES
from tests.support.live import ROOT, LiveServer
from tests.support.peers import Peer
from tests.support.samba import SambaServer

# How long an example takes says how busy the machine is, and nothing about the server.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_configure() -> None:
    if compiled.count():
        keep_patches_honest()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--peer",
        choices=["ksmbd", "samba"],
        default="ksmbd",
        help="whom the interop tests face; what fails against samba is a fault of the test",
    )


def keeps_extended_attributes(folder: Path) -> bool:
    """Whether files there can have ``user.*`` attributes; a tmpfs of an older kernel cannot."""
    probe = folder / "probe"
    probe.touch()
    try:
        os.setxattr(probe, "user.probe", b"1")
    except OSError:
        return False
    finally:
        probe.unlink()
    return True


@pytest.fixture(scope="session")
def real_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for shares, on a file system that keeps extended attributes."""
    folder = tmp_path_factory.mktemp("shares")
    if keeps_extended_attributes(folder):
        yield folder
        return
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="shares-", dir=cache))
    yield folder
    rmtree(folder)


@pytest.fixture(scope="session")
def shared_live(real_folder: Path, pytestconfig: pytest.Config) -> Iterator[Peer]:
    """One running server for the whole session; its shutdown is checked at the end."""
    kind = SambaServer if pytestconfig.getoption("peer") == "samba" else LiveServer
    folder = real_folder / "live"
    folder.mkdir()
    with kind(folder) as server:
        yield server


@pytest.fixture
def live(shared_live: Peer) -> Iterator[Peer]:
    """The running server with users tester and tester2 and the shares of ``standard_shares``.

    A test during which the server logs a traceback or ends has failed, whatever its client saw.
    """
    assert shared_live.running, f"an earlier test ended the server:\n{shared_live.tail()}"
    before = len(shared_live.log_text())
    yield shared_live
    shared_live.check_log(after=before)
    assert shared_live.running, f"this test ended the server:\n{shared_live.tail()}"


@pytest.fixture(autouse=True)
def closed_engines() -> Iterator[None]:
    """Servers without sockets hold descriptors too; thousands of tests would run out of them."""
    yield
    while ENGINES:
        ENGINES.pop().close()
