"""ksmbd-discovery between network namespaces, looked for by clients of other projects and our own.

wsdd and mdns-scan are unpacked, not installed: an installed wsdd would start with the machine.
"""

from __future__ import annotations

import json
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
from tests.support.live import ROOT

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
        self.process = subprocess.Popen(
            [program("ip"), "netns", "exec", f"{where}-{os.getpid()}", *command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        self._output: IO[bytes] = self.process.stdout
        self._said = b""  # since the last pattern

    def read_until(self, pattern: str) -> str:
        """What it said up to and with the pattern; the test's own time limit is the limit."""
        while not (found := re.search(pattern.encode(), self._said, re.S)):
            more = os.read(self._output.fileno(), 4096)
            assert more, f"{pattern!r} is not in {self._said.decode(errors='replace')}"
            self._said += more
        said, self._said = self._said[: found.end()], self._said[found.end() :]
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
    started.read_until(r"ATTIC on \S+.*shown by WS-Discovery and mDNS\n")
    yield started
    if started.process.poll() is None:
        assert started.stop() == 0


@pytest.mark.parametrize(
    ("how", "shown", "hidden"),
    [("--ipv4only", f"{SHOWN}.1", f"{HIDDEN}.1"), ("--ipv6only", "fe80:", "%hidden1")],
)
def test_wsdd_finds_the_server_on_the_right_wire(
    discovery: Running, clients: Path, how: str, shown: str, hidden: str
) -> None:
    looking = Running(
        THERE,
        sys.executable,
        str(clients / "usr/bin/wsdd"),
        "--discovery",
        "--no-host",
        how,
        "-vv",
    )
    try:
        said = looking.read_until(r"discovered ATTIC in Workgroup:LAB on \S+\s")
    finally:
        looking.stop()
    assert f"on {shown}" in said
    assert not re.search(rf"{re.escape(hidden)}\S*:3702", said)


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


def asked(*words: str) -> dict[str, list[str]]:
    """Who answers what to ``tests/discovery/asking.py`` on the other side."""
    asking = Running(THERE, sys.executable, "-m", "tests.discovery.asking", *words)
    said, _ = asking.process.communicate()
    text = said.decode(errors="replace")
    assert asking.process.returncode == 0, text
    answers: dict[str, list[str]] = json.loads(text)
    return answers


def test_it_answers_as_windows_asks(discovery: Running) -> None:
    """Probe by multicast, the answer by unicast; Resolve; Get over HTTP on port 5357."""
    answers = asked(f"wsd@{SHOWN}.2")[f"wsd@{SHOWN}.2"]
    matches, where, directed, metadata = answers[0], *answers[-3:]
    assert matches.startswith(f"{SHOWN}.1 ")
    assert "ProbeMatches" in matches
    assert f"<wsd:XAddrs>http://{SHOWN}.1:5357/" in where
    assert " 200 " in directed
    assert "ProbeMatches" in directed
    assert f"<wsd:XAddrs>http://{SHOWN}.1:5357/" in directed
    assert " 200 " in metadata
    assert "<pub:Computer>ATTIC/Workgroup:LAB</pub:Computer>" in metadata
    assert "boxes &amp; files" in metadata


def test_it_answers_over_ipv6_as_well(discovery: Running) -> None:
    """By the link-local address, as Windows prefers it."""
    answers = asked("wsd@shown1", "--beside", "wsd@hidden1")
    assert answers["wsd@hidden1"] == []
    matches, where, directed, metadata = (answers["wsd@shown1"][n] for n in (0, -3, -2, -1))
    assert matches.startswith("fe80::")
    assert "ProbeMatches" in matches
    for told in (where, directed):
        assert re.search(r"<wsd:XAddrs>http://\[fe80:[^]]*\]:5357/", told)
    assert " 200 " in metadata
    assert "<pub:Computer>ATTIC/Workgroup:LAB</pub:Computer>" in metadata


def test_time_machine_hears_of_the_place_for_backups(discovery: Running) -> None:
    told = asked(f"mdns@{SHOWN}.2")[f"mdns@{SHOWN}.2"]
    assert all(answer.startswith(f"{SHOWN}.1 ") for answer in told)
    records = next(answer for answer in told if "adVN=" in answer)
    assert "dk0=adVN=backups,adVF=0x82,adVU=" in records
    assert "sys=waMa=0,adVF=0x100" in records


def test_on_other_wires_it_is_silent(discovery: Running) -> None:
    answers = asked(
        f"wsd@{SHOWN}.2", f"mdns@{SHOWN}.2", "--beside", f"wsd@{HIDDEN}.2", f"mdns@{HIDDEN}.2"
    )
    assert answers[f"wsd@{HIDDEN}.2"] == answers[f"mdns@{HIDDEN}.2"] == []
    for way in ("wsd", "mdns"):
        assert not [each for each in answers[f"{way}@{SHOWN}.2"] if HIDDEN in each]
    web = [sys.executable, "-c", f"import socket; socket.create_connection(('{HIDDEN}.1', 5357))"]
    knocking = Running(THERE, *web)
    said, _ = knocking.process.communicate()
    assert b"ConnectionRefusedError" in said


def test_each_way_is_switched_off_by_its_parameter(discovery: Running, tmp_path: Path) -> None:
    """`ws discovery`, `multicast dns register`; a SIGHUP is a reload."""
    configuration, shown = tmp_path / "ksmbd.conf", f"{SHOWN}.2"
    for line, left, on, off in (
        ("ws discovery = no", "mDNS", f"mdns@{shown}", f"wsd@{shown}"),
        ("multicast dns register = no", "WS-Discovery", f"wsd@{shown}", f"mdns@{shown}"),
    ):
        configuration.write_text(CONF.replace("[global]\n", f"[global]\n    {line}\n"))
        discovery.process.send_signal(signal.SIGHUP)
        discovery.read_until(rf"shown by {left}\n")
        assert asked(on, "--beside", off)[off] == []
