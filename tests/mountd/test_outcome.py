"""The word that mountd leaves of its last reload."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from mountd import outcome
from mountd.outcome import Outcome

DONE = Outcome(7, 3, "", ("reloaded: 1 changed, 0 removed",), ("x: y\nz", "\u00e9"))


@pytest.fixture
def lock(tmp_path: Path) -> str:
    return str(tmp_path / "ksmbd.lock")


def test_what_is_left_is_read(lock: str) -> None:
    assert outcome.read(lock) is None
    outcome.write(lock, DONE)
    assert outcome.read(lock) == DONE
    outcome.write(lock, Outcome(7, 4, "ksmbd.conf:2: no"))
    assert outcome.read(lock) == Outcome(7, 4, "ksmbd.conf:2: no")
    outcome.remove(lock)
    outcome.remove(lock)
    assert outcome.read(lock) is None


def test_it_is_for_its_owner(lock: str) -> None:
    outcome.write(lock, DONE)
    assert stat.S_IMODE(Path(lock + ".reload").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "null", "{}", '{"pid": [], "number": 1}', "\ud800"],
)
def test_what_is_no_outcome_is_none(lock: str, text: str) -> None:
    Path(lock + ".reload").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert outcome.read(lock) is None


def test_a_link_is_not_followed(lock: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(DONE.to_json())
    Path(lock + ".reload").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        outcome.read(lock)


def test_many_lines_are_cut(lock: str) -> None:
    outcome.write(lock, DONE._replace(warnings=("w",) * 5000))
    found = outcome.read(lock)
    assert found is not None
    assert len(found.warnings) == 1000
    assert json.loads(found.to_json())["number"] == 3
