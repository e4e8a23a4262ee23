"""control/arguments.py: what ps shows of a password."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from control import arguments
from tests.support.live import ROOT

SECRET = "Ünusual+pass/word="
SHOW = (
    "import sys; from control.arguments import hide; hide(sys.argv[1]);"
    "print(open('/proc/self/cmdline', 'rb').read())"
)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["-p", SECRET, "alice"], ["-p", "x", "alice"]),
        ([f"-p{SECRET}", "alice"], ["-px", "alice"]),
        ([f"--password={SECRET}", "alice"], ["--password=x", "alice"]),
        (["-ap", SECRET, "alice"], ["-ap", "x", "alice"]),
    ],
)
def test_the_arguments_show_it_no_more(given: list[str], shown: list[str]) -> None:
    command = [sys.executable, "-c", SHOW, SECRET, *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    line = ast.literal_eval(done.stdout.decode())
    assert SECRET.encode() not in line
    hidden = b"x" * len(SECRET.encode())
    expected = [word.encode().replace(b"x", hidden) for word in ("x", *shown)]
    expected[-1] = b"alice"
    assert line.split(b"\0")[3:-1] == expected


def test_where_the_kernel_says_nothing_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for text in ("", "1 (x) S 1", "1 (x) " + " ".join("?" * 50)):
        (tmp_path / "stat").write_text(text)
        monkeypatch.setattr(arguments, "_STAT", tmp_path / "stat")
        arguments.hide("secret")
    monkeypatch.setattr(arguments, "_STAT", tmp_path / "none")
    arguments.hide("secret")
