"""CHANGE_NOTIFY and its notifications."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.wire.base import Wire, WireError
from ksmbd.wire.change_notify import (
    ACTION_ADDED,
    ACTION_RENAMED_NEW_NAME,
    ACTION_RENAMED_OLD_NAME,
    CHANGE_FILE_NAME,
    CHANGE_LAST_WRITE,
    WATCH_TREE,
    Change,
    ChangeNotifyRequest,
    ChangeNotifyResponse,
    FileNotifyInformation,
    pack_changes,
    unpack_changes,
)
from tests.wire.vectors import check, name

VECTORS = [
    (
        ChangeNotifyRequest(
            flags=WATCH_TREE,
            output_buffer_length=0x1000,
            persistent_id=1,
            volatile_id=2,
            completion_filter=CHANGE_FILE_NAME | CHANGE_LAST_WRITE,
        ),
        "2000 0100 00100000 0100000000000000 0200000000000000 11000000 00000000",
    ),
    (ChangeNotifyResponse(output_buffer_length=20), "0900 4800 14000000"),
    (FileNotifyInformation(action=3, file_name_length=8), "00000000 03000000 08000000"),
]
TWO = (
    "14000000 04000000 06000000 61002e006200 0000"  # "a.b", padded to 4
    " 00000000 05000000 02000000 6300"  # the last is not padded
)
CHANGES = [Change(ACTION_RENAMED_OLD_NAME, "a.b"), Change(ACTION_RENAMED_NEW_NAME, "c")]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)


def test_a_chain_of_changes() -> None:
    raw = bytes.fromhex(TWO)
    assert pack_changes(CHANGES, 1000) == raw
    assert unpack_changes(raw) == CHANGES


def test_changes_that_do_not_all_fit_are_none() -> None:
    size = len(bytes.fromhex(TWO))
    assert pack_changes(CHANGES, size) is not None
    assert pack_changes(CHANGES, size - 1) is None
    assert pack_changes([], 0) == b""


@given(st.lists(st.builds(Change, st.integers(1, 11), st.text("aé\\x", min_size=1))))
def test_changes_survive(changes: list[Change]) -> None:
    raw = pack_changes(changes, 1 << 20)
    assert raw is not None
    assert unpack_changes(raw) == changes


@pytest.mark.parametrize(
    "hexbytes",
    [
        "00000000 01000000 04000000 6100",  # name past the end
        "00000000 01000000 ffffffff 6100",
        "00000000 01000000 01000000 61",  # half a character
        "0e000000 01000000 02000000 6100 00000000 01000000 00000000",  # unaligned
        "20000000 01000000 02000000 6100",  # past the end
        "04000000 01000000 02000000 6100",  # into itself
        "00000000 01000000 0000",
    ],
)
def test_a_bad_chain_is_refused(hexbytes: str) -> None:
    with pytest.raises(WireError):
        unpack_changes(bytes.fromhex(hexbytes))


def test_the_action_of_an_added_file() -> None:
    assert pack_changes([Change(ACTION_ADDED, "")], 12) == bytes.fromhex(
        "00000000 01000000 00000000"
    )
