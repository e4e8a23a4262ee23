"""A share's own security descriptor: at the tree connect, [MS-SMB2] 3.3.5.7, and at every open."""

from __future__ import annotations

import pytest

from ksmbd.ipc.requests import TreeConnectReply
from ksmbd.vfs.sid import AUTHENTICATED_USERS, EVERYONE
from ksmbd.wire.access import (
    DELETE,
    FILE_ALL_ACCESS,
    FILE_GENERIC_EXECUTE,
    FILE_GENERIC_READ,
    FILE_OVERWRITE,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_WRITE_DATA,
    GENERIC_ALL,
    GENERIC_EXECUTE,
    GENERIC_READ,
    MAXIMUM_ALLOWED,
    WRITE_DAC,
    WRITE_OWNER,
)
from ksmbd.wire.create import CreateResponse
from ksmbd.wire.ipc import TREE_UPDATE, TREE_WRITABLE, TreeStatus
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    ACCESS_DENIED,
    DACL_PRESENT,
    SELF_RELATIVE,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from ksmbd.wire.status import NtStatus
from ksmbd.wire.tree_connect import TreeConnectResponse
from tests.support.client import Client

DENIED = NtStatus.ACCESS_DENIED
READ = FILE_GENERIC_READ | FILE_GENERIC_EXECUTE
CHANGE = 0x001301BF  # what Windows calls it: all but the permissions and FILE_DELETE_CHILD
STRANGER = Sid(5, 21, 1, 2, 3, 500)


def descriptor(*aces: tuple[int, int, Sid], owner: Sid | None = None) -> bytes:
    entries = tuple(Ace(kind, 0, mask, sid) for kind, mask, sid in aces)
    return SecurityDescriptor(SELF_RELATIVE, owner, dacl=Acl(entries)).pack()


def secured(client: Client, security: bytes) -> None:
    """Give the share *security*, as mountd would after a NetrShareSetInfo."""
    mountd = client.engine.mountd
    mountd.decisions["data"] = TreeConnectReply(TreeStatus.OK, TREE_WRITABLE | TREE_UPDATE)
    mountd.configs["data"] = mountd.configs["data"]._replace(security=security)


def maximal(client: Client) -> int:
    frame = client.frames.tree_connect(r"\\server\data")
    return client.ok(frame, TreeConnectResponse).maximal_access


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        (b"", FILE_ALL_ACCESS),
        (descriptor((ACCESS_ALLOWED, GENERIC_ALL, EVERYONE)), FILE_ALL_ACCESS),
        (descriptor((ACCESS_ALLOWED, CHANGE, AUTHENTICATED_USERS)), CHANGE),
        (descriptor((ACCESS_ALLOWED, GENERIC_READ | GENERIC_EXECUTE, EVERYONE)), READ),
        (
            descriptor(
                (ACCESS_DENIED, WRITE_DAC, EVERYONE), (ACCESS_ALLOWED, FILE_ALL_ACCESS, EVERYONE)
            ),
            FILE_ALL_ACCESS & ~WRITE_DAC,
        ),
        (SecurityDescriptor(SELF_RELATIVE | DACL_PRESENT).pack(), FILE_ALL_ACCESS),
    ],
    ids=["none", "all", "change", "read", "denied", "null"],
)
def test_the_maximal_access_is_what_the_descriptor_gives(
    client: Client, security: bytes, expected: int
) -> None:
    secured(client, security)
    assert maximal(client) == expected


@pytest.mark.parametrize(
    "security",
    [
        descriptor(),
        descriptor((ACCESS_ALLOWED, FILE_ALL_ACCESS, STRANGER)),
        descriptor(
            (ACCESS_DENIED, FILE_ALL_ACCESS, AUTHENTICATED_USERS),
            (ACCESS_ALLOWED, FILE_ALL_ACCESS, EVERYONE),
        ),
        descriptor((ACCESS_ALLOWED, FILE_READ_ATTRIBUTES, EVERYONE)),
        descriptor(owner=EVERYONE),
        b"no descriptor at all",
    ],
    ids=["empty", "stranger", "denied", "nothing to use", "owner", "malformed"],
)
def test_who_is_given_nothing_does_not_connect(client: Client, security: bytes) -> None:
    secured(client, security)
    before = len(client.engine.mountd.trees)
    assert client.status(client.frames.tree_connect(r"\\server\data")) is DENIED
    assert len(client.engine.mountd.trees) == before


def test_a_share_to_read_is_not_written(client: Client) -> None:
    (client.engine.folder / "there").write_bytes(b"text")
    (client.engine.folder / "there").chmod(0o666)
    secured(client, descriptor((ACCESS_ALLOWED, READ, EVERYONE)))
    client.connect()
    frames = client.frames
    for refused in (
        frames.create("new"),
        frames.open("there", desired_access=FILE_WRITE_DATA),
        frames.open("there", desired_access=DELETE),
        frames.create("there", desired_access=FILE_READ_DATA, create_disposition=FILE_OVERWRITE),
    ):
        assert client.status(refused) is DENIED
    client.ok(frames.open("there", desired_access=FILE_READ_DATA), CreateResponse)
    client.ok(frames.open("there", desired_access=MAXIMUM_ALLOWED), CreateResponse)


def test_a_share_to_change_keeps_its_permissions(client: Client) -> None:
    secured(client, descriptor((ACCESS_ALLOWED, CHANGE, EVERYONE)))
    client.connect()
    frames = client.frames
    for right in (WRITE_DAC, WRITE_OWNER):
        assert client.status(frames.create("new", desired_access=CHANGE | right)) is DENIED
    assert not (client.engine.folder / "new").exists()
    client.ok(frames.create("new", desired_access=CHANGE), CreateResponse)
    for right in (WRITE_DAC, WRITE_OWNER):
        assert client.status(frames.open("new", desired_access=right)) is DENIED
    client.ok(frames.create("other", desired_access=MAXIMUM_ALLOWED), CreateResponse)


def test_who_is_connected_keeps_what_the_share_gave_then(client: Client) -> None:
    client.connect()
    secured(client, descriptor())
    client.ok(client.frames.create("new"), CreateResponse)
    assert client.status(client.frames.tree_connect(r"\\server\data")) is DENIED
