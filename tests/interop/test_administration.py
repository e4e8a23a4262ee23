"""What an administrator sees of a client at work, and how it is thrown out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from smbprotocol.connection import Connection
from smbprotocol.exceptions import SMBException
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    Open,
    ShareAccess,
)
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from mountd.rpc.ndr import NdrWriter
from mountd.rpc.srvsvc_lists import SESSION_LEVELS
from tests.interop.clients import program
from tests.interop.rpc_pipe import RpcPipe
from tests.mountd.rpc_support import SRVSVC
from tests.support.live import PASSWORD, ROOT, LiveServer, open_share
from tests.support.namespaces import own_network

pytestmark = pytest.mark.interop


def settings() -> dict[str, str]:
    """tester2 administers; as root accounts act as nobody, for root administers anyhow."""
    unprivileged = {"default unix user": "nobody"} if os.geteuid() == 0 else {}
    return {"admin users": "tester2", **unprivileged}


def started(folder: Path, port: int = 0) -> LiveServer:
    share = open_share(folder, {"read only": "no"})
    return LiveServer(folder, shares=[share], globals_=settings(), port=port)


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    with started(real_folder / "administration") as running:
        yield running


@pytest.fixture
def file(server: LiveServer) -> Iterator[Open]:
    opened = open_file(server)
    yield opened
    opened.connection.transport.close()


def open_file(server: LiveServer) -> Open:
    """A file that a client has open for writing."""
    connection = Connection(uuid.uuid4(), server.host, server.port)
    connection.connect()
    session = Session(connection, "tester", PASSWORD, require_encryption=False)
    session.connect()
    tree = TreeConnect(session, rf"\\{server.host}\share")
    tree.connect()
    opened = Open(tree, "held.txt")
    opened.create(
        ImpersonationLevel.Impersonation,
        FilePipePrinterAccessMask.GENERIC_READ | FilePipePrinterAccessMask.GENERIC_WRITE,
        FileAttributes.FILE_ATTRIBUTE_NORMAL,
        ShareAccess.FILE_SHARE_READ,
        CreateDisposition.FILE_OVERWRITE_IF,
        CreateOptions.FILE_NON_DIRECTORY_FILE,
    )
    opened.write(b"some bytes")
    return opened


def control(server: LiveServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "control", "--run-dir", str(server.run_folder), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def status(server: LiveServer) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(control(server, "status", "--json").stdout)
    return report


def test_a_file_is_closed_under_its_client(server: LiveServer, file: Open) -> None:
    row = next(row for row in status(server)["opens"] if row["path"] == "held.txt")
    done = control(server, "close", "file", row["id"])
    assert done.stdout == "closed file share/held.txt of tester\n", done.stderr
    with pytest.raises(SMBException, match="FILE_CLOSED"):
        file.read(0, 4)
    assert not [row for row in status(server)["opens"] if row["path"] == "held.txt"]
    assert control(server, "close", "file", row["id"]).returncode == 1


def test_a_session_is_ended(server: LiveServer, file: Open) -> None:
    number = file.tree_connect.session.session_id
    done = control(server, "close", "session", f"{number:#x}")
    assert done.stdout == f"closed session {number:#x} of tester\n", done.stderr
    # USER_SESSION_DELETED, with an empty signature: smbprotocol verifies it before it looks further
    with pytest.raises(SMBException, match=r"signature could not be verified: 0{32} != "):
        file.read(0, 4)
    assert number not in {int(row["id"], 16) for row in status(server)["sessions"]}


def test_a_connection_is_ended(server: LiveServer, file: Open) -> None:
    number = file.tree_connect.session.session_id
    row = next(row for row in status(server)["sessions"] if int(row["id"], 16) == number)
    done = control(server, "close", "connection", str(row["connection"]))
    assert f"closed connection {row['connection']}" in done.stdout, done.stderr
    with pytest.raises(SMBException):
        file.read(0, 4)
    assert "there is no connection 999999" not in done.stderr
    wrong = control(server, "close", "connection", "999999")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "there is no connection" in wrong.stderr


def test_net_session_enum_tells_how_long_a_session_is_idle(server: LiveServer, file: Open) -> None:
    """The other session's last request is old; the asking one's is this."""
    deadline = time.monotonic() + 30
    with RpcPipe(server, "srvsvc", SRVSVC, "tester2") as pipe:
        idle: dict[str, int] = {}
        while not idle.get("tester") and time.monotonic() < deadline:
            time.sleep(0.2)
            idle = {row["user"]: row["idle"] for row in sessions(pipe)}
    assert idle["tester"] >= 1
    assert idle["tester2"] < idle["tester"]


def sessions(pipe: RpcPipe) -> list[dict[str, Any]]:
    """NetrSessionEnum, level 10."""
    w = NdrWriter()
    for number in (0, 0, 0, 10, 10, 1, 0, 0):
        w.u32(number)
    w.u32(0xFFFFFFFF)
    w.null()
    r = pipe.call(12, w)
    assert (r.u32(), r.u32(), r.u32() != 0) == (10, 10, True)
    found: list[dict[str, Any]] = r.array(SESSION_LEVELS[10])
    return found


def test_top_counts_what_a_client_does(server: LiveServer, file: Open) -> None:
    done = control(server, "top", "--interval", "0.2", "--count", "1")
    assert done.returncode == 0, done.stderr
    assert "127.0.0.1" in done.stdout
    assert "tester" in done.stdout
    row = next(row for row in status(server)["connections"] if row["received"])
    assert row["received"] > 500
    assert row["sent"] > 500


def net(server: LiveServer, *arguments: str) -> str:
    """Samba's command net, as an administrator; it knows no port but 445."""
    done = subprocess.run(
        [program("net"), "rpc", *arguments, "-S", server.host, "-U", f"tester2%{PASSWORD}",
         "--configfile=/dev/null"],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a network of its own")
def test_net_rpc_lists_and_closes_files(real_folder: Path) -> None:
    with own_network(), started(real_folder / "net", port=445) as server:
        file = open_file(server)
        listed = net(server, "file")
        row = next((line for line in listed.splitlines() if "held.txt" in line), "")
        assert "tester" in row, listed
        net(server, "file", "close", row.split()[0])
        with pytest.raises(SMBException, match="FILE_CLOSED"):
            file.read(0, 4)
        assert "held.txt" not in net(server, "file")
        file.connection.transport.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a network of its own")
def test_net_rpc_registry_reads_what_there_is(real_folder: Path) -> None:
    with own_network(), started(real_folder / "registry", port=445) as server:
        key = r"HKLM\SYSTEM\CurrentControlSet\Control\ProductOptions"
        assert "ServerNT" in net(server, "registry", "getvalue", key, "ProductType")
        assert "SYSTEM" in net(server, "registry", "enumerate", "HKLM")
        listed = net(server, "registry", "enumerate", key)
        assert "ProductType" in listed
        assert "ServerNT" in listed
        wrong = net(server, "registry", "getvalue", key, "None")
        assert "failed: NT_STATUS_NO_SUCH" in wrong  # as Samba translates FILE_NOT_FOUND
        refused = net(server, "registry", "setvalue", key, "ProductType", "sz", "x")
        assert "ACCESS_DENIED" in refused, refused


def test_rpcclient_ends_sessions(server: LiveServer, file: Open) -> None:
    def rpc(user: str, command: str) -> str:
        done = subprocess.run(
            [program("rpcclient"), "-p", str(server.port), "-U", f"{user}%{PASSWORD}",
             "--configfile=/dev/null", "-c", command, server.host],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        return done.stdout + done.stderr

    refused = rpc("tester", "netsessdel 127.0.0.1 tester")
    assert "ACCESS_DENIED" in refused, refused
    assert file.read(0, 4) == b"some"
    ended = rpc("tester2", r"netsessdel \\127.0.0.1 tester")
    with pytest.raises(SMBException):
        file.read(0, 4)
    assert "result was" not in ended
