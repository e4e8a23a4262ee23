"""commands/tree_connect.py through the engine, [MS-SMB2] 3.3.5.7."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ksmbd.ipc.requests import TreeConnectReply
from ksmbd.state import session as session_module
from ksmbd.wire.access import FILE_ALL_ACCESS
from ksmbd.wire.header import HEADER_SIZE
from ksmbd.wire.ipc import TREE_UPDATE, TREE_WRITABLE, TreeStatus
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from ksmbd.wire.tree_connect import (
    EXTENSION_PRESENT,
    SHARE_DISK,
    SHARE_PIPE,
    SHAREFLAG_NO_CACHING,
    TreeConnectResponse,
)
from tests.support.client import DIALECTS, Client, ready
from tests.support.engine import Engine
from tests.support.mountd import GUEST, share

BAD_NAME = NtStatus.BAD_NETWORK_NAME
INVALID = NtStatus.INVALID_PARAMETER


# -- success -----------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_disk_share(engine: Engine, dialect: int) -> None:
    client = ready(engine, dialect)
    body = client.ok(client.frames.tree_connect(r"\\server\data"), TreeConnectResponse)
    assert body.share_type == SHARE_DISK
    assert body.maximal_access == FILE_ALL_ACCESS
    assert body.capabilities == 0


def test_a_read_only_share_grants_less(client: Client) -> None:
    body = client.ok(client.frames.tree_connect(r"\\server\ro"), TreeConnectResponse)
    assert body.maximal_access == 0x001200A9


def test_the_pipe_share(client: Client) -> None:
    body = client.ok(client.frames.tree_connect(r"\\server\IPC$"), TreeConnectResponse)
    assert body.share_type == SHARE_PIPE
    assert body.share_flags == SHAREFLAG_NO_CACHING


@pytest.mark.parametrize(
    "path",
    [
        r"\\server\data",
        r"\\SERVER\DATA",
        r"\\192.0.2.1\Data",
        r"\\server.example.org\data",
        "\\\\[fe80::1]\\data",
        "\\\\\\data",
        "\\\\server\\data\0",
    ],
)
def test_the_share_is_what_follows_the_server_whatever_that_is_called(
    client: Client, path: str
) -> None:
    client.ok(client.frames.tree_connect(path), TreeConnectResponse)


def test_each_tree_connect_has_an_id_of_its_own(client: Client) -> None:
    ids = {client.connect(use=False) for _ in range(10)}
    assert len(ids) == 10
    assert 0 not in ids
    assert len(client.engine.mountd.trees) == 11


def test_mountd_is_told_who_and_where_from(client: Client) -> None:
    tree_id = client.connect("ro")
    key = (client.frames.session_id, tree_id)
    assert client.engine.mountd.trees[key] == "ro"


def test_a_known_share_is_not_asked_for_again(client: Client) -> None:
    asked = client.engine.mountd.asked
    asked.clear()
    client.connect()
    assert asked == ["tree_connect"]


def test_a_share_that_changed_is_asked_for_again(client: Client) -> None:
    mountd = client.engine.mountd
    mountd.decisions["data"] = TreeConnectReply(TreeStatus.OK, TREE_WRITABLE | TREE_UPDATE)
    mountd.configs["data"] = mountd.configs["data"]._replace(comment="new")
    client.connect()
    assert client.engine.server.cached_share("data").comment == "new"  # type: ignore[union-attr]


# -- refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "",
        "data",
        "\\data",
        r"\\data",
        r"\server\data",
        "\\\\server\\",
        r"\\server\data\sub",
        r"\\server\no such share",
        "//server/data",
        "\\\\server\\" + "x" * 81,
        "\\\\server\\..",
        "\\\\server\\da\0ta",
        "\\\\server\\data" + "\0" * 3 + "x",
    ],
)
def test_no_such_share(client: Client, path: str) -> None:
    assert client.status(client.frames.tree_connect(path)) is BAD_NAME


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (TreeStatus.NOMEM, NtStatus.NO_MEMORY),
        (TreeStatus.NO_SHARE, BAD_NAME),
        (TreeStatus.NO_USER, NtStatus.ACCESS_DENIED),
        (TreeStatus.INVALID_USER, NtStatus.ACCESS_DENIED),
        (TreeStatus.HOST_DENIED, NtStatus.ACCESS_DENIED),
        (TreeStatus.CONN_EXIST, NtStatus.ACCESS_DENIED),
        (TreeStatus.TOO_MANY_CONNS, NtStatus.REQUEST_NOT_ACCEPTED),
        (TreeStatus.TOO_MANY_SESSIONS, NtStatus.TOO_MANY_SESSIONS),
        (TreeStatus.ERROR, NtStatus.ACCESS_DENIED),
    ],
)
def test_mountds_refusal_becomes_a_status(
    client: Client, status: TreeStatus, expected: NtStatus
) -> None:
    client.engine.mountd.decisions["data"] = TreeConnectReply(status, 0)
    before = dict(client.engine.mountd.trees)
    assert client.status(client.frames.tree_connect()) is expected
    assert client.engine.mountd.trees == before


def test_every_refusal_of_mountd_has_a_status(client: Client) -> None:
    for status in TreeStatus:
        client.engine.mountd.decisions["data"] = TreeConnectReply(status, 0)
        assert (client.status(client.frames.tree_connect()) == 0) == (status == TreeStatus.OK)


def test_without_mountd_nobody_connects(client: Client) -> None:
    client.engine.mountd.away = True
    assert client.status(client.frames.tree_connect()) is NtStatus.NO_LOGON_SERVERS
    client.open("file")


def test_a_share_whose_directory_is_gone_is_refused_and_mountd_told(
    engine: Engine, folder: Path
) -> None:
    engine.mountd.configs["gone"] = share("gone", str(folder / "gone"))
    client = ready(engine)
    before = dict(engine.mountd.trees)
    assert client.status(client.frames.tree_connect(r"\\server\gone")) is BAD_NAME
    assert engine.mountd.trees == before


def test_an_unsigned_request_on_3_1_1_ends_the_connection(client: Client) -> None:
    assert client.send(client.frames.tree_connect(sign=False)) == []
    assert client.closed


@pytest.mark.parametrize("dialect", DIALECTS[:-1])
def test_an_unsigned_request_will_do_on_others(engine: Engine, dialect: int) -> None:
    client = ready(engine, dialect)
    client.ok(client.frames.tree_connect(sign=False), TreeConnectResponse)


def test_guests_cannot_sign_and_connect_all_the_same(engine: Engine) -> None:
    engine.mountd.guest = replace(GUEST)
    client = Client(engine)
    client.negotiate()
    client.log_on("stranger")
    client.connect()
    client.log_on_nobody()
    client.connect()


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 26), (64, 26), (71, 26), (72, 27), (72, 28), (73, 26), (0xFFFF, 2), (72, 0xFFFE)],
)
def test_a_path_outside_the_message_is_refused(client: Client, offset: int, length: int) -> None:
    frame = client.frames.tree_connect(r"\\server\data", path_offset=offset, path_length=length)
    assert client.status(frame) is INVALID


def test_a_path_that_is_no_utf_16_is_refused(client: Client) -> None:
    raw = utf16("\\\\server\\") + b"\x00\xd8"
    frame = client.frames.tree_connect(data=raw, path_length=len(raw))
    assert client.status(frame) is INVALID


def test_more_trees_than_a_session_may_have_are_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "MAX_TREES", 3)
    client.connect(use=False)
    client.connect(use=False)
    frame = client.frames.tree_connect()
    assert client.status(frame) is NtStatus.INSUFFICIENT_RESOURCES


# -- the extension of 3.1.1 --------------------------------------------------------------


def extended(client: Client, path_offset: int) -> bytes:
    raw = utf16(r"\\server\data")
    extension = struct.pack("<IH10x", 0, 0)
    return extension + bytes(path_offset - len(extension)) + raw


@pytest.mark.parametrize("at", [16, 24])
def test_with_an_extension_the_path_is_counted_from_there(client: Client, at: int) -> None:
    frame = client.frames.tree_connect(
        r"\\server\data", flags=EXTENSION_PRESENT, path_offset=at, data=extended(client, at)
    )
    client.ok(frame, TreeConnectResponse)


def test_with_an_extension_the_path_stays_inside_the_message(client: Client) -> None:
    for at in (HEADER_SIZE + 8, 0xFFFF):
        frame = client.frames.tree_connect(
            r"\\server\data", flags=EXTENSION_PRESENT, path_offset=at, data=extended(client, 16)
        )
        assert client.status(frame) is INVALID


def test_the_extension_means_nothing_before_3_1_1(engine: Engine) -> None:
    client = ready(engine, 0x0302)
    client.ok(client.frames.tree_connect(flags=EXTENSION_PRESENT), TreeConnectResponse)


def test_a_session_that_ends_meanwhile_leaves_no_tree(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a LOGOFF on another channel; mountd would count the connect for ever."""
    engine = client.engine
    ask = engine.mountd.tree_connect

    def slow(**request: Any) -> TreeConnectReply:
        decision = ask(**request)
        engine.server.end_session(engine.server.sessions[client.frames.session_id])
        return decision

    monkeypatch.setattr(engine.mountd, "tree_connect", slow)
    status = client.status(client.frames.tree_connect())
    assert status is NtStatus.USER_SESSION_DELETED
    assert engine.mountd.trees == {}
