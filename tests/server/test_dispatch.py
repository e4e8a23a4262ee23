"""server/dispatch.py: what is a frame, what becomes of an exception, what is short."""

from __future__ import annotations

import errno
import logging
import struct
from collections.abc import Callable
from typing import Any

import pytest

from ksmbd.commands.table import COMMANDS
from ksmbd.server import dispatch
from ksmbd.state.work import Reply, Work
from ksmbd.wire import error
from ksmbd.wire.base import WireError
from ksmbd.wire.echo import EchoResponse
from ksmbd.wire.header import (
    COMPRESSION_PROTOCOL_ID,
    HEADER_SIZE,
    PRIORITY_MASK,
    SERVER_TO_REDIR,
    SIGNED,
    TRANSFORM_PROTOCOL_ID,
    Command,
)
from ksmbd.wire.status import Disconnect, NtStatus, NtStatusError
from tests.support.client import Client, ready
from tests.support.engine import Engine
from tests.support.frames import Frame

Handler = Callable[[Work, Any], Reply]

FLAGS = 16  # the lowest byte of a header's Flags


@pytest.fixture
def patch_echo(monkeypatch: pytest.MonkeyPatch) -> Callable[[Handler], None]:
    """Have ECHO do something else."""

    def patch(handler: Handler) -> None:
        spec = COMMANDS[Command.ECHO]._replace(handle=handler)
        monkeypatch.setitem(COMMANDS, Command.ECHO, spec)

    return patch


def failing(failure: Exception) -> Handler:
    def handler(work: Work, req: Any) -> Reply:
        raise failure

    return handler


# -- frames ------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 3, 4, 63, 64, 65])
def test_a_frame_too_short_for_a_request_ends_the_connection(client: Client, length: int) -> None:
    frame = client.pack(client.frames.echo())
    assert client.raw(frame[:length]) == []
    assert client.closed


@pytest.mark.parametrize(
    "protocol", [b"\xfeSMC", bytes(4), b"HTTP", TRANSFORM_PROTOCOL_ID, COMPRESSION_PROTOCOL_ID]
)
def test_another_protocol_ends_the_connection(client: Client, protocol: bytes) -> None:
    frame = client.pack(client.frames.echo())
    frame[:4] = protocol
    assert client.raw(frame) == []
    assert client.closed


def test_smb1_after_the_negotiation_ends_the_connection(client: Client) -> None:
    client.raw(b"\xffSMB" + bytes(60))
    assert client.closed


@pytest.mark.parametrize("size", [0, 63, 65, 0xFFFF])
def test_a_header_of_another_size_ends_the_connection(client: Client, size: int) -> None:
    client.send(client.frames.echo(structure_size=size))
    assert client.closed


def test_a_response_where_a_request_belongs_ends_the_connection(client: Client) -> None:
    client.send(client.frames.echo(flags=SERVER_TO_REDIR))
    assert client.closed


@pytest.mark.parametrize("command", [c for c in Command if c != Command.NEGOTIATE])
def test_any_command_before_negotiate_ends_the_connection(engine: Engine, command: int) -> None:
    client = Client(engine)
    assert client.send(client.frames.echo(command=command)) == [] or command == Command.CANCEL
    assert client.closed or command == Command.CANCEL


@pytest.mark.parametrize("command", [19, 20, 255, 256, 0xFFFF])
def test_an_unknown_command_is_refused(client: Client, command: int) -> None:
    frame = client.frames.echo(command=command)
    assert client.status(frame) is NtStatus.INVALID_PARAMETER
    client.ok(client.frames.echo(), EchoResponse)


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {Command.NEGOTIATE}))
def test_another_structure_size_is_refused(client: Client, command: int, by: int) -> None:
    size = COMMANDS[command].request.STRUCTURE_SIZE
    frame = client.frames.echo(command=command, size=size + by, data=bytes(200))
    assert client.status(frame) is NtStatus.INVALID_PARAMETER


def test_a_negotiate_of_another_structure_size_is_refused(engine: Engine) -> None:
    client = Client(engine)
    assert client.status(client.frames.negotiate(size=37)) is NtStatus.INVALID_PARAMETER
    client.negotiate()


def test_the_reply_echoes_what_identifies_the_request(client: Client) -> None:
    frame = client.frames.echo(process_id=0x1234, flags=PRIORITY_MASK, credit_charge=3, credits=5)
    header = client.call(frame).header
    assert header.process_id == 0x1234
    assert header.tree_id == client.frames.tree_id
    assert header.session_id == client.frames.session_id
    assert header.message_id == frame.header.message_id
    assert header.credit_charge == 3
    assert header.credits == 5
    assert header.flags & PRIORITY_MASK == PRIORITY_MASK
    assert header.flags & SERVER_TO_REDIR


def test_an_error_keeps_the_ids_too(client: Client) -> None:
    header = client.call(client.frames.read(tree_id=99)).header
    assert header.status == NtStatus.NETWORK_NAME_DELETED
    assert header.tree_id == 99
    assert header.session_id == client.frames.session_id


# -- exceptions --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (NtStatusError(NtStatus.DISK_FULL, "no"), NtStatus.DISK_FULL),
        (WireError("no"), NtStatus.INVALID_PARAMETER),
        (OSError(errno.ENOSPC, "no"), NtStatus.DISK_FULL),
        (PermissionError(errno.EACCES, "no"), NtStatus.ACCESS_DENIED),
        (FileNotFoundError(errno.ENOENT, "no"), NtStatus.OBJECT_NAME_NOT_FOUND),
    ],
)
def test_an_exception_becomes_its_status(
    client: Client, patch_echo: Callable[[Handler], None], failure: Exception, status: NtStatus
) -> None:
    patch_echo(failing(failure))
    assert client.status(client.frames.echo()) is status


def test_a_bug_is_logged_and_costs_one_request(
    folder: Any, patch_echo: Callable[[Handler], None], caplog: pytest.LogCaptureFixture
) -> None:
    client = ready(Engine(folder))
    patch_echo(failing(ZeroDivisionError()))
    assert client.status(client.frames.echo()) is NtStatus.UNEXPECTED_IO_ERROR
    assert [r.levelno for r in caplog.records if r.exc_info] == [logging.ERROR]
    assert "a bug in the server" in caplog.text
    client.open("file")


def test_a_disconnect_in_a_handler_ends_the_connection(
    client: Client, patch_echo: Callable[[Handler], None]
) -> None:
    patch_echo(failing(Disconnect("enough")))
    assert client.send(client.frames.echo()) == []
    assert client.closed


@pytest.mark.parametrize("dialect", [0x0210, 0x0302])
def test_error_data_goes_as_it_is_before_3_1_1(
    engine: Engine, patch_echo: Callable[[Handler], None], dialect: int
) -> None:
    client = ready(engine, dialect)
    patch_echo(failing(NtStatusError(NtStatus.BUFFER_TOO_SMALL, "", b"\x44\0\0\0")))
    response = client.call(client.frames.echo())
    assert response.error_data == b"\x44\0\0\0"
    assert response.body(error.ErrorResponse).error_context_count == 0


def test_error_data_goes_in_a_context_on_3_1_1(
    client: Client, patch_echo: Callable[[Handler], None]
) -> None:
    patch_echo(failing(NtStatusError(NtStatus.BUFFER_TOO_SMALL, "", b"\x44\0\0\0")))
    response = client.call(client.frames.echo())
    assert response.error_data == bytes.fromhex("0400000000000000 44000000")
    assert response.body(error.ErrorResponse).error_context_count == 1


def test_an_error_without_data_has_one_zero_byte(client: Client) -> None:
    response = client.call(client.frames.read(tree_id=99))
    assert response.error_data == b""
    assert response.raw[HEADER_SIZE:] == bytes.fromhex("0900 0000 00000000 00")


def test_opens_that_a_command_used_are_let_go(client: Client) -> None:
    file = client.open("file")
    client.call(file.frames.write(b"data"))
    assert client.status(file.frames.read(offset=1 << 63)) is NtStatus.INVALID_PARAMETER
    (open,) = client.engine.server.opens.all()
    assert open.users == 0


def test_the_receive_buffer_is_given_back_once_the_reply_is_out(client: Client) -> None:
    given: list[int] = []
    frame = client.pack(client.frames.echo())
    work = dispatch.receive(client.connection, memoryview(frame))
    assert work is not None
    work.release = lambda: given.append(len(client.transport.take()))
    dispatch.run(work)
    assert given == [1]


# -- who runs it -------------------------------------------------------------------------


def is_direct(client: Client, *frames: Frame, alone: bool = True, beside: bool = False) -> bool:
    return decided(client, client.pack(*frames), alone=alone, beside=beside)


def decided(client: Client, pdu: bytearray, *, alone: bool = True, beside: bool = False) -> bool:
    work = dispatch.receive(client.connection, memoryview(pdu))
    assert work is not None
    return dispatch.is_direct(work, alone, beside)


def test_short_commands_are_direct(client: Client) -> None:
    frames = client.frames
    for frame in (
        frames.echo(),
        frames.create(),
        frames.close(),
        frames.write(b"x"),
        frames.read(),
        frames.lock(),
        frames.change_notify(),
        frames.query_directory(),
    ):
        assert is_direct(client, frame)
        assert is_direct(client, frame, alone=False)


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("alone", [True, False])
def test_a_longer_read_is_direct_where_neither_processors_nor_others_wait(
    client: Client, few: bool, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "_FEW_PROCESSORS", few)
    read, echo = client.frames.read, client.frames.echo()
    assert is_direct(client, read(65536), alone=alone)
    for size in (65537, 1 << 20):
        assert is_direct(client, read(size), alone=alone) is (few and alone)
    assert not is_direct(client, read((1 << 20) + 1), alone=alone)
    assert not is_direct(client, echo, read(65537), alone=alone)
    assert not is_direct(client, read(65537), echo, alone=alone)


def test_beside_others_only_what_is_long_is_direct(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "_FEW_PROCESSORS", True)
    frames = client.frames
    for short in (frames.echo(), frames.read(65536), frames.write(bytes(60_000)), frames.close()):
        assert not is_direct(client, short, beside=True)
    for long in (frames.read(65537), frames.write(bytes(100_000))):
        assert is_direct(client, long, beside=True)


@pytest.mark.parametrize("size", [65537, 70_000, 1 << 20])
def test_a_longer_write_is_direct_while_no_other_connection_waits(
    client: Client, size: int
) -> None:
    write = client.pack(client.frames.write(bytes(size)))
    assert decided(client, write)
    assert decided(client, write, alone=False) is (len(write) <= 68 << 10)


def test_the_longest_writes_are_not_direct(client: Client) -> None:
    assert is_direct(client, client.frames.write(bytes(1 << 20)))
    assert not is_direct(client, client.frames.write(bytes(2 << 20)))


def test_what_is_long_and_no_single_write_is_not_direct(client: Client) -> None:
    frames = client.frames
    assert not is_direct(client, frames.set_info(4, bytes(100_000)))
    assert not is_direct(client, frames.write(bytes(100_000)), frames.close())


@pytest.mark.parametrize("few", [True, False])
def test_what_is_verified_or_decrypted_is_direct_where_processors_are_few(
    client: Client, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "_FEW_PROCESSORS", few)
    write = client.pack(client.frames.write(bytes(100_000)))
    write[FLAGS] &= ~SIGNED & 0xFF
    assert decided(client, write)
    write[FLAGS] |= SIGNED
    assert decided(client, write) is few
    sealed = Work(client.connection, memoryview(TRANSFORM_PROTOCOL_ID + bytes(100_000)))
    assert dispatch.is_direct(sealed) is few


def test_what_waits_in_a_line_is_run_in_the_order_in_which_it_came(client: Client) -> None:
    frames = client.frames
    assert dispatch.in_order(client.pack(frames.change_notify()))
    assert dispatch.in_order(client.pack(frames.lock()))
    assert not dispatch.in_order(client.pack(frames.echo()))
    assert not dispatch.in_order(TRANSFORM_PROTOCOL_ID + bytes(100))
    assert not dispatch.in_order(b"")


def test_a_frame_that_is_given_back_meanwhile_keeps_no_order(client: Client) -> None:
    frame = memoryview(client.pack(client.frames.lock()))
    frame.release()
    assert not dispatch.in_order(frame)


def test_commands_that_ask_mountd_or_the_disk_are_not_direct(client: Client) -> None:
    frames = client.frames
    for frame in (
        frames.session_setup(b""),
        frames.tree_connect(),
        frames.logoff(),
        frames.flush(),
    ):
        assert not is_direct(client, frame)


def test_a_short_compound_is_direct_if_all_its_commands_are(client: Client) -> None:
    frames = client.frames
    assert is_direct(client, frames.create(), frames.query_info(), frames.close())
    assert not is_direct(client, frames.create(), frames.flush())
    assert not is_direct(client, frames.echo(), frames.read(65537))
    assert not is_direct(client, *(frames.echo() for _ in range(5)))


def test_a_compound_that_leaves_its_frame_is_not_direct(client: Client) -> None:
    frames = client.frames
    pdu = client.pack(frames.echo(), frames.echo())
    assert decided(client, pdu)
    for step in (1, 72 + 64, len(pdu), 0xFFFF_FFF8):
        struct.pack_into("<I", pdu, 20, step)
        assert not decided(client, pdu)


@pytest.mark.parametrize("protocol", [b"\xfeSMC", b"\xfdSMC", b"\xfcSMB", b"\xffSMC", bytes(4)])
def test_other_protocols_end_the_connection(client: Client, protocol: bytes) -> None:
    pdu = client.pack(client.frames.echo())
    pdu[:4] = protocol
    with pytest.raises(Disconnect):
        dispatch.receive(client.connection, memoryview(pdu))


def test_what_is_direct_never_depends_on_bytes_beyond_the_frame(client: Client) -> None:
    pdu = client.pack(client.frames.read())
    assert decided(client, pdu[:66])
    assert decided(client, pdu[:70])
    for length in (4, 13, 64, 65):
        with pytest.raises(Disconnect):
            dispatch.receive(client.connection, memoryview(pdu)[:length])
