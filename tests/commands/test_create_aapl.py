"""commands/create_aapl.py through the engine: what Apple's clients agree on with the server."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from ksmbd.ipc.requests import ShareConfig
from ksmbd.vfs import file_ids
from ksmbd.wire import create_context as wire
from ksmbd.wire import ipc
from ksmbd.wire.access import FILE_READ_ATTRIBUTES
from ksmbd.wire.create import CreateResponse
from ksmbd.wire.create_context import AAPL, AaplReply, AaplResolved
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.status import NtStatus
from tests.support.apple import agree
from tests.support.client import Client, ready
from tests.support.engine import Engine
from tests.support.mountd import DISK, User, share

APPLE = DISK | ipc.SHARE_AAPL
SERVER = wire.AAPL_UNIX_BASED | wire.AAPL_OSX_COPYFILE | wire.AAPL_NFS_ACE
ALL = wire.AAPL_BIT_SERVER_CAPS | wire.AAPL_BIT_VOLUME_CAPS | wire.AAPL_BIT_MODEL_INFO


@pytest.fixture
def shares(folder: Path) -> list[ShareConfig]:
    return [
        share("data", str(folder), APPLE),
        share("exact", str(folder), APPLE | ipc.SHARE_CASE_SENSITIVE),
        share("backups", str(folder), APPLE | ipc.SHARE_TIME_MACHINE),
        share("plain", str(folder)),
        share("streamless", str(folder), APPLE & ~ipc.SHARE_STREAMS),
    ]


def query(bitmap: int = ALL, client_capabilities: int = 0, command: int = 1) -> bytes:
    return struct.pack("<IIQQ", command, 0, bitmap, client_capabilities)


def asked(client: Client, data: bytes) -> AaplReply | None:
    response = client.call(client.frames.create("", contexts=[(AAPL, data)]))
    assert response.status is NtStatus.SUCCESS, response
    if not response.body(CreateResponse).create_contexts_length:
        return None
    return AaplReply.unpack(response.contexts()[AAPL])


def test_a_mac_is_told_what_the_server_is(engine: Engine) -> None:
    client = ready(engine)
    found = asked(client, query(client_capabilities=0xFFFF))
    capabilities = SERVER | wire.AAPL_READ_DIR_ATTR
    assert found == AaplReply(capabilities, wire.AAPL_VOLUME_RESOLVE_ID, "MacSamba")
    (session,) = engine.server.sessions.values()
    assert session.aapl == capabilities


def test_without_streams_listings_tell_nothing_of_them(engine: Engine) -> None:
    client = ready(engine, share="streamless")
    found = asked(client, query(client_capabilities=0xFFFF))
    assert found is not None
    assert found.server_capabilities == SERVER


@pytest.mark.parametrize(
    ("name", "capabilities"),
    [
        ("data", 0),
        ("exact", wire.AAPL_VOLUME_CASE_SENSITIVE),
        ("backups", wire.AAPL_VOLUME_FULL_SYNC),
    ],
)
def test_the_volume_is_as_the_share(engine: Engine, name: str, capabilities: int) -> None:
    found = asked(ready(engine, share=name), query())
    assert found is not None
    assert found.volume_capabilities == capabilities


@pytest.mark.parametrize(
    ("bit", "reply"),
    [
        (wire.AAPL_BIT_SERVER_CAPS, AaplReply(server_capabilities=SERVER)),
        (wire.AAPL_BIT_VOLUME_CAPS, AaplReply(volume_capabilities=0)),
        (wire.AAPL_BIT_MODEL_INFO, AaplReply(model="MacSamba")),
        (0, AaplReply()),
        (0x8, AaplReply()),
    ],
)
def test_only_what_is_asked_for_is_told(engine: Engine, bit: int, reply: AaplReply) -> None:
    assert asked(ready(engine), query(bit)) == reply


def test_nothing_is_agreed_on_without_asking_for_the_server(engine: Engine) -> None:
    asked(ready(engine), query(wire.AAPL_BIT_VOLUME_CAPS))
    (session,) = engine.server.sessions.values()
    assert session.aapl == 0


@pytest.mark.parametrize("data", [query(command=2), query(command=0), query()[:-1], query() + b"x"])
def test_another_request_is_refused(engine: Engine, data: bytes) -> None:
    """Command 2 has another length."""
    client = ready(engine)
    frame = client.frames.create("", contexts=[(AAPL, data)])
    assert client.status(frame) is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("data", [query(), b"x"])
def test_elsewhere_the_context_is_one_nobody_knows(engine: Engine, data: bytes) -> None:
    assert asked(ready(engine, share="plain"), data) is None


# -- numbers of files, and where they are ------------------------------------------------


def resolve(client: Client, number: int) -> AaplResolved:
    data = struct.pack("<IIQ", 2, 0, number)
    access = {"desired_access": FILE_READ_ATTRIBUTES}
    response = client.call(client.frames.create("", contexts=[(AAPL, data)], **access))
    assert response.status is NtStatus.SUCCESS, response
    return AaplResolved.unpack(response.contexts()[AAPL])


def number_of(client: Client, name: str) -> int:
    """As each way of asking tells it."""
    qfid = wire.QUERY_ON_DISK_ID
    file = client.open(name, contexts=[(qfid, b"")])
    number = wire.OnDiskIdResponse.unpack(file.response.contexts()[qfid]).disk_file_id
    internal = bytes(client.call(file.frames.query_info(FileInfo.INTERNAL)).data)
    every = bytes(client.call(file.frames.query_info(FileInfo.ALL)).data)
    unique = bytes(client.call(file.frames.query_info(FileInfo.ID)).data)
    assert internal == every[64:72] == unique[8:16] == number.to_bytes(8, "little")
    client.call(file.frames.close())
    return number


@pytest.fixture
def tree(engine: Engine) -> Engine:
    engine.make_directory("dir")
    engine.make_directory("dir/below")
    engine.make_file("dir/below/file", b"data")
    return engine


NOT_THERE = AaplResolved(NtStatus.OBJECT_NAME_NOT_FOUND)


def test_a_file_is_found_by_its_number_wherever_it_is(tree: Engine) -> None:
    mac = agree(ready(tree))
    number = number_of(mac, "dir\\below\\file")
    found = AaplResolved(NtStatus.SUCCESS, "dir\\below\\file")
    assert resolve(mac, number) == found
    assert resolve(mac, number) == found  # remembered
    (tree.folder / "dir/below/file").rename(tree.folder / "dir/moved")
    assert resolve(mac, number) == AaplResolved(NtStatus.SUCCESS, "dir\\moved")
    directory = number_of(mac, "dir\\below")
    assert resolve(mac, directory) == AaplResolved(NtStatus.SUCCESS, "dir\\below")


def test_a_number_is_not_given_again(tree: Engine) -> None:
    """The file system may give the inode's to the next file at once."""
    mac = agree(ready(tree))
    number = number_of(mac, "dir\\below\\file")
    (tree.folder / "dir/below/file").unlink()
    mac.engine.make_file("other")
    assert number_of(mac, "other") != number
    assert resolve(mac, number) == NOT_THERE


def test_a_listing_tells_the_same_number(tree: Engine) -> None:
    mac = agree(ready(tree))
    number = number_of(mac, "dir\\below\\file")
    frames = mac.open("dir\\below").frames
    frame = frames.query_directory(file_information_class=FileInfo.ID_BOTH_DIRECTORY)
    assert number.to_bytes(8, "little") + "file".encode("utf-16-le") in bytes(mac.call(frame).data)


def test_others_are_told_the_number_of_the_inode(tree: Engine) -> None:
    st = (tree.folder / "dir/below/file").stat()
    assert number_of(ready(tree), "dir\\below\\file") == st.st_ino
    mac = agree(ready(tree))
    mac.connect("plain")
    assert number_of(mac, "dir\\below\\file") == st.st_ino


def test_it_is_told_in_the_answer_that_agrees_on_it(tree: Engine) -> None:
    mac = ready(tree)
    asking = [(wire.QUERY_ON_DISK_ID, b""), (AAPL, query(client_capabilities=0xFFFF))]
    file = mac.open("dir", contexts=asking)
    told = wire.OnDiskIdResponse.unpack(file.response.contexts()[wire.QUERY_ON_DISK_ID])
    mac.call(file.frames.close())
    assert told.disk_file_id == number_of(mac, "dir")


@pytest.mark.parametrize("number", [0, 1, (1 << 64) - 1])
def test_no_file_of_that_number(tree: Engine, number: int) -> None:
    assert resolve(agree(ready(tree)), number) == NOT_THERE


def test_what_the_user_may_not_list_is_not_found(tree: Engine) -> None:
    mac = agree(ready(tree))
    number = number_of(mac, "dir\\below\\file")
    (tree.folder / "dir").chmod(0o300)
    assert resolve(mac, number) == NOT_THERE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two users")
def test_what_another_user_has_listed_is_not_told(folder: Path) -> None:
    """jane may open what is in the directory, and not list it."""
    users = [User("joe"), User("jane", uid=1001, gid=1001)]
    apple = share("data", str(folder), APPLE)
    folder.chmod(0o755)
    engine = Engine(folder, users=users, shares=[apple])
    engine.make_directory("dir").chmod(0o711)
    engine.make_file("dir/file").chmod(0o755)
    joe, jane = agree(ready(engine)), agree(ready(engine, user="jane"))
    number = number_of(joe, "dir\\file")
    assert resolve(joe, number) == AaplResolved(NtStatus.SUCCESS, "dir\\file")
    assert resolve(jane, number) == NOT_THERE
    (folder / "dir").chmod(0o755)
    assert resolve(jane, number) == AaplResolved(NtStatus.SUCCESS, "dir\\file")


def test_a_search_is_not_endless(tree: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    mac = agree(ready(tree))
    number = number_of(mac, "dir\\below\\file")
    monkeypatch.setattr(file_ids, "_SEARCHED", 1)
    assert resolve(mac, number) == NOT_THERE
    monkeypatch.setattr(file_ids, "_SEARCHED", 5)
    assert resolve(mac, number).status == NtStatus.SUCCESS


def test_without_file_handles_nothing_of_it_is_offered(
    tree: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_ids, "handle_of", lambda fd: b"")
    mac = ready(tree)
    told = asked(mac, query(client_capabilities=0xFFFF))
    assert told is not None
    assert told.volume_capabilities == 0
    st = (tree.folder / "dir").stat()
    assert number_of(mac, "dir") == st.st_ino


def test_only_so_many_places_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_ids, "_REMEMBERED", 2)
    places = file_ids.Places()
    for number in (1, 2, 1, 3):
        places.remember(number, str(number))
    assert places._paths == {1: "1", 3: "3"}
