"""state/nfs_aces.py through the engine: the Unix mode as Macs read and set it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from ksmbd.ipc.requests import ShareConfig
from ksmbd.vfs.sid import EVERYONE
from ksmbd.wire import ipc
from ksmbd.wire.access import FILE_GENERIC_READ
from ksmbd.wire.query_info import INFO_SECURITY
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    ACCESS_DENIED,
    DACL_PRESENT,
    DACL_SECURITY_INFORMATION,
    OWNER_SECURITY_INFORMATION,
    SELF_RELATIVE,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from ksmbd.wire.status import NtStatus
from tests.support.apple import agree
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.fixtures import engine as engine
from tests.support.fixtures import folder as folder
from tests.support.mountd import DISK, share, unprivileged_id

DACL = DACL_SECURITY_INFORMATION
OK = NtStatus.SUCCESS
APPLE = DISK | ipc.SHARE_AAPL
READ_BY_ALL = Ace(ACCESS_ALLOWED, 0, FILE_GENERIC_READ, EVERYONE)


@pytest.fixture
def shares(folder: Path) -> list[ShareConfig]:
    return [
        share("data", str(folder), APPLE),
        share("stored", str(folder), APPLE | ipc.SHARE_ACL_XATTR),
        share("plain", str(folder)),
    ]


def mode_ace(mode: int) -> Ace:
    return Ace(ACCESS_DENIED, 0, 0, Sid(5, 88, 3, mode))


def told(client: Client, file: File, wanted: int = DACL) -> SecurityDescriptor:
    frame = file.frames.query_info(0, info_type=INFO_SECURITY, additional_information=wanted)
    return SecurityDescriptor.unpack(client.call(frame).data)


def aces(client: Client, file: File) -> list[Ace]:
    sd = told(client, file)
    assert sd.dacl is not None
    return list(sd.dacl.aces)


def setting(client: Client, file: File, entries: Sequence[Ace]) -> NtStatus:
    sd = SecurityDescriptor(SELF_RELATIVE | DACL_PRESENT, dacl=Acl(tuple(entries)))
    frame = file.frames.set_info(0, sd.pack(), info_type=INFO_SECURITY, additional_information=DACL)
    return client.status(frame)


def ours(entries: Sequence[Ace]) -> list[str]:
    return [str(ace.sid) for ace in entries if str(ace.sid).startswith("S-1-5-88-")]


def mode_of(engine: Engine) -> int:
    return (engine.folder / "file").stat().st_mode & 0o7777


def changed(entries: Sequence[Ace], mode: int) -> list[Ace]:
    """The list as it was told, with another mode, as a Mac sends it."""
    return [mode_ace(mode) if str(a.sid).startswith("S-1-5-88-3-") else a for a in entries]


@pytest.fixture
def path(engine: Engine) -> Path:
    made = engine.make_file("file", b"data")
    made.chmod(0o740)
    return made


def test_a_mac_is_told_mode_owner_and_group(engine: Engine, path: Path) -> None:
    client = agree(ready(engine))
    file = client.open("file")
    found = aces(client, file)
    user = unprivileged_id()
    expected = [f"S-1-5-88-3-{0o100740}", f"S-1-5-88-1-{user}", f"S-1-5-88-2-{user}"]
    assert ours(found) == expected
    assert all(ace.type == ACCESS_DENIED and not ace.mask for ace in found[-3:])
    assert told(client, file, OWNER_SECURITY_INFORMATION).dacl is None


def test_others_are_told_nothing_of_it(engine: Engine, path: Path) -> None:
    client = ready(engine)
    assert ours(aces(client, client.open("file"))) == []
    mac = agree(ready(engine))
    mac.connect("plain")
    assert ours(aces(mac, mac.open("file"))) == []


@pytest.mark.parametrize("name", ["data", "stored"])
def test_the_mode_is_changed_by_giving_the_list_back(engine: Engine, path: Path, name: str) -> None:
    client = agree(ready(engine, share=name))
    file = client.open("file")
    assert setting(client, file, changed(aces(client, file), 0o704)) is OK
    assert mode_of(engine) == 0o704
    assert ours(aces(client, file))[0] == f"S-1-5-88-3-{0o100704}"
    assert setting(client, file, [mode_ace(0o100700)]) is OK
    assert mode_of(engine) == 0o700


def test_only_the_permissions_are_set(engine: Engine, path: Path) -> None:
    path.chmod(0o1740)
    client = agree(ready(engine))
    assert setting(client, client.open("file"), [mode_ace(0o6755)]) is OK
    assert mode_of(engine) == 0o1755


def test_a_list_that_is_changed_is_set_and_the_mode_follows_it(engine: Engine, path: Path) -> None:
    """A mode that is as it was is not set again: the stored list would be lost by that."""
    client = agree(ready(engine, share="stored"))
    file = client.open("file")
    assert setting(client, file, [READ_BY_ALL, *aces(client, file)]) is OK
    assert mode_of(engine) & 0o004
    found = aces(client, file)
    assert found[0] == READ_BY_ALL
    assert len(ours(found)) == 3
    assert os.getxattr(path, "security.NTACL")
    plain = ready(engine, share="stored")
    assert ours(aces(plain, plain.open("file"))) == []


def test_no_entry_of_it_is_stored_however_many_are_sent(engine: Engine, path: Path) -> None:
    client = agree(ready(engine, share="stored"))
    file = client.open("file")
    extra = [Ace(ACCESS_DENIED, 0, 0, Sid(5, 88, kind, 27)) for kind in (1, 1, 2, 2)]
    assert setting(client, file, [READ_BY_ALL, *aces(client, file), *extra]) is OK
    assert len(ours(aces(client, file))) == 3


def test_a_list_of_nothing_is_not_meant(engine: Engine, path: Path) -> None:
    client = agree(ready(engine))
    file = client.open("file")
    before = aces(client, file)
    assert setting(client, file, []) is OK
    assert aces(client, file) == before
    plain = ready(engine)
    assert setting(plain, plain.open("file"), []) is OK
    assert mode_of(engine) & 0o044 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_who_does_not_own_the_file_does_not_set_its_mode(engine: Engine, path: Path) -> None:
    path.chmod(0o666)
    os.chown(path, 1001, 1001)
    client = agree(ready(engine))
    file = client.open("file", desired_access=0x0002_0001)
    assert setting(client, file, [mode_ace(0o777)]) is NtStatus.ACCESS_DENIED
    assert mode_of(engine) == 0o666
