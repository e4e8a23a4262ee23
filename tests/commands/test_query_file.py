"""commands/query_file.py: what is told of a file, class by class."""

from __future__ import annotations

import os

import pytest

from ksmbd.commands.query_file import FILE_QUERIES
from ksmbd.vfs import attributes
from ksmbd.wire import file_chains, file_info
from ksmbd.wire.access import (
    ATTR_ARCHIVE,
    ATTR_DIRECTORY,
    FILE_ALL_ACCESS,
    FILE_DELETE_ON_CLOSE,
    FILE_OPEN,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_READ_EA,
    FILE_SEQUENTIAL_ONLY,
    FILE_SYNCHRONOUS_IO_NONALERT,
    FILE_WRITE_THROUGH,
    SYNCHRONIZE,
)
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.query_info import INDEX_SPECIFIED, RESTART_SCAN, RETURN_SINGLE_ENTRY
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import filetime_from_ns
from tests.support.client import Client, File, ready
from tests.support.engine import Engine

EAS = [("EAONE", b"VALUE1"), ("SECONDEA", b"ValueTwo")]


def told(client: Client, file: File, info_class: int, data: bytes = b"") -> bytes:
    """What the class says, with success."""
    response = client.call(file.frames.query_info(info_class, data))
    assert response.status is NtStatus.SUCCESS, response
    return response.data


def set_eas(client: Client, file: File, eas: list[tuple[str, bytes]]) -> None:
    packed, _ = file_chains.pack_full_eas(eas)
    assert client.status(file.frames.set_info(FileInfo.FULL_EA, packed)) is NtStatus.SUCCESS


def test_basic_has_the_times_and_attributes_of_the_file(client: Client, engine: Engine) -> None:
    path = engine.make_file("file", b"12345")
    os.utime(path, ns=(1_600_000_000_000_000_100, 1_600_000_001_000_000_200))
    file = client.open("file")
    basic = file_info.FileBasicInformation.unpack(told(client, file, FileInfo.BASIC))
    assert basic.last_access_time == filetime_from_ns(1_600_000_000_000_000_100)
    assert basic.last_write_time == filetime_from_ns(1_600_000_001_000_000_200)
    assert basic.change_time == filetime_from_ns(path.stat().st_ctime_ns)
    assert basic.file_attributes == ATTR_ARCHIVE


def test_standard_has_sizes_and_links(client: Client, engine: Engine) -> None:
    path = engine.make_file("file", bytes(5000))
    os.link(path, path.with_name("other"))
    file = client.open("file")
    standard = file_info.FileStandardInformation.unpack(told(client, file, FileInfo.STANDARD))
    assert standard.end_of_file == 5000
    assert standard.allocation_size == path.stat().st_blocks * 512
    assert standard.number_of_links == 2
    assert (standard.delete_pending, standard.directory) == (0, 0)


def test_a_directory_has_no_size_and_one_link(client: Client, engine: Engine) -> None:
    engine.make_directory("dir")
    (engine.folder / "dir" / "below").mkdir()
    file = client.open("dir")
    standard = file_info.FileStandardInformation.unpack(told(client, file, FileInfo.STANDARD))
    assert (standard.end_of_file, standard.allocation_size) == (0, 0)
    assert (standard.number_of_links, standard.directory) == (1, 1)
    basic = file_info.FileBasicInformation.unpack(told(client, file, FileInfo.BASIC))
    assert basic.file_attributes == ATTR_DIRECTORY


def test_a_file_that_is_to_be_deleted_says_so_and_has_a_link_less(client: Client) -> None:
    file = client.open("file")
    client.status(file.frames.set_info(FileInfo.DISPOSITION, b"\1"))
    standard = file_info.FileStandardInformation.unpack(told(client, file, FileInfo.STANDARD))
    assert (standard.delete_pending, standard.number_of_links) == (1, 0)
    link = file_info.FileStandardLinkInformation.unpack(told(client, file, FileInfo.STANDARD_LINK))
    assert (link.delete_pending, link.number_of_accessible_links) == (1, 0)
    assert link.total_number_of_links == 1


def test_internal_and_id_are_the_inode(client: Client, engine: Engine) -> None:
    file = client.open("file")
    st = (engine.folder / "file").stat()
    assert told(client, file, FileInfo.INTERNAL) == st.st_ino.to_bytes(8, "little")
    found = file_info.FileIdInformation.unpack(told(client, file, FileInfo.ID))
    assert found.file_id[:8] == st.st_ino.to_bytes(8, "little")
    assert found.file_id[8:] == st.st_dev.to_bytes(8, "little")
    assert found.volume_serial_number


def test_access_is_what_the_open_was_granted(client: Client) -> None:
    client.open("file")
    file = client.open("file", desired_access=FILE_READ_DATA | FILE_READ_EA)
    wanted = (FILE_READ_DATA | FILE_READ_EA).to_bytes(4, "little")
    assert told(client, file, FileInfo.ACCESS) == wanted


def test_names_start_at_the_root_of_the_share(client: Client, engine: Engine) -> None:
    engine.make_directory("Dir")
    client.open("Dir\\File")
    file = client.open("dir\\file")
    assert told(client, file, FileInfo.NAME) == file_info.pack_name("\\Dir\\File")
    assert told(client, file, FileInfo.NORMALIZED_NAME) == file_info.pack_name("Dir\\File")
    root = client.open("")
    assert told(client, root, FileInfo.NAME) == file_info.pack_name("\\")
    assert told(client, root, FileInfo.NORMALIZED_NAME) == file_info.pack_name("")


def test_normalized_names_came_with_3_1_1(engine: Engine) -> None:
    client = ready(engine, 0x0302)
    file = client.open("file")
    asked = file.frames.query_info(FileInfo.NORMALIZED_NAME)
    assert client.status(asked) is NtStatus.NOT_SUPPORTED


def test_the_short_name_opens_the_file(client: Client) -> None:
    file = client.open("a name that is long.text")
    data = told(client, file, FileInfo.ALTERNATE_NAME)
    name = file_info.unpack_named(file_info.FileNameInformation, data)[1]
    assert len(name) <= 12
    again = client.open(name, create_disposition=FILE_OPEN)
    inode = FileInfo.INTERNAL
    assert told(client, again, inode) == told(client, file, inode)


def test_the_root_of_a_share_has_no_short_name(client: Client) -> None:
    asked = client.open("").frames.query_info(FileInfo.ALTERNATE_NAME)
    assert client.status(asked) is NtStatus.OBJECT_NAME_NOT_FOUND


def test_all_is_the_others_in_a_row(client: Client, engine: Engine) -> None:
    engine.make_directory("dir")
    file = client.open("dir\\file")
    set_eas(client, file, EAS)
    client.status(file.frames.set_info(FileInfo.POSITION, (77).to_bytes(8, "little")))
    parts = (
        FileInfo.BASIC, FileInfo.STANDARD, FileInfo.INTERNAL, FileInfo.EA, FileInfo.ACCESS,
        FileInfo.POSITION, FileInfo.MODE, FileInfo.ALIGNMENT, FileInfo.NAME,
    )  # fmt: skip
    assert told(client, file, FileInfo.ALL) == b"".join(told(client, file, n) for n in parts)


def test_network_open_and_attribute_tag_agree_with_basic(client: Client, engine: Engine) -> None:
    engine.make_file("file", bytes(10))
    file = client.open("file")
    basic = file_info.FileBasicInformation.unpack(told(client, file, FileInfo.BASIC))
    network = file_info.FileNetworkOpenInformation.unpack(told(client, file, FileInfo.NETWORK_OPEN))
    assert network.creation_time == basic.creation_time
    assert network.last_access_time == basic.last_access_time
    assert network.last_write_time == basic.last_write_time
    assert network.change_time == basic.change_time
    assert (network.end_of_file, network.file_attributes) == (10, basic.file_attributes)
    tag = file_info.FileAttributeTagInformation.unpack(told(client, file, FileInfo.ATTRIBUTE_TAG))
    assert (tag.file_attributes, tag.reparse_tag) == (basic.file_attributes, 0)


def test_compression_is_none(client: Client, engine: Engine) -> None:
    engine.make_file("file", bytes(10))
    file = client.open("file")
    found = file_info.FileCompressionInformation.unpack(told(client, file, FileInfo.COMPRESSION))
    assert (found.compressed_file_size, found.compression_format) == (10, 0)


def test_a_file_has_its_unnamed_stream_and_a_directory_none(client: Client, engine: Engine) -> None:
    path = engine.make_file("file", bytes(5000))
    engine.make_directory("dir")
    allocation = path.stat().st_blocks * 512
    file = client.open("file")
    streams = file_chains.unpack_streams(told(client, file, FileInfo.STREAM))
    assert streams == [file_chains.Stream("::$DATA", 5000, allocation)]
    assert told(client, client.open("dir"), FileInfo.STREAM) == b""


def test_mode_is_what_lasts_of_the_create_options(client: Client) -> None:
    options = FILE_WRITE_THROUGH | FILE_SEQUENTIAL_ONLY | FILE_SYNCHRONOUS_IO_NONALERT
    file = client.open("file", create_options=options | FILE_DELETE_ON_CLOSE)
    wanted = options | FILE_DELETE_ON_CLOSE
    assert told(client, file, FileInfo.MODE) == wanted.to_bytes(4, "little")
    other = client.open("other", create_options=options, desired_access=FILE_READ_DATA)
    wanted = FILE_WRITE_THROUGH | FILE_SEQUENTIAL_ONLY
    assert told(client, other, FileInfo.MODE) == wanted.to_bytes(4, "little")


# -- what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "info_class", [n for n, q in FILE_QUERIES.items() if q.access and n != FileInfo.POSIX]
)
def test_classes_with_attributes_need_the_right_to_read_them(
    client: Client, info_class: int
) -> None:
    client.open("file")
    file = client.open("file", desired_access=FILE_READ_DATA)
    assert client.status(file.frames.query_info(info_class)) is NtStatus.ACCESS_DENIED
    file = client.open("file", desired_access=FILE_READ_ATTRIBUTES)
    assert client.status(file.frames.query_info(info_class)) is NtStatus.SUCCESS


@pytest.mark.parametrize("info_class", [n for n, q in FILE_QUERIES.items() if not q.access])
def test_the_others_need_no_right_at_all(client: Client, info_class: int) -> None:
    client.open("file")
    file = client.open("file", desired_access=SYNCHRONIZE)
    assert client.status(file.frames.query_info(info_class)) is NtStatus.SUCCESS


# -- extended attributes -----------------------------------------------------------------


def test_the_ea_size_is_that_of_the_list(client: Client) -> None:
    file = client.open("file")
    assert told(client, file, FileInfo.EA) == bytes(4)
    set_eas(client, file, EAS)
    size = len(told(client, file, FileInfo.FULL_EA))
    assert told(client, file, FileInfo.EA) == size.to_bytes(4, "little")


def ea_size_of_all(client: Client, file: File) -> int:
    return file_info.FileAllInformation.unpack(told(client, file, FileInfo.ALL)).ea_size


def test_the_ea_size_is_asked_for_once_and_again_when_anybody_has_changed_the_file(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attributes, "lasting", lambda st, now: True)
    file = client.open("file")
    path = client.engine.folder / "file"
    for value, size in ((b"", 0), (b"a value", 20), (b"another value", 26)):
        if value:
            os.setxattr(path, "user.name", value)  # as a local program would
        assert ea_size_of_all(client, file) == size
        with monkeypatch.context() as unasked:
            unasked.setattr(attributes, "has_eas", lambda item: pytest.fail("asked again"))
            assert ea_size_of_all(client, file) == size
            assert told(client, file, FileInfo.EA) == size.to_bytes(4, "little")
    set_eas(client, client.open("file"), [("NAME", b"")])
    assert ea_size_of_all(client, file) == 0


def test_the_ea_size_of_a_file_changed_just_now_is_not_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change within the tick of a coarse clock would bear the same stamp."""
    monkeypatch.setattr(attributes, "lasting", lambda st, now: False)
    file = client.open("file")
    asked = []
    monkeypatch.setattr(attributes, "has_eas", lambda item: bool(asked.append(item)))
    assert ea_size_of_all(client, file) == ea_size_of_all(client, file) == 0
    assert len(asked) == 2


def test_the_ea_size_tells_of_what_its_reader_may_not_read(client: Client) -> None:
    path = client.engine.make_file("file")
    os.setxattr(path, "user.name", b"a value")
    path.chmod(0)
    file = client.open("file", desired_access=FILE_READ_ATTRIBUTES, create_disposition=FILE_OPEN)
    assert ea_size_of_all(client, file) == (0 if os.geteuid() else 20)


def test_all_extended_attributes_are_told_in_one_list(client: Client) -> None:
    file = client.open("file")
    set_eas(client, file, EAS)
    assert file_chains.unpack_full_eas(told(client, file, FileInfo.FULL_EA)) == EAS


def test_extended_attributes_need_their_own_right(client: Client) -> None:
    set_eas(client, client.open("file"), EAS)
    file = client.open("file", desired_access=FILE_ALL_ACCESS & ~FILE_READ_EA)
    assert client.status(file.frames.query_info(FileInfo.FULL_EA)) is NtStatus.ACCESS_DENIED


def test_a_file_without_extended_attributes_says_so(client: Client) -> None:
    file = client.open("file")
    assert client.status(file.frames.query_info(FileInfo.FULL_EA)) is NtStatus.NO_EAS_ON_FILE


def test_extended_attributes_are_scanned_one_by_one(client: Client) -> None:
    file = client.open("file")
    set_eas(client, file, EAS)
    one = file.frames.query_info(FileInfo.FULL_EA, flags=RETURN_SINGLE_ENTRY)
    for ea in EAS:
        assert file_chains.unpack_full_eas(client.call(one.changed()).data) == [ea]
    assert client.status(one.changed()) is NtStatus.NO_MORE_EAS
    again = one.changed(flags=RETURN_SINGLE_ENTRY | RESTART_SCAN)
    assert file_chains.unpack_full_eas(client.call(again).data) == EAS[:1]


def test_a_scan_can_begin_at_an_index(client: Client) -> None:
    file = client.open("file")
    set_eas(client, file, EAS)
    frame = file.frames.query_info(FileInfo.FULL_EA, flags=INDEX_SPECIFIED)
    for index in (0, 3):
        asked = frame.changed(additional_information=index)
        assert client.status(asked) is NtStatus.NONEXISTENT_EA_ENTRY
    found = client.call(frame.changed(additional_information=2)).data
    assert file_chains.unpack_full_eas(found) == EAS[1:]


def test_extended_attributes_are_told_by_name_without_regard_to_case(client: Client) -> None:
    file = client.open("file")
    set_eas(client, file, EAS)
    names = file_chains.pack_get_eas(["secondea", "Missing"])
    found = told(client, file, FileInfo.FULL_EA, names)
    assert file_chains.unpack_full_eas(found) == [EAS[1], ("Missing", b"")]


@pytest.mark.parametrize("names", [b"\0", b"\0\0\0\0\5", b"\3\0\0\0\1A\0\0\0\0\0\0\1B\0"])
def test_a_malformed_list_of_names_is_refused(client: Client, names: bytes) -> None:
    file = client.open("file")
    asked = file.frames.query_info(FileInfo.FULL_EA, names)
    assert client.status(asked) is NtStatus.EA_LIST_INCONSISTENT


def test_every_length_holds_whole_extended_attributes(client: Client) -> None:
    file = client.open("file")
    set_eas(client, file, EAS)
    whole = told(client, file, FileInfo.FULL_EA)
    for length in range(len(whole) + 1):
        frame = file.frames.query_info(FileInfo.FULL_EA, flags=RESTART_SCAN)
        response = client.call(frame.changed(output_buffer_length=length))
        if response.status is NtStatus.BUFFER_TOO_SMALL:
            assert length < len(file_chains.pack_full_eas(EAS[:1])[0])
            continue
        count = 2 if length == len(whole) else 1
        assert response.status is (NtStatus.SUCCESS if count == 2 else NtStatus.BUFFER_OVERFLOW)
        assert len(response.data) <= length
        assert file_chains.unpack_full_eas(response.data) == EAS[:count]
