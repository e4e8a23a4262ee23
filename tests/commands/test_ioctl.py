"""commands/ioctl.py through the engine, [MS-SMB2] 3.3.5.15."""

from __future__ import annotations

import pytest

from ksmbd.commands.ioctl import FSCTLS, REFUSED
from ksmbd.wire import fsctl
from ksmbd.wire.header import NO_FILE
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File

INVALID = NtStatus.INVALID_PARAMETER
DEVICE = NtStatus.INVALID_DEVICE_REQUEST


@pytest.fixture
def file(client: Client) -> File:
    return client.open("file")


@pytest.mark.parametrize("flags", [0, 2, 3, 0xFFFF_FFFF])
def test_what_is_no_fsctl_is_refused(client: Client, file: File, flags: int) -> None:
    frame = file.frames.ioctl(fsctl.PIPE_PEEK, flags=flags)
    assert client.status(frame) is NtStatus.NOT_SUPPORTED


@pytest.mark.parametrize("code", [0, 1, 0x0009_0001, 0x8384_0000, 0xFFFF_FFFF])
def test_an_unknown_code_is_refused(client: Client, file: File, code: int) -> None:
    assert client.status(file.frames.ioctl(code)) is DEVICE


@pytest.mark.parametrize(("code", "status"), list(REFUSED.items()))
def test_codes_with_a_refusal_of_their_own(
    client: Client, file: File, code: int, status: NtStatus
) -> None:
    frame = file.frames.ioctl(code, persistent_id=NO_FILE, volatile_id=NO_FILE)
    assert client.status(frame) is status


@pytest.mark.parametrize("name", ["max_output_response", "max_input_response", "input_count"])
@pytest.mark.parametrize("value", [(1 << 20) + 1, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_more_than_a_transaction_is_refused(
    client: Client, file: File, name: str, value: int
) -> None:
    client.call(client.frames.echo(credits=8000))
    frame = file.frames.ioctl(fsctl.PIPE_PEEK, credit_charge=20).set(**{name: value})
    assert client.status(frame) is INVALID


@pytest.mark.parametrize(
    ("offset", "count"), [(0, 8), (64, 8), (119, 8), (120, 9), (121, 8), (0xFFFF_FFFF, 1)]
)
def test_input_outside_the_message_is_refused(
    client: Client, file: File, offset: int, count: int
) -> None:
    frame = file.frames.ioctl(
        fsctl.PIPE_TRANSCEIVE, bytes(8), input_offset=offset, input_count=count
    )
    assert client.status(frame) is INVALID


@pytest.mark.parametrize("code", sorted(c for c, entry in FSCTLS.items() if entry.min_input))
def test_input_shorter_than_the_code_needs_is_refused(client: Client, code: int) -> None:
    entry = FSCTLS[code]
    file = client.open("file")
    ids = {} if entry.open else {"persistent_id": NO_FILE, "volatile_id": NO_FILE}
    for length in (0, 1, entry.min_input - 1):
        frame = file.frames.ioctl(code, bytes(length), **ids)
        assert client.status(frame) is INVALID


@pytest.mark.parametrize("code", sorted(c for c, entry in FSCTLS.items() if entry.open))
def test_a_code_about_a_file_needs_one(client: Client, code: int) -> None:
    for ids in ((NO_FILE, NO_FILE), (1, 2)):
        frame = client.frames.on(*ids).ioctl(code, bytes(FSCTLS[code].min_input))
        assert client.status(frame) is NtStatus.FILE_CLOSED


@pytest.mark.parametrize("code", sorted(c for c, entry in FSCTLS.items() if not entry.open))
def test_a_code_about_no_file_takes_none(client: Client, file: File, code: int) -> None:
    frame = file.frames.ioctl(code, bytes(64))
    assert client.status(frame) is INVALID
    frame.set(persistent_id=NO_FILE, message_id=client.next_id)
    assert client.status(frame) is INVALID
    assert not client.closed


@pytest.mark.parametrize("code", sorted(FSCTLS))
def test_rubbish_is_answered(client: Client, code: int) -> None:
    for data in (bytes(1), b"\xff" * 24, bytes(4096), b"\xff" * 65536):
        file = client.open("file")
        ids = {} if FSCTLS[code].open else {"persistent_id": NO_FILE, "volatile_id": NO_FILE}
        client.send(file.frames.ioctl(code, data, **ids))
        if client.closed:
            assert code == fsctl.VALIDATE_NEGOTIATE_INFO
            return
