"""mDNS and DNS-SD, so that Finder and Linux desktops show the server; by the library zeroconf."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import uuid5

from discovery.addresses import Address
from discovery.device import Device

try:
    import zeroconf
    from zeroconf.asyncio import AsyncZeroconf

    AVAILABLE = True
except ImportError:  # an optional dependency
    AVAILABLE = False

SMB: Final = "_smb._tcp.local."
DEVICE_INFO: Final = "_device-info._tcp.local."
ADISK: Final = "_adisk._tcp.local."
DISCARD_PORT: Final = 9  # of services that are no services, but only told


class Bonjour:
    """The services of one server on some addresses."""

    def __init__(self, device: Device, addresses: Sequence[Address]) -> None:
        self._device = device
        self._addresses = list(addresses)
        self._zeroconf: AsyncZeroconf | None = None

    async def start(self) -> None:
        """Probe for the name, choose another if it is taken, and announce.

        OSError, also of a name that the library does not take.
        """
        interfaces: list[str | int] = []
        for address in self._addresses:
            interfaces.append(str(address.ip) if address.ip.version == 4 else address.number)
        self._zeroconf = AsyncZeroconf(
            interfaces=list(dict.fromkeys(interfaces)),
            ip_version=zeroconf.IPVersion.All,
        )
        try:
            for service in self._services():
                await (await self._zeroconf.async_register_service(service, allow_name_change=True))
        except zeroconf.Error as refused:
            raise OSError(f"{type(refused).__name__}: {refused}") from refused

    async def stop(self) -> None:
        """Take it back and close."""
        running, self._zeroconf = self._zeroconf, None
        if running is not None:
            await running.async_unregister_all_services()
            await running.async_close()

    def _services(self) -> list[zeroconf.ServiceInfo]:
        name, host = self._device.name, f"{_label(self._device.name)}.local."
        packed = [address.ip.packed for address in self._addresses]
        smb = zeroconf.ServiceInfo(
            SMB, f"{name}.{SMB}", port=self._device.port, addresses=packed, server=host
        )
        info = zeroconf.ServiceInfo(
            DEVICE_INFO,
            f"{name}.{DEVICE_INFO}",
            port=DISCARD_PORT,
            addresses=packed,
            server=host,
            properties={"model": self._device.model},
        )
        if not self._device.backups:
            return [smb, info]
        disks = zeroconf.ServiceInfo(
            ADISK,
            f"{name}.{ADISK}",
            port=DISCARD_PORT,
            addresses=packed,
            server=host,
            properties=disk_properties(self._device),
        )
        return [smb, info, disks]


def disk_properties(device: Device) -> dict[str, str]:
    """The TXT record of ``_adisk._tcp``: the volumes that Time Machine may choose.

    What Macs look for, known from Apple's own servers: of each volume its name, flags (for Time
    Machine, 0x2, over SMB, 0x80) and a UUID that lasts, by which they know it again.
    """
    found = {"sys": "waMa=0,adVF=0x100"}
    for number, share in enumerate(device.backups):
        uuid = uuid5(device.uuid, share.casefold())
        found[f"dk{number}"] = f"adVN={share},adVF=0x82,adVU={uuid}"
    return found


def _label(name: str) -> str:
    """A host name out of any name."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name)
    return kept.strip("-")[:63] or "ksmbd"
