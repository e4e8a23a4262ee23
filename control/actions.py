"""What ksmbd-control does, one function per option.

Each returns what is to be printed.  Raises NotRunning, Refused, or OSError.
"""

from __future__ import annotations

import json
import logging
import signal
from pathlib import Path
from typing import Any, Final

from control import reloading, status
from control.client import Client, NotRunning, Refused
from ksmbd.wire.ipc import LOCK_NAME, SHARE_BROWSEABLE
from ksmbd.wire.text import printable
from mountd import lock

log = logging.getLogger("ksmbd.control")

BOLD: Final = "\x1b[1m"
PLAIN: Final = "\x1b[m"


def shutdown(run_dir: Path) -> str:
    """End ksmbd with all connections, and mountd; return when ksmbd has ended."""
    ended = False
    try:
        client = Client(run_dir)
    except NotRunning:
        log.debug("ksmbd is not running")
    else:
        with client:
            ended = _end(client)
    if not lock.notify(str(run_dir / LOCK_NAME), signal.SIGTERM) and not ended:
        raise NotRunning(f"neither ksmbd nor ksmbd-mountd is running in {run_dir}")
    return ""


def _end(client: Client) -> bool:
    try:
        client.ask("kill", how="hard")
    except NotRunning:  # it was faster than its answer
        return True
    if not client.wait_ended():
        raise Refused("ksmbd has not ended yet")
    return True


def reload(run_dir: Path) -> str:
    """Have mountd read its files again; what has changed.

    Raises Refused if they are wrong, with file and line: the old configuration goes on then.
    """
    found = reloading.reload(str(run_dir / LOCK_NAME))
    if found is None:
        raise NotRunning(f"ksmbd-mountd is not running: nobody holds {run_dir / LOCK_NAME}")
    if found.error:
        error = printable(found.error)
        raise Refused(f"not reloaded, the old configuration stays: {error}")
    for line in found.warnings:
        log.warning("%s", printable(line))
    return "\n".join(map(printable, found.changes))


def list_shares(run_dir: Path, *, bold: bool = False) -> str:
    """Name and comment of every share, in the form of ksmbd-tools."""
    with Client(run_dir) as client:
        shares: list[dict[str, Any]] = client.ask("list")
    title = f"{'Name':>28}    Comment"
    lines = [f"{BOLD}{title}{PLAIN}" if bold else title]
    for share in shares:
        comment = printable(share["comment"])
        hidden = "" if share["flags"] & SHARE_BROWSEABLE else " (hidden)"
        lines.append(f"{printable(share['name']):>28}    {comment}{hidden}".rstrip())
    return "\n".join(lines)


def debug(run_dir: Path, component: str, address: str | None = None) -> str:
    """Switch a debug component over; all components, those that are on in brackets.

    With *address* for that client alone.
    """
    with Client(run_dir) as client:
        of = {} if address is None else {"client": address}
        return str(client.ask("debug", component=component, **of))


def version(run_dir: Path) -> str:
    """The version of the running server."""
    with Client(run_dir) as client:
        return f"ksmbd version : {client.ask('version')}"


def show_status(run_dir: Path, *, as_json: bool = False) -> str:
    """Connections, sessions, shares, open files, workers."""
    with Client(run_dir) as client:
        report = client.ask("status")
    return json.dumps(report, indent=2) if as_json else status.render(report)


def close(run_dir: Path, what: str, number: int) -> str:
    """End a connection, a session or an open file, by its number in the status."""
    with Client(run_dir) as client:
        return printable(str(client.ask("close", what=what, id=number)))


def stats(run_dir: Path) -> str:
    """One line for scripts, as in /sys/class/ksmbd-control/stats."""
    with Client(run_dir) as client:
        return str(client.ask("stats"))


def metrics(run_dir: Path) -> str:
    """The metrics, in Prometheus' text format."""
    with Client(run_dir) as client:
        return str(client.ask("metrics")).rstrip("\n")


def pool(run_dir: Path, max_workers: int | None = None) -> str:
    """The worker pool; with *max_workers* change its maximum first."""
    with Client(run_dir) as client:
        return status.pool(client.ask("pool", max_workers=max_workers))


def limits(run_dir: Path, given: list[str], *, as_json: bool = False) -> str:
    """How much there may be of what; those of *given*, ``NAME=NUMBER``, are changed first."""
    wanted = dict(_limit(item) for item in given)
    with Client(run_dir) as client:
        rows = client.ask("limits", set=wanted)
    return json.dumps(rows, indent=2) if as_json else "\n".join(status.table(status.LIMITS, rows))


def _limit(item: str) -> tuple[str, int]:
    name, equals, number = item.partition("=")
    if not equals or not number.strip().isdecimal():
        raise Refused(f"{item!r}: expected NAME=NUMBER")
    return " ".join(name.casefold().split()), int(number)
