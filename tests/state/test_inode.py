"""state/inode.py: who may share a file with whom, and when it goes."""

from __future__ import annotations

import itertools
import os

import pytest

from ksmbd.state.inode import Inodes, sharing_conflict
from ksmbd.wire.access import (
    DELETE,
    FILE_APPEND_DATA,
    FILE_DELETE_ON_CLOSE,
    FILE_EXECUTE,
    FILE_OPEN,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_SHARE_DELETE,
    FILE_SHARE_READ,
    FILE_SHARE_WRITE,
    FILE_WRITE_ATTRIBUTES,
    FILE_WRITE_DATA,
    READ_CONTROL,
    SYNCHRONIZE,
)
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File

OK = NtStatus.SUCCESS
PENDING = NtStatus.DELETE_PENDING
VIOLATION = NtStatus.SHARING_VIOLATION

KINDS = {"read": FILE_READ_DATA, "write": FILE_WRITE_DATA, "delete": DELETE}
SHARES = {"read": FILE_SHARE_READ, "write": FILE_SHARE_WRITE, "delete": FILE_SHARE_DELETE}
SUBSETS = [
    frozenset(chosen) for count in range(4) for chosen in itertools.combinations(KINDS, count)
]


def mask(kinds: frozenset[str], values: dict[str, int]) -> int:
    return sum(values[kind] for kind in kinds)


# -- the table of share modes ------------------------------------------------------------


@pytest.mark.parametrize("access", SUBSETS, ids=lambda s: "+".join(sorted(s)) or "nothing")
@pytest.mark.parametrize("other", SUBSETS, ids=lambda s: "+".join(sorted(s)) or "nothing")
def test_every_pair_of_opens(access: frozenset[str], other: frozenset[str]) -> None:
    """[MS-FSA] 2.1.5.1.2: each shares all that the other does, or they exclude each other."""
    for share, other_share in itertools.product(SUBSETS, SUBSETS):
        expected = not (access <= other_share and other <= share)
        found = sharing_conflict(
            mask(access, KINDS), mask(share, SHARES),
            mask(other, KINDS), mask(other_share, SHARES),
        )  # fmt: skip
        assert found == expected, f"{sorted(share)} {sorted(other_share)}"


@pytest.mark.parametrize(
    ("right", "needs"),
    [
        (FILE_EXECUTE, FILE_SHARE_READ),
        (FILE_APPEND_DATA, FILE_SHARE_WRITE),
        (FILE_READ_ATTRIBUTES, 0),
        (FILE_WRITE_ATTRIBUTES, 0),
        (READ_CONTROL | SYNCHRONIZE, 0),
    ],
)
def test_rights_that_count_like_others_or_not_at_all(right: int, needs: int) -> None:
    assert not sharing_conflict(right, 7, FILE_READ_DATA, needs or 0) or not needs
    assert sharing_conflict(right, 7, FILE_READ_ATTRIBUTES, 7 & ~needs) == bool(needs)
    assert sharing_conflict(FILE_READ_ATTRIBUTES, 7 & ~needs, right, 7) == bool(needs)


@pytest.mark.parametrize("access", [FILE_READ_DATA, FILE_WRITE_DATA, DELETE, FILE_EXECUTE])
@pytest.mark.parametrize("share", range(8))
def test_the_table_through_create(client: Client, access: int, share: int) -> None:
    client.open("file", desired_access=FILE_READ_DATA, share_access=share)
    frame = client.frames.open("file", desired_access=access, share_access=7)
    permission = {
        FILE_READ_DATA: FILE_SHARE_READ,
        FILE_EXECUTE: FILE_SHARE_READ,
        FILE_WRITE_DATA: FILE_SHARE_WRITE,
        DELETE: FILE_SHARE_DELETE,
    }[access]
    assert (client.status(frame) is OK) == bool(share & permission)


def test_an_open_for_attributes_neither_excludes_nor_is_excluded(client: Client) -> None:
    client.open("file", desired_access=FILE_READ_ATTRIBUTES, share_access=0)
    client.open("file", share_access=0)
    client.open("file", desired_access=FILE_READ_ATTRIBUTES | READ_CONTROL, share_access=0)
    assert client.status(client.frames.open("file")) is VIOLATION


def test_share_modes_end_with_their_open(client: Client) -> None:
    file = client.open("file", share_access=0)
    assert client.status(client.frames.open("file")) is VIOLATION
    client.call(file.frames.close())
    client.open("file")


# -- the table of inodes -----------------------------------------------------------------


def test_everybody_who_holds_it_has_the_same_inode() -> None:
    inodes = Inodes()
    first = inodes.hold((1, 2))
    assert inodes.hold((1, 2)) is first
    assert inodes.hold((1, 3)) is not first
    assert inodes.find((1, 2)) is first
    inodes.drop(first)
    assert inodes.find((1, 2)) is first
    inodes.drop(first)
    assert inodes.find((1, 2)) is None
    assert inodes.hold((1, 2)) is not first


# -- deletion ----------------------------------------------------------------------------


def dispose(client: Client, file: File, value: int = 1) -> NtStatus:
    return client.status(file.frames.set_info(FileInfo.DISPOSITION, bytes((value,))))


def there(client: Client) -> bool:
    return (client.engine.folder / "file").exists()


def test_a_disposition_deletes_at_the_last_close(client: Client) -> None:
    first, second = client.open("file"), client.open("file")
    assert dispose(client, first) is OK
    assert client.status(client.frames.open("file")) is PENDING
    client.call(first.frames.close())
    assert there(client)
    assert client.status(client.frames.open("file")) is PENDING
    client.call(second.frames.close())
    assert not there(client)


def test_a_disposition_can_be_taken_back(client: Client) -> None:
    first, second = client.open("file"), client.open("file")
    assert dispose(client, first) is OK
    assert dispose(client, second, 0) is OK
    client.call(client.open("file").frames.close())
    client.call(first.frames.close())
    client.call(second.frames.close())
    assert there(client)


def test_delete_on_close_becomes_pending_when_its_open_is_closed(client: Client) -> None:
    first = client.open("file", create_options=FILE_DELETE_ON_CLOSE)
    second = client.open("file")
    third = client.open("file")
    client.call(first.frames.close())
    assert client.status(client.frames.open("file")) is PENDING
    assert dispose(client, second, 0) is OK
    client.call(second.frames.close())
    client.call(third.frames.close())
    assert there(client)


def test_a_new_file_may_take_the_name_as_soon_as_it_is_free(client: Client) -> None:
    file = client.open("file", create_options=FILE_DELETE_ON_CLOSE)
    client.call(file.frames.write(b"old"))
    client.call(file.frames.close())
    client.open("file")
    assert (client.engine.folder / "file").read_bytes() == b""


def test_all_that_use_it_go_on_until_they_close(client: Client) -> None:
    first, second = client.open("file"), client.open("file")
    dispose(client, first)
    client.call(first.frames.close())
    assert client.status(second.frames.write(b"data")) is OK
    assert client.call(second.frames.read(4)).data == b"data"


@pytest.mark.parametrize("how", ["tree_disconnect", "logoff", "lose"])
def test_whatever_ends_the_last_open_deletes(client: Client, how: str) -> None:
    file = client.open("file")
    dispose(client, file)
    if how == "lose":
        client.lose()
    else:
        client.call(getattr(client.frames, how)())
    assert not there(client)


def test_another_name_of_the_same_file_stays(client: Client) -> None:
    path = client.engine.make_file("file")
    os.link(path, path.with_name("link"))
    file = client.open("file", create_options=FILE_DELETE_ON_CLOSE, create_disposition=FILE_OPEN)
    client.call(file.frames.close())
    assert os.listdir(client.engine.folder) == ["link"]


def test_what_was_replaced_meanwhile_stays(client: Client) -> None:
    """The name now means another file, which a local process has put there."""
    file = client.open("file", create_options=FILE_DELETE_ON_CLOSE)
    path = client.engine.folder / "file"
    path.rename(path.with_name("moved"))
    path.write_bytes(b"new")
    client.call(file.frames.close())
    assert path.read_bytes() == b"new"


def test_posix_deletion_takes_the_name_at_once(client: Client) -> None:
    first, second = client.open("file"), client.open("file")
    flags = (0x1 | 0x2).to_bytes(4, "little")  # DELETE, POSIX_SEMANTICS
    frame = first.frames.set_info(FileInfo.DISPOSITION_EX, flags)
    assert client.status(frame) is OK
    client.call(first.frames.close())
    assert not there(client)
    assert client.status(second.frames.write(b"still here")) is OK
    client.open("file")
    client.call(second.frames.close())
    assert there(client)
