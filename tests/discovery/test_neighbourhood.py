"""ksmbd-discovery between network namespaces, looked for by clients of other projects.

wsdd and mdns-scan are unpacked, not installed: an installed wsdd would start with the machine.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.interop.clients import program
from tests.support import debs
from tests.support.live import ROOT, Log

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces"),
]

SUITE = "bookworm"  # later ones have wsdd in parts
HERE, THERE = "ksmbd-here", "ksmbd-there"
SHOWN, HIDDEN = "198.51.100", "203.0.113"
CONF = """\
[global]
    netbios name = ATTIC
    workgroup = LAB
    server string = boxes & files
    bind interfaces only = yes
    interfaces = shown0
[backups]
    path = /srv
    time machine = yes
"""


def ip(*arguments: str) -> None:
    done = subprocess.run([program("ip"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


@pytest.fixture(scope="module")
def wires() -> Iterator[None]:
    """Two namespaces with two wires between them; the server may be seen on the first."""
    names = [f"{name}-{os.getpid()}" for name in (HERE, THERE)]
    made = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
            ip("-n", name, "link", "set", "lo", "up")
        for wire, net in (("shown", SHOWN), ("hidden", HIDDEN)):
            ip("link", "add", f"{wire}0", "netns", names[0], "type", "veth",
               "peer", "name", f"{wire}1", "netns", names[1])  # fmt: skip
            for number, name in enumerate(names):
                device = f"{wire}{number}"
                ip("-n", name, "addr", "add", f"{net}.{number + 1}/24", "dev", device)
                ip("-n", name, "link", "set", device, "up")
        # where programs join groups that do not say by which interface
        ip("-n", names[1], "route", "add", "default", "dev", "shown1")
        yield
    finally:
        for name in made:
            ip("netns", "del", name)


@pytest.fixture(scope="module")
def clients() -> Path:
    """The folder with both clients and the libraries of mdns-scan."""
    python = debs.ensure("wsdd", "only", ("wsdd",), SUITE)
    scan = debs.ensure("mdns-scan", "closure", ("mdns-scan",), SUITE)
    shutil.copy(next(python.glob("usr/*bin/wsdd")), scan / "usr/bin/wsdd")
    return scan


class Running:
    """A program in one of the namespaces, and what it says."""

    def __init__(self, where: str, *command: str) -> None:
        self.log = Log()
        self.process = subprocess.Popen(
            [program("ip"), "netns", "exec", f"{where}-{os.getpid()}", *command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        self._output: IO[bytes] = self.process.stdout

    def read_until(self, pattern: str) -> str:
        """What it said up to and with the pattern; the test's own time limit is the limit."""
        said = b""
        while not re.search(pattern, said.decode(errors="replace"), re.S):
            more = os.read(self._output.fileno(), 4096)
            assert more, f"{pattern!r} is not in {said.decode(errors='replace')}"
            said += more
        return said.decode(errors="replace")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.fixture
def discovery(wires: None, tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "ksmbd.conf").write_text(CONF)
    started = Running(
        HERE, sys.executable, "-m", "discovery", "-C", str(tmp_path / "ksmbd.conf"), "-v"
    )
    started.read_until(r"ATTIC on \S+")
    yield started
    if started.process.poll() is None:
        assert started.stop() == 0


def test_wsdd_finds_the_server_on_the_right_wire(discovery: Running, clients: Path) -> None:
    looking = Running(
        THERE,
        sys.executable,
        str(clients / "usr/bin/wsdd"),
        "--discovery",
        "--no-host",
        "--ipv4only",
        "-vv",
    )
    try:
        said = looking.read_until(r"discovered ATTIC in Workgroup:LAB on \S+")
    finally:
        looking.stop()
    assert f"on {SHOWN}.1" in said
    assert f"{HIDDEN}.1:3702" not in said


def test_who_listens_hears_it_go(discovery: Running, clients: Path) -> None:
    looking = Running(
        THERE,
        sys.executable,
        str(clients / "usr/bin/wsdd"),
        "--discovery",
        "--no-host",
        "--ipv4only",
        "-vv",
    )
    try:
        looking.read_until("discovered ATTIC")
        assert discovery.stop() == 0
        looking.read_until("discovery/Bye")
    finally:
        looking.stop()


def test_mdns_scan_finds_the_server(discovery: Running, clients: Path) -> None:
    looking = Running(THERE, *debs.run_inside(clients, clients / "usr/bin/mdns-scan"))
    try:
        said = looking.read_until(r"ATTIC\._smb\._tcp\.local")
        for kind in ("_device-info", "_adisk"):
            if f"ATTIC.{kind}" not in said:
                said += looking.read_until(rf"ATTIC\.{kind}\._tcp\.local")
    finally:
        looking.stop()
