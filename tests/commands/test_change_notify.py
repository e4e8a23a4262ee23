"""commands/change_notify.py through the engine, [MS-SMB2] 3.3.5.19.

How a request that waits ends: tests/server/test_async_.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ksmbd.commands import change_notify
from ksmbd.state.watch import Watch
from ksmbd.wire import file_chains, file_info, ipc
from ksmbd.wire.access import (
    ATTR_HIDDEN,
    FILE_ALL_ACCESS,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_LIST_DIRECTORY,
    FILE_OPEN,
    FILE_OVERWRITE,
    FILE_READ_ATTRIBUTES,
)
from ksmbd.wire.change_notify import (
    CHANGE_ATTRIBUTES,
    CHANGE_CREATION,
    CHANGE_DIR_NAME,
    CHANGE_EA,
    CHANGE_LAST_ACCESS,
    CHANGE_LAST_WRITE,
    CHANGE_SECURITY,
    CHANGE_SIZE,
    CHANGE_VALID,
    WATCH_TREE,
    ChangeNotifyResponse,
    unpack_changes,
)
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.header import Command
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.support.client import Client, File, ready
from tests.support.engine import Engine, give_to_joe
from tests.support.mountd import DISK, share
from tests.support.replies import Response

INVALID = NtStatus.INVALID_PARAMETER


@pytest.fixture
def watched(client: Client) -> File:
    return directory(client)


@pytest.mark.parametrize("filter_", [0, 0x1000, 0x8000_0000])
def test_a_filter_that_means_nothing_waits_for_nothing(
    client: Client, watched: File, filter_: int
) -> None:
    client.pend(watched.frames.change_notify(completion_filter=filter_))
    client.open("new")
    assert client.receive() == []


def test_a_file_is_refused(client: Client) -> None:
    file = client.open("file")
    assert client.status(file.frames.change_notify()) is INVALID


def test_more_than_a_transaction_is_refused(client: Client, watched: File) -> None:
    client.call(client.frames.echo(credits=1000))
    frame = watched.frames.change_notify(output_buffer_length=(1 << 20) + 1, credit_charge=17)
    assert client.status(frame) is INVALID


def test_a_closed_directory_is_refused(client: Client, watched: File) -> None:
    client.call(watched.frames.close())
    assert client.status(watched.frames.change_notify()) is NtStatus.FILE_CLOSED


def test_watching_needs_the_right_to_list(client: Client) -> None:
    file = client.open("", desired_access=FILE_READ_ATTRIBUTES, create_disposition=FILE_OPEN)
    assert client.status(file.frames.change_notify()) is NtStatus.ACCESS_DENIED


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"flags": WATCH_TREE},
        {"flags": 0xFFFF},
        {"completion_filter": CHANGE_VALID},
        {"completion_filter": 0xFFFF_FFFF},
        {"output_buffer_length": 1},
    ],
)
def test_other_requests_wait(client: Client, watched: File, change: dict[str, int]) -> None:
    client.pend(watched.frames.change_notify(**change))


def test_refused_requests_leave_nothing_behind(client: Client) -> None:
    file = client.open("file")
    for _ in range(10):
        client.call(file.frames.change_notify())
    (open,) = client.engine.server.opens.all()
    assert open.waiters == []
    assert open.watch is None


# -- what is told ------------------------------------------------------------------------

ALL = {"completion_filter": CHANGE_VALID}
TREE = {**ALL, "flags": WATCH_TREE}
ADDED, REMOVED, MODIFIED, OLD, NEW = 1, 2, 3, 4, 5


def directory(client: Client, name: str = "", access: int = FILE_LIST_DIRECTORY) -> File:
    return client.open(name, create_options=FILE_DIRECTORY_FILE, desired_access=access)


def begin(client: Client, file: File, **changes: Any) -> None:
    """A first request, cancelled: from now on changes are kept."""
    async_id = client.pend(file.frames.change_notify(**changes))
    (cancelled,) = client.send(client.frames.cancel(async_id=async_id))
    assert cancelled.status is NtStatus.CANCELLED


def told(response: Response) -> list[tuple[int, str]]:
    assert response.status is NtStatus.SUCCESS, response
    data = response.data
    return [(change.action, change.name) for change in unpack_changes(data)]


def kept(client: Client, file: File, **changes: Any) -> list[tuple[int, str]]:
    """What has changed since; nothing if a request waits."""
    frame = file.frames.change_notify(output_buffer_length=65536, **changes)
    response = client.call(frame)
    if response.status is NtStatus.PENDING:
        client.send(client.frames.cancel(async_id=response.header.async_id))
        return []
    return told(response)


def final(responses: list[Response]) -> Response:
    (response,) = [r for r in responses if r.header.command == Command.CHANGE_NOTIFY]
    return response


def create(client: Client, name: str, **changes: Any) -> None:
    client.call(client.open(name, **changes).frames.close())


def delete(client: Client, name: str, options: int = 0) -> list[Response]:
    file = client.open(name, create_options=options | FILE_DELETE_ON_CLOSE)
    return client.send(file.frames.close())


def test_a_waiting_request_is_answered_when_something_changes(
    client: Client, watched: File
) -> None:
    async_id = client.pend(watched.frames.change_notify())
    responses = client.send(client.frames.create("new"))
    response = final(responses)
    assert response.header.async_id == async_id
    assert told(response) == [(ADDED, "new")]


def test_what_changes_between_requests_is_kept(client: Client, watched: File) -> None:
    begin(client, watched)
    create(client, "one")
    create(client, "two")
    delete(client, "one")
    assert kept(client, watched) == [(ADDED, "one"), (ADDED, "two"), (REMOVED, "one")]
    assert kept(client, watched) == []


def test_another_client_is_told(engine: Engine, client: Client, watched: File) -> None:
    client.pend(watched.frames.change_notify())
    create(ready(engine), "new")
    assert told(final(client.receive())) == [(ADDED, "new")]


def test_requests_of_one_open_are_answered_in_their_order(client: Client, watched: File) -> None:
    first = client.pend(watched.frames.change_notify())
    second = client.pend(watched.frames.change_notify())
    responses = client.send(client.frames.create("a"), client.frames.create("b"))
    notified = [r for r in responses if r.header.command == Command.CHANGE_NOTIFY]
    assert [(r.header.async_id, told(r)) for r in notified] == [
        (first, [(ADDED, "a")]),
        (second, [(ADDED, "b")]),
    ]


def test_the_first_request_fixes_filter_and_depth(client: Client, watched: File) -> None:
    create(client, "dir", create_options=FILE_DIRECTORY_FILE)
    begin(client, watched, completion_filter=CHANGE_DIR_NAME)
    create(client, "file")
    create(client, "dir\\sub", create_options=FILE_DIRECTORY_FILE)
    assert kept(client, watched, completion_filter=CHANGE_VALID, flags=WATCH_TREE) == []


def test_only_a_tree_tells_of_deeper_names(client: Client, watched: File) -> None:
    create(client, "dir", create_options=FILE_DIRECTORY_FILE)
    tree = directory(client)
    begin(client, watched, **ALL)
    begin(client, tree, **TREE)
    create(client, "dir\\file")
    assert kept(client, watched) == []
    assert kept(client, tree) == [(ADDED, "dir\\file")]


def test_names_are_relative_to_the_watched_directory(client: Client) -> None:
    create(client, "dir", create_options=FILE_DIRECTORY_FILE)
    create(client, "dir\\sub", create_options=FILE_DIRECTORY_FILE)
    folder = directory(client, "dir")
    begin(client, folder, **TREE)
    create(client, "dir\\sub\\file")
    create(client, "elsewhere")
    assert kept(client, folder) == [(ADDED, "sub\\file")]


NO_TIMES = {
    "creation_time": 0,
    "last_access_time": 0,
    "last_write_time": 0,
    "change_time": 0,
}


def basic(**changes: int) -> bytes:
    values = NO_TIMES | {"file_attributes": 0} | changes
    return file_info.FileBasicInformation(**values).pack()


def test_a_directory_is_not_told_of_its_own_changes(client: Client) -> None:
    create(client, "dir", create_options=FILE_DIRECTORY_FILE)
    folder = directory(client, "dir")
    begin(client, folder, **TREE)
    other = directory(client, "dir", FILE_ALL_ACCESS)
    frame = other.frames.set_info(FileInfo.BASIC, basic(file_attributes=ATTR_HIDDEN))
    assert client.status(frame) is NtStatus.SUCCESS
    assert kept(client, folder) == []


TIME = 0x01D0_0000_0000_0000
EA, _ = file_chains.pack_full_eas([("name", b"value")])
CHANGES: list[Any] = [
    (FileInfo.BASIC, basic(file_attributes=ATTR_HIDDEN), CHANGE_ATTRIBUTES),
    (FileInfo.BASIC, basic(creation_time=TIME), CHANGE_CREATION),
    (FileInfo.BASIC, basic(last_access_time=TIME), CHANGE_LAST_ACCESS),
    (FileInfo.BASIC, basic(last_write_time=TIME), CHANGE_LAST_WRITE),
    (FileInfo.END_OF_FILE, file_info.FileEndOfFileInformation(end_of_file=9).pack(), CHANGE_SIZE),
    (
        FileInfo.ALLOCATION,
        file_info.FileAllocationInformation(allocation_size=4096).pack(),
        CHANGE_SIZE,
    ),
    (FileInfo.FULL_EA, EA, CHANGE_EA),
]


@pytest.mark.parametrize(("info_class", "data", "bit"), CHANGES)
def test_what_is_set_is_told_to_who_asks_for_it(
    client: Client, watched: File, info_class: int, data: bytes, bit: int
) -> None:
    file = client.open("file")
    others = directory(client)
    begin(client, watched, completion_filter=bit)
    begin(client, others, completion_filter=CHANGE_SECURITY | CHANGE_DIR_NAME)
    assert client.status(file.frames.set_info(info_class, data)) is NtStatus.SUCCESS
    assert kept(client, watched) == [(MODIFIED, "file")]
    assert kept(client, others) == []


@pytest.mark.parametrize("bit", [CHANGE_SIZE, CHANGE_LAST_WRITE])
def test_writes_are_told_once_until_somebody_looks(client: Client, watched: File, bit: int) -> None:
    file = client.open("file")
    begin(client, watched, completion_filter=bit)
    for _ in range(3):
        client.call(file.frames.write(b"data"))
    assert kept(client, watched) == [(MODIFIED, "file")]
    client.call(file.frames.write(b"data"))
    assert kept(client, watched) == [(MODIFIED, "file")]


def test_an_overwritten_file_is_modified(client: Client, watched: File) -> None:
    create(client, "file")
    begin(client, watched, **ALL)
    create(client, "file", create_disposition=FILE_OVERWRITE)
    assert kept(client, watched) == [(MODIFIED, "file")]


def test_opening_and_reading_change_nothing(client: Client, watched: File) -> None:
    create(client, "file")
    begin(client, watched, **ALL)
    file = client.open("file")
    client.call(file.frames.read())
    client.call(file.frames.query_info())
    client.call(file.frames.close())
    assert kept(client, watched) == []


# -- renames and links -------------------------------------------------------------------


def rename(client: Client, file: File, name: str, kind: int = FileInfo.RENAME) -> NtStatus:
    raw = utf16(name)
    head = file_info.FileRenameInformation(replace_if_exists=1, file_name_length=len(raw))
    return client.status(file.frames.set_info(kind, head.pack() + raw))


def test_a_rename_is_a_pair_in_one_answer(client: Client, watched: File) -> None:
    file = client.open("before")
    async_id = client.pend(watched.frames.change_notify())
    raw = utf16("after")
    head = file_info.FileRenameInformation(replace_if_exists=0, file_name_length=len(raw))
    responses = client.send(file.frames.set_info(FileInfo.RENAME, head.pack() + raw))
    response = final(responses)
    assert response.header.async_id == async_id
    assert told(response) == [(OLD, "before"), (NEW, "after")]


def test_a_move_leaves_one_directory_and_comes_to_another(client: Client, watched: File) -> None:
    create(client, "dir", create_options=FILE_DIRECTORY_FILE)
    file = client.open("file")
    inside = directory(client, "dir")
    tree = directory(client)
    for each, how in (watched, ALL), (inside, ALL), (tree, TREE):
        begin(client, each, **how)
    assert rename(client, file, "dir\\moved") is NtStatus.SUCCESS
    assert kept(client, watched) == [(REMOVED, "file")]
    assert kept(client, inside) == [(ADDED, "moved")]
    assert kept(client, tree) == [(REMOVED, "file"), (ADDED, "dir\\moved")]


def test_who_watches_attributes_alone_sees_a_renamed_file_modified(
    client: Client, watched: File
) -> None:
    file = client.open("before")
    folder = directory(client, "folder", FILE_ALL_ACCESS)
    begin(client, watched, completion_filter=CHANGE_ATTRIBUTES)
    assert rename(client, file, "after") is NtStatus.SUCCESS
    assert rename(client, folder, "folder2") is NtStatus.SUCCESS
    assert kept(client, watched) == [(MODIFIED, "after")]


def test_what_a_rename_replaces_is_removed(client: Client, watched: File) -> None:
    create(client, "target")
    file = client.open("before")
    begin(client, watched)
    assert rename(client, file, "target") is NtStatus.SUCCESS
    assert kept(client, watched) == [(REMOVED, "target"), (OLD, "before"), (NEW, "target")]


def test_a_link_is_a_new_name(client: Client, watched: File) -> None:
    file = client.open("file")
    begin(client, watched)
    assert rename(client, file, "second", FileInfo.LINK) is NtStatus.SUCCESS
    assert kept(client, watched) == [(ADDED, "second")]


def test_a_renamed_directory_is_watched_under_its_new_name(client: Client) -> None:
    folder = directory(client, "before", FILE_ALL_ACCESS)
    begin(client, folder, **ALL)
    assert rename(client, folder, "after") is NtStatus.SUCCESS
    create(client, "after\\file")
    assert kept(client, folder) == [(ADDED, "file")]


def test_another_share_of_the_same_directory_tells_too(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    give_to_joe(tmp_path)
    give_to_joe(tmp_path / "sub")
    shares = [share("data", str(tmp_path), DISK), share("sub", str(tmp_path / "sub"), DISK)]
    engine = Engine(tmp_path, shares=shares)
    client, other = ready(engine), ready(engine, share="sub")
    tree = directory(client)
    begin(client, tree, **TREE)
    create(other, "file")
    assert kept(client, tree) == [(ADDED, "sub\\file")]


# -- too much ----------------------------------------------------------------------------


def test_more_than_the_first_buffer_holds_must_be_listed(client: Client, watched: File) -> None:
    begin(client, watched, output_buffer_length=100)
    for i in range(10):
        create(client, f"file{i}")
    response = client.call(watched.frames.change_notify(output_buffer_length=65536))
    assert response.status is NtStatus.NOTIFY_ENUM_DIR
    assert response.body(ChangeNotifyResponse).output_buffer_length == 0
    create(client, "next")
    assert kept(client, watched) == [(ADDED, "next")]


def test_a_request_without_room_is_told_to_list(client: Client, watched: File) -> None:
    client.pend(watched.frames.change_notify(output_buffer_length=0))
    response = final(client.send(client.frames.create("new")))
    assert response.status is NtStatus.NOTIFY_ENUM_DIR


def test_a_buffer_of_exactly_the_size_suffices(client: Client, watched: File) -> None:
    client.pend(watched.frames.change_notify(output_buffer_length=12 + 2 * 3))
    assert told(final(client.send(client.frames.create("new")))) == [(ADDED, "new")]


# -- the end -----------------------------------------------------------------------------


def test_a_deleted_directory_ends_the_waiting(client: Client) -> None:
    folder = directory(client, "dir")
    async_id = client.pend(folder.frames.change_notify())
    responses = delete(client, "dir", FILE_DIRECTORY_FILE)
    response = final(responses)
    assert (response.header.async_id, response.status) == (async_id, NtStatus.DELETE_PENDING)
    assert client.status(folder.frames.change_notify()) is NtStatus.DELETE_PENDING


def test_a_disposition_ends_the_waiting_too(client: Client) -> None:
    folder = directory(client, "dir")
    client.pend(folder.frames.change_notify())
    other = directory(client, "dir", FILE_ALL_ACCESS)
    info = file_info.FileDispositionInformation(delete_pending=1)
    responses = client.send(other.frames.set_info(FileInfo.DISPOSITION, info.pack()))
    assert final(responses).status is NtStatus.DELETE_PENDING


def test_a_directory_that_is_deleted_while_the_request_begins_is_not_waited_for(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = directory(client, "dir")
    other = directory(client, "dir", FILE_ALL_ACCESS)
    begin = change_notify._watch

    def late(*args: Any) -> Watch:
        info = file_info.FileDispositionInformation(delete_pending=1)
        frame = other.frames.set_info(FileInfo.DISPOSITION, info.pack())
        assert client.status(frame) is NtStatus.SUCCESS
        return begin(*args)

    monkeypatch.setattr(change_notify, "_watch", late)
    assert client.status(folder.frames.change_notify()) is NtStatus.DELETE_PENDING


def test_a_share_without_notifications_says_so(folder: Path) -> None:
    flags = DISK & ~ipc.SHARE_CHANGE_NOTIFY
    client = ready(Engine(folder, shares=[share("data", str(folder), flags)]))
    watched = directory(client)
    assert client.status(watched.frames.change_notify()) is NtStatus.NOT_IMPLEMENTED
    assert not client.engine.server.notify._watches


def test_a_closed_directory_is_watched_no_more(client: Client, watched: File) -> None:
    begin(client, watched, **TREE)
    client.call(watched.frames.close())
    notify = client.engine.server.notify
    assert not notify._watches
    assert notify._recursive == 0
    create(client, "new")


def test_what_a_cancelled_request_was_to_get_goes_to_the_next(
    client: Client, watched: File
) -> None:
    """The event has fired when the CANCEL comes, and the CANCEL is first to take the work."""
    notify = client.engine.server.notify
    async_id = client.pend(watched.frames.change_notify())
    work = client.connection.find_request(async_id=async_id)
    assert work is not None
    assert work.parking is not None
    waiter = work.memo.waiter
    (watch,) = notify._watches[str(client.engine.folder)]
    work.parking.work.cancel(work.header.message_id)
    notify.report(watch.root, "new", ADDED, CHANGE_VALID)
    assert waiter.outcome is not None
    client.engine.advance(0)
    assert client.receive()[0].status is NtStatus.CANCELLED
    assert kept(client, watched) == [(ADDED, "new")]
