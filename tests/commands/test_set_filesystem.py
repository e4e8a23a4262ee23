"""commands/set_filesystem.py: the limits of users who are new, and who may set them."""

from __future__ import annotations

import pytest

from ksmbd.vfs.quota import DEFAULTS, OFF, ON, SET
from ksmbd.wire import fs_info, ipc
from ksmbd.wire.access import FILE_OPEN, FILE_READ_ATTRIBUTES
from ksmbd.wire.fs_info import NO_QUOTA, FileFsControlInformation, FsInfo
from ksmbd.wire.query_info import INFO_FILESYSTEM
from ksmbd.wire.quota import NO_LIMIT, pack_query
from ksmbd.wire.status import NtStatus
from tests.commands.test_query_quota import own, told
from tests.commands.test_set_quota import connected, limits, setting
from tests.support.client import Client, ready
from tests.support.engine import Engine
from tests.support.quotas import MIB, Kernel, kernel

__all__ = ["kernel"]  # a fixture

OK = NtStatus.SUCCESS
TRACK, ENFORCE = fs_info.QUOTA_TRACK, fs_info.QUOTA_ENFORCE


def control(client: Client) -> FileFsControlInformation:
    file = client.open("")
    frame = file.frames.query_info(FsInfo.CONTROL, info_type=INFO_FILESYSTEM)
    return FileFsControlInformation.unpack(client.call(frame).data)


def set_control(
    client: Client, threshold: int = MIB, limit: int = 2 * MIB, flags: int = TRACK | ENFORCE
) -> NtStatus:
    asked = FileFsControlInformation(
        default_quota_threshold=threshold,
        default_quota_limit=limit,
        file_system_control_flags=flags,
    )
    file = client.open("", desired_access=FILE_READ_ATTRIBUTES, create_disposition=FILE_OPEN)
    frame = file.frames.set_info(FsInfo.CONTROL, asked.pack(), info_type=INFO_FILESYSTEM)
    return client.status(frame)


@pytest.mark.parametrize(
    ("threshold", "limit", "kept"),
    [
        (MIB, 2 * MIB, (MIB, 2 * MIB)),
        (NO_QUOTA, MIB, (NO_QUOTA, MIB)),
        (0, 0, (NO_QUOTA, NO_QUOTA)),
    ],
)
def test_default_limits_are_read_back(
    engine: Engine, kernel: Kernel, threshold: int, limit: int, kept: tuple[int, int]
) -> None:
    client = connected(engine)
    assert control(client).default_quota_limit == NO_QUOTA
    assert set_control(client, threshold, limit) is OK
    now = control(client)
    assert (now.default_quota_threshold, now.default_quota_limit) == kept


def test_enforcement_is_switched(engine: Engine, kernel: Kernel) -> None:
    client = connected(engine)
    for flags in (TRACK | ENFORCE, TRACK, TRACK, ENFORCE):
        assert set_control(client, flags=flags) is OK
        assert control(client).file_system_control_flags == flags | TRACK
    assert [command for command in kernel.asked if command in (ON, OFF)] == [OFF, ON]


LOG = 0x10  # of who exceeds the threshold


@pytest.mark.parametrize("flags", [0, LOG | TRACK, fs_info.CONTENT_INDEX_DISABLED | TRACK])
def test_what_cannot_be_done_is_not_taken(engine: Engine, kernel: Kernel, flags: int) -> None:
    assert set_control(connected(engine), flags=flags) is NtStatus.NOT_SUPPORTED
    assert kernel.users == {}


def test_a_limit_that_no_disk_has_is_refused(engine: Engine, kernel: Kernel) -> None:
    assert set_control(connected(engine), limit=1 << 61) is NtStatus.INVALID_PARAMETER
    assert kernel.users == {}


def test_half_a_structure_is_refused(engine: Engine, kernel: Kernel) -> None:
    client = connected(engine)
    frame = client.open("").frames.set_info(FsInfo.CONTROL, bytes(47), info_type=INFO_FILESYSTEM)
    assert client.status(frame) is NtStatus.INFO_LENGTH_MISMATCH


def test_without_quotas_there_is_nothing_to_set(engine: Engine, kernel: Kernel) -> None:
    kernel.flags = 0
    assert set_control(connected(engine)) is NtStatus.NOT_SUPPORTED


@pytest.mark.parametrize("flags", [ipc.TREE_WRITABLE, ipc.TREE_ADMIN])
def test_who_may_not_set_them_is_refused(engine: Engine, kernel: Kernel, flags: int) -> None:
    assert set_control(connected(engine, flags)) is NtStatus.ACCESS_DENIED
    assert kernel.users == {}


def test_a_user_who_is_new_gets_the_defaults(engine: Engine, kernel: Kernel) -> None:
    kernel.users = {DEFAULTS: (2048, 1024, 5)}
    ready(engine)
    assert kernel.users[own(engine)] == (2048, 1024, 0)


def test_an_administrator_is_no_user_to_limit(engine: Engine, kernel: Kernel) -> None:
    kernel.users = {DEFAULTS: (2048, 1024, 5)}
    connected(engine)
    assert own(engine) not in kernel.users


def test_a_server_that_may_set_no_quotas_lets_users_in(
    engine: Engine, kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    kernel.users = {DEFAULTS: (2048, 1024, 5)}
    kernel.refused = SET
    ready(engine).open("file")
    assert "gets no default quota" in caplog.text


@pytest.mark.parametrize("before", [(0, 0, 1), (7, 0, 0), (0, 7, 0)])
def test_a_user_who_has_something_keeps_it(
    engine: Engine, kernel: Kernel, before: tuple[int, int, int]
) -> None:
    uid = own(engine)
    kernel.users = {DEFAULTS: (2048, 1024, 0), uid: before}
    ready(engine)
    assert kernel.users[uid] == before


def test_what_is_kept_for_root_is_no_limit_of_root_s(engine: Engine, kernel: Kernel) -> None:
    client = connected(engine)
    assert set_control(client) is OK
    assert client.status(setting(client.open(""), limits(engine, 1, 1, DEFAULTS))) is (
        NtStatus.ACCESS_DENIED
    )
    root = engine.server.domain.uid_to_sid(DEFAULTS)
    (shown,) = told(client, client.open(""), pack_query(sids=[root]))
    assert (shown.threshold, shown.limit) == (NO_LIMIT, NO_LIMIT)
