"""commands/query_pipe.py: what is told of pipes."""

from __future__ import annotations

import pytest

from ksmbd.wire import file_info
from ksmbd.wire.access import FILE_READ_ATTRIBUTES, FILE_READ_DATA
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, ready
from tests.support.engine import Engine


@pytest.fixture
def pipes(engine: Engine) -> Client:
    """joe on IPC$."""
    return ready(engine, share="IPC$")


def test_standard_is_what_samba_says(pipes: Client) -> None:
    data = pipes.call(pipes.open("srvsvc").frames.query_info(FileInfo.STANDARD)).data
    found = file_info.FileStandardInformation.unpack(data)
    assert (found.allocation_size, found.end_of_file) == (4096, 0)
    assert (found.number_of_links, found.delete_pending, found.directory) == (1, 1, 0)


def test_pipes_carry_messages(pipes: Client) -> None:
    data = pipes.call(pipes.open("srvsvc").frames.query_info(FileInfo.PIPE)).data
    assert file_info.FilePipeInformation.unpack(data).read_mode == file_info.PIPE_MESSAGE_MODE


def test_what_waits_in_a_pipe_is_counted(pipes: Client) -> None:
    file = pipes.open("srvsvc")
    pipes.status(file.frames.write(b"12345"))
    data = pipes.call(file.frames.query_info(FileInfo.PIPE_LOCAL)).data
    found = file_info.FilePipeLocalInformation.unpack(data)
    assert found.read_data_available == 5
    assert found.named_pipe_state == file_info.PIPE_CONNECTED_STATE


def test_a_mountd_that_is_away_has_no_pipes_to_look_into(pipes: Client, engine: Engine) -> None:
    file = pipes.open("srvsvc")
    engine.mountd.away = True
    asked = file.frames.query_info(FileInfo.PIPE_LOCAL)
    assert pipes.status(asked) is NtStatus.PIPE_NOT_AVAILABLE


@pytest.mark.parametrize("info_class", [FileInfo.PIPE, FileInfo.PIPE_LOCAL])
def test_pipe_classes_need_the_right_to_read_attributes(pipes: Client, info_class: int) -> None:
    file = pipes.open("srvsvc", desired_access=FILE_READ_DATA)
    assert pipes.status(file.frames.query_info(info_class)) is NtStatus.ACCESS_DENIED
    file = pipes.open("srvsvc", desired_access=FILE_READ_DATA | FILE_READ_ATTRIBUTES)
    assert pipes.status(file.frames.query_info(info_class)) is NtStatus.SUCCESS
