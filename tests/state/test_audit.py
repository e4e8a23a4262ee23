"""Audit ACEs through the engine: ksmbd/state/audit.py."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ksmbd.vfs import acl
from ksmbd.vfs.sid import EVERYONE, GUESTS, Domain
from ksmbd.wire import ipc
from ksmbd.wire.access import (
    FILE_ADD_FILE,
    FILE_ALL_ACCESS,
    FILE_DIRECTORY_FILE,
    FILE_GENERIC_READ,
    FILE_NON_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_READ_DATA,
    FILE_TRAVERSE,
    FILE_WRITE_DATA,
    GENERIC_READ,
    MAXIMUM_ALLOWED,
)
from ksmbd.wire.create import OPLOCK_BATCH
from ksmbd.wire.security import (
    CONTAINER_INHERIT,
    DACL_SECURITY_INFORMATION,
    FAILED_ACCESS,
    INHERIT_ONLY,
    OBJECT_INHERIT,
    SACL_PRESENT,
    SACL_SECURITY_INFORMATION,
    SUCCESSFUL_ACCESS,
    SYSTEM_AUDIT,
    Ace,
    Acl,
)
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, ready
from tests.support.descriptors import allow, with_dacl
from tests.support.engine import Engine, give_to_joe
from tests.support.mountd import DISK, User, share

BOTH = SUCCESSFUL_ACCESS | FAILED_ACCESS
Records = Callable[[], list[dict[str, Any]]]


class Opened:
    def __init__(self, fd: int) -> None:
        self.fd = fd


def guarded(folder: Path, *aces: Ace) -> Client:
    """joe on a share with a file that everybody may read, and what its SACL asks for."""
    path = folder / "file"
    path.write_bytes(b"")
    fd = os.open(path, os.O_RDWR)
    sd = with_dacl(allow(EVERYONE, FILE_GENERIC_READ), control=SACL_PRESENT)._replace(
        sacl=Acl(aces)
    )
    info = DACL_SECURITY_INFORMATION | SACL_SECURITY_INFORMATION
    acl.store(Opened(fd), sd, info, Domain((11, 22, 33)), acl.Keep.STORED)
    os.close(fd)
    return client_of(folder)


def audited_folder(folder: Path, *aces: Ace, mask: int = FILE_ALL_ACCESS) -> Client:
    """joe on a share with the folder "in", where everybody has *mask*, and its SACL."""
    path = folder / "in"
    path.mkdir()
    give_to_joe(path)
    fd = os.open(path, os.O_RDONLY)
    everything = allow(EVERYONE, mask, OBJECT_INHERIT | CONTAINER_INHERIT)
    sd = with_dacl(everything, control=SACL_PRESENT)._replace(sacl=Acl(aces))
    info = DACL_SECURITY_INFORMATION | SACL_SECURITY_INFORMATION
    acl.store(Opened(fd), sd, info, Domain((11, 22, 33)), acl.Keep.STORED)
    os.close(fd)
    return client_of(folder)


def client_of(folder: Path, flags: int = ipc.SHARE_ACL_XATTR, **user: int) -> Client:
    shares = [share("data", str(folder), DISK | flags)]
    return ready(Engine(folder, users=[User("joe", **user)], shares=shares))


def opened(client: Client, access: int) -> NtStatus:
    frame = client.frames.create("file", desired_access=access, create_disposition=FILE_OPEN)
    return client.status(frame)


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Records:
    caplog.set_level(logging.INFO, "ksmbd.audit")

    def found() -> list[dict[str, Any]]:
        lines = [r.getMessage() for r in caplog.records if r.name == "ksmbd.audit"]
        caplog.clear()
        return [json.loads(line) for line in lines]

    return found


def test_what_an_ace_asks_for_is_written_down(folder: Path, records: Records) -> None:
    client = guarded(folder, Ace(SYSTEM_AUDIT, BOTH, FILE_READ_DATA | FILE_WRITE_DATA, EVERYONE))
    assert opened(client, FILE_READ_DATA) is NtStatus.SUCCESS
    (granted,) = records()
    sid = granted.pop("sid")
    assert granted == {
        "event": "access",
        "outcome": "granted",
        "user": "joe",
        "share": "data",
        "path": "file",
        "access": "0x1",
        "aces": [{"sid": "S-1-1-0", "mask": "0x3"}],
    }
    assert sid.startswith("S-1-")
    assert opened(client, FILE_WRITE_DATA) is NtStatus.ACCESS_DENIED
    (denied,) = records()
    assert (denied["outcome"], denied["access"], denied["sid"]) == ("denied", "0x2", sid)


@pytest.mark.parametrize(
    ("ace", "outcomes"),
    [
        (Ace(SYSTEM_AUDIT, SUCCESSFUL_ACCESS, 3, EVERYONE), ["granted"]),
        (Ace(SYSTEM_AUDIT, FAILED_ACCESS, 3, EVERYONE), ["denied"]),
        (Ace(SYSTEM_AUDIT, BOTH, FILE_WRITE_DATA, EVERYONE), ["denied"]),
        (Ace(SYSTEM_AUDIT, BOTH, GENERIC_READ, EVERYONE), ["granted"]),
        (Ace(SYSTEM_AUDIT, BOTH, 3, GUESTS), []),
        (Ace(SYSTEM_AUDIT, BOTH | INHERIT_ONLY, 3, EVERYONE), []),
        (Ace(SYSTEM_AUDIT, 0, 3, EVERYONE), []),
    ],
)
def test_an_ace_says_what_of_whom(
    folder: Path, records: Records, ace: Ace, outcomes: list[str]
) -> None:
    client = guarded(folder, ace)
    opened(client, FILE_READ_DATA)
    opened(client, FILE_WRITE_DATA)
    assert [record["outcome"] for record in records()] == outcomes


def test_what_maximum_allowed_gave_is_what_counts(folder: Path, records: Records) -> None:
    client = guarded(folder, Ace(SYSTEM_AUDIT, BOTH, FILE_READ_DATA, EVERYONE))
    assert opened(client, MAXIMUM_ALLOWED) is NtStatus.SUCCESS
    (granted,) = records()
    assert int(granted["access"], 16) & FILE_READ_DATA
    assert not int(granted["access"], 16) & MAXIMUM_ALLOWED


def test_one_line_holds_only_so_many_aces(folder: Path, records: Records) -> None:
    client = guarded(folder, *[Ace(SYSTEM_AUDIT, BOTH, 1, EVERYONE)] * 100)
    opened(client, FILE_READ_DATA)
    (granted,) = records()
    assert len(granted["aces"]) == 16


def test_where_no_descriptors_are_stored_nothing_is_written(folder: Path, records: Records) -> None:
    guarded(folder, Ace(SYSTEM_AUDIT, BOTH, 3, EVERYONE))
    give_to_joe(folder / "file")
    assert opened(client_of(folder, 0), FILE_READ_DATA) is NtStatus.SUCCESS
    assert records() == []


@pytest.mark.parametrize("options", [FILE_DIRECTORY_FILE, FILE_NON_DIRECTORY_FILE])
def test_a_new_file_is_told_of_at_the_open_that_makes_it(
    folder: Path, records: Records, options: int
) -> None:
    flags = BOTH | INHERIT_ONLY | OBJECT_INHERIT | CONTAINER_INHERIT
    client = audited_folder(folder, Ace(SYSTEM_AUDIT, flags, FILE_WRITE_DATA, EVERYONE))
    frame = client.frames.create(
        r"in\new", desired_access=FILE_READ_DATA | FILE_WRITE_DATA, create_options=options
    )
    assert client.status(frame) is NtStatus.SUCCESS
    (granted,) = records()
    assert (granted["outcome"], granted["path"]) == ("granted", "in/new")
    assert granted["access"] == "0x3"


def test_a_new_file_without_a_right_that_is_asked_about_is_not_told_of(
    folder: Path, records: Records
) -> None:
    ace = Ace(SYSTEM_AUDIT, BOTH | INHERIT_ONLY | OBJECT_INHERIT, FILE_WRITE_DATA, EVERYONE)
    client = audited_folder(folder, ace)
    client.open(r"in\new", desired_access=FILE_READ_DATA)
    client.open(r"in\folder", create_options=FILE_DIRECTORY_FILE)  # it inherits none of that
    assert records() == []


def test_a_file_that_may_not_be_made_is_told_of_by_the_folder(
    folder: Path, records: Records
) -> None:
    aces = (
        Ace(SYSTEM_AUDIT, FAILED_ACCESS, FILE_ADD_FILE, EVERYONE),
        Ace(SYSTEM_AUDIT, BOTH | INHERIT_ONLY | OBJECT_INHERIT, FILE_ALL_ACCESS, EVERYONE),
    )
    client = audited_folder(folder, *aces, mask=FILE_GENERIC_READ | FILE_TRAVERSE)
    assert client.status(client.frames.create(r"in\new")) is NtStatus.ACCESS_DENIED
    (denied,) = records()
    assert (denied["outcome"], denied["path"], denied["access"]) == ("denied", "in", "0x2")


def test_a_file_that_is_not_shared_was_granted_by_its_descriptor(
    folder: Path, records: Records
) -> None:
    client = guarded(folder, Ace(SYSTEM_AUDIT, BOTH, FILE_READ_DATA, EVERYONE))
    frame = client.frames.create("file", desired_access=FILE_READ_DATA, share_access=0)
    assert client.status(frame) is NtStatus.SUCCESS
    assert opened(client, FILE_READ_DATA) is NtStatus.SHARING_VIOLATION
    assert [record["outcome"] for record in records()] == ["granted", "granted"]


def test_an_open_that_waits_is_told_of_once(folder: Path, records: Records) -> None:
    client = guarded(folder, Ace(SYSTEM_AUDIT, BOTH, FILE_READ_DATA, EVERYONE))
    frame = client.frames.create(
        "file", desired_access=FILE_READ_DATA, requested_oplock_level=OPLOCK_BATCH
    )
    first = client.file(client.call(frame))
    assert len(records()) == 1
    other = ready(client.engine)
    other.pend(other.frames.create("file", desired_access=FILE_READ_DATA))
    assert records() == []
    client.call(first.frames.close())
    (answer,) = other.receive()
    assert answer.status is NtStatus.SUCCESS
    (granted,) = records()
    assert granted["outcome"] == "granted"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is privileged")
def test_who_may_do_everything_is_heard_of_too(folder: Path, records: Records) -> None:
    guarded(folder, Ace(SYSTEM_AUDIT, BOTH, FILE_WRITE_DATA, EVERYONE))
    assert opened(client_of(folder, uid=0, gid=0), FILE_WRITE_DATA) is NtStatus.SUCCESS
    (granted,) = records()
    assert granted["outcome"] == "granted"


def test_a_name_cannot_break_the_line(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ksmbd.audit")
    client = guarded(folder, Ace(SYSTEM_AUDIT, BOTH, FILE_READ_DATA, EVERYONE))
    (folder / "file").rename(folder / "a\u2028\u00e4")
    frame = client.frames.create(
        "a\u2028\u00e4", desired_access=FILE_READ_DATA, create_disposition=FILE_OPEN
    )
    assert client.status(frame) is NtStatus.SUCCESS
    (line,) = [r.getMessage() for r in caplog.records if r.name == "ksmbd.audit"]
    assert line.isascii()
    assert "\n" not in line
