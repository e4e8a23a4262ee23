"""bench/flames.py: names of pictures, and what it says without py-spy."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from bench import flames
from bench.rows import ROWS


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("echo", "echo.svg"),
        ("random 4 KiB read, 8 connections of 4", "random-4-kib-read-8-connections-of-4.svg"),
    ],
)
def test_a_picture_is_called_after_its_row(row: str, name: str) -> None:
    assert flames.file_name(row) == name


def test_the_command_line_of_py_spy_is_no_title() -> None:
    picture = '<text x="1">/bin/py-spy record --pid 7 -o x.svg</text><text>f (a.py)</text>'
    assert flames.titled(picture, "a < b") == '<text x="1">a &lt; b</text><text>f (a.py)</text>'


def test_the_top_rows_are_there() -> None:
    assert len([row for row in ROWS if re.search(flames.TOP, row.name)]) == 9


def test_without_py_spy_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert flames.main(["--out", str(tmp_path)]) == 1
    assert "pip install py-spy" in capsys.readouterr().err
