"""commands/query_security.py: who may see which part of a descriptor."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ksmbd.vfs.sid import Domain
from ksmbd.wire.access import FILE_ALL_ACCESS, FILE_READ_DATA, READ_CONTROL
from ksmbd.wire.query_info import INFO_SECURITY
from ksmbd.wire.security import (
    ATTRIBUTE_SECURITY_INFORMATION,
    BACKUP_SECURITY_INFORMATION,
    DACL_SECURITY_INFORMATION,
    GROUP_SECURITY_INFORMATION,
    LABEL_SECURITY_INFORMATION,
    OWNER_SECURITY_INFORMATION,
    SACL_SECURITY_INFORMATION,
    SecurityDescriptor,
)
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.frames import Frame
from tests.support.mountd import unprivileged_id

OWNER, GROUP = OWNER_SECURITY_INFORMATION, GROUP_SECURITY_INFORMATION
DACL, SACL = DACL_SECURITY_INFORMATION, SACL_SECURITY_INFORMATION


def asking(file: File, wanted: int, length: int = 4096) -> Frame:
    return file.frames.query_info(
        0, info_type=INFO_SECURITY, additional_information=wanted, output_buffer_length=length
    )


def told(client: Client, file: File, wanted: int) -> SecurityDescriptor:
    response = client.call(asking(file, wanted))
    assert response.status is NtStatus.SUCCESS, response
    return SecurityDescriptor.unpack(response.data)


def test_each_part_is_told_when_asked_for(client: Client, engine: Engine) -> None:
    domain = Domain((11, 22, 33))
    user = unprivileged_id()
    file = client.open("file")
    for wanted in range(8):
        sd = told(client, file, wanted)
        assert sd.owner == (domain.uid_to_sid(user) if wanted & OWNER else None)
        assert sd.group == (domain.gid_to_sid(user) if wanted & GROUP else None)
        assert sd.dacl_present == bool(wanted & DACL)
        assert not sd.sacl_present


def test_the_descriptor_follows_the_mode(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    path.chmod(0o640)
    file = client.open("file", desired_access=READ_CONTROL)
    some = told(client, file, DACL)
    path.chmod(0o600)
    assert told(client, file, DACL) != some


@pytest.mark.parametrize(
    "wanted",
    [OWNER, GROUP, DACL, LABEL_SECURITY_INFORMATION, ATTRIBUTE_SECURITY_INFORMATION, 0x40],
)
def test_every_part_needs_read_control(client: Client, wanted: int) -> None:
    client.open("file")
    file = client.open("file", desired_access=FILE_ALL_ACCESS & ~READ_CONTROL)
    assert client.status(asking(file, wanted)) is NtStatus.ACCESS_DENIED
    file = client.open("file", desired_access=READ_CONTROL)
    assert client.status(asking(file, wanted)) is NtStatus.SUCCESS


def test_no_part_needs_nothing(client: Client) -> None:
    client.open("file")
    file = client.open("file", desired_access=FILE_READ_DATA)
    sd = told(client, file, 0)
    assert (sd.owner, sd.group, sd.dacl, sd.sacl) == (None, None, None, None)


@pytest.mark.parametrize("wanted", [SACL, SACL | DACL, BACKUP_SECURITY_INFORMATION])
def test_the_sacl_needs_a_privilege(client: Client, wanted: int) -> None:
    file = client.open("file")
    assert client.status(asking(file, wanted)) is NtStatus.ACCESS_DENIED


def test_a_buffer_too_small_is_told_how_much_it_takes(engine: Engine) -> None:
    client = ready(engine, 0x0302)
    file = client.open("file")
    whole = client.call(asking(file, OWNER | GROUP | DACL)).data
    for length in range(len(whole)):
        response = client.call(asking(file, OWNER | GROUP | DACL, length))
        assert response.status is NtStatus.BUFFER_TOO_SMALL
        assert response.error_data == len(whole).to_bytes(4, "little")
    assert client.call(asking(file, OWNER | GROUP | DACL, len(whole))).data == whole


def test_3_1_1_wraps_the_length_in_an_error_context(client: Client) -> None:
    file = client.open("file")
    length = len(client.call(asking(file, DACL)).data)
    data = client.call(asking(file, DACL, 0)).error_data
    assert data == (4).to_bytes(4, "little") + bytes(4) + length.to_bytes(4, "little")


def test_nobody_s_descriptor_is_told_to_whom_may_not_read_it(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to make a file of somebody else's")
    engine = Engine(folder)
    path = folder / "file"
    path.touch(mode=0o600)
    client = ready(engine)
    wanted = client.frames.open("file", desired_access=FILE_READ_DATA)
    assert client.status(wanted) is NtStatus.ACCESS_DENIED
