"""commands/set_rename.py: new names, second names, and who stands in their way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ksmbd.vfs.sid import EVERYONE
from ksmbd.wire import file_info, ipc
from ksmbd.wire.access import (
    ATTR_READONLY,
    DELETE,
    FILE_ADD_FILE,
    FILE_ADD_SUBDIRECTORY,
    FILE_ALL_ACCESS,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_LIST_DIRECTORY,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_SHARE_READ,
    FILE_SHARE_WRITE,
    FILE_WRITE_DATA,
)
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.support.apple import agree
from tests.support.client import Client, File, ready
from tests.support.descriptors import allow, deny, set_dacl
from tests.support.engine import Engine, give_to_joe
from tests.support.mountd import DISK, share

REPLACE, POSIX = file_info.REPLACE_IF_EXISTS, file_info.POSIX_SEMANTICS
CLASSES = (FileInfo.RENAME, FileInfo.LINK)


def naming(name: str, *, replace: bool = False, root: int = 0) -> bytes:
    """FileRenameInformation, which FileLinkInformation is like."""
    raw = utf16(name)
    head = file_info.FileRenameInformation(
        replace_if_exists=replace, root_directory=root, file_name_length=len(raw)
    )
    return head.pack() + raw


def naming_ex(name: str, flags: int) -> bytes:
    raw = utf16(name)
    return file_info.FileRenameInformationEx(flags=flags, file_name_length=len(raw)).pack() + raw


def rename(client: Client, file: File, name: str, *, replace: bool = False) -> NtStatus:
    data = naming(name, replace=replace)
    return client.status(file.frames.set_info(FileInfo.RENAME, data))


def rename_ex(client: Client, file: File, name: str, flags: int) -> NtStatus:
    return client.status(file.frames.set_info(FileInfo.RENAME_EX, naming_ex(name, flags)))


def link(client: Client, file: File, name: str, *, replace: bool = False) -> NtStatus:
    data = naming(name, replace=replace)
    return client.status(file.frames.set_info(FileInfo.LINK, data))


def name_of(client: Client, file: File) -> str:
    data = client.call(file.frames.query_info(FileInfo.NAME)).data
    return file_info.unpack_named(file_info.FileNameInformation, data)[1]


def close(client: Client, *files: File) -> None:
    for file in files:
        assert client.status(file.frames.close()) is NtStatus.SUCCESS


# -- rename ------------------------------------------------------------------------------


def test_a_file_gets_a_new_name(client: Client, engine: Engine) -> None:
    path = engine.make_file("old", b"data")
    file = client.open("old")
    assert rename(client, file, "new") is NtStatus.SUCCESS
    assert not path.exists()
    assert path.with_name("new").read_bytes() == b"data"
    assert name_of(client, file) == "\\new"


def test_a_file_moves_to_another_directory(client: Client, engine: Engine) -> None:
    engine.make_directory("dir")
    engine.make_file("file")
    file = client.open("file")
    assert rename(client, file, "DIR\\Moved") is NtStatus.SUCCESS
    assert (engine.folder / "dir" / "Moved").exists()
    assert name_of(client, file) == "\\dir\\Moved"


def test_a_directory_moves_with_what_is_in_it(client: Client, engine: Engine) -> None:
    engine.make_directory("old")
    engine.make_file("old/file")
    file = client.open("old")
    assert rename(client, file, "new") is NtStatus.SUCCESS
    assert (engine.folder / "new" / "file").exists()


def test_the_case_of_a_name_changes_without_replacing(client: Client, engine: Engine) -> None:
    engine.make_file("name")
    file = client.open("name")
    assert rename(client, file, "NAME") is NtStatus.SUCCESS
    assert os.listdir(engine.folder) == ["NAME"]
    assert rename(client, file, "NAME") is NtStatus.SUCCESS
    assert name_of(client, file) == "\\NAME"


def test_all_opens_of_a_file_have_the_new_name(client: Client, engine: Engine) -> None:
    engine.make_file("old")
    file, other = client.open("old"), client.open("old")
    assert rename(client, file, "new") is NtStatus.SUCCESS
    assert name_of(client, other) == "\\new"


def test_a_link_s_other_name_stays(client: Client, engine: Engine) -> None:
    os.link(engine.make_file("one"), engine.folder / "two")
    one, two = client.open("one"), client.open("two")
    assert rename(client, one, "three") is NtStatus.SUCCESS
    assert name_of(client, two) == "\\two"


def test_a_deletion_follows_the_new_name(client: Client, engine: Engine) -> None:
    path = engine.make_file("old")
    file = client.open("old", create_options=FILE_DELETE_ON_CLOSE)
    other = client.open("old")
    assert rename(client, file, "new") is NtStatus.SUCCESS
    engine.make_file("old")
    close(client, file, other)
    assert path.exists()
    assert not path.with_name("new").exists()


def test_a_pending_deletion_follows_the_new_name(client: Client, engine: Engine) -> None:
    path = engine.make_file("old")
    file = client.open("old")
    client.status(file.frames.set_info(FileInfo.DISPOSITION, b"\1"))
    assert rename(client, file, "new") is NtStatus.SUCCESS
    close(client, file)
    assert not path.exists()
    assert not path.with_name("new").exists()


@pytest.mark.parametrize("set_class", CLASSES)
def test_what_exists_is_in_the_way(client: Client, engine: Engine, set_class: int) -> None:
    engine.make_file("file")
    path = engine.make_file("Other", b"other")
    file = client.open("file")
    refused = client.status(file.frames.set_info(set_class, naming("oTHER")))
    assert refused is NtStatus.OBJECT_NAME_COLLISION
    assert path.read_bytes() == b"other"


def test_what_exists_is_replaced_if_the_client_says_so(client: Client, engine: Engine) -> None:
    engine.make_file("file", b"file")
    engine.make_file("Other", b"other")
    file = client.open("file")
    assert rename(client, file, "oTHER", replace=True) is NtStatus.SUCCESS
    assert os.listdir(engine.folder) == ["oTHER"]
    assert (engine.folder / "oTHER").read_bytes() == b"file"


@pytest.mark.parametrize("set_class", CLASSES)
def test_an_open_file_is_not_replaced(client: Client, engine: Engine, set_class: int) -> None:
    engine.make_file("file")
    path = engine.make_file("other", b"other")
    file = client.open("file")
    client.open("other", desired_access=FILE_READ_ATTRIBUTES)
    refused = client.status(file.frames.set_info(set_class, naming("other", replace=True)))
    assert refused is NtStatus.ACCESS_DENIED
    assert path.read_bytes() == b"other"


@pytest.mark.parametrize("set_class", CLASSES)
def test_a_directory_is_not_replaced(client: Client, engine: Engine, set_class: int) -> None:
    engine.make_file("file")
    engine.make_directory("dir")
    file = client.open("file")
    refused = client.status(file.frames.set_info(set_class, naming("dir", replace=True)))
    assert refused is NtStatus.ACCESS_DENIED


def test_a_directory_replaces_nothing(client: Client, engine: Engine) -> None:
    engine.make_directory("dir")
    engine.make_file("file")
    directory = client.open("dir")
    assert rename(client, directory, "file", replace=True) is NtStatus.ACCESS_DENIED


@pytest.mark.parametrize("set_class", CLASSES)
def test_a_read_only_file_is_not_replaced(client: Client, set_class: int) -> None:
    file = client.open("file")
    close(client, client.open("other", file_attributes=ATTR_READONLY))
    refused = client.status(file.frames.set_info(set_class, naming("other", replace=True)))
    assert refused is NtStatus.ACCESS_DENIED


def test_posix_semantics_replace_an_open_file_that_lives_on(client: Client, engine: Engine) -> None:
    engine.make_file("file", b"file")
    engine.make_file("other", b"other")
    file, other = client.open("file"), client.open("other")
    assert rename_ex(client, file, "other", REPLACE | POSIX) is NtStatus.SUCCESS
    assert client.call(other.frames.read(5)).data == b"other"
    close(client, other, file)
    assert (engine.folder / "other").read_bytes() == b"file"


def test_posix_semantics_respect_who_shares_no_deletion(client: Client, engine: Engine) -> None:
    engine.make_file("file")
    engine.make_file("other")
    file = client.open("file")
    client.open("other", share_access=FILE_SHARE_READ, desired_access=FILE_READ_DATA)
    refused = rename_ex(client, file, "other", REPLACE | POSIX)
    assert refused is NtStatus.SHARING_VIOLATION


def test_a_file_replaced_while_it_was_to_be_deleted_takes_nothing_with_it(
    client: Client, engine: Engine
) -> None:
    engine.make_file("file", b"file")
    engine.make_file("other")
    file = client.open("file")
    other = client.open("other", create_options=FILE_DELETE_ON_CLOSE)
    assert rename_ex(client, file, "other", REPLACE | POSIX) is NtStatus.SUCCESS
    close(client, other)
    assert (engine.folder / "other").read_bytes() == b"file"


def test_posix_semantics_replace_an_empty_directory(client: Client, engine: Engine) -> None:
    for name in ("one", "two"):
        engine.make_directory(name)
    engine.make_file("two/file")
    one = client.open("one")
    refused = rename_ex(client, one, "two", REPLACE | POSIX)
    assert refused is NtStatus.DIRECTORY_NOT_EMPTY
    (engine.folder / "two" / "file").unlink()
    assert rename_ex(client, one, "two", REPLACE | POSIX) is NtStatus.SUCCESS
    assert os.listdir(engine.folder) == ["two"]


def test_rename_ex_without_flags_replaces_nothing(client: Client, engine: Engine) -> None:
    engine.make_file("file")
    engine.make_file("other")
    file = client.open("file")
    assert rename_ex(client, file, "other", 0) is NtStatus.OBJECT_NAME_COLLISION
    assert rename_ex(client, file, "third", 0) is NtStatus.SUCCESS


def test_rename_ex_can_ignore_that_a_target_is_read_only(client: Client) -> None:
    file = client.open("file")
    close(client, client.open("other", file_attributes=ATTR_READONLY))
    assert rename_ex(client, file, "other", REPLACE) is NtStatus.ACCESS_DENIED
    flags = REPLACE | file_info.IGNORE_READONLY_ATTRIBUTE
    assert rename_ex(client, file, "other", flags) is NtStatus.SUCCESS


# -- names -------------------------------------------------------------------------------


@pytest.mark.parametrize("set_class", CLASSES)
@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("", NtStatus.INVALID_PARAMETER),
        ("\\", NtStatus.INVALID_PARAMETER),
        ("\\\\new", NtStatus.OBJECT_NAME_INVALID),
        ("missing\\new", NtStatus.OBJECT_PATH_NOT_FOUND),
        ("other\\new", NtStatus.OBJECT_PATH_NOT_FOUND),
        ("a*", NtStatus.OBJECT_NAME_INVALID),
        ("missing/b", NtStatus.OBJECT_PATH_NOT_FOUND),
        ("dir//b", NtStatus.OBJECT_NAME_INVALID),
        ("a\\..\\b", NtStatus.OBJECT_NAME_INVALID),
        ("..", NtStatus.OBJECT_NAME_INVALID),
        ("file:stream", NtStatus.OBJECT_NAME_INVALID),
        ("x" * 256, NtStatus.OBJECT_NAME_INVALID),
        ("a\x1f", NtStatus.OBJECT_NAME_INVALID),
        ("dir\\", NtStatus.OBJECT_NAME_INVALID),
    ],
)
def test_names_that_are_none(
    client: Client, engine: Engine, set_class: int, name: str, status: NtStatus
) -> None:
    engine.make_file("file")
    engine.make_file("other")
    engine.make_directory("dir")
    file = client.open("file")
    assert client.status(file.frames.set_info(set_class, naming(name))) is status
    assert sorted(os.listdir(engine.folder)) == ["dir", "file", "other"]


@pytest.mark.parametrize("set_class", CLASSES)
def test_names_are_relative_to_the_share_and_nothing_else(client: Client, set_class: int) -> None:
    file = client.open("file")
    refused = client.status(file.frames.set_info(set_class, naming("new", root=1)))
    assert refused is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("set_class", [*CLASSES, FileInfo.RENAME_EX, FileInfo.LINK_EX])
def test_a_name_longer_than_the_buffer_is_refused(client: Client, set_class: int) -> None:
    file = client.open("file")
    data = naming("newname")
    for length in range(20, len(data)):
        refused = client.status(file.frames.set_info(set_class, data[:length]))
        assert refused is NtStatus.INVALID_PARAMETER
    odd = data[:16] + (13).to_bytes(4, "little") + data[20:]
    assert client.status(file.frames.set_info(set_class, odd)) is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("set_class", CLASSES)
def test_a_name_may_begin_at_the_root(client: Client, engine: Engine, set_class: int) -> None:
    file = client.open("file")
    data = naming("\\new")
    assert client.status(file.frames.set_info(set_class, data)) is NtStatus.SUCCESS
    assert (engine.folder / "new").exists()


def test_bytes_behind_the_name_are_padding(client: Client, engine: Engine) -> None:
    file = client.open("file")
    data = naming("n") + bytes(4)
    assert client.status(file.frames.set_info(FileInfo.RENAME, data)) is NtStatus.SUCCESS
    assert os.listdir(engine.folder) == ["n"]


# -- who stands in the way ---------------------------------------------------------------


def test_the_root_of_a_share_has_no_name_to_change(client: Client) -> None:
    assert rename(client, client.open(""), "new") is NtStatus.ACCESS_DENIED


def test_nothing_takes_the_place_of_the_root(client: Client) -> None:
    file = client.open("file")
    assert rename(client, file, "", replace=True) is NtStatus.INVALID_PARAMETER


def test_a_rename_needs_the_right_to_delete(client: Client) -> None:
    client.open("file")
    file = client.open("file", desired_access=FILE_ALL_ACCESS & ~DELETE)
    assert rename(client, file, "new") is NtStatus.ACCESS_DENIED


def test_a_directory_with_an_open_file_below_stays(client: Client, engine: Engine) -> None:
    engine.make_directory("dir")
    engine.make_directory("dir/below")
    engine.make_file("dir/below/file")
    engine.make_directory("dir2")
    directory = client.open("dir")
    below = client.open("dir\\below\\file", desired_access=FILE_READ_ATTRIBUTES)
    assert rename(client, directory, "new") is NtStatus.ACCESS_DENIED
    close(client, below)
    beside = client.open("dir2")
    assert rename(client, directory, "new") is NtStatus.SUCCESS
    close(client, beside)


@pytest.fixture
def macs(engine: Engine, folder: Path) -> Engine:
    """A server whose share is for Macs."""
    return Engine(folder, shares=[share("data", str(folder), DISK | ipc.SHARE_AAPL)])


def test_a_mac_moves_a_directory_in_which_macs_have_files_open(macs: Engine) -> None:
    macs.make_directory("dir")
    macs.make_directory("dir/below")
    macs.make_file("dir/below/file", b"data")
    client, other = agree(ready(macs)), agree(ready(macs))
    directory = client.open("dir")
    below = other.open(
        "dir\\below", create_options=FILE_DIRECTORY_FILE, desired_access=FILE_LIST_DIRECTORY
    )
    file, doomed = other.open("dir\\below\\file"), other.open("dir\\below\\doomed")
    assert other.status(doomed.frames.set_info(FileInfo.DISPOSITION, b"\1")) is NtStatus.SUCCESS
    assert rename(client, directory, "new") is NtStatus.SUCCESS
    assert other.call(file.frames.read(4)).data == b"data"
    close(other, doomed)
    assert sorted(path.name for path in (macs.folder / "new/below").iterdir()) == ["file"]
    assert rename(other, file, "new\\below\\renamed") is NtStatus.SUCCESS
    assert (macs.folder / "new/below/renamed").read_bytes() == b"data"
    names = bytes(other.call(below.frames.query_directory()).data)
    assert "renamed".encode("utf-16-le") in names


def test_a_mac_does_not_move_what_somebody_else_has_open(macs: Engine) -> None:
    macs.make_directory("dir")
    macs.make_file("dir/file")
    client, other = agree(ready(macs)), ready(macs)
    directory = client.open("dir")
    file = other.open("dir\\file")
    assert rename(client, directory, "new") is NtStatus.ACCESS_DENIED
    close(other, file)
    client.open("dir\\file")
    assert rename(other, other.open("dir"), "new") is NtStatus.ACCESS_DENIED
    assert rename(client, directory, "new") is NtStatus.SUCCESS


def test_a_directory_does_not_move_into_itself(client: Client, engine: Engine) -> None:
    engine.make_directory("dir")
    directory = client.open("dir", desired_access=FILE_READ_ATTRIBUTES | DELETE)
    assert rename(client, directory, "dir\\below") is NtStatus.SHARING_VIOLATION


@pytest.mark.parametrize("set_class", CLASSES)
@pytest.mark.parametrize(
    ("access", "shared", "status"),
    [
        (FILE_READ_DATA | DELETE, 7, NtStatus.SHARING_VIOLATION),
        (FILE_READ_DATA, FILE_SHARE_READ, NtStatus.SHARING_VIOLATION),
        (FILE_READ_DATA, FILE_SHARE_READ | FILE_SHARE_WRITE, NtStatus.SUCCESS),
        (FILE_READ_DATA | FILE_ADD_FILE, 7, NtStatus.SUCCESS),
        (FILE_READ_ATTRIBUTES, 0, NtStatus.SUCCESS),
    ],
)
def test_opens_of_the_new_parent_share_its_change_or_not(
    client: Client, engine: Engine, set_class: int, access: int, shared: int, status: NtStatus
) -> None:
    engine.make_directory("dir")
    engine.make_file("dir/file")
    client.open("dir", desired_access=access, share_access=shared)
    file = client.open("dir\\file")
    assert client.status(file.frames.set_info(set_class, naming("dir\\new"))) is status


@pytest.mark.parametrize("set_class", CLASSES)
def test_nothing_moves_into_a_directory_that_is_to_be_deleted(
    client: Client, engine: Engine, set_class: int
) -> None:
    engine.make_directory("dir")
    directory, file = client.open("dir"), client.open("file")
    client.status(directory.frames.set_info(FileInfo.DISPOSITION, b"\1"))
    refused = client.status(file.frames.set_info(set_class, naming("dir\\new")))
    assert refused is NtStatus.DELETE_PENDING


@pytest.mark.parametrize("set_class", CLASSES)
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(
    ("denied", "status"),
    [(FILE_ADD_FILE, NtStatus.ACCESS_DENIED), (FILE_ADD_SUBDIRECTORY, NtStatus.SUCCESS)],
)
def test_what_takes_the_place_of_another_file_is_added_to_its_folder(
    engine: Engine, set_class: int, there: bool, denied: int, status: NtStatus
) -> None:
    """[MS-FSA] 2.1.5.15.11: to be allowed to delete the file that is there is not enough."""
    flags = DISK | ipc.SHARE_ACL_XATTR | ipc.SHARE_ACL_ALONE
    client = ready(Engine(engine.folder, shares=[share("data", str(engine.folder), flags)]))
    file = client.open("file")
    folder = client.open("dir", create_options=FILE_DIRECTORY_FILE)
    if there:
        client.call(client.open("dir\\file").frames.close())
    everything = allow(EVERYONE, FILE_ALL_ACCESS)
    set_dacl(client, folder, deny(EVERYONE, denied), everything)
    client.call(folder.frames.close())
    data = naming("dir\\file", replace=True)
    assert client.status(file.frames.set_info(set_class, data)) is status


def test_a_vetoed_name_is_given_to_nothing(folder: Path) -> None:
    engine = Engine(folder, shares=[share("data", str(folder), DISK, veto=("secret*",))])
    client = ready(engine)
    file = client.open("file")
    assert rename(client, file, "secret1") is NtStatus.ACCESS_DENIED
    engine.make_file("Secret2")
    assert rename(client, file, "Secret2", replace=True) is NtStatus.ACCESS_DENIED
    assert link(client, file, "secret3") is NtStatus.ACCESS_DENIED


@pytest.mark.parametrize("set_class", CLASSES)
def test_the_new_parent_must_be_writable(engine: Engine, set_class: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to make a directory of somebody else's")
    (engine.folder / "dir").mkdir(mode=0o755)
    client = ready(engine)
    file = client.open("file")
    refused = client.status(file.frames.set_info(set_class, naming("dir\\new")))
    assert refused is NtStatus.ACCESS_DENIED


def test_a_target_that_one_may_not_delete_is_not_replaced(engine: Engine) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to make a file of somebody else's")
    directory = engine.make_directory("dir")
    directory.chmod(0o1777)
    os.chown(directory, 0, 0)
    other = directory / "other"
    other.write_bytes(b"other")
    give_to_joe(engine.make_file("dir/file"))
    client = ready(engine)
    file = client.open("dir\\file")
    assert rename(client, file, "dir\\other", replace=True) is NtStatus.ACCESS_DENIED
    assert other.read_bytes() == b"other"


def test_a_file_that_was_removed_behind_our_back_is_not_found(
    client: Client, engine: Engine
) -> None:
    path = engine.make_file("file")
    file = client.open("file")
    path.unlink()
    path.write_bytes(b"another")
    assert rename(client, file, "new") is NtStatus.OBJECT_NAME_NOT_FOUND
    assert path.read_bytes() == b"another"


# -- hard links --------------------------------------------------------------------------


def test_a_file_gets_a_second_name(client: Client, engine: Engine) -> None:
    path = engine.make_file("file", b"data")
    file = client.open("file")
    assert link(client, file, "Second") is NtStatus.SUCCESS
    assert path.with_name("Second").samefile(path)
    assert name_of(client, file) == "\\file"


def test_a_link_replaces_a_file_if_the_client_says_so(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    engine.make_file("other")
    file = client.open("file")
    assert link(client, file, "other", replace=True) is NtStatus.SUCCESS
    assert path.with_name("other").samefile(path)
    assert sorted(os.listdir(engine.folder)) == ["file", "other"]


def test_link_ex_has_flags(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    engine.make_file("other", b"other")
    file, other = client.open("file"), client.open("other")
    frames = file.frames
    for flags, status in (
        (0, NtStatus.OBJECT_NAME_COLLISION),
        (REPLACE, NtStatus.ACCESS_DENIED),
        (REPLACE | POSIX, NtStatus.SUCCESS),
    ):
        data = naming_ex("other", flags)
        assert client.status(frames.set_info(FileInfo.LINK_EX, data)) is status
    assert path.with_name("other").samefile(path)
    assert client.call(other.frames.read(5)).data == b"other"


def test_a_link_to_its_own_name_is_there_already(client: Client, engine: Engine) -> None:
    engine.make_file("file")
    file = client.open("file")
    assert link(client, file, "file") is NtStatus.OBJECT_NAME_COLLISION
    assert link(client, file, "FILE", replace=True) is NtStatus.SUCCESS
    assert len(os.listdir(engine.folder)) == 1


def test_a_directory_has_one_name(client: Client) -> None:
    directory = client.open("dir", create_options=FILE_DIRECTORY_FILE)
    assert link(client, directory, "new") is NtStatus.FILE_IS_A_DIRECTORY


def test_what_is_to_be_deleted_gets_no_more_names(client: Client) -> None:
    file = client.open("file")
    client.status(file.frames.set_info(FileInfo.DISPOSITION, b"\1"))
    assert link(client, file, "new") is NtStatus.ACCESS_DENIED


def test_a_link_needs_no_right_to_the_file(client: Client, engine: Engine) -> None:
    """Linux' client opens the file for its attributes only."""
    path = engine.make_file("file")
    file = client.open("file", desired_access=FILE_READ_ATTRIBUTES)
    assert link(client, file, "new") is NtStatus.SUCCESS
    assert path.with_name("new").samefile(path)


def test_an_open_that_shares_no_deletion_stands_in_the_way_of_a_rename_only(
    client: Client, engine: Engine
) -> None:
    engine.make_file("file")
    access = FILE_READ_DATA | FILE_WRITE_DATA
    file = client.open("file", desired_access=access, share_access=FILE_SHARE_READ)
    assert link(client, file, "new") is NtStatus.SUCCESS
    assert rename(client, file, "third") is NtStatus.ACCESS_DENIED
