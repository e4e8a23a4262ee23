"""commands/set_file.py: what a client may change of a file, and what follows."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ksmbd.commands.set_file import FILE_SETTINGS
from ksmbd.vfs.stamps import TICK
from ksmbd.wire import file_chains, file_info
from ksmbd.wire.access import (
    ATTR_ARCHIVE,
    ATTR_DIRECTORY,
    ATTR_HIDDEN,
    ATTR_NORMAL,
    ATTR_READONLY,
    ATTR_SYSTEM,
    ATTR_TEMPORARY,
    FILE_ALL_ACCESS,
    FILE_APPEND_DATA,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_GENERIC_READ,
    FILE_GENERIC_WRITE,
    FILE_NO_EA_KNOWLEDGE,
    FILE_OPEN,
    FILE_READ_DATA,
    FILE_WRITE_ATTRIBUTES,
)
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.query_info import RESTART_SCAN
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import filetime_from_ns, ns_from_filetime
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.frames import Frame

T1 = filetime_from_ns(1_500_000_000_000_000_000)
T2 = filetime_from_ns(1_500_000_111_000_000_000)
T3 = filetime_from_ns(1_500_000_222_000_000_000)


def basic(
    *, created: int = 0, accessed: int = 0, written: int = 0, changed: int = 0, attributes: int = 0
) -> bytes:
    return file_info.FileBasicInformation(
        creation_time=created,
        last_access_time=accessed,
        last_write_time=written,
        change_time=changed,
        file_attributes=attributes,
    ).pack()


def number(value: int, size: int = 8) -> bytes:
    return value.to_bytes(size, "little")


def setting(client: Client, file: File, info_class: int, data: bytes) -> NtStatus:
    return client.status(file.frames.set_info(info_class, data))


def told(client: Client, file: File) -> file_info.FileAllInformation:
    return file_info.FileAllInformation.unpack(client.call(asking(file)).data)


def asking(file: File) -> Frame:
    return file.frames.query_info(FileInfo.ALL)


# -- times and attributes ----------------------------------------------------------------


def test_the_times_are_set(client: Client, engine: Engine) -> None:
    file = client.open("file")
    data = basic(created=T1, accessed=T2, written=T3)
    assert setting(client, file, FileInfo.BASIC, data) is NtStatus.SUCCESS
    found = told(client, file)
    assert (found.creation_time, found.last_access_time, found.last_write_time) == (T1, T2, T3)
    assert (engine.folder / "file").stat().st_mtime_ns == ns_from_filetime(T3)


@pytest.mark.parametrize("value", [file_info.TIME_KEEP, file_info.TIME_FREEZE, file_info.TIME_THAW])
def test_a_time_that_is_none_keeps_the_old_one(client: Client, value: int) -> None:
    file = client.open("file")
    setting(client, file, FileInfo.BASIC, basic(created=T1, accessed=T2, written=T3))
    data = basic(created=value, accessed=value, written=value, changed=value)
    assert setting(client, file, FileInfo.BASIC, data) is NtStatus.SUCCESS
    found = told(client, file)
    assert (found.creation_time, found.last_access_time, found.last_write_time) == (T1, T2, T3)


@pytest.mark.parametrize("field", ["created", "accessed", "written", "changed"])
@pytest.mark.parametrize("value", [1 << 63, file_info.TIME_THAW - 1])
def test_other_negative_times_are_refused(client: Client, field: str, value: int) -> None:
    file = client.open("file")
    refused = setting(client, file, FileInfo.BASIC, basic(**{field: value}))
    assert refused is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("value", [1, filetime_from_ns(0), (1 << 63) - 1])
def test_the_ends_of_time_do_not_upset_the_server(client: Client, value: int) -> None:
    file = client.open("file")
    data = basic(created=value, accessed=value, written=value)
    assert setting(client, file, FileInfo.BASIC, data) is NtStatus.SUCCESS
    assert told(client, file).creation_time == value


def test_a_write_time_that_was_set_outlives_later_writes(client: Client) -> None:
    file = client.open("file")
    setting(client, file, FileInfo.BASIC, basic(written=T1))
    client.send(file.frames.write(b"data"))
    assert told(client, file).last_write_time == T1
    setting(client, file, FileInfo.END_OF_FILE, number(1))
    setting(client, file, FileInfo.ALLOCATION, number(0))
    assert told(client, file).last_write_time == T1
    other = client.open("file")
    client.send(other.frames.write(b"data"))
    assert told(client, file).last_write_time > T1


def test_a_write_time_that_another_open_moved_is_the_one_that_stays(client: Client) -> None:
    """smbtorture's smb2.timestamps.modern_write_time_update-1"""
    file, other = client.open("file"), client.open("file")
    setting(client, file, FileInfo.BASIC, basic(written=T1))
    client.send(other.frames.write(b"data"))
    moved = told(client, file).last_write_time
    assert moved > T1
    client.send(file.frames.write(b"more"))
    assert told(client, file).last_write_time == moved
    setting(client, other, FileInfo.BASIC, basic(written=T2))
    client.send(file.frames.write(b"more"))
    assert told(client, file).last_write_time == T2
    client.status(other.frames.close())
    client.send(file.frames.write(b"more"))
    assert told(client, file).last_write_time == T2


def test_a_size_that_is_set_again_moves_the_write_time(client: Client, engine: Engine) -> None:
    """smb2.timestamps.delayed-write-vs-seteof"""
    path = engine.make_file("file", b"data")
    os.utime(path, ns=(0, ns_from_filetime(T2)))
    file = client.open("file")
    assert setting(client, file, FileInfo.END_OF_FILE, number(4)) is NtStatus.SUCCESS
    assert told(client, file).last_write_time > T2
    assert path.read_bytes() == b"data"


@pytest.mark.parametrize("size", [4, 8192])
def test_an_allocation_that_leaves_the_data_keeps_their_time(
    client: Client, engine: Engine, size: int
) -> None:
    """smb2.timestamps.modern_write_time_update-2"""
    path = engine.make_file("file", b"data")
    os.utime(path, ns=(0, ns_from_filetime(T2)))
    file = client.open("file")
    before = told(client, file)
    assert setting(client, file, FileInfo.ALLOCATION, number(size)) is NtStatus.SUCCESS
    after = told(client, file)
    assert after.last_write_time == before.last_write_time == T2
    assert after.change_time > before.change_time
    assert setting(client, file, FileInfo.ALLOCATION, number(3)) is NtStatus.SUCCESS
    assert told(client, file).last_write_time > T2


def test_a_frozen_write_time_moves_again_when_thawed(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    os.utime(path, ns=(0, ns_from_filetime(T2)))
    file = client.open("file")
    setting(client, file, FileInfo.BASIC, basic(written=file_info.TIME_FREEZE))
    client.send(file.frames.write(b"data"))
    assert told(client, file).last_write_time == T2
    setting(client, file, FileInfo.BASIC, basic(written=file_info.TIME_THAW))
    client.send(file.frames.write(b"data"))
    assert told(client, file).last_write_time > T2


@pytest.mark.parametrize("how", [T1, file_info.TIME_FREEZE])
def test_an_access_time_that_is_kept_does_not_move_when_the_file_is_read(
    client: Client, engine: Engine, how: int
) -> None:
    path = engine.make_file("file", b"data")
    os.chmod(path, 0o666)
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)  # O_NOATIME is for the owner
    os.utime(path, ns=(ns_from_filetime(T1), ns_from_filetime(T2)))
    access = FILE_GENERIC_READ | FILE_GENERIC_WRITE
    file, other = (client.open("file", desired_access=access) for _ in range(2))
    assert setting(client, file, FileInfo.BASIC, basic(accessed=how)) is NtStatus.SUCCESS
    client.send(file.frames.read(4))
    assert told(client, file).last_access_time == T1
    client.send(other.frames.read(4))
    moved = told(client, file).last_access_time
    assert moved > T1 or no_access_times(path)
    os.utime(path, ns=(ns_from_filetime(T1), ns_from_filetime(T2)))
    setting(client, file, FileInfo.BASIC, basic(accessed=file_info.TIME_THAW))
    client.send(file.frames.read(4))
    assert told(client, file).last_access_time > T1 or no_access_times(path)


@pytest.mark.parametrize("how", [T1, file_info.TIME_FREEZE])
def test_a_change_time_that_is_kept_stays_whatever_that_open_changes(
    client: Client, how: int
) -> None:
    file, other = client.open("file"), client.open("file")
    setting(client, file, FileInfo.BASIC, basic(changed=T1))
    setting(client, file, FileInfo.BASIC, basic(changed=file_info.TIME_THAW))
    assert setting(client, file, FileInfo.BASIC, basic(changed=how)) is NtStatus.SUCCESS
    client.send(file.frames.write(b"data"))
    setting(client, file, FileInfo.BASIC, basic(attributes=ATTR_HIDDEN))
    setting(client, file, FileInfo.END_OF_FILE, number(2))
    assert told(client, other).change_time == T1
    until_stamps_differ(client.engine.folder / "file")
    client.send(other.frames.write(b"data"))
    moved = told(client, other).change_time
    assert moved > T1
    client.send(file.frames.write(b"more"))
    assert told(client, file).change_time == moved
    setting(client, file, FileInfo.BASIC, basic(changed=file_info.TIME_THAW))
    until_stamps_differ(client.engine.folder / "file")
    client.send(file.frames.write(b"data"))
    assert told(client, file).change_time > moved


def until_stamps_differ(path: Path) -> None:
    """Change the file until the next change bears another stamp than those so far."""
    until = time.time_ns() + 2 * TICK
    while path.stat().st_ctime_ns < until:
        path.chmod(0o666)


def no_access_times(path: Path) -> bool:
    """Whether the file system keeps none: then nothing moves them."""
    return bool(os.statvfs(path).f_flag & os.ST_NOATIME)


def test_attributes_are_set_kept_and_cleared(client: Client) -> None:
    file = client.open("file")
    for attributes, wanted in (
        (ATTR_READONLY | ATTR_SYSTEM, ATTR_READONLY | ATTR_SYSTEM),
        (0, ATTR_READONLY | ATTR_SYSTEM),
        (ATTR_HIDDEN | ATTR_NORMAL, ATTR_HIDDEN),
        (ATTR_NORMAL, ATTR_NORMAL),
        (ATTR_ARCHIVE | ATTR_TEMPORARY, ATTR_ARCHIVE | ATTR_TEMPORARY),
    ):
        data = basic(attributes=attributes)
        assert setting(client, file, FileInfo.BASIC, data) is NtStatus.SUCCESS
        assert told(client, file).file_attributes == wanted


def test_setting_attributes_keeps_the_creation_time(client: Client) -> None:
    file = client.open("file")
    setting(client, file, FileInfo.BASIC, basic(created=T1))
    setting(client, file, FileInfo.BASIC, basic(attributes=ATTR_HIDDEN))
    assert told(client, file).creation_time == T1


def test_a_directory_may_be_told_that_it_is_one_and_a_file_not(client: Client) -> None:
    directory = client.open("dir", create_options=FILE_DIRECTORY_FILE)
    data = basic(attributes=ATTR_DIRECTORY | ATTR_HIDDEN)
    assert setting(client, directory, FileInfo.BASIC, data) is NtStatus.SUCCESS
    assert told(client, directory).file_attributes == ATTR_DIRECTORY | ATTR_HIDDEN
    data = basic(attributes=ATTR_TEMPORARY)
    assert setting(client, directory, FileInfo.BASIC, data) is NtStatus.INVALID_PARAMETER
    data = basic(attributes=ATTR_DIRECTORY)
    refused = setting(client, client.open("file"), FileInfo.BASIC, data)
    assert refused is NtStatus.INVALID_PARAMETER


# -- size --------------------------------------------------------------------------------


def test_the_end_of_file_moves_both_ways(client: Client, engine: Engine) -> None:
    path = engine.make_file("file", b"0123456789")
    file = client.open("file")
    assert setting(client, file, FileInfo.END_OF_FILE, number(3)) is NtStatus.SUCCESS
    assert path.read_bytes() == b"012"
    assert setting(client, file, FileInfo.END_OF_FILE, number(5)) is NtStatus.SUCCESS
    assert path.read_bytes() == b"012\0\0"


def test_an_allocation_cuts_and_reserves_but_never_lengthens(
    client: Client, engine: Engine
) -> None:
    path = engine.make_file("file", b"0123456789")
    file = client.open("file")
    assert setting(client, file, FileInfo.ALLOCATION, number(4)) is NtStatus.SUCCESS
    assert path.read_bytes() == b"0123"
    assert setting(client, file, FileInfo.ALLOCATION, number(1 << 20)) is NtStatus.SUCCESS
    assert path.read_bytes() == b"0123"


def test_valid_data_ends_with_the_file(client: Client, engine: Engine) -> None:
    path = engine.make_file("file", b"0123456789")
    file = client.open("file")
    assert setting(client, file, FileInfo.VALID_DATA_LENGTH, number(10)) is NtStatus.SUCCESS
    refused = setting(client, file, FileInfo.VALID_DATA_LENGTH, number(11))
    assert refused is NtStatus.INVALID_PARAMETER
    assert path.read_bytes() == b"0123456789"


SIZES = (FileInfo.END_OF_FILE, FileInfo.ALLOCATION, FileInfo.VALID_DATA_LENGTH)


@pytest.mark.parametrize("info_class", SIZES)
def test_sizes_are_refused_beyond_2_to_63_and_for_directories(
    client: Client, info_class: int
) -> None:
    file = client.open("file")
    assert setting(client, file, info_class, number(1 << 63)) is NtStatus.INVALID_PARAMETER
    directory = client.open("dir", create_options=FILE_DIRECTORY_FILE)
    assert setting(client, directory, info_class, number(0)) is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("info_class", SIZES)
def test_sizes_need_the_right_to_write(client: Client, info_class: int) -> None:
    client.open("file")
    access = FILE_READ_DATA | FILE_APPEND_DATA | FILE_WRITE_ATTRIBUTES
    file = client.open("file", desired_access=access)
    assert setting(client, file, info_class, number(0)) is NtStatus.ACCESS_DENIED


# -- deletion ----------------------------------------------------------------------------


def test_a_file_goes_when_the_last_of_its_opens_is_closed(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    file, other = client.open("file"), client.open("file")
    assert setting(client, file, FileInfo.DISPOSITION, b"\1") is NtStatus.SUCCESS
    assert client.status(client.frames.open("file")) is NtStatus.DELETE_PENDING
    client.send(file.frames.close())
    assert path.exists()
    client.send(other.frames.close())
    assert not path.exists()


def test_a_deletion_can_be_taken_back(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    file = client.open("file")
    setting(client, file, FileInfo.DISPOSITION, b"\1")
    assert setting(client, file, FileInfo.DISPOSITION, b"\0") is NtStatus.SUCCESS
    client.send(file.frames.close())
    assert path.exists()


def test_a_read_only_file_cannot_be_deleted(client: Client, engine: Engine) -> None:
    file = client.open("file")
    setting(client, file, FileInfo.BASIC, basic(attributes=ATTR_READONLY))
    assert setting(client, file, FileInfo.DISPOSITION, b"\1") is NtStatus.CANNOT_DELETE
    delete = file_info.DISPOSITION_DELETE
    data = number(delete, 4)
    assert setting(client, file, FileInfo.DISPOSITION_EX, data) is NtStatus.CANNOT_DELETE
    data = number(delete | file_info.DISPOSITION_IGNORE_READONLY_ATTRIBUTE, 4)
    assert setting(client, file, FileInfo.DISPOSITION_EX, data) is NtStatus.SUCCESS
    client.send(file.frames.close())
    assert not (engine.folder / "file").exists()


def test_a_directory_is_deleted_only_when_empty(client: Client, engine: Engine) -> None:
    engine.make_directory("dir")
    path = engine.make_file("dir/.file")
    directory = client.open("dir")
    refused = setting(client, directory, FileInfo.DISPOSITION, b"\1")
    assert refused is NtStatus.DIRECTORY_NOT_EMPTY
    path.unlink()
    assert setting(client, directory, FileInfo.DISPOSITION, b"\1") is NtStatus.SUCCESS
    client.send(directory.frames.close())
    assert not path.parent.exists()


def test_the_root_of_a_share_cannot_be_deleted(client: Client) -> None:
    root = client.open("")
    assert setting(client, root, FileInfo.DISPOSITION, b"\1") is NtStatus.ACCESS_DENIED


def test_with_posix_semantics_the_name_goes_and_other_opens_live_on(
    client: Client, engine: Engine
) -> None:
    path = engine.make_file("file", b"data")
    file, other = client.open("file"), client.open("file")
    flags = file_info.DISPOSITION_DELETE | file_info.DISPOSITION_POSIX_SEMANTICS
    assert setting(client, file, FileInfo.DISPOSITION_EX, number(flags, 4)) is NtStatus.SUCCESS
    client.send(file.frames.close())
    assert not path.exists()
    assert client.call(other.frames.read(4)).data == b"data"
    again = client.open("file", create_disposition=2)
    client.send(other.frames.close())
    assert path.exists()
    client.send(again.frames.close())


def test_posix_semantics_can_be_taken_back(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    file = client.open("file")
    flags = file_info.DISPOSITION_DELETE | file_info.DISPOSITION_POSIX_SEMANTICS
    setting(client, file, FileInfo.DISPOSITION_EX, number(flags, 4))
    assert setting(client, file, FileInfo.DISPOSITION_EX, number(0, 4)) is NtStatus.SUCCESS
    client.send(file.frames.close())
    assert path.exists()


def test_delete_on_close_can_be_cleared_and_set_again(client: Client, engine: Engine) -> None:
    path = engine.make_file("file")
    file = client.open("file", create_options=FILE_DELETE_ON_CLOSE)
    off = number(file_info.DISPOSITION_ON_CLOSE, 4)
    assert setting(client, file, FileInfo.DISPOSITION_EX, off) is NtStatus.SUCCESS
    client.send(file.frames.close())
    assert path.exists()
    file = client.open("file", create_options=FILE_DELETE_ON_CLOSE)
    on = number(file_info.DISPOSITION_ON_CLOSE | file_info.DISPOSITION_DELETE, 4)
    setting(client, file, FileInfo.DISPOSITION_EX, off)
    assert setting(client, file, FileInfo.DISPOSITION_EX, on) is NtStatus.SUCCESS
    client.send(file.frames.close())
    assert not path.exists()


def test_delete_on_close_is_for_files_opened_so(client: Client) -> None:
    file = client.open("file")
    on = number(file_info.DISPOSITION_ON_CLOSE | file_info.DISPOSITION_DELETE, 4)
    assert setting(client, file, FileInfo.DISPOSITION_EX, on) is NtStatus.NOT_SUPPORTED


# -- extended attributes -----------------------------------------------------------------


def test_extended_attributes_are_set_replaced_and_deleted(client: Client, engine: Engine) -> None:
    file = client.open("file")
    for eas in ([("ONE", b"1"), ("TWO", b"2")], [("one", b"11")], [("Two", b"")]):
        packed, _ = file_chains.pack_full_eas(eas)
        assert setting(client, file, FileInfo.FULL_EA, packed) is NtStatus.SUCCESS
    found = file_chains.unpack_full_eas(client.call(file.frames.query_info(15)).data)
    assert found == [("ONE", b"11")]
    assert os.getxattr(engine.folder / "file", "user.ONE") == b"11"


@pytest.mark.parametrize("name", ["A:B", "A*", "X" * 251, "\u00e4"])
def test_a_name_that_no_extended_attribute_has_changes_nothing(client: Client, name: str) -> None:
    file = client.open("file")
    packed, _ = file_chains.pack_full_eas([("GOOD", b"1"), (name, b"2")])
    assert setting(client, file, FileInfo.FULL_EA, packed) is NtStatus.INVALID_EA_NAME
    assert client.status(file.frames.query_info(15)) is NtStatus.NO_EAS_ON_FILE


def test_a_malformed_list_of_extended_attributes_is_refused(client: Client) -> None:
    file = client.open("file")
    packed, _ = file_chains.pack_full_eas([("ONE", b"1"), ("TWO", b"2")])
    for length in range(8, len(packed)):
        refused = setting(client, file, FileInfo.FULL_EA, packed[:length])
        assert refused is NtStatus.EA_LIST_INCONSISTENT, length


def test_what_the_server_keeps_beside_a_file_is_not_set(client: Client) -> None:
    file = client.open("file")
    packed, _ = file_chains.pack_full_eas([("GOOD", b"1"), ("DOSATTRIB", b"2")])
    assert setting(client, file, FileInfo.FULL_EA, packed) is NtStatus.ACCESS_DENIED
    assert client.status(file.frames.query_info(15)) is NtStatus.NO_EAS_ON_FILE


def test_more_extended_attributes_than_64_kib_are_too_large(client: Client) -> None:
    file = client.open("file")
    packed, _ = file_chains.pack_full_eas([("ONE", bytes(32_754)), ("TWO", bytes(32_754))])
    assert setting(client, file, FileInfo.FULL_EA, packed) is NtStatus.EA_TOO_LARGE
    assert client.status(file.frames.query_info(15)) is NtStatus.NO_EAS_ON_FILE


def test_that_a_file_needs_its_attributes_is_kept_and_told(client: Client) -> None:
    file = client.open("file")
    wanted = [("Needed", b"1"), ("OTHER", b"2")]

    def flags() -> list[tuple[str, bool]]:
        data = client.call(file.frames.query_info(15, flags=RESTART_SCAN)).data
        needed = file_chains.flagged_eas(data)
        return [(name, name.upper() in needed) for name, _ in file_chains.unpack_full_eas(data)]

    def put(eas: list[tuple[str, bytes]], needed: frozenset[str] = frozenset()) -> None:
        packed, _ = file_chains.pack_full_eas(eas, needed=needed)
        assert setting(client, file, FileInfo.FULL_EA, packed) is NtStatus.SUCCESS

    put(wanted, frozenset({"NEEDED"}))
    assert sorted(flags()) == [("Needed", True), ("OTHER", False)]
    unknowing = client.frames.create("file", create_options=FILE_NO_EA_KNOWLEDGE)
    assert client.status(unknowing) is NtStatus.ACCESS_DENIED
    put([("NEEDED", b"3")])
    assert not any(needed for _, needed in flags())
    assert client.status(unknowing) is NtStatus.SUCCESS
    put(wanted, frozenset({"NEEDED"}))
    put([("needed", b"")])
    assert client.status(unknowing) is NtStatus.SUCCESS


@pytest.mark.parametrize("flags", [1, 0x40, 0x81])
def test_an_unknown_flag_of_an_attribute_changes_nothing(client: Client, flags: int) -> None:
    file = client.open("file")
    packed = bytearray(file_chains.pack_full_eas([("ONE", b"1")])[0])
    packed[4] = flags
    assert setting(client, file, FileInfo.FULL_EA, bytes(packed)) is NtStatus.INVALID_EA_NAME
    assert client.status(file.frames.query_info(15)) is NtStatus.NO_EAS_ON_FILE


# -- what concerns the open only ---------------------------------------------------------


def test_the_position_is_kept_for_the_open(client: Client) -> None:
    file, other = client.open("file"), client.open("file")
    assert setting(client, file, FileInfo.POSITION, number(12345)) is NtStatus.SUCCESS
    assert told(client, file).current_byte_offset == 12345
    assert told(client, other).current_byte_offset == 0
    refused = setting(client, file, FileInfo.POSITION, number(1 << 63))
    assert refused is NtStatus.INVALID_PARAMETER


def test_write_through_and_sequential_can_be_changed_and_nothing_else(client: Client) -> None:
    file = client.open("file")
    for mode in (2, 4, 6, 0):
        assert setting(client, file, FileInfo.MODE, number(mode, 4)) is NtStatus.SUCCESS
        assert told(client, file).mode == mode
    for mode in (1, 8, 0x10, 0x1000):
        assert setting(client, file, FileInfo.MODE, number(mode, 4)) is NtStatus.INVALID_PARAMETER


def test_there_are_no_short_names(client: Client) -> None:
    file = client.open("file")
    data = file_info.pack_name("FILE~1")
    assert setting(client, file, FileInfo.SHORT_NAME, data) is NtStatus.NOT_SUPPORTED


def test_a_pipe_may_be_told_that_it_carries_messages(engine: Engine) -> None:
    client = ready(engine, share="IPC$")
    file = client.open("srvsvc")
    message = number(1, 4) + number(0, 4)
    assert setting(client, file, FileInfo.PIPE, message) is NtStatus.SUCCESS
    assert setting(client, file, FileInfo.PIPE, bytes(8)) is NtStatus.INVALID_PARAMETER
    assert setting(client, file, FileInfo.PIPE, message[:7]) is NtStatus.INFO_LENGTH_MISMATCH
    reader = client.open("srvsvc", desired_access=FILE_READ_DATA)
    assert setting(client, reader, FileInfo.PIPE, message) is NtStatus.ACCESS_DENIED


# -- what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize("info_class", [n for n, s in FILE_SETTINGS.items() if s.access])
def test_each_class_needs_its_right(client: Client, info_class: int) -> None:
    client.open("file")
    access = FILE_ALL_ACCESS & ~FILE_SETTINGS[info_class].access
    file = client.open("file", desired_access=access)
    assert setting(client, file, info_class, bytes(64)) is NtStatus.ACCESS_DENIED


@pytest.mark.parametrize("info_class", list(FILE_SETTINGS))
def test_nothing_is_changed_on_a_read_only_share(engine: Engine, info_class: int) -> None:
    engine.make_file("file")
    client = ready(engine, share="ro")
    file = client.open("file", create_disposition=FILE_OPEN, desired_access=FILE_READ_DATA)
    assert setting(client, file, info_class, bytes(64)) is NtStatus.ACCESS_DENIED


@pytest.mark.parametrize("info_class", list(FILE_SETTINGS))
@pytest.mark.parametrize("byte", [b"\0", b"\1", b"\x7f", b"\xff"])
def test_junk_never_upsets_the_server(client: Client, info_class: int, byte: bytes) -> None:
    """The engine's fixture fails the test if the server logs a bug of its own."""
    for length in (*range(70), 1000):
        file = client.open(f"file {length}")
        setting(client, file, info_class, byte * length)
        client.send(file.frames.close())


def test_a_user_without_rights_on_disk_changes_nothing(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to make a file of somebody else's")
    engine = Engine(folder)
    path = folder / "file"
    path.write_bytes(b"data")
    path.chmod(0o644)
    client = ready(engine)
    access = FILE_READ_DATA
    file = client.open("file", create_disposition=FILE_OPEN, desired_access=access)
    assert setting(client, file, FileInfo.END_OF_FILE, number(0)) is NtStatus.ACCESS_DENIED
    wanted = client.frames.open("file", desired_access=access | FILE_WRITE_ATTRIBUTES)
    assert client.status(wanted) is NtStatus.ACCESS_DENIED
    assert path.read_bytes() == b"data"
