"""`kernel oplocks` with smbtorture: smb2.kernel-oplocks, which takes leases of its own, too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import torture
from tests.interop.clients import program
from tests.support.live import PASSWORD, LiveServer, open_share

pytestmark = pytest.mark.interop

SUITE = "smb2.kernel-oplocks"
OPTIONS = {
    "read only": "no",
    "create mask": "0777",
    "directory mask": "0777",
    "kernel oplocks": "yes",
}


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    """It acts as nobody in particular: leases on others' files need CAP_LEASE, and root has it."""
    folder = real_folder / "kernel-oplocks"
    share = open_share(folder, OPTIONS)
    unprivileged = {"default unix user": "nobody"} if os.geteuid() == 0 else {}
    with LiveServer(folder, shares=[share], globals_=unprivileged) as running:
        yield running


def test_smbtorture(server: LiveServer) -> None:
    program("smbtorture")
    target = torture.Target(
        *(server.host, server.port, "share", "tester", PASSWORD),
        options=(f"--option=torture:localdir={server.path()}",),
    )
    found = torture.run_suite(target, SUITE, server.path())
    assert len(found) == 8
    assert torture.judge(found, {}) == []
