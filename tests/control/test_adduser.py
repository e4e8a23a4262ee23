from __future__ import annotations

import getpass
import io
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from control import adduser
from mountd import outcome, users
from mountd.lock import LockFile

EMPTY = "31d6cfe0d16ae931b73c59d7e0c089c0"
SECRET = users.hash_password("secret")
Command = Callable[..., int]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "ksmbdpwd.db"


@pytest.fixture
def command(tmp_path: Path, db: Path) -> Command:
    (tmp_path / "ksmbd.conf").write_text("")

    def run(*arguments: str) -> int:
        files = ["-C", str(tmp_path / "ksmbd.conf"), "-P", str(db)]
        return adduser.main([*files, "--lock", str(tmp_path / "ksmbd.lock"), *arguments])

    return run


def accounts(db: Path) -> dict[str, bytes]:
    return users.load(str(db))


def test_a_user_is_added(command: Command, db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("-a", "-p", "secret", "alice") == 0
    assert accounts(db) == {"alice": SECRET}
    assert stat.S_IMODE(db.stat().st_mode) == 0o640
    told = capsys.readouterr().err
    assert "INFO: User 'alice' added" in told
    assert "no mountd runs" in told


def test_a_hyphen_reads_the_password_once_from_standard_input(
    command: Command, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\nmore\n"))
    assert command("-a", "-p", "-", "alice") == 0
    assert accounts(db) == {"alice": SECRET}
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert command("-u", "-p", "-", "alice") == 1
    assert accounts(db) == {"alice": SECRET}


def test_a_password_on_the_command_line_is_hidden_at_once(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden: list[str] = []
    monkeypatch.setattr(adduser, "hide", hidden.append)
    command("-a", "-p", "secret", "alice")
    assert hidden == ["secret"]


def test_an_empty_password_is_a_password(command: Command, db: Path) -> None:
    assert command("-a", "-p", "", "alice") == 0
    assert accounts(db)["alice"].hex() == EMPTY


def test_without_an_action_a_user_is_added_or_updated(command: Command, db: Path) -> None:
    assert command("-p", "x", "alice") == 0
    assert command("-p", "secret", "alice") == 0
    assert accounts(db) == {"alice": SECRET}


def test_update_changes_the_password_of_one(command: Command, db: Path) -> None:
    command("-a", "-p", "x", "alice")
    command("-a", "-p", "x", "bob")
    before = accounts(db)["bob"]
    assert command("--update", "--password=secret", "alice") == 0
    assert accounts(db) == {"alice": SECRET, "bob": before}


def test_delete_takes_one_out(command: Command, db: Path) -> None:
    command("-a", "-p", "x", "alice")
    command("-a", "-p", "secret", "bob")
    assert command("-d", "alice") == 0
    assert accounts(db) == {"bob": SECRET}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("-a", "-p", "x", "alice"), "user 'alice' exists already"),
        (("-u", "-p", "x", "bob"), "there is no user 'bob'"),
        (("-d", "bob"), "there is no user 'bob'"),
        (("-a", "-p", "x", "a:b"), "no colon"),
        (("-a", "-p", "x", ""), "1 to 47 bytes"),
        (("-a", "-p", "x", "ä" * 24), "1 to 47 bytes"),
        (("-a", "-p", "ä" * 65, "bob"), "at most 128 bytes"),
    ],
)
def test_a_refusal_says_why_and_changes_nothing(
    command: Command,
    db: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    why: str,
) -> None:
    command("-a", "-p", "secret", "alice")
    assert command(*arguments) == 1
    assert why in capsys.readouterr().err
    assert accounts(db) == {"alice": SECRET}


@pytest.mark.parametrize(
    ("conf", "where"),
    [
        ("[global]\nguest account = alice\n", "it is the global guest account"),
        ("[a]\npath=/\nguest account = alice\n", "it is the guest account of [a]"),
        ("[a]\npath=/\nwrite list = bob alice\n", "it is among the write list of [a]"),
        ("[a]\npath=/\nread list = alice\n", "it is among the read list of [a]"),
        ("[a]\npath=/\nadmin users = alice\n", "it is among the admin users of [a]"),
        ("[a]\npath=/\ninvalid users = alice\n", "it is among the invalid users of [a]"),
        ("[global]\nvalid users = alice\n", "it is among the valid users of [global]"),
    ],
)
def test_a_user_who_is_needed_is_not_deleted(
    command: Command,
    tmp_path: Path,
    db: Path,
    capsys: pytest.CaptureFixture[str],
    conf: str,
    where: str,
) -> None:
    command("-a", "-p", "secret", "alice")
    (tmp_path / "ksmbd.conf").write_text(conf)
    assert command("-d", "alice") == 1
    assert where in capsys.readouterr().err
    assert accounts(db) == {"alice": SECRET}


def test_a_configuration_that_cannot_be_read_stops_a_deletion(
    command: Command, tmp_path: Path, db: Path
) -> None:
    command("-a", "-p", "secret", "alice")
    (tmp_path / "ksmbd.conf").write_text("junk\n")
    assert command("-d", "alice") == 1
    (tmp_path / "ksmbd.conf").unlink()
    assert command("-d", "alice") == 1
    assert accounts(db) == {"alice": SECRET}


def test_a_broken_database_is_left_alone(
    command: Command, db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db.write_text("junk\n")
    assert command("-a", "-p", "x", "alice") == 1
    assert "ksmbdpwd.db:1: expected name:hash" in capsys.readouterr().err
    assert db.read_text() == "junk\n"


def test_the_password_is_asked_for_twice_without_echo(
    command: Command, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["secret", "secret", "one", "other"])
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return next(answers)

    monkeypatch.setattr(getpass, "getpass", ask)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert command("-a", "alice") == 0
    assert asked == ["New password: ", "Retype new password: "]
    assert command("-u", "alice") == 1
    assert accounts(db) == {"alice": SECRET}


@pytest.mark.parametrize(
    ("typed", "status"), [("secret\nsecret\n", 0), ("secret\nother\n", 1), ("secret\n", 1), ("", 1)]
)
def test_a_script_gives_the_password_twice(
    command: Command, db: Path, monkeypatch: pytest.MonkeyPatch, typed: str, status: int
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert command("-a", "alice") == status
    assert accounts(db) == ({} if status else {"alice": SECRET})


def test_a_user_that_exists_is_refused_before_a_password_is_asked_for(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("-a", "-p", "x", "alice")
    monkeypatch.setattr("sys.stdin", io.StringIO("x\nx\n"))
    assert command("-a", "alice") == 1
    assert adduser.sys.stdin.read() == "x\nx\n"


def test_mountd_is_notified(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = LockFile(str(tmp_path / "ksmbd.lock"))
    lock.acquire(os.getpid())
    seen: list[int] = []

    def reload(number: int, _frame: object) -> None:
        seen.append(number)
        outcome.write(lock.path, outcome.Outcome(os.getpid(), 1))

    before = signal.signal(signal.SIGHUP, reload)
    try:
        assert command("-a", "-p", "x", "alice") == 0
    finally:
        signal.signal(signal.SIGHUP, before)
        lock.release()
    assert seen == [signal.SIGHUP]
    assert f"Notified mountd (process {os.getpid()})" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["-a", "-d", "alice"], [], ["alice", "bob"]])
def test_options_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        adduser.main(arguments)
    assert ended.value.code == 2
