"""commands/flush.py through the engine, [MS-SMB2] 3.3.5.11."""

from __future__ import annotations

import os

import pytest

from ksmbd.wire.access import (
    FILE_ADD_FILE,
    FILE_APPEND_DATA,
    FILE_DIRECTORY_FILE,
    FILE_GENERIC_READ,
    FILE_LIST_DIRECTORY,
    FILE_WRITE_DATA,
)
from ksmbd.wire.flush import FULL_SYNC, FlushResponse
from ksmbd.wire.status import NtStatus
from tests.support.client import Client

DENIED = NtStatus.ACCESS_DENIED


@pytest.mark.parametrize("access", [FILE_WRITE_DATA, FILE_APPEND_DATA])
def test_data_is_on_the_disk_before_the_answer(
    client: Client, monkeypatch: pytest.MonkeyPatch, access: int
) -> None:
    synced: list[int] = []
    real = os.fdatasync, os.fsync
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(fd) or real[0](fd))  # type: ignore[func-returns-value]
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(fd) or real[1](fd))  # type: ignore[func-returns-value]
    file = client.open("file", desired_access=access)
    client.ok(file.frames.flush(), FlushResponse)
    assert len(synced) == 1


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The inodes that are brought to the disk."""
    inodes: list[int] = []
    fsync = os.fsync

    def noted(fd: int) -> None:
        inodes.append(os.fstat(fd).st_ino)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    return inodes


def test_macos_full_sync_brings_the_name_to_the_disk_too(client: Client, synced: list[int]) -> None:
    folder = client.engine.make_directory("dir")
    file = client.open("dir\\file")
    client.ok(file.frames.flush(), FlushResponse)
    ino = (folder / "file").stat().st_ino
    assert synced == [ino]
    client.ok(file.frames.flush(reserved1=FULL_SYNC), FlushResponse)
    assert synced == [ino, ino, folder.stat().st_ino]
    (folder / "file").unlink()
    client.ok(file.frames.flush(reserved1=FULL_SYNC), FlushResponse)
    assert synced[3:] == [ino]


def test_a_full_sync_of_a_stream_a_directory_and_the_root(
    client: Client, synced: list[int]
) -> None:
    top = client.engine.folder
    folder = client.engine.make_directory("dir")
    stream = client.open("file:stream")
    client.ok(stream.frames.flush(reserved1=FULL_SYNC), FlushResponse)
    assert synced == [(top / "file").stat().st_ino, top.stat().st_ino]
    for name, inodes in (("dir", [folder, top]), ("", [top])):
        synced.clear()
        opened = client.open(name, create_options=FILE_DIRECTORY_FILE)
        client.ok(opened.frames.flush(reserved1=FULL_SYNC), FlushResponse)
        assert synced == [path.stat().st_ino for path in inodes]


def test_an_open_for_reading_is_denied(client: Client) -> None:
    client.engine.make_file("file")
    file = client.open("file", desired_access=FILE_GENERIC_READ)
    assert client.status(file.frames.flush()) is DENIED


def test_a_directory_needs_the_right_to_add(client: Client) -> None:
    client.engine.make_directory("dir")
    changes = {"create_options": FILE_DIRECTORY_FILE}
    file = client.open("dir", desired_access=FILE_LIST_DIRECTORY, **changes)
    assert client.status(file.frames.flush()) is DENIED
    file = client.open("dir", desired_access=FILE_ADD_FILE | FILE_LIST_DIRECTORY, **changes)
    client.ok(file.frames.flush(), FlushResponse)


def test_a_closed_file_is_refused(client: Client) -> None:
    file = client.open("file")
    client.call(file.frames.close())
    assert client.status(file.frames.flush()) is NtStatus.FILE_CLOSED


def test_a_disk_that_fails_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    file = client.open("file")
    (open,) = client.engine.server.opens.all()

    def fail() -> None:
        raise OSError(5, "I/O error")

    monkeypatch.setattr(type(open.file), "sync", lambda self: fail())
    assert client.status(file.frames.flush()) is not NtStatus.SUCCESS
