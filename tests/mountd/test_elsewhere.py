"""What becomes of Samba's other parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from mountd.conf import load
from mountd.elsewhere import BEGINNINGS, EXACT, instead
from mountd.params import GLOBAL_KEYS, SHARE_KEYS, fold


def test_none_of_them_is_one_of_ours() -> None:
    ours = GLOBAL_KEYS.keys() | SHARE_KEYS.keys()
    assert ours & EXACT.keys() == set()
    taken = {name for name in ours for begin in BEGINNINGS if name.startswith(begin)}
    assert {name for name in taken if not name.startswith("shadow:")} <= {
        *("fruit:model", "fruit:time machine", "fruit:time machine max size"),
        *("full_audit:failure", "full_audit:prefix", "full_audit:success"),
    }


def test_each_is_written_as_it_is_looked_up() -> None:
    assert [name for name in (*EXACT, *BEGINNINGS) if fold(name) != name.rstrip()] == []


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("Log  Level", "`ksmbd-control --debug` and the journal have the log"),
        ("idmap config * : range", "there is no membership in a domain"),
        ("fruit:metadata", "`vfs objects = fruit` and `time machine` are all there is to choose"),
        ("bogus", ""),
    ],
)
def test_the_warning_says_what_to_know_instead(tmp_path: Path, key: str, told: str) -> None:
    path = tmp_path / "ksmbd.conf"
    path.write_text(f"[global]\n{key} = 1\n")
    warning = f"{path}:2: unknown parameter {fold(key)!r} is ignored"
    assert load(str(path)).warnings == [f"{warning}: {told}" if told else warning]
    assert instead(fold(key)) == told
