"""vfs/recycle.py through the engine: each way a client deletes a file leads into the bin."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ksmbd.ipc.requests import ShareConfig
from ksmbd.wire import file_info
from ksmbd.wire.access import (
    FILE_CREATE,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_OVERWRITE,
)
from ksmbd.wire.change_notify import (
    ACTION_ADDED,
    ACTION_REMOVED,
    CHANGE_FILE_NAME,
    unpack_changes,
)
from ksmbd.wire.create_context import EA_BUFFER
from ksmbd.wire.file_chains import pack_full_eas
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.status import NtStatus
from tests.security.test_rights import named
from tests.support.client import Client, File, ready
from tests.support.engine import Engine, give_to_joe
from tests.support.mountd import share

OK = NtStatus.SUCCESS
POSIX_DELETE = file_info.DISPOSITION_DELETE | file_info.DISPOSITION_POSIX_SEMANTICS


@pytest.fixture
def shares(folder: Path) -> list[ShareConfig]:
    return [
        share("data", str(folder), recycle_repository=".recycle"),
        share("plain", str(folder)),
    ]


@pytest.fixture
def engine(engine: Engine, caplog: pytest.LogCaptureFixture) -> Iterator[Engine]:
    path = engine.make_file("file", b"content")
    os.setxattr(path, "user.DosStream.stream:$DATA", b"of the stream")
    os.setxattr(path, "user.other", b"an attribute")
    yield engine
    assert not [r for r in caplog.get_records("call") if r.levelname == "WARNING"]


def disposition(client: Client, file: File, flags: int) -> None:
    frame = file.frames.set_info(FileInfo.DISPOSITION_EX, struct.pack("<I", flags))
    assert client.status(frame) is OK


def on_close(client: Client) -> None:
    file = client.open("file", create_options=FILE_DELETE_ON_CLOSE)
    client.call(file.frames.close())


def by_disposition(client: Client) -> None:
    file = client.open("file")
    assert client.status(file.frames.set_info(FileInfo.DISPOSITION, b"\1")) is OK
    client.call(file.frames.close())


def with_posix_semantics(client: Client) -> None:
    """Others have it open, and go on reading it."""
    other, file = client.open("file"), client.open("file")
    disposition(client, file, POSIX_DELETE)
    client.call(file.frames.close())
    assert bytes(client.call(other.frames.read(7)).data) == b"content"
    client.call(other.frames.close())


def with_the_connection(client: Client) -> None:
    client.open("file", create_options=FILE_DELETE_ON_CLOSE)
    client.lose()


@pytest.mark.parametrize(
    "delete", [on_close, by_disposition, with_posix_semantics, with_the_connection]
)
def test_each_way_to_delete_keeps_the_file_whole(
    engine: Engine, client: Client, delete: Callable[[Client], None]
) -> None:
    before = (engine.folder / "file").stat()
    delete(client)
    kept = engine.folder / ".recycle/file"
    assert sorted(os.listdir(engine.folder)) == [".recycle"]
    assert kept.read_bytes() == b"content"
    assert os.getxattr(kept, "user.DosStream.stream:$DATA") == b"of the stream"
    assert os.getxattr(kept, "user.other") == b"an attribute"
    assert (kept.stat().st_ino, kept.stat().st_uid) == (before.st_ino, before.st_uid)
    assert kept.parent.stat().st_uid == before.st_uid


def test_without_the_bin_the_file_is_gone(engine: Engine) -> None:
    on_close(ready(engine, share="plain"))
    assert os.listdir(engine.folder) == []


def test_what_is_deleted_in_the_bin_is_gone(engine: Engine, client: Client) -> None:
    on_close(client)
    file = client.open(r".recycle\file", create_options=FILE_DELETE_ON_CLOSE)
    client.call(file.frames.close())
    assert os.listdir(engine.folder / ".recycle") == []


def test_a_stream_that_goes_alone_is_gone(engine: Engine, client: Client) -> None:
    file = client.open("file:stream", create_options=FILE_DELETE_ON_CLOSE)
    client.call(file.frames.close())
    assert os.listdir(engine.folder) == ["file"]
    assert "user.DosStream.stream:$DATA" not in os.listxattr(engine.folder / "file")


def test_a_directory_is_gone(engine: Engine, client: Client) -> None:
    file = client.open("dir", create_options=FILE_DIRECTORY_FILE | FILE_DELETE_ON_CLOSE)
    client.call(file.frames.close())
    assert os.listdir(engine.folder) == ["file"]


def test_a_file_that_could_not_be_made_leaves_nothing(engine: Engine, client: Client) -> None:
    """Its extended attribute is refused after it was created."""
    eas = pack_full_eas([("DOSATTRIB", b"x")])[0]
    frame = client.frames.create("new", contexts=[(EA_BUFFER, eas)], create_disposition=FILE_CREATE)
    assert client.status(frame) is not OK
    assert os.listdir(engine.folder) == ["file"]


def test_what_is_replaced_by_a_rename_or_overwritten_is_gone(
    engine: Engine, client: Client
) -> None:
    """As with Samba: programs that save by renaming would fill the bin."""
    new = client.open("new")
    assert client.status(new.frames.set_info(FileInfo.RENAME, named("file"))) is OK
    client.call(new.frames.close())
    client.open("file", create_disposition=FILE_OVERWRITE)
    assert os.listdir(engine.folder) == ["file"]


def test_who_cannot_write_in_the_bin_deletes_for_good(
    engine: Engine, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    repository = engine.folder / ".recycle"
    repository.write_text("in the way")
    on_close(client)
    assert os.listdir(engine.folder) == [".recycle"]
    (said,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "data/file is deleted for good" in said
    caplog.clear()


def watch(client: Client, name: str) -> int:
    file = client.open(name, create_options=FILE_DIRECTORY_FILE, create_disposition=FILE_OPEN)
    return client.pend(file.frames.change_notify(completion_filter=CHANGE_FILE_NAME))


def test_watchers_are_told_of_both_names(engine: Engine, client: Client) -> None:
    (engine.folder / ".recycle").mkdir()
    give_to_joe(engine.folder / ".recycle")
    top, inside = watch(client, ""), watch(client, ".recycle")
    on_close(ready(engine))
    told = {r.header.async_id: unpack_changes(r.data) for r in client.receive()}
    assert told == {top: [(ACTION_REMOVED, "file")], inside: [(ACTION_ADDED, "file")]}
