"""What one very large folder is asked: a listing, names that are there and not, new ones."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from bench import cpu
from bench.client import connect
from bench.moments import Moment
from ksmbd.wire.access import (
    FILE_CREATE,
    FILE_DIRECTORY_FILE,
    FILE_LIST_DIRECTORY,
    FILE_OPEN,
    GENERIC_READ,
)
from ksmbd.wire.query_directory import RESTART_SCANS
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File
from tests.support.frames import Frame
from tests.support.peers import Peer

AT_ONCE: Final = 8  # clients that list it
FOLDER: Final = "large"


class Answer(NamedTuple):
    """One question, asked twice: a table that is made for the first is there for the second."""

    question: str
    first_ms: float
    again_ms: float


def measure(peer: Peer, count: int, told: list[Moment]) -> list[Answer]:
    """Fill a folder beside the server, and ask; then have several clients list it at once."""
    folder = peer.path() / FOLDER
    folder.mkdir()
    for number in range(count):
        os.close(os.open(folder / f"entry {number:07}", os.O_CREAT | os.O_WRONLY))
    client, link = connect(peer)
    with contextlib.closing(link):
        answers = [
            Answer(question, timed(client, first), timed(client, again))
            for question, first, again in questions(client, count)
        ]
        with contextlib.ExitStack() as links:
            clients = []
            for _ in range(AT_ONCE):
                other, other_link = connect(peer)
                links.callback(other_link.close)
                clients.append(other)
            told += [listed_at_once(peer, client, clients, count)]
        answers.append(Answer("the whole listing", whole(client), whole(client)))
    return answers


def questions(client: Client, count: int) -> Iterator[tuple[str, Frame, Frame]]:
    """The frames of the first time and of the second."""
    there, gone = f"{FOLDER}\\entry {count // 2:07}", f"{FOLDER}\\no such entry"

    def search(pattern: str) -> tuple[Frame, Frame]:
        frames = opened(client).frames
        again = frames.query_directory(pattern, flags=RESTART_SCANS)
        return frames.query_directory(pattern), again

    def look(name: str, other: str) -> tuple[Frame, Frame]:
        wanted = {"create_disposition": FILE_OPEN, "desired_access": GENERIC_READ}
        return client.frames.create(name, **wanted), client.frames.create(other, **wanted)

    def new(name: str, other: str) -> tuple[Frame, Frame]:
        asked = {"create_disposition": FILE_CREATE}
        return client.frames.create(name, **asked), client.frames.create(other, **asked)

    yield "first page of a listing", *search("*")
    yield "search for a name that is there", *search(f"entry {count // 3:07}")
    yield "search for a*, which nothing matches", *search("a*")
    yield "open a name that is there", *look(there, there)
    yield "open a name that is not there", *look(gone, gone + " 2")
    yield "open a name in other letter case", *look(there.upper(), there.title())
    yield "make a new file", *new(f"{FOLDER}\\new 1", f"{FOLDER}\\new 2")


def opened(client: Client) -> File:
    return client.open(
        FOLDER, desired_access=FILE_LIST_DIRECTORY, create_options=FILE_DIRECTORY_FILE
    )


def timed(client: Client, frame: Frame) -> float:
    """Milliseconds until the answer."""
    begun = time.perf_counter()
    client.call(frame)
    return (time.perf_counter() - begun) * 1e3


def listed_at_once(peer: Peer, witness: Client, clients: list[Client], count: int) -> Moment:
    """All of *clients* in turns, each a page of its own; how much that takes of memory."""
    files = [opened(client) for client in clients]
    before = cpu.memory_mib(peer.pid)
    begun, slowest, most = time.perf_counter(), 0.0, before
    for _ in range(max(count // 5000, 1)):
        for client, file in zip(clients, files, strict=True):
            client.call(file.frames.query_directory())
        slowest = max(slowest, timed(witness, witness.frames.echo()))
        most = max(most, cpu.memory_mib(peer.pid))
    took = time.perf_counter() - begun
    return Moment(
        f"{AT_ONCE} clients listing {count:,}, {before:.0f} MiB before", took, slowest, most
    )


def whole(client: Client) -> float:
    """Milliseconds that listing all of it takes, a page of 64 KiB at a time."""
    begun = time.perf_counter()
    folder = opened(client)
    while client.call(folder.frames.query_directory()).status is NtStatus.SUCCESS:
        pass
    return (time.perf_counter() - begun) * 1e3


def markdown(answers: list[Answer]) -> str:
    lines = ["| | first | again |", "|---|--:|--:|"]
    lines += [
        f"| {one.question} | {one.first_ms:,.1f} ms | {one.again_ms:,.1f} ms |" for one in answers
    ]
    return "\n".join(lines) + "\n"
