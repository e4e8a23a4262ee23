"""commands/tree_disconnect.py through the engine, [MS-SMB2] 3.3.5.8."""

from __future__ import annotations

from ksmbd.wire.status import NtStatus
from ksmbd.wire.tree_connect import TreeDisconnectResponse
from tests.support.client import Client


def test_the_opens_of_the_tree_end_with_it(client: Client) -> None:
    file = client.open("file")
    client.ok(client.frames.tree_disconnect(), TreeDisconnectResponse)
    assert len(client.engine.server.opens) == 0
    assert client.engine.mountd.trees == {}
    assert client.status(file.frames.read()) is NtStatus.NETWORK_NAME_DELETED


def test_the_opens_of_other_trees_stay(client: Client) -> None:
    file = client.open("file")
    other = client.connect(use=False)
    frame = client.frames.tree_disconnect(tree_id=other)
    client.ok(frame, TreeDisconnectResponse)
    assert client.status(file.frames.write()) is NtStatus.SUCCESS


def test_a_second_disconnect_finds_no_tree(client: Client) -> None:
    client.ok(client.frames.tree_disconnect(), TreeDisconnectResponse)
    assert client.status(client.frames.tree_disconnect()) is NtStatus.NETWORK_NAME_DELETED


def test_the_share_may_be_connected_again(client: Client) -> None:
    client.ok(client.frames.tree_disconnect(), TreeDisconnectResponse)
    client.connect()
    client.open("file")


def test_what_was_to_be_deleted_is_deleted(client: Client) -> None:
    client.open("doomed", create_options=0x1000)
    client.ok(client.frames.tree_disconnect(), TreeDisconnectResponse)
    assert list(client.engine.folder.iterdir()) == []
