"""ksmbd.Server, the fixtures for pytest, and every example of docs/library.md."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ksmbd
from tests.interop.clients import program

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/library.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M)
PROGRAMS = [text for text in EXAMPLES if "def test_" not in text]
TESTS = [text for text in EXAMPLES if "def test_" in text]
USERS = {"alice": "Passw0rd!"}


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the servers put their files: what they leave behind shows."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def smbclient(server: ksmbd.Server, share: str, *arguments: str) -> str:
    """What smbclient prints, both ways."""
    target = f"//{server.address}/{share}"
    command = [program("smbclient"), "-s", "/dev/null", "-p", str(server.port), target, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def connects(address: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


@pytest.mark.interop
def test_a_client_writes_and_reads(tmp_path: Path, own_temporary_folder: Path) -> None:
    with ksmbd.Server({"data": tmp_path / "data"}, USERS) as server:
        source = tmp_path / "source"
        source.write_bytes(os.urandom(100_000))
        said = smbclient(server, "data", "-U", "alice%Passw0rd!", "-c", f"put {source} there")
        assert (tmp_path / "data/there").read_bytes() == source.read_bytes(), said
        assert connects(server.address, server.port)
        assert server.unc("data") == r"\\127.0.0.1\data"
    assert not server.running
    assert not connects(server.address, server.port)
    assert list(own_temporary_folder.iterdir()) == []
    assert "mountd" in server.log


@pytest.mark.interop
def test_a_share_says_who_may_come_and_what_they_may(tmp_path: Path) -> None:
    shares = {
        "public": ksmbd.Share(tmp_path / "public", guest=True, read_only=True),
        "own": tmp_path / "own",
    }
    with ksmbd.Server(shares, USERS) as server:
        (tmp_path / "public/hello").write_text("hello")
        assert "hello" in smbclient(server, "public", "-U", "nobody-knows%", "-c", "ls")
        refused = smbclient(server, "public", "-U", "nobody-knows%", "-c", "mkdir d")
        assert "ACCESS_DENIED" in refused or "MEDIA_WRITE_PROTECTED" in refused
        assert "ACCESS_DENIED" in smbclient(server, "own", "-U", "nobody-knows%", "-c", "ls")
        wrong = smbclient(server, "own", "-U", "alice%wrong", "-c", "ls")
        assert "LOGON_FAILURE" in wrong


@pytest.mark.interop
def test_parameters_reach_the_server(tmp_path: Path) -> None:
    sealed = {"smb3 encryption": "required"}
    with ksmbd.Server({"data": tmp_path / "data"}, USERS, parameters=sealed) as server:
        account = ("-U", "alice%Passw0rd!", "-c", "ls")
        assert "blocks" in smbclient(server, "data", *account, "--client-protection=encrypt")
        assert "ACCESS_DENIED" in smbclient(server, "data", *account, "-m", "SMB2")


def test_it_starts_again_after_its_end(tmp_path: Path) -> None:
    server = ksmbd.Server({"data": tmp_path}, USERS)
    server.stop()
    for _ in range(2):
        server.start()
        with pytest.raises(RuntimeError):
            server.start()
        assert connects(server.address, server.port)
        server.stop()


@pytest.mark.parametrize(
    ("shares", "users", "parameters"),
    [
        ({}, USERS, {}),
        ({"data": "x"}, {}, {}),
        ({"global": "x"}, USERS, {}),
        ({"IPC$": "x"}, USERS, {}),
        ({"a]b": "x"}, USERS, {}),
        ({"a\nb": "x"}, USERS, {}),
        ({"": "x"}, USERS, {}),
        ({"data": "x\ny"}, USERS, {}),
        ({"data": ksmbd.Share("x", parameters={"comment": "a\nguest ok = yes"})}, USERS, {}),
        ({"data": "x"}, {"alice": "two\nlines"}, {}),
        ({"data": "x"}, {"ali\nce": "secret"}, {}),
        ({"data": "x"}, {"": "secret"}, {}),
        ({"data": "x"}, {"a:b": "secret"}, {}),
        ({"data": "x"}, USERS, {"server string": "a\n[evil]"}),
        ({"data": "x"}, USERS, {"a = b": "c"}),
    ],
)
def test_what_cannot_stand_in_the_files_is_refused_at_once(
    shares: dict[str, str], users: dict[str, str], parameters: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match=r"."):
        ksmbd.Server(shares, users, parameters=parameters)


def test_an_unknown_share_has_no_name(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        ksmbd.Server({"data": tmp_path}, USERS).unc("other")


def test_a_taken_port_is_told(tmp_path: Path, own_temporary_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ksmbd.ServerError, match=str(port)):
            ksmbd.Server({"data": tmp_path / "data"}, USERS, port=port).start()
    assert list(own_temporary_folder.iterdir()) == []


def test_a_bad_user_name_is_told(tmp_path: Path, own_temporary_folder: Path) -> None:
    with pytest.raises(ValueError, match="a:b"):
        ksmbd.Server({"data": tmp_path / "data"}, {"a:b": "secret"})
    assert list(own_temporary_folder.iterdir()) == []


def test_a_server_that_died_is_told(tmp_path: Path) -> None:
    server = ksmbd.Server({"data": tmp_path}, USERS).start()
    pid = next(int(n) for n in re.findall(r"\[ksmbd/(\d+)\]", server.log))
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(ksmbd.ServerError, match="had ended with status -9"):
        server.stop()


def test_an_error_of_the_program_is_the_one_to_see(tmp_path: Path) -> None:
    server = ksmbd.Server({"data": tmp_path}, USERS)
    with pytest.raises(ZeroDivisionError), server:
        raise ZeroDivisionError
    assert not server.running


def test_it_ends_with_a_program_that_is_killed(tmp_path: Path) -> None:
    text = (
        "import ksmbd, os, signal, sys\n"
        f"server = ksmbd.Server({{'data': {str(tmp_path / 'data')!r}}}, {{'a': 'b'}}).start()\n"
        "print(server.port, server.log.split('[ksmbd/')[1].split(']')[0], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False
    )
    port, pid = done.stdout.split()
    assert done.returncode == -signal.SIGKILL
    try:
        watched = os.pidfd_open(int(pid))
    except ProcessLookupError:
        pass
    else:
        with open(watched, "rb") as ended:
            select.select([ended], [], [], 20)
    assert not connects("127.0.0.1", int(port))


def test_the_server_itself_does_without() -> None:
    text = "import ksmbd.server.server, mountd, sys; print('ksmbd.embedded' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_there_is_nothing_else_in_the_package() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Client'"):
        getattr(ksmbd, "Client")  # noqa: B009


@pytest.mark.parametrize("text", PROGRAMS)
def test_an_example_runs(text: str, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_tests_run(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the entry point of pyproject.toml, as an installer writes it down."""
    assert len(TESTS) == 1
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = tmp_path / "site/ksmbd-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: ksmbd\nVersion: 0\n")
    lines = [f"{name} = {value}" for name, value in project["entry-points"]["pytest11"].items()]
    (installed / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]) + "\n")
    pytester.makepyfile(TESTS[0])
    monkeypatch.setenv("PYTHONPATH", f"{installed.parent}:{ROOT}")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)
