"""The Linux kernel's own SMB client, in a guest, against the server on this machine's loopback.

One boot serves all mount options: every check of every set is one line of the guest's output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.clients import tree_checksums
from tests.support.live import LiveServer, LiveShare
from tests.support.peers import Peer
from tests.support.samba import SambaServer
from tests.vm.machine import Ended, run_client

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]

SCRIPT = Path(__file__).with_name("cifs-client.sh")
OPTION_SETS = ["vers=3.1.1", "vers=3.0", "vers=2.1", "vers=3.1.1,seal", "vers=3.1.1,sign"]
GUEST_S = 900.0
CHECKS = re.findall(r"^    check ([\w-]+)", SCRIPT.read_text(), re.M)
# what the client says when all is well
HARMLESS = re.compile(
    r"Attempting to mount|enabling forceuid|No dialect specified|Use of the less secure dialect"
    r"|automatically|serverino|VFS: Disk quotas"
)


@pytest.fixture(scope="module")
def peer(real_folder: Path, pytestconfig: pytest.Config) -> Iterator[Peer]:
    kind = SambaServer if pytestconfig.getoption("peer") == "samba" else LiveServer
    folder = real_folder / "vm"
    folder.mkdir()
    with kind(folder, shares=[LiveShare("share", folder / "share", {"read only": "no"})]) as server:
        yield server


@pytest.fixture(scope="module")
def guest(peer: Peer) -> Ended:
    """The guest's one run."""
    return run_client(SCRIPT, GUEST_S, peer.port, SHARE="share", OPTION_SETS=OPTION_SETS)


def test_the_guest_ran_to_the_end(guest: Ended) -> None:
    assert guest.status == 0, f"{guest.output}\n{guest.console[-3000:]}"
    assert guest.output.endswith("done\n")


@pytest.mark.parametrize("options", OPTION_SETS)
def test_every_check_passes(guest: Ended, peer: Peer, options: str) -> None:
    lines = [line for line in guest.output.splitlines() if f" {options} " in f"{line} "]
    failed = [line for line in lines if line.startswith("FAIL ")]
    assert failed == [], f"{guest.dmesg[-2000:]}\n{peer.tail()}"
    assert [line.split()[2] for line in lines if line.startswith("ok ")] == CHECKS


@pytest.mark.parametrize("options", OPTION_SETS)
def test_the_tree_on_the_servers_disk_is_what_the_guest_has(
    guest: Ended, peer: Peer, options: str
) -> None:
    told = {
        path: digest
        for digest, path in re.findall(
            rf"^sum {re.escape(options)} ([0-9a-f]{{64}}) (.+)$", guest.output, re.M
        )
    }
    folder = peer.path() / f"set-{OPTION_SETS.index(options) + 1}"
    found = tree_checksums(folder)
    assert len(told) > 50
    assert {path: found.get(path) for path in told} == told


def test_the_kernel_reports_no_error_of_the_client(guest: Ended) -> None:
    said = [line for line in guest.dmesg.splitlines() if re.search(r"CIFS|cifs", line)]
    assert said, "the client said nothing at all"
    assert [line for line in said if "VFS:" in line and not HARMLESS.search(line)] == []
