"""systemd/: units that name what exists, and keep each daemon to what it needs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from ksmbd.__main__ import parser
from ksmbd.wire.ipc import RUN_DIR
from mountd.conf import SEARCH

FOLDER = Path(__file__).parents[1] / "systemd"
UNITS = ("ksmbd.service", "ksmbd-mountd.service", "ksmbd-discovery.service")


def settings(unit: str) -> dict[str, list[str]]:
    """Every ``Key=value`` of a unit; a key may stand several times."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", (FOLDER / unit).read_text(), re.M):
        found.setdefault(key, []).append(value)
    return found


def test_the_server_takes_the_options_of_its_unit() -> None:
    (command,) = settings("ksmbd.service")["ExecStart"]
    words = shlex.split(command)
    assert words[0] == "ksmbd"
    assert words.pop() == "$KSMBD_OPTIONS"
    # the account of the unit need not exist here
    chosen = parser().parse_args([word if word != "ksmbd" else "0" for word in words[1:]])
    assert str(chosen.run_dir) == RUN_DIR


def test_mountd_is_not_ordered_after_the_server_that_waits_for_it() -> None:
    ordered = " ".join(settings("ksmbd-mountd.service")["After"])
    assert "ksmbd.service" not in ordered
    assert settings("ksmbd.service")["Type"] == ["notify"]
    assert "ksmbd-mountd.service" in settings("ksmbd.service")["Wants"]


@pytest.mark.parametrize("unit", UNITS)
def test_any_place_of_the_configuration_will_do(unit: str) -> None:
    """With ``|`` one of the conditions is enough."""
    assert settings(unit)["ConditionPathExists"] == [f"|{path}" for path in SEARCH]


def test_mountd_runs_unprivileged() -> None:
    unit = settings("ksmbd-mountd.service")
    assert unit["User"] == ["ksmbd"]
    assert unit["CapabilityBoundingSet"] == [""]
    assert unit["NoNewPrivileges"] == ["yes"]
    assert unit["ProtectSystem"] == ["strict"]


def test_the_account_and_the_folders_of_the_units_are_declared() -> None:
    assert re.search(r"^u ksmbd ", (FOLDER / "ksmbd.sysusers").read_text(), re.M)
    declared = re.findall(r"^d (\S+)", (FOLDER / "ksmbd.tmpfiles").read_text(), re.M)
    assert settings("ksmbd-mountd.service")["ReadWritePaths"] == [" ".join(declared)]
    assert RUN_DIR in declared


def test_options_of_the_command_lines_are_the_administrators() -> None:
    offered = (FOLDER.parent / "install/ksmbd.default").read_text()
    for unit in ("ksmbd.service", "ksmbd-mountd.service"):
        (command,) = settings(unit)["ExecStart"]
        variable = command.rpartition("$")[2]
        assert f"\n{variable}=\n" in offered
        assert settings(unit)["EnvironmentFile"] == ["-/etc/default/ksmbd"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_no_fault(unit: str) -> None:
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(FOLDER / unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    # it looks for the programs too, which need not be installed here
    about = [line for line in checked.stderr.splitlines() if unit in line]
    assert [line for line in about if "not executable" not in line and "man" not in line] == []
