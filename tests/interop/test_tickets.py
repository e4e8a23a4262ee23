"""Tickets with something special: wrong clocks, other keys, another realm, a second one in time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.interop.clients import program, run
from tests.interop.kerberos import FOUR_SECONDS, HOST, smbclient, smbprotocol, started
from tests.support.kdc import REALM, TRUSTED, Kdc, shift_clock
from tests.support.live import PASSWORD, USERS, LiveServer

pytestmark = pytest.mark.interop

GUEST_OF_US = f"friend@{TRUSTED}"
KEYS = {
    "aes128": "aes128-cts-hmac-sha1-96",
    "aes256": "aes256-cts-hmac-sha1-96",
    "sha256": "aes128-cts-hmac-sha256-128",
    "sha384": "aes256-cts-hmac-sha384-192",
}


class Realm(NamedTuple):
    """A KDC, a server, and where that has its keytab."""

    kdc: Kdc
    server: LiveServer
    keytab: Path

    def log_on(self, cache: Path, *options: str, service: str = HOST) -> dict[str, str]:
        """tester, with the ticket for the service."""
        ticket = self.kdc.log_on("tester", PASSWORD, cache, *options)
        self.kdc.get_ticket(f"cifs/{service}", ticket)
        return ticket


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory, real_folder: Path) -> Iterator[Realm]:
    with Kdc(tmp_path_factory.mktemp("kdc")) as kdc:
        keytab = kdc.folder / "server.keytab"
        kdc.add_user("tester", PASSWORD)
        for host in (HOST, "localhost"):
            kdc.add_service(f"cifs/{host}", keytab)
        for name, kind in KEYS.items():
            kdc.add_service(f"cifs/{name}.ksmbd.test", keytab, "-e", f"{kind}:normal")
        kdc.add_service("cifs/plain.ksmbd.test", keytab, "+no_auth_data_required")
        kdc.trust()
        for name in ("tester", "friend"):
            kdc.add_user(name, PASSWORD, realm=TRUSTED)
        users = {**USERS, GUEST_OF_US: PASSWORD}
        with started(kdc, real_folder / "tickets", keytab, users) as server:
            yield Realm(kdc, server, keytab)


@pytest.fixture
def keytab(realm: Realm) -> Iterator[Path]:
    """The server's, which the test may spoil."""
    whole = realm.keytab.read_bytes()
    yield realm.keytab
    realm.keytab.write_bytes(whole)
    realm.kdc.change_key("cifs/localhost", realm.keytab)  # the test may have, without telling it


# -- refusals that name their cause ------------------------------------------------------

OPEN_SESSION = """\
import smbclient
from smbprotocol.exceptions import SMBResponseException
try:
    smbclient.register_session("localhost", username="tester@{realm}", port={port},
                               auth_protocol="kerberos")
except SMBResponseException as refused:
    print(hex(refused.status))
else:
    print("in")
"""


def attempt(realm: Realm, ticket: dict[str, str]) -> str:
    """What becomes of a log-on by MIT's library."""
    script = OPEN_SESSION.format(realm=REALM, port=realm.server.port)
    return smbprotocol(realm.kdc, ticket, script)


def test_a_client_with_a_wrong_clock_hears_why_and_so_does_the_log(
    realm: Realm, tmp_path: Path
) -> None:
    ticket = realm.log_on(tmp_path / "cache", service="localhost")
    shift_clock(tmp_path / "cache", 600)
    assert attempt(realm, ticket) == "0xc0000133"
    assert (
        "Kerberos: Clock skew too great: the clocks of the client and of this machine are apart"
        in realm.server.log_text()
    )
    shift_clock(tmp_path / "cache", 0)
    assert attempt(realm, ticket) == "in"


def remove(keytab: Path, _kdc: Kdc) -> None:
    keytab.unlink()


def spoil(keytab: Path, _kdc: Kdc) -> None:
    keytab.write_bytes(b"this is no keytab")


def exchange(keytab: Path, kdc: Kdc) -> None:
    keytab.unlink()
    kdc.add_service("cifs/other.ksmbd.test", keytab)


def renew(keytab: Path, kdc: Kdc) -> None:
    keytab.unlink()
    kdc.change_key("cifs/localhost", keytab)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (remove, "is nonexistent or empty: see `kerberos keytab file`"),
        (spoil, "is nonexistent or empty: see `kerberos keytab file`"),
        (exchange, r"not found in keytab \(ticket kvno \d+\): put the key of the name"),
        (renew, r"kvno \d+ not found in keytab; ticket is likely out of date: the key was"),
    ],
)
def test_what_is_wrong_with_the_keytab_is_in_the_log(
    realm: Realm, keytab: Path, tmp_path: Path, change: object, why: str
) -> None:
    ticket = realm.log_on(tmp_path / "cache", service="localhost")
    assert callable(change)
    change(keytab, realm.kdc)
    already = len(realm.server.log_text())
    assert attempt(realm, ticket) == "0xc000006d"
    assert re.search(why, realm.server.log_text()[already:])


def test_old_tickets_hold_while_the_keytab_has_both_keys(realm: Realm, tmp_path: Path) -> None:
    service = f"cifs/{HOST}"
    old = realm.log_on(tmp_path / "old")
    realm.kdc.change_key(service, realm.keytab)
    new = realm.log_on(tmp_path / "new")
    for ticket in (old, new):
        answer = smbclient(realm.server, ticket, "ls")
        assert answer.status == 0, answer.text


# -- keys and what else a ticket has -----------------------------------------------------


@pytest.mark.parametrize("cipher", ["AES-256-GCM", "AES-128-GCM"])
@pytest.mark.parametrize("name", KEYS)
def test_keys_of_either_length_make_either_cipher_s_keys(
    realm: Realm, tmp_path: Path, name: str, cipher: str
) -> None:
    host = f"{name}.ksmbd.test"
    ticket = realm.kdc.log_on("tester", PASSWORD, tmp_path / "cache")
    sealed = ("--client-protection=encrypt", f"--option=client smb3 encryption algorithms={cipher}")
    answer = smbclient(realm.server, ticket, "ls", *sealed, host=host)
    assert answer.status == 0, answer.text


def test_a_ticket_needs_no_pac(realm: Realm, tmp_path: Path) -> None:
    ticket = realm.kdc.log_on("tester", PASSWORD, tmp_path / "cache")
    answer = smbclient(realm.server, ticket, "ls", host="plain.ksmbd.test")
    assert answer.status == 0, answer.text


# -- names -------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "status"), [("friend", 0), ("tester", 1)])
def test_a_user_of_another_realm_is_nobody_unless_listed_with_it(
    realm: Realm, tmp_path: Path, name: str, status: int
) -> None:
    ticket = realm.kdc.log_on(name, PASSWORD, tmp_path / "cache", realm=TRUSTED)
    answer = smbclient(realm.server, ticket, "ls")
    assert (answer.status, "NT_STATUS_LOGON_FAILURE" in answer) == (status, bool(status))


def test_a_client_without_a_ticket_falls_back_to_ntlm(realm: Realm, tmp_path: Path) -> None:
    """It prefers Kerberos, as the server does, and has nothing to show."""
    answer = run(
        [
            *(program("smbclient"), f"//{HOST}/share", "-p", str(realm.server.port)),
            *("-I", "127.0.0.1", "--use-kerberos=desired", "-U", f"tester%{PASSWORD}", "-c", "ls"),
        ],
        environment={"KRB5_CONFIG": "/dev/null", "KRB5CCNAME": f"FILE:{tmp_path}/none"},
    )
    assert answer.status == 0, answer.text


# -- time --------------------------------------------------------------------------------

RENEWING = """\
import os, shutil, time, uuid
import spnego
from smbprotocol.connection import Connection
from smbprotocol.exceptions import SMBResponseException
from smbprotocol.open import (CreateDisposition, CreateOptions, FileAttributes,
                              FilePipePrinterAccessMask, ImpersonationLevel, Open, ShareAccess)
from smbprotocol.session import SMB2SessionSetupRequest, SMB2SessionSetupResponse, Session
from smbprotocol.tree import TreeConnect

{log_on}
connection = Connection(uuid.uuid4(), "localhost", {port}, require_signing=True)
connection.connect()
session = Session(connection, "tester@{realm}", auth_protocol="kerberos", require_encryption=False)
session.connect()
tree = TreeConnect(session, r"\\\\localhost\\share")
tree.connect()
file = Open(tree, "kept.txt")
file.create(ImpersonationLevel.Impersonation, FilePipePrinterAccessMask.GENERIC_ALL,
            FileAttributes.FILE_ATTRIBUTE_NORMAL, ShareAccess.FILE_SHARE_READ,
            CreateDisposition.FILE_OVERWRITE_IF, CreateOptions.FILE_NON_DIRECTORY_FILE)
file.write(b"before", 0)

def expired():
    try:
        file.read(0, 6)
    except SMBResponseException as refused:
        return hex(refused.status)

end = time.monotonic() + 30
while not expired() and time.monotonic() < end:
    time.sleep(0.2)
print("expired", expired())
shutil.copy(os.environ["FRESH"], os.environ["KRB5CCNAME"].removeprefix("FILE:"))
context = spnego.client("tester@{realm}", None, service="cifs", hostname="localhost",
                        options=spnego.NegotiateOptions.session_key, protocol="kerberos")
setup = SMB2SessionSetupRequest()
setup["security_mode"] = connection.client_security_mode
setup["buffer"] = context.step()
reply = connection.receive(connection.send(setup, sid=session.session_id))
answer = SMB2SessionSetupResponse()
answer.unpack(reply["data"].get_value())
context.step(answer["buffer"].get_value())
print("mutual", bool(context.context_attr & spnego.ContextReq.mutual_auth), context.complete)
print(file.read(0, 6).decode())
file.close()
connection.disconnect()
"""


def test_an_expired_session_goes_on_with_a_fresh_ticket(realm: Realm, tmp_path: Path) -> None:
    """Where it was: the same session, keys, tree and open file; both sides prove themselves."""
    fresh = realm.log_on(tmp_path / "fresh", service="localhost")
    assert fresh
    files = {"KRB5CCNAME": f"FILE:{tmp_path}/cache", "FRESH": str(tmp_path / "fresh")}
    script = RENEWING.format(realm=REALM, port=realm.server.port, log_on=FOUR_SECONDS)
    said = smbprotocol(realm.kdc, files, script)
    assert said.splitlines() == ["expired 0xc000035c", "mutual True True", "before"]
