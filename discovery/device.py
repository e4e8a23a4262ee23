"""What is told about the server."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID, uuid5

from ksmbd import __version__
from mountd.conf import Configuration
from mountd.params import GlobalParams

MACHINE_ID: Final = Path("/etc/machine-id")
MAX_BACKUP_NAME: Final = 180  # bytes: a string of a TXT record has 255, and tells more than that
_OURS: Final = UUID("3a2c1e0a-5d3f-4c57-9a55-4b0d9ac6b1d1")  # the space of our names
_LOCAL: Final = "local"


class Device(NamedTuple):
    """The server as its neighbours see it."""

    uuid: UUID  # the same after every start; the machine's id cannot be told from it
    name: str
    workgroup: str
    description: str
    model: str  # of _device-info: which icon Finder shows
    port: int  # of SMB
    backups: tuple[str, ...] = ()  # shares for Time Machine

    version: str = __version__

    @property
    def computer(self) -> str:
        """``NAME/Workgroup:GROUP``, as Windows computers call themselves."""
        return f"{self.name.upper()}/Workgroup:{self.workgroup.upper()}"


def device_from(
    params: GlobalParams, host: str, machine_id: str, backups: Iterable[str] = ()
) -> Device:
    """*host* stands in for a ``netbios name`` that nobody has chosen; *backups* as in Device."""
    chosen = params.netbios_name if params.netbios_name != GlobalParams().netbios_name else ""
    name = chosen or host.partition(".")[0] or _LOCAL
    return Device(
        uuid=uuid5(_OURS, f"{machine_id}/{name.casefold()}"),
        name=name,
        workgroup=params.workgroup,
        description=params.server_string or name,
        model=params.aapl_model,
        port=params.tcp_port,
        backups=tuple(backups),
    )


def backup_shares(configuration: Configuration) -> list[str]:
    """The shares that Macs are shown as places for their backups.

    Not those that hide from lists; nor a name with a comma, which the record has no form for, or
    one that is too long for it.
    """
    return [
        name
        for name, params in configuration.shares.values()
        if params.time_machine and params.available and params.browseable
        if params.path and "," not in name and len(name.encode()) <= MAX_BACKUP_NAME
    ]


def machine_id(path: Path = MACHINE_ID) -> str:
    """The machine's own number; empty where there is none: then the name alone counts."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
