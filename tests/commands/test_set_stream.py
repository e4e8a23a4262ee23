"""commands/set_stream.py: streams get other names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ksmbd.wire import file_info
from ksmbd.wire.access import FILE_READ_DATA, FILE_SHARE_READ, FILE_SHARE_WRITE
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.support.client import Client, File
from tests.support.engine import Engine

SUCCESS = NtStatus.SUCCESS
INVALID = NtStatus.INVALID_PARAMETER
COLLISION = NtStatus.OBJECT_NAME_COLLISION


def rename(client: Client, file: File, name: str, *, replace: bool = False) -> NtStatus:
    raw = utf16(name)
    head = file_info.FileRenameInformation(replace_if_exists=replace, file_name_length=len(raw))
    return client.status(file.frames.set_info(FileInfo.RENAME, head.pack() + raw))


def put(path: Path, stream: str, data: bytes = b"") -> None:
    os.setxattr(path, f"user.DosStream.{stream}:$DATA", data)


def streams(path: Path) -> dict[str, bytes]:
    prefix = "user.DosStream."
    return {
        name[len(prefix) : -6]: os.getxattr(path, name)
        for name in os.listxattr(path)
        if name.startswith(prefix)
    }


@pytest.mark.parametrize("name", [":new", ":new:$DATA", "\\:new", "file:new", "FILE:new:$data"])
def test_a_stream_gets_a_new_name(client: Client, engine: Engine, name: str) -> None:
    path = engine.make_file("file", b"data")
    put(path, "old", b"stream")
    file, other = client.open("file:old"), client.open("file:OLD")
    assert rename(client, file, name) is SUCCESS
    assert streams(path) == {"new": b"stream"}
    assert client.call(other.frames.read(10)).data == b"stream"
    # the others who come find the same stream, and its share modes
    frame = client.frames.open("file:NEW", share_access=FILE_SHARE_READ)
    assert client.status(frame) is NtStatus.SHARING_VIOLATION
    assert client.status(client.frames.open("file:old")) is NtStatus.OBJECT_NAME_NOT_FOUND
    assert path.read_bytes() == b"data"


def test_case_changes_without_replacing(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    put(path, "name", b"1")
    file = client.open("file:name")
    for name in ("NAME", "NAME", "Name"):
        assert rename(client, file, f":{name}") is SUCCESS
        assert streams(path) == {name: b"1"}


def test_only_an_empty_stream_that_nobody_uses_is_replaced(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    for name, data in (("a", b"1"), ("full", b"2"), ("used", b""), ("empty", b"")):
        put(path, name, data)
    client.open("file:used")
    file = client.open("file:a")
    for name in ("full", "used", "EMPTY"):
        assert rename(client, file, f":{name}") is COLLISION
    for name in ("FULL", "Used"):
        assert rename(client, file, f":{name}", replace=True) is INVALID
    assert rename(client, file, ":EMPTY", replace=True) is SUCCESS
    assert streams(path) == {"EMPTY": b"1", "full": b"2", "used": b""}


def test_a_stream_becomes_the_file_s_own_data(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    put(path, "a", b"stream")
    file = client.open("file:a")
    assert rename(client, file, "::$DATA") is COLLISION
    base = client.open("file")
    assert rename(client, file, "::$DATA", replace=True) is INVALID
    client.call(base.frames.close())
    assert rename(client, file, "::$DATA", replace=True) is SUCCESS
    assert (path.read_bytes(), streams(path)) == (b"stream", {})
    assert client.status(file.frames.write(b"S")) is SUCCESS
    assert client.call(file.frames.read(10)).data == b"Stream"
    assert client.status(file.frames.close()) is SUCCESS
    assert path.read_bytes() == b"Stream"


def test_data_are_not_replaced(client: Client, engine: Engine) -> None:
    put(engine.make_file("file", b"data"), "a")
    assert rename(client, client.open("file:a"), "::$DATA", replace=True) is INVALID
    engine.make_directory("dir")
    put(engine.folder / "dir", "a")
    assert rename(client, client.open("dir:a"), "::$DATA", replace=True) is INVALID


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (":", NtStatus.OBJECT_NAME_INVALID),
        (":a:b:c", NtStatus.OBJECT_NAME_INVALID),
        (":a:$OTHER", NtStatus.OBJECT_NAME_INVALID),
        (":x/y", NtStatus.OBJECT_NAME_INVALID),
        (":x\\y", NtStatus.OBJECT_NAME_INVALID),
        (":" + "x" * 235, NtStatus.OBJECT_NAME_INVALID),
        ("::$INDEX_ALLOCATION", INVALID),
        ("new", INVALID),
        ("file", INVALID),
        ("other:a", INVALID),
        ("missing:a", INVALID),
        ("missing\\file:a", NtStatus.OBJECT_PATH_NOT_FOUND),
    ],
)
def test_a_stream_stays_in_its_file(
    client: Client, engine: Engine, name: str, status: NtStatus
) -> None:
    path = engine.make_file("file")
    put(path, "a", b"1")
    engine.make_file("other")
    assert rename(client, client.open("file:a"), name, replace=True) is status
    assert streams(path) == {"a": b"1"}


def test_a_file_s_own_data_are_no_stream(client: Client, engine: Engine) -> None:
    engine.make_file("file", b"data")
    file = client.open("file")
    assert rename(client, file, ":new") is NtStatus.NOT_SUPPORTED
    assert rename(client, file, "other:new") is NtStatus.OBJECT_NAME_INVALID


def test_who_shares_no_deletion_keeps_the_name(client: Client, engine: Engine) -> None:
    put(engine.make_file("file"), "a")
    file = client.open("file:a")
    share_access = FILE_SHARE_READ | FILE_SHARE_WRITE
    frame = client.frames.open("file:a", desired_access=FILE_READ_DATA, share_access=share_access)
    assert client.status(frame) is NtStatus.SHARING_VIOLATION
    assert rename(client, file, ":b") is SUCCESS


def test_a_file_whose_streams_are_open_keeps_its_name(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    stream, file = client.open("file:a"), client.open("file")
    assert rename(client, file, "new") is NtStatus.ACCESS_DENIED
    engine.make_file("other")
    assert rename(client, client.open("other"), "file", replace=True) is NtStatus.ACCESS_DENIED
    client.call(stream.frames.close())
    assert rename(client, file, "new") is SUCCESS
    assert streams(path.with_name("new")) == {"a": b""}


def test_a_stream_has_no_second_name(client: Client, engine: Engine) -> None:
    engine.make_file("file")
    raw = utf16("link")
    data = (
        file_info.FileLinkInformation(replace_if_exists=False, file_name_length=len(raw)).pack()
        + raw
    )
    frame = client.open("file:a").frames.set_info(FileInfo.LINK, data)
    assert client.status(frame) is INVALID
