"""Users' quotas by smbcquotas: what administrators set and everybody sees."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.clients import program
from tests.interop.test_blocked import may_have_a_network_of_its_own
from tests.support.live import ROOT

NONE = str((1 << 64) - 1)


@pytest.mark.interop
def test_smbcquotas_sets_lists_and_shows(real_folder: Path) -> None:
    program("smbcquotas")
    if not may_have_a_network_of_its_own():
        pytest.skip("only root may make a network namespace, and smbcquotas knows port 445 alone")
    alone = ["unshare", "--net", sys.executable, "-m", "tests.interop.quotas", str(real_folder)]
    ran = subprocess.run(alone, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    answers = [
        re.sub(r"S-1-5-21-\d+-\d+-\d+-", "user ", re.sub(r" +", " ", answer))
        for answer in ran.stdout.strip().split("\n\n")
    ]
    set_, shown, set_other, listed, *volumes, listed_then, own, own_shown = answers[:11]
    other, bin_ = "user 5001: 0/ 1048576/ 4194304", f"user 2: 0/{NONE}/ 2097152"
    root = f"S-1-22-1-0 : 0/{NONE}/{NONE}"  # in whose record the default limits are
    assert (set_, shown, set_other) == (other, other, bin_)
    assert sorted(listed.splitlines()) == sorted([other, bin_])
    assert sorted(listed_then.splitlines()) == sorted([other, bin_, root])
    for volume, denies in zip(volumes, ("On", "Off", "Off", "On"), strict=True):
        for told in ("Soft Limit: 2097152", "Hard Limit: 4194304", "Quotas Enabled: On"):
            assert told in volume
        assert f"Deny Disk: {denies}" in volume
    assert (own, own_shown) == (bin_, bin_)
    assert answers[11:] == [
        "NT_STATUS_ACCESS_DENIED cli_get_user_quota S-1-22-1-5001",
        "NT_STATUS_ACCESS_DENIED cli_set_user_quota bin",
        "NT_STATUS_ACCESS_DENIED cli_set_fs_quota_info",
    ]
