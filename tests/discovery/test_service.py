"""discovery/service.py: what goes wrong while it runs ends nothing."""

from __future__ import annotations

import asyncio
import errno
import os
from ipaddress import ip_address
from pathlib import Path
from uuid import UUID

import pytest

from discovery import addresses, bonjour, service
from discovery.addresses import Address
from discovery.bonjour import Bonjour
from discovery.device import Device
from discovery.service import Discovery

QUIET = "[global]\nws discovery = no\nmulticast dns register = no\n"


def test_addresses_that_cannot_be_asked_for_leave_all_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    conf = tmp_path / "ksmbd.conf"
    conf.write_text(QUIET)
    monkeypatch.setattr(service, "SETTLE_S", 0)
    told: list[str] = []

    def busy() -> list[Address]:
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    async def run() -> None:
        running = Discovery(str(conf), told.append, port=None, loopback=True)
        task = asyncio.create_task(running.run())
        while "READY=1" not in told:
            await asyncio.sleep(0.01)
        monkeypatch.setattr(addresses, "local_addresses", busy)
        running._changed.set()
        while "what was stays" not in caplog.text:
            assert not task.done()
            await asyncio.sleep(0.01)
        running._ended.set()
        await task

    asyncio.run(asyncio.wait_for(run(), 60))


class Silent:
    """The library's own side, without a network."""

    def __init__(self, **_: object) -> None:
        self.closed = False

    async def async_unregister_all_services(self) -> None:
        assert not self.closed

    async def async_close(self) -> None:
        self.closed = True


def test_a_name_that_mdns_does_not_take_is_an_oserror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bonjour, "AsyncZeroconf", Silent)
    device = Device(UUID(int=1), "a name" * 20, "Lab", "", "MacSamba", 445)

    async def show() -> None:
        made = Bonjour(device, [Address("lo", 1, ip_address("127.0.0.1"), 8)])
        try:
            await made.start()
        finally:
            await made.stop()

    with pytest.raises(OSError, match="BadTypeInNameException"):
        asyncio.run(show())
