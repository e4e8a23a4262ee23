"""state/work.py: the buffers and opens of one request.  Parking: test_wait.py."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ksmbd.state.opens import NO_ID
from ksmbd.state.work import Work
from ksmbd.wire.header import HEADER_SIZE, RELATED_OPERATIONS, Command, Header
from ksmbd.wire.status import NtStatus, NtStatusError
from tests.support.client import Client
from tests.support.engine import Engine

FIXED = 48
LENGTH = HEADER_SIZE + FIXED + 100


def new_work(engine: Engine, length: int = LENGTH) -> Work:
    work = Work(engine.connection()[0], memoryview(bytearray(range(256)) * 2)[:length])
    work.message = work.frame
    work.header = Header(command=Command.READ)
    return work


@given(offset=st.integers(0, 1 << 32), length=st.integers(0, 1 << 32))
@settings(
    derandomize=True,
    database=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_buffer_lies_inside_the_message_or_is_refused(
    engine: Engine, offset: int, length: int
) -> None:
    work = new_work(engine)
    inside = offset >= HEADER_SIZE + FIXED and offset + length <= LENGTH
    if inside or not length:
        assert len(work.buffer(offset, length, after=FIXED)) == (length if inside else 0)
        return
    with pytest.raises(NtStatusError) as refused:
        work.buffer(offset, length, after=FIXED)
    assert refused.value.status is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize(
    ("offset", "length", "good"),
    [
        (HEADER_SIZE + FIXED, 100, True),
        (HEADER_SIZE + FIXED, 101, False),
        (HEADER_SIZE + FIXED - 1, 1, False),
        (HEADER_SIZE + FIXED + 99, 1, True),
        (LENGTH, 0, True),
        (0, 0, True),
        (0xFFFF_FFFF, 0, True),
        (LENGTH, 1, False),
    ],
)
def test_the_edges_of_the_message(engine: Engine, offset: int, length: int, good: bool) -> None:
    work = new_work(engine)
    if good:
        assert bytes(work.buffer(offset, length, after=FIXED)) == bytes(
            work.frame[offset : offset + length]
        )
        return
    with pytest.raises(NtStatusError):
        work.buffer(offset, length, after=FIXED)


def opened(client: Client) -> tuple[Work, int, int]:
    """A work of the client's session and tree, and the ids of an open."""
    file = client.open("file")
    work = Work(client.connection, memoryview(bytearray(100)))
    work.header = Header(command=Command.READ)
    work.session = client.engine.server.sessions[client.frames.session_id]
    work.tree = work.session.find_tree(client.frames.tree_id)
    return work, *file.ids


def status_of(work: Work, persistent_id: int, volatile_id: int) -> NtStatus:
    with pytest.raises(NtStatusError) as refused:
        work.open(persistent_id, volatile_id)
    return refused.value.status


def test_an_open_is_kept_until_the_command_is_done(client: Client) -> None:
    work, persistent_id, volatile_id = opened(client)
    found = work.open(persistent_id, volatile_id)
    assert work.open(persistent_id, volatile_id) is found
    assert found.users == 1
    work.let_go()
    assert found.users == 0


def test_the_persistent_half_must_agree_or_say_nothing(client: Client) -> None:
    work, persistent_id, volatile_id = opened(client)
    found = work.open(NO_ID, volatile_id)
    assert status_of(work, persistent_id + 2, volatile_id) is NtStatus.FILE_CLOSED
    assert status_of(work, persistent_id, volatile_id ^ 1) is NtStatus.FILE_CLOSED
    work.let_go()
    assert found.users == 0


def test_ids_of_all_ones_inherit_only_where_related(client: Client) -> None:
    work, persistent_id, volatile_id = opened(client)
    assert status_of(work, NO_ID, NO_ID) is NtStatus.FILE_CLOSED
    work.header.flags = RELATED_OPERATIONS
    assert status_of(work, NO_ID, NO_ID) is NtStatus.INVALID_PARAMETER
    work.compound_status = NtStatus.SHARING_VIOLATION
    assert status_of(work, NO_ID, NO_ID) is NtStatus.SHARING_VIOLATION
    found = work.open(persistent_id, volatile_id)
    assert work.open(NO_ID, NO_ID) is found
    work.let_go()


def test_a_closed_open_is_refused(client: Client) -> None:
    work, persistent_id, volatile_id = opened(client)
    found = work.open(persistent_id, volatile_id)
    with client.engine.acting():
        work.let_go()
        client.engine.server.opens.close(found)
    assert status_of(work, persistent_id, volatile_id) is NtStatus.FILE_CLOSED


def test_what_checks_did_not_find_is_missed(engine: Engine) -> None:
    work = new_work(engine)
    with pytest.raises(NtStatusError):
        work.the_session()
    with pytest.raises(NtStatusError):
        work.the_tree()
