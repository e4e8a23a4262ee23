"""commands/change_notify.py through the engine, [MS-SMB2] 3.3.5.19.

How a request that waits ends: tests/server/test_async_.py.
"""

from __future__ import annotations

import pytest

from ksmbd.wire.access import (
    FILE_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_READ_ATTRIBUTES,
)
from ksmbd.wire.change_notify import CHANGE_VALID, WATCH_TREE
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File

INVALID = NtStatus.INVALID_PARAMETER


@pytest.fixture
def watched(client: Client) -> File:
    return client.open("", create_options=FILE_DIRECTORY_FILE, create_disposition=FILE_OPEN)


@pytest.mark.parametrize("filter_", [0, 0x1000, 0x8000_0000])
def test_a_filter_that_means_nothing_is_refused(
    client: Client, watched: File, filter_: int
) -> None:
    assert client.status(watched.frames.change_notify(completion_filter=filter_)) is INVALID


def test_a_file_is_refused(client: Client) -> None:
    file = client.open("file")
    assert client.status(file.frames.change_notify()) is INVALID


def test_more_than_a_transaction_is_refused(client: Client, watched: File) -> None:
    client.call(client.frames.echo(credits=1000))
    frame = watched.frames.change_notify(output_buffer_length=(1 << 20) + 1, credit_charge=17)
    assert client.status(frame) is INVALID


def test_a_closed_directory_is_refused(client: Client, watched: File) -> None:
    client.call(watched.frames.close())
    assert client.status(watched.frames.change_notify()) is NtStatus.FILE_CLOSED


def test_watching_needs_the_right_to_list(client: Client) -> None:
    file = client.open("", desired_access=FILE_READ_ATTRIBUTES, create_disposition=FILE_OPEN)
    assert client.status(file.frames.change_notify()) is NtStatus.ACCESS_DENIED


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"flags": WATCH_TREE},
        {"flags": 0xFFFF},
        {"completion_filter": CHANGE_VALID},
        {"completion_filter": 0xFFFF_FFFF},
        {"output_buffer_length": 1},
    ],
)
def test_other_requests_wait(client: Client, watched: File, change: dict[str, int]) -> None:
    client.pend(watched.frames.change_notify(**change))


def test_refused_requests_leave_nothing_behind(client: Client, watched: File) -> None:
    for _ in range(10):
        client.call(watched.frames.change_notify(completion_filter=0))
    (open,) = client.engine.server.opens.all()
    assert open.waiters == []
