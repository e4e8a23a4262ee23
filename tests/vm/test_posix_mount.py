"""Special files, the POSIX extensions, access lists, attributes and storage with the Linux kernel's
own client.

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

from ksmbd.vfs.posix_acl import USER, unpack
from tests.support.live import LiveServer, LiveShare
from tests.vm.machine import Ended, run_client

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

SCRIPT: Final = Path(__file__).with_name("posix-client.sh")
POSIX: Final = "posix,nomapposix"  # else the client writes reserved characters as private ones
STORED: Final = "cifsacl,modefromsid"  # on the share that stores access lists
BODIES: Final = {  # of the script, by mount options
    "reparse=nfs": ["special"],
    "reparse=wsl": ["special"],
    POSIX: ["special", "posix", "storage"],
    "cifsacl": ["rights"],
    STORED: ["stored_rights", "modes"],
}
OTHER: Final = 54321  # a Unix id that nobody has
FOREIGN: Final = "S-1-5-21-1-2-3-4"
MIB: Final = 1 << 20
GUEST_S: Final = 600.0


def checks(options: str) -> list[str]:
    """What the guest does with a set of options, in its order."""
    text = SCRIPT.read_text()
    found = dict(re.findall(r"^(\w+)\(\) \{\n(.*?)^\}", text, re.M | re.S))
    bodies = [found[name] for name in BODIES[options]]
    return ["mount", *re.findall(r"^    check ([\w-]+)", "".join(bodies), re.M)]


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    folder = real_folder / "posix-vm"
    folder.mkdir()
    share = LiveShare("share", folder / "share", {"read only": "no"})
    disk = share.path / "disk"
    disk.mkdir(parents=True)
    (disk / "link").symlink_to("../a/b")
    os.mkfifo(disk / "fifo")
    stores = {"read only": "no", "vfs objects": "acl_xattr"}
    stored = LiveShare("stored", folder / "stored", stores)
    with LiveServer(folder, shares=[share, stored]) as made:
        yield made


@pytest.fixture(scope="module")
def guest(server: LiveServer) -> Ended:
    """The guest's one run."""
    return run_client(
        SCRIPT,
        GUEST_S,
        server.port,
        SHARE="share",
        OPTION_SETS=list(BODIES),
        STORED="stored",
        OTHER=str(OTHER),
        FOREIGN=FOREIGN,
    )


def test_the_guest_ran_to_the_end(guest: Ended) -> None:
    assert guest.status == 0, f"{guest.output}\n{guest.console[-3000:]}"
    assert guest.output.endswith("done\n")


@pytest.mark.parametrize("options", BODIES)
def test_every_check_passes(guest: Ended, server: LiveServer, options: str) -> None:
    lines = [line for line in guest.output.splitlines() if f" {options} " in f"{line} "]
    failed = [line for line in lines if line.startswith("FAIL ")]
    assert failed == [], f"{guest.dmesg[-2000:]}\n{server.tail()}"
    assert [line.split()[2] for line in lines if line.startswith("ok ")] == checks(options)


@pytest.mark.parametrize(("options", "count"), [(POSIX, 6), (STORED, 4)])
def test_what_the_guest_sees_is_what_lies_on_the_disk(
    guest: Ended, server: LiveServer, options: str, count: int
) -> None:
    told = re.findall(rf"^stat {options} (\d+) (\d+) (\d+) (.+)$", guest.output, re.M)
    assert len(told) == count
    for mode, links, size, name in told:
        st = os.stat(on_disk(server, options) / name)
        expected = (int(mode, 8), int(links), int(size) if stat.S_ISREG(st.st_mode) else st.st_size)
        assert (stat.S_IMODE(st.st_mode), st.st_nlink, st.st_size) == expected, name


def on_disk(server: LiveServer, options: str) -> Path:
    share = "stored" if options == STORED else "share"
    return server.path(share) / re.sub("[,=]", "-", options)


def test_an_access_list_is_a_posix_acl_on_the_disk(guest: Ended, server: LiveServer) -> None:
    folder = on_disk(server, "cifsacl")
    acl = unpack(os.getxattr(folder / "file", "system.posix_acl_access"))
    assert [(entry.id, entry.perms) for entry in acl if entry.tag == USER] == [(OTHER, 7)]
    for name, mode in (("file", 0o775), ("cut", 0o500), ("changed", 0o640)):
        assert stat.S_IMODE(os.stat(folder / name).st_mode) == mode, name


def test_extended_attributes_lie_on_the_disk(guest: Ended, server: LiveServer) -> None:
    path = on_disk(server, POSIX) / "eas"
    assert os.getxattr(path, "user.color") == b"blue"
    assert "user.gone" not in os.listxattr(path)


def test_what_is_punched_out_is_free_on_the_disk(guest: Ended, server: LiveServer) -> None:
    folder = on_disk(server, POSIX)
    for name, size, most in (("punched", 8, 4), ("zeroed", 8, 8), ("reserved", 3, 3)):
        st = os.stat(folder / name)
        assert (st.st_size, st.st_blocks * 512 <= most * MIB + 65536) == (size * MIB, True), name
    assert os.stat(folder / "cut").st_size == 8 * MIB - 65536
