"""What the administrator demands of clients, and what somebody on the wire sees of it."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from smbprotocol.connection import Ciphers, Connection, Dialects
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from tests.interop.clients import SmbClient, checksum, make_file
from tests.interop.proxy import Proxy
from tests.support.live import PASSWORD, ROOT, LiveServer, LiveShare
from tests.support.peers import Peer

pytestmark = pytest.mark.interop

CIPHERS = ["AES-128-CCM", "AES-128-GCM", "AES-256-CCM", "AES-256-GCM"]
SEALED = "--client-protection=encrypt"
WRITABLE = {"read only": "no"}
CONTENT = b"the quick brown fox jumps over the lazy dog\n" * 200
NAME = "recognisable-name.txt"


def offering(cipher: str) -> str:
    return f"--option=client smb3 encryption algorithms={cipher}"


@pytest.fixture(scope="module")
def strict(real_folder: Path) -> Iterator[LiveServer]:
    """A server that wants every session encrypted."""
    folder = real_folder / "strict"
    folder.mkdir()
    shares = [LiveShare("share", folder / "share", WRITABLE)]
    with LiveServer(folder, shares=shares, globals_={"smb3 encryption": "required"}) as server:
        yield server


@pytest.fixture(scope="module")
def vault(real_folder: Path) -> Iterator[LiveServer]:
    """A server with one share that must be used encrypted, and one that should."""
    folder = real_folder / "vault"
    folder.mkdir()
    shares = [
        LiveShare("share", folder / "share", WRITABLE),
        LiveShare("vault", folder / "share", {**WRITABLE, "smb encrypt": "required"}),
        LiveShare("safe", folder / "share", {**WRITABLE, "server smb encrypt": "desired"}),
    ]
    with LiveServer(folder, shares=shares) as server:
        yield server


def sessions(server: LiveServer) -> list[dict[str, Any]]:
    """What ksmbd-control says of them."""
    done = subprocess.run(
        [sys.executable, "-m", "control", "--run-dir", str(server.run_folder), "status", "--json"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)["sessions"]  # type: ignore[no-any-return]


def transfer(client: SmbClient, size: int = 20_000_001) -> None:
    sent = make_file(client.folder / "sent", size)
    client.ok("put sent file; get file back; del file")
    assert checksum(client.folder / "back") == sent


@pytest.mark.parametrize("cipher", CIPHERS)
def test_large_files_arrive_whole_with_each_cipher(live: Peer, tmp_path: Path, cipher: str) -> None:
    transfer(SmbClient(live, [SEALED, offering(cipher)], folder=tmp_path))


@pytest.mark.parametrize("dialect", ["SMB3_00", "SMB3_02", "SMB3_11"])
def test_a_client_that_asks_for_nothing_is_made_to_encrypt(
    strict: LiveServer, tmp_path: Path, dialect: str
) -> None:
    transfer(SmbClient(strict, ["-m", dialect], folder=tmp_path), 1_000_001)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["-m", "SMB2_02"], id="2.0.2"),
        pytest.param(["-m", "SMB2_10"], id="2.1"),
        pytest.param(["-U", "%"], id="anonymous"),
        pytest.param(["-N"], id="no password"),
    ],
)
def test_a_client_that_cannot_is_refused(strict: LiveServer, options: list[str]) -> None:
    answer = SmbClient(strict, options).run("ls")
    assert answer.status != 0
    assert "NT_STATUS_" in answer


@pytest.mark.parametrize(("share", "status"), [("vault", 1), ("safe", 0), ("share", 0)])
def test_a_share_makes_its_clients_encrypt(
    vault: LiveServer, tmp_path: Path, share: str, status: int
) -> None:
    transfer(SmbClient(vault, share=share, folder=tmp_path), 1_000_001)
    assert SmbClient(vault, ["-m", "SMB2_10"], share=share).run("ls").status == status


@pytest.mark.parametrize(
    ("options", "share", "hidden", "path_hidden"),
    [
        ([], "share", False, False),
        (["--option=client signing=required"], "share", False, False),
        ([SEALED], "share", True, True),
        ([SEALED, "-m", "SMB3_00"], "share", True, True),
        ([], "vault", True, False),  # only its tree connect has told who must encrypt
        ([], "safe", True, False),
    ],
)
def test_the_wire_shows_neither_names_nor_content(
    vault: LiveServer,
    tmp_path: Path,
    options: list[str],
    share: str,
    hidden: bool,
    path_hidden: bool,
) -> None:
    seen = on_the_wire(vault, tmp_path, options, share)
    for secret in (NAME.encode("utf-16-le"), CONTENT[:44]):
        assert (secret in seen) is not hidden
    assert (b"\xfdSMB" in seen) is hidden
    path = rf"\\127.0.0.1\{share}".encode("utf-16-le")
    assert (path.lower() in seen.lower()) is not path_hidden


def test_a_session_that_must_be_encrypted_does_not_even_show_its_shares(
    strict: LiveServer, tmp_path: Path
) -> None:
    seen = on_the_wire(strict, tmp_path, [], "share").lower()
    for secret in ("share", NAME):
        assert secret.encode("utf-16-le") not in seen
    assert CONTENT[:44] not in seen


def on_the_wire(server: LiveServer, folder: Path, options: list[str], share: str) -> bytes:
    """All bytes of both directions of a session that uses a file."""
    (folder / "local").write_bytes(CONTENT)
    with Proxy(server.port) as proxy:
        client = SmbClient(cast(Peer, proxy), options, share=share, folder=folder)
        client.ok(f"put local {NAME}; get {NAME} back; ls; allinfo {NAME}; del {NAME}")
        seen = proxy.seen()
    assert (folder / "back").read_bytes() == CONTENT
    return seen


def test_the_server_s_list_of_ciphers_counts(real_folder: Path, tmp_path: Path) -> None:
    folder = real_folder / "aes256"
    folder.mkdir()
    only = {"server smb3 encryption algorithms": "AES-256-GCM", "smb encrypt": "desired"}
    shares = [LiveShare("share", folder / "share", WRITABLE)]
    with LiveServer(folder, shares=shares, globals_=only) as server:
        transfer(SmbClient(server, [offering("AES-128-GCM AES-256-GCM")], folder=tmp_path), 99_999)
        assert SmbClient(server, [SEALED, offering("AES-128-GCM")]).run("ls").status != 0
        assert SmbClient(server, [SEALED, "-m", "SMB3_02"]).run("ls").status != 0
        transfer(SmbClient(server, ["-m", "SMB3_02"], folder=tmp_path), 99_999)  # in clear


@pytest.mark.parametrize(
    ("dialect", "ciphers", "share", "signed", "sealed"),
    [
        (Dialects.SMB_3_1_1, [Ciphers.AES_256_GCM], "vault", "", "AES-256-GCM"),
        (Dialects.SMB_3_1_1, [Ciphers.AES_128_CCM], "vault", "", "AES-128-CCM"),
        (Dialects.SMB_3_0_2, [Ciphers.AES_128_GCM], "vault", "", "AES-128-CCM"),
        (Dialects.SMB_3_1_1, [Ciphers.AES_128_GCM], "share", "AES-128-GMAC", ""),
        (Dialects.SMB_2_1_0, [Ciphers.AES_128_GCM], "share", "HMAC-SHA256", ""),
    ],
)
def test_the_administrator_sees_what_a_session_is_protected_with(
    vault: LiveServer, dialect: int, ciphers: list[int], share: str, signed: str, sealed: str
) -> None:
    connection = Connection(uuid.uuid4(), vault.host, vault.port, require_signing=not sealed)
    connection.connect(dialect, preferred_encryption_algos=ciphers)
    session = Session(connection, "tester", PASSWORD, require_encryption=bool(sealed))
    session.connect()
    TreeConnect(session, rf"\\{vault.host}\{share}").connect()
    (row,) = [row for row in sessions(vault) if row["id"] == f"{session.session_id:#x}"]
    spoken = {"3.1.1": 0x0311, "3.0.2": 0x0302, "2.1": 0x0210}
    assert spoken[row["dialect"]] == dialect
    assert (row["signed"], row["sealed"]) == (signed, sealed)
    connection.disconnect()


@pytest.mark.parametrize("value", ["requird", "yes", "on", "mandatory required"])
def test_a_misspelt_demand_is_an_error_and_not_off(real_folder: Path, value: str) -> None:
    folder = real_folder / f"misspelt-{value}"
    folder.mkdir()
    shares = [LiveShare("share", folder / "share", {"smb encrypt": value})]
    server = LiveServer(folder, shares=shares)
    with pytest.raises(AssertionError, match=r"ksmbd\.conf:\d+: smb encrypt = "):
        server.start()
