"""Several channels with the Linux kernel's own client: a file moves over them, and one dies.

It dies while the file is read back.  A request that the client is sending at that very moment it
does not send again by another channel, but tells the program (ECONNABORTED, seen with 6.12): so the
guest reads once more where that happens, on the same mount.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.live import LiveServer, LiveShare
from tests.vm.machine import HOST, Ended, run_client

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

SCRIPT: Final = Path(__file__).with_name("multichannel-client.sh")
GUEST_S: Final = 400.0
MIB: Final = 48
CARRIED: Final = 1 << 20  # bytes that a connection has carried at least, to count
LOOK_S: Final = 0.1
# the guest reaches us by an address of its own network
CHANNELS: Final = {
    "server multi channel support": "yes",
    "interfaces": f'"{HOST};capability=RSS,speed=10000000000"',
}


class Watcher(threading.Thread):
    """Looks at the server's status, and closes one of several channels while bytes move."""

    def __init__(self, server: LiveServer) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.received: dict[int, int] = {}  # connection -> bytes
        self.channels = 0  # most at a time
        self.closed: int | None = None  # the connection that was closed
        self._server = server

    def run(self) -> None:
        while not self.ended.wait(LOOK_S):
            report = self._status()
            self.channels = max(self.channels, len(report["channels"]))
            for row in report["connections"]:
                self.received[row["number"]] = row["received"]
            if self.closed is None:
                self._close_one(report)

    def _close_one(self, report: dict[str, Any]) -> None:
        """Of those that have been read from; not the one that the mount began with."""
        busy = [row["number"] for row in report["connections"] if row["sent"] >= CARRIED]
        if len(busy) > 1 and len(report["channels"]) > 2:
            self.closed = max(busy)
            self._control("close", "connection", str(self.closed))

    def _status(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self._control("status", "--json"))
        return report

    def _control(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "control", "--run-dir", str(self._server.run_folder)]
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=True
        ).stdout


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    folder = real_folder / "multichannel-vm"
    folder.mkdir()
    share = LiveShare("share", folder / "share", {"read only": "no"})
    with LiveServer(folder, shares=[share], globals_=CHANNELS) as made:
        yield made


@pytest.fixture(scope="module")
def watcher(server: LiveServer) -> Iterator[Watcher]:
    made = Watcher(server)
    made.start()
    yield made
    made.ended.set()
    made.join()


@pytest.fixture(scope="module")
def guest(server: LiveServer, watcher: Watcher) -> Ended:
    """The guest's one run."""
    return run_client(SCRIPT, GUEST_S, server.port, MIB=str(MIB))


def test_the_guest_ran_to_the_end(guest: Ended) -> None:
    assert guest.status == 0, f"{guest.output}\n{guest.console[-3000:]}"
    assert guest.output.endswith("done\n")
    assert "FAIL" not in guest.output, guest.dmesg[-2000:]


def test_the_client_opens_the_channels_it_was_told_of(guest: Ended, watcher: Watcher) -> None:
    (extra,) = re.findall(r"^channels (\d+)$", guest.output, re.M)
    assert int(extra) == 3, guest.output  # besides the first
    assert watcher.channels == 4


def test_more_than_one_channel_carries_bytes(guest: Ended, watcher: Watcher) -> None:
    busy = [number for number, count in watcher.received.items() if count >= CARRIED]
    assert len(busy) > 1, watcher.received


def test_nothing_is_lost_though_a_channel_dies(
    guest: Ended, server: LiveServer, watcher: Watcher
) -> None:
    assert watcher.closed is not None, watcher.received
    sums = dict(re.findall(r"^sum (\w+) ([0-9a-f]{64})$", guest.output, re.M))
    assert sums["sent"] == sums.get("up"), guest.output
    on_disk = hashlib.sha256((server.path() / "random").read_bytes()).hexdigest()
    assert on_disk == sums["sent"]
