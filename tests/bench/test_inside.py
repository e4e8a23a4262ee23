"""The cost of one request inside: every row works and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

import ksmbd.compiled
from bench import inside
from ksmbd import interpreter


@pytest.mark.parametrize("row", [name for name in inside.ROWS if name != "list-64k"])
def test_every_row_is_answered(row: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    bench = inside.Bench(tmp_path)
    make, _ = inside.ROWS[row]
    source = make(bench)
    assert bench.timed(3, lambda: source(3)) >= 0
    status = bytes(bench.socket.reply[0])[12:16]
    assert status == bytes(4), f"{row}: status {status.hex()}"


def test_the_command_line_measures_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert inside.main(["echo", "--seconds", "0.05"]) == 0
    build, row = capsys.readouterr().out.splitlines()
    assert build == interpreter.describe() + ksmbd.compiled.about()
    assert row.startswith("echo ")
