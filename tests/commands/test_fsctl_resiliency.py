"""commands/fsctl_resiliency.py through the engine, [MS-SMB2] 3.3.5.15.9."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmbd.wire import fsctl, ipc
from ksmbd.wire.access import FILE_DIRECTORY_FILE
from ksmbd.wire.negotiate import SMB_2_0_2
from ksmbd.wire.status import NtStatus
from tests.support.client import DIALECTS, Client, File, ready
from tests.support.durable import ask, back_v1, connected
from tests.support.engine import Engine
from tests.support.mountd import DISK, share

OK = NtStatus.SUCCESS
REFUSED = NtStatus.INVALID_DEVICE_REQUEST


def asked(client: Client, file: File, milliseconds: int) -> NtStatus:
    data = fsctl.NetworkResiliencyRequest(timeout=milliseconds).pack()
    return client.status(file.frames.ioctl(fsctl.LMR_REQUEST_RESILIENCY, data))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_but_the_first_has_it(engine: Engine, dialect: int) -> None:
    client = ready(engine, dialect)
    expected = REFUSED if dialect == SMB_2_0_2 else OK
    assert asked(client, client.open(), 1000) is expected


@pytest.mark.parametrize(("milliseconds", "seconds"), [(1000, 1), (300_000, 300), (0, 120)])
def test_it_waits_as_long_as_asked(engine: Engine, milliseconds: int, seconds: int) -> None:
    client = connected(engine)
    file = client.open()
    assert asked(client, file, milliseconds) is OK
    client.lose()
    engine.advance(seconds - 0.5)
    client = connected(engine)
    assert ask(client, back_v1(file)).status is OK
    client.lose()
    engine.advance(seconds)
    engine.assert_idle()


def test_longer_than_windows_allows_is_refused(client: Client) -> None:
    assert asked(client, client.open(), 300_001) is NtStatus.INVALID_PARAMETER


def test_a_request_that_is_too_short_is_refused(client: Client) -> None:
    frame = client.open().frames.ioctl(fsctl.LMR_REQUEST_RESILIENCY, bytes(7))
    assert client.status(frame) is NtStatus.INVALID_PARAMETER


def test_only_files_are_resilient(client: Client) -> None:
    directory = client.open("dir", create_options=FILE_DIRECTORY_FILE)
    assert asked(client, directory, 1000) is REFUSED
    client.connect("IPC$")
    assert asked(client, client.open("srvsvc"), 1000) is REFUSED


def test_not_if_the_administrator_wants_no_durable_handles(folder: Path) -> None:
    flags = DISK & ~ipc.SHARE_DURABLE_HANDLES
    client = ready(Engine(folder, shares=[share("data", str(folder), flags)]))
    assert asked(client, client.open(), 1000) is REFUSED
