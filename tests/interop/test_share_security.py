"""Shares administered over RPC, and what their own descriptors let real clients do."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from smbprotocol.connection import Connection
from smbprotocol.open import CreateDisposition, FileAttributes, ImpersonationLevel, Open
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from ksmbd.wire.access import FILE_ALL_ACCESS, FILE_GENERIC_EXECUTE, FILE_GENERIC_READ
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    DACL_PRESENT,
    SELF_RELATIVE,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from mountd.rpc import pdu
from mountd.rpc.ndr import NdrReader, NdrWriter
from tests.interop.clients import Answer, SmbClient, account, program, run
from tests.interop.test_administration import settings
from tests.mountd.rpc_support import SRVSVC, bind, finished, reply_stub, request
from tests.support.live import PASSWORD, LiveServer, LiveShare

pytestmark = pytest.mark.interop

EVERYONE = Sid(1, 0)
STRANGER = Sid(5, 21, 1, 2, 3, 500)
READ = FILE_GENERIC_READ | FILE_GENERIC_EXECUTE


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    folder = real_folder / "shares"
    share = LiveShare("share", folder / "share", {"read only": "no", "comment": "first"})
    for path in (share.path, folder / "new"):
        path.mkdir(parents=True)
        path.chmod(0o777)
    (share.path / "there").write_bytes(b"text")
    with LiveServer(folder, shares=[share], globals_=settings()) as running:
        yield running


def rpc(server: LiveServer, command: str, user: str = "tester2") -> Answer:
    """One command of rpcclient, by default as the administrator."""
    words = [program("rpcclient"), server.host, "-p", str(server.port), *account(user)]
    return run([*words, "--configfile=/dev/null", "-c", command])


def client(server: LiveServer, share: str = "share") -> SmbClient:
    return SmbClient(server, share=share)


def set_security(server: LiveServer, *aces: tuple[int, Sid]) -> int:
    """NetrShareSetInfo 1501 over SMB as the administrator; its status."""
    entries = tuple(Ace(ACCESS_ALLOWED, 0, mask, sid) for mask, sid in aces)
    descriptor = SecurityDescriptor(SELF_RELATIVE | DACL_PRESENT, dacl=Acl(entries)).pack()
    w = NdrWriter()
    w.null()
    w.wstring("share")
    for value in (1501, 1501, 0x20000, len(descriptor), 0x20004, len(descriptor)):
        w.u32(value)
    w.raw(descriptor)
    w.u32(0)
    connection = Connection(uuid.uuid4(), server.host, server.port)
    connection.connect()
    try:
        session = Session(connection, "tester2", PASSWORD, require_encryption=False)
        session.connect()
        tree = TreeConnect(session, rf"\\{server.host}\IPC$")
        tree.connect()
        pipe = Open(tree, "srvsvc")
        pipe.create(
            ImpersonationLevel.Impersonation, 0x12019F, FileAttributes.FILE_ATTRIBUTE_NORMAL,
            3, CreateDisposition.FILE_OPEN, 0,
        )  # fmt: skip
        pipe.write(bind((0, SRVSVC, (pdu.NDR32,))))
        pipe.read(0, 4280)
        pipe.write(request(17, bytes(w.out)))
        r = NdrReader(reply_stub(pipe.read(0, 4280)))
        assert r.u32() == 0
        return finished(r)
    finally:
        connection.transport.close()


def test_a_share_tells_who_may_use_it(server: LiveServer) -> None:
    assert set_security(server, (FILE_ALL_ACCESS, EVERYONE)) == 0
    told = rpc(server, "netsharegetinfo share 502").text
    assert re.search(r"netname: share$", told, re.M), told
    assert re.search(r"Permissions: 0x1f01ff", told), told
    assert re.search(r"SID: S-1-1-0", told), told


def test_a_share_is_read_only_for_whom_its_descriptor_says_so(server: LiveServer) -> None:
    assert set_security(server, (READ, EVERYONE)) == 0
    told = client(server).run("get there /dev/null; mkdir new")
    assert "NT_STATUS_ACCESS_DENIED making remote directory" in told, told.text
    assert "getting file" in told, told.text
    assert not (server.path() / "new").exists()
    assert set_security(server, (FILE_ALL_ACCESS, EVERYONE)) == 0
    client(server).ok("mkdir new; rmdir new")


def test_a_share_lets_in_whom_its_descriptor_names(server: LiveServer) -> None:
    assert set_security(server, (FILE_ALL_ACCESS, STRANGER)) == 0
    assert "tree connect failed: NT_STATUS_ACCESS_DENIED" in client(server).run("ls")
    assert set_security(server, (FILE_ALL_ACCESS, EVERYONE)) == 0
    client(server).ok("ls")


def test_a_descriptor_outlives_a_reload_and_a_new_comment(server: LiveServer) -> None:
    assert set_security(server, (READ, EVERYONE)) == 0
    assert "result was" not in rpc(server, "netsharesetinfo share newcomment")
    told = rpc(server, "netsharegetinfo share 502").text
    assert "newcomment" in told, told
    assert re.search(r"Permissions: 0x1200a9", told), told
    assert "comment = newcomment" in server.configuration.read_text()
    assert set_security(server, (FILE_ALL_ACCESS, EVERYONE)) == 0


def test_a_share_is_made_and_ended_from_afar(server: LiveServer) -> None:
    path = "C:" + str(server.folder / "new").replace("/", "\\\\")
    refused = rpc(server, f"netshareadd {path} made 10 Made", "tester")
    assert "ACCESS_DENIED" in refused, refused.text
    added = rpc(server, f"netshareadd {path} made 10 Made")
    assert "result was" not in added, added.text
    client(server, "made").ok("mkdir x; rmdir x")
    assert "DUPLICATESHARE" in rpc(server, f"netshareadd {path} made 10 Made")
    assert "Made" in rpc(server, "netsharegetinfo made 2")
    assert "result was" not in rpc(server, "netsharedel made")
    assert "BAD_NETWORK_NAME" in client(server, "made").run("ls")
