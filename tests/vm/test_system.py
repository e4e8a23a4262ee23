"""The Debian package under systemd, in a guest that is a whole Debian: installed, used, killed,
hung, replaced by a newer one, stopped and removed, with the kernel's own client as its user.

One boot serves all: every check is one line of the guest's output.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from install.deb import build
from tests.vm import system
from tests.vm.machine import Ended, run_script

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]

SCRIPT: Final = Path(__file__).with_name("systemd.sh")
GUEST_S: Final = 900.0
CHECKS: Final = re.findall(r"^check ([\w-]+)", SCRIPT.read_text(), re.M)
NEWER: Final = "99.0"
# systemd-analyze security: from 0, nothing can be harmed, to 10
EXPOSURE: Final = {"ksmbd": 4.5, "ksmbd-mountd": 2.0, "ksmbd-discovery": 2.0}


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The guest's one run."""
    folder = tmp_path_factory.mktemp("debs")
    guest = system.built()
    package = build(folder)
    files = {
        "old.deb": package.read_bytes(),
        "new.deb": build(folder, NEWER).read_bytes(),
        "compiled.tar": system.compiled(package, folder / "unpacked"),
    }
    return run_script(SCRIPT.read_text(), GUEST_S, files, guest)


def value(guest: Ended, name: str) -> str:
    (found,) = re.findall(rf"^{name}: (.*)$", guest.output, re.M)
    return str(found).strip()


def test_the_guest_ran_to_the_end(guest: Ended) -> None:
    assert guest.status == 0, f"{guest.output}\n{guest.console[-3000:]}"
    assert guest.output.endswith("done\n")


@pytest.mark.parametrize("check", CHECKS)
def test_it_does_what_the_documents_say(guest: Ended, check: str) -> None:
    assert f"ok {check}" in guest.output.splitlines(), guest.output


def test_systemd_is_told_the_port(guest: Ended) -> None:
    assert value(guest, "status") == "Port 445"


def test_no_unit_has_failed(guest: Ended) -> None:
    assert value(guest, "system") == "running"
    assert value(guest, "failed") == ""


def test_the_last_word_about_a_wrong_password_names_client_and_account(guest: Ended) -> None:
    assert (
        value(guest, "logged")
        == "127.0.0.1: log-on refused: LOGON_FAILURE: \\alice: wrong password"
    )


@pytest.mark.parametrize("unit", EXPOSURE)
def test_a_unit_is_exposed_no_more_than_it_must_be(guest: Ended, unit: str) -> None:
    assert float(value(guest, f"exposure {unit}")) <= EXPOSURE[unit]
