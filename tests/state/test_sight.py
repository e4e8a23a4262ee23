"""What a user sees of a share with `hide unreadable`, through the engine: ksmbd/state/sight.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ksmbd.state.sight import Sight
from ksmbd.vfs.sid import EVERYONE
from ksmbd.wire import ipc
from ksmbd.wire.access import (
    FILE_ALL_ACCESS,
    FILE_DIRECTORY_FILE,
    FILE_LIST_DIRECTORY,
    FILE_OPEN,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_READ_EA,
    READ_CONTROL,
    SYNCHRONIZE,
)
from ksmbd.wire.change_notify import CHANGE_VALID, WATCH_TREE, Change, unpack_changes
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import from_utf16
from ksmbd.wire.tree_connect import SHAREFLAG_ACCESS_BASED_DIRECTORY_ENUM, TreeConnectResponse
from tests.support.client import Client, File, ready
from tests.support.descriptors import allow, set_dacl
from tests.support.engine import Engine, give_to_joe
from tests.support.mountd import DISK, User, share
from tests.support.replies import Response

ADDED, REMOVED, MODIFIED, OLD, NEW = 1, 2, 3, 4, 5
SEEING = DISK | ipc.SHARE_HIDE_UNREADABLE
STORED = SEEING | ipc.SHARE_ACL_XATTR
LINKED = SEEING | ipc.SHARE_FOLLOW_SYMLINKS


def engine_of(folder: Path, flags: int = SEEING) -> Engine:
    return Engine(folder, shares=[share("data", str(folder), flags)])


@pytest.fixture
def seeing(folder: Path) -> Client:
    """joe on a share where he sees what he may read, beside what is another's."""
    (folder / "mine").write_bytes(b"")
    give_to_joe(folder / "mine")
    (folder / "secret").write_bytes(b"")
    (folder / "secret").chmod(0)
    (folder / "closed").mkdir()
    (folder / "closed" / "in").write_bytes(b"")
    (folder / "closed").chmod(0o111)  # may be entered by those who know what is in it
    return ready(engine_of(folder))


@pytest.fixture(autouse=True)
def opened_again(folder: Path) -> Any:
    yield
    if (folder / "closed").exists():
        (folder / "closed").chmod(0o755)


def directory(client: Client, name: str = "") -> File:
    return client.open(
        name,
        create_options=FILE_DIRECTORY_FILE,
        create_disposition=FILE_OPEN,
        desired_access=FILE_LIST_DIRECTORY,
    )


def listing(client: Client, pattern: str = "*", name: str = "") -> list[str]:
    """The names in a directory but for the dots."""
    file = directory(client, name)
    names: list[str] = []
    while True:
        frame = file.frames.query_directory(pattern, file_information_class=FileInfo.NAMES)
        response = client.call(frame)
        if response.status in (NtStatus.NO_MORE_FILES, NtStatus.NO_SUCH_FILE):
            return sorted(set(names) - {".", ".."})
        names += names_in(response.data)


def names_in(data: bytes) -> list[str]:
    names, at = [], 0
    while True:
        step = int.from_bytes(data[at : at + 4], "little")
        length = int.from_bytes(data[at + 8 : at + 12], "little")
        names.append(from_utf16(data[at + 12 : at + 12 + length]))
        if not step:
            return names
        at += step


# -- listings ----------------------------------------------------------------------------


def test_what_may_not_be_read_is_not_listed(seeing: Client) -> None:
    assert listing(seeing) == ["mine"]


def test_without_the_parameter_everything_is_listed(folder: Path, seeing: Client) -> None:
    assert listing(ready(engine_of(folder, DISK))) == ["closed", "mine", "secret"]


@pytest.mark.parametrize("name", ["secret", "SECRET", "sec*"])
def test_a_name_that_is_asked_for_is_not_told_either(seeing: Client, name: str) -> None:
    frame = directory(seeing).frames.query_directory(name)
    assert seeing.status(frame) is NtStatus.NO_SUCH_FILE


def test_who_knows_a_name_may_go_on_through_it(seeing: Client) -> None:
    assert listing(seeing, "in", "") == []
    seeing.open("closed\\in", create_disposition=FILE_OPEN, desired_access=FILE_READ_ATTRIBUTES)
    assert seeing.status(
        seeing.frames.create("secret", create_disposition=FILE_OPEN, desired_access=FILE_READ_DATA)
    ) is (NtStatus.ACCESS_DENIED)


def test_the_client_is_told_of_it(folder: Path) -> None:
    for flags, shown in ((SEEING, SHAREFLAG_ACCESS_BASED_DIRECTORY_ENUM), (DISK, 0)):
        client = ready(engine_of(folder, flags))
        told = client.ok(client.frames.tree_connect(r"\\server\data"), TreeConnectResponse)
        assert told.share_flags & SHAREFLAG_ACCESS_BASED_DIRECTORY_ENUM == shown


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as others")
def test_all_privileges_see_everything(folder: Path, seeing: Client) -> None:
    users = [User("root", uid=0, gid=0)]
    engine = Engine(folder, users=users, shares=[share("data", str(folder), SEEING)])
    assert listing(ready(engine, user="root")) == ["closed", "mine", "secret"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as others")
def test_each_user_sees_their_own(folder: Path) -> None:
    users = [User("joe"), User("ann", uid=22222, gid=22222)]
    engine = Engine(folder, users=users, shares=[share("data", str(folder), SEEING)])
    folder.chmod(0o755)
    for user in users:
        (folder / user.name).write_bytes(b"")
        (folder / user.name).chmod(0o600)
        os.chown(folder / user.name, user.uid, user.gid)
    assert listing(ready(engine)) == ["joe"]
    assert listing(ready(engine, user="ann")) == ["ann"]


FULL = READ_CONTROL | FILE_READ_DATA | FILE_READ_ATTRIBUTES | FILE_READ_EA


@pytest.mark.parametrize(
    ("mask", "seen"),
    [
        (FULL, True),
        (FULL & ~FILE_READ_EA, False),
        (FULL & ~FILE_READ_ATTRIBUTES, False),  # though the parent may be listed
        (FULL & ~FILE_READ_DATA, False),
        (FILE_ALL_ACCESS, True),
    ],
)
def test_it_takes_every_right_to_read(folder: Path, mask: int, seen: bool) -> None:
    client = ready(engine_of(folder, STORED))
    file = client.open("file")
    set_dacl(client, file, allow(EVERYONE, mask | SYNCHRONIZE))
    assert listing(client) == (["file"] if seen else [])


def test_a_followed_link_is_as_visible_as_what_it_leads_to(folder: Path, seeing: Client) -> None:
    (folder / "to-mine").symlink_to("mine")
    (folder / "to-secret").symlink_to("secret")
    (folder / "to-nothing").symlink_to("nothing")
    assert listing(ready(engine_of(folder, LINKED))) == ["mine", "to-mine", "to-nothing"]


# -- change notification -----------------------------------------------------------------


def begin(client: Client, tree: int = WATCH_TREE) -> File:
    """Watch the share's root; what changes from now on is kept."""
    file = directory(client)
    frame = file.frames.change_notify(completion_filter=CHANGE_VALID, flags=tree)
    async_id = client.pend(frame)
    client.send(client.frames.cancel(async_id=async_id))
    return file


def kept(client: Client, file: File) -> Response:
    return client.call(file.frames.change_notify(output_buffer_length=65536))


def told(response: Response) -> list[tuple[int, str]]:
    assert response.status is NtStatus.SUCCESS, response
    return [(change.action, change.name) for change in unpack_changes(response.data)]


def local(client: Client, folder: Path, *changes: tuple[int, str]) -> None:
    """As if inotify had told of them."""
    root = client.engine.server.cached_share("data")
    assert root is not None
    assert root.root is not None
    for action, name in changes:
        client.engine.server.notify.report(root.root, name, action, CHANGE_VALID)


def test_of_what_may_not_be_read_nothing_is_told(seeing: Client, folder: Path) -> None:
    file = begin(seeing)
    local(seeing, folder, (MODIFIED, "secret"), (MODIFIED, "mine"), (MODIFIED, "closed/in"))
    assert told(kept(seeing, file)) == [(MODIFIED, "mine")]


def test_a_request_goes_on_waiting_over_what_is_hidden(seeing: Client, folder: Path) -> None:
    file = begin(seeing)
    seeing.pend(file.frames.change_notify(output_buffer_length=65536))
    for _ in range(3):
        local(seeing, folder, (MODIFIED, "secret"))
        seeing.engine.advance(0)
        assert seeing.receive() == []
    local(seeing, folder, (MODIFIED, "mine"))
    seeing.engine.advance(0)
    (response,) = seeing.receive()
    assert told(response) == [(MODIFIED, "mine")]


def test_hidden_changes_may_come_as_fast_as_they_are_looked_at(
    seeing: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = begin(seeing)
    names = ["mine", *["secret"] * 2000]
    tells = Sight.tells

    def busy(*args: Any) -> list[Change] | None:
        if names:
            local(seeing, folder, (MODIFIED, names.pop()))
        return tells(*args)

    monkeypatch.setattr(Sight, "tells", busy)
    local(seeing, folder, (MODIFIED, "secret"))
    assert told(kept(seeing, file)) == [(MODIFIED, "mine")]


def test_a_request_that_waited_can_still_be_cancelled(seeing: Client, folder: Path) -> None:
    file = begin(seeing)
    async_id = seeing.pend(file.frames.change_notify(output_buffer_length=65536))
    local(seeing, folder, (MODIFIED, "secret"))
    seeing.engine.advance(0)
    (cancelled,) = seeing.send(seeing.frames.cancel(async_id=async_id))
    assert cancelled.status is NtStatus.CANCELLED
    local(seeing, folder, (MODIFIED, "mine"))
    assert told(kept(seeing, file)) == [(MODIFIED, "mine")]


def test_a_name_that_is_gone_makes_the_client_list(seeing: Client, folder: Path) -> None:
    file = begin(seeing)
    local(seeing, folder, (MODIFIED, "mine"), (REMOVED, "gone"))
    assert kept(seeing, file).status is NtStatus.NOTIFY_ENUM_DIR


def test_of_a_directory_that_is_hidden_not_even_that(seeing: Client, folder: Path) -> None:
    file = begin(seeing)
    local(seeing, folder, (REMOVED, "closed/gone"), (MODIFIED, "mine"))
    assert told(kept(seeing, file)) == [(MODIFIED, "mine")]


def test_both_names_of_a_file_are_told_to_who_may_read_it(seeing: Client, folder: Path) -> None:
    file = begin(seeing)
    (folder / "mine").rename(folder / "ours")
    local(seeing, folder, (OLD, "mine"), (NEW, "ours"), (OLD, "former"), (NEW, "secret"))
    assert told(kept(seeing, file)) == [(OLD, "mine"), (NEW, "ours")]


def test_a_stream_is_as_visible_as_its_file(seeing: Client) -> None:
    file = begin(seeing)
    seeing.open("mine:stream", desired_access=FILE_READ_DATA)
    assert told(kept(seeing, file))[0] == (6, "mine:stream")


def test_a_path_of_any_depth_is_looked_at(folder: Path) -> None:
    client = ready(engine_of(folder))
    file = begin(client)
    deep = "d/" * 1500
    local(client, folder, (MODIFIED, deep + "x"))
    assert kept(client, file).status is NtStatus.NOTIFY_ENUM_DIR
