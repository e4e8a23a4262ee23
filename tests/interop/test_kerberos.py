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

HOST = "server.ksmbd.test"  # a name alone: clients are told the address


@pytest.fixture(scope="module")
def kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kdc]:
    with Kdc(tmp_path_factory.mktemp("kdc")) as running:
        running.add_user("tester", PASSWORD)
        running.add_user("stranger", PASSWORD)
        for host in (HOST, "localhost"):  # smbclient asks for no ticket of "localhost"
            running.add_service(f"cifs/{host}", running.folder / "server.keytab")
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
    }
    shares = [LiveShare("share", folder / "share", {"read only": "no"})]
    return LiveServer(folder, shares=shares, globals_=globals_, environment=kdc.environment)


def smbclient(server: LiveServer, environment: dict[str, str], script: str, *more: str) -> Answer:
    return run(
        [
            *(program("smbclient"), f"//{HOST}/share", "-p", str(server.port), "-I", "127.0.0.1"),
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


def smbprotocol(kdc: Kdc, ticket: dict[str, str], server: LiveServer, work: str) -> str:
    """Run *work* in a process that has the ticket and a session; what it printed."""
    script = f"""\
import smbclient
port = {server.port}
smbclient.register_session("localhost", username="tester@{REALM}", port=port,
                           auth_protocol="kerberos")
{work}"""
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
    return done.stdout.strip()


def test_a_session_ends_with_its_ticket(kdc: Kdc, server: LiveServer, tmp_path: Path) -> None:
    ticket = kdc.log_on("tester", PASSWORD, tmp_path / "cache", "-l", "4s")
    # it asks until it is refused; the time a ticket lives is the point of the test
    work = """\
import time
from smbprotocol.exceptions import SMBOSError
end = time.monotonic() + 30
status = 0
while not status and time.monotonic() < end:
    try:
        smbclient.stat(r"\\\\localhost\\share", port=port)
        time.sleep(0.2)
    except SMBOSError as refused:
        status = refused.ntstatus
print(hex(status))
"""
    assert smbprotocol(kdc, ticket, server, work) == "0xc000035c"


def test_smbprotocol_logs_on(kdc: Kdc, server: LiveServer, tmp_path: Path) -> None:
    ticket = kdc.log_on("tester", PASSWORD, tmp_path / "cache")
    work = """\
with smbclient.open_file(r"\\\\localhost\\share\\k.txt", mode="w", port=port) as f:
    f.write("by ticket")
print(smbclient.stat(r"\\\\localhost\\share\\k.txt", port=port).st_size)
"""
    assert smbprotocol(kdc, ticket, server, work) == "9"
