"""Who is told what on which address, and again whenever addresses or the configuration change."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import uuid4

from discovery import addresses, bonjour
from discovery.addresses import Address
from discovery.bonjour import Bonjour
from discovery.device import Device, backup_shares, device_from, machine_id
from discovery.multicast import Endpoint
from discovery.wsd import Announcer
from ksmbd.wire.interface_word import parse, stands_for
from mountd import conf
from mountd.conf import Configuration
from mountd.params import GlobalParams
from mountd.server import SdNotify

log = logging.getLogger("discovery")

SETTLE_S: Final = 1.0  # changes of addresses come in swarms


def wanted(params: GlobalParams, found: Iterable[Address], loopback: bool) -> list[Address]:
    """The addresses on which the server may be shown.

    With ``bind interfaces only`` those of ``interfaces``, as the server listens; the loopback only
    if *loopback*.
    """
    usable = [a for a in found if loopback or not a.ip.is_loopback]
    if not (params.bind_interfaces_only and params.interfaces):
        return usable
    patterns = [parse(word).pattern for word in params.interfaces]
    return [a for a in usable if any(stands_for(p, a.interface, a.ip) for p in patterns)]


class Discovery:
    """The running program."""

    def __init__(
        self, config: str | None, notify: SdNotify, *, port: int | None, loopback: bool
    ) -> None:
        """*port* stands before ``tcp port``; *loopback*: show the server to itself, for tests."""
        self._config = config
        self._notify = notify
        self._port = port
        self._loopback = loopback
        self._instance = int(time.time())
        self._endpoints: dict[Address, Endpoint] = {}
        self._bonjour: Bonjour | None = None
        self._shown: tuple[Device, list[Address]] | None = None  # what _bonjour tells
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Until a signal ends it.  Raises ConfError if there is nothing to start with."""
        configuration = self._load()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        loop.add_signal_handler(signal.SIGHUP, self._changed.set)
        with addresses.watch() as watching:
            loop.add_reader(watching, self._address_changed, watching)
            try:
                await self._show(configuration)
                self._notify("READY=1")
                await self._follow()
            finally:
                loop.remove_reader(watching)
                self._notify("STOPPING=1")
                await self._hide()

    def _address_changed(self, watching: socket.socket) -> None:
        addresses.drain(watching)
        self._changed.set()

    async def _follow(self) -> None:
        ended = asyncio.ensure_future(self._ended.wait())
        while not self._ended.is_set():
            changed = asyncio.ensure_future(self._changed.wait())
            await asyncio.wait((ended, changed), return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            if self._changed.is_set() and not self._ended.is_set():
                await asyncio.sleep(SETTLE_S)
                self._changed.clear()
                try:
                    await self._show(self._load())
                except (conf.ConfError, OSError) as error:
                    log.error("not read again, what was stays: %s", error)

    def _load(self) -> Configuration:
        configuration = conf.load(conf.find(self._config))
        if self._port is not None:
            configuration.globals.tcp_port = self._port
        return configuration

    async def _show(self, configuration: Configuration) -> None:
        params, backups = configuration.globals, backup_shares(configuration)
        device = device_from(params, socket.gethostname(), machine_id(), backups)
        chosen = wanted(params, addresses.local_addresses(), self._loopback)
        log.info("%s on %s", device.name, ", ".join(str(a.ip) for a in chosen) or "no address")
        await self._show_wsd(device, chosen if params.ws_discovery else [])
        await self._show_bonjour(device, chosen if params.multicast_dns_register else [])
        ways = (("WS-Discovery", self._endpoints), ("mDNS", self._bonjour))
        log.info("shown by %s", " and ".join(way for way, there in ways if there) or "nothing")

    async def _show_wsd(self, device: Device, chosen: Sequence[Address]) -> None:
        """IPv4, and of IPv6 the link-local addresses, by which Windows asks."""
        usable = {a for a in chosen if a.ip.version == 4 or a.ip.is_link_local}
        for address in set(self._endpoints) - usable:
            await self._endpoints.pop(address).stop()
        if self._shown is not None and self._shown[0] != device:
            for address in list(self._endpoints):
                await self._endpoints.pop(address).stop()
        for address in usable - set(self._endpoints):
            announcer = Announcer(device, self._instance, uuid4)
            endpoint = Endpoint(announcer, address)
            try:
                await endpoint.start()
            except OSError as error:
                log.warning("no WS-Discovery on %s: %s", address.ip, error)
            else:
                self._endpoints[address] = endpoint

    async def _show_bonjour(self, device: Device, chosen: Sequence[Address]) -> None:
        now = (device, list(chosen))
        if now == self._shown:
            return
        if self._bonjour is not None:
            await self._bonjour.stop()
            self._bonjour = None
        self._shown = now
        if not chosen:
            return
        if not bonjour.AVAILABLE:
            log.warning("no mDNS: the Python module zeroconf is not installed")
            return
        told = Bonjour(device, chosen)
        try:
            await told.start()
        except OSError as error:
            log.warning("no mDNS: %s", error)
            await told.stop()
        else:
            self._bonjour = told

    async def _hide(self) -> None:
        await asyncio.gather(*(endpoint.stop() for endpoint in self._endpoints.values()))
        if self._bonjour is not None:
            await self._bonjour.stop()
