"""Change times that name one content, and what is kept by them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import cast

import pytest

from ksmbd.vfs import stamps
from ksmbd.vfs.stamps import COARSE_TICK, FINEST_STEP, TICK, Remembered

LONG_AGO = 1_600_000_000_000_000_001


class Fake:
    """As much of a stat_result as is looked at."""

    def __init__(self, ctime: int, ino: int = 7, dev: int = -5) -> None:
        self.st_dev, self.st_ino, self.st_ctime_ns = dev, ino, ctime


def st(ctime: int, ino: int = 7, dev: int = -5) -> os.stat_result:
    return cast(os.stat_result, Fake(ctime, ino, dev))


@pytest.fixture(autouse=True)
def no_fine_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamps, "_fine", set())


def test_a_stamp_is_settled_when_the_clock_has_moved_on() -> None:
    assert not stamps.settled(LONG_AGO, LONG_AGO + TICK)
    assert stamps.settled(LONG_AGO, LONG_AGO + TICK + 1)


def test_a_stamp_of_whole_seconds_may_be_a_coarse_one() -> None:
    whole = 1_600_000_000_000_000_000
    assert not stamps.settled(whole, whole + COARSE_TICK)
    assert stamps.settled(whole, whole + COARSE_TICK + 1)


def test_two_stamps_closer_than_any_step_prove_a_fine_clock() -> None:
    stamps.observe(st(LONG_AGO), st(LONG_AGO + FINEST_STEP - 1))
    assert stamps.is_fine(-5)
    assert stamps.lasting(st(LONG_AGO), LONG_AGO)


@pytest.mark.parametrize("step", [0, FINEST_STEP, 1_000_000, 4_000_000, -5])
def test_other_steps_prove_nothing(step: int) -> None:
    stamps.observe(st(LONG_AGO), st(LONG_AGO + step))
    assert not stamps.is_fine(-5)
    assert not stamps.lasting(st(LONG_AGO), LONG_AGO)


def test_a_fine_clock_never_gives_two_changes_one_stamp(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    for _ in range(50):
        before = path.stat()
        path.chmod(0o600)
        stamps.observe(before, path.stat())
    if not stamps.is_fine(path.stat().st_dev):
        pytest.skip("this file system's stamps are coarse")
    seen = set()
    for number in range(500):
        path.chmod(0o600 + number % 8)
        seen.add(path.stat().st_ctime_ns)
    assert len(seen) == 500


def test_what_is_kept_is_good_until_the_file_changes() -> None:
    kept: Remembered[str] = Remembered(10)
    kept.keep(st(LONG_AGO), time.time_ns(), "content")
    assert kept.recall(st(LONG_AGO)) == "content"
    assert kept.recall(st(LONG_AGO + 1)) is None
    assert kept.recall(st(LONG_AGO, ino=8)) is None
    assert kept.recall(st(LONG_AGO, dev=-6)) is None


def test_nothing_is_kept_under_a_stamp_that_a_second_change_may_bear() -> None:
    kept: Remembered[str] = Remembered(10)
    kept.keep(st(LONG_AGO), LONG_AGO + 1, "content")
    assert kept.recall(st(LONG_AGO)) is None


def test_the_files_used_last_stay_when_there_are_too_many() -> None:
    kept: Remembered[int] = Remembered(10)
    for ino in range(1, 25):
        kept.keep(st(LONG_AGO, ino), time.time_ns(), ino)
        kept.recall(st(LONG_AGO, 1))
    assert kept.recall(st(LONG_AGO, 1)) == 1
    assert kept.recall(st(LONG_AGO, 24)) == 24
    assert kept.recall(st(LONG_AGO, 2)) is None
