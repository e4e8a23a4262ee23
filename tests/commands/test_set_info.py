"""commands/set_info.py: which table acts."""

from __future__ import annotations

import pytest

from ksmbd.wire.access import FILE_READ_ATTRIBUTES
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.fs_info import FsInfo
from ksmbd.wire.query_info import INFO_FILESYSTEM, INFO_QUOTA
from ksmbd.wire.set_info import SetInfoRequest, SetInfoResponse
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, statuses
from tests.support.engine import Engine

POSITION = (5).to_bytes(8, "little")


@pytest.mark.parametrize("info_type", [0, 5, 255])
def test_an_unknown_type_is_refused(client: Client, info_type: int) -> None:
    frame = client.open("file").frames.set_info(FileInfo.POSITION, POSITION, info_type=info_type)
    assert client.status(frame) is NtStatus.INVALID_PARAMETER


def test_there_are_no_quotas(client: Client) -> None:
    frame = client.open("file").frames.set_info(0, POSITION, info_type=INFO_QUOTA)
    assert client.status(frame) is NtStatus.NOT_SUPPORTED


@pytest.mark.parametrize(
    ("info_class", "status"),
    [
        (FsInfo.LABEL, NtStatus.NOT_SUPPORTED),
        (FsInfo.CONTROL, NtStatus.ACCESS_DENIED),
        (FsInfo.OBJECT_ID, NtStatus.ACCESS_DENIED),
        (FsInfo.VOLUME, NtStatus.INVALID_INFO_CLASS),
        (99, NtStatus.INVALID_INFO_CLASS),
    ],
)
def test_nothing_of_a_volume_can_be_set(client: Client, info_class: int, status: NtStatus) -> None:
    frame = client.open("").frames.set_info(info_class, bytes(64), info_type=INFO_FILESYSTEM)
    assert client.status(frame) is status


def test_no_buffer_may_be_longer_than_max_transact_size(client: Client) -> None:
    limit = client.connection.max_transact_size
    frame = client.open("file").frames.set_info(
        FileInfo.POSITION, POSITION, buffer_length=limit + 1, credit_charge=limit // 65536 + 1
    )
    assert client.status(frame) is NtStatus.INVALID_PARAMETER


def test_a_buffer_outside_the_message_is_refused(client: Client) -> None:
    frame = client.open("file").frames.set_info(FileInfo.POSITION, POSITION)
    start = 64 + SetInfoRequest.SIZE
    for offset, length in ((start - 1, 8), (start, 9), (start + 1, 8), (0, 8), (0xFFFF, 1)):
        changed = frame.changed(buffer_offset=offset, buffer_length=length)
        assert client.status(changed) is NtStatus.INVALID_PARAMETER


def test_a_file_that_is_closed_is_not_changed(client: Client) -> None:
    file = client.open("file")
    client.send(file.frames.close())
    frame = file.frames.set_info(FileInfo.POSITION, POSITION)
    assert client.status(frame) is NtStatus.FILE_CLOSED


def test_the_reply_is_two_bytes(client: Client) -> None:
    frame = client.open("file").frames.set_info(FileInfo.POSITION, POSITION)
    assert client.ok(frame, SetInfoResponse) == SetInfoResponse()


def test_a_compound_opens_deletes_and_closes(client: Client, engine: Engine) -> None:
    """As clients delete a file in one message."""
    path = engine.make_file("file")
    related = client.frames.related()
    replies = client.send(
        client.frames.open("file", desired_access=0x10000 | FILE_READ_ATTRIBUTES),
        related.set_info(FileInfo.DISPOSITION, b"\1"),
        related.close(),
    )
    assert statuses(replies) == [NtStatus.SUCCESS] * 3
    assert not path.exists()
