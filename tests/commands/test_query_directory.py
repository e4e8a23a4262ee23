"""commands/query_directory.py through the engine, [MS-SMB2] 3.3.5.18."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ksmbd.commands.query_directory import SHORT
from ksmbd.state.work import Work
from ksmbd.vfs import directory
from ksmbd.wire import ipc
from ksmbd.wire.access import FILE_DIRECTORY_FILE, FILE_OPEN, FILE_READ_ATTRIBUTES
from ksmbd.wire.dir_info import LAYOUTS, fixed_size
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.query_directory import (
    INDEX_SPECIFIED,
    REOPEN,
    RESTART_SCANS,
    RETURN_SINGLE_ENTRY,
)
from ksmbd.wire.status import NtStatus
from tests.support.client import DIALECTS, Client, File, ready
from tests.support.engine import Engine
from tests.support.mountd import DISK, share
from tests.support.replies import Response

OK = NtStatus.SUCCESS
INVALID = NtStatus.INVALID_PARAMETER
NO_MORE = NtStatus.NO_MORE_FILES
NO_SUCH = NtStatus.NO_SUCH_FILE
NAME_INVALID = NtStatus.OBJECT_NAME_INVALID
MISMATCH = NtStatus.INFO_LENGTH_MISMATCH

NAMES = ["alpha.txt", "beta.TXT", "gamma", "delta.txt.bak"]


@pytest.fixture
def listed(client: Client) -> File:
    """The open root of a share with some files in it."""
    for name in NAMES:
        client.engine.make_file(name, name.encode())
    return client.open("", create_options=FILE_DIRECTORY_FILE, create_disposition=FILE_OPEN)


def names(response: Response, info_class: int = FileInfo.ID_BOTH_DIRECTORY) -> list[str]:
    """The names in a listing, whose chain is walked as a client walks it."""
    data = response.data
    found = []
    at = 0
    name_at = fixed_size(info_class)
    length_at = 8 if info_class == FileInfo.NAMES else 60
    while True:
        (step,) = struct.unpack_from("<I", data, at)
        (length,) = struct.unpack_from("<I", data, at + length_at)
        found.append(data[at + name_at : at + name_at + length].decode("utf-16-le"))
        if not step:
            assert at + name_at + length == len(data)
            return found
        assert step % 8 == 0
        at += step


def everything(client: Client, file: File, pattern: str = "*", **changes: int) -> list[str]:
    """All names, by as many requests as it takes."""
    found: list[str] = []
    for _ in range(10_000):
        response = client.call(file.frames.query_directory(pattern, **changes))
        if response.status is not OK:
            assert response.status is NO_MORE
            return found
        found += names(response)
    raise AssertionError("the listing never ends")


# -- 8.3 names ---------------------------------------------------------------------------


def with_short_names(folder: Path, flags: int = 0) -> Client:
    shown = [share("data", str(folder), DISK | ipc.SHARE_SHORT_NAMES | flags)]
    client = ready(Engine(folder, shares=shown))
    for name in ("a long name.text", "SHORT.TXT", "x"):
        client.engine.make_file(name)
    return client


def root_of(client: Client) -> File:
    return client.open("", create_options=FILE_DIRECTORY_FILE, create_disposition=FILE_OPEN)


def short_names(response: Response, info_class: int) -> dict[str, str]:
    """By long name; of a class that has them."""
    data, at, found = response.data, 0, {}
    length_at = {FileInfo.BOTH_DIRECTORY: 68, FileInfo.ID_BOTH_DIRECTORY: 68}[info_class]
    for name in names(response, info_class):
        length = data[at + length_at]
        short = data[at + length_at + 2 : at + length_at + 2 + length]
        found[name] = short.decode("utf-16-le")
        at += struct.unpack_from("<I", data, at)[0]
    return found


@pytest.mark.parametrize("number", [FileInfo.BOTH_DIRECTORY, FileInfo.ID_BOTH_DIRECTORY])
def test_a_listing_tells_the_names_that_open_the_files(folder: Path, number: int) -> None:
    client = with_short_names(folder)
    frame = root_of(client).frames.query_directory("*", file_information_class=number)
    told = short_names(client.call(frame), number)
    made = told["a long name.text"]
    assert re.fullmatch(r"AL[0-9A-Z]{4}~[0-9A-Z]\.TEX", made)
    assert told == {".": "", "..": "", "a long name.text": made, "SHORT.TXT": "", "x": ""}
    client.open(made, create_disposition=FILE_OPEN)
    for pattern in (made, made.lower(), "AL*~*.TEX", "*~?.tex"):
        assert everything(client, root_of(client), pattern) == ["a long name.text"], pattern


@pytest.mark.parametrize("pattern", [">", "x>>>", "?"])
def test_what_has_no_short_name_matches_by_its_long_one_alone(folder: Path, pattern: str) -> None:
    client = with_short_names(folder)
    found = everything(client, root_of(client), pattern)
    assert [name for name in found if name not in (".", "..")] == ["x"]


def test_names_that_differ_by_case_have_no_short_ones(folder: Path) -> None:
    client = with_short_names(folder, ipc.SHARE_CASE_SENSITIVE)
    response = client.call(root_of(client).frames.query_directory("*"))
    assert set(short_names(response, FileInfo.ID_BOTH_DIRECTORY).values()) == {""}


# -- extended attributes -----------------------------------------------------------------

EA_SIZED = [
    FileInfo.FULL_DIRECTORY,
    FileInfo.BOTH_DIRECTORY,
    FileInfo.ID_FULL_DIRECTORY,
    FileInfo.ID_BOTH_DIRECTORY,
]


def ea_sizes(response: Response, info_class: int) -> dict[str, int]:
    data, at, found = response.data, 0, {}
    for name in names(response, info_class):
        (found[name],) = struct.unpack_from("<I", data, at + 64)
        at += struct.unpack_from("<I", data, at)[0]
    return found


@pytest.mark.parametrize("number", EA_SIZED)
def test_a_listing_tells_how_much_the_extended_attributes_take(client: Client, number: int) -> None:
    engine = client.engine
    paths = [engine.make_file(name) for name in ("none", "two", "servers", "private")]
    paths.append(engine.make_directory("directory"))
    for path in (*paths[1:2], *paths[3:]):
        os.setxattr(path, "user.name", b"a value")
        os.setxattr(path, "user.other", b"1")
    os.setxattr(paths[2], "user.DosStream.stream:$DATA", b"of the stream")
    paths[3].chmod(0)
    frame = root_of(client).frames.query_directory("*", file_information_class=number)
    told = ea_sizes(client.call(frame), number)
    file = client.open("two")
    (size,) = struct.unpack("<I", client.call(file.frames.query_info(FileInfo.EA)).data)
    assert size == 35  # 8 + 4 + 1 + 7, which is a multiple of 4, and 8 + 5 + 1 + 1
    expected = {"none": 0, "servers": 0, "two": size, "directory": size, "private": size}
    if os.geteuid():
        del expected["private"], told["private"]  # only root gets at what the owner may not
    assert {name: told[name] for name in expected} == expected


def test_the_directory_itself_and_what_a_link_leads_to_have_one_too(folder: Path) -> None:
    shown = share("data", str(folder), DISK | ipc.SHARE_FOLLOW_SYMLINKS)
    client = ready(Engine(folder, shares=[shown]))
    (folder / "link").symlink_to(client.engine.make_file("file").name)
    os.setxattr(folder, "user.name", b"a value")
    os.setxattr(folder / "file", "user.name", b"another value")
    frame = root_of(client).frames.query_directory("*")
    told = ea_sizes(client.call(frame), FileInfo.ID_BOTH_DIRECTORY)
    assert told == {".": 20, "..": 20, "file": 26, "link": 26}


def test_a_listing_after_an_open_tells_it_too(client: Client) -> None:
    os.setxattr(client.engine.make_file("file"), "user.name", b"a value")
    client.open("file", create_disposition=FILE_OPEN)  # its attributes are known by then
    frames = root_of(client).frames
    for value, size in ((b"a value", 20), (b"another value", 26), (b"", 0)):
        if value:
            os.setxattr(client.engine.folder / "file", "user.name", value)
        else:
            os.removexattr(client.engine.folder / "file", "user.name")
        frame = frames.query_directory("file", flags=RESTART_SCANS)
        assert ea_sizes(client.call(frame), FileInfo.ID_BOTH_DIRECTORY) == {"file": size}


# -- refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number", [n for n in range(256) if n not in LAYOUTS or n == FileInfo.POSIX]
)
def test_another_class_is_refused(client: Client, listed: File, number: int) -> None:
    frame = listed.frames.query_directory(file_information_class=number)
    assert client.status(frame) is NtStatus.INVALID_INFO_CLASS


def test_more_than_a_transaction_is_refused(client: Client, listed: File) -> None:
    client.call(client.frames.echo(credits=1000))
    frame = listed.frames.query_directory(output_buffer_length=(1 << 20) + 1, credit_charge=17)
    assert client.status(frame) is INVALID


def test_a_file_is_refused(client: Client) -> None:
    file = client.open("file")
    assert client.status(file.frames.query_directory()) is INVALID


def test_a_closed_directory_is_refused(client: Client, listed: File) -> None:
    client.call(listed.frames.close())
    assert client.status(listed.frames.query_directory()) is NtStatus.FILE_CLOSED


def test_listing_needs_the_right_to_list(client: Client) -> None:
    file = client.open("", desired_access=FILE_READ_ATTRIBUTES, create_disposition=FILE_OPEN)
    assert client.status(file.frames.query_directory()) is NtStatus.ACCESS_DENIED


@pytest.mark.parametrize("pattern", ["", "a\\b", "a/b", "a\0b", "\\*", "*\\*"])
def test_an_impossible_pattern_is_refused(client: Client, listed: File, pattern: str) -> None:
    assert client.status(listed.frames.query_directory(pattern)) is NAME_INVALID


def test_a_pattern_that_is_no_utf_16_is_refused(client: Client, listed: File) -> None:
    frame = listed.frames.query_directory(data=b"\x00\xd8", file_name_length=2)
    assert client.status(frame) is NAME_INVALID


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 2), (64, 2), (95, 2), (96, 4), (98, 2), (0xFFFF, 2), (96, 0xFFFE)]
)
def test_a_pattern_outside_the_message_is_refused(
    client: Client, listed: File, offset: int, length: int
) -> None:
    frame = listed.frames.query_directory(file_name_offset=offset, file_name_length=length)
    assert client.status(frame) is INVALID


@pytest.mark.parametrize("info_class", sorted(set(LAYOUTS) - {FileInfo.POSIX}))
def test_no_room_for_one_entry_is_refused(client: Client, listed: File, info_class: int) -> None:
    fixed = fixed_size(info_class)
    for length in (0, 1, fixed - 1, fixed + 1):
        frame = listed.frames.query_directory(
            "alpha.txt", file_information_class=info_class, output_buffer_length=length
        )
        assert client.status(frame) is MISMATCH
    frame = listed.frames.query_directory("alpha.txt", file_information_class=info_class)
    assert client.status(frame) is OK


def test_nothing_found_is_told_at_first_and_at_last(client: Client, listed: File) -> None:
    frame = listed.frames.query_directory("nothing*")
    assert client.status(frame) is NO_SUCH
    assert client.status(listed.frames.query_directory("nothing*")) is NO_MORE
    assert client.status(listed.frames.query_directory("alpha*", flags=RESTART_SCANS)) is OK
    assert client.status(listed.frames.query_directory("alpha*")) is NO_MORE


# -- success -----------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_everything_is_listed_dots_first(engine: Engine, dialect: int) -> None:
    for name in NAMES:
        engine.make_file(name)
    client = ready(engine, dialect)
    root = client.open("", create_disposition=FILE_OPEN)
    found = everything(client, root)
    assert found[:2] == [".", ".."]
    assert sorted(found[2:]) == sorted(NAMES)


@pytest.mark.parametrize("info_class", sorted(set(LAYOUTS) - {FileInfo.POSIX}))
def test_every_class_lists_every_name(client: Client, listed: File, info_class: int) -> None:
    frame = listed.frames.query_directory(file_information_class=info_class)
    assert sorted(names(client.call(frame), info_class)) == sorted([".", "..", *NAMES])


@pytest.mark.parametrize("length", [112, 120, 130, 150, 200, 256, 300, 400, 1000])
def test_small_buffers_lose_nothing(client: Client, listed: File, length: int) -> None:
    length = max(length, 104 + 2 * max(len(name) for name in NAMES))
    found = everything(client, listed, output_buffer_length=length)
    assert sorted(found) == sorted([".", "..", *NAMES])


def test_an_answer_is_never_longer_than_was_asked(client: Client, listed: File) -> None:
    for length in range(140, 700, 7):
        frame = listed.frames.query_directory(flags=RESTART_SCANS, output_buffer_length=length)
        assert len(client.call(frame).data) <= length


def test_one_at_a_time(client: Client, listed: File) -> None:
    found = []
    while True:
        response = client.call(listed.frames.query_directory(flags=RETURN_SINGLE_ENTRY))
        if response.status is NO_MORE:
            break
        (name,) = names(response)
        found.append(name)
    assert sorted(found) == sorted([".", "..", *NAMES])


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("alpha.txt", ["alpha.txt"]),
        ("ALPHA.TXT", ["alpha.txt"]),
        ("*.txt", ["alpha.txt", "beta.TXT"]),
        ("?????", ["gamma"]),
        ("gamma", ["gamma"]),
        ("*.*", ["alpha.txt", "beta.TXT", "delta.txt.bak", ".", ".."]),
        ("<.bak", ["delta.txt.bak"]),
        ("d*", ["delta.txt.bak"]),
        ("*a*", NAMES),
    ],
)
def test_patterns(client: Client, listed: File, pattern: str, expected: list[str]) -> None:
    found = everything(client, listed, pattern)
    assert sorted(set(found) - {".", ".."}) == sorted(set(expected) - {".", ".."})


def test_the_first_pattern_stays(client: Client, listed: File) -> None:
    frame = listed.frames.query_directory("*.txt", flags=RETURN_SINGLE_ENTRY)
    first = names(client.call(frame))
    rest = names(client.call(listed.frames.query_directory("gamma")))
    assert sorted(first + rest) == ["alpha.txt", "beta.TXT"]


@pytest.mark.parametrize("flags", [RESTART_SCANS, REOPEN])
def test_a_restart_begins_anew_with_its_own_pattern(
    client: Client, listed: File, flags: int
) -> None:
    assert sorted(everything(client, listed, "*.txt")) == ["alpha.txt", "beta.TXT"]
    client.engine.make_file("new")
    response = client.call(listed.frames.query_directory("new", flags=flags))
    assert names(response) == ["new"]


def test_an_index_means_nothing(client: Client, listed: File) -> None:
    frame = listed.frames.query_directory(flags=INDEX_SPECIFIED, file_index=7)
    assert len(names(client.call(frame))) == len(NAMES) + 2


def test_files_that_come_and_go_during_a_scan(client: Client, listed: File) -> None:
    folder = client.engine.folder
    frame = listed.frames.query_directory(flags=RETURN_SINGLE_ENTRY)
    client.call(frame)
    for name in NAMES[1:]:
        (folder / name).unlink()
    client.engine.make_file("late")
    found = everything(client, listed)
    assert NAMES[0] in found
    assert not set(found) & set(NAMES[1:])


def test_a_directory_with_many_files(client: Client) -> None:
    folder = client.engine.make_directory("many")
    for number in range(3000):
        os.close(os.open(folder / f"file{number:05}", os.O_CREAT | os.O_WRONLY))
    file = client.open("many", create_options=FILE_DIRECTORY_FILE)
    found = everything(client, file, output_buffer_length=65536)
    assert len(found) == len(set(found)) == 3002


def passed_on(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[Work]:
    """The works that the reader has begun and passed on to a kworker."""
    engine.direct = True
    seen: list[Work] = []
    run = engine.scheduler.run

    def kworker(fn: Callable[..., Any], *args: Any) -> None:
        seen.extend(each for each in args if isinstance(each, Work))
        run(fn, *args)

    monkeypatch.setattr(engine.scheduler, "run", kworker)
    return seen


def folder_of(client: Client, count: int) -> File:
    """A directory of so many files, and itself and its parent."""
    folder = client.engine.make_directory("some")
    for number in range(count):
        (folder / f"file{number:05}").touch()
    return client.open("some", create_options=FILE_DIRECTORY_FILE)


def test_the_reader_does_a_short_listing_itself(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder_of(client, SHORT - 2)
    seen = passed_on(client.engine, monkeypatch)
    assert len(set(everything(client, file))) == SHORT
    assert seen == []


@pytest.mark.parametrize("more", [1, 2 * SHORT])
def test_a_kworker_does_a_longer_one_from_its_beginning(
    client: Client, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    file = folder_of(client, SHORT - 2 + more)
    seen = passed_on(client.engine, monkeypatch)
    for _ in range(2):
        assert names(client.call(file.frames.query_directory(flags=RESTART_SCANS)))[:2] == [
            ".",
            "..",
        ]
        assert len(seen) == 1  # once for each request
        seen.clear()
    assert everything(client, file) == []
    assert seen == []  # that there is no more the reader can say


@pytest.mark.parametrize(("portion", "kworkers"), [(4096, False), (16384, True)])
def test_what_counts_is_how_much_is_listed_at_a_time(
    client: Client, monkeypatch: pytest.MonkeyPatch, portion: int, kworkers: bool
) -> None:
    file = folder_of(client, 5 * SHORT)
    seen = passed_on(client.engine, monkeypatch)
    found = everything(client, file, output_buffer_length=portion)
    assert len(found) == len(set(found)) == 5 * SHORT + 2
    assert bool(seen) == kworkers


def test_a_thread_that_reads_nothing_else_does_all_itself(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder_of(client, 2 * SHORT)
    seen = passed_on(client.engine, monkeypatch)
    client.connection.has_thread = True
    assert len(everything(client, file)) == 2 * SHORT + 2
    assert seen == []


def test_a_short_scan_after_a_long_one_is_the_readers(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder_of(client, 2 * SHORT)
    seen = passed_on(client.engine, monkeypatch)
    client.call(file.frames.query_directory())
    seen.clear()
    for _ in range(2):
        client.call(file.frames.query_directory("file00001", flags=RESTART_SCANS))
    assert len(seen) == 1  # what was long is passed on; the scan it has begun is short


def test_a_kworker_looks_through_a_large_directory_for_what_is_not_there(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "PORTION", SHORT)
    file = folder_of(client, 2 * SHORT)
    seen = passed_on(client.engine, monkeypatch)
    assert client.status(file.frames.query_directory("a*")) is NO_SUCH
    assert len(seen) == 1


def test_names_no_client_can_understand_are_left_out(client: Client) -> None:
    os.close(os.open(os.fsencode(client.engine.folder) + b"/\xff\xfe", os.O_CREAT))
    client.engine.make_file("good")
    file = client.open("", create_disposition=FILE_OPEN)
    assert sorted(everything(client, file)) == [".", "..", "good"]


def test_the_longest_name_fits_the_smallest_useful_buffer(client: Client) -> None:
    name = "\u20ac" * 85
    client.engine.make_file(name)
    file = client.open("", create_disposition=FILE_OPEN)
    frame = file.frames.query_directory(name, output_buffer_length=104 + 170)
    assert names(client.call(frame)) == [name]


def test_a_wildcard_storm_takes_no_time(client: Client, listed: File) -> None:
    """Reference 5.3 N."""
    client.engine.make_file("a" * 250)
    for pattern in ("*a" * 100 + "b", "*?" * 100 + "b", "<a" * 100 + "b", "?*" * 120):
        response = client.call(listed.frames.query_directory(pattern, flags=RESTART_SCANS))
        assert response.status in {OK, NO_SUCH}
