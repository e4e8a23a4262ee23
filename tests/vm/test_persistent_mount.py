"""The Linux kernel's own client goes on writing while the server is killed and started again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.live import LiveServer, LiveShare
from tests.vm.machine import Ended, run_client

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

SCRIPT: Final = Path(__file__).with_name("persistent-client.sh")
GUEST_S: Final = 600.0
BEGUN: Final = 128 << 10  # bytes of a copy that has begun
MOUNTS: Final = ("vers=3.1.1,persistenthandles", "vers=3.1.1,resilienthandles", "vers=3.0")


class Killer(threading.Thread):
    """Kills the server in the middle of each copy, and starts it again."""

    def __init__(self, server: LiveServer) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.logs: list[str] = []
        self.over = threading.Event()

    def run(self) -> None:
        for number in range(len(MOUNTS)):
            copy = self.server.path("ca") / f"copy-{number}"
            while not (copy.exists() and copy.stat().st_size >= BEGUN):
                if self.over.wait(0.02):
                    return
            self.server.kill()
            time.sleep(1.0)  # the client notices that nobody is there
            self.logs.append(self.server.start_again())


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    folder = real_folder / "persistent-vm"
    folder.mkdir()
    options = {"read only": "no", "continuous availability": "yes"}
    with LiveServer(folder, shares=[LiveShare("ca", folder / "ca", options)]) as made:
        yield made


@pytest.fixture(scope="module")
def killer(server: LiveServer) -> Killer:
    return Killer(server)


@pytest.fixture(scope="module")
def guest(server: LiveServer, killer: Killer) -> Ended:
    """The guest's one run."""
    killer.start()
    try:
        return run_client(SCRIPT, GUEST_S, server.port, MOUNTS=MOUNTS)
    finally:
        killer.over.set()
        killer.join()


def test_the_guest_ran_to_the_end_and_met_no_error(guest: Ended, killer: Killer) -> None:
    assert guest.status == 0, f"{guest.output}\n{guest.console[-3000:]}"
    assert guest.output.endswith("done\n")
    assert "error" not in guest.output, f"{guest.output}\n{guest.dmesg[-3000:]}"
    assert len(killer.logs) == len(MOUNTS)


@pytest.mark.parametrize("number", range(len(MOUNTS)), ids=MOUNTS)
def test_what_was_written_is_there(guest: Ended, number: int) -> None:
    assert f"same {number}" in guest.output.splitlines(), f"{guest.output}\n{guest.dmesg[-2000:]}"


def test_the_persistent_handle_was_the_same(guest: Ended, server: LiveServer) -> None:
    assert "persistenthandles" in guest.output
    assert "copy-0 is back" in server.log.text() or any(
        "copy-0 is back" in log for log in server.earlier_logs
    )
