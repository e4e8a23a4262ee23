from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from control import addshare
from ksmbd.wire.security import DACL_PRESENT, SELF_RELATIVE, SecurityDescriptor
from mountd import conf, outcome, share_security
from mountd.lock import LockFile
from mountd.params import SHARE_KEYS, ShareParams

Command = Callable[..., int]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ksmbd.conf"


@pytest.fixture
def command(tmp_path: Path, path: Path) -> Command:
    def run(*arguments: str, ask: Callable[[str], str] = input) -> int:
        lock = str(tmp_path / "ksmbd.lock")
        files = ["-C", str(path), "-P", str(tmp_path / "pwd.db"), "--lock", lock]
        return addshare.main([*files, *arguments], ask)

    return run


def share(path: Path, name: str) -> ShareParams:
    return conf.load(str(path)).shares[name.casefold()][1]


def test_a_share_is_added(command: Command, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("-a", "-o", "path = /srv", "-o", "Guest OK=yes", "Data") == 0
    assert path.read_text() == (
        "; see ksmbd.conf(5) for details\n\n[Data]\n\tpath = /srv\n\tguest ok = yes\n"
    )
    assert "INFO: Share 'Data' added" in capsys.readouterr().err


def test_a_share_is_updated_and_the_rest_stays(command: Command, path: Path) -> None:
    path.write_text("# mine\n[data]\npath = /srv # here\nguest ok = no\n")
    assert command("-u", "-o", "public = yes", "DATA") == 0
    assert path.read_text() == "# mine\n[data]\npath = /srv # here\n\tpublic = yes\n"


def test_without_an_action_a_share_is_added_or_updated(command: Command, path: Path) -> None:
    assert command("-o", "path = /a", "data") == 0
    assert command("-o", "path = /b", "data") == 0
    assert share(path, "data").path == "/b"


def test_a_share_is_deleted(command: Command, path: Path) -> None:
    path.write_text("[a]\npath = /a\n[b]\npath = /b\n")
    assert command("-d", "A") == 0
    assert path.read_text() == "[b]\npath = /b\n"


def test_a_deleted_share_leaves_no_permissions_behind(command: Command, path: Path) -> None:
    path.write_text("[a]\npath = /a\n")
    null = SecurityDescriptor(SELF_RELATIVE | DACL_PRESENT).pack()
    with share_security.editing(str(path.with_name(share_security.NAME))) as descriptors:
        descriptors |= {"a": null, "b": null}
    assert command("-d", "A") == 0
    assert share_security.load(str(path.with_name(share_security.NAME))) == {"b": null}


def test_global_has_the_defaults_of_all_shares(command: Command, path: Path) -> None:
    path.write_text("[a]\npath = /a\n")
    assert command("-u", "-o", "read only = no", "global") == 0
    assert not share(path, "a").read_only


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("-a", "-o", "path=/x", "data"), "share 'data' exists already"),
        (("-u", "-o", "path=/x", "none"), "there is no share 'none'"),
        (("-d", "none"), "there is no share 'none'"),
        (("-a", "-o", "path=/x", "a]b"), "without [ ]"),
        (("-a", "-o", "path=/x", ""), "1 to 80 characters"),
        (("-a", "-o", "path=/x", "IPC$"), "IPC$ is made by mountd"),
        (("-a", "-o", "path=/x", "global"), "can only be updated"),
        (("-d", "global"), "can only be updated"),
        (("-u", "-o", "path", "data"), "expected 'key = value'"),
        (("-u", "-o", "path = srv", "data"), "path = srv: expected an absolute path"),
        (("-u", "-o", "guest ok = x", "data"), "guest ok = x: expected yes or no"),
        (("-u", "-o", "comment = a\nb", "data"), "no control characters"),
        (("-u", "-o", 'comment = "a" # b', "data"), "begin a comment"),
        (("-u", "-o", "valid users = a ;b", "data"), "begin a comment"),
        (("-u", "-o", "hosts deny = 10.0.0.256", "data"), "expected addresses, networks"),
    ],
)
def test_a_refusal_says_why_and_changes_nothing(
    command: Command,
    path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    why: str,
) -> None:
    path.write_text("[data]\npath = /srv\n")
    assert command(*arguments) == 1
    assert why in capsys.readouterr().err
    assert path.read_text() == "[data]\npath = /srv\n"


@pytest.mark.parametrize("option", ["bogus = 1", "tcp port = 1", "include = /x"])
def test_what_is_no_share_parameter_is_ignored_with_a_message(
    command: Command, path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert command("-a", "-o", option, "-o", "path = /srv", "data") == 0
    assert path.read_text().count("=") == 1
    assert "is no parameter of a share: ignored" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "comment"),
    [("a # b", "a # b"), ("x; y ;z", "x; y ;z"), ("end\\", "end\\"), ("a#b", "a#b"), ("", "")],
)
def test_a_value_is_read_back_as_it_was_given(
    command: Command, path: Path, value: str, comment: str
) -> None:
    assert command("-a", "-o", "path = /srv", "-o", f"comment = {value}", "data") == 0
    assert share(path, "data").comment == comment


def test_a_share_without_path_is_told(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("-a", "-o", "guest ok = yes", "data") == 0
    assert "[data] has no path and is not served" in capsys.readouterr().err


def test_a_share_of_an_included_file_is_pointed_to(
    command: Command, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path.parent / "more.conf").write_text("[extra]\npath = /x\n")
    path.write_text("[global]\ninclude = more.conf\n")
    assert command("-u", "-o", "path = /y", "extra") == 1
    assert "more.conf, which is included" in capsys.readouterr().err
    assert command("-a", "-o", "path = /z", "data") == 0
    assert share(path, "extra").path == "/x"


def test_a_broken_file_is_left_alone(
    command: Command, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text("[data]\npath = /srv\nguest ok = perhaps\n")
    assert command("-u", "-o", "comment = x", "data") == 1
    assert "ksmbd.conf:3: guest ok = perhaps" in capsys.readouterr().err
    assert path.read_text() == "[data]\npath = /srv\nguest ok = perhaps\n"
    assert command("-u", "-o", "guest ok = yes", "data") == 0
    assert {file.name for file in path.parent.iterdir()} == {"ksmbd.conf", "ksmbd.conf.lock"}


def test_without_options_every_parameter_is_asked_for(command: Command, path: Path) -> None:
    path.write_text("[data]\npath = /srv\nwritable = yes\n")
    asked: dict[str, str] = {}

    def ask(prompt: str) -> str:
        key, _, current = prompt.removesuffix("]: ").partition(" [")
        asked[key] = current
        return {"comment": " new ", "path": "/srv"}.get(key, "")

    assert command("-u", "data", ask=ask) == 0
    assert set(asked) == {param.key for param in SHARE_KEYS.values()}
    assert (asked["path"], asked["read only"], asked["create mask"]) == ("/srv", "no", "0744")
    assert path.read_text() == "[data]\npath = /srv\nwritable = yes\n\tcomment = new\n"


def test_an_answer_broken_off_changes_nothing(command: Command, path: Path) -> None:
    def ask(_prompt: str) -> str:
        raise EOFError

    assert command("-a", "data", ask=ask) == 1
    assert not path.exists()


def test_tab_completes_the_present_value() -> None:
    addshare._complete_with("/srv/data")
    complete = addshare.readline.get_completer()
    assert complete is not None
    assert (complete("/s", 0), complete("/s", 1), complete("x", 0)) == ("/srv/data", None, None)


def test_mountd_is_notified(command: Command, tmp_path: Path) -> None:
    lock = LockFile(str(tmp_path / "ksmbd.lock"))
    lock.acquire(os.getpid())
    seen: list[int] = []

    def reload(number: int, _frame: object) -> None:
        seen.append(number)
        outcome.write(lock.path, outcome.Outcome(os.getpid(), 1))

    before = signal.signal(signal.SIGHUP, reload)
    try:
        assert command("-a", "-o", "path = /srv", "data") == 0
        assert command("-a", "-o", "path = /srv", "data") == 1
    finally:
        signal.signal(signal.SIGHUP, before)
        lock.release()
    assert seen == [signal.SIGHUP]
