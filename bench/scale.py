"""python -m bench.scale: how time and memory grow with what clients have at a time.

Each subject is built up in tenths: connections that are logged on, files held open, directories
watched, entries of a tree that is listed.  The first tenth's time for each beside the last one's
tells whether anything grows faster than the number; memory (PSS) is the server's, all processes.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import cpu
from bench.client import connect, earn
from bench.contenders import MANY_CLIENTS, shares
from ksmbd.wire.access import FILE_DIRECTORY_FILE, FILE_LIST_DIRECTORY, GENERIC_READ
from ksmbd.wire.status import NtStatus
from tests.support.client import Client
from tests.support.live import LiveServer
from tests.support.peers import Peer

TENTHS: Final = 10
FILES: Final = 1000  # that are opened again and again
A_FOLDER: Final = 1000  # entries
PENDING: Final = 500  # requests that wait on one connection
LIMITS: Final = {"max open files": "0"} | MANY_CLIENTS

Step = Callable[[int], None]  # does it for number i


class Row(NamedTuple):
    """How one subject grew."""

    subject: str
    count: int
    first_us: float  # each of the first tenth
    last_us: float
    before_mib: float
    after_mib: float

    @property
    def bytes_each(self) -> float:
        return (self.after_mib - self.before_mib) * (1 << 20) / self.count


def grow(subject: str, peer: Peer, count: int, step: Step) -> Row:
    """Do *step* for 0 to *count*, in tenths."""
    before = cpu.memory_mib(peer.pid)
    times = []
    tenth = max(count // TENTHS, 1)
    for start in range(0, count, tenth):
        numbers = range(start, min(start + tenth, count))
        begun = time.perf_counter()
        for number in numbers:
            step(number)
        times.append((time.perf_counter() - begun) / len(numbers) * 1e6)
    return Row(subject, count, times[0], times[-1], before, cpu.memory_mib(peer.pid))


def connections(peer: Peer, count: int) -> Row:
    with contextlib.ExitStack() as open_links:

        def step(_number: int) -> None:
            _, link = connect(peer)
            open_links.callback(link.close)

        return grow("connections, logged on", peer, count, step)


def opens(peer: Peer, count: int) -> Iterator[Row]:
    """Files held open, and their closing."""
    for number in range(FILES):
        (peer.path() / f"scale_{number}").touch()
    client, link = connect(peer)
    held = []

    def step(number: int) -> None:
        name = f"scale_{number % FILES}"
        held.append(client.open(name, desired_access=GENERIC_READ, share_access=7))

    yield grow("open files", peer, count, step)
    yield grow("closing them", peer, count, lambda number: _done(client, held[number]))
    link.close()


def _done(client: Client, file: object) -> None:
    status = client.status(file.frames.close())  # type: ignore[attr-defined]
    if status is not NtStatus.SUCCESS:
        raise SystemExit(f"closing: {status!r}")


def watches(peer: Peer, count: int) -> Row:
    """Directories with a CHANGE_NOTIFY that waits; many connections, for the sake of credits."""
    for number in range(count):
        (peer.path() / f"watched_{number}").mkdir()
    clients: list[Client] = []
    with contextlib.ExitStack() as open_links:

        def step(number: int) -> None:
            if number % PENDING == 0:
                client, link = connect(peer)
                open_links.callback(link.close)
                earn(client, PENDING + 100)
                clients.append(client)
            client = clients[-1]
            folder = client.open(
                f"watched_{number}",
                desired_access=FILE_LIST_DIRECTORY,
                create_options=FILE_DIRECTORY_FILE,
                share_access=7,
            )
            client.pend(folder.frames.change_notify())

        return grow("watched directories", peer, count, step)


def tree(peer: Peer, count: int) -> Row:
    """Entries of folders of a thousand, listed folder by folder."""
    folders = max(count // A_FOLDER, 1)
    for number in range(folders):
        folder = peer.path() / f"tree_{number}"
        folder.mkdir()
        for entry in range(A_FOLDER):
            (folder / f"entry {entry}").touch()
    client, link = connect(peer)

    def step(number: int) -> None:
        folder = client.open(
            f"tree_{number}",
            desired_access=FILE_LIST_DIRECTORY,
            create_options=FILE_DIRECTORY_FILE,
        )
        while client.call(folder.frames.query_directory()).status is NtStatus.SUCCESS:
            pass
        _done(client, folder)

    row = grow(f"listed folders of {A_FOLDER:,}", peer, folders, step)
    link.close()
    return row


def markdown(rows: Sequence[Row]) -> str:
    lines = [
        "| | number | each, first tenth | each, last tenth | MiB before | MiB after | bytes each |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        lines.append(
            f"| {row.subject} | {row.count:,} | {row.first_us:,.0f} us | {row.last_us:,.0f} us "
            f"| {row.before_mib:.1f} | {row.after_mib:.1f} | {row.bytes_each:,.0f} |"
        )
    return "\n".join(lines) + "\n"


def measure(folder: Path, chosen: argparse.Namespace) -> list[Row]:
    """All subjects against one server of ours."""
    with LiveServer(folder, shares=shares(folder), globals_=LIMITS) as server:
        rows = [connections(server, chosen.connections)]
        rows += opens(server, chosen.opens)
        rows += [watches(server, chosen.watches), tree(server, chosen.files)]
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    for subject, number in (
        ("connections", 1000),
        ("opens", 100_000),
        ("watches", 10_000),
        ("files", 1_000_000),
    ):
        parser.add_argument(f"--{subject}", type=int, default=number, metavar="N")
    parser.add_argument("--folder", type=Path, help="where the files are made (default: TMPDIR)")
    chosen = parser.parse_args(arguments)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(chosen.opens, 4 * chosen.connections, chosen.watches) + 1024
    if wanted > hard != resource.RLIM_INFINITY:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (ValueError, PermissionError):
            parser.error(f"this takes {wanted} descriptors, and no more than {hard} are allowed")
    with tempfile.TemporaryDirectory(prefix="ksmbd-scale-", dir=chosen.folder) as name:
        print(markdown(measure(Path(name), chosen)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
