"""control/quickstart.py: what ``make run`` writes, prints and starts."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from control.quickstart import (
    HIGH_PORT,
    SMB_PORT,
    Settings,
    announcement,
    can_listen,
    choose_port,
    commands,
    configuration,
    generated_password,
    main,
    parse,
    prepare,
    relay,
    serve,
    server_command,
)
from mountd import users
from mountd.conf import load

ROOT = Path(__file__).parents[2]


def settings(folder: Path, **change: object) -> Settings:
    made = Settings(
        port=4450,
        bind="127.0.0.1",
        share=folder / "share",
        user="ksmbd",
        password="s3cret",
        folder=folder / ".run",
    )
    return made._replace(**change)  # type: ignore[arg-type]


def test_a_generated_password_needs_no_quotes_and_is_new_each_time() -> None:
    first, second = generated_password(), generated_password()
    assert first.isalnum()
    assert len(first) == 16
    assert first != second


def test_the_standard_port_is_taken_only_when_it_can_be_had() -> None:
    assert choose_port("127.0.0.1", lambda _host, port: port == SMB_PORT) == SMB_PORT
    assert choose_port("127.0.0.1", lambda _host, _port: False) == HIGH_PORT


def test_a_port_somebody_listens_on_cannot_be_had() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert not can_listen("127.0.0.1", taken.getsockname()[1])


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    environment = {"PORT": "", "BIND": "", "SHARE": "", "SMB_USER": "", "SMB_PASSWORD": ""}
    chosen = parse(["--port", "4451"], environment)
    assert chosen.port == 4451
    assert chosen.bind == "127.0.0.1"
    assert chosen.share == Path("share").absolute()
    assert chosen.user == "ksmbd"
    assert len(chosen.password) == 16


def test_variables_name_the_share_and_the_account(tmp_path: Path) -> None:
    environment = {
        "PORT": "4452",
        "BIND": "127.0.0.2",
        "SHARE": str(tmp_path / "files"),
        "SMB_USER": "alice",
        "SMB_PASSWORD": "pw",
    }
    chosen = parse([], environment)
    assert chosen == Settings(
        4452, "127.0.0.2", tmp_path / "files", "alice", "pw", Path(".run").absolute()
    )


def test_the_configuration_serves_one_writable_share(tmp_path: Path) -> None:
    text = configuration(settings(tmp_path), "alice")
    assert f"\tpath = {tmp_path}/share\n" in text
    assert "\tread only = no\n" in text
    assert "\tdefault unix user = alice\n" in text


def test_the_lines_to_paste_name_port_account_and_share(tmp_path: Path) -> None:
    smbclient, mount, net_use = commands(settings(tmp_path))
    assert smbclient == "smbclient -p 4450 -U ksmbd%s3cret //127.0.0.1/share"
    assert "-t cifs -o port=4450,username=ksmbd,password=s3cret" in mount
    assert mount.endswith("//127.0.0.1/share /mnt")
    assert net_use == r"net use X: \\127.0.0.1\share /user:ksmbd s3cret /tcpport:4450"


def test_windows_needs_no_port_option_for_the_standard_port(tmp_path: Path) -> None:
    made = settings(tmp_path, port=SMB_PORT)
    assert commands(made)[2] == r"net use X: \\127.0.0.1\share /user:ksmbd s3cret"
    assert "tcpport" not in announcement(made)


def test_a_wildcard_address_is_announced_by_the_machines_name(tmp_path: Path) -> None:
    assert f"//{socket.gethostname()}/share" in commands(settings(tmp_path, bind="0.0.0.0"))[0]


def test_a_password_with_shell_characters_is_quoted(tmp_path: Path) -> None:
    made = settings(tmp_path, password="a b$c")
    assert "-U 'ksmbd%a b$c'" in commands(made)[0]
    assert "'port=4450,username=ksmbd,password=a b$c" in commands(made)[1]


def test_the_commands_follow_the_ready_line_and_name_the_port_it_says(tmp_path: Path) -> None:
    shown: list[str] = []
    lines = ["starting\n", "ksmbd: ready on 127.0.0.1:40123\n", "later\n"]
    relay(lines, settings(tmp_path, port=0), shown.append)
    assert shown[:2] == ["starting", "ksmbd: ready on 127.0.0.1:40123"]
    assert "smbclient -p 40123 " in shown[2]
    assert shown[3:] == ["later"]


def test_the_servers_exit_status_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    replace_server(monkeypatch, "print('ksmbd: ready on 127.0.0.1:7'); raise SystemExit(3)")
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert serve(settings(tmp_path)) == 3
    assert "smbclient -p 7 " in capfd.readouterr().out


def replace_server(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Start ``program`` in the server's place, and make no account."""
    paths = (Path("conf"), Path("db"))
    monkeypatch.setattr("control.quickstart.prepare", lambda _settings: paths)
    monkeypatch.setattr(
        "control.quickstart.server_command", lambda *_: [sys.executable, "-c", program]
    )


def test_an_account_that_cannot_be_made_is_an_error_not_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_settings: Settings) -> int:
        raise subprocess.CalledProcessError(22, "adduser", stderr="no such file")

    monkeypatch.setattr("control.quickstart.serve", refuse)
    assert main(["--folder", str(tmp_path)]) == 1
    assert "ended with 22: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("password", ["s3cret", "-with blanks "])
def test_no_command_line_has_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    run = subprocess.run
    seen: list[list[str]] = []

    def note(command: list[str], **rest: object) -> object:
        seen.append(command)
        return run(command, **rest)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", note)
    _, accounts = prepare(settings(tmp_path, password=password, user="anna"))
    assert not any(password in word for command in seen for word in command)
    assert users.load(str(accounts)) == {"anna": users.hash_password(password)}


def test_a_configuration_is_utf_8_whatever_the_locale_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("io.text_encoding", lambda given, *_: given or "latin-1")
    conf, _ = prepare(settings(tmp_path, share=tmp_path / "Äpfel"))
    assert load(str(conf)).shares["share"][1].path == str(tmp_path / "Äpfel")


def test_both_daemons_are_started_as_one(tmp_path: Path) -> None:
    made = settings(tmp_path)
    words = server_command(made, made.folder / "ksmbd.conf", made.folder / "ksmbdpwd.db")
    assert words[1:4] == ["-m", "ksmbd", "--with-mountd"]
    assert words[words.index("--port") + 1] == "4450"
    assert words[words.index("--run-dir") + 1] == str(tmp_path / ".run")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_real_server_with_status_zero(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "control.quickstart", "--folder", str(tmp_path / "run")]
    environment = {**os.environ, "SHARE": str(tmp_path / "share"), "PORT": free_port()}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    ) as started:
        assert started.stdout is not None
        for line in started.stdout:
            if line.startswith("Ctrl-C"):
                started.send_signal(number)
        assert started.wait() == 0


def test_ctrl_c_at_a_terminal_ends_make_run_with_status_zero(tmp_path: Path) -> None:
    environment = {**os.environ, "PORT": free_port(), "SHARE": str(tmp_path / "share")}
    folder = tmp_path / "run"
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"run:\n\t@exec {sys.executable} -m control.quickstart --folder {folder}\n")
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(ROOT)
        os.execvpe("make", ["make", "-f", str(makefile), "run"], environment)
    said = b""
    pressed = False
    # reading a terminal that everybody has left is an error
    with contextlib.suppress(OSError), open(terminal, "rb", buffering=0) as screen:
        while text := screen.read(4096):
            said += text
            if b"Ctrl-C stops it" in said and not pressed:
                os.write(terminal, b"\x03")
                pressed = True
    _, status = os.waitpid(process, 0)
    assert pressed, said
    assert os.waitstatus_to_exitcode(status) == 0, said.decode()


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])
