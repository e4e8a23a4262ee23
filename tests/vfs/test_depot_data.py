"""The data of streams that no xattr holds."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from ksmbd.vfs.copy import copy_range
from ksmbd.vfs.depot import TICKET, is_ticket
from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.sparse import allocated_ranges, zero_range
from ksmbd.vfs.streams import (
    MAX_STREAM,
    list_streams,
    rename_stream,
    rename_to_file,
)
from tests.vfs.stored import MIB, OpenStream, content, share, stored, stream, value

__all__ = ["share", "stream"]  # fixtures


def test_a_stream_of_any_size_is_kept(share: ShareRoot, stream: OpenStream, disk: Path) -> None:
    data = random.Random(1).randbytes(10 * MIB)
    handle = stream(share)
    for offset in range(0, len(data), MIB):
        assert handle.write(data[offset : offset + MIB], offset) == MIB
    handle.sync()
    assert content(handle) == data
    assert content(stream(share, write=False)) == data
    assert handle.stat().size == len(data)
    assert handle.stat().allocation >= len(data)
    assert len(stored(disk)) == 1
    assert is_ticket(value(disk / "f")[:TICKET])
    assert (disk / "f").stat().st_size == 0
    [told] = list_streams(share, handle.fd)
    assert (told.name, told.size) == ("s", len(data))
    assert told.allocation >= len(data)


def test_what_fits_stays_an_xattr(share: ShareRoot, stream: OpenStream, disk: Path) -> None:
    handle = stream(share)
    handle.write(bytes(1000), 0)
    assert not handle.tells_cached
    assert handle.data_fd() == -1
    assert stored(disk) == []
    assert len(value(disk / "f").rstrip(b"\0")) == 0
    assert list_streams(share, handle.fd)[0].size == 1000


def test_it_moves_under_those_who_have_it_open(share: ShareRoot, stream: OpenStream) -> None:
    first, second, reader = stream(share), stream(share), stream(share, write=False)
    first.write(b"small", 0)
    assert content(second) == b"small"
    second.write(b"far", 2 * MIB)  # it moves
    first.write(b"SM", 0)  # a handle that was opened before
    first.append(b"!")
    expected = b"SMall".ljust(2 * MIB, b"\0") + b"far!"
    for handle in (first, second, reader):
        assert content(handle) == expected
    second.truncate(3)  # it does not move back
    assert content(first) == content(reader) == b"SMa"
    first.truncate(0)
    assert reader.stat().size == 0
    second.write(b"again", 0)
    assert content(reader) == b"again"


def test_writers_take_turns_while_it_moves(share: ShareRoot, stream: OpenStream) -> None:
    handles = [stream(share) for _ in range(4)]
    size = 300

    def write(number: int) -> None:
        for index in range(100):
            data = bytes([65 + number]) * size
            handles[number].write(data, (index * len(handles) + number) * size)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert content(handles[0]) == (b"A" * size + b"B" * size + b"C" * size + b"D" * size) * 100


def test_one_stored_stream_is_left_of_a_race(
    share: ShareRoot, stream: OpenStream, disk: Path
) -> None:
    handles = [stream(share) for _ in range(8)]
    start = threading.Barrier(len(handles))

    def write(number: int) -> None:
        start.wait()
        handles[number].write(bytes([65 + number]), MAX_STREAM + number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert content(handles[0], offset=MAX_STREAM) == b"ABCDEFGH"
    assert len(stored(disk)) == 1


def test_it_has_holes(share: ShareRoot, stream: OpenStream) -> None:
    handle = stream(share)
    handle.write(b"end", 64 * MIB)
    assert handle.stat().size == 64 * MIB + 3
    assert handle.stat().allocation < MIB
    [(offset, length)] = allocated_ranges(handle, 0, 1 << 40)
    assert offset > 60 * MIB
    assert offset + length == 64 * MIB + 3
    handle.write(b"x" * MIB, 0)
    zero_range(handle, 0, MIB)
    assert content(handle, MIB) == bytes(MIB)
    assert handle.stat().allocation < MIB


@pytest.mark.parametrize("change", ["truncate", "allocate"])
def test_a_size_beyond_an_xattr_moves_it(
    share: ShareRoot, stream: OpenStream, disk: Path, change: str
) -> None:
    handle = stream(share)
    handle.write(b"kept", 0)
    getattr(handle, change)(MIB)
    assert len(stored(disk)) == 1
    assert content(handle) == (b"kept".ljust(MIB, b"\0") if change == "truncate" else b"kept")
    handle.allocate(2)
    assert content(handle) == b"ke"


def test_a_read_says_what_memory_serves(share: ShareRoot, stream: OpenStream) -> None:
    handle = stream(share)
    handle.write(b"x" * MAX_STREAM + b"y", 0)
    assert handle.tells_cached
    buffer = memoryview(bytearray(2))
    assert handle.readinto_cached(buffer, MAX_STREAM - 1) in (2, None)
    assert bytes(buffer) in (b"xy", b"\0\0")


def test_a_write_moves_the_write_time_of_the_file(
    share: ShareRoot, stream: OpenStream, disk: Path
) -> None:
    handle = stream(share)
    for change in (
        lambda: handle.write(b"x", MIB),
        lambda: handle.truncate(5 * MIB),
        lambda: zero_range(handle, 0, MIB),
    ):
        os.utime(disk / "f", ns=(5, 5))
        change()
        assert (disk / "f").stat().st_mtime_ns > 5


def test_it_is_copied_and_renamed(share: ShareRoot, stream: OpenStream, disk: Path) -> None:
    source, target = stream(share, name="a"), stream(share, "g", "b")
    source.write(b"data" * MIB, 0)
    assert copy_range(source, 0, target, 0, 4 * MIB) == 4 * MIB
    rename_stream(source, "c", replace=False)
    rename_stream(target, "C", replace=False)
    assert content(source) == content(target) == b"data" * MIB
    assert len(stored(disk)) == 2
    again = stream(share, name="d")
    again.write(b"y", MIB)
    rename_stream(again, "c", replace=True)
    assert [told.name for told in list_streams(share, again.fd)] == ["c"]
    assert content(stream(share, name="c"), offset=MIB) == b"y"
    assert len(stored(disk)) == 2


def test_it_becomes_the_file(share: ShareRoot, stream: OpenStream, disk: Path) -> None:
    handle = stream(share)
    handle.write(b"data" * MIB, 0)
    rename_to_file(handle)
    assert (disk / "f").read_bytes() == b"data" * MIB
    assert stored(disk) == []
    handle.write(b"D", 0)
    assert content(handle, 4) == b"Data"


def test_nothing_that_a_client_writes_is_a_ticket(
    share: ShareRoot, stream: OpenStream, disk: Path
) -> None:
    secret = stream(share, name="secret")
    secret.write(b"s" * MIB, 0)
    ticket = value(disk / "f", "secret")[:TICKET]
    forged = stream(share, name="forged")
    for data, offset in ((ticket, 0), (ticket[8:], 8)):
        forged.truncate(0)
        forged.write(ticket[:offset], 0)
        forged.write(data, offset)
        assert content(forged) == ticket
        assert content(stream(share, name="forged")) == ticket
    assert value(disk / "f", "forged")[:TICKET] != ticket
