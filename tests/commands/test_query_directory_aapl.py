"""state/apple_listing.py through the engine: listings once READ_DIR_ATTR was agreed on."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from ksmbd.ipc.requests import ShareConfig
from ksmbd.wire import ipc
from ksmbd.wire.access import FILE_ALL_ACCESS, FILE_READ_DATA, FILE_WRITE_DATA
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.text import from_utf16
from tests.support.apple import agree
from tests.support.client import Client, ready
from tests.support.engine import Engine
from tests.support.mountd import DISK, share

HEAD: Final = struct.Struct("<I52xIIIBx24sHQ")  # NextEntryOffset, attributes, name, then ours
FINDER: Final = b"TEXTSMB!" + b"\x12\x34" + bytes(14) + b"\x56\x78" + bytes(6)
INFO: Final = bytes.fromhex("41465000 00000100 00000000 80000000") + FINDER + bytes(12)
YEAR_2000: Final = 946_684_800
_BOTH: Final = FILE_READ_DATA | FILE_WRITE_DATA
NEVER: Final = bytes.fromhex("80000000")


class Told(NamedTuple):
    access: int
    short_length: int
    resource_size: int
    finder_info: bytes
    mode: int
    ino: int


@pytest.fixture
def shares(folder: Path) -> list[ShareConfig]:
    return [share("data", str(folder), DISK | ipc.SHARE_AAPL), share("plain", str(folder))]


def raw(client: Client, info_class: int = FileInfo.ID_BOTH_DIRECTORY, name: str = "") -> bytes:
    frame = client.open(name).frames.query_directory(file_information_class=info_class)
    return bytes(client.call(frame).data)


def listing(client: Client, name: str = "") -> dict[str, Told]:
    data, at, found = raw(client, name=name), 0, {}
    while True:
        next_, _attributes, length, *fields = HEAD.unpack_from(data, at)
        access, short_length, short, mode, ino = fields
        start = at + HEAD.size
        resource_size = int.from_bytes(short[:8], "little")
        told = Told(access, short_length, resource_size, short[8:], mode, ino)
        found[from_utf16(data[start : start + length])] = told
        if not next_:
            return found
        at += next_


def test_an_entry_tells_what_a_mac_would_open_the_file_for(engine: Engine) -> None:
    path = engine.make_file("file", b"data")
    os.setxattr(path, "user.DosStream.AFP_AfpInfo:$DATA", INFO)
    os.setxattr(path, "user.DosStream.AFP_Resource:$DATA", b"foo")
    path.chmod(0o640)
    directory = engine.make_directory("dir")
    os.setxattr(directory, "user.DosStream.AFP_AfpInfo:$DATA", INFO)
    engine.make_file("bare")
    found = listing(agree(ready(engine)))

    st = path.stat()
    told = found["file"]
    assert (told.short_length, told.resource_size) == (24, 3)
    assert told.finder_info[:12] == b"TEXTSMB!\x12\x34\x56\x78"
    (added,) = struct.unpack(">I", told.finder_info[12:])
    assert abs(added + YEAR_2000 - st.st_ctime) < 60
    assert (told.mode, told.ino & 0xFFFF_FFFF) == (0o100640, st.st_ino & 0xFFFF_FFFF)
    assert found["dir"].finder_info[:12] == bytes(8) + b"\x12\x34\x56\x78"
    assert found["bare"].finder_info == bytes(12) + NEVER
    assert found["bare"].resource_size == 0
    assert found[".."][:4] == found["."][:4]


@pytest.mark.parametrize("value", [b"", INFO[:59]])
def test_what_is_no_finder_information_is_not_told(engine: Engine, value: bytes) -> None:
    path = engine.make_file("file")
    os.setxattr(path, "user.DosStream.AFP_AfpInfo:$DATA", value)
    assert listing(agree(ready(engine)))["file"].finder_info == bytes(12) + NEVER


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_the_rights_are_those_of_the_user(engine: Engine) -> None:
    mine, others = engine.make_file("mine"), engine.make_file("others")
    for path, mode in ((mine, 0o600), (others, 0o604)):
        path.chmod(mode)
    os.chown(others, 0, 0)
    found = listing(agree(ready(engine)))
    assert found["mine"].access & _BOTH == _BOTH
    assert found["others"].access & _BOTH == FILE_READ_DATA
    assert not any(told.access & ~FILE_ALL_ACCESS for told in found.values()), "generic rights"


def test_a_resource_fork_too_large_for_an_attribute_has_its_size(engine: Engine) -> None:
    engine.make_file("file")
    client = agree(ready(engine))
    stream = client.open("file:AFP_Resource")
    client.call(stream.frames.write(b"x", offset=1 << 20))
    assert listing(client)["file"].resource_size == (1 << 20) + 1
    (engine.folder / "copy").touch()
    value = os.getxattr(engine.folder / "file", "user.DosStream.AFP_Resource:$DATA")
    os.setxattr(engine.folder / "copy", "user.DosStream.AFP_Resource:$DATA", value)
    assert listing(client)["copy"].resource_size == 0  # somebody else's


def test_a_symlink_has_nothing_of_what_it_leads_to(engine: Engine) -> None:
    path = engine.make_file("file")
    os.setxattr(path, "user.DosStream.AFP_Resource:$DATA", b"foo")
    (engine.folder / "link").symlink_to("file")
    assert listing(agree(ready(engine)))["link"].resource_size == 0


def test_only_who_agreed_gets_such_listings_and_in_that_class_alone(engine: Engine) -> None:
    engine.make_file("file")
    plain = raw(ready(engine))
    assert raw(agree(ready(engine), 0)) == plain
    client = ready(engine)
    full = raw(client, FileInfo.ID_FULL_DIRECTORY)
    assert raw(agree(client)) != plain
    assert raw(client, FileInfo.ID_FULL_DIRECTORY) == full
    client.connect("plain")
    assert listing(client)["file"].short_length == 24, "for the whole session"
