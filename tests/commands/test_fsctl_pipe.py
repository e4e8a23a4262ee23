"""commands/fsctl_pipe.py through the engine, [MS-FSCC] 2.3, FSCTL_PIPE_*."""

from __future__ import annotations

import struct

import pytest

from ksmbd.wire import fsctl
from ksmbd.wire.header import NO_FILE
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.frames import Frame

OK = NtStatus.SUCCESS
DEVICE = NtStatus.INVALID_DEVICE_REQUEST


@pytest.fixture
def client(engine: Engine) -> Client:
    return ready(engine, share="IPC$")


@pytest.fixture
def pipe(client: Client) -> File:
    return client.open("srvsvc")


# -- PIPE_TRANSCEIVE ---------------------------------------------------------------------


def test_a_transaction_writes_and_reads(client: Client, pipe: File) -> None:
    response = client.call(pipe.frames.ioctl(fsctl.PIPE_TRANSCEIVE, b"request"))
    assert (response.status, response.data) == (OK, b"request")


def test_an_answer_too_long_is_cut_and_read_on(client: Client, pipe: File) -> None:
    frame = pipe.frames.ioctl(fsctl.PIPE_TRANSCEIVE, b"0123456789", max_output_response=4)
    response = client.call(frame)
    assert (response.status, response.data) == (NtStatus.BUFFER_OVERFLOW, b"0123")
    assert client.call(pipe.frames.read(100)).data == b"456789"


def test_a_transaction_on_a_file_is_refused(engine: Engine) -> None:
    client = ready(engine)
    file = client.open("file")
    assert client.status(file.frames.ioctl(fsctl.PIPE_TRANSCEIVE, b"x")) is DEVICE
    assert client.status(file.frames.ioctl(fsctl.PIPE_PEEK)) is DEVICE


def test_a_transaction_without_mountd_is_refused(client: Client, pipe: File) -> None:
    client.engine.mountd.away = True
    frame = pipe.frames.ioctl(fsctl.PIPE_TRANSCEIVE, b"x")
    assert client.status(frame) is NtStatus.PIPE_NOT_AVAILABLE


def test_more_than_mountd_takes_is_refused(client: Client, pipe: File) -> None:
    frame = pipe.frames.ioctl(fsctl.PIPE_TRANSCEIVE, bytes(65537), credit_charge=2)
    assert client.status(frame) is NtStatus.INVALID_PARAMETER


# -- PIPE_PEEK ---------------------------------------------------------------------------


def test_peek_tells_what_can_be_read(client: Client, pipe: File) -> None:
    client.call(pipe.frames.write(b"12345"))
    response = client.call(pipe.frames.ioctl(fsctl.PIPE_PEEK))
    assert struct.unpack("<IIII", response.data) == (3, 5, 1, 5)
    assert client.call(pipe.frames.read(100)).data == b"12345"


def test_peek_at_an_empty_pipe(client: Client, pipe: File) -> None:
    response = client.call(pipe.frames.ioctl(fsctl.PIPE_PEEK))
    assert struct.unpack("<IIII", response.data) == (3, 0, 0, 0)


@pytest.mark.parametrize("limit", [0, 15])
def test_peek_without_room_is_refused(client: Client, pipe: File, limit: int) -> None:
    frame = pipe.frames.ioctl(fsctl.PIPE_PEEK, max_output_response=limit)
    assert client.status(frame) is NtStatus.BUFFER_TOO_SMALL


# -- PIPE_WAIT ---------------------------------------------------------------------------


def wait(client: Client, name: str, *, length: int | None = None) -> Frame:
    raw = utf16(name)
    data = struct.pack("<qIBx", -1, len(raw) if length is None else length, 1) + raw
    return client.frames.on(NO_FILE, NO_FILE).ioctl(fsctl.PIPE_WAIT, data)


def test_a_pipe_is_there_at_once(client: Client) -> None:
    assert client.status(wait(client, "srvsvc")) is OK
    assert client.engine.mountd.pipes == {}


def test_a_pipe_that_there_is_not_is_not_waited_for(client: Client) -> None:
    assert client.status(wait(client, "nonsense")) is NtStatus.OBJECT_NAME_NOT_FOUND


@pytest.mark.parametrize("length", [13, 14, 0xFFFF, 0xFFFF_FFFF])
def test_a_name_outside_the_input_is_refused(client: Client, length: int) -> None:
    frame = wait(client, "srvsvc", length=length)
    assert client.status(frame) is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("length", [1, 11])
def test_a_name_of_an_odd_length_is_refused(client: Client, length: int) -> None:
    frame = wait(client, "srvsvc", length=length)
    assert client.status(frame) is NtStatus.INVALID_PARAMETER


def test_there_is_no_pipe_to_wait_for_on_a_disk(engine: Engine) -> None:
    client = ready(engine)
    assert client.status(wait(client, "srvsvc")) is DEVICE
