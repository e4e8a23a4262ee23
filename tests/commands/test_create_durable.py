"""commands/create_durable.py through the engine: who gets a durable handle, and gets it back."""

from __future__ import annotations

import os
from typing import Any

import pytest

from ksmbd.wire import create_context as wire
from ksmbd.wire import ipc
from ksmbd.wire.access import FILE_DELETE_ON_CLOSE, FILE_DIRECTORY_FILE, FILE_OPENED
from ksmbd.wire.create import (
    OPLOCK_BATCH,
    OPLOCK_EXCLUSIVE,
    OPLOCK_II,
    OPLOCK_LEASE,
    OPLOCK_NONE,
    CreateResponse,
)
from ksmbd.wire.header import REPLAY
from ksmbd.wire.logoff import LogoffResponse
from ksmbd.wire.negotiate import SMB_2_0_2, SMB_2_1, SMB_3_0, SMB_3_1_1
from ksmbd.wire.status import NtStatus
from ksmbd.wire.tree_connect import TreeDisconnectResponse
from tests.support.client import DIALECTS, Client, File
from tests.support.durable import (
    GUID,
    KEY,
    RH,
    RWH,
    V1,
    Context,
    ask,
    back_v1,
    back_v2,
    connected,
    durable,
    lease,
    lease_v1,
    v2,
)
from tests.support.engine import Engine
from tests.support.mountd import DISK, share

OK = NtStatus.SUCCESS
NOT_FOUND = NtStatus.OBJECT_NAME_NOT_FOUND
DH = wire.DURABLE_HANDLE_REQUEST
DH2 = wire.DURABLE_HANDLE_REQUEST_V2
R = wire.LEASE_READ


def granted(client: Client, *contexts: Context, **changes: Any) -> dict[bytes, bytes]:
    response = ask(client, *contexts, **changes)
    body = response.body(CreateResponse)
    return response.contexts() if body.create_contexts_length else {}


# -- who gets one ------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_batch_oplock_makes_an_open_durable_in_every_dialect(
    engine: Engine, dialect: int
) -> None:
    assert granted(connected(engine, dialect), V1) == {DH: bytes(8)}


@pytest.mark.parametrize("level", [OPLOCK_NONE, OPLOCK_II, OPLOCK_EXCLUSIVE])
@pytest.mark.parametrize("context", [V1, v2()])
def test_a_lower_oplock_does_not(engine: Engine, context: Context, level: int) -> None:
    assert granted(connected(engine), context, requested_oplock_level=level) == {}


@pytest.mark.parametrize(("level", "expected"), [(R, False), (RH, True), (RWH, True)])
@pytest.mark.parametrize(("context", "name"), [(V1, DH), (v2(), DH2)])
def test_a_lease_does_if_it_has_handle(
    engine: Engine, context: Context, name: bytes, level: int, expected: bool
) -> None:
    assert (name in granted(connected(engine), context, lease(level))) is expected


def test_what_counts_is_what_was_granted(engine: Engine) -> None:
    """Another client has the file open, so that a batch oplock becomes one of level II."""
    connected(engine, guid=b"b" * 16).open()
    assert granted(connected(engine), V1) == {}


@pytest.mark.parametrize(
    ("asked", "told"), [(0, 60_000), (1, 1), (5000, 5000), (300_000, 300_000), (1 << 31, 300_000)]
)
def test_the_time_is_a_minute_or_as_asked_up_to_five(engine: Engine, asked: int, told: int) -> None:
    found = granted(connected(engine), v2(timeout=asked))
    assert wire.DurableHandleResponseV2.unpack(found[DH2]).timeout == told


def test_version_2_needs_3_x(engine: Engine) -> None:
    assert granted(connected(engine, SMB_2_1), v2()) == {}
    assert DH2 in granted(connected(engine, SMB_3_0), v2(), name="other")


def test_a_directory_is_not_durable(engine: Engine) -> None:
    client = connected(engine)
    found = granted(client, v2(), lease(RH), create_options=FILE_DIRECTORY_FILE)
    assert DH2 not in found


def test_nothing_is_durable_if_the_administrator_says_so(engine_without: Engine) -> None:
    assert granted(connected(engine_without), V1) == {}
    assert granted(connected(engine_without), v2(), name="other") == {}


@pytest.fixture
def engine_without(folder: Any) -> Engine:
    flags = DISK & ~ipc.SHARE_DURABLE_HANDLES
    return Engine(folder, shares=[share("data", str(folder), flags)])


# -- getting it back ---------------------------------------------------------------------


def reopened(client: Client, context: Context, *more: Context, **changes: Any) -> CreateResponse:
    response = ask(client, context, *more, **changes)
    assert response.status is OK, response
    return response.body(CreateResponse)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_after_a_lost_connection_the_open_is_as_it_was(engine: Engine, dialect: int) -> None:
    client = connected(engine, dialect)
    file = durable(client, V1)
    client.call(file.frames.write(b"some data"))
    client.call(file.frames.lock())
    client.lose()
    client = connected(engine, dialect)
    body = reopened(client, back_v1(file), name="whatever", desired_access=0x12345678)
    assert (body.persistent_id, body.volatile_id) == file.ids
    assert body.oplock_level == OPLOCK_BATCH
    assert body.create_action == FILE_OPENED
    assert body.end_of_file == 9
    mine = client.frames.on(*file.ids)
    assert client.status(mine.write(b"more")) is OK
    (open,) = engine.server.opens.all()
    assert open.inode is not None
    assert open.inode.locks.of(open, 9) == [(0, 10, True)]


def test_a_new_session_begins_with_a_channel_sequence_of_its_own(engine: Engine) -> None:
    client = connected(engine)
    file = durable(client, V1)
    assert client.status(file.frames.write(b"x").set(status=5)) is OK
    client.lose()
    client = connected(engine)
    reopened(client, back_v1(file))
    mine = client.frames.on(*file.ids)
    assert client.status(mine.write(b"more")) is OK
    assert client.status(mine.write(b"more").set(header_flags=REPLAY)) is OK
    assert client.status(mine.write(b"late").set(status=0xFFFF)) is NtStatus.FILE_NOT_AVAILABLE


def test_a_lease_comes_back_with_its_state_and_epoch(engine: Engine) -> None:
    client = connected(engine)
    response = ask(client, v2(), lease(RWH))
    file, before = client.file(response), response.contexts()[wire.REQUEST_LEASE]
    client.lose()
    client = connected(engine)
    response = ask(client, back_v2(file), lease(0))
    assert response.status is OK
    assert response.contexts() == {wire.REQUEST_LEASE: before}
    assert response.body(CreateResponse).oplock_level == OPLOCK_LEASE


def test_logoff_leaves_it_for_the_next_session(engine: Engine) -> None:
    client = connected(engine)
    file = durable(client)
    client.ok(client.frames.logoff(), LogoffResponse)
    client.log_on()
    client.connect()
    reopened(client, back_v2(file))


def test_a_session_that_replaces_another_takes_its_opens_over(engine: Engine) -> None:
    """The old connection is not known to be lost yet."""
    client = connected(engine)
    file = durable(client)
    again = connected(engine, previous=client.frames.session_id)
    reopened(again, back_v2(file))
    assert client.status(file.frames.read()) is NtStatus.USER_SESSION_DELETED
    assert again.status(again.frames.on(*file.ids).write(b"1")) is OK


def test_a_client_may_be_faster_than_the_end_of_its_connection(engine: Engine) -> None:
    old = connected(engine)
    file = durable(old)
    client = connected(engine)
    frame = client.frames.create(contexts=[back_v2(file)])
    assert client.send(frame) == []  # it waits, and nobody needs to know
    old.lose()
    (response,) = client.receive()
    assert response.status is OK


def test_a_live_open_is_not_given_away(engine: Engine) -> None:
    owner = connected(engine)
    file = durable(owner)
    assert ask(owner, back_v2(file)).status is NOT_FOUND
    other = connected(engine)
    assert other.send(other.frames.create(contexts=[back_v2(file)])) == []
    engine.advance(2.0)
    (response,) = other.receive()
    assert response.status is NOT_FOUND
    assert owner.status(file.frames.write(b"1")) is OK


def test_an_open_that_ended_is_not_found(engine: Engine) -> None:
    client = connected(engine)
    closed = durable(client, name="closed")
    client.call(closed.frames.close())
    away = durable(client, v2(bytes(16)), name="away")
    client.ok(client.frames.tree_disconnect(), TreeDisconnectResponse)
    client.connect()
    assert ask(client, back_v2(closed)).status is NOT_FOUND
    assert ask(client, back_v2(away, bytes(16))).status is NOT_FOUND
    assert len(engine.server.opens) == 0


def test_one_that_was_not_durable_is_gone(engine: Engine) -> None:
    client = connected(engine)
    file = client.open()
    client.lose()
    assert ask(connected(engine), back_v1(file)).status is NOT_FOUND


def test_the_first_reconnect_gets_it(engine: Engine) -> None:
    client = connected(engine)
    file = durable(client)
    client.lose()
    first, second = connected(engine), connected(engine)
    reopened(first, back_v2(file))
    assert second.send(second.frames.create(contexts=[back_v2(file)])) == []
    engine.advance(2.0)
    assert second.receive()[0].status is NOT_FOUND


def lost(engine: Engine, *contexts: Context, **changes: Any) -> File:
    """A durable open whose connection is lost."""
    client = connected(engine)
    file = durable(client, *contexts, **changes)
    client.lose()
    return file


def still_there(engine: Engine, context: Context, *more: Context) -> bool:
    return ask(connected(engine), context, *more).status is OK


def test_another_user_is_denied(engine: Engine) -> None:
    file = lost(engine)
    assert ask(connected(engine, user="jane"), back_v2(file)).status is NtStatus.ACCESS_DENIED
    assert still_there(engine, back_v2(file))


def test_another_share_has_no_such_open(engine: Engine) -> None:
    file = lost(engine)
    assert ask(connected(engine, share="ro"), back_v2(file)).status is NOT_FOUND
    assert still_there(engine, back_v2(file))


def test_another_create_guid_finds_nothing(engine: Engine) -> None:
    file = lost(engine)
    assert ask(connected(engine), back_v2(file, b"x" * 16)).status is NOT_FOUND
    assert ask(connected(engine), back_v2(file, bytes(16))).status is NOT_FOUND
    assert still_there(engine, back_v2(file))


def test_the_versions_mix_where_windows_mixes_them(engine: Engine) -> None:
    assert still_there(engine, back_v1(lost(engine)))
    file = lost(engine, V1, name="other")
    assert ask(connected(engine), back_v2(file)).status is NOT_FOUND
    assert still_there(engine, back_v2(file, bytes(16)))


def test_an_oplock_is_given_to_another_client_guid_and_a_lease_is_not(engine: Engine) -> None:
    elsewhere = connected(engine, guid=b"b" * 16)
    assert ask(elsewhere, back_v2(lost(engine))).status is OK
    file = lost(engine, v2(KEY), lease(), name="leased")
    asked = back_v2(file, KEY), lease()
    assert ask(elsewhere, *asked, name="leased").status is NOT_FOUND
    assert ask(connected(engine), *asked, name="leased").status is OK


@pytest.mark.parametrize(
    "named", [(), (lease(RWH, b"x" * 16),), (lease_v1(),)], ids=["none", "key", "version"]
)
def test_a_lease_must_be_named(engine: Engine, named: tuple[Context, ...]) -> None:
    file = lost(engine, v2(), lease())
    level = {"requested_oplock_level": OPLOCK_LEASE}
    assert ask(connected(engine), back_v2(file), *named, **level).status is NOT_FOUND
    assert still_there(engine, back_v2(file), lease())


def test_a_lease_where_there_is_none_finds_nothing(engine: Engine) -> None:
    file = lost(engine)
    assert ask(connected(engine), back_v2(file), lease()).status is NOT_FOUND
    assert still_there(engine, back_v2(file))


def test_the_name_of_a_lease_must_be_right_in_any_case(engine: Engine) -> None:
    file = lost(engine, v2(), lease())
    asked = back_v2(file), lease()
    wrong = ask(connected(engine), *asked, name="another")
    assert wrong.status is NtStatus.INVALID_PARAMETER
    assert ask(connected(engine), *asked, name="FILE").status is OK


def test_a_request_beside_a_reconnect_of_version_1_is_ignored(engine: Engine) -> None:
    file = lost(engine, V1)
    response = ask(connected(engine, SMB_2_0_2), V1, back_v1(file))
    assert response.status is OK
    assert response.body(CreateResponse).create_contexts_length == 0


# -- the file meanwhile ------------------------------------------------------------------


def test_a_file_that_a_local_process_has_changed_is_not_given_back(engine: Engine) -> None:
    """The client may have cached what was in it."""
    file = lost(engine)
    (engine.folder / "file").write_bytes(b"changed")
    assert not still_there(engine, back_v2(file))
    assert len(engine.server.durables) == 0


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_somewhere_else_is_not_given_back(engine: Engine, replaced: bool) -> None:
    file = lost(engine)
    os.rename(engine.folder / "file", engine.folder / "moved")
    if replaced:
        engine.make_file("file")
    assert not still_there(engine, back_v2(file))


def test_its_own_rename_is_no_obstacle(engine: Engine) -> None:
    client = connected(engine)
    file = durable(client)
    os.rename(engine.folder / "file", engine.folder / "FILE")
    engine.server.opens.all()[0].file.path = "FILE"
    client.lose()
    assert still_there(engine, back_v2(file))


def test_delete_on_close_waits_for_the_client(engine: Engine) -> None:
    file = lost(engine, create_options=FILE_DELETE_ON_CLOSE)
    assert (engine.folder / "file").exists()
    client = connected(engine)
    reopened(client, back_v2(file))
    assert client.status(client.frames.on(*file.ids).close()) is OK
    assert not (engine.folder / "file").exists()


def test_delete_on_close_is_done_when_the_time_is_over(engine: Engine) -> None:
    lost(engine, v2(timeout=5000), create_options=FILE_DELETE_ON_CLOSE)
    engine.advance(5.0)
    assert not (engine.folder / "file").exists()
    engine.assert_idle()


def test_byte_range_locks_without_write_caching_are_not_kept(engine: Engine) -> None:
    client = connected(engine, SMB_3_1_1)
    file = durable(client, v2(), lease(RH))
    client.call(file.frames.lock())
    client.lose()
    assert not still_there(engine, back_v2(file, GUID), lease())
