"""commands/query_quota.py: who sees whose quota, and how a scan goes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from ksmbd.ipc.requests import TreeConnectReply
from ksmbd.wire import fs_info, ipc
from ksmbd.wire.access import (
    ATTR_ARCHIVE,
    ATTR_DIRECTORY,
    ATTR_HIDDEN,
    ATTR_SYSTEM,
    FILE_CREATE,
    FILE_DELETE_ON_CLOSE,
    FILE_NON_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_OVERWRITE_IF,
    GENERIC_ALL,
)
from ksmbd.wire.create import CreateResponse
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.fs_info import FsInfo
from ksmbd.wire.ipc import TreeStatus
from ksmbd.wire.query_info import INFO_FILESYSTEM, INFO_QUOTA, INFO_SECURITY
from ksmbd.wire.quota import NO_LIMIT, QuotaEntry, pack_query, unpack_entries
from ksmbd.wire.security import Sid
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.frames import Frame
from tests.support.mountd import share
from tests.support.quotas import MIB, Kernel, kernel

__all__ = ["kernel"]  # a fixture

QUOTAS = "$Extend\\$Quota:$Q:$INDEX_ALLOCATION"


def administrator(engine: Engine) -> Client:
    """One whose tree connect mountd says to be that."""
    flags = ipc.TREE_WRITABLE | ipc.TREE_ADMIN
    engine.mountd.decisions["data"] = TreeConnectReply(TreeStatus.OK, flags)
    return ready(engine)


def own(engine: Engine) -> int:
    """Whose quota the engine's user has: a server that is not root makes files of its own."""
    return os.geteuid() or engine.mountd.users["joe"].uid


def asking(file: File, query: bytes, length: int = 4096) -> Frame:
    return file.frames.query_info(0, query, info_type=INFO_QUOTA, output_buffer_length=length)


def told(client: Client, file: File, query: bytes, length: int = 4096) -> list[QuotaEntry]:
    return unpack_entries(client.call(asking(file, query, length)).data)


def sids(engine: Engine, *uids: int) -> list[Sid]:
    return [engine.server.domain.uid_to_sid(uid) for uid in uids]


def whose(entries: Iterable[QuotaEntry]) -> list[Sid]:
    return [entry.sid for entry in entries]


# -- whose ------------------------------------------------------------------------------


def test_everybody_sees_their_own(client: Client, engine: Engine, kernel: Kernel) -> None:
    me = own(engine)
    kernel.users = {me: (2048, 1024, 12345), me + 1: (0, 0, 1)}
    file = client.open("")
    [mine] = sids(engine, me)
    expected = [QuotaEntry(mine, 12345, MIB, 2 * MIB)]
    assert told(client, file, pack_query([mine])) == expected
    assert told(client, file, pack_query(restart=True)) == expected
    assert client.status(asking(file, pack_query())) is NtStatus.NO_MORE_ENTRIES
    frame = asking(file, pack_query(sids(engine, me, me + 1)))
    assert client.status(frame) is NtStatus.ACCESS_DENIED


def test_administrators_see_everybody(engine: Engine, kernel: Kernel) -> None:
    client = administrator(engine)
    kernel.users = {uid: (0, 0, uid) for uid in (5000, 5002, 5001)}
    file = client.open("")
    found = told(client, file, pack_query(restart=True))
    assert found == [
        QuotaEntry(s, uid, NO_LIMIT, NO_LIMIT)
        for uid, s in zip((5000, 5001, 5002), sids(engine, 5000, 5001, 5002), strict=True)
    ]
    [unknown] = sids(engine, 6000)
    assert told(client, file, pack_query([unknown])) == [QuotaEntry(unknown, 0, NO_LIMIT, NO_LIMIT)]
    stranger = Sid.parse("S-1-5-21-9-9-9-1000")
    assert client.status(asking(file, pack_query([stranger]))) is NtStatus.NO_SUCH_USER


@pytest.mark.parametrize("flags", [ipc.TREE_ADMIN | ipc.TREE_GUEST, 0])
def test_a_guest_administers_nothing(engine: Engine, kernel: Kernel, flags: int) -> None:
    decision = TreeConnectReply(TreeStatus.OK, ipc.TREE_WRITABLE | flags)
    engine.mountd.decisions["data"] = decision
    client = ready(engine)
    frame = asking(client.open(""), pack_query(sids(engine, own(engine) + 1)))
    assert client.status(frame) is NtStatus.ACCESS_DENIED


# -- a scan ------------------------------------------------------------------------------


def test_a_scan_goes_on_until_it_ends(engine: Engine, kernel: Kernel) -> None:
    client = administrator(engine)
    kernel.users = dict.fromkeys(range(5000, 5050), (0, 0, 1))
    file = client.open("")
    every = sids(engine, *range(5000, 5050))
    found = whose(told(client, file, pack_query(restart=True), length=1000))
    assert 1 < len(found) < 50
    while (response := client.call(asking(file, pack_query(), 1000))).status is NtStatus.SUCCESS:
        found += whose(unpack_entries(response.data))
    assert (found, response.status) == (every, NtStatus.NO_MORE_ENTRIES)
    assert whose(told(client, file, pack_query(restart=True, single=True))) == every[:1]
    assert whose(told(client, file, pack_query(single=True))) == every[1:2]
    assert whose(told(client, file, pack_query(single=True, start=every[7]))) == every[7:8]
    assert whose(told(client, file, pack_query(single=True))) == every[8:9]
    other = client.open("")
    assert whose(told(client, other, pack_query(single=True))) == every[:1]


def test_an_entry_that_does_not_fit_is_not_passed_over(engine: Engine, kernel: Kernel) -> None:
    client = administrator(engine)
    kernel.users = {5000: (0, 0, 1)}
    file = client.open("")
    for query in (pack_query(restart=True), pack_query(sids(engine, 5000))):
        for length in (0, 40, 67):
            frame = asking(file, query, length)
            assert client.status(frame) is NtStatus.BUFFER_TOO_SMALL
    assert len(told(client, file, pack_query(), 68)) == 1


# -- what is refused -----------------------------------------------------------------------


def test_without_quotas_nothing_is_told(client: Client, kernel: Kernel) -> None:
    kernel.flags = 0
    frame = asking(client.open(""), pack_query(restart=True))
    assert client.status(frame) is NtStatus.NOT_SUPPORTED


@pytest.mark.parametrize("query", [b"", bytes(15), pack_query([Sid(5, 18)])[:-1]])
def test_what_is_no_query_is_refused(client: Client, kernel: Kernel, query: bytes) -> None:
    frame = asking(client.open(""), query)
    assert client.status(frame) is NtStatus.INVALID_PARAMETER


# -- the volume --------------------------------------------------------------------------


def volume(client: Client, info_class: int) -> bytes:
    frame = client.open("").frames.query_info(info_class, info_type=INFO_FILESYSTEM)
    return client.call(frame).data


@pytest.mark.parametrize(
    ("flags", "meant"),
    [(0, 0), (1, fs_info.QUOTA_TRACK), (3, fs_info.QUOTA_TRACK | fs_info.QUOTA_ENFORCE)],
)
def test_the_volume_says_whether_there_are_quotas(
    client: Client, kernel: Kernel, flags: int, meant: int
) -> None:
    kernel.flags = flags
    found = fs_info.FileFsControlInformation.unpack(volume(client, FsInfo.CONTROL))
    assert found == fs_info.FileFsControlInformation(file_system_control_flags=meant)
    attributes = fs_info.FileFsAttributeInformation.unpack(volume(client, FsInfo.ATTRIBUTE))
    advertised = attributes.file_system_attributes & fs_info.FS_VOLUME_QUOTAS
    assert bool(advertised) == bool(flags)


def test_the_volume_is_as_large_as_the_quota(
    client: Client, engine: Engine, kernel: Kernel
) -> None:
    kernel.users[own(engine)] = 8192, 0, 2 * MIB
    full = fs_info.FileFsFullSizeInformation.unpack(volume(client, FsInfo.FULL_SIZE))
    unit = full.sectors_per_allocation_unit * full.bytes_per_sector
    assert full.total_allocation_units * unit == 8 * MIB
    assert full.caller_available_allocation_units * unit == 6 * MIB
    assert full.actual_available_allocation_units * unit > 8 * MIB
    size = fs_info.FileFsSizeInformation.unpack(volume(client, FsInfo.SIZE))
    assert size.available_allocation_units * unit == 6 * MIB


# -- NTFS' file of them --------------------------------------------------------------------


def test_the_file_of_quotas_can_be_opened(client: Client, engine: Engine, kernel: Kernel) -> None:
    """As smbtorture's smb2.create.quota-fake-file has it; in any case, with streams or without."""
    me = own(engine)
    kernel.users[me] = 0, 0, 7
    shown = ATTR_HIDDEN | ATTR_SYSTEM | ATTR_DIRECTORY | ATTR_ARCHIVE
    for name in (QUOTAS, QUOTAS.lower()):
        file = client.open(name, create_disposition=FILE_OPEN)
        made = file.response.body(CreateResponse)
        times = made.creation_time, made.last_access_time, made.last_write_time, made.change_time
        assert (made.file_attributes, times) == (shown, (0, 0, 0, 0))
        assert whose(told(client, file, pack_query(restart=True))) == sids(engine, me)
    assert not os.listdir(engine.folder)


def test_a_share_without_streams_has_it_too(folder: Path, kernel: Kernel) -> None:
    engine = Engine(folder, shares=[share("data", str(folder), vfs_objects=("acl_xattr",))])
    ready(engine).open(QUOTAS, create_disposition=FILE_OPEN)


def test_it_serves_nothing_else(client: Client, engine: Engine) -> None:
    engine.make_file("secret")
    file = client.open(QUOTAS, create_disposition=FILE_OPEN, desired_access=GENERIC_ALL)
    for frame in (
        file.frames.query_directory(),
        file.frames.set_info(FileInfo.DISPOSITION, b"\1"),
        file.frames.set_info(FileInfo.BASIC, bytes(40)),
        file.frames.change_notify(),
        file.frames.query_info(0, info_type=INFO_SECURITY, additional_information=7),
    ):
        assert client.status(frame) is NtStatus.ACCESS_DENIED


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"create_disposition": FILE_CREATE}, NtStatus.OBJECT_NAME_COLLISION),
        ({"create_disposition": FILE_OVERWRITE_IF}, NtStatus.ACCESS_DENIED),
        ({"create_options": FILE_DELETE_ON_CLOSE}, NtStatus.ACCESS_DENIED),
        ({"create_options": FILE_NON_DIRECTORY_FILE}, NtStatus.FILE_IS_A_DIRECTORY),
    ],
)
def test_it_is_neither_made_nor_removed(
    client: Client, changes: dict[str, int], status: NtStatus
) -> None:
    frame = client.frames.create(QUOTAS, **{"create_disposition": FILE_OPEN, **changes})
    assert client.status(frame) is status


@pytest.mark.parametrize(
    "name", ["file:$Q:$INDEX_ALLOCATION", "$Extend\\$Quota:$O:$INDEX_ALLOCATION"]
)
def test_no_other_list_is_there(client: Client, name: str) -> None:
    frame = client.frames.create(name, create_disposition=FILE_OPEN)
    assert client.status(frame) is NtStatus.OBJECT_NAME_INVALID
