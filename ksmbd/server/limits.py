"""How much there may be of what, and how much there is: shown, and changed while the server runs.

The configuration says it again with the next reload.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from ksmbd.server.listener import Admission
from ksmbd.state.server import Server

MAX: Final = 65536


class Limit(NamedTuple):
    """One row: a parameter of ksmbd.conf and where the server has it."""

    setting: str  # attribute of Settings
    high: int
    low: int = 1


LIMITS: Final[dict[str, Limit]] = {
    "max connections": Limit("max_connections", MAX),
    "max ip connections": Limit("max_connections_per_address", MAX),
    "max active sessions": Limit("max_sessions", MAX),
    "max user sessions": Limit("max_user_sessions", MAX),
    "max open files": Limit("max_open_files", MAX),
    "smb2 max credits": Limit("max_credits", MAX),
    "deadtime": Limit("deadtime_s", 1_000_000, 0),
}
_UNITS: Final = {"deadtime": 60}  # of a number; 1 where there is none here


def change(server: Server, admission: Admission, wanted: Mapping[str, Any]) -> None:
    """Have other limits from now on.  Raises ValueError, and then none has changed.

    Who is there already stays.
    """
    changed: dict[str, Any] = {}
    for name, number in wanted.items():
        limit = LIMITS.get(name)
        if limit is None:
            raise ValueError(f"there is no limit {name!r}; there are {', '.join(LIMITS)}")
        if type(number) is not int or not limit.low <= number <= limit.high:
            raise ValueError(f"{name}: a number from {limit.low} to {limit.high}")
        changed[limit.setting] = number * _UNITS.get(name, 1)
    server.settings = settings = replace(server.settings, **changed)
    server.opens.limit = settings.max_open_files
    admission.set_limits(settings.max_connections, settings.max_connections_per_address)


def shown(server: Server, admission: Admission) -> list[dict[str, Any]]:
    """Every limit with how much there is now; None: that is nobody's to count."""
    now = {
        "max connections": admission.figures()[0],
        "max ip connections": admission.most(),
        "max active sessions": len(server.sessions),
        "max user sessions": server.most_of_a_user(),
        "max open files": len(server.opens),
    }
    return [
        {
            "name": name,
            "limit": getattr(server.settings, limit.setting) // _UNITS.get(name, 1),
            "now": now.get(name),
        }
        for name, limit in LIMITS.items()
    ]
