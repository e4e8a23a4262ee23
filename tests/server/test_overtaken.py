"""A CLOSE that is done sooner than what came before it, which a kworker has still to take up.

The client has sent both without waiting; smbtorture's smb2.compound_find.compound_find_close wants
the listing that it asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from ksmbd.commands.query_directory import SHORT
from ksmbd.server import dispatch
from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.vfs import credentials
from ksmbd.wire.access import FILE_DELETE_ON_CLOSE, FILE_DIRECTORY_FILE
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.fsctl import CREATE_OR_GET_OBJECT_ID
from ksmbd.wire.header import TRANSFORM_PROTOCOL_ID
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.frames import Frame, FrameFactory

OK = NtStatus.SUCCESS
CLOSED = NtStatus.FILE_CLOSED

Make = Callable[[FrameFactory], Frame]

REQUESTS: Final[dict[str, Make]] = {
    "flush": lambda frames: frames.flush(),
    "ioctl": lambda frames: frames.ioctl(CREATE_OR_GET_OBJECT_ID),
    "query_info": lambda frames: frames.query_info(FileInfo.POSITION),
    "read": lambda frames: frames.read(4),
    "set_info": lambda frames: frames.set_info(FileInfo.POSITION, bytes(8)),
    "write": lambda frames: frames.write(b"late"),
}


def received(client: Client, frame: Frame) -> Work:
    work = dispatch.receive(client.connection, memoryview(client.pack(frame)))
    assert work is not None
    return work


def queue(client: Client, frame: Frame) -> None:
    """As the reader does with what is none of its own."""
    work = received(client, frame)
    dispatch.queued(work)
    client.engine.scheduler.run(dispatch.run, work)


def at_once(client: Client, frame: Frame) -> None:
    """By the reader itself."""
    work = received(client, frame)
    work.direct = True
    dispatch.run(work)


def results(client: Client) -> dict[int, NtStatus]:
    """Of all requests since, by their MessageId."""
    return {response.header.message_id: response.status for response in client.receive()}


def overtaken(client: Client, frame: Frame, by: Frame) -> tuple[NtStatus, NtStatus]:
    with client.engine.acting(client.connection):
        queue(client, frame)
        at_once(client, by)
        found = results(client)
        assert list(found) == [by.header.message_id]
    found |= results(client)
    return found[frame.header.message_id], found[by.header.message_id]


def open_of(client: Client, file: File) -> Open:
    found = client.engine.server.opens.find(file.ids[1])
    assert found is not None
    return found


def assert_ended(client: Client, open: Open) -> None:
    assert (open.users, open.reserved, open.outstanding_pre_request_count) == (0, 0, 0)
    assert len(client.engine.server.opens) == 0
    assert not client.engine.server.inodes._inodes
    assert open.handle is None or open.handle.fd == -1


@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
def test_what_was_queued_before_the_close_is_done(client: Client, request_of: Make) -> None:
    path = client.engine.make_file("file", b"text")
    file = client.open()
    open = open_of(client, file)
    assert overtaken(client, request_of(file.frames), file.frames.close()) == (OK, OK)
    assert path.read_bytes() in (b"text", b"late")
    assert_ended(client, open)


def test_a_write_that_was_overtaken_is_written(client: Client) -> None:
    path = client.engine.make_file("file", b"text")
    file = client.open()
    overtaken(client, file.frames.write(b"late"), file.frames.close())
    assert path.read_bytes() == b"late"


def test_a_listing_is_listed(client: Client) -> None:
    file = client.open("folder", create_options=FILE_DIRECTORY_FILE)
    open = open_of(client, file)
    assert overtaken(client, file.frames.query_directory(), file.frames.close()) == (OK, OK)
    assert_ended(client, open)


def test_a_listing_that_the_reader_passes_on_is_listed(client: Client) -> None:
    folder = client.engine.make_directory("many")
    for number in range(SHORT):
        (folder / f"{number}").touch()
    file = client.open("many", create_options=FILE_DIRECTORY_FILE)
    open = open_of(client, file)
    listing, close = file.frames.query_directory(), file.frames.close()
    with client.engine.acting(client.connection):
        at_once(client, listing)
        assert open.reserved == 1
        at_once(client, close)
        assert list(results(client)) == [close.header.message_id]
    assert results(client) == {listing.header.message_id: OK}
    assert_ended(client, open)


def test_what_the_reader_passes_on_ends_with_its_connection(client: Client) -> None:
    folder = client.engine.make_directory("many")
    for number in range(SHORT):
        (folder / f"{number}").touch()
    file = client.open("many", create_options=FILE_DIRECTORY_FILE)
    open = open_of(client, file)
    with client.engine.acting():
        at_once(client, file.frames.query_directory())
        client.connection.transport.close()
        client.engine.server.connection_lost(client.connection)
    assert_ended(client, open)


def test_a_file_is_deleted_when_all_that_came_before_the_close_is_done(client: Client) -> None:
    file = client.open(create_options=FILE_DELETE_ON_CLOSE)
    open = open_of(client, file)
    path = client.engine.folder / "file"
    with client.engine.acting(client.connection):
        queue(client, file.frames.write(b"late"))
        at_once(client, file.frames.close())
        credentials.become(None)
        assert path.exists()
    assert not path.exists()
    assert set(results(client).values()) == {OK}
    assert_ended(client, open)


def test_what_comes_after_the_close_is_refused(client: Client) -> None:
    file = client.open()
    at_once(client, file.frames.close())
    read = file.frames.read(4)
    with client.engine.acting(client.connection):
        queue(client, read)
    assert results(client)[read.header.message_id] is CLOSED


def test_a_second_close_is_refused(client: Client) -> None:
    file = client.open()
    open = open_of(client, file)
    assert overtaken(client, file.frames.close(), file.frames.close()) == (CLOSED, OK)
    assert_ended(client, open)


def test_another_sessions_open_is_refused_and_let_go_of(client: Client, engine: Engine) -> None:
    file = client.open()
    open = open_of(client, file)
    other = ready(engine)
    frames = other.frames.on(*file.ids)
    read = frames.read(4)
    with engine.acting(other.connection):
        queue(other, read)
        assert open.reserved == 1
    assert results(other) == {read.header.message_id: CLOSED}
    assert open.reserved == 0
    assert client.status(file.frames.close()) is OK
    assert_ended(client, open)


def test_what_is_refused_before_it_is_looked_at_is_let_go_of(client: Client) -> None:
    file = client.open()
    open = open_of(client, file)
    with client.engine.acting(client.connection):
        queue(client, file.frames.read(4).set(tree_id=77))
        assert open.reserved == 1
    assert set(results(client).values()) == {NtStatus.NETWORK_NAME_DELETED}
    assert open.reserved == open.users == 0


def test_it_is_no_earlier_request_in_the_sense_of_channel_sequences(client: Client) -> None:
    """A replay must wait for what another sequence has under way, and would for ever."""
    file = client.open()
    open = open_of(client, file)
    with client.engine.acting(client.connection):
        for _ in range(2):
            queue(client, file.frames.write(b"late").set(status=1))
    assert set(results(client).values()) == {OK}
    assert (open.channel_sequence, open.outstanding_pre_request_count) == (1, 0)


def test_what_is_in_a_long_sealed_frame_is_not_known_yet(client: Client) -> None:
    work = Work(client.connection, memoryview(TRANSFORM_PROTOCOL_ID + bytes(100_000)))
    work.sealed = client.connection.sessions[client.frames.session_id]
    dispatch.queued(work)
    assert work.reserved is None
