"""commands/oplock_break.py through the engine, [MS-SMB2] 3.3.5.22."""

from __future__ import annotations

import pytest

from ksmbd.wire.create import OPLOCK_BATCH, OPLOCK_EXCLUSIVE, OPLOCK_II, OPLOCK_LEASE, OPLOCK_NONE
from ksmbd.wire.status import NtStatus
from tests.support.client import Client


@pytest.mark.parametrize("level", [OPLOCK_NONE, OPLOCK_II, OPLOCK_EXCLUSIVE, OPLOCK_BATCH])
def test_an_acknowledgment_nobody_waits_for_is_refused(client: Client, level: int) -> None:
    file = client.open("file")
    response = client.call(file.frames.oplock_break(level))
    assert response.status in {NtStatus.INVALID_OPLOCK_PROTOCOL, NtStatus.INVALID_PARAMETER}
    assert client.status(file.frames.write(b"x")) is NtStatus.SUCCESS


def test_a_lease_level_for_an_oplock_is_refused(client: Client) -> None:
    file = client.open("file")
    assert client.status(file.frames.oplock_break(OPLOCK_LEASE)) is NtStatus.INVALID_PARAMETER


def test_an_acknowledgment_for_no_file_is_refused(client: Client) -> None:
    assert client.status(client.frames.on(1, 2).oplock_break()) is NtStatus.FILE_CLOSED


@pytest.mark.parametrize("state", [0, 1, 7, 8, 0xFFFF_FFFF])
def test_an_unknown_lease_is_refused(client: Client, state: int) -> None:
    frame = client.frames.lease_break(bytes(range(16)), state)
    assert client.status(frame) in {
        NtStatus.OBJECT_NAME_NOT_FOUND,
        NtStatus.INVALID_PARAMETER,
    }


@pytest.mark.parametrize("size", [0, 23, 25, 35, 37, 44, 0xFFFF])
def test_another_structure_is_refused(client: Client, size: int) -> None:
    frame = client.frames.lease_break(size=size)
    assert client.status(frame) is NtStatus.INVALID_PARAMETER
