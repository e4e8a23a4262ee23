"""Two of the Linux kernel's own clients on the same files, each caching all that its leases allow.

``nosharesock`` gives each mount a connection and a ClientGuid of its own: to the server they are
two machines.  What ``two_mounts.py`` asserts is what the protocol promises: a right to write is
given back before anybody else opens the file, and a right to read is taken away with a message
that nobody waits for.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.live import PASSWORD, LiveServer, LiveShare
from tests.support.peers import Peer
from tests.support.samba import SambaServer
from tests.vm.machine import HOST, Ended, run_script

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

PROGRAM: Final = Path(__file__).with_name("two_mounts.py")
CHECKS: Final = re.findall(r"^    (\w+),$", PROGRAM.read_text(), re.M)
GUEST_S: Final = 400.0
SCRIPT: Final = """\
cat >/tmp/two_mounts.py <<'END'
{program}
END
mkdir /a /b
for mount in /a /b; do
    mount -t cifs //{host}/share $mount -o {options} || exit 1
done
sed -n 's/.*ClientGUID: /guid /p' /proc/fs/cifs/DebugData
python3 /tmp/two_mounts.py /a /b
umount /a /b && echo done
"""
OPTIONS: Final = "vers=3.1.1,cache=strict,nosharesock,username=tester"


@pytest.fixture(scope="module")
def peer(real_folder: Path, pytestconfig: pytest.Config) -> Iterator[Peer]:
    kind = SambaServer if pytestconfig.getoption("peer") == "samba" else LiveServer
    folder = real_folder / "two-mounts"
    folder.mkdir()
    with kind(folder, shares=[LiveShare("share", folder / "share", {"read only": "no"})]) as server:
        yield server


@pytest.fixture(scope="module")
def guest(peer: Peer) -> Ended:
    """The guest's one run."""
    options = shlex.quote(f"{OPTIONS},port={peer.port},password={PASSWORD}")
    return run_script(
        SCRIPT.format(program=PROGRAM.read_text(), host=HOST, options=options), GUEST_S
    )


def test_the_guest_ran_to_the_end(guest: Ended) -> None:
    assert guest.status == 0, f"{guest.output}\n{guest.console[-3000:]}"
    assert guest.output.endswith("done\n"), guest.dmesg[-2000:]


def test_the_mounts_are_two_clients(guest: Ended) -> None:
    guids = re.findall(r"^guid (\S+)$", guest.output, re.M)
    assert len(set(guids)) == 2, guest.output


@pytest.mark.parametrize("check", CHECKS)
def test_both_see_the_same_files(guest: Ended, peer: Peer, check: str) -> None:
    said = [line for line in guest.output.splitlines() if check in line.split(":")[0].split()]
    assert f"ok {check}" in said, f"{said}\n{guest.dmesg[-2000:]}\n{peer.tail()}"
