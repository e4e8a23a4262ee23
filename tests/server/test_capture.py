"""Captures: who is captured, what is dropped and said to be, and that nobody waits for it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from ksmbd.server import capture as captures
from ksmbd.server import dispatch
from ksmbd.server.capture import Capture, Selection, Tapped
from ksmbd.wire import pcapng
from ksmbd.wire.header import SMB2_PROTOCOL_ID
from ksmbd.wire.nbss import pack_length
from ksmbd.wire.policy import Encryption
from tests.support.client import Client, ready
from tests.support.engine import Engine
from tests.support.sealing import SealingClient

SOON = 30.0


class Running:
    """A capture, and the end that it is heard at."""

    def __init__(self, selection: Selection, **how: Any) -> None:
        self.ended = threading.Event()
        how = {"decrypted": False, **how}
        self.capture = Capture(selection, ended=lambda _: self.ended.set(), **how)
        self.heard, self.said = socket.socketpair()
        self.heard.settimeout(SOON)
        self.seen = b""

    def blocks(self) -> list[bytes]:
        """Say that it is enough; all that comes."""
        self.heard.shutdown(socket.SHUT_WR)
        data = self.seen + b"".join(iter(lambda: self.heard.recv(1 << 16), b""))
        found, used = pcapng.split(data)
        assert used == len(data)
        assert self.ended.wait(SOON)
        return found

    def frames(self) -> list[bytes]:
        """The TCP payload of each packet."""
        packets = [block for block in self.blocks() if pcapng.kind_of(block) == pcapng.PACKET]
        return [
            packet[28 + 40 : 28 + int.from_bytes(packet[20:24], "little")] for packet in packets
        ]


@pytest.fixture
def running() -> Iterator[Any]:
    made: list[Running] = []

    def start(selection: Selection, *, now: bool = True, **how: Any) -> Running:
        made.append(Running(selection, **how))
        if now:
            made[-1].capture.start(made[-1].said)
        return made[-1]

    yield start
    for each in made:
        each.heard.close()
        each.said.close()


ANY = Selection(network=ip_network("0.0.0.0/0"))


def test_what_is_received_and_sent_is_there_as_it_was(engine: Engine, running: Any) -> None:
    client = ready(engine)
    made = running(ANY)
    tapped = Tapped(client.connection, 1234, dispatch, [made.capture])
    frame = client.pack(client.frames.echo())
    work = tapped.receive(client.connection, memoryview(frame))
    assert work is not None
    tapped.sent([b"\0\0\0\6abcd", b"ef"])
    assert made.frames() == [pack_length(len(frame)) + frame, b"\0\0\0\6abcdef"]


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (Selection(network=ip_network("192.0.2.7/32")), True),
        (Selection(network=ip_network("192.0.2.8/29")), False),
        (Selection(network=ip_network("2001:db8::/32")), False),
        (ANY, True),
        (Selection(connection=1), True),
        (Selection(connection=2), False),
        (Selection(session=7), True),
        (Selection(), False),
    ],
)
def test_who_is_captured(engine: Engine, selection: Selection, wanted: bool) -> None:
    connection, _ = engine.connection()
    assert selection.wants(connection) is wanted


def test_of_a_session_only_its_own_frames_are_taken(engine: Engine) -> None:
    client = ready(engine)
    mine = client.frames.session_id
    chosen, other = Selection(session=mine), Selection(session=mine + 1)

    def frame(session_id: int) -> bytes:
        return SMB2_PROTOCOL_ID + bytes(36) + session_id.to_bytes(8, "little") + bytes(16)

    assert chosen.wants_frame(client.connection, frame(mine))
    assert not other.wants_frame(client.connection, frame(mine))
    assert chosen.wants_frame(client.connection, frame(0))  # a break
    assert not other.wants_frame(client.connection, frame(0))
    sealed = b"\xfdSMB" + bytes(40) + mine.to_bytes(8, "little") + bytes(80)
    assert chosen.wants_frame(client.connection, sealed)
    assert not other.wants_frame(client.connection, sealed)
    assert not other.wants_frame(client.connection, b"\xffSMB")


def test_connections_that_have_ended_are_forgotten(engine: Engine, running: Any) -> None:
    capture = running(ANY).capture
    stays, _ = engine.connection()
    known = capture.stream(stays, 1)
    for _ in range(300):
        ended, _ = engine.connection()
        capture.stream(ended, 1)
        ended.closed = True
    assert len(capture._streams) < 150
    assert capture.stream(stays, 1) is known


def test_what_finds_no_room_is_counted_and_its_place_is_known(engine: Engine, running: Any) -> None:
    client = ready(engine)
    made = running(ANY, now=False, room=1000)
    tapped = Tapped(client.connection, 1, dispatch, [made.capture])
    frame = b"\0\0\1\xf4" + bytes(500)
    for _ in range(3):
        tapped.sent([frame])  # nobody writes yet: the second and the third find no room
    made.capture.start(made.said)
    while made.capture._waiting:
        made.seen += made.heard.recv(1)
    tapped.sent([b"\0\0\0\1x"])
    blocks = made.blocks()
    last = blocks[-2]
    assert (4).to_bytes(2, "little") + (8).to_bytes(2, "little") + (2).to_bytes(8, "little") in last
    sequence = int.from_bytes(last[28 + 24 : 28 + 28], "big")
    assert sequence == 1 + 3 * len(frame)
    assert pcapng.statistics_of(blocks[-1]) == (2, 2)


def test_nobody_waits_for_a_receiver_that_does_not_read(engine: Engine, running: Any) -> None:
    client = ready(engine)
    made = running(ANY, room=1 << 20)
    tapped = Tapped(client.connection, 1, dispatch, [made.capture])
    frame = b"\0\3\xff\xfc" + bytes((256 << 10) - 4)
    for _ in range(64):  # 16 MiB, and this test would hang if the first ones were waited for
        tapped.sent([frame])
    assert made.capture._waiting <= (1 << 20) + 4 * captures._OVERHEAD
    made.heard.close()
    assert made.ended.wait(SOON)


def test_the_end_of_the_server_ends_it_whole(engine: Engine, running: Any) -> None:
    client = ready(engine)
    made = running(ANY)
    Tapped(client.connection, 1, dispatch, [made.capture]).sent([b"\0\0\0\1x"])
    made.capture.close()
    assert made.ended.is_set()
    assert pcapng.statistics_of(made.blocks()[-1]) == (1, 0)


@pytest.mark.parametrize("decrypted", [True, False])
def test_what_is_sealed_is_opened_if_asked(
    folder: Path, running: Any, monkeypatch: pytest.MonkeyPatch, decrypted: bool
) -> None:
    engine = Engine(folder, encryption=Encryption.REQUIRED)
    engine.make_file("secret", b"the content")
    client = SealingClient(engine)
    client.negotiate()
    client.log_on()
    made = running(ANY, decrypted=decrypted)
    tapped = Tapped(client.connection, 1, dispatch, [made.capture])
    monkeypatch.setattr("tests.support.engine.dispatch", tapped)
    send = client.connection.transport.send

    def tapping(parts: Any) -> None:
        tapped.sent(parts)
        send(parts)

    monkeypatch.setattr(client.connection.transport, "send", tapping)
    client.connect()
    opened = client.open("secret")
    client.send(opened.frames.read(100, 0))
    frames = made.frames()
    assert {frame[4:8] for frame in frames} == {b"\xfeSMB" if decrypted else b"\xfdSMB"}
    assert any(b"the content" in frame for frame in frames) is decrypted
    assert all(int.from_bytes(frame[:4], "big") == len(frame) - 4 for frame in frames)


def test_what_no_key_opens_stays_as_it_came(engine: Engine, running: Any) -> None:
    client: Client = ready(engine)
    made = running(ANY, decrypted=True)
    session_id = client.frames.session_id.to_bytes(8, "little")
    forged = b"\xfdSMB" + bytes(40) + session_id + bytes(80)
    frame = pack_length(len(forged)) + forged
    Tapped(client.connection, 1, dispatch, [made.capture]).sent([frame])
    assert made.frames() == [frame]
