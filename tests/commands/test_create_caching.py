"""commands/create_caching.py through the engine: what a CREATE asks for, and what it can have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ksmbd.state.inode import Inode
from ksmbd.wire import create_context as wire
from ksmbd.wire import ipc
from ksmbd.wire.access import FILE_DIRECTORY_FILE
from ksmbd.wire.create import (
    OPLOCK_BATCH,
    OPLOCK_EXCLUSIVE,
    OPLOCK_II,
    OPLOCK_LEASE,
    OPLOCK_NONE,
    CreateResponse,
)
from ksmbd.wire.negotiate import CAP_DIRECTORY_LEASING, SMB_2_0_2, SMB_2_1, SMB_3_1_1
from ksmbd.wire.status import NtStatus
from tests.support.client import DIALECTS, Client
from tests.support.engine import Engine
from tests.support.mountd import DISK, PASSWORD, share

RQLS = wire.REQUEST_LEASE
KEY = bytes(range(1, 17))
PARENT = bytes(range(17, 33))
RWH = wire.LEASE_READ | wire.LEASE_WRITE | wire.LEASE_HANDLE
RH = wire.LEASE_READ | wire.LEASE_HANDLE
V1 = (RQLS, wire.RequestLease(lease_key=KEY, lease_state=RWH).pack())
V2 = (RQLS, wire.RequestLeaseV2(lease_key=KEY, lease_state=RWH, epoch=5).pack())


def connected(engine: Engine, *dialects: int, capabilities: int = CAP_DIRECTORY_LEASING) -> Client:
    client = Client(engine)
    client.negotiate(*dialects, capabilities=capabilities)
    client.log_on("joe", PASSWORD)
    client.connect()
    return client


def create(client: Client, *contexts: tuple[bytes, bytes], **changes: Any) -> CreateResponse:
    return client.ok(client.frames.create("new", contexts=contexts, **changes), CreateResponse)


def lease(client: Client, context: tuple[bytes, bytes], **changes: Any) -> tuple[int, bytes | None]:
    """The level and the answering context, for a CREATE that asks for a lease."""
    changes = {"requested_oplock_level": OPLOCK_LEASE} | changes
    response = client.call(client.frames.create("new", contexts=[context], **changes))
    assert response.status is NtStatus.SUCCESS
    body = response.body(CreateResponse)
    found = response.contexts() if body.create_contexts_length else {}
    return body.oplock_level, found.get(RQLS)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("level", [OPLOCK_NONE, OPLOCK_II, OPLOCK_EXCLUSIVE, OPLOCK_BATCH])
def test_oplocks_are_granted_in_every_dialect(engine: Engine, dialect: int, level: int) -> None:
    client = connected(engine, dialect)
    assert create(client, requested_oplock_level=level).oplock_level == level


def test_an_unknown_oplock_level_is_none(client: Client) -> None:
    assert create(client, requested_oplock_level=0x10).oplock_level == OPLOCK_NONE


def test_a_lease_of_version_1_is_answered_in_kind(engine: Engine) -> None:
    level, answer = lease(connected(engine, SMB_2_1), V1)
    assert level == OPLOCK_LEASE
    assert answer == V1[1]


def test_a_lease_of_version_2_counts_on_from_the_clients_epoch(engine: Engine) -> None:
    level, answer = lease(connected(engine), V2)
    assert level == OPLOCK_LEASE
    expected = wire.RequestLeaseV2(lease_key=KEY, lease_state=RWH, epoch=6)
    assert answer == expected.pack()


def test_the_parents_key_comes_back_if_it_was_said_to_be_one(engine: Engine) -> None:
    client = connected(engine)
    asked = wire.RequestLeaseV2(lease_key=KEY, lease_state=RWH, parent_lease_key=PARENT)
    _, answer = lease(client, (RQLS, asked.pack()))
    assert answer is not None
    assert wire.RequestLeaseV2.unpack(answer).parent_lease_key == bytes(16)
    asked.lease_key, asked.lease_flags = PARENT, wire.LEASE_PARENT_KEY_SET
    response = client.call(
        client.frames.create(
            "other", contexts=[(RQLS, asked.pack())], requested_oplock_level=OPLOCK_LEASE
        )
    )
    found = wire.RequestLeaseV2.unpack(response.contexts()[RQLS])
    assert found.parent_lease_key == PARENT
    assert found.lease_flags == wire.LEASE_PARENT_KEY_SET


@pytest.mark.parametrize(("dialect", "context"), [(SMB_2_0_2, V1), (SMB_2_1, V2)])
def test_a_lease_that_the_dialect_has_not_is_ignored(
    engine: Engine, dialect: int, context: tuple[bytes, bytes]
) -> None:
    assert lease(connected(engine, dialect), context) == (OPLOCK_NONE, None)


def test_a_lease_context_without_the_level_that_says_so_is_ignored(engine: Engine) -> None:
    client = connected(engine)
    assert lease(client, V2, requested_oplock_level=OPLOCK_BATCH) == (OPLOCK_BATCH, None)


def test_the_level_without_a_context_asks_for_nothing(client: Client) -> None:
    assert create(client, requested_oplock_level=OPLOCK_LEASE).oplock_level == OPLOCK_NONE


@pytest.mark.parametrize("size", [0, 1, 31, 33, 51, 53])
def test_a_lease_context_of_another_length_is_refused(client: Client, size: int) -> None:
    frame = client.frames.create(
        "new", contexts=[(RQLS, bytes(size))], requested_oplock_level=OPLOCK_LEASE
    )
    assert client.status(frame) is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize(
    ("dialect", "capabilities", "context", "level"),
    [
        (SMB_3_1_1, CAP_DIRECTORY_LEASING, V2, OPLOCK_LEASE),
        (SMB_3_1_1, CAP_DIRECTORY_LEASING, V1, OPLOCK_NONE),
        (SMB_3_1_1, 0, V2, OPLOCK_NONE),
        (SMB_2_1, CAP_DIRECTORY_LEASING, V1, OPLOCK_NONE),
    ],
)
def test_directories_are_leased_by_version_2_where_that_was_agreed_on(
    engine: Engine, dialect: int, capabilities: int, context: tuple[bytes, bytes], level: int
) -> None:
    client = connected(engine, dialect, capabilities=capabilities)
    found, answer = lease(client, context, create_options=FILE_DIRECTORY_FILE)
    assert found == level
    if answer is not None:
        assert wire.RequestLeaseV2.unpack(answer).lease_state == RH


def test_a_key_that_stands_for_another_file_makes_none(engine: Engine, folder: Path) -> None:
    client = connected(engine)
    lease(client, V2)
    frame = client.frames.create("second", contexts=[V2], requested_oplock_level=OPLOCK_LEASE)
    assert client.status(frame) is NtStatus.INVALID_PARAMETER
    assert not (folder / "second").exists()


def test_without_smb2_leases_there_are_oplocks_still(folder: Path) -> None:
    client = connected(Engine(folder, leases=False))
    assert lease(client, V2) == (OPLOCK_NONE, None)
    body = client.ok(
        client.frames.create("other", requested_oplock_level=OPLOCK_BATCH), CreateResponse
    )
    assert body.oplock_level == OPLOCK_BATCH


def test_a_share_without_oplocks_grants_nothing(folder: Path) -> None:
    shares = [share("data", str(folder), DISK & ~ipc.SHARE_OPLOCKS)]
    client = connected(Engine(folder, shares=shares))
    assert create(client, requested_oplock_level=OPLOCK_BATCH).oplock_level == OPLOCK_NONE
    assert lease(client, V2) == (OPLOCK_NONE, None)


# -- what the response tells of the file -------------------------------------------------


def grown_meanwhile(client: Client, monkeypatch: pytest.MonkeyPatch, level: int) -> CreateResponse:
    """The answer to an open of a file that somebody writes to after it was found."""
    path = client.engine.make_file("old", b"12345")
    inodes = client.engine.server.inodes
    hold = inodes.hold
    with path.open("ab", buffering=0) as local:

        def later(*args: Any, **kwargs: Any) -> Inode:
            local.write(b"67")
            return hold(*args, **kwargs)

        monkeypatch.setattr(inodes, "hold", later)
        return client.ok(client.frames.open("old", requested_oplock_level=level), CreateResponse)


@pytest.mark.parametrize("level", [OPLOCK_II, OPLOCK_BATCH])
def test_who_may_cache_a_file_is_told_what_it_is_since_then(
    client: Client, monkeypatch: pytest.MonkeyPatch, level: int
) -> None:
    response = grown_meanwhile(client, monkeypatch, level)
    assert response.oplock_level == level
    assert response.end_of_file == 7


def test_who_caches_nothing_is_told_what_was_found(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert grown_meanwhile(client, monkeypatch, OPLOCK_NONE).end_of_file == 5
    assert (client.engine.folder / "old").stat().st_size == 7
