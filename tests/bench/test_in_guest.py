"""bench/in_guest.py: the same command, in a guest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bench import in_guest, scale
from tests.vm.machine import Ended


@pytest.mark.parametrize(("status", "told"), [(0, 0), (3, 3), (None, 1)])
def test_the_guest_gets_the_numbers_and_its_status_is_ours(
    status: int | None,
    told: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ran: list[tuple[str, Mapping[str, bytes], int]] = []

    def run_script(
        script: str, _timeout_s: float, files: Mapping[str, bytes], _guest: Any, memory_mib: int
    ) -> Ended:
        ran.append((script, files, memory_mib))
        return Ended(status, "a table\n", "", "the console")

    monkeypatch.setattr(in_guest.system, "built", lambda: None)
    monkeypatch.setattr(in_guest, "sources", lambda: b"a tar")
    monkeypatch.setattr(in_guest.machine, "run_script", run_script)
    assert scale.main(["--guest", "--opens", "7", "--memory", "2000"]) == told
    ((script, files, memory),) = ran
    assert "--opens=7" in script.splitlines()[-1]
    assert "--files=1000000" in script.splitlines()[-1]
    assert (files, memory) == ({"sources.tar": b"a tar"}, 2000)
    shown = capsys.readouterr()
    assert shown.out == "a table\n"
    assert ("the console" in shown.err) is (status is None)
