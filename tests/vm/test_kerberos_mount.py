"""Kerberos with the Linux kernel's own client: a ticket instead of a password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.interop.kerberos import HOST, started
from tests.support.kdc import Kdc
from tests.support.live import PASSWORD
from tests.vm.machine import HOST as ADDRESS
from tests.vm.machine import Ended, run_client

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

SCRIPT: Final = Path(__file__).with_name("kerberos-client.sh")
GUEST_S: Final = 600.0
ENOKEY: Final = 126
# options and, with 256, require_gcm_256 -> security type, cipher and whether the tree is encrypted
MOUNTS: Final = {
    "sec=krb5,vers=3.1.1": "Kerberos none 0",
    "sec=krb5i,vers=3.1.1": "Kerberos none 0",
    "sec=krb5i,vers=2.1": "Kerberos none 0",
    "sec=krb5,vers=3.1.1,seal": "Kerberos AES-128-GCM 1",
    "sec=krb5,vers=3.1.1,seal 256": "Kerberos AES-256-GCM 1",
    "sec=krb5,vers=3.0,seal": "Kerberos AES-128-CCM 1",
}


class Run(NamedTuple):
    """What the guest printed and what the server logged."""

    ended: Ended
    log: str


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, real_folder: Path) -> Iterator[Run]:
    """The guest's one run."""
    folder = tmp_path_factory.mktemp("kdc")
    with Kdc(folder) as kdc:
        kdc.add_user("tester", PASSWORD)
        kdc.add_service(f"cifs/{HOST}", folder / "server.keytab")
        ticket = kdc.log_on("tester", PASSWORD, folder / "ccache")
        kdc.get_ticket(f"cifs/{HOST}", ticket)
        files = {name: (folder / name).read_bytes() for name in ("krb5.conf", "ccache")}
        with started(kdc, real_folder / "kerberos-vm", folder / "server.keytab") as server:
            ended = run_client(
                SCRIPT, GUEST_S, server.port, files, HOST=HOST, ADDRESS=ADDRESS, MOUNTS=MOUNTS
            )
            yield Run(ended, server.log_text())


def test_the_guest_ran_to_the_end(run: Run) -> None:
    assert run.ended.status == 0, f"{run.ended.output}\n{run.ended.console[-3000:]}"
    assert run.ended.output.endswith("done\n")


@pytest.mark.parametrize("mount", MOUNTS)
def test_the_kernel_mounts_with_a_ticket_and_its_bytes_arrive(run: Run, mount: str) -> None:
    lines = run.ended.output.splitlines()
    assert f"mounted {mount}: {MOUNTS[mount]}" in lines, f"{run.ended.output}\n{run.log}"
    assert f"same {mount}" in lines, run.ended.dmesg[-2000:]


def test_without_a_ticket_there_is_no_mount(run: Run) -> None:
    assert f"refused sec=krb5 without a ticket: {ENOKEY}" in run.ended.output, run.ended.output
