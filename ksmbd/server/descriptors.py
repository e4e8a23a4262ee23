"""How many descriptors the process may have.

Each open file is one, a file with local locks or a second holder some more, each connection one.
A shell gives 1,024, for the sake of programs that call select(2); this one does not, and takes
what it may have.
"""

from __future__ import annotations

import logging
import resource
import sys
from typing import Final

log = logging.getLogger("ksmbd")

MOST: Final = 1 << 20  # the kernel's own limit as it comes
RESERVE: Final = 256  # listeners, logs, shares, the loop, watched folders, listings, new clients


def raise_limit() -> int:
    """Take as many as the system lets us have without a privilege, up to MOST; their number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def check(max_open_files: int, max_connections: int, limit: int | None = None) -> None:
    """Say so if clients may open more than the process can hold; *limit*: not the process's."""
    if limit is None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    needed = max_open_files + max_connections + RESERVE
    if limit != resource.RLIM_INFINITY and limit < needed:
        log.warning(
            "the process may have %d descriptors, but max open files = %d and "
            "max connections = %d want %d: raise LimitNOFILE (ulimit -n)",
            *(limit, max_open_files, max_connections, needed),
        )


def for_files(limit: int | None = None) -> int:
    """From which descriptor on no more files are opened, so that all else goes on."""
    if limit is None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit - min(RESERVE, limit // 4)
