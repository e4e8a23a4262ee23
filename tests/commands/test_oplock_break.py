"""commands/oplock_break.py through the engine, [MS-SMB2] 3.3.5.22."""

from __future__ import annotations

import pytest

from ksmbd.wire.create import OPLOCK_BATCH, OPLOCK_EXCLUSIVE, OPLOCK_II, OPLOCK_LEASE, OPLOCK_NONE
from ksmbd.wire.create_context import REQUEST_LEASE, RequestLease
from ksmbd.wire.oplock_break import LeaseBreakResponse, OplockBreakResponse
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File, ready
from tests.support.engine import Engine


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


# -- what is right; the refusals of leases are told by the transcripts --------------------


def asked(client: Client, engine: Engine, level: int = OPLOCK_BATCH) -> File:
    """An open whose oplock is being broken to II."""
    file = client.open("file", requested_oplock_level=level)
    breaker = ready(engine)
    breaker.pend(breaker.frames.create("file"))
    return file


@pytest.mark.parametrize("level", [OPLOCK_NONE, OPLOCK_II])
def test_an_acknowledgment_is_answered_with_its_level(
    engine: Engine, client: Client, level: int
) -> None:
    file = asked(client, engine)
    body = client.ok(file.frames.oplock_break(level), OplockBreakResponse)
    assert body.oplock_level == level
    assert (body.persistent_id, body.volatile_id) == file.ids


@pytest.mark.parametrize("level", [OPLOCK_EXCLUSIVE, OPLOCK_BATCH])
def test_a_level_that_was_not_offered_ends_the_oplock(
    engine: Engine, client: Client, level: int
) -> None:
    file = asked(client, engine)
    assert client.status(file.frames.oplock_break(level)) is NtStatus.INVALID_OPLOCK_PROTOCOL
    again = client.status(file.frames.oplock_break(OPLOCK_II))
    assert again is NtStatus.INVALID_OPLOCK_PROTOCOL


def test_a_lease_level_in_a_break_ends_the_oplock(engine: Engine, client: Client) -> None:
    file = asked(client, engine)
    assert client.status(file.frames.oplock_break(OPLOCK_LEASE)) is NtStatus.INVALID_PARAMETER
    again = client.status(file.frames.oplock_break(OPLOCK_II))
    assert again is NtStatus.INVALID_OPLOCK_PROTOCOL
    assert engine.scheduler.pending_timers == 0


def test_an_acknowledgment_of_a_held_oplock_is_refused(client: Client) -> None:
    file = client.open("file", requested_oplock_level=OPLOCK_BATCH)
    assert client.status(file.frames.oplock_break(OPLOCK_II)) is NtStatus.INVALID_DEVICE_STATE


def test_a_lease_acknowledgment_is_answered_with_its_state(engine: Engine, client: Client) -> None:
    key = bytes(range(16))
    context = RequestLease(lease_key=key, lease_state=7).pack()
    client.open("file", contexts=[(REQUEST_LEASE, context)], requested_oplock_level=OPLOCK_LEASE)
    breaker = ready(engine)
    breaker.pend(breaker.frames.create("file"))
    body = client.ok(client.frames.lease_break(key, 3), LeaseBreakResponse)
    assert body == LeaseBreakResponse(lease_key=key, lease_state=3)
