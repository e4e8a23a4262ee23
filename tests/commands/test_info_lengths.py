"""QUERY_INFO and SET_INFO with every class of the specification and every length of a buffer.

[MS-SMB2] 3.3.5.20 and 3.3.5.21, with the sizes of [MS-FSCC] 2.4 and 2.5: the tables here are taken
from the specification, not from the server's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from ksmbd.ipc.requests import ShareConfig
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.stat import fs_stat
from ksmbd.wire import file_chains, ipc
from ksmbd.wire.access import FILE_DIRECTORY_FILE
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.fs_info import FsInfo
from ksmbd.wire.negotiate import SMB_2_1, SMB_3_1_1
from ksmbd.wire.query_info import (
    INFO_FILE,
    INFO_FILESYSTEM,
    INFO_SECURITY,
    RESTART_SCAN,
)
from ksmbd.wire.security import (
    DACL_SECURITY_INFORMATION,
    GROUP_SECURITY_INFORMATION,
    OWNER_SECURITY_INFORMATION,
)
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.mountd import DISK, share

SUCCESS: Final = NtStatus.SUCCESS
OVERFLOW: Final = NtStatus.BUFFER_OVERFLOW
TOO_SMALL: Final = NtStatus.BUFFER_TOO_SMALL
MISMATCH: Final = NtStatus.INFO_LENGTH_MISMATCH
NOT_SUPPORTED: Final = NtStatus.NOT_SUPPORTED
INVALID_CLASS: Final = NtStatus.INVALID_INFO_CLASS
INVALID: Final = NtStatus.INVALID_PARAMETER

KINDS: Final = ("file", "directory", "stream", "pipe")
DISK_KINDS: Final = KINDS[:3]
BEYOND: Final = 8  # bytes: how much longer than enough is tried
EMPTY_CONTEXT: Final = bytes(8)  # ErrorDataLength and ErrorId
SOME: Final = (0, 1, 4, 8, 40, 4096)  # lengths, where none makes a difference

# Bytes.  A class that stands in VARIABLE ends with a name, and is no shorter than its structure.
FILE_FIXED: Final = {
    4: 40,  # FileBasicInformation
    5: 24,  # FileStandardInformation
    6: 8,  # FileInternalInformation
    7: 4,  # FileEaInformation
    8: 4,  # FileAccessInformation
    14: 8,  # FilePositionInformation
    16: 4,  # FileModeInformation
    17: 4,  # FileAlignmentInformation
    28: 16,  # FileCompressionInformation
    34: 56,  # FileNetworkOpenInformation
    35: 8,  # FileAttributeTagInformation
    54: 12,  # FileStandardLinkInformation
    59: 24,  # FileIdInformation
}
FILE_VARIABLE: Final = {
    9: 8,  # FileNameInformation
    18: 104,  # FileAllInformation
    21: 8,  # FileAlternateNameInformation
    48: 8,  # FileNormalizedNameInformation
}
PIPE_FIXED: Final = {
    5: 24,
    23: 8,  # FilePipeInformation
    24: 40,  # FilePipeLocalInformation
}
STREAM, FULL_EA = 22, 15  # chains of entries
# Documented in [MS-FSCC] 2.4, but for listings, for setting, or for no client at all
OTHERS: Final = frozenset((
    1, 2, 3, 10, 11, 12, 13, 19, 20, 23, 24, 25, 26, 27, 29, 30, 31, 32, 33, 36, 37, 38, 39, 40,
    44, 45, 46, 50, 55, 60, 63, 64, 65, 68, 70, 71, 72, 78, 79, 80, 81, 100,
))  # fmt: skip
FS_FIXED: Final = {
    3: 24,  # FileFsSizeInformation
    4: 8,  # FileFsDeviceInformation
    6: 48,  # FileFsControlInformation
    7: 32,  # FileFsFullSizeInformation
    8: 64,  # FileFsObjectIdInformation
    11: 28,  # FileFsSectorSizeInformation
}
FS_VARIABLE: Final = {
    1: 24,  # FileFsVolumeInformation
    5: 16,  # FileFsAttributeInformation
}
FS_OTHERS: Final = frozenset((2, 9, 10, 100))  # labels, drivers, flags; POSIX without its context
SET_FIXED: Final = {
    4: 40,
    10: 20,  # FileRenameInformation
    11: 20,  # FileLinkInformation
    13: 1,  # FileDispositionInformation
    14: 8,
    15: 8,  # FileFullEaInformation
    16: 4,
    19: 8,  # FileAllocationInformation
    20: 8,  # FileEndOfFileInformation
    39: 8,  # FileValidDataLengthInformation
    40: 4,  # FileShortNameInformation
    64: 4,  # FileDispositionInformationEx
    65: 20,  # FileRenameInformationEx
    72: 20,  # FileLinkInformationEx
}
SET_ELSEWHERE: Final = frozenset((23, 32, 71))  # of pipes, quotas, POSIX-like directories
STREAMS: Final = ("::$DATA", ":s:$DATA", ":stream:$DATA")
EAS: Final = [("A", b"value"), ("LONGER", b"x" * 33)]
DESCRIPTOR: Final = (
    OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION
)


@pytest.fixture
def shares(folder: Path) -> Sequence[ShareConfig]:
    return [share("data", str(folder), DISK | ipc.SHARE_STREAMS)]


@dataclass(frozen=True)
class Asker:
    """Queries of one open."""

    client: Client
    file: File

    def __call__(
        self, info_class: int, length: int, info_type: int = INFO_FILE, **changes: int
    ) -> tuple[NtStatus, bytes]:
        """The status, and the data or the error data."""
        frame = self.file.frames.query_info(
            info_class, info_type=info_type, output_buffer_length=length, **changes
        )
        response = self.client.call(frame)
        if response.status in (SUCCESS, OVERFLOW):
            return response.status, response.data
        return response.status, response.error_data

    def set(self, info_class: int, data: bytes, info_type: int = INFO_FILE) -> NtStatus:
        information = DESCRIPTOR if info_type == INFO_SECURITY else 0
        frame = self.file.frames.set_info(
            info_class, data, info_type=info_type, additional_information=information
        )
        return self.client.status(frame)


def asker(engine: Engine, kind: str, *dialects: int) -> Asker:
    """An open of a file with two EAs and two streams, or of one of the other kinds."""
    client = ready(engine, *dialects, share="IPC$" if kind == "pipe" else "data")
    if kind == "pipe":
        return Asker(client, client.open("srvsvc"))
    if kind == "directory":
        return Asker(client, client.open("folder", create_options=FILE_DIRECTORY_FILE))
    file = client.open("file")
    for stream in STREAMS[1:]:
        client.call(client.open("file" + stream).frames.close())
    written = Asker(client, file).set(FULL_EA, file_chains.pack_full_eas(EAS)[0])
    assert written is SUCCESS
    if kind == "file":
        return Asker(client, file)
    client.call(file.frames.close())
    return Asker(client, client.open("file:s"))


Whole = Callable[[int], tuple[NtStatus, bytes]]


def assert_cut_anywhere(ask: Whole, fixed: int) -> bytes:
    """Nothing below *fixed* bytes, what fits below all of it, and all of it; which is returned."""
    status, whole = ask(65536)
    assert status is SUCCESS
    for length in range(len(whole) + BEYOND + 1):
        if length < fixed:
            expected = MISMATCH, EMPTY_CONTEXT
        elif length < len(whole):
            expected = OVERFLOW, whole[:length]
        else:
            expected = SUCCESS, whole
        assert ask(length) == expected, length
    return whole


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_of_one_size(engine: Engine, kind: str) -> None:
    ask = asker(engine, kind)
    for info_class, size in (PIPE_FIXED if kind == "pipe" else FILE_FIXED).items():
        whole = assert_cut_anywhere(partial(ask, info_class), size)
        assert len(whole) == size


@pytest.mark.parametrize("kind", DISK_KINDS)
def test_a_class_that_ends_with_a_name(engine: Engine, kind: str) -> None:
    ask = asker(engine, kind)
    for info_class, size in FILE_VARIABLE.items():
        assert len(assert_cut_anywhere(partial(ask, info_class), size)) > size


@pytest.mark.parametrize("kind", DISK_KINDS)
def test_a_class_of_the_file_system(
    engine: Engine, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = asker(engine, kind)
    fd = os.open(engine.folder, os.O_RDONLY)
    now = fs_stat(fd)
    os.close(fd)
    monkeypatch.setattr(Handle, "statfs", lambda _: now)  # others write to the disk meanwhile
    for info_class, size in FS_FIXED.items():
        whole = assert_cut_anywhere(partial(ask, info_class, info_type=INFO_FILESYSTEM), size)
        assert len(whole) == size
    for info_class, size in FS_VARIABLE.items():
        whole = assert_cut_anywhere(partial(ask, info_class, info_type=INFO_FILESYSTEM), size)
        assert len(whole) > size


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_that_is_not_answered_is_so_at_any_length(engine: Engine, kind: str) -> None:
    ask = asker(engine, kind)
    answered = {*FILE_FIXED, *FILE_VARIABLE, STREAM, FULL_EA}
    documented = answered | OTHERS
    assert documented == set(FileInfo)
    if kind == "pipe":
        answered = set(PIPE_FIXED)
    for info_class in set(range(256)) - answered:
        expected = NOT_SUPPORTED if info_class in documented else INVALID_CLASS
        for length in SOME:
            assert ask(info_class, length) == (expected, b""), (info_class, length)


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_of_the_file_system_that_is_not_answered_is_so_at_any_length(
    engine: Engine, kind: str
) -> None:
    ask = asker(engine, kind)
    answered = {*FS_FIXED, *FS_VARIABLE}
    documented = answered | FS_OTHERS
    assert documented == set(FsInfo)
    if kind == "pipe":  # it lies on none
        answered = set()
    for info_class in set(range(256)) - answered:
        expected = NOT_SUPPORTED if info_class in documented else INVALID_CLASS
        for length in SOME:
            found = ask(info_class, length, INFO_FILESYSTEM)
            assert found == (expected, b""), (info_class, length)


def chain_that_fits(length: int, ends: Sequence[int]) -> int:
    """How many bytes of a chain fit, whose entries end there."""
    return max((end for end in ends if end <= length), default=0)


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_streams_are_told_whole_or_not_at_all(engine: Engine, kind: str) -> None:
    """[MS-FSA] 2.1.5.12.29; of 24 bytes before the name, aligned to 8."""
    ask = asker(engine, kind)
    ends, at = [], 0
    for name in STREAMS:
        at = -(-at // 8) * 8 + 24 + 2 * len(name)
        ends.append(at)
    for length in range(ends[-1] + BEYOND + 1):
        status, data = ask(STREAM, length)
        if length < 32:
            assert (status, data) == (MISMATCH, EMPTY_CONTEXT), length
            continue
        assert status is (SUCCESS if length >= ends[-1] else OVERFLOW), length
        assert len(data) == chain_that_fits(length, ends)
        told = [stream.name for stream in file_chains.unpack_streams(data)] if data else []
        assert told == list(STREAMS[: len(told)])
        assert len(told) == sum(end <= length for end in ends)


def test_a_directory_has_no_stream_of_its_own(engine: Engine) -> None:
    ask = asker(engine, "directory")
    for length in range(64):
        expected = (MISMATCH, EMPTY_CONTEXT) if length < 32 else (SUCCESS, b"")
        assert ask(STREAM, length) == expected


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_extended_attributes_are_told_whole_or_not_at_all(engine: Engine, kind: str) -> None:
    """[MS-FSA] 2.1.5.12.12: never a mismatch.  They are the file's, whichever stream is open."""
    ask = asker(engine, kind)
    ends, at = [], 0
    for name, value in EAS:
        at = -(-at // 4) * 4 + 8 + len(name) + 1 + len(value)
        ends.append(at)
    for length in range(ends[-1] + BEYOND + 1):
        status, data = ask(FULL_EA, length, flags=RESTART_SCAN)
        if length < ends[0]:
            assert (status, data) == (TOO_SMALL, b""), length
            continue
        assert status is (SUCCESS if length >= ends[-1] else OVERFLOW), length
        assert len(data) == chain_that_fits(length, ends)
        told = file_chains.unpack_full_eas(data)
        assert told == EAS[: len(told)]


def test_where_there_are_no_extended_attributes_it_is_said_at_any_length(engine: Engine) -> None:
    ask = asker(engine, "directory")
    for length in range(64):
        assert ask(FULL_EA, length) == (NtStatus.NO_EAS_ON_FILE, b"")


@pytest.mark.parametrize("kind", DISK_KINDS)
@pytest.mark.parametrize("information", [0, DESCRIPTOR])
def test_a_descriptor_that_does_not_fit_says_its_length(
    engine: Engine, kind: str, information: int
) -> None:
    ask = asker(engine, kind)

    def asked(length: int) -> tuple[NtStatus, bytes]:
        return ask(0, length, INFO_SECURITY, additional_information=information)

    status, whole = asked(65536)
    assert status is SUCCESS
    needed = len(whole).to_bytes(4, "little")
    context = (4).to_bytes(4, "little") + bytes(4)
    for length in range(len(whole) + BEYOND + 1):
        expected = (SUCCESS, whole) if length >= len(whole) else (TOO_SMALL, context + needed)
        assert asked(length) == expected, length


def test_a_pipe_has_no_descriptor(engine: Engine) -> None:
    ask = asker(engine, "pipe")
    for length in SOME:
        found = ask(0, length, INFO_SECURITY, additional_information=DESCRIPTOR)
        assert found == (NOT_SUPPORTED, b"")


def test_before_3_1_1_a_mismatch_comes_without_error_data(engine: Engine) -> None:
    """[MS-SMB2] 3.3.5.20.1: ByteCount is 8 with 3.1.1, for the context, and zero before."""
    old = asker(engine, "file", SMB_2_1)
    assert old(FileInfo.BASIC, 39) == (MISMATCH, b"")
    assert old(FsInfo.SIZE, 23, INFO_FILESYSTEM) == (MISMATCH, b"")
    new = asker(engine, "file", SMB_3_1_1)
    assert new(FileInfo.BASIC, 39) == (MISMATCH, EMPTY_CONTEXT)
    assert new(FsInfo.SIZE, 23, INFO_FILESYSTEM) == (MISMATCH, EMPTY_CONTEXT)


# -- SET_INFO ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DISK_KINDS)
def test_what_is_set_has_its_size(engine: Engine, kind: str) -> None:
    ask = asker(engine, kind)
    for info_class, size in SET_FIXED.items():
        assert ask.set(info_class, b"") is INVALID
        for length in range(1, size):
            assert ask.set(info_class, bytes(length)) is MISMATCH, (info_class, length)
        for length in range(size, size + BEYOND + 1):
            found = {ask.set(info_class, bytes(length)), ask.set(info_class, b"\xff" * length)}
            assert not found & {MISMATCH, NtStatus.UNEXPECTED_IO_ERROR}, (info_class, length)


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_set_cannot_at_any_length(engine: Engine, kind: str) -> None:
    """NOT_SUPPORTED is what the specification has to be set, by somebody."""
    ask = asker(engine, kind)
    here = {23} if kind == "pipe" else set(SET_FIXED)
    settable = SET_ELSEWHERE | set(SET_FIXED)
    for info_class in set(range(256)) - here:
        expected = NOT_SUPPORTED if info_class in settable else INVALID_CLASS
        for length in SOME[1:]:
            assert ask.set(info_class, bytes(length)) is expected, (info_class, length)
        assert ask.set(info_class, b"") is INVALID


def test_a_pipe_is_set_with_eight_bytes(engine: Engine) -> None:
    ask = asker(engine, "pipe")
    messages = (1).to_bytes(4, "little") + bytes(4)
    assert ask.set(FileInfo.PIPE, b"") is INVALID
    for length in range(1, 8):
        assert ask.set(FileInfo.PIPE, messages[:length]) is MISMATCH
    for beyond in range(BEYOND):
        assert ask.set(FileInfo.PIPE, messages + bytes(beyond)) is SUCCESS


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_descriptor_that_is_cut_anywhere_is_none(engine: Engine, kind: str) -> None:
    ask = asker(engine, kind)
    _, whole = ask(0, 65536, INFO_SECURITY, additional_information=DESCRIPTOR)
    assert ask.set(0, b"", INFO_SECURITY) is INVALID
    for length in range(1, len(whole)):
        found = ask.set(0, whole[:length], INFO_SECURITY)
        assert found is NtStatus.INVALID_SECURITY_DESCR, length
    assert ask.set(0, whole, INFO_SECURITY) is SUCCESS
    assert ask(0, 65536, INFO_SECURITY, additional_information=DESCRIPTOR) == (SUCCESS, whole)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_file_system_is_set_at_any_length(engine: Engine, kind: str) -> None:
    ask = asker(engine, kind)
    statuses = {2: NOT_SUPPORTED, 6: NtStatus.ACCESS_DENIED, 8: NtStatus.ACCESS_DENIED}
    for info_class in range(256):
        expected = statuses.get(info_class, INVALID_CLASS)
        for length in SOME[1:]:
            found = ask.set(info_class, bytes(length), INFO_FILESYSTEM)
            assert found is expected, (info_class, length)
