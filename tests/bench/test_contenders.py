"""bench/contenders.py: who is compared.  That ksmbd works is what test_rows.py shows."""

from __future__ import annotations

from pathlib import Path

from bench.__main__ import pairs
from bench.contenders import COMPILED, CONTENDERS, OURS, REFERENCE, TOY, shares


def test_each_serves_a_writable_share_of_its_own_folder(tmp_path: Path) -> None:
    assert set(CONTENDERS) == {OURS, COMPILED, REFERENCE, TOY}
    for name, make in CONTENDERS.items():
        peer = make(tmp_path / name)
        assert peer.path() == tmp_path / name / "share"
        assert peer.users
    assert shares(tmp_path)[0].options["read only"] == "no"


def test_what_is_compiled_is_compared_with_its_sources_and_with_the_others() -> None:
    assert pairs([REFERENCE, OURS]) == [(REFERENCE, OURS)]
    assert pairs([OURS, COMPILED]) == [(OURS, COMPILED)]
    assert pairs([REFERENCE, OURS, COMPILED]) == [
        (REFERENCE, OURS),
        (REFERENCE, COMPILED),
        (OURS, COMPILED),
    ]
