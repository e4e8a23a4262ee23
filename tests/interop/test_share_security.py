"""Shares administered over RPC, and what their own descriptors let real clients do."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
from mountd.rpc.errors import Win32
from mountd.rpc.ndr import NdrWriter
from mountd.rpc.srvsvc_lists import SESSION_LEVELS
from tests.interop.clients import Answer, SmbClient, account, program, run
from tests.interop.rpc_pipe import RpcPipe
from tests.interop.test_administration import control, open_file, settings
from tests.mountd.rpc_support import SRVSVC, finished
from tests.support.live import LiveServer, LiveShare

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
    with RpcPipe(server, "srvsvc", SRVSVC, "tester2") as pipe:
        r = pipe.call(17, w)
        assert r.u32() == 0
        return finished(r)


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


# -- descriptors of files ----------------------------------------------------------------


def named(path: str, information: int, share: str = "share") -> NdrWriter:
    """ServerName, ShareName, lpFileName and SecurityInformation."""
    w = NdrWriter()
    w.null()
    w.u32(0x20000)
    w.wstring(share)
    w.wstring(path)
    w.u32(information)
    return w


def file_security(
    server: LiveServer, path: str, information: int = 7, share: str = "share"
) -> SecurityDescriptor | int:
    """NetrpGetFileSecurity: the descriptor, or the status of a refusal."""
    with RpcPipe(server, "srvsvc", SRVSVC, "tester") as pipe:
        r = pipe.call(39, named(path, information, share))
    found = r.unique(lambda: (r.u32(), r.u32(), r.octets())[2])
    status = finished(r)
    return SecurityDescriptor.unpack(found) if found is not None else status


def set_file_security(server: LiveServer, path: str, mask: int) -> int:
    """NetrpSetFileSecurity with a DACL of one entry; its status."""
    acl = Acl((Ace(ACCESS_ALLOWED, 0, mask, EVERYONE),))
    data = SecurityDescriptor(SELF_RELATIVE | DACL_PRESENT, dacl=acl).pack()
    w = named(path, 4)
    w.u32(len(data))
    w.octets(data)
    with RpcPipe(server, "srvsvc", SRVSVC, "tester") as pipe:
        return finished(pipe.call(40, w))


def test_a_file_tells_its_descriptor_over_rpc(server: LiveServer) -> None:
    found = file_security(server, "\\there")
    assert isinstance(found, SecurityDescriptor)
    assert found.owner is not None
    assert found.dacl
    owner = file_security(server, "there", 1)
    assert isinstance(owner, SecurityDescriptor)
    assert (owner.owner, owner.dacl) == (found.owner, None)
    assert isinstance(file_security(server, "\\"), SecurityDescriptor)


def test_a_file_s_descriptor_is_set_as_its_user(server: LiveServer) -> None:
    client(server).ok("mkdir mine")
    mine = server.path() / "mine"
    assert set_file_security(server, "mine", READ) == 0
    assert mine.stat().st_mode & 0o777 == 0o555
    assert set_file_security(server, "mine", FILE_ALL_ACCESS) == 0
    assert mine.stat().st_mode & 0o777 == 0o777
    mine.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a file of somebody else")
def test_a_file_of_somebody_else_is_left_alone(server: LiveServer) -> None:
    theirs = server.path() / "there"
    before = theirs.stat().st_mode
    assert set_file_security(server, "there", FILE_ALL_ACCESS) == Win32.ACCESS_DENIED
    assert theirs.stat().st_mode == before


def test_a_share_to_read_keeps_descriptors_of_files_as_they_are(server: LiveServer) -> None:
    assert set_security(server, (READ, EVERYONE)) == 0
    assert set_file_security(server, "there", FILE_ALL_ACCESS) == Win32.ACCESS_DENIED
    assert isinstance(file_security(server, "there"), SecurityDescriptor)
    assert set_security(server, (FILE_ALL_ACCESS, STRANGER)) == 0
    assert file_security(server, "there") == Win32.ACCESS_DENIED
    assert set_security(server, (FILE_ALL_ACCESS, EVERYONE)) == 0


@pytest.mark.parametrize(
    ("path", "information", "share", "status"),
    [
        ("none", 7, "share", Win32.FILE_NOT_FOUND),
        ("none\\below", 7, "share", Win32.PATH_NOT_FOUND),
        ("..\\..\\etc\\passwd", 7, "share", Win32.INVALID_NAME),
        ("there:stream", 7, "share", Win32.INVALID_NAME),
        ("there", 8, "share", Win32.PRIVILEGE_NOT_HELD),
        ("there", 7, "none", Win32.NET_NAME_NOT_FOUND),
        ("srvsvc", 7, "IPC$", Win32.INVALID_FUNCTION),
    ],
)
def test_a_descriptor_that_is_not_told(
    server: LiveServer, path: str, information: int, share: str, status: Win32
) -> None:
    assert file_security(server, path, information, share) == status


# -- who has what open -------------------------------------------------------------------


def test_a_session_tells_how_many_files_it_has_open(server: LiveServer) -> None:
    file = open_file(server)
    try:
        w = NdrWriter()
        for value in (0, 0, 0, 1, 1, 0x20000, 0, 0, 0xFFFFFFFF, 0):
            w.u32(value)
        with RpcPipe(server, "srvsvc", SRVSVC, "tester2") as pipe:
            r = pipe.call(12, w)
        assert (r.u32(), r.u32()) == (1, 1)
        rows = r.unique(lambda: r.array(SESSION_LEVELS[1])) or []
        assert {row["user"]: row["opens"] for row in rows} == {"tester": 1, "tester2": 1}
    finally:
        file.connection.transport.close()


def test_share_acl_changes_what_clients_may(server: LiveServer) -> None:
    def share_acl(*words: str) -> str:
        files = ["-C", str(server.configuration), "-P", str(server.accounts)]
        done = control(server, "share-acl", "share", *words, *files)
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        share_acl("--replace", "Everyone:ALLOWED/0x0/READ")
        eventually(lambda: "NT_STATUS_ACCESS_DENIED" in client(server).run("mkdir by-acl"))
        client(server).ok("ls")
        told = rpc(server, "netsharegetinfo share 502").text
        assert "Permissions: 0x1200a9" in told, told
    finally:
        assert "Everyone:ALLOWED/0x0/FULL" in share_acl("--delete")
    eventually(lambda: client(server).run("mkdir by-acl").status == 0)


def eventually(holds: Callable[[], bool], patience_s: float = 30) -> None:
    """mountd reads its files when it comes to it."""
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
