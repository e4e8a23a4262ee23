"""python -m bench.scale: how time and memory grow with what clients have at a time.

Each subject is built up in tenths: connections that are logged on, files held open, directories
watched, entries of a tree that is listed.  The first tenth's time for each beside the last one's
tells whether anything grows faster than the number; memory (PSS) is the server's, all processes.
A second table has what happens once, beside another client: all open files told to an
administrator, or closed because their connection is lost; and what one large folder is asked.

Where the system does not allow that many descriptors, ``--guest`` runs all of it in a Linux guest
of its own (tests/vm), whose processor is emulated: time is then comparable with itself only.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import cpu, in_guest, large_folder, moments
from bench.burst import DEPTH, Opener
from bench.client import connect, earn
from bench.contenders import MANY_CLIENTS, shares
from bench.moments import Moment, moment
from ksmbd.wire.access import FILE_DIRECTORY_FILE, FILE_LIST_DIRECTORY
from ksmbd.wire.status import NtStatus
from tests.support.client import Client
from tests.support.live import ROOT, LiveServer
from tests.support.peers import Peer

TENTHS: Final = 10
A_FOLDER: Final = 1000  # entries
PENDING: Final = 500  # requests that wait on one connection
VIEWS: Final = ("status", "metrics")
SUBJECTS: Final = {  # how many of each, unless it is told
    "connections": 1000,
    "opens": 100_000,
    "watches": 10_000,
    "files": 1_000_000,  # in folders of a thousand
    "entries": 100_000,  # of one folder
}
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


def grow(subject: str, peer: Peer, count: int, step: Step, each: int = 1) -> Row:
    """Do *step* for 0 to *count*, in tenths; it does *each* at a time, from that number on."""
    before = cpu.memory_mib(peer.pid)
    times = []
    tenth = max(count // TENTHS // each, 1) * each
    for start in range(0, count, tenth):
        numbers = range(start, min(start + tenth, count))
        begun = time.perf_counter()
        for number in numbers[::each]:
            step(number)
        times.append((time.perf_counter() - begun) / len(numbers) * 1e6)
    return Row(subject, count, times[0], times[-1], before, cpu.memory_mib(peer.pid))


def connections(peer: Peer, count: int) -> Row:
    with contextlib.ExitStack() as open_links:

        def step(_number: int) -> None:
            _, link = connect(peer)
            open_links.callback(link.close)

        return grow("connections, logged on", peer, count, step)


def opens(server: LiveServer, count: int, told: list[Moment]) -> Iterator[Row]:
    """Files held open, each another one; then half are closed, and half by a lost connection."""
    for number in range(count):
        path = server.path() / opened(number).replace("\\", "/")
        path.parent.mkdir(exist_ok=True)
        path.touch()
    client, link = connect(server)
    witness, other_link = connect(server)
    idle = moments.descriptors(server.pid)
    opener = Opener(client, link, opened(0))
    held: list[bytes] = []

    def step(number: int) -> None:
        held.extend(opener.open(map(opened, range(number, min(number + DEPTH, count)))))

    yield grow("open files", server, count, step, DEPTH)
    for view in VIEWS:
        told.append(moment(f"ksmbd-control {view} of them", server, witness, ask(server, view)))
    half = count // 2

    def step_back(number: int) -> None:
        opener.close(held[number : min(number + DEPTH, half)])

    yield grow("closing half of them", server, half, step_back, DEPTH)

    def lose() -> moments.Done:
        link.close()
        return lambda: moments.descriptors(server.pid) <= idle

    told.append(moment(f"losing the connection of {count - half:,}", server, witness, lose))
    other_link.close()


def opened(number: int) -> str:
    return f"scale_{number // A_FOLDER:04}\\file_{number:07}"


def ask(server: LiveServer, view: str) -> Callable[[], moments.Done]:
    """Run ksmbd-control."""
    command = [sys.executable, "-m", "control", "--run-dir", str(server.run_folder), view]

    def begin() -> moments.Done:
        asking = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

        def done() -> bool:
            if asking.poll() is None:
                return False
            if asking.returncode:
                raise SystemExit(f"{' '.join(command)}: {asking.returncode}")
            return True

        return done

    return begin


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


def measure(folder: Path, chosen: argparse.Namespace) -> Iterator[str]:
    """All subjects against one server of ours, as tables."""
    told: list[Moment] = []
    with LiveServer(folder, shares=shares(folder), globals_=LIMITS) as server:
        rows: list[Row] = []
        if chosen.connections:
            rows.append(connections(server, chosen.connections))
        if chosen.opens:
            rows += opens(server, chosen.opens, told)
        if chosen.watches:
            rows.append(watches(server, chosen.watches))
        if chosen.files:
            rows.append(tree(server, chosen.files))
        yield markdown(rows)
        if chosen.entries:
            answers = large_folder.measure(server, chosen.entries, told)
            yield f"A folder of {chosen.entries:,}\n\n{large_folder.markdown(answers)}"
    yield moments.markdown(told)


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    for subject, number in SUBJECTS.items():
        text = f"0: none (default: {number})"
        parser.add_argument(f"--{subject}", type=int, default=number, metavar="N", help=text)
    parser.add_argument("--folder", type=Path, help="where the files are made (default: TMPDIR)")
    parser.add_argument("--guest", action="store_true", help="in a guest, as its root")
    parser.add_argument("--memory", type=int, default=6144, metavar="MIB", help="of the guest")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = options()
    chosen = parser.parse_args(arguments)
    if chosen.guest:
        return in_guest.run([f"--{name}={getattr(chosen, name)}" for name in SUBJECTS], chosen)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(chosen.opens, 4 * chosen.connections, chosen.watches) + 1024
    if wanted > hard != resource.RLIM_INFINITY:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (ValueError, PermissionError):
            parser.error(
                f"this takes {wanted} descriptors, and no more than {hard} are allowed: see --guest"
            )
    with tempfile.TemporaryDirectory(prefix="ksmbd-scale-", dir=chosen.folder) as name:
        for table in measure(Path(name), chosen):
            print(table, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
