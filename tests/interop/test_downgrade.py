"""Real clients, and somebody between them and the server who would like weaker protection.

The same through the engine, field by field: tests/server/test_downgrade.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import pytest
from smbprotocol.connection import Connection, Dialects
from smbprotocol.exceptions import SMBException
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from tests.interop import torture
from tests.interop.clients import SmbClient, program
from tests.interop.proxy import Change, Proxy
from tests.support.live import PASSWORD, ROOT, LiveServer
from tests.support.peers import Peer

pytestmark = pytest.mark.interop

HEADER: Final = 4 + 64  # the length before the message, and its header
CONTENT: Final = b"pay one hundred to alice\n" * 8
FORGED: Final = CONTENT.replace(b"alice", b"mallo")
SEALED: Final = "--client-protection=encrypt"
SIGNING: Final = "--option=client signing=required"


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    """As it comes out of the box."""
    folder = real_folder / "defaults"
    folder.mkdir()
    with LiveServer(folder) as running:
        yield running


@pytest.fixture(scope="module")
def strict(real_folder: Path) -> Iterator[LiveServer]:
    folder = real_folder / "strict-signing"
    folder.mkdir()
    globals_ = {
        "server signing": "mandatory",
        "server min protocol": "SMB3_00",
        "server max protocol": "SMB3_11",
        "server smb3 signing algorithms": "AES-128-CMAC HMAC-SHA256",
        "server smb3 encryption algorithms": "AES-256-GCM AES-128-GCM",
        "map to guest": "bad user",
    }
    with LiveServer(folder, globals_=globals_) as running:
        yield running


def sessions(server: LiveServer) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "control", "--run-dir", str(server.run_folder)]
    done = subprocess.run(
        [*command, "status", "--json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return cast(list[dict[str, Any]], json.loads(done.stdout)["sessions"])


# -- what somebody in the middle does ----------------------------------------------------


def is_negotiate(data: bytearray) -> bool:
    return data[4:8] == b"\xfeSMB" and data[16:18] == b"\0\0"


def no_3_1_1(data: bytearray, by_client: bool) -> None:
    """The client seems to know 3.0.2 at best, which protects its NEGOTIATE less."""
    if by_client and is_negotiate(data):
        offered = b"\x00\x03\x02\x03\x11\x03"
        assert offered in data
        data[:] = data.replace(offered, b"\x00\x03\x02\x03\x02\x03")


def weakest_cipher(data: bytearray, by_client: bool) -> None:
    """The client seems to know AES-128-CCM alone."""
    if by_client and is_negotiate(data):
        context = data.index(b"\x02\x00\x0a\x00\0\0\0\0\x04\x00") + 10
        data[context : context + 8] = b"\x01\x00" * 4


def no_signing_needed(data: bytearray, by_client: bool) -> None:
    """The server seems to leave signing to the client."""
    if not by_client and is_negotiate(data):
        data[HEADER + 2] &= ~2


def forged(data: bytearray, by_client: bool) -> None:
    if by_client:
        data[:] = data.replace(CONTENT, FORGED)


@pytest.mark.parametrize("change", [no_3_1_1, weakest_cipher, no_signing_needed])
@pytest.mark.parametrize("options", [(), (SIGNING,), (SEALED,)])
def test_a_changed_negotiation_leaves_no_connection(
    strict: LiveServer, change: Change, options: tuple[str, ...]
) -> None:
    client = SmbClient(strict, options)
    client.ok("ls")
    with Proxy(strict.port, change=change) as proxy:
        answer = SmbClient(cast(Peer, proxy), options).run("ls")
    assert answer.status != 0, answer.text


def test_the_server_notices_what_the_client_of_3_0_2_says_it_had_sent(server: LiveServer) -> None:
    """VALIDATE_NEGOTIATE_INFO: the client asked for 3.1.1, and the server saw no such thing."""
    with Proxy(server.port, change=no_3_1_1) as proxy:
        connection = Connection(uuid.uuid4(), proxy.host, proxy.port)
        connection.connect()
        assert connection.dialect == Dialects.SMB_3_0_2
        session = Session(connection, "tester", PASSWORD, require_encryption=False)
        session.connect()
        with pytest.raises((SMBException, OSError)):
            TreeConnect(session, rf"\\{proxy.host}\share").connect()
        connection.disconnect(close=False)


@pytest.mark.parametrize("options", [(SIGNING,), (SIGNING, "-m", "SMB2_10")])
def test_what_is_signed_cannot_be_changed(
    server: LiveServer, tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "order").write_bytes(CONTENT)
    with Proxy(server.port, change=forged) as proxy:
        client = SmbClient(cast(Peer, proxy), options, folder=tmp_path)
        assert "NT_STATUS_ACCESS_DENIED" in client.run("put order")
        seen = proxy.seen()
    assert FORGED in seen
    assert FORGED not in (server.path() / "order").read_bytes()


# -- what today's clients demand ---------------------------------------------------------


@pytest.mark.parametrize("dialect", ["SMB2_02", "SMB2_10", "SMB3_00", "SMB3_02", "SMB3_11"])
def test_signing_can_be_demanded_out_of_the_box(
    server: LiveServer, tmp_path: Path, dialect: str
) -> None:
    """Windows 11 24H2 does, of every server."""
    (tmp_path / "local").write_bytes(CONTENT)
    client = SmbClient(server, (SIGNING, "-m", dialect), folder=tmp_path)
    client.ok("put local; get local back; ls; del local")
    assert (tmp_path / "back").read_bytes() == CONTENT


@pytest.mark.parametrize("user", ["stranger", ""])
def test_nobody_is_let_in_as_a_guest_out_of_the_box(server: LiveServer, user: str) -> None:
    """It would not want to be one."""
    answer = SmbClient(server, user=user, password="" if not user else "x").run("ls")
    assert answer.status != 0
    assert "NT_STATUS_LOGON_FAILURE" in answer or "NT_STATUS_ACCESS_DENIED" in answer


# -- what the administrator demands ------------------------------------------------------


def test_where_signing_is_mandatory_the_server_s_first_choice_is_used(strict: LiveServer) -> None:
    connection = Connection(uuid.uuid4(), strict.host, strict.port, require_signing=False)
    connection.connect()
    session = Session(connection, "tester", PASSWORD, require_encryption=False)
    session.connect()
    TreeConnect(session, rf"\\{strict.host}\share").connect()
    (row,) = [row for row in sessions(strict) if row["id"] == f"{session.session_id:#x}"]
    assert (row["dialect"], row["signed"], row["sealed"]) == ("3.1.1", "AES-128-CMAC", "")
    assert row["signing_required"]
    connection.disconnect()


def test_smbtorture_finds_its_session_signed_where_it_is_mandatory(strict: LiveServer) -> None:
    """The one case of smb2.session-require-signing, which needs such a server."""
    program("smbtorture")
    target = torture.Target(strict.host, strict.port, "share", "tester", PASSWORD)
    result = torture.run_case(target, "smb2.session-require-signing.bug15397")
    assert result.passed, result.reason


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (("-m", "SMB2_10"), 1),
        (("-m", "SMB3_00"), 0),
        (("--option=client smb3 signing algorithms=AES-128-GMAC AES-128-CMAC",), 0),
        ((SEALED, "--option=client smb3 encryption algorithms=AES-128-CCM"), 1),
        ((SEALED, "--option=client smb3 encryption algorithms=AES-128-GCM"), 0),
    ],
)
def test_what_is_not_on_the_server_s_lists_is_not_spoken(
    strict: LiveServer, options: tuple[str, ...], status: int
) -> None:
    assert SmbClient(strict, options).run("ls").status == status


def test_a_guest_cannot_sign_and_is_refused_where_it_is_mandatory(strict: LiveServer) -> None:
    answer = SmbClient(strict, user="stranger", password="x").run("ls")
    assert answer.status != 0
    assert "NT_STATUS_" in answer
