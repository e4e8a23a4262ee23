"""What the log and the status say of the interpreter."""

from __future__ import annotations

import platform
import sys
import sysconfig

import pytest

from ksmbd import interpreter

VERSION = f"Python {platform.python_version()}"


def test_a_build_with_a_lock_is_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "FREE_THREADED", False)
    assert interpreter.describe() == VERSION


@pytest.mark.parametrize(
    ("lock", "said"),
    [(False, ", free-threaded"), (True, ", free-threaded with its lock ON")],
)
def test_a_free_threaded_build_tells_whether_it_is_one_in_fact(
    monkeypatch: pytest.MonkeyPatch, lock: bool, said: str
) -> None:
    monkeypatch.setattr(interpreter, "FREE_THREADED", True)
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: lock, raising=False)
    assert interpreter.describe() == VERSION + said


def test_a_python_that_cannot_tell_has_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys, "_is_gil_enabled", raising=False)
    assert interpreter.takes_turns()


def test_nothing_that_the_server_imports_switches_the_lock_on() -> None:
    """The warning that Python gives then would be an error here: see pyproject.toml."""
    assert bool(sysconfig.get_config_var("Py_GIL_DISABLED")) is interpreter.FREE_THREADED
    assert interpreter.takes_turns() is not interpreter.FREE_THREADED
