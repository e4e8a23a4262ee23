"""Nobody gets at a file before it is whole: ksmbd/state/unfinished.py, with real threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from ksmbd.state import rights
from ksmbd.vfs import acl
from ksmbd.vfs.sid import EVERYONE, Domain
from ksmbd.wire import file_info, ipc
from ksmbd.wire.access import (
    FILE_ADD_FILE,
    FILE_ALL_ACCESS,
    FILE_CREATE,
    FILE_DIRECTORY_FILE,
    FILE_NON_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_OPEN_IF,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
)
from ksmbd.wire.create import CreateResponse
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.security import (
    CONTAINER_INHERIT,
    DACL_SECURITY_INFORMATION,
    INHERIT_ONLY,
    OBJECT_INHERIT,
)
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.support.client import Client, ready
from tests.support.descriptors import allow, deny, with_dacl
from tests.support.engine import give_to_joe
from tests.support.frames import Frame
from tests.support.mountd import DISK, share
from tests.support.threaded import SOON, ThreadedEngine

DENIED: Final = NtStatus.ACCESS_DENIED
STORED: Final = DISK | ipc.SHARE_ACL_XATTR
ROUNDS: Final = 25
CLIENTS: Final = 8
RULES: Final = (
    deny(EVERYONE, FILE_ADD_FILE, INHERIT_ONLY | CONTAINER_INHERIT),
    deny(EVERYONE, FILE_READ_DATA, INHERIT_ONLY | OBJECT_INHERIT),
    allow(EVERYONE, FILE_ALL_ACCESS, OBJECT_INHERIT | CONTAINER_INHERIT),
)


class Opened:
    def __init__(self, fd: int) -> None:
        self.fd = fd


@pytest.fixture
def engine(folder: Path) -> Iterator[ThreadedEngine]:
    """A share with a folder whose new folders take no files, and whose new files nobody reads."""
    base = folder / "base"
    base.mkdir()
    give_to_joe(base)
    fd = os.open(base, os.O_RDONLY)
    sd = with_dacl(*RULES)
    acl.store(Opened(fd), sd, DACL_SECURITY_INFORMATION, Domain((11, 22, 33)), acl.Keep.STORED)
    os.close(fd)
    shares = [share("data", str(folder), STORED), share("again", str(base), STORED)]
    with ThreadedEngine(folder, workers=2, shares=shares) as made:
        yield made


class Halfway:
    """Stops the making of a file where it exists, and its descriptor is not written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self._give = rights.give_to_new
        monkeypatch.setattr(rights, "give_to_new", self)

    def __call__(self, *arguments: Any) -> Any:
        self.reached.set()
        assert self.go_on.wait(SOON)
        return self._give(*arguments)


def post(client: Client, frame: Frame) -> int:
    """Send and wait for nothing; the message id."""
    engine = client.engine
    assert isinstance(engine, ThreadedEngine)
    engine.post(client.connection, client.pack(frame))
    return frame.header.message_id


def answer(client: Client, message_id: int) -> NtStatus:
    """The one answer; no interim response comes before it."""
    client.transport.wait_for({message_id})
    (response,) = client.receive()
    return response.status


def making(client: Client, name: str, **changes: Any) -> Frame:
    return client.frames.create(name, create_disposition=FILE_CREATE, **changes)


def folder_frame(client: Client, name: str) -> Frame:
    access = FILE_READ_ATTRIBUTES  # who may delete a folder lets nothing be moved into it
    return making(client, name, create_options=FILE_DIRECTORY_FILE, desired_access=access)


def parked(engine: ThreadedEngine, clients: list[Client]) -> None:
    """Until the requests of all these wait, and hold no thread."""

    def waits(client: Client) -> bool:
        works = list(client.connection.requests.values())
        return bool(works) and all(work.parking is not None for work in works)

    engine.eventually(lambda: all(waits(client) for client in clients), "they do not wait")


def test_a_directory_being_made_takes_no_file_before_its_inherited_acl(
    engine: ThreadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """smb2.create.mkdir-visible, at the very moment that it hopes to hit."""
    maker, *others = [ready(engine) for _ in range(6)]
    beside = ready(engine, share="again")
    bystander = ready(engine)
    halfway = Halfway(monkeypatch)
    made = post(maker, folder_frame(maker, r"base\new"))
    assert halfway.reached.wait(SOON)
    waiting = [(c, post(c, making(c, rf"base\new\file{n}"))) for n, c in enumerate(others)]
    waiting.append((beside, post(beside, making(beside, r"NEW\file"))))
    parked(engine, [*others, beside])
    assert bystander.status(bystander.frames.echo()) is NtStatus.SUCCESS
    missing = bystander.frames.create("none", create_disposition=FILE_OPEN)
    assert bystander.status(missing) is NtStatus.OBJECT_NAME_NOT_FOUND
    halfway.go_on.set()
    assert answer(maker, made) is NtStatus.SUCCESS
    assert [answer(client, number) for client, number in waiting] == [DENIED] * len(waiting)
    assert not engine.server.unfinished


def test_a_file_being_made_is_opened_with_its_inherited_acl(
    engine: ThreadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker, reader, second = [ready(engine) for _ in range(3)]
    halfway = Halfway(monkeypatch)
    options = {"create_options": FILE_NON_DIRECTORY_FILE}
    made = post(maker, making(maker, r"base\new", **options))
    assert halfway.reached.wait(SOON)
    frame = reader.frames.create(
        r"base\new", desired_access=FILE_READ_DATA, create_disposition=FILE_OPEN
    )
    reading, again = post(reader, frame), post(second, making(second, r"base\NEW"))
    parked(engine, [reader, second])
    halfway.go_on.set()
    assert answer(maker, made) is NtStatus.SUCCESS
    assert answer(reader, reading) is DENIED
    assert answer(second, again) is NtStatus.OBJECT_NAME_COLLISION


def test_a_file_being_made_has_its_share_mode(
    engine: ThreadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens it first is its maker, however late the maker gets to say so."""
    maker, other = ready(engine), ready(engine)
    halfway = Halfway(monkeypatch)
    made = post(maker, making(maker, "new", share_access=0))
    assert halfway.reached.wait(SOON)
    frame = other.frames.create("new", share_access=0, create_disposition=FILE_OPEN_IF)
    opening = post(other, frame)
    parked(engine, [other])
    halfway.go_on.set()
    assert answer(maker, made) is NtStatus.SUCCESS
    assert answer(other, opening) is NtStatus.SHARING_VIOLATION


@pytest.mark.parametrize("info_class", [FileInfo.RENAME, FileInfo.LINK])
def test_nothing_is_moved_into_a_directory_being_made(
    engine: ThreadedEngine, monkeypatch: pytest.MonkeyPatch, info_class: int
) -> None:
    maker, other = ready(engine), ready(engine)
    file = other.open("file")
    halfway = Halfway(monkeypatch)
    made = post(maker, folder_frame(maker, r"base\new"))
    assert halfway.reached.wait(SOON)
    name = utf16(r"base\new\file")
    head = file_info.FileRenameInformation(file_name_length=len(name)).pack()
    moving = post(other, file.frames.set_info(info_class, head + name))
    parked(engine, [other])
    halfway.go_on.set()
    assert answer(maker, made) is NtStatus.SUCCESS
    assert answer(other, moving) is DENIED


def test_whoever_waited_for_what_was_not_made_finds_nothing(
    engine: ThreadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker, other, third = [ready(engine) for _ in range(3)]
    halfway = Halfway(monkeypatch)

    def fail(*_: Any) -> None:
        raise OSError(28, "no space")

    halfway._give = fail
    made = post(maker, folder_frame(maker, r"base\new"))
    assert halfway.reached.wait(SOON)
    opening = post(other, other.frames.create(r"base\new", create_disposition=FILE_OPEN))
    entering = post(third, making(third, r"base\new\file"))
    parked(engine, [other, third])
    halfway.go_on.set()
    assert answer(maker, made) is NtStatus.DISK_FULL
    assert answer(other, opening) is NtStatus.OBJECT_NAME_NOT_FOUND
    assert answer(third, entering) is NtStatus.OBJECT_PATH_NOT_FOUND
    assert not engine.server.unfinished


def test_a_client_that_goes_away_while_it_waits_leaves_nothing(
    engine: ThreadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker, other = ready(engine), ready(engine)
    halfway = Halfway(monkeypatch)
    made = post(maker, folder_frame(maker, r"base\new"))
    assert halfway.reached.wait(SOON)
    post(other, other.frames.create(r"base\new", create_disposition=FILE_OPEN))
    parked(engine, [other])
    other.lose()
    halfway.go_on.set()
    assert answer(maker, made) is NtStatus.SUCCESS
    assert len(engine.server.opens) == 1


@pytest.mark.parametrize("directory", [True, False])
def test_many_clients_never_get_in_between(engine: ThreadedEngine, directory: bool) -> None:
    """As fast as they can: each answer is that it is not there, or what it inherits."""
    maker, *others = [ready(engine) for _ in range(CLIENTS)]
    finished = threading.Event()
    gone = NtStatus.OBJECT_PATH_NOT_FOUND if directory else NtStatus.OBJECT_NAME_NOT_FOUND
    wrong: list[NtStatus] = []
    refused = threading.Semaphore(0)

    def try_to_get_in(client: Client) -> None:
        number = 0
        while not finished.is_set():
            name = rf"base\{number}" + (r"\file" if directory else "")
            frame = client.frames.create(
                name,
                desired_access=FILE_READ_ATTRIBUTES if directory else FILE_READ_DATA,
                create_disposition=FILE_CREATE if directory else FILE_OPEN,
            )
            status = client.status(frame)
            if status is DENIED:
                refused.release()
                number += 1
                if number == ROUNDS:
                    return
            elif status is not gone:
                wrong.append(status)
                return

    threads = [threading.Thread(target=try_to_get_in, args=(client,)) for client in others]
    for thread in threads:
        thread.start()
    options = FILE_DIRECTORY_FILE if directory else FILE_NON_DIRECTORY_FILE
    try:
        for number in range(ROUNDS):
            frame = making(maker, rf"base\{number}", create_options=options)
            body = maker.ok(frame, CreateResponse)
            close = maker.frames.on(body.persistent_id, body.volatile_id).close()
            assert maker.status(close) is NtStatus.SUCCESS
            for _ in others:
                assert refused.acquire(timeout=SOON) or wrong
    finally:
        finished.set()
        for thread in threads:
            thread.join()
    assert wrong == []
