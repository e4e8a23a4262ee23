"""Byte-range locks, against a list that is searched from end to end."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmbd.vfs import locks
from ksmbd.vfs.locks import LockTable

TOP = 1 << 64


class Model:
    """The rules, literally."""

    def __init__(self) -> None:
        self.held: list[tuple[object, int, int, bool]] = []

    @staticmethod
    def overlap(a: int, a_end: int, b: int, b_end: int) -> bool:
        return not (a >= b_end or b >= a_end)

    def conflicts(self, owner: object, offset: int, length: int, kind: str) -> bool:
        for holder, start, end, exclusive in self.held:
            if not self.overlap(offset, offset + length, start, end):
                continue
            if kind == "exclusive":
                return True
            if kind in ("shared", "read") and exclusive and holder != owner:
                return True
            if kind == "write" and (not exclusive or holder != owner):
                return True
        return False

    def lock(self, owner: object, offset: int, length: int, exclusive: bool) -> bool:
        if self.conflicts(owner, offset, length, "exclusive" if exclusive else "shared"):
            return False
        self.held.append((owner, offset, offset + length, exclusive))
        return True

    def unlock(self, owner: object, offset: int, length: int) -> bool:
        for exclusive in (True, False):
            wanted = (owner, offset, offset + length, exclusive)
            if wanted in self.held:
                self.held.remove(wanted)
                return True
        return False

    def release_all(self, owner: object) -> bool:
        before = len(self.held)
        self.held = [row for row in self.held if row[0] != owner]
        return len(self.held) < before

    def coverage(self, owner: object, start: int, end: int) -> list[bool | None]:
        """Byte by byte: exclusively, shared, not."""

        def at(byte: int) -> bool | None:
            kinds = [row[3] for row in self.held if row[0] == owner and row[1] <= byte < row[2]]
            return any(kinds) if kinds else None

        return [at(byte) for byte in range(start, end)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["shared", "exclusive", "unlock", "read", "write", "release"]),
        st.sampled_from("AB"),
        st.integers(0, 12) | st.just(TOP - 3),
        st.integers(0, 3),
    ),
    max_size=60,
)


@given(STEPS)
@settings(max_examples=300)
def test_every_history_agrees_with_the_model(
    steps: list[tuple[str, str, int, int]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locks, "_CHUNK", 2)
        table, model = LockTable(), Model()
        for kind, owner, offset, length in steps:
            if kind in ("shared", "exclusive"):
                exclusive = kind == "exclusive"
                expected = model.lock(owner, offset, length, exclusive)
                assert table.lock(owner, offset, length, exclusive) == expected
            elif kind == "unlock":
                assert table.unlock(owner, offset, length) == model.unlock(owner, offset, length)
            elif kind == "release":
                assert table.release_all(owner) == model.release_all(owner)
            else:
                ask = table.conflicts_read if kind == "read" else table.conflicts_write
                assert ask(owner, offset, length) == model.conflicts(owner, offset, length, kind)
            assert len(table) == len(model.held)
            start, end = max(offset - 4, 0), offset + length + 4
            parts = table.coverage(owner, start, end)
            covered = [kind for first, stop, kind in parts for _ in range(first, stop)]
            assert covered == model.coverage(owner, start, end)
            assert all(first < stop for first, stop, _ in parts)


def test_a_shared_lock_stacks_on_the_owners_exclusive_one() -> None:
    table = LockTable()
    assert table.lock("A", 0, 10, True)
    assert table.lock("A", 0, 10, False)
    assert not table.lock("B", 5, 1, False)
    assert not table.lock("A", 0, 10, True)


def test_unlock_releases_the_exclusive_lock_under_a_shared_one_first() -> None:
    table = LockTable()
    table.lock("A", 0, 10, True)
    table.lock("A", 0, 10, False)
    assert table.unlock("A", 0, 10)
    assert table.lock("B", 0, 10, False)
    assert not table.lock("B", 0, 10, True)
    assert table.unlock("A", 0, 10)
    assert not table.unlock("A", 0, 10)


def test_unlock_wants_the_exact_range_and_owner() -> None:
    table = LockTable()
    table.lock("A", 10, 10, True)
    assert not table.unlock("A", 10, 9)
    assert not table.unlock("A", 11, 9)
    assert not table.unlock("B", 10, 10)
    assert table.unlock("A", 10, 10)


def test_a_zero_length_lock_collides_only_strictly_inside() -> None:
    table = LockTable()
    assert table.lock("A", 10, 10, True)
    assert table.lock("B", 10, 0, True)
    assert table.lock("B", 20, 0, True)
    assert table.lock("B", 20, 0, True)
    assert not table.lock("B", 11, 0, False)
    assert not table.lock("C", 19, 2, True)


def test_io_passes_its_own_exclusive_lock_and_no_other() -> None:
    table = LockTable()
    table.lock("A", 0, 10, True)
    assert not table.conflicts_read("A", 0, 10)
    assert not table.conflicts_write("A", 0, 10)
    assert table.conflicts_read("B", 9, 1)
    assert table.conflicts_write("B", 9, 1)
    assert not table.conflicts_write("B", 10, 1)


def test_a_write_does_not_pass_even_the_owners_shared_lock() -> None:
    table = LockTable()
    table.lock("A", 0, 10, False)
    assert not table.conflicts_read("B", 0, 10)
    assert table.conflicts_write("A", 0, 1)


def test_what_an_owner_holds_is_listed_up_to_a_limit() -> None:
    table = LockTable()
    assert table.lock("A", 10, 5, True)
    assert table.lock("A", 7, 0, True)
    assert table.lock("A", 100, 20, False)
    assert table.lock("A", 100, 20, False)
    held = [(10, 5, True), (7, 0, True), (100, 20, False), (100, 20, False)]
    assert [table.of("A", limit) for limit in range(6)] == [held[:n] for n in (0, 1, 2, 3, 4, 4)]
    assert table.of("B", 9) == []


def test_locks_reach_the_end_of_64_bits() -> None:
    table = LockTable()
    assert table.lock("A", TOP - 1, 1, True)
    assert not table.lock("B", 0, TOP, False)
    assert table.lock("B", 0, TOP - 1, True)


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_hundred_thousand_locks_stay_fast(exclusive: bool) -> None:
    table = LockTable()
    before = time.process_time()
    for offset in range(100_000):
        assert table.lock("A", offset * 2, 1, exclusive)
    assert table.lock("B", 1 << 40, 1, True)
    for offset in range(0, 200_000, 200):
        assert table.conflicts_write("B", offset, 200_000)
        assert not table.lock("B", offset, 2, True)
    assert table.release_all("A")
    assert len(table) == 1
    assert time.process_time() - before < 8


def test_the_number_of_locks_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "MAX_LOCKS", 2)
    table = LockTable()
    table.lock("A", 0, 1, True)
    table.lock("A", 1, 1, False)
    with pytest.raises(OSError, match="No locks available"):
        table.lock("A", 2, 1, True)
    assert len(table) == 2
