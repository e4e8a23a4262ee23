"""commands/set_quota.py: who limits whom, and what a limit is."""

from __future__ import annotations

import pytest

from ksmbd.ipc.requests import TreeConnectReply
from ksmbd.wire import ipc
from ksmbd.wire.access import FILE_OPEN, FILE_READ_ATTRIBUTES
from ksmbd.wire.ipc import TreeStatus
from ksmbd.wire.query_info import INFO_QUOTA
from ksmbd.wire.quota import NO_ENTRY, NO_LIMIT, QuotaEntry, pack_entries
from ksmbd.wire.security import Sid
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.frames import Frame
from tests.support.quotas import MIB, Kernel, kernel

__all__ = ["kernel"]  # a fixture

UID = 5000


def connected(engine: Engine, flags: int = ipc.TREE_WRITABLE | ipc.TREE_ADMIN) -> Client:
    engine.mountd.decisions["data"] = TreeConnectReply(TreeStatus.OK, flags)
    return ready(engine)


def setting(file: File, *entries: QuotaEntry) -> Frame:
    return file.frames.set_info(0, pack_entries(entries)[0], info_type=INFO_QUOTA)


def limits(engine: Engine, threshold: int, limit: int, uid: int = UID) -> QuotaEntry:
    return QuotaEntry(engine.server.domain.uid_to_sid(uid), 0, threshold, limit)


@pytest.mark.parametrize(
    ("threshold", "limit", "kept"),
    [
        (MIB, 2 * MIB, (2048, 1024)),
        (1, 1025, (2, 1)),
        (NO_LIMIT, MIB, (1024, 0)),
        (NO_LIMIT, NO_LIMIT, (0, 0)),
        (0, 0, (0, 0)),
        (NO_LIMIT, NO_ENTRY, (0, 0)),
    ],
)
def test_an_administrator_limits_users(
    engine: Engine, kernel: Kernel, threshold: int, limit: int, kept: tuple[int, int]
) -> None:
    kernel.users = {UID: (7, 7, 12345)}
    client = connected(engine)
    entries = (limits(engine, threshold, limit), limits(engine, MIB, MIB, UID + 1))
    assert client.status(setting(client.open(""), *entries)) is NtStatus.SUCCESS
    assert kernel.users == {UID: (*kept, 12345), UID + 1: (1024, 1024, 0)}


@pytest.mark.parametrize(
    "flags",
    [ipc.TREE_WRITABLE, ipc.TREE_ADMIN, ipc.TREE_WRITABLE | ipc.TREE_ADMIN | ipc.TREE_GUEST],
)
def test_nobody_else_does(engine: Engine, kernel: Kernel, flags: int) -> None:
    client = connected(engine, flags)
    file = client.open("", create_disposition=FILE_OPEN, desired_access=FILE_READ_ATTRIBUTES)
    assert client.status(setting(file, limits(engine, 1, 1))) is NtStatus.ACCESS_DENIED
    assert kernel.users == {}


def test_nobody_is_limited_unless_all_are_known(engine: Engine, kernel: Kernel) -> None:
    client = connected(engine)
    stranger = QuotaEntry(Sid.parse("S-1-5-21-9-9-9-1000"), 0, 1, 1)
    frame = setting(client.open(""), limits(engine, 1, 1), stranger)
    assert client.status(frame) is NtStatus.NO_SUCH_USER
    assert kernel.users == {}


def test_what_is_no_limit_is_refused(engine: Engine, kernel: Kernel) -> None:
    client = connected(engine)
    file = client.open("")
    for frame in (
        setting(file, limits(engine, 1, 1 << 61)),
        setting(file, limits(engine, 1, 1), limits(engine, 1, 1 << 61, UID + 1)),
        file.frames.set_info(0, bytes(39), info_type=INFO_QUOTA),
    ):
        assert client.status(frame) is NtStatus.INVALID_PARAMETER
    assert kernel.users == {}


def test_without_quotas_nothing_is_set(engine: Engine, kernel: Kernel) -> None:
    kernel.flags = 0
    client = connected(engine)
    frame = setting(client.open(""), limits(engine, 1, 1))
    assert client.status(frame) is NtStatus.NOT_SUPPORTED
