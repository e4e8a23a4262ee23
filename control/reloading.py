"""Having mountd read its files again, and hearing what became of it."""

from __future__ import annotations

import os
import signal
import time
from typing import Final

from control.client import NotRunning, Refused
from mountd import lock, outcome
from mountd.outcome import Outcome

PATIENCE_S: Final = 30.0  # for a mountd that looks up many names
_LOOK_S: Final = 0.02


def reload(lock_file: str, patience_s: float = PATIENCE_S) -> Outcome | None:
    """The outcome, whatever it is; None: no mountd runs.

    Raises Refused if mountd says nothing in time, NotRunning if it ends, OSError if it may not be
    told or heard.
    """
    before = outcome.read(lock_file)
    pid = lock.notify(lock_file, signal.SIGHUP)
    if not pid:
        return None
    known = before.number if before is not None and before.pid == pid else 0
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = outcome.read(lock_file)
        if found is not None and found.pid == pid and found.number > known:
            return found
        if not _is_alive(pid):
            raise NotRunning("ksmbd-mountd has ended; its log may say why")
        time.sleep(_LOOK_S)
    raise Refused(f"ksmbd-mountd has not read its files within {patience_s:g} s; see its log")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
