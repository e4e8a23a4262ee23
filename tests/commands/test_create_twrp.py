"""commands/create_twrp.py, state/snapshot.py through the engine: files as they were."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ksmbd.ipc.requests import ShareConfig
from ksmbd.vfs.snapshots import LABEL
from ksmbd.wire import fsctl
from ksmbd.wire.access import (
    DELETE,
    FILE_CREATE,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_OPEN_IF,
    FILE_OVERWRITE,
    FILE_OVERWRITE_IF,
    FILE_READ_DATA,
    FILE_SUPERSEDE,
    MAXIMUM_ALLOWED,
)
from ksmbd.wire.create import OPLOCK_BATCH, OPLOCK_NONE, CreateResponse
from ksmbd.wire.create_context import (
    DURABLE_HANDLE_REQUEST,
    QUERY_MAXIMAL_ACCESS,
    TIMEWARP_TOKEN,
    contexts,
)
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import filetime_from_ns
from tests.security.test_rights import CHANGES, LINKS, READING, state
from tests.support.client import Client, File, ready
from tests.support.engine import Engine, give_to_joe, make_file_of_joe
from tests.support.mountd import DISK, READ_ONLY, share

WHEN, LATER = 1_600_000_000, 1_600_086_400
PROTECTED = NtStatus.MEDIA_WRITE_PROTECTED
NOT_FOUND = NtStatus.OBJECT_NAME_NOT_FOUND


def label(when: int) -> str:
    return time.strftime(LABEL, time.gmtime(when))


def twrp(when: int) -> tuple[bytes, bytes]:
    return TIMEWARP_TOKEN, filetime_from_ns(when * 1_000_000_000).to_bytes(8, "little")


def copy(folder: Path, when: int) -> Path:
    """The directory of the share's copy of *when*."""
    return folder / ".snapshots" / label(when)


@pytest.fixture
def shares(folder: Path) -> list[ShareConfig]:
    """A share with two copies in it, made so that the file has another size each time."""
    for when, text in ((WHEN, "old"), (LATER, "later on")):
        place = copy(folder, when)
        (place / "dir").mkdir(parents=True)
        (place / "file").write_text(text)
        (place / "gone").write_text(text)
        os.setxattr(place / "file", "user.DosStream.stream:$DATA", text.encode())
        give_to_joe(place)
        for path in place.rglob("*"):
            give_to_joe(path)
            path.chmod(0o777)
    layout = {"snapshot_dir": str(folder / ".snapshots"), "snapshot_base": str(folder)}
    make_file_of_joe(folder / "file", b"the present")
    return [
        share("data", str(folder), DISK, **layout),
        share("ro", str(folder), READ_ONLY, **layout),
        share("none", str(folder)),
    ]


def read(client: Client, file: File) -> bytes:
    return bytes(client.call(file.frames.read(64)).data)


def past(client: Client, name: str = "file", when: int = WHEN, **changes: object) -> File:
    how = {"create_disposition": FILE_OPEN} | changes
    return client.open(name, contexts=[twrp(when)], **how)


def test_each_time_has_its_own_file(client: Client) -> None:
    assert read(client, past(client)) == b"old"
    assert read(client, past(client, when=LATER)) == b"later on"
    assert read(client, client.open("file")) == b"the present"
    assert read(client, past(client, "gone", desired_access=READING)) == b"old"
    assert read(client, past(client, "file:stream")) == b"old"
    assert read(client, past(client, "FILE")) == b"old"


def test_a_time_between_two_seconds_is_the_first(client: Client) -> None:
    later = (filetime_from_ns(WHEN * 1_000_000_000) + 9_999_999).to_bytes(8, "little")
    file = client.open("file", contexts=[(TIMEWARP_TOKEN, later)], create_disposition=FILE_OPEN)
    assert read(client, file) == b"old"


@pytest.mark.parametrize("name", [r"{}\file", r"{}/file"])
def test_the_time_may_stand_in_the_name(client: Client, name: str) -> None:
    file = client.open(name.format(label(WHEN)), create_disposition=FILE_OPEN)
    assert read(client, file) == b"old"
    assert client.status(client.frames.open(label(WHEN))) is NtStatus.SUCCESS
    assert client.status(client.frames.open(label(WHEN + 1) + r"\file")) is NOT_FOUND


def test_no_time_at_all_is_the_present(client: Client) -> None:
    present = [(TIMEWARP_TOKEN, bytes(8))]
    assert read(client, client.open("file", contexts=present)) == b"the present"


@pytest.mark.parametrize("raw", [twrp(WHEN + 1)[1], b"\1" + bytes(7), b"\xff" * 8])
def test_a_time_without_a_version_is_not_found(client: Client, raw: bytes) -> None:
    frame = client.frames.open("file", contexts=[(TIMEWARP_TOKEN, raw)])
    assert client.status(frame) is NOT_FOUND


def test_a_file_that_was_not_there_is_not_found(client: Client) -> None:
    client.open("new")
    assert client.status(client.frames.open("new", contexts=[twrp(WHEN)])) is NOT_FOUND
    frame = client.frames.open(r"no\new", contexts=[twrp(WHEN)])
    assert client.status(frame) is NtStatus.OBJECT_PATH_NOT_FOUND


def test_without_shadow_copy2_there_is_no_past(engine: Engine) -> None:
    client = ready(engine, share="none")
    assert client.status(client.frames.open("file", contexts=[twrp(WHEN)])) is NOT_FOUND
    frame = client.frames.open(label(WHEN) + r"\file")
    assert client.status(frame) is NtStatus.OBJECT_PATH_NOT_FOUND
    enumerate_ = client.open("file").frames.ioctl(fsctl.SRV_ENUMERATE_SNAPSHOTS)
    assert client.status(enumerate_) is NtStatus.INVALID_DEVICE_REQUEST


def test_a_listing_is_that_of_the_time(client: Client) -> None:
    (client.engine.folder / "new").write_text("")
    directory = past(client, "", create_options=FILE_DIRECTORY_FILE)
    listed = bytes(client.call(directory.frames.query_directory()).data).decode(
        "utf-16-le", "replace"
    )
    assert "gone" in listed
    assert "new" not in listed


def test_the_directory_of_snapshots_is_hidden(client: Client) -> None:
    listed = bytes(client.call(client.open("").frames.query_directory()).data)
    assert ".snapshots".encode("utf-16-le") not in listed
    assert client.status(client.frames.open(".snapshots")) is NOT_FOUND
    frame = client.frames.open(rf".snapshots\{label(WHEN)}x\file")
    assert client.status(frame) is NtStatus.OBJECT_PATH_NOT_FOUND


@pytest.mark.parametrize("name", [*CHANGES, *LINKS])
def test_nothing_of_the_past_is_changed(client: Client, name: str) -> None:
    file = past(client)
    before = state(copy(client.engine.folder, WHEN))
    status = client.status((CHANGES | LINKS)[name](file.frames))
    moves = name.startswith(("rename", "link"))
    unknown = name in ("object id", "integrity")
    expected = NtStatus.NOT_SAME_DEVICE if moves else PROTECTED
    assert status is (NtStatus.INVALID_DEVICE_REQUEST if unknown else expected)
    client.send(file.frames.close())
    assert state(copy(client.engine.folder, WHEN)) == before


def test_a_stream_of_the_past_is_not_written(client: Client) -> None:
    file = past(client, "file:stream")
    assert client.status(file.frames.write(b"x")) is PROTECTED
    assert read(client, file) == b"old"


def test_who_may_not_write_at_all_hears_that(engine: Engine) -> None:
    client = ready(engine, share="ro")
    file = past(client, desired_access=MAXIMUM_ALLOWED)
    assert read(client, file) == b"old"
    assert client.status(CHANGES["rename"](file.frames)) is NtStatus.ACCESS_DENIED
    assert client.status(file.frames.write(b"x")) is NtStatus.ACCESS_DENIED


@pytest.mark.parametrize(
    ("name", "disposition", "options", "expected"),
    [
        ("file", FILE_OPEN_IF, 0, NtStatus.SUCCESS),
        ("file", FILE_OVERWRITE, 0, PROTECTED),
        ("file", FILE_OVERWRITE_IF, 0, PROTECTED),
        ("file", FILE_SUPERSEDE, 0, PROTECTED),
        ("file", FILE_CREATE, 0, NtStatus.OBJECT_NAME_COLLISION),
        ("file", FILE_OPEN, FILE_DELETE_ON_CLOSE, PROTECTED),
        ("file:new", FILE_OPEN_IF, 0, PROTECTED),
        ("new", FILE_OPEN_IF, 0, PROTECTED),
        ("new", FILE_CREATE, 0, PROTECTED),
        ("new", FILE_SUPERSEDE, 0, PROTECTED),
        ("new", FILE_OVERWRITE_IF, 0, PROTECTED),
        ("new", FILE_OPEN_IF, FILE_DIRECTORY_FILE, PROTECTED),
        ("new", FILE_CREATE, FILE_DIRECTORY_FILE, PROTECTED),
    ],
)
def test_no_disposition_makes_a_file_of_the_past(
    client: Client, name: str, disposition: int, options: int, expected: NtStatus
) -> None:
    before = state(copy(client.engine.folder, WHEN))
    frame = client.frames.create(
        name,
        contexts=[twrp(WHEN)],
        create_disposition=disposition,
        create_options=options,
        desired_access=FILE_READ_DATA | (DELETE if options & FILE_DELETE_ON_CLOSE else 0),
    )
    assert client.status(frame) is expected
    assert state(copy(client.engine.folder, WHEN)) == before


def test_nothing_is_cached_and_nothing_survives_the_connection(client: Client) -> None:
    how = {"requested_oplock_level": OPLOCK_BATCH, "create_disposition": FILE_OPEN}
    durable = DURABLE_HANDLE_REQUEST, bytes(16)
    file = client.open("file", contexts=[twrp(WHEN), durable], **how)
    body = file.response.body(CreateResponse)
    assert body.oplock_level == OPLOCK_NONE
    assert body.create_contexts_length == 0
    client.lose()
    assert len(client.engine.server.opens) == 0


def test_the_maximal_access_is_told_although_the_present_has_no_such_directory(
    client: Client,
) -> None:
    below = copy(client.engine.folder, WHEN) / "dir/below"
    below.write_text("")
    below.chmod(0o777)
    give_to_joe(below)
    asked = [twrp(WHEN), (QUERY_MAXIMAL_ACCESS, b"")]
    file = client.open(r"dir\below", contexts=asked, create_disposition=FILE_OPEN)
    body = file.response.body(CreateResponse)
    answers = {c.name: bytes(c.data) for c in contexts(memoryview(file.response.data))}
    assert body.create_contexts_length
    assert answers[QUERY_MAXIMAL_ACCESS][:4] == bytes(4)


def test_a_file_that_is_deleted_now_stays_in_the_past_with_which_it_has_an_inode(
    client: Client,
) -> None:
    """Snapshots of hard links: the last to close is not the one whose name goes."""
    linked = copy(client.engine.folder, WHEN) / "file"
    linked.unlink()
    linked.hardlink_to(client.engine.folder / "file")
    present = client.open("file")
    old = past(client, share_access=0, desired_access=READING)
    client.call(present.frames.set_info(FileInfo.DISPOSITION, b"\1"))
    client.send(present.frames.close())
    assert not (client.engine.folder / "file").exists()
    client.send(old.frames.close())
    assert linked.read_text() == "the present"


def test_the_past_is_copied_into_the_present_on_the_server(client: Client) -> None:
    """What Explorer's Restore does with a small file."""
    source, target = past(client, when=LATER), client.open("restored")
    key = bytes(client.call(source.frames.ioctl(fsctl.SRV_REQUEST_RESUME_KEY)).data)[:24]
    chunk = key + (1).to_bytes(4, "little") + bytes(4 + 16) + (8).to_bytes(4, "little") + bytes(4)
    assert client.status(target.frames.ioctl(fsctl.SRV_COPYCHUNK, chunk)) is NtStatus.SUCCESS
    assert (client.engine.folder / "restored").read_bytes() == b"later on"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as others")
def test_the_past_is_read_as_its_user(client: Client) -> None:
    secret = copy(client.engine.folder, WHEN) / "gone"
    os.chown(secret, 0, 0)
    secret.chmod(0o600)
    frame = client.frames.open("gone", contexts=[twrp(WHEN)], desired_access=FILE_READ_DATA)
    assert client.status(frame) is NtStatus.ACCESS_DENIED


def test_the_times_are_told(client: Client) -> None:
    for file in (client.open("file"), past(client)):
        answer = client.call(file.frames.ioctl(fsctl.SRV_ENUMERATE_SNAPSHOTS))
        assert bytes(answer.data) == fsctl.pack_snapshots([label(LATER), label(WHEN)], 4096)


def test_a_version_comes_and_goes(client: Client) -> None:
    file = client.open("file")
    copy(client.engine.folder, WHEN).rename(copy(client.engine.folder, WHEN + 60))
    answer = client.call(file.frames.ioctl(fsctl.SRV_ENUMERATE_SNAPSHOTS))
    assert label(WHEN + 60).encode("utf-16-le") in bytes(answer.data)
    assert client.status(client.frames.open("file", contexts=[twrp(WHEN)])) is NOT_FOUND
    assert read(client, past(client, when=WHEN + 60)) == b"old"
