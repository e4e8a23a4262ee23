"""commands/query_info.py: which table answers."""

from __future__ import annotations

import pytest

from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.header import NO_FILE
from ksmbd.wire.query_info import INFO_QUOTA, QueryInfoRequest
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, ready, statuses
from tests.support.engine import Engine


@pytest.mark.parametrize("info_type", [0, 5, 255])
def test_an_unknown_type_is_refused(client: Client, info_type: int) -> None:
    asked = client.open("file").frames.query_info(info_type=info_type)
    assert client.status(asked) is NtStatus.INVALID_PARAMETER


def test_there_are_no_quotas(client: Client) -> None:
    asked = client.open("file").frames.query_info(0, info_type=INFO_QUOTA)
    assert client.status(asked) is NtStatus.NOT_SUPPORTED


@pytest.mark.parametrize("field", ["output_buffer_length", "input_buffer_length"])
def test_no_buffer_may_be_longer_than_max_transact_size(engine: Engine, field: str) -> None:
    client = ready(engine)
    limit = client.connection.max_transact_size
    frame = client.open("file").frames.query_info(credit_charge=limit // 65536 + 1)
    assert client.status(frame.set(**{field: limit + 1})) is NtStatus.INVALID_PARAMETER


def test_names_outside_the_message_are_refused(client: Client) -> None:
    frame = client.open("file").frames.query_info(FileInfo.FULL_EA, b"\0\0\0\0\1A\0")
    start = 64 + QueryInfoRequest.SIZE
    for offset, length in ((start - 1, 7), (start, 8), (start + 1, 7), (0xFFFF, 7)):
        changed = frame.changed(input_buffer_offset=offset, input_buffer_length=length)
        assert client.status(changed) is NtStatus.INVALID_PARAMETER


def test_a_file_that_is_closed_is_told_nothing_of(client: Client) -> None:
    file = client.open("file")
    client.send(file.frames.close())
    assert client.status(file.frames.query_info()) is NtStatus.FILE_CLOSED
    unknown = client.frames.on(1, 2).query_info()
    assert client.status(unknown) is NtStatus.FILE_CLOSED


def test_a_file_opened_in_the_same_compound_can_be_asked_for(client: Client) -> None:
    related = client.frames.related()
    assert related.volatile_id == NO_FILE
    replies = client.send(
        client.frames.create("file"), related.query_info(FileInfo.STANDARD), related.close()
    )
    assert statuses(replies) == [NtStatus.SUCCESS] * 3
    assert len(replies[1].data) >= 24


def test_the_answer_lies_behind_the_fixed_part(client: Client) -> None:
    response = client.call(client.open("file").frames.query_info(FileInfo.INTERNAL))
    assert int.from_bytes(response.raw[66:68], "little") == 72
    assert len(response.raw) == 72 + 8
