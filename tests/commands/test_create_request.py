"""commands/create_request.py through the engine, [MS-SMB2] 3.3.5.9."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ksmbd.wire import ipc
from ksmbd.wire.access import (
    ACCESS_SYSTEM_SECURITY,
    ATTR_ARCHIVE,
    ATTR_DIRECTORY,
    ATTR_NORMAL,
    FILE_CREATE,
    FILE_CREATE_TREE_CONNECTION,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_GENERIC_WRITE,
    FILE_NON_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_OPEN_BY_FILE_ID,
    FILE_OPEN_IF,
    FILE_OVERWRITE,
    FILE_OVERWRITE_IF,
    FILE_READ_DATA,
    FILE_RESERVE_OPFILTER,
    FILE_SUPERSEDE,
)
from ksmbd.wire.create import CreateResponse
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.support.client import Client, ready
from tests.support.engine import Engine
from tests.support.mountd import DISK, share

INVALID = NtStatus.INVALID_PARAMETER
DENIED = NtStatus.ACCESS_DENIED
NAME_INVALID = NtStatus.OBJECT_NAME_INVALID
NOT_FOUND = NtStatus.OBJECT_NAME_NOT_FOUND
PATH_NOT_FOUND = NtStatus.OBJECT_PATH_NOT_FOUND
SYNTAX_BAD = NtStatus.OBJECT_PATH_SYNTAX_BAD
COLLISION = NtStatus.OBJECT_NAME_COLLISION

REPLACING = (FILE_SUPERSEDE, FILE_OVERWRITE, FILE_OVERWRITE_IF)


# -- numbers that are refused at once ----------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"impersonation_level": 4}, NtStatus.BAD_IMPERSONATION_LEVEL),
        ({"impersonation_level": 0xFFFF_FFFF}, NtStatus.BAD_IMPERSONATION_LEVEL),
        ({"create_disposition": 6}, INVALID),
        ({"create_disposition": 0xFFFF_FFFF}, INVALID),
        ({"share_access": 8}, INVALID),
        ({"create_options": 0x0100_0000}, INVALID),
        ({"create_options": 0xFFFF_FFFF}, INVALID),
        ({"create_options": FILE_DIRECTORY_FILE | FILE_NON_DIRECTORY_FILE}, INVALID),
        ({"create_options": FILE_CREATE_TREE_CONNECTION}, NtStatus.NOT_SUPPORTED),
        ({"create_options": FILE_OPEN_BY_FILE_ID}, NtStatus.NOT_SUPPORTED),
        ({"create_options": FILE_RESERVE_OPFILTER}, NtStatus.NOT_SUPPORTED),
        ({"desired_access": 0}, DENIED),
        ({"desired_access": 0x0400_0000}, DENIED),
        ({"desired_access": 0x0020_0001}, DENIED),
        ({"file_attributes": 0x8000_0000}, INVALID),
        ({"file_attributes": 0x8}, INVALID),
        (
            {"create_options": FILE_DELETE_ON_CLOSE, "desired_access": FILE_GENERIC_WRITE},
            INVALID,
        ),
    ],
)
def test_impossible_numbers_are_refused(
    client: Client, change: dict[str, Any], status: NtStatus
) -> None:
    assert client.status(client.frames.create("new", **change)) is status
    assert list(client.engine.folder.iterdir()) == []


@pytest.mark.parametrize("disposition", REPLACING)
def test_a_directory_is_never_overwritten(client: Client, disposition: int) -> None:
    client.engine.make_directory("dir")
    for options in (0, FILE_DIRECTORY_FILE):
        frame = client.frames.create("dir", create_disposition=disposition, create_options=options)
        assert client.status(frame) is INVALID
    frame = client.frames.create(
        "new", create_disposition=disposition, create_options=FILE_DIRECTORY_FILE
    )
    assert client.status(frame) is INVALID


def test_attributes_that_say_nothing_are_taken_together(client: Client) -> None:
    """smbtorture's smb2.notify.tcon"""
    attributes = ATTR_DIRECTORY | ATTR_NORMAL
    for options, kept in (FILE_DIRECTORY_FILE, ATTR_DIRECTORY), (0, ATTR_ARCHIVE):
        frame = client.frames.create(
            f"new{options}", file_attributes=attributes, create_options=options
        )
        assert client.ok(frame, CreateResponse).file_attributes == kept


def test_a_private_access_bit_needs_a_privilege(client: Client) -> None:
    client.engine.make_file("file")
    frame = client.frames.open("file", desired_access=ACCESS_SYSTEM_SECURITY | FILE_READ_DATA)
    assert client.status(frame) is NtStatus.PRIVILEGE_NOT_HELD


# -- names -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("\\new", INVALID),
        ("\\", INVALID),
        ("missing/new", PATH_NOT_FOUND),
        ("/", INVALID),
        ("dir//new", NAME_INVALID),
        ("..", SYNTAX_BAD),
        (".", NAME_INVALID),
        ("..\\secret", SYNTAX_BAD),
        ("a\\..\\..\\secret", SYNTAX_BAD),
        ("dir\\.", NAME_INVALID),
        ("dir\\\\new", NAME_INVALID),
        ("new\\", NAME_INVALID),
        ("a*", NAME_INVALID),
        ("a?", NAME_INVALID),
        ('a"', NAME_INVALID),
        ("a<", NAME_INVALID),
        ("a>", NAME_INVALID),
        ("a|b", NAME_INVALID),
        ("a\0b", NAME_INVALID),
        ("\0", NAME_INVALID),
        ("a\x01", NAME_INVALID),
        ("x" * 256, NAME_INVALID),
        ("\u20ac" * 86, NAME_INVALID),
        ("dir\\" * 100 + "\\" + "x" * 300, NAME_INVALID),
        ("a:b:c:d", NAME_INVALID),
        ("a:", NAME_INVALID),
        (":", NAME_INVALID),
        ("a:b\\c", NAME_INVALID),
        ("a::$NONSENSE", NAME_INVALID),
        ("a:b/c", NAME_INVALID),
        ("a:b\0", NAME_INVALID),
        ("a:" + "x" * 235, NAME_INVALID),
        ("dir\\:b", NAME_INVALID),
        ("a*:b", NAME_INVALID),
        ("missing\\new:stream", PATH_NOT_FOUND),
        ("missing\\new", PATH_NOT_FOUND),
        ("missing\\more\\new", PATH_NOT_FOUND),
        ("file\\new", PATH_NOT_FOUND),
        ("dir\\missing\\new", PATH_NOT_FOUND),
    ],
)
def test_names_that_are_refused(client: Client, name: str, status: NtStatus) -> None:
    client.engine.make_directory("dir")
    client.engine.make_file("file")
    assert client.status(client.frames.create(name)) is status
    assert client.status(client.frames.open(name)) is status
    assert sorted(os.listdir(client.engine.folder)) == ["dir", "file"]


@pytest.mark.parametrize("raw", [b"\x00\xd8", b"\x00\xdc\x41\x00", b"\x41\x00\x00\xd8"])
def test_a_lone_surrogate_is_no_name(client: Client, raw: bytes) -> None:
    frame = client.frames.create(data=raw, name_length=len(raw))
    assert client.status(frame) is NAME_INVALID


def test_a_name_of_an_odd_length_is_refused(client: Client) -> None:
    assert client.status(client.frames.create("name", name_length=7)) is INVALID


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 8), (119, 8), (120, 10), (122, 8), (0xFFFF, 2), (120, 0xFFFE), (64, 2)],
)
def test_a_name_outside_the_message_is_refused(client: Client, offset: int, length: int) -> None:
    frame = client.frames.create("name", name_offset=offset, name_length=length)
    assert client.status(frame) is INVALID


@pytest.mark.parametrize(
    ("name", "meant"),
    [("dir\\..\\new", "new"), ("none\\..\\dir\\a\\..\\new", "dir/new"), ("dir/a..b", "dir/a..b")],
)
def test_what_a_path_goes_back_on_is_not_looked_at(client: Client, name: str, meant: str) -> None:
    """smbtorture's smb2.notify.tree"""
    client.engine.make_directory("dir")
    client.ok(client.frames.create(name), CreateResponse)
    assert (client.engine.folder / meant).is_file()


def test_a_path_may_go_back_to_the_root_of_the_share(client: Client) -> None:
    client.engine.make_directory("dir")
    assert client.ok(client.frames.open("dir\\.."), CreateResponse).file_attributes & ATTR_DIRECTORY


def test_an_empty_name_is_the_root_of_the_share(client: Client) -> None:
    body = client.ok(client.frames.open(""), CreateResponse)
    assert body.file_attributes & ATTR_DIRECTORY
    frame = client.frames.open("", name_offset=0)
    client.ok(frame, CreateResponse)


@pytest.mark.parametrize(
    "name",
    [
        "x" * 255,
        "\u20ac" * 85,
        "a b",
        " leading",
        "CON",
        "nul.txt",
        "é",
        "\U0001f600",
        "a.b.c",
        "-rf",
    ],
)
def test_names_a_file_may_have(client: Client, name: str) -> None:
    client.open(name)
    assert os.listdir(client.engine.folder) == [name]


@pytest.mark.parametrize("name", ["FILE", "file", "File"])
def test_case_does_not_matter(client: Client, name: str) -> None:
    client.engine.make_file("File", b"x")
    assert client.ok(client.frames.open(name), CreateResponse).end_of_file == 1
    assert client.status(client.frames.create(name, create_disposition=FILE_CREATE)) is COLLISION


def test_case_of_parents_does_not_matter_either(client: Client) -> None:
    client.engine.make_directory("Dir")
    client.open("dIR\\new")
    assert (client.engine.folder / "Dir" / "new").exists()


def test_the_unnamed_stream_is_the_file(client: Client) -> None:
    client.engine.make_file("file", b"12")
    for name in ("file::$DATA", "FILE::$data"):
        assert client.ok(client.frames.open(name), CreateResponse).end_of_file == 2


def test_the_index_of_a_directory_is_the_directory(client: Client) -> None:
    client.engine.make_directory("dir")
    client.engine.make_file("file")
    for name in ("dir::$INDEX_ALLOCATION", "dir:$I30:$INDEX_ALLOCATION"):
        assert client.ok(client.frames.open(name), CreateResponse).file_attributes == ATTR_DIRECTORY
    frame = client.frames.open("file::$INDEX_ALLOCATION")
    assert client.status(frame) is NtStatus.NOT_A_DIRECTORY


def test_a_directory_has_no_data_stream(client: Client) -> None:
    for name in ("x::$DATA", "x:stream"):
        frame = client.frames.create(name, create_options=FILE_DIRECTORY_FILE)
        assert client.status(frame) is NtStatus.NOT_A_DIRECTORY
    client.engine.make_directory("dir")
    assert client.status(client.frames.open("dir::$DATA")) is NtStatus.FILE_IS_A_DIRECTORY
    frame = client.frames.open("dir::$INDEX_ALLOCATION", create_options=FILE_NON_DIRECTORY_FILE)
    assert client.status(frame) is NtStatus.FILE_IS_A_DIRECTORY


def test_a_share_without_streams_has_no_such_names(folder: Path) -> None:
    engine = Engine(folder, shares=[share("data", str(folder), DISK & ~ipc.SHARE_STREAMS)])
    engine.make_file("file")
    client = ready(engine)
    for name in ("file::$DATA", "file:stream", "file:stream:$DATA", "new:stream"):
        assert client.status(client.frames.open(name)) is NAME_INVALID
        assert client.status(client.frames.create(name)) is NAME_INVALID


def test_a_vetoed_name_is_not_there(folder: Path) -> None:
    engine = Engine(folder, shares=[share("data", str(folder), veto=("*.tmp", "secret"))])
    engine.make_file("a.tmp")
    engine.make_directory("secret")
    client = ready(engine)
    assert client.status(client.frames.open("a.tmp")) is NOT_FOUND
    assert client.status(client.frames.create("b.tmp")) is NOT_FOUND
    assert client.status(client.frames.create("secret\\x")) is PATH_NOT_FOUND


def test_unicode_names_of_both_halves_of_a_surrogate_pair(client: Client) -> None:
    raw = utf16("\U0001f600")
    assert len(raw) == 4
    frame = client.frames.create(data=raw, name_length=2)
    assert client.status(frame) is NAME_INVALID


def test_a_name_in_the_other_normal_form_is_another_where_it_may_be_made(
    client: Client, engine: Engine
) -> None:
    """As on NTFS: smbtorture's smb2.charset. Who only opens a file finds it in either form."""
    apart, composed = "a\u0308", "\xe4"
    engine.make_file(apart)
    assert (
        client.status(client.frames.create(composed, create_disposition=FILE_OPEN))
        is NtStatus.SUCCESS
    )
    assert os.listdir(engine.folder) == [apart]
    for disposition in (FILE_OPEN_IF, FILE_OVERWRITE_IF, FILE_SUPERSEDE, FILE_CREATE):
        frame = client.frames.create(composed, create_disposition=disposition)
        assert client.status(frame) is NtStatus.SUCCESS
        assert sorted(os.listdir(engine.folder)) == [apart, composed]
        (engine.folder / composed).unlink()
