"""state/tree.py: what a tree connect gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ksmbd.state.share import Share
from ksmbd.state.tree import TreeConnect
from ksmbd.wire.status import NtStatus, NtStatusError
from tests.support.client import Client, ready
from tests.support.engine import Engine


def tree_of(client: Client) -> TreeConnect:
    session = client.engine.server.sessions[client.frames.session_id]
    return session.find_tree(client.frames.tree_id)


def status_of(act: Callable[[], object]) -> NtStatus:
    with pytest.raises(NtStatusError) as refused:
        act()
    return refused.value.status


def test_a_disk_share_has_a_root_a_token_and_may_be_written(client: Client) -> None:
    tree = tree_of(client)
    assert tree.root is tree.share.root
    assert tree.the_token.sids
    tree.require_writable()


def test_a_read_only_tree_is_not_written(engine: Engine) -> None:
    tree = tree_of(ready(engine, share="ro"))
    assert status_of(tree.require_writable) is NtStatus.ACCESS_DENIED


def test_a_pipe_share_has_no_root(engine: Engine) -> None:
    tree = tree_of(ready(engine, share="IPC$"))
    assert status_of(lambda: tree.root) is NtStatus.INVALID_DEVICE_REQUEST


def test_without_a_token_nothing_is_allowed(client: Client) -> None:
    session = client.engine.server.sessions[client.frames.session_id]
    nobody = TreeConnect(
        9, session, Share(name="x"),
        writable=True, maximal_access=0, credentials=None, token=None, now=0.0,
    )  # fmt: skip
    assert status_of(lambda: nobody.the_token) is NtStatus.ACCESS_DENIED
