"""bench/cpu.py: processor time of a tree of processes."""

from __future__ import annotations

import os
import subprocess
import sys

from bench import cpu


def test_a_process_name_may_hold_spaces_and_brackets() -> None:
    text = "7 (a) (b) S 3 7 7 0 -1 0 0 0 0 0 50 25 100 200 20 0"
    assert cpu.parse_stat(text) == cpu.Process(3, 75 / cpu.TICKS, 300 / cpu.TICKS)


def test_a_tree_is_a_process_and_all_below_it() -> None:
    known = {
        1: cpu.Process(0, 0, 0),
        2: cpu.Process(1, 0, 0),
        3: cpu.Process(2, 0, 0),
        4: cpu.Process(1, 0, 0),
    }
    assert sorted(cpu.below(2, known)) == [2, 3]
    assert sorted(cpu.below(1, known)) == [1, 2, 3, 4]
    assert cpu.below(9, known) == []


def test_the_time_of_a_child_that_ended_stays_counted() -> None:
    before = cpu.used_s(os.getpid())
    program = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert cpu.used_s(os.getpid()) - before >= 0.2 - 2 / cpu.TICKS


def test_a_process_has_memory() -> None:
    assert cpu.memory_mib(os.getpid()) > 1
