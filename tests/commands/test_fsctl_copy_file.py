"""commands/fsctl_copy_file.py through the engine: whole files, copied for Macs."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from ksmbd.commands import fsctl_copy_file
from ksmbd.ipc.requests import ShareConfig
from ksmbd.wire import fsctl, ipc
from ksmbd.wire.access import (
    FILE_OPEN,
    FILE_READ_DATA,
    FILE_SHARE_DELETE,
    FILE_SHARE_READ,
    FILE_WRITE_DATA,
)
from ksmbd.wire.create import OPLOCK_EXCLUSIVE
from ksmbd.wire.header import Command
from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY
from ksmbd.wire.status import NtStatus
from tests.support.apple import agree
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.frames import Frame
from tests.support.mountd import DISK, share

OK, CONFLICT = NtStatus.SUCCESS, NtStatus.FILE_LOCK_CONFLICT
DATA = bytes(range(256)) * 64
LARGE = os.urandom(70_000)  # more than an xattr holds
_BOTH = FILE_READ_DATA | FILE_WRITE_DATA
_NO_WRITERS = FILE_SHARE_READ | FILE_SHARE_DELETE


@pytest.fixture
def shares(folder: Path) -> list[ShareConfig]:
    apple = DISK | ipc.SHARE_AAPL
    return [
        share("data", str(folder), apple),
        share("streamless", str(folder), apple & ~ipc.SHARE_STREAMS),
        share("plain", str(folder)),
    ]


@pytest.fixture
def mac(engine: Engine) -> Client:
    return agree(ready(engine))


def fill(client: Client, name: str, data: bytes) -> None:
    file = client.open(name)
    for at in range(0, len(data), 60_000):
        assert client.status(file.frames.write(data[at : at + 60_000], at)) is OK
    client.call(file.frames.close())


def content(client: Client, name: str) -> bytes:
    file = client.open(name)
    found = b""
    while part := bytes(client.call(file.frames.read(60_000, len(found))).data):
        found += part
        if len(part) < 60_000:
            break
    client.call(file.frames.close())
    return found


def asking(client: Client, source: File, target: File) -> Frame:
    frame = source.frames.ioctl(fsctl.SRV_REQUEST_RESUME_KEY, max_output_response=32)
    key = fsctl.SrvRequestResumeKeyResponse.unpack(client.call(frame).data).resume_key
    head = fsctl.SrvCopychunkCopy(source_key=key, chunk_count=0).pack()
    return target.frames.ioctl(fsctl.SRV_COPYCHUNK, head, max_output_response=12)


def copied(client: Client, source: File, target: File) -> tuple[int, ...]:
    response = client.call(asking(client, source, target))
    assert response.status is OK, response
    return struct.unpack("<III", response.data)


def test_the_data_and_every_stream_are_copied(mac: Client) -> None:
    mac.engine.make_file("source", DATA)
    fill(mac, "source:AFP_Resource", LARGE)
    fill(mac, "source:com.apple.note", b"text")
    fill(mac, "target:com.apple.note", b"a longer text")
    target = mac.open("target")
    mac.call(target.frames.write(bytes(len(DATA) + 10), 0))
    assert copied(mac, mac.open("source"), target) == (0, 0, len(DATA))
    assert (mac.engine.folder / "target").read_bytes() == DATA
    assert content(mac, "target:AFP_Resource") == LARGE
    assert content(mac, "target:com.apple.note") == b"text"


def test_who_knows_nothing_of_it_copies_nothing(engine: Engine) -> None:
    client = ready(engine)
    engine.make_file("source", DATA)
    assert copied(client, client.open("source"), client.open("target")) == (0, 0, 0)
    assert (engine.folder / "target").read_bytes() == b""


def test_on_another_share_it_means_no_chunks(mac: Client) -> None:
    mac.engine.make_file("source", DATA)
    mac.connect("plain")
    assert copied(mac, mac.open("source"), mac.open("target")) == (0, 0, 0)


def test_a_stream_is_copied_alone(mac: Client) -> None:
    fill(mac, "source:AFP_Resource", b"fork")
    fill(mac, "source:other", b"other")
    source, target = mac.open("source:AFP_Resource"), mac.open("target")
    assert copied(mac, source, target) == (0, 0, 4)
    assert (mac.engine.folder / "target").read_bytes() == b"fork"
    frame = mac.frames.open("target:other", create_disposition=FILE_OPEN)
    assert mac.status(frame) is NtStatus.OBJECT_NAME_NOT_FOUND


def test_a_file_is_its_own_copy(mac: Client) -> None:
    mac.engine.make_file("source", DATA)
    assert copied(mac, mac.open("source"), mac.open("source"))[2] == len(DATA)
    assert (mac.engine.folder / "source").read_bytes() == DATA


def test_without_streams_the_data_are_copied(engine: Engine) -> None:
    client = agree(ready(engine, share="streamless"))
    path = engine.make_file("source", DATA)
    os.setxattr(path, "user.DosStream.other:$DATA", b"other")
    assert copied(client, client.open("source"), client.open("target"))[2] == len(DATA)
    assert not [name for name in os.listxattr(engine.folder / "target") if "DosStream" in name]


def test_what_takes_long_is_done_in_portions(mac: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client hears that it is under way, and once only."""
    monkeypatch.setattr(fsctl_copy_file, "_PORTION", 4096)
    mac.engine.make_file("source", DATA)
    responses = mac.send(asking(mac, mac.open("source"), mac.open("target")))
    responses += mac.receive()
    assert [r.status for r in responses] == [NtStatus.PENDING, OK]
    assert responses[1].header.command == Command.IOCTL
    assert struct.unpack("<III", responses[1].data) == (0, 0, len(DATA))
    assert (mac.engine.folder / "target").read_bytes() == DATA
    # another copy begins at its beginning
    other = mac.open("other")
    responses = mac.send(asking(mac, mac.open("source"), other))
    responses += mac.receive()
    assert responses[-1].status is OK
    assert (mac.engine.folder / "other").read_bytes() == DATA


@pytest.mark.parametrize("name", ["source", "target"])
def test_a_lock_on_either_side_stands_in_the_way(mac: Client, name: str) -> None:
    mac.engine.make_file("source", DATA)
    mac.engine.make_file("target", DATA[:100])
    other = mac.open(name)
    assert mac.status(other.frames.lock((10, 1, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY))) is OK
    assert mac.status(asking(mac, mac.open("source"), mac.open("target"))) is CONFLICT
    assert (mac.engine.folder / "target").read_bytes() == DATA[:100]


def test_a_stream_of_the_target_that_somebody_caches_stands_in_the_way(mac: Client) -> None:
    fill(mac, "source:other", b"other")
    other = ready(mac.engine)
    cached = other.open("target:other", requested_oplock_level=OPLOCK_EXCLUSIVE)
    assert other.status(cached.frames.write(b"x")) is OK
    frame = asking(mac, mac.open("source"), mac.open("target"))
    assert mac.status(frame) is NtStatus.SHARING_VIOLATION
    other.call(cached.frames.close())
    assert copied(mac, mac.open("source"), mac.open("target")) == (0, 0, 0)
    assert content(mac, "target:other") == b"other"


def test_a_stream_that_somebody_keeps_to_himself_stands_in_the_way(mac: Client) -> None:
    fill(mac, "source:other", b"other")
    mac.open("target:OTHER", desired_access=_BOTH, share_access=_NO_WRITERS)
    frame = asking(mac, mac.open("source"), mac.open("target"))
    assert mac.status(frame) is NtStatus.SHARING_VIOLATION
