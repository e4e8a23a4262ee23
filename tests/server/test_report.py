"""The report behind ``ksmbd-control status``."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from control.status import OPENS, render
from ksmbd.server.pool import PoolFigures
from ksmbd.server.report import report
from ksmbd.state.oplock import Kind
from ksmbd.state.session import SessionState
from ksmbd.wire.create_context import LEASE_HANDLE, LEASE_READ, LEASE_WRITE
from ksmbd.wire.negotiate import AES_256_GCM, AES_GMAC

OPENS_KEPT = next(column for column in OPENS if column.title == "Kept")
FIGURES = PoolFigures(2, 1, 1, 0, 3, 1, 32)


def server() -> Any:
    connection = SimpleNamespace(
        number=3, peer="192.0.2.5", dialect=0x0311, sessions={}, requests={5: None},
        async_commands={1: None, 2: None}, creation_time=90.0, lock=threading.Lock(),
        transport=SimpleNamespace(local="192.0.2.1"),
    )  # fmt: skip
    signer = SimpleNamespace(algorithm=AES_GMAC)
    session = SimpleNamespace(
        session_id=0x1F, account="alice", is_guest=False, is_anonymous=False,
        state=SessionState.VALID, connection=connection, trees={}, opens={},
        signer=signer, channels={3: SimpleNamespace(connection=connection, signer=signer)},
        signing_required=True, encrypt_data=False, creation_time=95.0, lock=threading.Lock(),
        sealer=SimpleNamespace(cipher=AES_256_GCM), was_signed=False, was_sealed=False,
    )  # fmt: skip
    connection.sessions[0x1F] = session
    share = SimpleNamespace(name="media")
    tree = SimpleNamespace(tree_id=1, session=session, share=share, writable=True,
                           encrypt_data=False, creation_time=96.0)  # fmt: skip
    session.trees[1] = tree
    open = SimpleNamespace(
        volatile_id=0x77, session=session, tree=tree, path="a/b", is_directory=False, pipe=None,
        granted_access=0x120089, oplock_level=9, creation_time=97.0, holder=None, inode=None,
        durable=None,
    )  # fmt: skip
    session.opens[0x77] = open
    client = SimpleNamespace(
        connection=connection,
        transport=SimpleNamespace(local="192.0.2.1", slow=False, traffic=lambda: (70, 80)),
        reader=SimpleNamespace(frames=44),
    )
    made = SimpleNamespace(
        lock=threading.Lock(), sessions={0x1F: session}, start_time=80.0, clock=lambda: 100.0,
        opens=SimpleNamespace(all=lambda: [open]),
    )  # fmt: skip
    return made, client


def test_every_table_has_its_row_and_all_is_json() -> None:
    made, client = server()
    row = json.loads(json.dumps(report(made, [client], FIGURES, direct=True)))
    assert row["pool"] == {**FIGURES._asdict(), "direct_dispatch": True}
    assert row["connections"][0]["dialect"] == "3.1.1"
    assert row["connections"][0]["pending"] == 2
    assert (
        row["sessions"][0] | {"id": "0x1f", "account": "alice", "state": "valid"}
        == row["sessions"][0]
    )
    assert row["trees"][0]["share"] == "media"
    assert row["opens"][0]["access"] == "0x00120089"
    assert row["open_count"] == 1


def test_every_channel_has_a_row_though_the_first_connection_is_gone() -> None:
    made, client = server()
    session = made.sessions[0x1F]
    channel = session.channels.pop(3)
    for number, peer in ((5, "198.51.100.7"), (6, "192.0.2.5")):
        other = SimpleNamespace(**{**vars(channel.connection), "number": number, "peer": peer})
        session.channels[number] = SimpleNamespace(connection=other, signer=session.signer)
    row = report(made, [client], FIGURES, direct=True)
    assert (row["sessions"][0]["connection"], row["sessions"][0]["channels"]) == (5, 2)
    told = [(c["connection"], c["peer"], c["local"], c["signed"]) for c in row["channels"]]
    assert told == [
        (5, "198.51.100.7", "192.0.2.1", "AES-128-GMAC"),
        (6, "192.0.2.5", "192.0.2.1", "AES-128-GMAC"),
    ]
    head = {"version": "1", "state": "running", "port": 445, "mountd": True}
    assert "Channels: 2" in render(head | row)


def test_ksmbd_control_can_show_it() -> None:
    made, client = server()
    head = {"version": "1", "state": "running", "port": 445, "mountd": True}
    text = render(head | report(made, [client], FIGURES, direct=True))
    for expected in ("up 20 s", "192.0.2.5  3.1.1", "0x1f", "media", "a/b"):
        assert expected in text


def test_a_connection_that_has_not_negotiated_has_no_dialect() -> None:
    made, client = server()
    client.connection.dialect = 0
    assert report(made, [client], FIGURES, direct=True)["connections"][0]["dialect"] == (
        "not negotiated"
    )


@pytest.mark.parametrize(
    ("changes", "signed", "sealed"),
    [
        ({"signing_required": False}, "", ""),
        ({"signing_required": True}, "AES-128-GMAC", ""),
        ({"signing_required": False, "was_signed": True}, "AES-128-GMAC", ""),
        ({"signing_required": True, "encrypt_data": True}, "", "AES-256-GCM"),
        ({"signing_required": True, "was_sealed": True}, "", "AES-256-GCM"),
        ({"was_signed": True, "was_sealed": True}, "AES-128-GMAC", "AES-256-GCM"),
        ({"signer": None, "sealer": None}, "", ""),
    ],
)
def test_it_says_what_a_session_is_signed_and_sealed_with(
    changes: dict[str, Any], signed: str, sealed: str
) -> None:
    made, client = server()
    vars(made.sessions[0x1F]).update(changes)
    row = report(made, [client], FIGURES, direct=True)["sessions"][0]
    assert (row["dialect"], row["signed"], row["sealed"]) == ("3.1.1", signed, sealed)


@pytest.mark.parametrize(
    ("kind", "level", "text"),
    [
        (Kind.OPLOCK, LEASE_READ, "level II"),
        (Kind.OPLOCK, LEASE_READ | LEASE_WRITE, "exclusive"),
        (Kind.OPLOCK, LEASE_READ | LEASE_WRITE | LEASE_HANDLE, "batch"),
        (Kind.LEASE, LEASE_READ | LEASE_HANDLE, "lease RH"),
        (Kind.LEASE, 0, ""),
    ],
)
def test_it_says_what_a_client_caches(kind: Kind, level: int, text: str) -> None:
    made, client = server()
    made.opens.all()[0].holder = SimpleNamespace(kind=kind, level=level)
    assert report(made, [client], FIGURES, direct=True)["opens"][0]["caching"] == text


def test_it_lists_byte_range_locks() -> None:
    made, client = server()
    open = made.opens.all()[0]
    locks = SimpleNamespace(of=lambda owner, limit: [(16, 8, True)][:limit])
    open.inode = SimpleNamespace(lock=threading.Lock(), locks=locks)
    assert report(made, [client], FIGURES, direct=True)["locks"] == [
        {"open": "0x77", "account": "alice", "share": "media", "path": "a/b",
         "offset": 16, "length": 8, "exclusive": True},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("durable", "said"),
    [
        (None, "-"),
        ((False, False, False, False), "-"),
        ((True, False, False, True), "durable, client away"),
        ((False, True, False, False), "resilient"),
        ((True, True, True, True), "persistent, client away"),
    ],
)
def test_it_is_told_which_opens_wait_for_their_client(
    durable: tuple[bool, ...] | None, said: str
) -> None:
    made, client = server()
    (open,) = made.opens.all()
    if durable is not None:
        granted, resilient, persistent, away = durable
        open.durable = SimpleNamespace(
            granted=granted, resilient=resilient, persistent=persistent, away=away
        )
    (row,) = report(made, [client], FIGURES, direct=True)["opens"]
    assert OPENS_KEPT.text(row) == said
