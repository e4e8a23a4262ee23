"""What an open of an existing file is granted beyond its descriptor, [MS-FSA] 2.1.5.1.2.1."""

from __future__ import annotations

import pytest

from ksmbd.vfs.sid import EVERYONE
from ksmbd.wire import ipc
from ksmbd.wire.access import (
    ACCESS_SYSTEM_SECURITY,
    ATTR_READONLY,
    DELETE,
    FILE_ALL_ACCESS,
    FILE_APPEND_DATA,
    FILE_DELETE_CHILD,
    FILE_DIRECTORY_FILE,
    FILE_NON_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_OPEN_IF,
    FILE_OVERWRITE,
    FILE_OVERWRITE_IF,
    FILE_READ_DATA,
    FILE_SUPERSEDE,
    FILE_WRITE_DATA,
    MAXIMUM_ALLOWED,
)
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, ready
from tests.support.descriptors import allow, set_dacl
from tests.support.engine import Engine
from tests.support.mountd import DISK, share

ALONE = DISK | ipc.SHARE_ACL_XATTR | ipc.SHARE_ACL_ALONE


def granted(client: Client) -> int:
    return client.engine.server.opens.all()[-1].granted_access


def test_maximum_allowed_of_a_read_only_file(client: Client) -> None:
    client.call(client.open("file", file_attributes=ATTR_READONLY).frames.close())
    client.open("file", desired_access=MAXIMUM_ALLOWED, create_disposition=FILE_OPEN)
    kept_back = FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_DELETE_CHILD
    assert granted(client) & kept_back == 0
    assert granted(client) & DELETE
    client.call(client.open("other").frames.close())
    client.open("other", desired_access=MAXIMUM_ALLOWED, create_disposition=FILE_OPEN)
    assert granted(client) == FILE_ALL_ACCESS


@pytest.mark.parametrize("kind", [FILE_NON_DIRECTORY_FILE, FILE_DIRECTORY_FILE])
@pytest.mark.parametrize("there", [False, True])
def test_the_sacl_is_the_administrators_of_a_new_file_too(
    client: Client, kind: int, there: bool
) -> None:
    if there:
        client.call(client.open("it", create_options=kind).frames.close())
    frame = client.frames.create(
        "it",
        desired_access=ACCESS_SYSTEM_SECURITY | FILE_READ_DATA,
        create_disposition=FILE_OPEN_IF,
        create_options=kind,
    )
    assert client.status(frame) is NtStatus.PRIVILEGE_NOT_HELD
    assert (client.engine.folder / "it").exists() is there


@pytest.mark.parametrize("disposition", [FILE_SUPERSEDE, FILE_OVERWRITE, FILE_OVERWRITE_IF])
@pytest.mark.parametrize(
    ("mask", "status"),
    [
        (FILE_READ_DATA, NtStatus.ACCESS_DENIED),
        (FILE_READ_DATA | FILE_WRITE_DATA, NtStatus.SUCCESS),
    ],
)
def test_the_folder_lends_no_right_to_overwrite(
    engine: Engine, disposition: int, mask: int, status: NtStatus
) -> None:
    """smb2.acls.OVERWRITE_READ_ONLY_FILE: though its FILE_DELETE_CHILD lends DELETE."""
    client = ready(Engine(engine.folder, shares=[share("data", str(engine.folder), ALONE)]))
    file = client.open("file")
    set_dacl(client, file, allow(EVERYONE, mask))
    client.call(file.frames.close())
    frame = client.frames.create(
        "file", create_disposition=disposition, desired_access=FILE_READ_DATA
    )
    assert client.status(frame) is status
