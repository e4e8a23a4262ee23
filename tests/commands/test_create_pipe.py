"""commands/create_pipe.py and pipes altogether, [MS-SMB2] 3.3.5.9, 3.3.5.12, 3.3.5.13."""

from __future__ import annotations

import pytest

from ksmbd.wire.create import CreateResponse
from ksmbd.wire.query_info import INFO_FILE, INFO_FILESYSTEM, INFO_SECURITY
from ksmbd.wire.status import NtStatus
from tests.support.client import DIALECTS, Client, File, ready
from tests.support.engine import Engine
from tests.support.mountd import PIPES

OK = NtStatus.SUCCESS
NOT_FOUND = NtStatus.OBJECT_NAME_NOT_FOUND


@pytest.fixture
def client(engine: Engine) -> Client:
    return ready(engine, share="IPC$")


@pytest.fixture
def pipe(client: Client) -> File:
    return client.open("srvsvc")


@pytest.mark.parametrize("name", sorted(PIPES))
@pytest.mark.parametrize("prefix", ["", "\\"])
def test_each_pipe_opens_with_or_without_a_backslash(
    client: Client, name: str, prefix: str
) -> None:
    body = client.ok(client.frames.open(prefix + name), CreateResponse)
    assert (body.allocation_size, body.end_of_file) == (4096, 0)


def test_case_does_not_matter(client: Client) -> None:
    client.ok(client.frames.open("SrvSvc"), CreateResponse)


@pytest.mark.parametrize(
    "name", ["", "nonsense", "..\\srvsvc", "../srvsvc", "srvsvc\0", "x" * 30000]
)
def test_an_unknown_pipe_is_not_found(client: Client, name: str) -> None:
    assert client.status(client.frames.open(name)) is NOT_FOUND
    assert client.engine.mountd.pipes == {}


def test_without_mountd_there_is_no_pipe(client: Client) -> None:
    client.engine.mountd.away = True
    assert client.status(client.frames.open("srvsvc")) is NtStatus.PIPE_NOT_AVAILABLE


def test_an_open_too_many_leaves_no_pipe(client: Client) -> None:
    client.engine.server.opens.limit = 0
    assert client.status(client.frames.open("srvsvc")) is NtStatus.TOO_MANY_OPENED_FILES
    assert client.engine.mountd.pipes == {}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_written_can_be_read(engine: Engine, dialect: int) -> None:
    client = ready(engine, dialect, share="IPC$")
    pipe = client.open("srvsvc")
    assert client.status(pipe.frames.write(b"request")) is OK
    assert client.call(pipe.frames.read(1024)).data == b"request"


def test_a_read_shorter_than_the_answer_says_so(client: Client, pipe: File) -> None:
    client.call(pipe.frames.write(b"0123456789"))
    first = client.call(pipe.frames.read(4))
    assert (first.status, first.data) == (NtStatus.BUFFER_OVERFLOW, b"0123")
    rest = client.call(pipe.frames.read(100))
    assert (rest.status, rest.data) == (OK, b"456789")


def test_an_answer_may_be_asked_for_before_its_request_is_sent(client: Client, pipe: File) -> None:
    """smbtorture's smb2.credits.*ipc*"""
    client.pend(pipe.frames.read(4))
    client.pend(pipe.frames.read(100))
    first, rest, written = sorted(
        client.send(pipe.frames.write(b"0123456789")), key=lambda each: each.header.message_id
    )
    assert written.status is OK
    assert (first.status, first.data) == (NtStatus.BUFFER_OVERFLOW, b"0123")
    assert (rest.status, rest.data) == (OK, b"456789")


def test_who_waits_for_an_answer_can_give_up(client: Client, pipe: File) -> None:
    async_id = client.pend(pipe.frames.read(100))
    (reply,) = client.send(client.frames.cancel(async_id=async_id))
    assert reply.status is NtStatus.CANCELLED
    assert client.status(pipe.frames.write(b"data")) is OK
    assert client.call(pipe.frames.read(100)).data == b"data"


@pytest.mark.parametrize("how", ["close", "tree_disconnect", "logoff"])
def test_the_end_of_a_pipe_is_the_end_of_waiting(client: Client, pipe: File, how: str) -> None:
    client.pend(pipe.frames.read(100))
    statuses = {reply.status for reply in client.send(getattr(pipe.frames, how)())}
    assert statuses == {OK, NtStatus.PIPE_BROKEN}
    if how == "close":
        assert client.status(pipe.frames.read(100)) is NtStatus.FILE_CLOSED


def test_in_the_middle_of_a_compound_nobody_waits(client: Client, pipe: File) -> None:
    first, _ = client.send(pipe.frames.read(100), client.frames.related().echo())
    assert first.status is NtStatus.PIPE_EMPTY


def test_more_than_mountd_takes_is_refused(client: Client, pipe: File) -> None:
    frame = pipe.frames.write(bytes(65537))
    assert client.status(frame) is NtStatus.INVALID_PARAMETER


def test_mountd_going_away_is_told(client: Client, pipe: File) -> None:
    client.engine.mountd.away = True
    assert client.status(pipe.frames.write(b"x")) is NtStatus.PIPE_NOT_AVAILABLE
    assert client.status(pipe.frames.read(1)) is NtStatus.PIPE_NOT_AVAILABLE
    assert client.status(pipe.frames.close()) is OK


def test_a_pipe_mountd_has_forgotten_is_closed(client: Client, pipe: File) -> None:
    client.engine.mountd.pipes.clear()
    assert client.status(pipe.frames.write(b"x")) is NtStatus.FILE_CLOSED


@pytest.mark.parametrize("how", ["close", "tree_disconnect", "logoff"])
def test_the_pipe_ends_at_mountd_too(client: Client, pipe: File, how: str) -> None:
    assert client.status(getattr(pipe.frames, how)()) is OK
    assert client.engine.mountd.pipes == {}


def test_the_pipe_ends_with_its_connection(client: Client, pipe: File) -> None:
    client.lose()
    client.engine.assert_idle()


def test_what_means_nothing_to_a_pipe_is_refused(client: Client, pipe: File) -> None:
    device = NtStatus.INVALID_DEVICE_REQUEST
    assert client.status(pipe.frames.lock()) is device
    assert client.status(pipe.frames.query_directory()) is not OK
    assert client.status(pipe.frames.change_notify()) is not OK
    assert client.status(pipe.frames.flush()) is OK
    assert client.status(pipe.frames.close(flags=1)) is OK


@pytest.mark.parametrize("info_type", [INFO_FILE, INFO_FILESYSTEM, INFO_SECURITY])
def test_every_information_class_of_a_pipe_is_answered(client: Client, info_type: int) -> None:
    """CVE-2022-32230: a class that only files have."""
    client.call(client.frames.echo(credits=4000))
    pipe = client.open("srvsvc")
    for number in range(256):
        client.call(pipe.frames.query_info(number, info_type=info_type, sign=False))
        client.call(pipe.frames.set_info(number, bytes(64), info_type=info_type, sign=False))
    assert client.status(pipe.frames.close()) is OK


def test_disk_files_and_pipes_do_not_mix(client: Client) -> None:
    client.connect("data")
    client.open("srvsvc")
    assert client.engine.mountd.pipes == {}
