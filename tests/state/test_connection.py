"""state/connection.py: what one transport connection allows."""

from __future__ import annotations

import pytest

from ksmbd.state.connection import (
    FRAME_OVERHEAD,
    MAX_ASYNC,
    MAX_UNAUTHENTICATED_FRAME,
    Connection,
)
from ksmbd.state.work import Work
from ksmbd.wire.status import Disconnect, NtStatus, NtStatusError
from tests.support.client import Client
from tests.support.engine import Engine


@pytest.fixture
def connection(engine: Engine) -> Connection:
    return engine.connection()[0]


def test_frames_are_short_until_somebody_has_logged_on(engine: Engine) -> None:
    client = Client(engine)
    assert client.connection.max_frame == MAX_UNAUTHENTICATED_FRAME
    client.negotiate()
    assert client.connection.max_frame == MAX_UNAUTHENTICATED_FRAME
    client.log_on()
    assert client.connection.max_frame == (8 << 20) + FRAME_OVERHEAD
    client.call(client.frames.logoff())
    assert client.connection.authenticated


def test_frames_of_2_0_2_stay_short(engine: Engine) -> None:
    client = Client(engine)
    client.negotiate(0x0202)
    client.log_on()
    assert client.connection.max_frame == 65536 + FRAME_OVERHEAD


def test_ids_outside_the_window_end_the_connection(connection: Connection) -> None:
    connection.consume(0, 1)
    for message_id, charge in ((0, 1), (1, 1), (5, 1)):
        with pytest.raises(Disconnect):
            connection.consume(message_id, charge)


def test_no_more_requests_wait_than_may(connection: Connection) -> None:
    works = [Work(connection, memoryview(bytearray(68))) for _ in range(MAX_ASYNC)]
    for number, work in enumerate(works):
        connection.announce(work, [number])
        work.async_id = connection.go_async(work)
    with pytest.raises(NtStatusError) as refused:
        connection.go_async(works[0])
    assert refused.value.status is NtStatus.INSUFFICIENT_RESOURCES
    connection.answered(works[7], 7, 1)
    connection.go_async(works[7])


def test_dropping_closes_the_transport_and_says_why(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ksmbd.conn")
    connection, transport = engine.connection()
    connection.drop("what it did")
    assert transport.closed
    assert "what it did" in caplog.text
