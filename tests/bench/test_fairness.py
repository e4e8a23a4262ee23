"""bench/fairness.py: each greedy client is at work while the other one asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import fairness, load
from tests.support.peers import Peer


def test_an_echo_is_answered_beside_each_greedy_client(capsys: pytest.CaptureFixture[str]) -> None:
    assert fairness.main(["--seconds", "0.3", "--only", "ksmbd"]) == 0
    table = capsys.readouterr().out
    for name in (*fairness.GREEDY, fairness.UNREAD):
        assert f"| {name} | " in table


def test_a_greedy_client_that_gives_up_is_no_measurement(live: Peer) -> None:
    with (
        pytest.raises(load.LoadError, match="ended"),
        fairness.beside(load.generator(), live, ("-f", "no such file", "read"), 0.1),
    ):
        Path(live.path() / "unused").touch()
