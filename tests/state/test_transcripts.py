"""The scripts in tests/state/transcripts, played on the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.transcript import Player

SCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_script_is_what_happens(engine: Engine, script: Path) -> None:
    lines = [line for line in script.read_text().splitlines() if line and line[0] != "#"]
    player = Player(engine)
    happened = []
    for line in lines:
        event, arrow, _ = line.partition(" -> ")
        assert arrow, f"no arrow in {line}"
        happened.append(f"{event.rstrip()} -> {player.play(event)}")
    expected = [f"{e.rstrip()} -> {r.strip()}" for e, _, r in (x.partition(" -> ") for x in lines)]
    assert happened == expected
    for name in list(player.clients):
        player.play(f"lose {name}")
    engine.assert_idle()
