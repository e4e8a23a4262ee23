"""commands/create.py through the engine, [MS-SMB2] 3.3.5.9."""

from __future__ import annotations

import gc
import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from ksmbd.wire import ipc
from ksmbd.wire.access import (
    ATTR_ARCHIVE,
    ATTR_DIRECTORY,
    ATTR_HIDDEN,
    ATTR_NORMAL,
    ATTR_READONLY,
    ATTR_SYSTEM,
    DELETE,
    FILE_ALL_ACCESS,
    FILE_APPEND_DATA,
    FILE_CREATE,
    FILE_CREATED,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_EXECUTE,
    FILE_GENERIC_READ,
    FILE_GENERIC_WRITE,
    FILE_NON_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_OPEN_IF,
    FILE_OPEN_REPARSE_POINT,
    FILE_OPENED,
    FILE_OVERWRITE,
    FILE_OVERWRITE_IF,
    FILE_OVERWRITTEN,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_SHARE_DELETE,
    FILE_SHARE_READ,
    FILE_SUPERSEDE,
    FILE_SUPERSEDED,
    FILE_WRITE_ATTRIBUTES,
    FILE_WRITE_DATA,
    GENERIC_ALL,
    GENERIC_EXECUTE,
    GENERIC_READ,
    GENERIC_WRITE,
    MAXIMUM_ALLOWED,
    SYNCHRONIZE,
    WRITE_DAC,
    WRITE_OWNER,
)
from ksmbd.wire.create import CreateResponse
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import ns_from_filetime
from tests.support.client import Client, ready
from tests.support.engine import Engine
from tests.support.mountd import DISK, READ_ONLY, share

OK = NtStatus.SUCCESS
INVALID = NtStatus.INVALID_PARAMETER
DENIED = NtStatus.ACCESS_DENIED
NAME_INVALID = NtStatus.OBJECT_NAME_INVALID
NOT_FOUND = NtStatus.OBJECT_NAME_NOT_FOUND
STOPPED = NtStatus.STOPPED_ON_SYMLINK
UNHANDLED = NtStatus.IO_REPARSE_TAG_NOT_HANDLED
PATH_NOT_FOUND = NtStatus.OBJECT_PATH_NOT_FOUND
SYNTAX_BAD = NtStatus.OBJECT_PATH_SYNTAX_BAD
COLLISION = NtStatus.OBJECT_NAME_COLLISION

REPLACING = (FILE_SUPERSEDE, FILE_OVERWRITE, FILE_OVERWRITE_IF)
CREATING = (FILE_SUPERSEDE, FILE_CREATE, FILE_OPEN_IF, FILE_OVERWRITE_IF)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs files of somebody else")


def action(client: Client, name: str, disposition: int, **changes: Any) -> int:
    frame = client.frames.create(name, create_disposition=disposition, **changes)
    return client.ok(frame, CreateResponse).create_action


# -- out of the share --------------------------------------------------------------------


@pytest.fixture
def outside(folder: Path) -> Path:
    """A file beside the share."""
    path = folder.with_name(folder.name + "-outside")
    path.mkdir()
    (path / "secret").write_bytes(b"secret")
    path.chmod(0o777)
    return path


def test_a_symlink_leads_nowhere(client: Client, outside: Path) -> None:
    folder = client.engine.folder
    (folder / "to-file").symlink_to(outside / "secret")
    (folder / "to-directory").symlink_to(outside)
    (folder / "up").symlink_to("..")
    assert client.status(client.frames.open("to-file", desired_access=FILE_READ_DATA)) is STOPPED
    assert client.status(client.frames.create("to-file", create_disposition=5)) is STOPPED
    for name in ("to-directory\\secret", f"up\\{outside.name}\\secret", "to-directory\\new"):
        assert client.status(client.frames.create(name)) is STOPPED
    assert os.listdir(outside) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_a_symlink_is_opened_as_itself_only(client: Client, outside: Path) -> None:
    link = client.engine.folder / "link"
    link.symlink_to(outside / "secret")
    frame = client.frames.open(
        "link",
        desired_access=FILE_READ_ATTRIBUTES,
        create_options=FILE_OPEN_REPARSE_POINT,
    )
    file = client.file(client.call(frame))
    assert client.status(file.frames.read(6)) is DENIED
    assert client.status(file.frames.close()) is OK


def test_deleting_a_symlink_leaves_what_it_names(client: Client, outside: Path) -> None:
    link = client.engine.folder / "link"
    link.symlink_to(outside)
    frame = client.frames.open(
        "link",
        desired_access=DELETE | FILE_READ_ATTRIBUTES,
        create_options=FILE_OPEN_REPARSE_POINT | FILE_DELETE_ON_CLOSE,
    )
    response = client.call(frame)
    assert response.status is OK
    client.call(client.file(response).frames.close())
    assert not link.is_symlink()
    assert (outside / "secret").exists()


def test_a_fifo_holds_nobody_up(client: Client) -> None:
    fifo = client.engine.folder / "fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    assert client.status(client.frames.open("fifo", desired_access=FILE_READ_DATA)) is UNHANDLED
    file = client.open("fifo", desired_access=FILE_READ_ATTRIBUTES)
    assert client.status(file.frames.read(1)) is DENIED
    assert client.status(file.frames.close()) is OK


# -- dispositions ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("disposition", "there", "missing"),
    [
        (FILE_SUPERSEDE, FILE_SUPERSEDED, FILE_CREATED),
        (FILE_OPEN, FILE_OPENED, NOT_FOUND),
        (FILE_CREATE, COLLISION, FILE_CREATED),
        (FILE_OPEN_IF, FILE_OPENED, FILE_CREATED),
        (FILE_OVERWRITE, FILE_OVERWRITTEN, NOT_FOUND),
        (FILE_OVERWRITE_IF, FILE_OVERWRITTEN, FILE_CREATED),
    ],
)
def test_each_disposition(client: Client, disposition: int, there: int, missing: int) -> None:
    client.engine.make_file("there", b"content")
    for name, expected in (("there", there), ("missing", missing)):
        frame = client.frames.create(name, create_disposition=disposition)
        response = client.call(frame)
        if isinstance(expected, NtStatus):
            assert response.status is expected
        else:
            assert response.body(CreateResponse).create_action == expected
    emptied = disposition in REPLACING
    assert (client.engine.folder / "there").read_bytes() == (b"" if emptied else b"content")


@pytest.mark.parametrize("disposition", [FILE_OPEN, FILE_CREATE, FILE_OPEN_IF])
def test_directories_are_made_and_opened(client: Client, disposition: int) -> None:
    client.engine.make_directory("there")
    name = "new" if disposition == FILE_CREATE else "there"
    frame = client.frames.create(
        name, create_disposition=disposition, create_options=FILE_DIRECTORY_FILE
    )
    assert client.ok(frame, CreateResponse).file_attributes & ATTR_DIRECTORY
    assert (client.engine.folder / name).is_dir()


def test_the_options_want_the_other_kind(client: Client) -> None:
    client.engine.make_directory("dir")
    client.engine.make_file("file")
    frame = client.frames.open("dir", create_options=FILE_NON_DIRECTORY_FILE)
    assert client.status(frame) is NtStatus.FILE_IS_A_DIRECTORY
    frame = client.frames.open("file", create_options=FILE_DIRECTORY_FILE)
    assert client.status(frame) is NtStatus.NOT_A_DIRECTORY


def test_overwriting_gives_new_attributes_and_takes_the_eas(client: Client) -> None:
    path = client.engine.make_file("file", b"content")
    os.setxattr(path, "user.colour", b"red")
    body = client.ok(
        client.frames.create(
            "file", create_disposition=FILE_OVERWRITE, file_attributes=ATTR_HIDDEN
        ),
        CreateResponse,
    )
    assert body.file_attributes == ATTR_HIDDEN | ATTR_ARCHIVE
    assert body.end_of_file == 0
    assert "user.colour" not in os.listxattr(path)


@pytest.mark.parametrize("attribute", [ATTR_HIDDEN, ATTR_SYSTEM])
def test_a_hidden_file_is_overwritten_only_as_such(client: Client, attribute: int) -> None:
    client.open("file", file_attributes=attribute)
    for disposition in REPLACING:
        frame = client.frames.create("file", create_disposition=disposition)
        assert client.status(frame) is DENIED
    assert action(client, "file", FILE_OVERWRITE, file_attributes=attribute) == FILE_OVERWRITTEN


def test_a_dot_file_is_overwritten_though_its_name_hides_it(client: Client) -> None:
    client.engine.make_file(".profile", b"x")
    assert action(client, ".profile", FILE_OVERWRITE) == FILE_OVERWRITTEN


def test_a_name_of_hide_files_hides_and_is_overwritten_all_the_same(folder: Path) -> None:
    client = ready(Engine(folder, shares=[share("data", str(folder), hide=("*.bak", "Desktop"))]))
    for name in ("a.BAK", "desktop"):
        assert client.open(name).response.body(CreateResponse).file_attributes & ATTR_HIDDEN
        assert action(client, name, FILE_OVERWRITE) == FILE_OVERWRITTEN
    assert not client.open("a.txt").response.body(CreateResponse).file_attributes & ATTR_HIDDEN


def test_a_dot_file_that_a_client_has_hidden_is_overwritten_only_as_such(folder: Path) -> None:
    flags = DISK & ~ipc.SHARE_HIDE_DOT_FILES
    client = ready(Engine(folder, shares=[share("data", str(folder), flags)]))
    client.open(".profile", file_attributes=ATTR_HIDDEN)
    frame = client.frames.create(".profile", create_disposition=FILE_OVERWRITE)
    assert client.status(frame) is DENIED


@pytest.mark.parametrize("disposition", REPLACING)
def test_a_read_only_file_is_not_overwritten(client: Client, disposition: int) -> None:
    client.call(client.open("file", file_attributes=ATTR_READONLY).frames.close())
    frame = client.frames.create(
        "file",
        create_disposition=disposition,
        desired_access=FILE_READ_DATA,
        file_attributes=ATTR_READONLY,
    )
    assert client.status(frame) is DENIED


def test_a_create_that_fails_leaves_nothing(client: Client) -> None:
    client.engine.server.opens.limit = 0
    assert client.status(client.frames.create("new")) is NtStatus.TOO_MANY_OPENED_FILES
    assert list(client.engine.folder.iterdir()) == []


def test_more_opens_than_there_may_be_are_refused(client: Client) -> None:
    client.engine.server.opens.limit = 2
    first = client.open("1")
    client.open("2")
    assert client.status(client.frames.create("3")) is NtStatus.TOO_MANY_OPENED_FILES
    client.call(first.frames.close())
    client.open("3")


# -- what the response tells -------------------------------------------------------------


def test_the_response_tells_what_stat_does(client: Client) -> None:
    path = client.engine.make_file("file", b"x" * 5000)
    os.utime(path, ns=(1_600_000_000_123_456_700, 1_500_000_000_765_432_100))
    body = client.ok(client.frames.open("file"), CreateResponse)
    st = path.stat()
    assert body.end_of_file == 5000
    assert body.allocation_size == st.st_blocks * 512
    assert ns_from_filetime(body.last_access_time) == st.st_atime_ns
    assert ns_from_filetime(body.last_write_time) == st.st_mtime_ns
    assert ns_from_filetime(body.change_time) // 100 == st.st_ctime_ns // 100
    assert body.oplock_level == 0


def test_a_new_file_is_to_be_archived(client: Client) -> None:
    body = client.ok(client.frames.create("new"), CreateResponse)
    assert body.file_attributes == ATTR_ARCHIVE


def test_a_file_without_attributes_is_normal(client: Client) -> None:
    client.engine.make_file("file")
    body = client.ok(client.frames.open("file"), CreateResponse)
    assert body.file_attributes in {ATTR_NORMAL, ATTR_ARCHIVE}


def test_a_directory_has_no_size(client: Client) -> None:
    client.engine.make_directory("dir")
    body = client.ok(client.frames.open("dir"), CreateResponse)
    assert (body.end_of_file, body.allocation_size) == (0, 0)


def test_file_ids_cannot_be_guessed(client: Client) -> None:
    opens = [client.open("file").ids for _ in range(20)]
    assert len({persistent for persistent, _ in opens}) == 20
    volatile = sorted(v for _, v in opens)
    assert min(b - a for a, b in itertools.pairwise(volatile)) > 1 << 32


def test_attributes_last(client: Client) -> None:
    client.call(client.open("file", file_attributes=ATTR_HIDDEN | ATTR_SYSTEM).frames.close())
    body = client.ok(client.frames.open("file"), CreateResponse)
    assert body.file_attributes == ATTR_HIDDEN | ATTR_SYSTEM | ATTR_ARCHIVE


# -- rights ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("access", "granted"),
    [
        (GENERIC_READ, FILE_GENERIC_READ),
        (GENERIC_WRITE, FILE_GENERIC_WRITE),
        (GENERIC_EXECUTE, 0x1200A0),
        (GENERIC_ALL, FILE_ALL_ACCESS),
        (GENERIC_READ | DELETE, FILE_GENERIC_READ | DELETE),
        (FILE_READ_DATA, FILE_READ_DATA),
        (FILE_READ_ATTRIBUTES | SYNCHRONIZE, FILE_READ_ATTRIBUTES | SYNCHRONIZE),
        (MAXIMUM_ALLOWED, FILE_ALL_ACCESS),
        (MAXIMUM_ALLOWED | FILE_READ_DATA, FILE_ALL_ACCESS),
    ],
)
@pytest.mark.parametrize("new", [True, False])
def test_what_is_granted(client: Client, access: int, granted: int, new: bool) -> None:
    if not new:
        client.engine.make_file("file")
    client.open("file", desired_access=access)
    (open,) = client.engine.server.opens.all()
    assert open.granted_access == granted


@root_only
def test_what_the_mode_does_not_give_is_denied(client: Client) -> None:
    path = client.engine.make_file("file", b"secret")
    os.chown(path, 0, 0)
    path.chmod(0o640)
    for access in (FILE_READ_DATA, FILE_WRITE_DATA, WRITE_DAC, WRITE_OWNER, FILE_EXECUTE):
        assert client.status(client.frames.open("file", desired_access=access)) is DENIED
    client.open("file", desired_access=FILE_READ_ATTRIBUTES)


@root_only
def test_maximum_allowed_of_a_foreign_file_is_what_the_mode_gives(client: Client) -> None:
    path = client.engine.make_file("file", b"public")
    os.chown(path, 0, 0)
    path.chmod(0o644)
    file = client.open("file", desired_access=MAXIMUM_ALLOWED)
    assert client.call(file.frames.read(6)).data == b"public"
    assert client.status(file.frames.write(b"x")) is DENIED


@root_only
def test_a_directory_of_somebody_else_takes_no_new_files(client: Client) -> None:
    path = client.engine.make_directory("dir")
    os.chown(path, 0, 0)
    path.chmod(0o755)
    assert client.status(client.frames.create("dir\\new")) is DENIED
    frame = client.frames.create("dir\\new", create_options=FILE_DIRECTORY_FILE)
    assert client.status(frame) is DENIED
    assert os.listdir(path) == []


@root_only
def test_overwriting_without_the_right_to_write_is_denied(client: Client) -> None:
    """CVE-2023-4091: an open for reading alone must not truncate."""
    path = client.engine.make_file("file", b"content")
    os.chown(path, 0, 0)
    path.chmod(0o644)
    for disposition in REPLACING:
        frame = client.frames.create(
            "file", create_disposition=disposition, desired_access=FILE_READ_DATA
        )
        assert client.status(frame) is DENIED
    assert path.read_bytes() == b"content"


@pytest.mark.parametrize("access", [FILE_WRITE_DATA, FILE_APPEND_DATA, GENERIC_ALL])
def test_a_read_only_file_is_not_opened_for_writing(client: Client, access: int) -> None:
    client.call(client.open("file", file_attributes=ATTR_READONLY).frames.close())
    assert client.status(client.frames.open("file", desired_access=access)) is DENIED
    client.open("file", desired_access=FILE_READ_DATA | FILE_WRITE_ATTRIBUTES)


def test_maximum_allowed_of_a_read_only_file_is_without_writing(client: Client) -> None:
    client.call(client.open("file", file_attributes=ATTR_READONLY).frames.close())
    file = client.open("file", desired_access=MAXIMUM_ALLOWED)
    assert client.status(file.frames.write(b"x")) is DENIED


def test_a_new_read_only_file_may_be_written_by_who_made_it(client: Client) -> None:
    file = client.open("file", file_attributes=ATTR_READONLY)
    assert client.status(file.frames.write(b"x")) is OK


# -- the read-only share -----------------------------------------------------------------


@pytest.fixture
def reader(engine: Engine) -> Client:
    engine.make_file("file", b"content")
    return ready(engine, share="ro")


@pytest.mark.parametrize(
    "access",
    [FILE_WRITE_DATA, FILE_APPEND_DATA, FILE_WRITE_ATTRIBUTES, DELETE, WRITE_DAC, WRITE_OWNER,
     GENERIC_WRITE, GENERIC_ALL, FILE_READ_DATA | DELETE],
)  # fmt: skip
def test_a_read_only_share_grants_no_change(reader: Client, access: int) -> None:
    assert reader.status(reader.frames.open("file", desired_access=access)) is DENIED


@pytest.mark.parametrize("disposition", CREATING)
def test_a_read_only_share_takes_nothing_new(reader: Client, disposition: int) -> None:
    frame = reader.frames.create(
        "new", create_disposition=disposition, desired_access=FILE_READ_DATA
    )
    assert reader.status(frame) is DENIED
    assert os.listdir(reader.engine.folder) == ["file"]


@pytest.mark.parametrize("disposition", REPLACING)
def test_a_read_only_share_loses_nothing(reader: Client, disposition: int) -> None:
    frame = reader.frames.create(
        "file", create_disposition=disposition, desired_access=FILE_READ_DATA
    )
    assert reader.status(frame) is DENIED
    assert (reader.engine.folder / "file").read_bytes() == b"content"


def test_a_read_only_share_can_be_read(reader: Client) -> None:
    for access in (GENERIC_READ, MAXIMUM_ALLOWED):
        file = reader.open("file", desired_access=access, create_disposition=FILE_OPEN)
        assert reader.call(file.frames.read(7)).data == b"content"
        assert reader.status(file.frames.write(b"x")) is DENIED


def test_delete_on_close_on_a_read_only_share_is_denied(reader: Client) -> None:
    frame = reader.frames.open(
        "file", desired_access=MAXIMUM_ALLOWED, create_options=FILE_DELETE_ON_CLOSE
    )
    assert reader.status(frame) is DENIED
    assert (reader.engine.folder / "file").exists()


def test_flags_of_the_configuration_make_a_share_read_only(folder: Path) -> None:
    engine = Engine(folder, shares=[share("data", str(folder), READ_ONLY)])
    client = ready(engine)
    assert client.status(client.frames.create("new")) is DENIED


# -- sharing and deletion ----------------------------------------------------------------


def test_who_does_not_share_excludes(client: Client) -> None:
    client.open("file", share_access=0)
    other = ready(client.engine)
    violation = NtStatus.SHARING_VIOLATION
    assert other.status(other.frames.open("file")) is violation
    assert other.status(other.frames.open("file", desired_access=FILE_READ_DATA)) is violation
    other.open("file", desired_access=FILE_READ_ATTRIBUTES | SYNCHRONIZE, share_access=0)


def test_an_open_that_is_refused_truncates_nothing(client: Client) -> None:
    client.engine.make_file("file", b"content")
    client.open("file", share_access=0, desired_access=FILE_READ_DATA)
    for disposition in REPLACING:
        frame = client.frames.create("file", create_disposition=disposition)
        assert client.status(frame) is NtStatus.SHARING_VIOLATION
    assert (client.engine.folder / "file").read_bytes() == b"content"


@pytest.mark.parametrize("shared", [FILE_SHARE_READ, FILE_SHARE_READ | FILE_SHARE_DELETE])
@pytest.mark.parametrize("access", [FILE_READ_DATA, FILE_READ_ATTRIBUTES])
def test_overwriting_takes_what_others_share_even_for_who_reads(
    client: Client, access: int, shared: int
) -> None:
    """The disposition writes, or deletes what it supersedes, whatever access is asked for."""
    client.engine.make_file("file", b"content")
    client.open("file", share_access=shared, desired_access=FILE_READ_DATA)
    other = ready(client.engine)
    for disposition in REPLACING:
        allowed = disposition == FILE_SUPERSEDE and bool(shared & FILE_SHARE_DELETE)
        if not allowed:
            frame = other.frames.create(
                "file", create_disposition=disposition, desired_access=access
            )
            assert other.status(frame) is NtStatus.SHARING_VIOLATION
    assert (client.engine.folder / "file").read_bytes() == b"content"
    if shared & FILE_SHARE_DELETE:
        assert action(other, "file", FILE_SUPERSEDE, desired_access=access) == FILE_SUPERSEDED


def test_hard_links_share_one_file(client: Client) -> None:
    path = client.engine.make_file("file")
    os.link(path, path.with_name("link"))
    client.open("file", share_access=0)
    assert client.status(client.frames.open("link")) is NtStatus.SHARING_VIOLATION


def test_delete_on_close_deletes_on_close(client: Client) -> None:
    file = client.open("doomed", create_options=FILE_DELETE_ON_CLOSE)
    path = client.engine.folder / "doomed"
    assert path.exists()
    client.call(file.frames.close())
    assert not path.exists()


def test_delete_on_close_waits_for_the_last(client: Client) -> None:
    first = client.open("doomed", create_options=FILE_DELETE_ON_CLOSE)
    second = client.open("doomed")
    client.call(first.frames.close())
    path = client.engine.folder / "doomed"
    assert path.exists()
    assert client.status(client.frames.open("doomed")) is NtStatus.DELETE_PENDING
    assert client.status(second.frames.write(b"still here")) is OK
    client.call(second.frames.close())
    assert not path.exists()


def test_delete_on_close_of_a_directory_with_something_in_it_leaves_it(client: Client) -> None:
    client.engine.make_directory("dir")
    client.engine.make_file("dir/file")
    response = client.call(
        client.frames.open("dir", create_options=FILE_DELETE_ON_CLOSE | FILE_DIRECTORY_FILE)
    )
    if response.status is OK:
        client.call(client.file(response).frames.close())
    assert (client.engine.folder / "dir" / "file").exists()


def test_nothing_is_made_in_a_directory_that_is_going(client: Client) -> None:
    client.engine.make_directory("dir")
    doomed = client.open("dir", create_options=FILE_DELETE_ON_CLOSE | FILE_DIRECTORY_FILE)
    other = client.open("dir", create_options=FILE_DIRECTORY_FILE)
    client.call(doomed.frames.close())
    assert client.status(client.frames.create("dir\\new")) is NtStatus.DELETE_PENDING
    client.call(other.frames.close())
    assert os.listdir(client.engine.folder) == []


@root_only
def test_delete_on_close_of_what_may_not_be_deleted_is_denied(client: Client) -> None:
    folder = client.engine.make_directory("dir")
    path = client.engine.make_file("dir/file")
    for of_root in (folder, path):
        os.chown(of_root, 0, 0)
        of_root.chmod(0o755)
    frame = client.frames.open(
        "dir\\file", desired_access=MAXIMUM_ALLOWED, create_options=FILE_DELETE_ON_CLOSE
    )
    assert client.status(frame) is DENIED
    assert path.exists()


def test_delete_on_close_of_a_read_only_file_is_refused(client: Client) -> None:
    client.call(client.open("file", file_attributes=ATTR_READONLY).frames.close())
    frame = client.frames.open("file", desired_access=DELETE, create_options=FILE_DELETE_ON_CLOSE)
    assert client.status(frame) is NtStatus.CANNOT_DELETE
    frame = client.frames.create(
        "new", file_attributes=ATTR_READONLY, create_options=FILE_DELETE_ON_CLOSE
    )
    assert client.status(frame) is NtStatus.CANNOT_DELETE
    assert os.listdir(client.engine.folder) == ["file"]


def test_delete_on_close_when_the_connection_is_lost(client: Client) -> None:
    client.open("doomed", create_options=FILE_DELETE_ON_CLOSE)
    client.lose()
    assert os.listdir(client.engine.folder) == []
    client.engine.assert_idle()


def test_no_descriptor_is_left_over(client: Client) -> None:
    def count() -> int:
        gc.collect()  # what earlier tests have left is not ours
        return len(os.listdir("/proc/self/fd"))

    changes: list[dict[str, Any]] = [
        {},
        {"create_disposition": FILE_CREATE},
        {"create_disposition": FILE_OPEN},
        {"create_options": FILE_DIRECTORY_FILE},
        {"desired_access": 0x0400_0000},
    ]
    client.engine.make_file("file")
    before = count()
    for name in ("file", "new", "..", "missing\\x", "a*"):
        for change in changes:
            response = client.call(client.frames.create(name, **change))
            if response.status is OK:
                client.call(client.file(response).frames.close())
    assert count() == before
