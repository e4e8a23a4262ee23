"""Channels that die silently: smbtorture blocks them with iptables, in a network of its own."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.interop.clients import program
from tests.support.debs import ensure, run_inside
from tests.support.live import ROOT

# Those of the same kind that wait for the 35 seconds of a break, or give the server a second for
# its answer, are left out: they tell of this machine's load.
CASES: Final = (
    "smb2.multichannel.oplocks.test2",
    "smb2.multichannel.bugs.bug_15346",
)


@pytest.fixture
def iptables(tmp_path: Path) -> Path:
    """One command that smbtorture can call."""
    root = ensure("iptables", "closure", ["iptables"])
    command = run_inside(root, root / "usr/sbin/xtables-nft-multi", "iptables")
    path = tmp_path / "iptables"
    plugins = root / "usr/lib/x86_64-linux-gnu/xtables"
    path.write_text(f'#!/bin/sh\nXTABLES_LIBDIR={plugins} exec {shlex.join(command)} "$@"\n')
    path.chmod(0o755)
    return path


def may_have_a_network_of_its_own() -> bool:
    command = ["unshare", "--net", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.interop
@pytest.mark.timeout(300)
def test_blocked_channels_are_found_out_and_others_used(real_folder: Path, iptables: Path) -> None:
    program("smbtorture")
    if not may_have_a_network_of_its_own():
        pytest.skip("only root may make a network namespace")
    folder = real_folder / "blocked"
    folder.mkdir()
    alone = ["unshare", "--net", sys.executable, "-m", "tests.interop.blocked"]
    ran = subprocess.run(
        [*alone, str(folder), str(iptables), *CASES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts = {line.split("\t")[1]: line for line in ran.stdout.splitlines() if "\t" in line}
    assert [case for case in CASES if "\tsuccess\t" not in verdicts.get(case, "")] == [], (
        f"{ran.stdout}\n{ran.stderr[-2000:]}"
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
