"""commands/close.py through the engine, [MS-SMB2] 3.3.5.10."""

from __future__ import annotations

import pytest

from ksmbd.wire.close import POSTQUERY_ATTRIB, CloseResponse
from ksmbd.wire.create import CreateResponse
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import ns_from_filetime
from tests.support.client import Client

CLOSED = NtStatus.FILE_CLOSED


def test_a_closed_file_is_closed(client: Client) -> None:
    file = client.open("file")
    client.ok(file.frames.close(), CloseResponse)
    assert len(client.engine.server.opens) == 0
    for frame in (file.frames.close(), file.frames.read(), file.frames.flush()):
        assert client.status(frame) is CLOSED


@pytest.mark.parametrize(
    "change",
    [
        {"volatile_id": 0},
        {"volatile_id": 1},
        {"volatile_id": (1 << 64) - 1},
        {"volatile_id": (1 << 64) - 1, "persistent_id": (1 << 64) - 1},
        {"persistent_id": 0},
        {"persistent_id": 1},
    ],
)
def test_another_file_id_is_refused(client: Client, change: dict[str, int]) -> None:
    file = client.open("file")
    assert client.status(file.frames.close(**change)) is CLOSED
    client.ok(file.frames.close(), CloseResponse)


def test_without_the_flag_nothing_is_told(client: Client) -> None:
    file = client.open("file")
    assert client.ok(file.frames.close(), CloseResponse) == CloseResponse()


def test_with_the_flag_the_attributes_are_told(client: Client) -> None:
    path = client.engine.folder / "file"
    file = client.open("file")
    client.call(file.frames.write(b"x" * 5000))
    body = client.ok(file.frames.close(flags=POSTQUERY_ATTRIB), CloseResponse)
    assert body.flags == POSTQUERY_ATTRIB
    assert body.end_of_file == 5000
    assert body.allocation_size == path.stat().st_blocks * 512
    assert ns_from_filetime(body.last_write_time) // 100 == path.stat().st_mtime_ns // 100
    assert body.creation_time == file.response.body(CreateResponse).creation_time
    assert body.file_attributes == 0x20


def test_a_directory_has_no_size(client: Client) -> None:
    client.engine.make_directory("dir")
    file = client.open("dir", create_disposition=1)
    body = client.ok(file.frames.close(flags=POSTQUERY_ATTRIB), CloseResponse)
    assert (body.end_of_file, body.allocation_size) == (0, 0)
    assert body.file_attributes == 0x10


def test_other_flags_mean_nothing(client: Client) -> None:
    file = client.open("file")
    body = client.ok(file.frames.close(flags=0xFFFE), CloseResponse)
    assert body == CloseResponse()


def test_the_attributes_of_a_file_that_is_deleted_are_told_too(client: Client) -> None:
    file = client.open("file", create_options=0x1000)
    body = client.ok(file.frames.close(flags=POSTQUERY_ATTRIB), CloseResponse)
    assert body.file_attributes == 0x20
    assert list(client.engine.folder.iterdir()) == []
