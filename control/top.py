"""``ksmbd-control top``: the busiest connections, again and again.

Rates are differences of two reports, so that the server counts nothing for it.  On a terminal keys
choose the order and end it; otherwise each picture follows the one before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from control.client import Client
from control.screen import GONE, RESIZED, Screen
from control.status import Column, Row, pool, summary, table
from ksmbd.wire.text import printable

CLEAR: Final = "\x1b[H\x1b[2J"
UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
SHOWN: Final = 20  # connections
HELP: Final = "q: end   order by r: requests  i: in  o: out  w: waiting  c: client  n: number"
_COUNTED: Final = ("frames", "received", "sent")


def size(count: float) -> str:
    """Bytes as a person reads them."""
    unit = 0
    while count >= 1024 and unit < len(UNITS) - 1:
        count /= 1024
        unit += 1
    return f"{count:.0f} {UNITS[unit]}" if unit == 0 else f"{count:.1f} {UNITS[unit]}"


def _rate(name: str) -> Callable[[Row], str]:
    return lambda row: f"{row[name]:.0f}"


def _bytes(name: str) -> Callable[[Row], str]:
    return lambda row: f"{size(row[name])}/s"


COLUMNS: Final = (
    Column("Number", lambda row: str(row["number"]), right=True),
    Column("Client", lambda row: printable(row["peer"])),
    Column("Accounts", lambda row: printable(row["accounts"]) or "-"),
    Column("Requests/s", _rate("frames"), right=True),
    Column("In", _bytes("received"), right=True),
    Column("Out", _bytes("sent"), right=True),
    Column("Running", lambda row: str(row["requests"]), right=True),
    Column("Waiting", lambda row: str(row["pending"]), right=True),
)


ORDERS: Final[dict[str, Callable[[Row], Any]]] = {
    "requests": lambda row: -row["frames"],
    "in": lambda row: -row["received"],
    "out": lambda row: -row["sent"],
    "waiting": lambda row: -row["pending"],
    "client": lambda row: row["peer"],
    "number": lambda row: row["number"],
}
_KEYS: Final = {order[0]: order for order in ORDERS}


def rates(before: Row, after: Row, order: str = "requests") -> list[dict[str, Any]]:
    """What each connection of *after* did in a second, in one of ORDERS."""
    seconds = max(after["now"] - before["now"], 1e-3)
    old = {row["number"]: row for row in before["connections"]}
    accounts: dict[int, set[str]] = {}
    for session in after["sessions"]:
        accounts.setdefault(session["connection"], set()).add(session["account"] or "(guest)")
    rows = []
    for row in after["connections"]:
        was = old.get(row["number"], dict.fromkeys(_COUNTED, 0))
        per_second = {name: max(row[name] - was[name], 0) / seconds for name in _COUNTED}
        names = ", ".join(sorted(accounts.get(row["number"], ())))
        rows.append({**row, **per_second, "accounts": names})
    return sorted(rows, key=lambda row: (ORDERS[order](row), row["number"]))


def screen(before: Row, after: Row, order: str = "requests", shown: int = SHOWN) -> str:
    """One picture, of so many connections."""
    rows = rates(before, after, order)
    lines = [summary(after), pool(after["pool"])]
    lines.append(
        f"Connections: {len(rows)}, sessions: {len(after['sessions'])}, "
        f"open files: {after['open_count']}; {sum(row['frames'] for row in rows):.0f} requests/s, "
        f"in {size(sum(row['received'] for row in rows))}/s, "
        f"out {size(sum(row['sent'] for row in rows))}/s"
    )
    return "\n".join([*lines, "", *table(COLUMNS, rows[:shown])])


def watch(
    run_dir: Path,
    *,
    interval_s: float,
    count: int,
    show: Callable[[str], None],
    clear: bool,
    order: str = "requests",
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show *count* pictures, 0: until interrupted.  Raises NotRunning, Refused, OSError."""
    before = _report(run_dir)
    shown = 0
    while not count or shown < count:
        sleep(interval_s)
        after = _report(run_dir)
        show((CLEAR if clear else "") + screen(before, after, order))
        before = after
        shown += 1


def live(run_dir: Path, on: Screen, *, interval_s: float, count: int, order: str) -> None:
    """The same on a terminal, with keys; the first picture comes at once, without rates."""
    before = after = _report(run_dir)
    shown = 0
    while True:
        _draw(on, before, after, order)
        end = time.monotonic() + interval_s
        while (key := on.key(max(end - time.monotonic(), 0))) is not None:
            if key in ("q", "Q", GONE):
                return
            if key in _KEYS or key == RESIZED:
                order = _KEYS.get(key, order)
                _draw(on, before, after, order)
        if count and shown >= count:
            return
        before, after = after, _report(run_dir)
        shown += 1


def _draw(on: Screen, before: Row, after: Row, order: str) -> None:
    lines = screen(before, after, order, shown=on.height).splitlines()
    room = max(on.height - 1, 0)
    on.draw([*lines[:room], *[""] * (room - len(lines)), f"{HELP}   (now: {order})"])


def _report(run_dir: Path) -> dict[str, Any]:
    """A connection for each: the server drops one that is silent for long."""
    with Client(run_dir) as client:
        report: dict[str, Any] = client.ask("status")
    empty: dict[str, Any] = {"connections": [], "sessions": [], "open_count": 0, "now": 0.0}
    idle = dict.fromkeys(("workers", "busy", "idle", "queued", "grown", "shrunk", "max_workers"), 0)
    return {**empty, "pool": idle, **report}
