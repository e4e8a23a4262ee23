"""vfs/afp_info.py through the engine: Finder information as Macs write and read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ksmbd.ipc.requests import ShareConfig
from ksmbd.vfs.afp_info import NAME, SIZE
from ksmbd.wire import file_info, ipc
from ksmbd.wire.access import FILE_OPEN, FILE_OVERWRITE
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.status import NtStatus
from tests.support.apple import agree
from tests.support.client import Client, File, ready
from tests.support.engine import Engine, make_file_of_joe
from tests.support.fixtures import client as client
from tests.support.fixtures import engine as engine
from tests.support.fixtures import folder as folder
from tests.support.mountd import DISK, share

STREAM = f"file:{NAME}"
ATTRIBUTE = f"user.DosStream.{NAME}:$DATA"
FRESH = bytes.fromhex("41465000 00000100 00000000 80000000") + bytes(44)
INFO = FRESH[:16] + b"TEXTSMB!" + FRESH[24:]
OK, INVALID = NtStatus.SUCCESS, NtStatus.INVALID_PARAMETER


@pytest.fixture
def shares(folder: Path) -> list[ShareConfig]:
    make_file_of_joe(folder / "file", b"data")
    return [share("data", str(folder), DISK | ipc.SHARE_AAPL), share("plain", str(folder))]


def read(client: Client, file: File, length: int = SIZE, offset: int = 0) -> bytes:
    return bytes(client.call(file.frames.read(length, offset)).data)


def stored(engine: Engine) -> bytes | None:
    path = engine.folder / "file"
    return os.getxattr(path, ATTRIBUTE) if ATTRIBUTE in os.listxattr(path) else None


def streams(client: Client) -> bytes:
    file = client.open("file")
    found = bytes(client.call(file.frames.query_info(FileInfo.STREAM)).data)
    client.call(file.frames.close())
    return found


def test_what_is_written_is_stored_as_it_is(engine: Engine, client: Client) -> None:
    file = client.open(STREAM)
    assert client.status(file.frames.write(INFO)) is OK
    client.call(file.frames.close())
    assert stored(engine) == INFO
    assert NAME.encode("utf-16-le") in streams(client)
    assert read(client, client.open(STREAM.upper(), create_disposition=FILE_OPEN)) == INFO


def test_a_new_one_is_read_and_is_gone_when_nothing_was_written(
    engine: Engine, client: Client
) -> None:
    file = client.open(STREAM)
    assert read(client, file) == FRESH
    assert NAME.encode("utf-16-le") not in streams(client)
    client.call(file.frames.close())
    assert stored(engine) is None
    frame = client.frames.open(STREAM)
    assert client.status(frame) is NtStatus.OBJECT_NAME_NOT_FOUND


def test_one_that_says_nothing_any_more_is_gone(engine: Engine, client: Client) -> None:
    file, other = client.open(STREAM), client.open(STREAM)
    client.call(file.frames.write(INFO))
    client.call(file.frames.write(FRESH))
    assert NAME.encode("utf-16-le") not in streams(client)
    client.call(file.frames.close())
    assert stored(engine) is None
    assert read(client, other) == FRESH
    client.call(other.frames.write(INFO))
    client.call(other.frames.close())
    assert stored(engine) == INFO


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, 60, INFO), (0, 61, INFO), (16, 8, INFO[:8]), (60, 1, b"A"), (59, 2, b"AF"), (61, 1, b"")],
)
def test_it_is_read_from_its_start(
    client: Client, offset: int, length: int, expected: bytes
) -> None:
    file = client.open(STREAM)
    client.call(file.frames.write(INFO))
    response = client.call(file.frames.read(length, offset))
    assert response.status is (OK if expected else NtStatus.END_OF_FILE)
    assert not expected or bytes(response.data) == expected


@pytest.mark.parametrize(
    ("offset", "data", "status"),
    [
        (0, INFO[:2], INVALID),
        (0, b"XFP" + INFO[3:], INVALID),
        (1, INFO[:59], INVALID),
        (30, INFO[:16], INVALID),
        (0, INFO[:3], OK),
        (0, INFO[:40], OK),
        (0, INFO + b"more", OK),
        (61, INFO, OK),
    ],
)
def test_only_what_is_finder_information_is_written(
    engine: Engine, client: Client, offset: int, data: bytes, status: NtStatus
) -> None:
    file = client.open(STREAM)
    assert client.status(file.frames.write(data, offset)) is status
    client.call(file.frames.close())
    kept = status is OK and len(data) > 16
    assert stored(engine) == (INFO if kept else None)


def test_its_size_is_one_and_stays(engine: Engine, client: Client) -> None:
    file = client.open(STREAM)
    client.call(file.frames.write(INFO))
    for size, status in ((61, NtStatus.ALLOTTED_SPACE_EXCEEDED), (60, OK), (1, OK), (0, OK)):
        frame = file.frames.set_info(FileInfo.END_OF_FILE, size.to_bytes(8, "little"))
        assert client.status(frame) is status
    response = client.call(file.frames.query_info(FileInfo.STANDARD))
    told = file_info.FileStandardInformation.unpack(response.data)
    assert told.end_of_file == SIZE
    assert stored(engine) == INFO


def test_elsewhere_it_is_a_stream_like_others(engine: Engine) -> None:
    client = ready(engine, share="plain")
    file = client.open(STREAM)
    assert client.status(file.frames.write(b"anything", 3)) is OK
    assert read(client, file) == b"\0\0\0anything"
    client.call(file.frames.close())
    assert stored(engine) == b"\0\0\0anything"


# -- resource forks, and what is empty ---------------------------------------------------

FORK = "file:AFP_Resource"
FORK_ATTRIBUTE = "user.DosStream.AFP_Resource:$DATA"


def fork(engine: Engine) -> bytes | None:
    path = engine.folder / "file"
    return os.getxattr(path, FORK_ATTRIBUTE) if FORK_ATTRIBUTE in os.listxattr(path) else None


def doom(client: Client, file: File) -> NtStatus:
    return client.status(file.frames.set_info(FileInfo.DISPOSITION, b"\1"))


def empty(client: Client, file: File) -> NtStatus:
    return client.status(file.frames.set_info(FileInfo.END_OF_FILE, bytes(8)))


def test_a_resource_fork_stays_when_it_is_deleted(engine: Engine, client: Client) -> None:
    file = client.open(FORK)
    client.call(file.frames.write(b"fork"))
    assert doom(client, file) is OK
    assert client.status(client.frames.open(FORK)) is NtStatus.DELETE_PENDING
    client.call(file.frames.close())
    assert read(client, client.open(FORK)) == b"fork"


def test_it_goes_when_it_is_emptied(engine: Engine, client: Client) -> None:
    file = client.open(FORK)
    client.call(file.frames.write(b"fork"))
    assert empty(client, file) is OK
    client.call(file.frames.close())
    assert fork(engine) is None


def test_it_goes_with_its_file_and_when_that_is_overwritten(engine: Engine, client: Client) -> None:
    file = client.open(FORK)
    client.call(file.frames.write(b"fork"))
    client.call(client.open("file", create_disposition=FILE_OVERWRITE).frames.close())
    assert client.status(client.frames.open(FORK)) is NtStatus.DELETE_PENDING
    client.call(file.frames.close())
    assert fork(engine) is None


def test_what_one_open_writes_after_another_has_emptied_it_is_kept(
    engine: Engine, client: Client
) -> None:
    file, other = client.open(FORK), client.open(FORK)
    client.call(file.frames.write(b"fork"))
    assert empty(client, file) is OK
    client.call(file.frames.close())
    assert client.status(other.frames.write(b"new")) is OK
    client.call(other.frames.close())
    assert fork(engine) == b"new"


def test_elsewhere_a_resource_fork_is_a_stream_like_others(engine: Engine) -> None:
    client = ready(engine, share="plain")
    file = client.open(FORK)
    client.call(file.frames.write(b"fork"))
    assert doom(client, file) is OK
    client.call(file.frames.close())
    assert fork(engine) is None
    client.call(client.open(FORK).frames.close())
    assert fork(engine) == b""


@pytest.mark.parametrize("name", ["file:AFP_Resource", "file:other", STREAM])
def test_to_a_mac_an_empty_stream_is_not_there(engine: Engine, name: str) -> None:
    mac, other = agree(ready(engine)), ready(engine)
    file = mac.open(name)
    frame = mac.frames.open(name, create_disposition=FILE_OPEN)
    assert mac.status(frame) is NtStatus.OBJECT_NAME_NOT_FOUND
    mac.open(name)  # which may make it
    stream = name.partition(":")[2].encode("utf-16-le")
    assert stream not in streams(mac)
    shown = OK if name != STREAM else NtStatus.OBJECT_NAME_NOT_FOUND
    assert other.status(other.frames.open(name, create_disposition=FILE_OPEN)) is shown
    mac.call(file.frames.write(INFO))
    assert mac.status(mac.frames.open(name, create_disposition=FILE_OPEN)) is OK
    assert stream in streams(mac)


def test_others_see_an_empty_stream(engine: Engine) -> None:
    client = ready(engine)
    client.call(client.open("file:other").frames.close())
    assert "other".encode("utf-16-le") in streams(client)
    assert "other".encode("utf-16-le") not in streams(agree(ready(engine)))
