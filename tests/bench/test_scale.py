"""bench/scale.py: it runs, and a server that fails it fails it."""

from __future__ import annotations

import pytest

from bench import scale


def test_every_subject_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    small = {"connections": 10, "opens": 200, "watches": 10, "files": 1000, "entries": 500}
    assert scale.main([f"--{name}={number}" for name, number in small.items()]) == 0
    table = capsys.readouterr().out
    for subject in ("connections", "open files", "closing half", "watched", "listed folders"):
        assert subject in table
    for subject in ("status of them", "losing the connection of 100", "8 clients listing 500"):
        assert subject in table
    for question in ("first page", "a name that is not there", "the whole listing"):
        assert question in table


def test_times_are_of_the_first_and_the_last_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    class Server:
        pid = 1

    clock = iter(range(100))
    memory = iter((10.0, 12.0))
    monkeypatch.setattr(scale.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(scale.cpu, "memory_mib", lambda _pid: next(memory))
    done: list[int] = []
    row = scale.grow("things", Server(), 20, done.append)  # type: ignore[arg-type]
    assert done == list(range(20))
    assert (row.first_us, row.last_us) == (500_000.0, 500_000.0)
    assert row.bytes_each == 2 * (1 << 20) / 20
    assert "| things | 20 | 500,000 us | 500,000 us | 10.0 | 12.0 | 104,858 |" in scale.markdown(
        [row]
    )
