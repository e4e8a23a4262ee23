"""Kerberos with a real KDC: smbclient and smbprotocol log on without a password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.clients import program, run
from tests.interop.kerberos import FOUR_SECONDS, HOST, smbclient, smbprotocol, started
from tests.support.kdc import REALM, Kdc
from tests.support.live import PASSWORD, LiveServer

pytestmark = pytest.mark.interop


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


def with_session(work: str, server: LiveServer, before: str = "") -> str:
    """A script that has a session as ``smbclient``, and its port."""
    return f"""\
import smbclient
{before}
port = {server.port}
smbclient.register_session("localhost", username="tester@{REALM}", port=port,
                           auth_protocol="kerberos")
{work}"""


def test_a_session_ends_with_its_ticket(kdc: Kdc, server: LiveServer, tmp_path: Path) -> None:
    ticket = {"KRB5CCNAME": f"FILE:{tmp_path}/cache"}
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
    script = with_session(work, server, FOUR_SECONDS)
    assert smbprotocol(kdc, ticket, script) == "0xc000035c"


def test_smbprotocol_logs_on(kdc: Kdc, server: LiveServer, tmp_path: Path) -> None:
    ticket = kdc.log_on("tester", PASSWORD, tmp_path / "cache")
    work = """\
with smbclient.open_file(r"\\\\localhost\\share\\k.txt", mode="w", port=port) as f:
    f.write("by ticket")
print(smbclient.stat(r"\\\\localhost\\share\\k.txt", port=port).st_size)
"""
    assert smbprotocol(kdc, ticket, with_session(work, server)) == "9"
