"""bench/load.py: what the generator says, and that nonsense is no result."""

from __future__ import annotations

import json

import pytest

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
