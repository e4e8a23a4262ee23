"""commands/fsctl_snapshots.py through the engine: how many bytes it takes to be told."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ksmbd.wire.fsctl import SRV_ENUMERATE_SNAPSHOTS
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, ready
from tests.support.engine import Engine
from tests.support.mountd import DISK, share

NAMES = ("@GMT-2026.01.02-03.04.05", "@GMT-2026.01.01-03.04.05")
SIZE = 2 * 50 + 2  # bytes of the array


@pytest.fixture
def client(folder: Path) -> Client:
    snapshots = folder / ".snapshots"
    for name in NAMES:
        (snapshots / name).mkdir(parents=True)
    served = share("data", str(folder), DISK, snapshot_dir=str(snapshots), snapshot_base="/")
    return ready(Engine(folder, shares=[served]))


def ask(client: Client, room: int) -> tuple[NtStatus, bytes]:
    frame = client.open("file").frames.ioctl(SRV_ENUMERATE_SNAPSHOTS, max_output_response=room)
    answer = client.call(frame)
    return answer.status, bytes(answer.data) if answer.status is NtStatus.SUCCESS else b""


def test_all_are_told(client: Client) -> None:
    status, data = ask(client, 12 + SIZE)
    assert status is NtStatus.SUCCESS
    assert struct.unpack_from("<III", data) == (2, 2, SIZE)
    assert data[12:].decode("utf-16-le") == "\0".join(NAMES) + "\0\0"


@pytest.mark.parametrize("room", [16, 12 + SIZE - 1])
def test_with_less_room_they_are_counted(client: Client, room: int) -> None:
    assert ask(client, room) == (NtStatus.SUCCESS, struct.pack("<III4x", 2, 0, SIZE))


@pytest.mark.parametrize("room", [0, 15])
def test_with_no_room_for_that_it_is_refused(client: Client, room: int) -> None:
    assert ask(client, room)[0] is NtStatus.INVALID_PARAMETER


def test_none_are_told_as_none(client: Client) -> None:
    for name in NAMES:
        (client.engine.folder / ".snapshots" / name).rmdir()
    assert ask(client, 4096) == (NtStatus.SUCCESS, struct.pack("<III4x", 0, 0, 2))


def test_a_pipe_has_no_past(client: Client) -> None:
    pipes = ready(client.engine, share="IPC$")
    frame = pipes.open("srvsvc").frames.ioctl(SRV_ENUMERATE_SNAPSHOTS)
    assert pipes.status(frame) is NtStatus.INVALID_DEVICE_REQUEST
