"""``ksmbd-control status``: the server's report as tables that a person can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from unicodedata import combining, east_asian_width

from ksmbd.wire.text import printable

Row = Mapping[str, Any]
UNKNOWN: Final = "?"  # a server of another version does not tell it


class Column(NamedTuple):
    """One column: its title and what it shows of a row."""

    title: str
    text: Callable[[Row], str]
    right: bool = False  # aligned to the right, for numbers


def _field(name: str) -> Callable[[Row], str]:
    return lambda row: printable(str(row.get(name, UNKNOWN)))


def _flag(name: str) -> Callable[[Row], str]:
    return lambda row: "yes" if row.get(name) else "no"


def _name(name: str) -> Callable[[Row], str]:
    """A text that may be empty."""
    return lambda row: printable(row.get(name, UNKNOWN)) or "-"


def _counted(name: str) -> Callable[[Row], str]:
    """A number that is only there while requests are counted."""
    return lambda row: "-" if row.get(name) is None else str(row[name])


def _kept(row: Row) -> str:
    """How an open outlives its connection, and whether it waits for its client now."""
    kept = str(row.get("kept") or "-")
    return f"{kept}, client away" if row.get("away") else kept


def _kind(row: Row) -> str:
    return "pipe" if row["pipe"] else "directory" if row["directory"] else "file"


CONNECTIONS: Final = (
    Column("Number", _field("number"), right=True),
    Column("Client", _field("peer")),
    Column("Dialect", _field("dialect")),
    Column("Sessions", _field("sessions"), right=True),
    Column("Running", _field("requests"), right=True),
    Column("Waiting", _field("pending"), right=True),
    Column("Frames", _field("frames"), right=True),
    Column("Slow", _flag("slow")),
)
SESSIONS: Final = (
    Column("Session", _field("id")),
    Column("Account", _field("account")),
    Column("Client", _field("peer")),
    Column("State", _field("state")),
    Column("Guest", _flag("guest")),
    Column("Dialect", _field("dialect")),
    Column("Signed with", _name("signed")),
    Column("Sealed with", _name("sealed")),
    Column("Shares", _field("trees"), right=True),
    Column("Opens", _field("opens"), right=True),
)
CHANNELS: Final = (
    Column("Session", _field("session")),
    Column("Account", _field("account")),
    Column("Connection", _field("connection"), right=True),
    Column("Client", _field("peer")),
    Column("Server", _field("local")),
    Column("Signed with", _name("signed")),
    Column("Sealed with", _name("sealed")),
)
SHARES: Final = (
    Column("Share", _field("name")),
    Column("Connects", _field("trees"), right=True),
    Column("Opens", _field("opens"), right=True),
    Column("Operations", _counted("operations"), right=True),
    Column("Bytes read", _counted("read"), right=True),
    Column("Bytes written", _counted("written"), right=True),
)
TREES: Final = (
    Column("Share", _field("share")),
    Column("Account", _field("account")),
    Column("Session", _field("session")),
    Column("Writable", _flag("writable")),
    Column("Sealed only", _flag("encryption_required")),
)
OPENS: Final = (
    Column("File", _field("id")),
    Column("Share", _field("share")),
    Column("Path", _field("path")),
    Column("Kind", _kind),
    Column("Access", _field("access")),
    Column("Cached", _name("caching")),
    Column("Kept", _kept),
    Column("Account", _field("account")),
)
LOCKS: Final = (
    Column("File", _field("open")),
    Column("Share", _field("share")),
    Column("Path", _field("path")),
    Column("Offset", _field("offset"), right=True),
    Column("Length", _field("length"), right=True),
    Column("Exclusive", _flag("exclusive")),
    Column("Account", _field("account")),
)
LIMITS: Final = (
    Column("Limit", _field("name")),
    Column("At most", _field("limit"), right=True),
    Column("Now", _counted("now"), right=True),
)
TABLES: Final = (
    ("connections", "Connections", CONNECTIONS),
    ("sessions", "Sessions", SESSIONS),
    ("channels", "Channels", CHANNELS),
    ("shares", "Shares", SHARES),
    ("trees", "Connected shares", TREES),
    ("opens", "Open files", OPENS),
    ("locks", "Byte-range locks", LOCKS),
)


def render(report: Row) -> str:
    """The whole report."""
    lines = [summary(report)]
    if "pool" in report:
        lines.append(pool(report["pool"]))
        for key, title, columns in TABLES:
            if key not in report:  # by an older server
                continue
            lines += ["", f"{title}: {report.get(f'{key[:-1]}_count', len(report[key]))}"]
            lines += table(columns, report[key])
    return "\n".join(lines)


def summary(report: Row) -> str:
    mountd = "connected" if report["mountd"] else "away"
    modules = report.get("compiled")
    version = f"{report['version']} ({modules} modules compiled)" if modules else report["version"]
    line = f"ksmbd {version}: {report['state']}, port {report['port']}, mountd {mountd}"
    if "started" in report:
        line += f", up {duration(report['now'] - report['started'])}"
    if "python" in report:
        line += f", {report['python']}"
    return line


def pool(figures: Row) -> str:
    """One line about the worker threads."""
    line = (
        f"Workers: {figures['workers']} of at most {figures['max_workers']} "
        f"({figures['busy']} busy, {figures['idle']} idle), {figures['queued']} requests queued; "
        f"{figures['grown']} started and {figures['shrunk']} retired so far"
    )
    if figures.get("direct_dispatch") is False:
        line += "; no direct dispatch"
    return line


def duration(seconds: float) -> str:
    """Days, hours, minutes, seconds; the two largest that are not zero."""
    left = max(int(seconds), 0)
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def table(columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    """Titles and rows, as wide as they need to be; nothing at all without rows."""
    if not rows:
        return []
    cells = [[column.title for column in columns]]
    cells += [[column.text(row) for column in columns] for row in rows]
    widths = [max(map(_wide, column)) for column in zip(*cells, strict=True)]
    return [
        "  "
        + "  ".join(
            _padded(cell, width, right=column.right)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ).rstrip()
        for row in cells
    ]


def _padded(cell: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - _wide(cell))
    return blanks + cell if right else cell + blanks


def _wide(text: str) -> int:
    """Columns that a terminal takes for it: two for an ideograph, none for an accent of its own."""
    if text.isascii():
        return len(text)
    return sum(
        0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text
    )
