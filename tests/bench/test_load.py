"""bench/load.py: what the generator says, and that nonsense is no result."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from bench import load
from bench.load import LoadError, parse

TOLD = {
    "op": "echo",
    "ops": 10,
    "failed": 0,
    "wall_s": 0.5,
    "ops_s": 20.0,
    "mb_s": 0.0,
    "p50_us": 3.0,
    "p99_us": 9.0,
    "client_cpu_s": 0.1,
}


def test_the_last_line_of_json_counts() -> None:
    found = parse("a warning\n" + json.dumps(TOLD) + "\n")
    assert (found.operations, found.rate, found.median_us) == (10, 20.0, 3.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "smb2load: connect: refused\n",
        json.dumps({**TOLD, "failed": 1}),
        json.dumps({**TOLD, "ops": 0}),
    ],
)
def test_a_rate_of_failures_is_no_rate(text: str) -> None:
    with pytest.raises(LoadError):
        parse(text)


def test_a_generator_that_says_nothing_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "GRACE_S", 0.1)
    silent = [sys.executable, "-c", "import time; time.sleep(600)"]
    peer: Any = SimpleNamespace(host="127.0.0.1", port=1, users={"tester": "x"})
    with pytest.raises(LoadError, match="does not answer"), load.idle(silent, peer, 1):
        raise AssertionError("nobody is idle")
