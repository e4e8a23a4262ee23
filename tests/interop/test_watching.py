"""What the administrator sees of real clients: metrics, status, and all else that watches."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.interop.clients import SmbClient, make_file, program
from tests.support.live import ROOT, LiveServer, LiveShare, standard_shares

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("watching")
    folder.chmod(0o755)
    globals_ = {
        "metrics address": str(folder / "metrics.sock"),
        "metrics file": str(folder / "ksmbd.prom"),
    }
    globals_["audit log"] = str(folder / "audit.log")
    audit = {"vfs objects": "streams_xattr full_audit", "full_audit:prefix": "%u|%I"}
    shares = [
        *standard_shares(folder),
        LiveShare("audited", folder / "a", {"read only": "no", **audit}),
    ]
    with LiveServer(folder, globals_=globals_, shares=shares) as running:
        yield running


@pytest.fixture
def client(server: LiveServer, tmp_path: Path) -> SmbClient:
    return SmbClient(server, folder=tmp_path)


class OverUnixSocket(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self._path))


def metrics(server: LiveServer) -> dict[tuple[str, str], float]:
    """Every sample by its name and its first label."""
    connection = OverUnixSocket(server.folder / "metrics.sock")
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def control(server: LiveServer, *arguments: str) -> str:
    command = [sys.executable, "-m", "control", "--run-dir", str(server.run_folder), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_prometheus_is_told_of_what_clients_do(
    server: LiveServer, client: SmbClient, tmp_path: Path
) -> None:
    size = 300_000
    make_file(tmp_path / "a", size)
    before = metrics(server)
    client.ok("put a; get a b; rm a")
    assert "NT_STATUS_OBJECT_NAME_NOT_FOUND" in client.run("get nothing")
    assert "NT_STATUS_LOGON_FAILURE" in SmbClient(server, password="wrong").run("ls")
    after = metrics(server)

    def more(name: str, label: str) -> float:
        return after[name, label] - before.get((name, label), 0)

    assert more("ksmbd_share_written_bytes_total", "share") == size
    assert more("ksmbd_share_read_bytes_total", "share") == size
    assert more("ksmbd_share_operations_total", "share") > 5
    assert more("ksmbd_errors_total", "OBJECT_NAME_NOT_FOUND") >= 1
    assert more("ksmbd_logon_failures_total", "wrong password") == 1
    assert more("ksmbd_connections_accepted_total", "") == 3
    assert more("ksmbd_request_duration_seconds_count", "write") >= 1


def test_the_file_has_the_same_families(server: LiveServer) -> None:
    path = server.folder / "ksmbd.prom"
    while not path.exists():  # its first writing is not waited for by the start
        time.sleep(0.05)
    file = {family.name for family in parse(path.read_text())}
    shown = {family.name for family in parse(control(server, "metrics"))}
    assert file == shown


def test_the_status_counts_by_share(server: LiveServer, client: SmbClient, tmp_path: Path) -> None:
    make_file(tmp_path / "c", 4096)
    client.ok("put c")
    shares = {row["name"]: row for row in json.loads(control(server, "status", "--json"))["shares"]}
    assert shares["share"]["written"] >= 4096
    assert shares["share"]["operations"] >= 3
    assert "Shares: " in control(server, "status")


def tshark(file: Path, wanted: str) -> list[str]:
    """One line for each message that the filter *wanted* lets through."""
    command = [program("tshark"), "-r", str(file), "-o", "tcp.check_checksum:TRUE", "-Y", wanted]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    return done.stdout.splitlines()


def test_a_capture_is_what_wireshark_reads(server: LiveServer, tmp_path: Path) -> None:
    make_file(tmp_path / "d", 200_000)
    client = SmbClient(server, ("--client-protection=encrypt",), folder=tmp_path)
    files = {name: tmp_path / f"{name}.pcapng" for name in ("sealed", "clear")}
    how = {"sealed": [], "clear": ["--decrypted"]}
    begun = server.log_text().count("ksmbd-control captures")
    running = [capturing(server, *how[name], str(file)) for name, file in files.items()]
    while server.log_text().count("ksmbd-control captures") < begun + 2:
        assert all(each.poll() is None for each in running)
        time.sleep(0.05)
    client.ok("put d; rm d")
    for each in running:
        each.send_signal(signal.SIGINT)
        assert "packets" in each.communicate(timeout=60)[1]
        assert each.returncode == 0
    for file in files.values():
        assert not tshark(file, "_ws.malformed || tcp.analysis.flags || tcp.checksum.status == 0")
    assert tshark(files["sealed"], "smb2.header.transform.msg_size")
    assert not tshark(files["sealed"], "smb2.cmd == 5")
    assert not tshark(files["clear"], "smb2.header.transform.msg_size")
    (write,) = tshark(files["clear"], "smb2.cmd == 9 && smb2.flags.response == 0")
    assert "Write Request Len:200000 Off:0 File: d" in write


def capturing(server: LiveServer, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "control", "--run-dir", str(server.run_folder)]
    whom = ["capture", "--client", server.host]
    return subprocess.Popen(
        [*command, *whom, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


def records(server: LiveServer, last: dict[str, str], known: int = 0) -> list[dict[str, Any]]:
    """All records but the first *known*, once there is one of them like *last*."""
    path = server.folder / "audit.log"
    while True:
        written = path.read_text("ascii") if path.exists() else ""
        told = [json.loads(line) for line in written.split("\n")[:-1]]  # the last is under way
        if any(last.items() <= record.items() for record in told[known:]):
            return told[known:]
        time.sleep(0.05)


def test_the_audit_log_tells_who_did_what(server: LiveServer, tmp_path: Path) -> None:
    make_file(tmp_path / "e", 100_000)
    client = SmbClient(server, share="audited", folder=tmp_path)
    nasty = "it's a {\u00e9, \u2028}"
    client.ok(f'mkdir d; put e "d/{nasty}"; rename "d/{nasty}" d/f; get d/f g; rm d/f; rmdir d')
    everything = records(server, {"op": "disconnect", "share": "audited"})
    told = [r for r in everything if "share" in r and r["op"] not in ("open", "close")]
    assert {(r["user"], r["client"], r["share"]) for r in told} == {
        ("tester", "127.0.0.1", "audited")
    }
    assert {r["prefix"] for r in told} == {"tester|127.0.0.1"}
    seen = [(r["op"], r.get("path"), r.get("to"), r.get("bytes")) for r in told]
    assert [each for each in seen if each[0] != "setinfo"] == [
        ("connect", None, None, None),
        ("mkdir", "d", None, None),
        ("create", f"d/{nasty}", None, None),
        ("write", f"d/{nasty}", None, 100_000),
        ("rename", f"d/{nasty}", "d/f", None),
        ("read", "d/f", None, 100_000),
        ("unlink", "d/f", None, None),
        ("rmdir", "d", None, None),
        ("disconnect", None, None, None),
    ]


def test_the_audit_log_tells_who_logged_on_and_who_did_not(
    server: LiveServer, tmp_path: Path
) -> None:
    client = SmbClient(server, folder=tmp_path)
    client.ok("ls")
    elsewhere = SmbClient(server, share="nowhere", folder=tmp_path).run("ls")
    assert "NT_STATUS_BAD_NETWORK_NAME" in elsewhere.text
    known = len(records(server, {"op": "connect", "share": "nowhere"}))
    wrong = SmbClient(server, ("-U", "tester%wrong"), folder=tmp_path).run("ls")
    assert "NT_STATUS_LOGON_FAILURE" in wrong.text
    *_, refused = records(server, {"op": "logon", "status": "LOGON_FAILURE"}, known)
    assert (refused["user"], refused["client"]) == ("tester", "127.0.0.1")
    assert "wrong password" in refused["why"]
    told = records(server, {"op": "logoff"})
    logoff = next(r for r in told if r["op"] == "logoff")
    logon = next(r for r in told if r["op"] == "logon" and r["session"] == logoff["session"])
    assert (logon["user"], logon["sid"], logon["how"]) == ("tester", logoff["sid"], "new")
    assert logon["time"] <= logoff["time"]


def test_debug_lines_of_one_client(server: LiveServer, client: SmbClient) -> None:
    refused = "OBJECT_NAME_NOT_FOUND"
    assert "192.0.2.7: [smb]" in control(server, "--debug", "smb", "--client", "192.0.2.7")
    before = len(server.log_text())
    client.run("get nothing")
    assert refused not in server.log_text()[before:]
    assert "127.0.0.1: [smb]" in control(server, "--debug", "smb", "--client", server.host)
    client.run("get nothing")
    assert refused in server.log_text()[before:]
    for address in (server.host, "192.0.2.7"):
        listing = control(server, "--debug", "smb", "--client", address)
    assert listing == "smb auth vfs oplock ipc conn rdma\n"


def test_limits_are_shown_and_changed_until_a_reload(server: LiveServer, client: SmbClient) -> None:
    def limit(*arguments: str) -> int:
        rows = json.loads(control(server, "limits", "--json", *arguments))
        return next(int(row["limit"]) for row in rows if row["name"] == "max active sessions")

    before = limit()
    table = control(server, "limits").splitlines()
    assert table[0].split() == ["Limit", "At", "most", "Now"]
    assert limit("max active sessions=1") == 1
    client.ok("ls")
    control(server, "--reload")
    while limit() != before:
        time.sleep(0.05)
