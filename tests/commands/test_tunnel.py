"""vfs/tunnel.py through the engine: how old programs save a file, [MS-FSA] 2.1.5.1.1."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ksmbd.ipc.requests import ShareConfig
from ksmbd.vfs.shortnames import short_name
from ksmbd.wire import ipc
from ksmbd.wire.access import (
    FILE_CREATE,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_OPEN_IF,
)
from ksmbd.wire.create import CreateResponse
from ksmbd.wire.file_info import FileBasicInformation, FileInfo
from ksmbd.wire.status import NtStatus
from tests.commands.test_posix import connected, opened
from tests.commands.test_set_rename import name_of, rename
from tests.support.client import Client, File
from tests.support.engine import Engine
from tests.support.mountd import DISK, share

LONG = "a long name.text"
SHORT = short_name(LONG)
CREATED = 0x01C0_0000_0000_0000
MAKING = (FILE_CREATE, FILE_OPEN_IF)


@pytest.fixture
def shares(folder: Path) -> list[ShareConfig]:
    return [share("data", str(folder), DISK | ipc.SHARE_SHORT_NAMES), share("plain", str(folder))]


def close(client: Client, file: File) -> None:
    assert client.status(file.frames.close()) is NtStatus.SUCCESS


def make(client: Client, name: str) -> None:
    file = client.open(name, create_disposition=FILE_CREATE)
    times = FileBasicInformation(CREATED, 0, 0, 0, 0).pack()
    assert client.status(file.frames.set_info(FileInfo.BASIC, times)) is NtStatus.SUCCESS
    close(client, file)


def delete(client: Client, name: str) -> None:
    options = FILE_DELETE_ON_CLOSE
    close(client, client.open(name, create_disposition=FILE_OPEN, create_options=options))


def made(client: Client, name: str, disposition: int = FILE_CREATE) -> tuple[str, int]:
    """Make a file: how it is called then, and its creation time."""
    file = client.open(name, create_disposition=disposition)
    return name_of(client, file), file.response.body(CreateResponse).creation_time


@pytest.mark.parametrize("disposition", MAKING)
def test_a_file_that_is_made_again_is_the_old_one(
    client: Client, folder: Path, disposition: int
) -> None:
    make(client, LONG)
    delete(client, SHORT)
    assert made(client, SHORT, disposition) == (f"\\{LONG}", CREATED)
    assert os.listdir(folder) == [LONG]


def test_a_file_that_replaces_one_by_renames_is_as_old(client: Client, folder: Path) -> None:
    make(client, LONG)
    old = client.open(SHORT, create_disposition=FILE_OPEN)
    assert rename(client, old, "backup") is NtStatus.SUCCESS
    new = client.open("temporary", create_disposition=FILE_CREATE)
    assert rename(client, new, SHORT) is NtStatus.SUCCESS
    assert name_of(client, new) == f"\\{LONG}"
    basic = client.call(new.frames.query_info(FileInfo.BASIC)).data
    assert FileBasicInformation.unpack(basic).creation_time == CREATED
    assert sorted(os.listdir(folder)) == [LONG, "backup"]


def test_a_directory_gets_nothing_of_a_file(client: Client) -> None:
    make(client, LONG)
    delete(client, SHORT)
    file = client.open(SHORT, create_disposition=FILE_CREATE, create_options=FILE_DIRECTORY_FILE)
    assert name_of(client, file) == f"\\{SHORT}"


def test_a_share_without_short_names_forgets_at_once(client: Client) -> None:
    client.connect("plain")
    make(client, LONG)
    delete(client, SHORT)
    name, created = made(client, SHORT)
    assert name == f"\\{SHORT}"
    assert created != CREATED


def test_over_posix_a_name_is_what_was_asked_for(engine: Engine) -> None:
    client = connected(engine)
    make(client, LONG)
    delete(client, SHORT)
    assert name_of(client, opened(client, SHORT)) == f"\\{SHORT}"
