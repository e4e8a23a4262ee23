"""server/path_table.py: a dictionary that knows what lies beneath a path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.server.path_table import PathTable

PATHS = st.text(alphabet="/.0-ab", max_size=6)


@given(st.lists(st.tuples(PATHS, st.booleans())), PATHS)
def test_it_finds_what_a_look_at_all_finds(changes: list[tuple[str, bool]], path: str) -> None:
    table, plain = PathTable(), dict[str, int]()
    for number, (each, add) in enumerate(changes):
        if add:
            table[each] = plain[each] = number
        else:
            assert table.pop(each, None) == plain.pop(each, None)
    assert dict(table) == plain
    assert table.beneath(path) == sorted(p for p in plain if p.startswith(path + "/"))


def test_a_path_that_is_missing_is_no_loss_to_others() -> None:
    table = PathTable()
    table["/srv"] = 1
    with pytest.raises(KeyError):
        del table["/sr"]
    assert table.beneath("") == ["/srv"]
