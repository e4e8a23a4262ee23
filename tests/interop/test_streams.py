"""Streams with real clients, and on a disk that Samba serves too."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.clients import SmbClient
from tests.interop.test_smbprotocol import Files
from tests.support.live import LiveServer
from tests.support.peers import Peer
from tests.support.samba import SambaServer, beside_samba

pytestmark = pytest.mark.interop

ZONE = b"[ZoneTransfer]\r\nZoneId=3\r\n"
SAMBA = {
    "read only": "no",
    "create mask": "0777",
    "vfs objects": "streams_xattr",
    "streams_xattr:samba format": "yes",
}


def test_smbclient_puts_lists_and_gets_a_stream(live: Peer, tmp_path: Path) -> None:
    client = SmbClient(live, folder=tmp_path)
    (tmp_path / "sent").write_bytes(ZONE)
    client.ok('put sent streams.txt; put sent "streams.txt:Zone.Identifier"')
    told = client.ok("allinfo streams.txt")
    assert f"stream: [:Zone.Identifier:$DATA], {len(ZONE)} bytes" in told
    client.ok('get "streams.txt:zone.identifier:$DATA" back')
    assert (tmp_path / "back").read_bytes() == ZONE
    client.ok("rename streams.txt moved.txt; get moved.txt:Zone.Identifier again")
    assert (tmp_path / "again").read_bytes() == ZONE
    client.ok("del moved.txt")


def test_smbprotocol_writes_and_removes_a_stream(live: Peer) -> None:
    files = Files(live)
    base = rf"\\{live.host}\share\with-streams"
    with files.open_file(f"{base}:AFP_AfpInfo", mode="wb") as stream:
        stream.write(bytes(60))
    assert files.stat(base).st_size == 0
    with files.open_file(f"{base}:afp_afpinfo", mode="rb") as stream:
        assert stream.read() == bytes(60)
    files.remove(f"{base}:AFP_AfpInfo")
    assert not files.exists(f"{base}:AFP_AfpInfo")
    files.remove(base)


def test_a_stream_of_10_mib_goes_there_and_back(live: Peer, tmp_path: Path) -> None:
    if not isinstance(live, LiveServer):
        pytest.skip("Samba has no room for it")
    data = random.Random(5).randbytes(10 << 20)
    (tmp_path / "sent").write_bytes(data)
    client = SmbClient(live, folder=tmp_path)
    client.ok('put sent big.txt; put sent "big.txt:large"')
    assert f"stream: [:large:$DATA], {len(data)} bytes" in client.ok("allinfo big.txt")
    client.ok('rename big.txt moved.txt; get "moved.txt:LARGE" back')
    assert (tmp_path / "back").read_bytes() == data
    assert ".ksmbd-streams" not in client.ok("ls")
    client.ok("del moved.txt")


def test_two_clients_write_a_large_stream_in_turns(live: Peer) -> None:
    if not isinstance(live, LiveServer):
        pytest.skip("Samba has no room for it")
    base = rf"\\{live.host}\share\turns"
    pair = [Files(live), Files(live)]
    pair[0].open_file(base, mode="wb").close()
    pair[0].open_file(f"{base}:s", mode="wb").close()
    piece = 256 << 10
    opens = [
        files.open_file(f"{base}:s", mode="r+b", share_access="rwd", buffering=0) for files in pair
    ]
    for number in range(20):
        writer = opens[number % 2]
        data = bytes([number]) * piece
        writer.seek(number * piece)
        assert writer.write(data) == piece
        with pair[1 - number % 2].open_file(f"{base}:s", mode="rb", share_access="rwd") as stream:
            stream.seek(number * piece)
            assert stream.read() == data
    for each in opens:
        each.close()
    with pair[1].open_file(f"{base}:s", mode="rb") as stream:
        assert stream.read() == b"".join(bytes([number]) * piece for number in range(20))
    pair[0].remove(base)


@pytest.fixture
def both(real_folder: Path) -> Iterator[tuple[SambaServer, LiveServer]]:
    if os.geteuid():
        pytest.skip("Samba in its chroot needs root")
    with beside_samba(real_folder / "both", SAMBA, {"vfs objects": "streams_xattr"}) as servers:
        yield servers


def test_streams_go_from_samba_to_us_and_back(
    both: tuple[SambaServer, LiveServer], tmp_path: Path
) -> None:
    theirs, ours = (SmbClient(peer, folder=tmp_path) for peer in both)
    (tmp_path / "one").write_bytes(ZONE)
    (tmp_path / "two").write_bytes(b"ends in zeros\0\0")
    (tmp_path / "none").write_bytes(b"")
    for writer, reader in ((theirs, ours), (ours, theirs)):
        name = "theirs.txt" if writer is theirs else "ours.txt"
        writer.ok(f"put one {name}; put one {name}:a; put two {name}:b; put none {name}:c")
        told = reader.ok(f"allinfo {name}")
        for stream, size in (("a", len(ZONE)), ("b", 15), ("c", 0)):
            assert f"stream: [:{stream}:$DATA], {size} bytes" in told
        reader.ok(f"get {name}:a a; get {name}:b b; get {name}:c c")
        assert (tmp_path / "a").read_bytes() == ZONE
        assert (tmp_path / "b").read_bytes() == b"ends in zeros\0\0"
        assert (tmp_path / "c").read_bytes() == b""
        reader.ok(f"put two {name}:a")
        writer.ok(f"get {name}:a a")
        assert (tmp_path / "a").read_bytes() == b"ends in zeros\0\0"
    assert os.getxattr(both[0].path() / "ours.txt", "user.DosStream.c:$DATA") == b"\0"
