"""Requests that wait: interim and final response, CANCEL, and whatever else can end them.

[MS-SMB2] 3.3.4.2, 3.3.4.4, 3.3.5.14, 3.3.5.16, 3.3.5.19.
"""

from __future__ import annotations

import pytest

from ksmbd.server import dispatch
from ksmbd.state.connection import MAX_ASYNC
from ksmbd.wire.access import FILE_DIRECTORY_FILE
from ksmbd.wire.header import ASYNC_COMMAND, RELATED_OPERATIONS, SIGNED, Command
from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY, SHARED_LOCK, UNLOCK
from ksmbd.wire.negotiate import SIGNING_REQUIRED
from ksmbd.wire.status import NtStatus
from tests.support.client import DIALECTS, Client, File, ready, statuses
from tests.support.engine import Engine
from tests.support.frames import Frame
from tests.support.replies import Response

OK = NtStatus.SUCCESS
PENDING = NtStatus.PENDING
CANCELLED = NtStatus.CANCELLED
CLEANUP = NtStatus.NOTIFY_CLEANUP
NOT_LOCKED = NtStatus.RANGE_NOT_LOCKED

WAITING = (0, 10, EXCLUSIVE_LOCK)
NOW = (0, 10, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY)
RELEASE = (0, 10, UNLOCK)


@pytest.fixture
def folder_open(client: Client) -> File:
    """A directory in which nothing happens."""
    return client.open("quiet", create_options=FILE_DIRECTORY_FILE)


@pytest.fixture
def holder(engine: Engine) -> tuple[Client, File]:
    """Another client that has locked bytes 0 to 9 of the file."""
    other = ready(engine)
    file = other.open("file")
    assert other.status(file.frames.lock(NOW)) is OK
    return other, file


def blocked(client: Client) -> tuple[File, Frame, int]:
    """A LOCK of this client's that waits: its file, its request, its AsyncId."""
    file = client.open("file")
    frame = file.frames.lock(WAITING)
    return file, frame, client.pend(frame)


def final(responses: list[Response], async_id: int) -> Response:
    """The response that ends a request which went asynchronous."""
    (response,) = [r for r in responses if r.header.flags & ASYNC_COMMAND]
    assert response.header.async_id == async_id
    return response


# -- interim and final -------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_request_that_waits_is_answered_twice_under_one_async_id(
    engine: Engine, dialect: int
) -> None:
    client = ready(engine, dialect)
    watched = client.open("", create_options=FILE_DIRECTORY_FILE)
    frame = watched.frames.change_notify()
    interim = client.call(frame)
    assert interim.status is PENDING
    assert interim.header.flags & ASYNC_COMMAND
    assert interim.header.async_id
    assert interim.header.message_id == frame.header.message_id
    responses = client.send(watched.frames.close())
    last = final(responses, interim.header.async_id)
    assert last.status is CLEANUP
    assert last.header.message_id == frame.header.message_id
    assert last.header.session_id == client.frames.session_id


def test_each_request_that_waits_has_an_async_id_of_its_own(
    client: Client, folder_open: File
) -> None:
    ids = [client.pend(folder_open.frames.change_notify()) for _ in range(5)]
    assert len(set(ids)) == 5


@pytest.mark.parametrize(("signing", "signed"), [((2,), 0), ((1,), SIGNED), ((0,), SIGNED)])
def test_the_interim_response_is_signed_unless_its_nonce_is_needed_again(
    engine: Engine, signing: tuple[int, ...], signed: int
) -> None:
    """With AES-GMAC two messages under one MessageId would give the key away."""
    client = Client(engine)
    client.negotiate(signing=signing)
    client.log_on(security_mode=SIGNING_REQUIRED)
    client.connect()
    watched = client.open("", create_options=FILE_DIRECTORY_FILE)
    frame = watched.frames.change_notify()
    assert client.call(frame).header.flags & SIGNED == signed
    responses = client.send(watched.frames.close())
    assert all(r.header.flags & SIGNED for r in responses)


def test_the_connection_goes_on_while_a_request_waits(client: Client, folder_open: File) -> None:
    client.pend(folder_open.frames.change_notify())
    file = client.open("file")
    assert client.status(file.frames.write(b"data")) is OK
    assert client.status(folder_open.frames.query_directory()) is OK


def test_the_513th_request_that_would_wait_is_refused(client: Client, folder_open: File) -> None:
    client.call(client.frames.echo(credits=2000))
    for _ in range(MAX_ASYNC):
        client.pend(folder_open.frames.change_notify(sign=False))
    response = client.call(folder_open.frames.change_notify(sign=False))
    assert response.status is NtStatus.INSUFFICIENT_RESOURCES
    assert not response.header.flags & ASYNC_COMMAND
    assert len(client.connection.async_commands) == MAX_ASYNC
    responses = client.send(folder_open.frames.close())
    assert statuses(responses).count(CLEANUP) == MAX_ASYNC
    client.pend(client.open("quiet", create_options=FILE_DIRECTORY_FILE).frames.change_notify())


# -- in a compound -----------------------------------------------------------------------


def test_the_last_of_a_compound_goes_asynchronous_alone(
    client: Client, holder: tuple[Client, File]
) -> None:
    related = client.frames.related()
    responses = client.send(client.frames.create("file"), related.lock(WAITING))
    assert statuses(responses) == [OK, PENDING]
    async_id = responses[1].header.async_id
    assert client.receive() == []
    other, file = holder
    other.call(file.frames.lock(RELEASE))
    (last,) = client.receive()
    assert (last.status, last.header.async_id) == (OK, async_id)
    assert last.header.flags & RELATED_OPERATIONS


def test_one_in_the_middle_waits_without_a_word(
    client: Client, holder: tuple[Client, File]
) -> None:
    related = client.frames.related()
    assert (
        client.send(
            client.frames.create("file"),
            related.lock(WAITING),
            related.write(b"mine"),
            related.close(),
        )
        == []
    )
    other, file = holder
    other.call(file.frames.lock(RELEASE))
    responses = client.receive()
    assert statuses(responses) == [OK] * 4
    assert not any(r.header.flags & ASYNC_COMMAND for r in responses)
    assert len(client.received) == 1


def test_one_in_the_middle_can_be_cancelled(client: Client, holder: tuple[Client, File]) -> None:
    related = client.frames.related()
    waiting = related.lock(WAITING)
    client.send(client.frames.create("file"), waiting, related.close())
    responses = client.send(client.frames.cancel(message_id=waiting.header.message_id))
    assert statuses(responses) == [OK, CANCELLED, OK]


def test_cancelling_one_leaves_the_others_of_the_compound_alone(
    client: Client, holder: tuple[Client, File]
) -> None:
    related = client.frames.related()
    first = client.frames.create("file")
    client.send(first, related.lock(WAITING))
    assert client.send(client.frames.cancel(message_id=first.header.message_id)) == []
    other, file = holder
    other.call(file.frames.lock(RELEASE))
    assert statuses(client.receive()) == [OK]


# -- CANCEL ------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("by_async_id", [False, True])
def test_cancel_ends_the_waiting(engine: Engine, dialect: int, by_async_id: bool) -> None:
    client = ready(engine, dialect)
    watched = client.open("", create_options=FILE_DIRECTORY_FILE)
    frame = watched.frames.change_notify()
    async_id = client.pend(frame)
    message_id = frame.header.message_id
    cancel = client.frames.cancel(message_id=message_id, async_id=async_id * by_async_id)
    responses = client.send(cancel)
    assert final(responses, async_id).status is CANCELLED
    assert responses[0].header.command == Command.CHANGE_NOTIFY
    assert client.connection.requests == {}
    assert client.connection.async_commands == {}


def test_a_cancelled_request_is_answered_before_later_ones(
    client: Client, folder_open: File
) -> None:
    """By the reader itself, before it looks at the next frame."""
    async_id = client.pend(folder_open.frames.change_notify())
    cancel = client.pack(client.frames.cancel(async_id=async_id))
    assert dispatch.receive(client.connection, memoryview(cancel)) is None
    assert final(client.receive(), async_id).status is CANCELLED


def test_cancel_by_async_id_needs_no_message_id(client: Client, folder_open: File) -> None:
    async_id = client.pend(folder_open.frames.change_notify())
    assert statuses(client.send(client.frames.cancel(async_id=async_id))) == [CANCELLED]


def test_cancel_of_one_leaves_the_others(client: Client, folder_open: File) -> None:
    frames = [folder_open.frames.change_notify() for _ in range(3)]
    for frame in frames:
        client.pend(frame)
    responses = client.send(client.frames.cancel(message_id=frames[1].header.message_id))
    assert [r.header.message_id for r in responses] == [frames[1].header.message_id]
    assert len(client.connection.async_commands) == 2


def test_a_second_cancel_does_nothing(client: Client, folder_open: File) -> None:
    async_id = client.pend(folder_open.frames.change_notify())
    assert len(client.send(client.frames.cancel(async_id=async_id))) == 1
    assert client.send(client.frames.cancel(async_id=async_id)) == []
    assert not client.closed


@pytest.mark.parametrize("unknown", [0, 1, 1000, (1 << 64) - 1])
def test_cancel_of_what_is_not_there_does_nothing(client: Client, unknown: int) -> None:
    assert client.send(client.frames.cancel(message_id=unknown)) == []
    assert client.send(client.frames.cancel(async_id=unknown)) == []
    assert client.status(client.frames.echo()) is OK


def test_a_flood_of_cancels_costs_nothing(client: Client, folder_open: File) -> None:
    frame = folder_open.frames.change_notify()
    client.pend(frame)
    for message_id in range(1000):
        if message_id != frame.header.message_id:
            assert client.send(client.frames.cancel(message_id=message_id)) == []
    assert len(client.connection.async_commands) == 1


def test_another_session_cannot_cancel(client: Client, folder_open: File) -> None:
    frame = folder_open.frames.change_notify()
    async_id = client.pend(frame)
    jane = client.log_on("jane", "Secret!", use=False).session_id
    for cancel in (
        client.frames.cancel(message_id=frame.header.message_id, session_id=jane),
        client.frames.cancel(async_id=async_id, session_id=jane),
        client.frames.cancel(async_id=async_id, session_id=0),
        client.frames.cancel(async_id=async_id, session_id=0x1234),
    ):
        assert client.send(cancel) == []
    assert len(client.connection.async_commands) == 1


def test_another_connection_cannot_cancel(client: Client, folder_open: File) -> None:
    frame = folder_open.frames.change_notify()
    async_id = client.pend(frame)
    other = ready(client.engine)
    for cancel in (
        other.frames.cancel(message_id=frame.header.message_id),
        other.frames.cancel(async_id=async_id),
        other.frames.cancel(async_id=async_id, session_id=client.frames.session_id),
    ):
        assert other.send(cancel) == []
    assert len(client.connection.async_commands) == 1


@pytest.mark.parametrize("signing", [(2,), (1,), (0,)])
def test_a_cancel_with_a_wrong_signature_does_nothing(
    engine: Engine, signing: tuple[int, ...]
) -> None:
    client = Client(engine)
    client.negotiate(signing=signing)
    client.log_on()
    client.connect()
    watched = client.open("", create_options=FILE_DIRECTORY_FILE)
    async_id = client.pend(watched.frames.change_notify())
    packed = client.pack(client.frames.cancel(async_id=async_id))
    packed[50] ^= 1
    assert client.raw(packed) == []
    packed[50] ^= 1
    assert statuses(client.raw(packed)) == [CANCELLED]


def test_an_unsigned_cancel_does_nothing_where_signing_is_required(engine: Engine) -> None:
    client = Client(engine)
    client.negotiate()
    client.log_on(security_mode=SIGNING_REQUIRED)
    client.connect()
    watched = client.open("", create_options=FILE_DIRECTORY_FILE)
    async_id = client.pend(watched.frames.change_notify())
    assert client.send(client.frames.cancel(async_id=async_id, sign=False)) == []
    assert statuses(client.send(client.frames.cancel(async_id=async_id))) == [CANCELLED]


def test_an_unsigned_cancel_will_do_where_signing_is_optional(
    client: Client, folder_open: File
) -> None:
    async_id = client.pend(folder_open.frames.change_notify())
    responses = client.send(client.frames.cancel(async_id=async_id, sign=False))
    assert statuses(responses) == [CANCELLED]


def test_a_cancel_that_overtakes_its_request_is_remembered(
    client: Client, folder_open: File
) -> None:
    """The request waits for a kworker while the reader does the CANCEL at once."""
    frame = folder_open.frames.change_notify()
    work = dispatch.receive(client.connection, memoryview(client.pack(frame)))
    assert work is not None
    assert client.send(client.frames.cancel(message_id=frame.header.message_id)) == []
    with client.engine.acting():
        dispatch.run(work)
    assert statuses(client.receive())[-1] is CANCELLED
    assert client.connection.async_commands == {}
    assert client.connection.requests == {}


def test_a_cancel_that_overtakes_a_compound_is_remembered(
    client: Client, holder: tuple[Client, File]
) -> None:
    waiting = client.frames.related().lock(WAITING)
    packed = client.pack(client.frames.create("file"), waiting)
    work = dispatch.receive(client.connection, memoryview(packed))
    assert work is not None
    assert client.send(client.frames.cancel(message_id=waiting.header.message_id)) == []
    with client.engine.acting():
        dispatch.run(work)
    assert statuses(client.receive())[-1] is CANCELLED


def test_a_cancel_that_overtakes_one_of_a_compound_leaves_the_others(
    client: Client, holder: tuple[Client, File]
) -> None:
    first = client.frames.create("file")
    packed = client.pack(first, client.frames.related().lock(WAITING))
    work = dispatch.receive(client.connection, memoryview(packed))
    assert work is not None
    client.send(client.frames.cancel(message_id=first.header.message_id))
    with client.engine.acting():
        dispatch.run(work)
    assert statuses(client.receive()) == [OK, PENDING]


def test_a_cancel_of_what_never_waits_does_nothing(client: Client) -> None:
    frame = client.frames.create("file")
    work = dispatch.receive(client.connection, memoryview(client.pack(frame)))
    assert work is not None
    client.send(client.frames.cancel(message_id=frame.header.message_id))
    with client.engine.acting():
        dispatch.run(work)
    assert statuses(client.receive()) == [OK]


def test_a_malformed_cancel_ends_the_connection(client: Client) -> None:
    client.send(client.frames.cancel(structure_size=65))
    assert client.closed


# -- what ends a CHANGE_NOTIFY -----------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "tree_disconnect", "logoff"])
def test_notify_ends_with_its_directory(client: Client, folder_open: File, how: str) -> None:
    async_id = client.pend(folder_open.frames.change_notify())
    responses = client.send(getattr(folder_open.frames, how)())
    assert final(responses, async_id).status is CLEANUP
    assert OK in statuses(responses)
    client.lose()
    client.engine.assert_idle()


def test_notify_ends_with_its_connection_in_silence(client: Client, folder_open: File) -> None:
    client.pend(folder_open.frames.change_notify())
    client.lose()
    assert client.receive() == []
    client.engine.assert_idle()
    assert client.connection.async_commands == {}


# -- what ends a blocked LOCK ------------------------------------------------------------


def test_a_lock_is_granted_when_the_range_is_unlocked(
    client: Client, holder: tuple[Client, File]
) -> None:
    file, _, async_id = blocked(client)
    other, held = holder
    assert other.status(held.frames.lock(RELEASE)) is OK
    assert final(client.receive(), async_id).status is OK
    assert other.status(held.frames.lock(NOW)) is NtStatus.LOCK_NOT_GRANTED
    assert client.status(file.frames.lock(RELEASE)) is OK


@pytest.mark.parametrize("how", ["close", "tree_disconnect", "logoff"])
def test_a_lock_is_granted_when_the_holder_ends(
    client: Client, holder: tuple[Client, File], how: str
) -> None:
    _, _, async_id = blocked(client)
    other, held = holder
    assert other.status(getattr(held.frames, how)()) is OK
    assert final(client.receive(), async_id).status is OK


def test_a_lock_is_granted_when_the_holder_is_gone(
    client: Client, holder: tuple[Client, File]
) -> None:
    _, _, async_id = blocked(client)
    holder[0].lose()
    assert final(client.receive(), async_id).status is OK


def test_a_lock_goes_on_waiting_when_another_range_is_unlocked(
    client: Client, holder: tuple[Client, File]
) -> None:
    other, held = holder
    other.call(held.frames.lock((100, 1, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY)))
    _, _, async_id = blocked(client)
    other.call(held.frames.lock((100, 1, UNLOCK)))
    assert client.receive() == []
    other.call(held.frames.lock(RELEASE))
    assert final(client.receive(), async_id).status is OK


def test_two_that_wait_are_granted_one_after_the_other(
    client: Client, holder: tuple[Client, File]
) -> None:
    file, _, first = blocked(client)
    third = ready(client.engine)
    _, _, second = blocked(third)
    other, held = holder
    other.call(held.frames.lock(RELEASE))
    assert final(client.receive(), first).status is OK
    assert third.receive() == []
    client.call(file.frames.lock(RELEASE))
    assert final(third.receive(), second).status is OK


def test_all_shared_locks_that_wait_are_granted_together(
    client: Client, holder: tuple[Client, File]
) -> None:
    file = client.open("file")
    ids = [client.pend(file.frames.lock((0, 10, SHARED_LOCK))) for _ in range(3)]
    other, held = holder
    other.call(held.frames.lock(RELEASE))
    responses = client.receive()
    assert statuses(responses) == [OK] * 3
    assert [r.header.async_id for r in responses] == ids


def test_a_blocked_lock_can_be_cancelled(client: Client, holder: tuple[Client, File]) -> None:
    file, frame, async_id = blocked(client)
    responses = client.send(client.frames.cancel(message_id=frame.header.message_id))
    assert final(responses, async_id).status is CANCELLED
    other, held = holder
    other.call(held.frames.lock(RELEASE))
    assert client.receive() == []
    assert other.status(held.frames.lock(NOW)) is OK
    inode = next(iter(client.engine.server.opens.all())).inode
    assert inode is not None
    assert inode.lock_waiters == []
    assert client.status(file.frames.close()) is OK


def test_a_blocked_lock_ends_with_its_open(client: Client, holder: tuple[Client, File]) -> None:
    file, _, async_id = blocked(client)
    responses = client.send(file.frames.close())
    assert final(responses, async_id).status is NOT_LOCKED
    assert OK in statuses(responses)
    other, held = holder
    assert other.status(held.frames.lock(RELEASE)) is OK
    assert other.status(held.frames.lock(NOW)) is OK


@pytest.mark.parametrize("how", ["tree_disconnect", "logoff"])
def test_a_blocked_lock_ends_with_its_tree_and_session(
    client: Client, holder: tuple[Client, File], how: str
) -> None:
    file, _, async_id = blocked(client)
    responses = client.send(getattr(file.frames, how)())
    assert final(responses, async_id).status is NOT_LOCKED
    assert client.connection.async_commands == {}


def test_a_blocked_lock_ends_with_its_connection(
    client: Client, holder: tuple[Client, File]
) -> None:
    blocked(client)
    client.lose()
    assert client.receive() == []
    other, held = holder
    assert other.status(held.frames.lock(RELEASE)) is OK
    assert other.status(held.frames.lock(NOW)) is OK
    other.lose()
    client.engine.assert_idle()


def test_a_blocked_lock_ends_when_a_new_session_replaces_its_own(
    client: Client, holder: tuple[Client, File]
) -> None:
    _, _, async_id = blocked(client)
    again = Client(client.engine)
    again.negotiate()
    again.log_on(previous_session_id=client.frames.session_id)
    assert final(client.receive(), async_id).status is NOT_LOCKED


def test_a_lock_waits_for_one_of_its_own_session_too(client: Client) -> None:
    first, second = client.open("file"), client.open("file")
    client.call(first.frames.lock(NOW))
    async_id = client.pend(second.frames.lock(WAITING))
    assert final(client.send(first.frames.lock(RELEASE)), async_id).status is OK


def test_a_lock_granted_after_waiting_ends_with_its_open(
    client: Client, holder: tuple[Client, File]
) -> None:
    file, _, _ = blocked(client)
    other, held = holder
    other.call(held.frames.lock(RELEASE))
    client.receive()
    client.call(file.frames.close())
    assert other.status(held.frames.lock(NOW)) is OK
