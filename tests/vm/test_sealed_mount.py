"""Encryption with the Linux kernel's own client: dialects, 256 bits, what a share demands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.live import LiveServer, LiveShare
from tests.vm.machine import Ended, run_client

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

SCRIPT: Final = Path(__file__).with_name("sealed-client.sh")
GUEST_S: Final = 600.0
EACCES: Final = 13
WRITABLE: Final = {"read only": "no"}
# share, options and, with 256, require_gcm_256 -> cipher and whether the tree is encrypted
MOUNTS: Final = {
    "share vers=3.1.1,seal": "AES-128-GCM 1",
    "share vers=3.02,seal": "AES-128-CCM 1",
    "share vers=3.0,seal": "AES-128-CCM 1",
    "share vers=3.1.1,seal 256": "AES-256-GCM 1",
    "vault vers=3.1.1": "AES-128-GCM 1",
    "vault vers=3.0": "AES-128-CCM 1",
    "share vers=3.1.1": "none 0",
}
REFUSED: Final = {"vault vers=2.1": EACCES}


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    folder = real_folder / "sealed-vm"
    folder.mkdir()
    shares = [
        LiveShare("share", folder / "share", WRITABLE),
        LiveShare("vault", folder / "vault", {**WRITABLE, "smb encrypt": "required"}),
    ]
    with LiveServer(folder, shares=shares) as made:
        yield made


@pytest.fixture(scope="module")
def guest(server: LiveServer) -> Ended:
    """The guest's one run."""
    return run_client(SCRIPT, GUEST_S, server.port, MOUNTS=(*MOUNTS, *REFUSED))


def test_the_guest_ran_to_the_end(guest: Ended) -> None:
    assert guest.status == 0, f"{guest.output}\n{guest.console[-3000:]}"
    assert guest.output.endswith("done\n")


@pytest.mark.parametrize("mount", MOUNTS)
def test_the_kernel_agrees_on_the_cipher_and_its_bytes_arrive(guest: Ended, mount: str) -> None:
    lines = guest.output.splitlines()
    assert f"mounted {mount}: {MOUNTS[mount]}" in lines, guest.output
    assert f"same {mount}" in lines, guest.dmesg[-2000:]


@pytest.mark.parametrize("mount", REFUSED)
def test_a_dialect_that_cannot_encrypt_is_refused(guest: Ended, mount: str) -> None:
    assert f"refused {mount}: {REFUSED[mount]}" in guest.output.splitlines(), guest.output
