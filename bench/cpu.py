"""What a server used: the processor time and the memory of a process and all below it."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Final, NamedTuple

TICKS: Final = os.sysconf("SC_CLK_TCK")  # a second


class Process(NamedTuple):
    """Of /proc/PID/stat, in seconds."""

    parent: int
    own_s: float  # user and system, all threads
    reaped_s: float  # of children that ended and were waited for


def parse_stat(text: str) -> Process:
    """proc(5); the name in brackets may hold anything, spaces and brackets included."""
    fields = text[text.rindex(")") + 2 :].split()
    own, reaped = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return Process(int(fields[1]), own / TICKS, reaped / TICKS)


def processes() -> dict[int, Process]:
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found[int(name)] = parse_stat(Path(f"/proc/{name}/stat").read_text())
            except OSError:
                continue  # it has ended
    return found


def below(root: int, known: dict[int, Process]) -> list[int]:
    """``root`` and all its descendants that live."""
    children = defaultdict(list)
    for pid, process in known.items():
        children[process.parent].append(pid)
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        if pid in known:
            found.append(pid)
            todo += children[pid]
    return found


def used_s(root: int) -> float:
    """Processor seconds of the tree so far; a child that ends stays counted in its parent."""
    known = processes()
    return sum(known[pid].own_s + known[pid].reaped_s for pid in below(root, known))


def memory_mib(root: int) -> float:
    """Proportional set size of the tree: shared pages are counted once."""
    kib = 0
    for pid in below(root, processes()):
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        kib += sum(int(line.split()[1]) for line in rollup.splitlines() if line[:4] == "Pss:")
    return kib / 1024
