"""Special files and the POSIX extensions with the Linux kernel's own client.

One boot serves all mount options: every check of every set is one line of the guest's output.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.live import LiveServer, LiveShare
from tests.vm.machine import Ended, run_client

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

SCRIPT: Final = Path(__file__).with_name("posix-client.sh")
POSIX: Final = "posix,nomapposix"  # else the client writes reserved characters as private ones
OPTION_SETS: Final = ["reparse=nfs", "reparse=wsl", POSIX]
GUEST_S: Final = 600.0


def checks(options: str) -> list[str]:
    """What the guest does with a set of options, in its order."""
    text = SCRIPT.read_text()
    bodies = dict(re.findall(r"^(special|posix)\(\) \{\n(.*?)^\}", text, re.M | re.S))
    wanted = ["mount", *re.findall(r"^    check ([\w-]+)", bodies["special"], re.M)]
    if "posix" in options:
        wanted += re.findall(r"^    check ([\w-]+)", bodies["posix"], re.M)
    return wanted


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    folder = real_folder / "posix-vm"
    folder.mkdir()
    share = LiveShare("share", folder / "share", {"read only": "no"})
    disk = share.path / "disk"
    disk.mkdir(parents=True)
    (disk / "link").symlink_to("../a/b")
    os.mkfifo(disk / "fifo")
    with LiveServer(folder, shares=[share]) as made:
        yield made


@pytest.fixture(scope="module")
def guest(server: LiveServer) -> Ended:
    """The guest's one run."""
    return run_client(SCRIPT, GUEST_S, server.port, SHARE="share", OPTION_SETS=OPTION_SETS)


def test_the_guest_ran_to_the_end(guest: Ended) -> None:
    assert guest.status == 0, f"{guest.output}\n{guest.console[-3000:]}"
    assert guest.output.endswith("done\n")


@pytest.mark.parametrize("options", OPTION_SETS)
def test_every_check_passes(guest: Ended, server: LiveServer, options: str) -> None:
    lines = [line for line in guest.output.splitlines() if f" {options} " in f"{line} "]
    failed = [line for line in lines if line.startswith("FAIL ")]
    assert failed == [], f"{guest.dmesg[-2000:]}\n{server.tail()}"
    assert [line.split()[2] for line in lines if line.startswith("ok ")] == checks(options)


def test_what_the_guest_sees_is_what_lies_on_the_disk(guest: Ended, server: LiveServer) -> None:
    told = re.findall(rf"^stat {POSIX} (\d+) (\d+) (\d+) (.+)$", guest.output, re.M)
    assert len(told) == 6
    folder = server.path() / POSIX.replace(",", "-")
    for mode, links, size, name in told:
        st = os.stat(folder / name)
        found = (f"{stat.S_IMODE(st.st_mode):o}", str(st.st_nlink), str(st.st_size))
        assert found == (mode, links, size), name
