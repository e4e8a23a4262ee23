"""The options of ksmbd-tools 3.5.7, short and long, as its own man pages have them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from control import addshare, adduser
from control.__main__ import parser as control_parser
from ksmbd.crypto.md4 import nt_hash
from mountd import users
from mountd.__main__ import parser as mountd_parser
from tests.support.live import ROOT

USER = ["alice"]
SHARE = ["pub"]
# tool -> what is parsed, and what every spelling of an option comes to
ADDUSER = [
    (["-a", "--add"], [], "action", "add"),
    (["-u", "--update"], [], "action", "update"),
    (["-d", "--delete"], [], "action", "delete"),
    (["-p", "--password"], ["secret"], "password", "secret"),
    (["-p", "--password"], [""], "password", ""),
    (["-P", "--pwddb"], ["/p.db"], "pwddb", "/p.db"),
    (["-C", "--config"], ["/c.conf"], "config", "/c.conf"),
    (["-v", "--verbose"], [], "verbose", True),
]
ADDSHARE = [
    (["-a", "--add"], [], "action", "add"),
    (["-u", "--update"], [], "action", "update"),
    (["-d", "--delete"], [], "action", "delete"),
    (["-o", "--option"], ["path = /a"], "option", ["path = /a"]),
    (["-P", "--pwddb"], ["/p.db"], "pwddb", "/p.db"),
    (["-C", "--config"], ["/c.conf"], "config", "/c.conf"),
    (["-v", "--verbose"], [], "verbose", True),
]
CONTROL = [
    (["-s", "--shutdown"], [], "shutdown", True),
    (["-r", "--reload"], [], "reload", True),
    (["-l", "--list"], [], "list", True),
    (["-d", "--debug"], ["smb"], "debug", "smb"),
    (["-c", "--ksmbd-version"], [], "ksmbd_version", True),
    (["-v", "--verbose"], [], "verbose", True),
]
MOUNTD = [
    (["-p", "--port"], ["4450"], "port", 4450),
    (["-n", "--nodetach"], [], "nodetach", 1),
    (["-n1", "--nodetach=1"], [], "nodetach", 1),
    (["-n0", "--nodetach=0"], [], "nodetach", 0),
    (["-P", "--pwddb"], ["/p.db"], "pwddb", "/p.db"),
    (["-C", "--config"], ["/c.conf"], "config", "/c.conf"),
    (["-v", "--verbose"], [], "verbose", True),
]
TOOLS: dict[str, tuple[Callable[[list[str]], object], list[str], list[tuple]]] = {  # type: ignore[type-arg]
    "adduser": (adduser._options, USER, ADDUSER),
    "addshare": (addshare._options, SHARE, ADDSHARE),
    "control": (lambda given: control_parser().parse_args(given), [], CONTROL),
    "mountd": (lambda given: mountd_parser().parse_args(given), [], MOUNTD),
}
ROWS = [
    (tool, spelling, *row[1:])
    for tool, (_, _, rows) in TOOLS.items()
    for row in rows
    for spelling in row[0]
]


def spelled(option: str, value: list[str]) -> list[list[str]]:
    """Every way in which getopt takes an option with its value."""
    if not value:
        return [[option]]
    if option.startswith("--"):
        return [[option, *value], [f"{option}={value[0]}"]]
    return [[option, *value]] + ([[f"{option}{value[0]}"]] if value[0] else [])


@pytest.mark.parametrize(("tool", "option", "value", "name", "expected"), ROWS)
def test_every_option_means_the_same(
    tool: str, option: str, value: list[str], name: str, expected: object
) -> None:
    parse, rest, _ = TOOLS[tool]
    for given in spelled(option, value):
        assert getattr(parse([*given, *rest]), name) == expected, given
        if rest:
            assert getattr(parse([*rest, *given]), name) == expected, given


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("option", ["-h", "--help", "-V", "--version"])
def test_each_tells_of_itself(tool: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        TOOLS[tool][0]([option])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert ("usage" in said) if "h" in option else ("ksmbd-tools version" in said)


def test_options_of_one_letter_stand_together(tmp_path: Path) -> None:
    chosen = adduser._options(["-avp", "secret", "alice"])
    assert (chosen.action, chosen.verbose, chosen.password) == ("add", True, "secret")


def command(tool: str, folder: Path, *arguments: str) -> list[str]:
    files = ["-C", str(folder / "ksmbd.conf"), "-P", str(folder / "ksmbdpwd.db")]
    lock = ["--lock", str(folder / "ksmbd.lock")]
    return [sys.executable, "-m", f"control.{tool}", *files, *lock, *arguments]


def test_a_terminal_is_asked_twice_and_shows_nothing(tmp_path: Path) -> None:
    terminal, theirs = pty.openpty()
    ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
    process = subprocess.Popen(command("adduser", tmp_path, "-a", "alice"), cwd=ROOT, **ends)
    os.close(theirs)
    said = b""
    for question in (b"New password: ", b"Retype new password: "):
        while question not in said:
            said += os.read(terminal, 4096)
        os.write(terminal, b"s3cr\xc3\xa9t\n")
    try:
        while piece := os.read(terminal, 4096):
            said += piece
    except OSError:  # EIO: it has ended
        pass
    os.close(terminal)
    assert process.wait(30) == 0, said
    assert b"s3cr" not in said
    assert users.load(str(tmp_path / "ksmbdpwd.db")) == {"alice": nt_hash("s3cr\u00e9t")}


def all_at_once(commands: list[list[str]]) -> None:
    def run(arguments: list[str]) -> None:
        done = subprocess.run(arguments, cwd=ROOT, capture_output=True, check=False)
        statuses.append(done.returncode)

    statuses: list[int] = []
    threads = [threading.Thread(target=run, args=(each,)) for each in commands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [0] * len(commands)


def test_of_writers_at_once_none_is_lost(tmp_path: Path) -> None:
    names = [f"user{number}" for number in range(3)]
    shares = [f"share{number}" for number in range(3)]
    all_at_once(
        [command("adduser", tmp_path, "-a", "-p", name, name) for name in names]
        + [command("addshare", tmp_path, "-a", "-o", f"path = /{s}", s) for s in shares]
    )
    kept = users.load(str(tmp_path / "ksmbdpwd.db"))
    assert kept == {name: nt_hash(name) for name in names}
    text = (tmp_path / "ksmbd.conf").read_text()
    assert all(f"[{share}]\n\tpath = /{share}\n" in text for share in shares)
