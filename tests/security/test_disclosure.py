"""Class W: what one client may know does not reach another by way of the server's memory.

Buffers are used again, replies have padding, refusals have reasons: none of them tells.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import pytest

from ksmbd.wire.access import FILE_DIRECTORY_FILE, FILE_READ_DATA
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.header import Command
from tests.support.arena import REQUESTS, Subject
from tests.support.client import Client, ready
from tests.support.engine import Engine
from tests.support.frames import Frame

SECRET: Final = b"\xc5TOP SECRET\xa3"
SIZES: Final = (1 << 15, 1 << 16, 1 << 20)


def fill_buffers(engine: Engine) -> None:
    """jane reads and writes secrets of every size: the pool has had them in each buffer."""
    jane = ready(engine, user="jane")
    jane.frames.credits = 200
    jane.send(jane.frames.echo())
    file = jane.open("secret").frames
    for size in SIZES:
        jane.send(file.write(SECRET * (size // len(SECRET))))
        assert SECRET in jane.call(file.read(size)).data
    jane.send(file.close())
    jane.lose()


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_no_reply_has_what_a_buffer_had_before(engine: Engine, name: str) -> None:
    engine.make_file("subject", b"short")
    engine.make_directory("directory")
    fill_buffers(engine)
    subject = Subject(engine, 0x0302)
    frame = REQUESTS[name](subject)
    if frame.header.command == Command.NEGOTIATE:
        subject.client = Client(engine)
    for response in subject.client.send(frame):
        assert SECRET[:4] not in response.raw


@pytest.mark.parametrize("length", [1, 100, 4096, 1 << 15, 1 << 16, 1 << 20])
def test_a_read_beyond_the_end_has_what_was_read_and_no_more(engine: Engine, length: int) -> None:
    engine.make_file("short", b"12345")
    fill_buffers(engine)
    client = ready(engine)
    client.frames.credits = 200
    client.send(client.frames.echo())
    file = client.open("short", desired_access=FILE_READ_DATA).frames
    related = client.frames.related()
    assert client.call(file.read(length)).data == b"12345"[:length]
    compound: tuple[Frame, ...] = (
        file.read(length, offset=3),
        related.read(length),
        related.close(),
    )
    for pdu_reply in client.send(*compound):
        assert SECRET[:4] not in pdu_reply.raw


@pytest.mark.parametrize(
    "info_class",
    [
        FileInfo.DIRECTORY, FileInfo.FULL_DIRECTORY, FileInfo.BOTH_DIRECTORY, FileInfo.NAMES,
        FileInfo.ID_BOTH_DIRECTORY, FileInfo.ID_FULL_DIRECTORY,
    ],
)  # fmt: skip
def test_the_padding_of_a_listing_is_zero(engine: Engine, info_class: int) -> None:
    for length in range(1, 12):
        engine.make_file("n" * length)
    fill_buffers(engine)
    client = ready(engine)
    directory = client.open("", create_options=FILE_DIRECTORY_FILE)
    data = client.call(directory.frames.query_directory(file_information_class=info_class)).data
    at, step = 0, 1
    names = 0
    while step:
        step, _, *_ = struct.unpack_from("<II", data, at)
        name_at = 8 if info_class == FileInfo.NAMES else 60
        (length,) = struct.unpack_from("<I", data, at + name_at)
        entry = data[at : at + step] if step else data[at:]
        name = entry.rfind(b"n\0")
        if name >= 0:
            assert not any(entry[name + 2 :]), entry[name:]
            assert length
            names += 1
        at += step
    assert names == 11


def test_a_refusal_tells_a_status_and_nothing_else(engine: Engine, folder: Path) -> None:
    """Not the path on disk, not the kernel's words, not our reasons."""
    client = ready(engine)
    file = client.open("file", desired_access=FILE_READ_DATA).frames
    frames = [
        client.frames.open("missing"),
        client.frames.open(r"missing\file"),
        client.frames.open("bad*name"),
        client.frames.create("file", create_disposition=2),
        client.frames.tree_connect(r"\\server\missing"),
        file.write(b"x"),
        file.set_info(FileInfo.END_OF_FILE, bytes(8)),
        file.query_info(200),
        file.ioctl(0x00090000),
        client.frames.close(),
    ]
    for frame in frames:
        response = client.call(frame)
        assert response.status != 0
        assert len(response.raw) == 64 + 9, f"{response} says {response.raw[64:]!r}"
        assert str(folder).encode() not in response.raw
