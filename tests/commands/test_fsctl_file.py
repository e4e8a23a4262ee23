"""commands/fsctl_file.py through the engine."""

from __future__ import annotations

import pytest

from ksmbd.wire.fsctl import CREATE_OR_GET_OBJECT_ID, FileObjectIdBuffer
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File


def object_id(client: Client, file: File) -> FileObjectIdBuffer:
    frame = file.frames.ioctl(CREATE_OR_GET_OBJECT_ID, max_output_response=64)
    return FileObjectIdBuffer.unpack(client.call(frame).data)


def test_a_file_keeps_its_object_id_whatever_its_name(client: Client) -> None:
    first = object_id(client, client.open("one"))
    assert first.object_id == first.birth_object_id != bytes(16)
    assert first.birth_volume_id != bytes(16)
    client.engine.folder.joinpath("one").rename(client.engine.folder / "moved")
    assert object_id(client, client.open("moved")) == first
    assert object_id(client, client.open("other")).object_id != first.object_id


@pytest.mark.parametrize("room", [0, 63])
def test_less_room_than_an_id_takes_is_refused(client: Client, room: int) -> None:
    frame = client.open("file").frames.ioctl(CREATE_OR_GET_OBJECT_ID, max_output_response=room)
    assert client.status(frame) is NtStatus.BUFFER_TOO_SMALL
