"""commands/create_replay.py and state/replay.py through the engine, [MS-SMB2] 3.3.5.9.10."""

from __future__ import annotations

from typing import Any

import pytest

from ksmbd.wire import create_context as wire
from ksmbd.wire.access import FILE_CREATE, FILE_CREATED, FILE_OPENED
from ksmbd.wire.create import OPLOCK_BATCH, OPLOCK_LEASE, OPLOCK_NONE, CreateResponse
from ksmbd.wire.header import REPLAY
from ksmbd.wire.status import NtStatus
from tests.support.client import Client
from tests.support.durable import (
    GUID,
    RH,
    RWH,
    V1,
    Context,
    ask,
    connected,
    durable,
    lease,
    v2,
)
from tests.support.engine import Engine
from tests.support.replies import Response

OK = NtStatus.SUCCESS
DH2 = wire.DURABLE_HANDLE_REQUEST_V2


def replay(client: Client, *contexts: Context, **changes: Any) -> Response:
    return ask(client, *(contexts or (v2(),)), header_flags=REPLAY, **changes)


def ids(response: Response) -> tuple[int, int]:
    body = response.body(CreateResponse)
    return body.persistent_id, body.volatile_id


def test_a_replay_is_answered_with_the_open_it_has_made(engine: Engine) -> None:
    client = connected(engine)
    first = ask(client, v2(), create_disposition=FILE_CREATE)
    again = replay(client, create_disposition=FILE_CREATE)
    assert ids(again) == ids(first)
    assert again.contexts() == first.contexts()
    assert again.body(CreateResponse).create_action == FILE_CREATED
    assert len(engine.server.opens) == 1


def test_a_replay_of_what_never_came_is_a_create(engine: Engine) -> None:
    assert replay(connected(engine)).body(CreateResponse).create_action == FILE_CREATED


def test_without_the_flag_the_create_guid_is_taken(engine: Engine) -> None:
    client = connected(engine)
    durable(client)
    assert ask(client, v2(), name="other").status is NtStatus.DUPLICATE_OBJECTID


def test_another_client_has_create_guids_of_its_own(engine: Engine) -> None:
    durable(connected(engine))
    assert ask(connected(engine, guid=b"b" * 16), v2(), name="other").status is OK


def test_another_session_does_not_get_a_live_open(engine: Engine) -> None:
    durable(connected(engine))
    assert replay(connected(engine)).status is NtStatus.DUPLICATE_OBJECTID


def test_an_open_that_is_away_comes_back_with_a_replay(engine: Engine) -> None:
    client = connected(engine)
    first = ask(client, v2())
    client.lose()
    client = connected(engine)
    again = replay(client)
    assert ids(again) == ids(first)
    assert again.body(CreateResponse).create_action == FILE_CREATED
    assert client.status(client.file(again).frames.write(b"1")) is OK


def test_but_not_to_another_user(engine: Engine) -> None:
    client = connected(engine)
    durable(client)
    client.lose()
    assert replay(connected(engine, user="jane")).status is NtStatus.ACCESS_DENIED


def test_an_open_that_was_used_is_not_replayed(engine: Engine) -> None:
    """Its client has had the answer; the same CreateGuid makes another open."""
    client = connected(engine)
    file = durable(client, v2(), lease())
    assert client.status(file.frames.write(b"1")) is OK
    again = replay(client, v2(), lease())
    assert ids(again) != file.ids
    assert again.body(CreateResponse).create_action == FILE_OPENED


def test_what_is_closed_is_not_replayed(engine: Engine) -> None:
    client = connected(engine)
    file = durable(client)
    client.call(file.frames.close())
    assert len(engine.server.replays) == 0


@pytest.mark.parametrize("level", [OPLOCK_NONE, OPLOCK_BATCH])
def test_the_answer_has_the_oplock_level_of_the_replay(engine: Engine, level: int) -> None:
    """As Windows has it; the open keeps its own."""
    client = connected(engine)
    durable(client)
    again = replay(client, requested_oplock_level=level).body(CreateResponse)
    assert again.oplock_level == level
    assert bool(again.create_contexts_length) == (level == OPLOCK_BATCH)
    assert engine.server.opens.all()[0].oplock_level == OPLOCK_BATCH


def test_a_lease_is_told_as_it_is_now(engine: Engine) -> None:
    client = connected(engine)
    durable(client, v2(), lease(RH))
    durable(client, v2(b"x" * 16), lease(RWH))
    again = replay(client, v2(), lease(RH))
    told = wire.RequestLeaseV2.unpack(again.contexts()[wire.REQUEST_LEASE])
    assert told.lease_state == RWH


@pytest.mark.parametrize("first", [(v2(),), (v2(), lease(RWH, b"another lease key"[:16]))])
def test_a_lease_that_the_open_has_not_is_denied(
    engine: Engine, first: tuple[Context, ...]
) -> None:
    client = connected(engine)
    durable(client, *first)
    again = replay(client, v2(), lease(), requested_oplock_level=OPLOCK_LEASE)
    assert again.status is NtStatus.ACCESS_DENIED


def test_while_the_first_one_waits_the_client_must_try_again(engine: Engine) -> None:
    holder = connected(engine, guid=b"b" * 16)
    held = durable(holder, share_access=0)
    client = connected(engine)
    client.pend(client.frames.create(contexts=[v2()], requested_oplock_level=OPLOCK_BATCH))
    for flags in (0, REPLAY):
        again = ask(client, v2(), header_flags=flags)
        assert again.status is NtStatus.FILE_NOT_AVAILABLE
    holder.call(held.frames.close())
    (first,) = client.receive()
    assert first.status is OK
    assert ids(replay(client)) == ids(first)


def test_a_create_that_was_cancelled_or_failed_can_come_again(engine: Engine) -> None:
    holder = connected(engine, guid=b"b" * 16)
    durable(holder, share_access=0)
    client = connected(engine)
    async_id = client.pend(client.frames.create(contexts=[v2()]))
    client.send(client.frames.cancel(async_id=async_id))
    assert len(engine.server.replays) == 1  # the holder's
    assert ask(client, v2(), create_disposition=0xFF).status is NtStatus.INVALID_PARAMETER
    assert ask(client, v2(), name="other").status is OK


def test_so_can_one_whose_connection_is_lost(engine: Engine) -> None:
    holder = connected(engine, guid=b"b" * 16)
    held = durable(holder, v2(), share_access=0)
    client = connected(engine)
    client.pend(client.frames.create(contexts=[v2()]))
    client.lose()
    holder.call(held.frames.close())
    assert replay(connected(engine)).status is OK


def test_version_1_cannot_be_replayed(engine: Engine) -> None:
    client = connected(engine)
    durable(client, V1)
    assert len(engine.server.replays) == 0
    assert GUID not in [
        open.durable.create_guid for open in engine.server.opens.all() if open.durable is not None
    ]
