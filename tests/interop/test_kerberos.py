"""Kerberos with a real KDC: smbclient and smbprotocol log on without a password."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.clients import Answer, program, run
from tests.support.kdc import REALM, Kdc
from tests.support.live import PASSWORD, ROOT, LiveServer, LiveShare

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kdc]:
    with Kdc(tmp_path_factory.mktemp("kdc")) as running:
        running.add_user("tester", PASSWORD)
        running.add_user("stranger", PASSWORD)
        running.add_service("cifs/localhost", running.folder / "server.keytab")
        running.add_service("cifs/elsewhere", running.folder / "elsewhere.keytab")
        yield running


@pytest.fixture(scope="module")
def server(kdc: Kdc, real_folder: Path) -> Iterator[LiveServer]:
    with started(kdc, real_folder / "kerberos", kdc.folder / "server.keytab") as running:
        yield running


def started(kdc: Kdc, folder: Path, keytab: Path) -> LiveServer:
    folder.mkdir()
    globals_ = {
        "kerberos support": "yes",
        "kerberos keytab file": str(keytab),
        "kerberos service name": "cifs/localhost",
    }
    if "elsewhere" in keytab.name:
        globals_["kerberos service name"] = "cifs/elsewhere"
    shares = [LiveShare("share", folder / "share", {"read only": "no"})]
    return LiveServer(folder, shares=shares, globals_=globals_, environment=kdc.environment)


def smbclient(server: LiveServer, environment: dict[str, str], script: str, *more: str) -> Answer:
    return run(
        [
            *(program("smbclient"), "//localhost/share", "-p", str(server.port), "-I", "127.0.0.1"),
            *("--use-kerberos=required", f"--use-krb5-ccache={environment['KRB5CCNAME']}"),
            *more,
            *("-c", script),
        ],
        environment=environment,
    )


@pytest.mark.parametrize("dialect", ["SMB2_10", "SMB3_00", "SMB3_11"])
def test_a_ticket_logs_on(kdc: Kdc, server: LiveServer, tmp_path: Path, dialect: str) -> None:
    ticket = kdc.log_on("tester", PASSWORD, tmp_path / "cache")
    answer = smbclient(server, ticket, "mkdir d; ls; rmdir d", "-m", dialect)
    assert (answer.status, "NT_STATUS" in answer) == (0, False), answer.text


def test_the_sessions_key_comes_from_the_ticket(
    kdc: Kdc, server: LiveServer, tmp_path: Path
) -> None:
    ticket = kdc.log_on("tester", PASSWORD, tmp_path / "cache")
    required = "--option=client signing=required"
    assert smbclient(server, ticket, "ls", required).status == 0
    sealed = smbclient(server, ticket, "ls", "--client-protection=encrypt")
    assert sealed.status == 0, sealed.text


def test_ntlm_still_works_beside_it(server: LiveServer) -> None:
    answer = run(
        [
            *(program("smbclient"), server.unc(), "-p", str(server.port)),
            *("-U", f"tester%{PASSWORD}", "--use-kerberos=off", "-c", "ls"),
        ]
    )
    assert answer.status == 0, answer.text


def test_a_principal_without_an_account_is_refused(
    kdc: Kdc, server: LiveServer, tmp_path: Path
) -> None:
    ticket = kdc.log_on("stranger", PASSWORD, tmp_path / "cache")
    assert "NT_STATUS_LOGON_FAILURE" in smbclient(server, ticket, "ls")


def test_a_ticket_for_another_service_is_refused(
    kdc: Kdc, real_folder: Path, tmp_path: Path
) -> None:
    ticket = kdc.log_on("tester", PASSWORD, tmp_path / "cache")
    with started(kdc, real_folder / "elsewhere", kdc.folder / "elsewhere.keytab") as other:
        assert "NT_STATUS_LOGON_FAILURE" in smbclient(other, ticket, "ls")


def test_a_session_ends_with_its_ticket_and_is_renewed(
    kdc: Kdc, server: LiveServer, tmp_path: Path
) -> None:
    """smbclient waits beyond the ticket's life, meets the expiry, and gets through again."""
    ticket = kdc.log_on("tester", PASSWORD, tmp_path / "cache", "-l", "5s")
    answer = smbclient(server, ticket, "ls; !sleep 7; ls")
    assert "NT_STATUS_NETWORK_SESSION_EXPIRED" in answer, answer.text


def test_smbprotocol_logs_on(kdc: Kdc, server: LiveServer, tmp_path: Path) -> None:
    ticket = kdc.log_on("tester", PASSWORD, tmp_path / "cache")
    script = f"""\
import smbclient
smbclient.register_session("localhost", username="tester@{REALM}", port={server.port},
                           auth_protocol="kerberos")
with smbclient.open_file(r"\\\\localhost\\share\\k.txt", mode="w", port={server.port}) as f:
    f.write("by ticket")
print(smbclient.stat(r"\\\\localhost\\share\\k.txt", port={server.port}).st_size)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**kdc.environment, **ticket, "PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "9"
