"""Everything a client can do to a file, and what it takes from another's cache.

The tables name every SET_INFO class and every FSCTL that changes something: who adds one says here
what it breaks.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

import pytest

from ksmbd.commands.ioctl import FSCTLS
from ksmbd.commands.set_file import FILE_SETTINGS
from ksmbd.wire import create_context, file_info, fsctl
from ksmbd.wire.access import FILE_DIRECTORY_FILE, FILE_OVERWRITE_IF, FILE_SUPERSEDE
from ksmbd.wire.create import OPLOCK_LEASE
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.negotiate import CAP_DIRECTORY_LEASING
from ksmbd.wire.oplock_break import LeaseBreakNotification
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.support.client import Client, File
from tests.support.engine import Engine
from tests.support.frames import Frame
from tests.support.live import ROOT
from tests.support.mountd import PASSWORD

NONE, R, RH = 0, 1, 3
NOTHING, READING, KEEPING = [], [(RH, NONE)], [(RH, R)]  # type: ignore[var-annotated]
Does = Callable[[Client, File], Frame]


def another(engine: Engine, guid: bytes) -> Client:
    client = Client(engine)
    client.negotiate(client_guid=guid * 16, capabilities=CAP_DIRECTORY_LEASING)
    client.log_on("joe", PASSWORD)
    client.connect()
    return client


def leased(key: bytes) -> dict[str, Any]:
    request = create_context.RequestLeaseV2(lease_key=key * 16, lease_state=RH)
    return {
        "contexts": [(create_context.REQUEST_LEASE, request.pack())],
        "requested_oplock_level": OPLOCK_LEASE,
    }


def told(client: Client) -> list[tuple[int, int]]:
    client.receive()
    breaks = [each.body(LeaseBreakNotification) for each in client.unsolicited]
    client.unsolicited.clear()
    return [(each.current_lease_state, each.new_lease_state) for each in breaks]


def named(kind: type[Any], **fields: int) -> bytes:
    raw = utf16("other")
    packed: bytes = kind(file_name_length=len(raw), **fields).pack() + raw
    return packed


def setting(info_class: int, data: bytes) -> Does:
    return lambda _client, file: file.frames.set_info(info_class, data)


def control(code: int, data: bytes = b"") -> Does:
    return lambda _client, file: file.frames.ioctl(code, data)


def copying(code: int) -> Does:
    def does(client: Client, file: File) -> Frame:
        source = client.open("source")
        client.call(source.frames.write(b"0123456789"))
        asked = client.call(source.frames.ioctl(fsctl.SRV_REQUEST_RESUME_KEY))
        key = fsctl.SrvRequestResumeKeyResponse.unpack(asked.data).resume_key
        chunk = struct.pack("<QQII", 0, 0, 4, 0)
        return file.frames.ioctl(code, key + struct.pack("<II", 1, 0) + chunk)

    return does


ZEROS: Final = struct.pack("<QQ", 0, 4)
SETTINGS: Final[dict[int, tuple[Does, list[tuple[int, int]]]]] = {
    FileInfo.BASIC: (setting(FileInfo.BASIC, struct.pack("<QQQQII", 0, 0, 0, 0, 2, 0)), NOTHING),
    FileInfo.RENAME: (
        setting(FileInfo.RENAME, named(file_info.FileRenameInformation, replace_if_exists=0)),
        KEEPING,
    ),
    FileInfo.LINK: (
        setting(FileInfo.LINK, named(file_info.FileLinkInformation, replace_if_exists=0)),
        KEEPING,
    ),
    FileInfo.DISPOSITION: (setting(FileInfo.DISPOSITION, b"\1"), KEEPING),
    FileInfo.POSITION: (setting(FileInfo.POSITION, bytes(8)), NOTHING),
    FileInfo.FULL_EA: (
        setting(FileInfo.FULL_EA, struct.pack("<IBBH", 0, 0, 1, 1) + b"A\0b"),
        NOTHING,
    ),
    FileInfo.MODE: (setting(FileInfo.MODE, bytes(4)), NOTHING),
    FileInfo.ALLOCATION: (setting(FileInfo.ALLOCATION, bytes(8)), READING),
    FileInfo.END_OF_FILE: (setting(FileInfo.END_OF_FILE, bytes(8)), READING),
    FileInfo.VALID_DATA_LENGTH: (setting(FileInfo.VALID_DATA_LENGTH, bytes(8)), NOTHING),
    FileInfo.DISPOSITION_EX: (setting(FileInfo.DISPOSITION_EX, struct.pack("<I", 3)), KEEPING),
    FileInfo.RENAME_EX: (
        setting(FileInfo.RENAME_EX, named(file_info.FileRenameInformationEx, flags=0)),
        KEEPING,
    ),
    FileInfo.LINK_EX: (
        setting(FileInfo.LINK_EX, named(file_info.FileLinkInformationEx, flags=0)),
        KEEPING,
    ),
}
CONTROLS: Final[dict[int, tuple[Does, list[tuple[int, int]]]]] = {
    fsctl.SET_SPARSE: (control(fsctl.SET_SPARSE), NOTHING),
    fsctl.SET_ZERO_DATA: (control(fsctl.SET_ZERO_DATA, ZEROS), READING),
    fsctl.SRV_COPYCHUNK: (copying(fsctl.SRV_COPYCHUNK), READING),
    fsctl.SRV_COPYCHUNK_WRITE: (copying(fsctl.SRV_COPYCHUNK_WRITE), READING),
}
# What the disk under a test may not be able to do, or what needs a token: told elsewhere.
TOLD_ELSEWHERE: Final = {
    fsctl.FILE_LEVEL_TRIM: "tests/commands/test_fsctl_sparse.py",
    fsctl.SET_COMPRESSION: "tests/commands/test_fsctl_sparse.py",
    fsctl.DUPLICATE_EXTENTS_TO_FILE: "tests/commands/test_fsctl_copy.py",
    fsctl.DUPLICATE_EXTENTS_TO_FILE_EX: "tests/commands/test_fsctl_copy.py",
    fsctl.OFFLOAD_WRITE: "tests/commands/test_fsctl_odx.py",
    fsctl.SET_REPARSE_POINT: "tests/commands/test_fsctl_reparse.py",
    fsctl.DELETE_REPARSE_POINT: "tests/commands/test_fsctl_reparse.py",
}
OTHERS: Final[dict[str, tuple[Does, list[tuple[int, int]]]]] = {
    "write": (lambda _client, file: file.frames.write(b"x"), READING),
    "lock": (lambda _client, file: file.frames.lock(), READING),
    "read": (lambda _client, file: file.frames.read(4), NOTHING),
    "flush": (lambda _client, file: file.frames.flush(), NOTHING),
    "open": (lambda client, _file: client.frames.open("file"), NOTHING),
    "overwrite": (
        lambda client, _file: client.frames.create("file", create_disposition=FILE_OVERWRITE_IF),
        READING,
    ),
    "supersede": (
        lambda client, _file: client.frames.create("file", create_disposition=FILE_SUPERSEDE),
        READING,
    ),
    "write to a stream": (lambda client, _file: client.open("file:s").frames.write(b"x"), NOTHING),
}


def test_every_class_that_can_be_set_is_in_the_table() -> None:
    refused = {FileInfo.SHORT_NAME}
    assert set(FILE_SETTINGS) - refused == set(SETTINGS)


def test_every_control_that_changes_something_is_in_the_table() -> None:
    changing = {code for code, entry in FSCTLS.items() if entry.changes}
    assert changing == set(CONTROLS) | set(TOLD_ELSEWHERE)
    assert all((ROOT / path).is_file() for path in TOLD_ELSEWHERE.values())


@pytest.mark.parametrize(
    ("does", "breaks"),
    [
        pytest.param(does, breaks, id=str(name))
        for table in (SETTINGS, CONTROLS, OTHERS)
        for name, (does, breaks) in table.items()  # type: ignore[attr-defined]
    ],
)
def test_what_it_takes_from_anothers_cache(
    engine: Engine, does: Does, breaks: list[tuple[int, int]]
) -> None:
    engine.make_file("file", b"0123456789")
    holder, other = another(engine, b"A"), another(engine, b"B")
    holder.open("file", **leased(b"k"))
    file = other.open("file")
    frame = does(other, file)
    assert told(holder) == []
    replies = other.send(frame)
    assert told(holder) == breaks
    if breaks == KEEPING:  # new names wait until nobody keeps the file open for nobody
        assert replies == []
        status = holder.status(holder.frames.lease_break(b"k" * 16, R))
        assert status is NtStatus.SUCCESS
        replies = other.receive()
    assert [reply.status for reply in replies] == [NtStatus.SUCCESS]


@pytest.mark.parametrize("info_class", [c for c, s in FILE_SETTINGS.items() if s.listed])
def test_what_a_listing_shows_takes_the_listing_from_anothers_cache(
    engine: Engine, info_class: int
) -> None:
    engine.make_directory("dir")
    engine.make_file("dir/file", b"0123456789")
    holder, other = another(engine, b"A"), another(engine, b"B")
    holder.open("dir", create_options=FILE_DIRECTORY_FILE, **leased(b"d"))
    file = other.open("dir\\file")
    assert told(holder) == []
    assert other.status(SETTINGS[info_class][0](other, file)) is NtStatus.SUCCESS
    assert told(holder) == READING
