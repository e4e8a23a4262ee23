from __future__ import annotations

import os
from pathlib import Path

import pytest

from control import tools
from ksmbd import __version__
from mountd import users
from mountd.lock import LockFile


@pytest.mark.parametrize(
    ("arguments", "action"),
    [([], None), (["-a"], "add"), (["--update"], "update"), (["-d"], "delete")],
)
def test_there_is_one_action_at_most(arguments: list[str], action: str | None) -> None:
    assert tools.parser("ksmbd.x", "", "X").parse_args(arguments).action == action


def test_the_version_is_told_as_ksmbd_tools_tell_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        tools.parser("ksmbd.adduser", "", "X").parse_args(["-V"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == (
        f"[ksmbd.adduser/{os.getpid()}]: INFO: ksmbd-tools version : {__version__}\n"
    )


def test_a_mountd_that_cannot_be_notified_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_pid: int, _number: int) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(os, "kill", refuse)
    lock = LockFile(str(tmp_path / "lock"))
    lock.acquire(1)
    tools.notify_mountd(str(tmp_path / "lock"))
    lock.release()
    assert "reload it yourself: not yours" in caplog.text


def test_a_mountd_that_just_ended_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(_pid: int, _number: int) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(os, "kill", gone)
    caplog.set_level("INFO")
    lock = LockFile(str(tmp_path / "lock"))
    lock.acquire(1)
    tools.notify_mountd(str(tmp_path / "lock"))
    lock.release()
    assert "no mountd runs" in caplog.text


def test_only_the_default_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "DEFAULT_PATH", str(tmp_path / "etc" / "ksmbdpwd.db"))
    tools.make_default_folder(str(tmp_path / "other" / "ksmbdpwd.db"))
    assert not (tmp_path / "other").exists()
    tools.make_default_folder(str(tmp_path / "etc" / "ksmbd.conf"))
    tools.make_default_folder(str(tmp_path / "etc" / "ksmbd.conf"))
    assert (tmp_path / "etc").is_dir()


def test_an_error_of_the_system_names_the_file_without_its_number() -> None:
    assert tools.reason(FileNotFoundError(2, "No such file", "/x/y")) == "/x/y: No such file"
    assert tools.reason(OSError("why")) == "why"
    assert tools.reason(tools.Failed("no")) == "no"
