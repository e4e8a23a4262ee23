"""Which file descriptors this process has, for tests that look for lost ones."""

from __future__ import annotations

import os
from pathlib import Path


def held(folder: Path) -> int:
    """How many there are of *folder* and what is in it; those of other tests do not count."""
    count = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # the listing's own
            continue
        count += target == str(folder) or target.startswith(f"{folder}/")
    return count
