"""python -m bench: ksmbd, Samba's smbd and impacket's server side by side.

Every row is measured in several rounds, the servers turn by turn in alternating order, so that
what else the machine does meets all.  Results go to bench/out/ as TSV, as markdown tables and as
charts (SVG).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import bulk, cpu, load
from bench.chart import Bar, chart
from bench.contenders import (
    BUILT,
    COMPILED,
    CONTENDERS,
    OURS,
    REFERENCE,
    TOY,
    available,
    by_interpreter,
)
from bench.report import Measurement, cell, markdown, tsv
from bench.rows import HUGE, ROWS, Bulk, Row
from tests.support.peers import Peer

OUT: Final = Path(__file__).parent / "out"
IDLE: Final = (100, 1000)  # connections
SETTLED_S: Final = 3.0  # after which a server has let go of what it needs only while busy
BLOCK: Final = 1 << 20


class Plan(NamedTuple):
    """How much is done."""

    rows: tuple[Row | Bulk, ...]
    rounds: int
    seconds: float  # of load, for each row, server and round
    file_mib: int
    entries: int  # of the large folder
    huge: int  # of the larger one

    @property
    def folders(self) -> dict[str, int]:
        """The folders that are listed, by how many entries they have."""
        wanted = {"bench_dir": self.entries, "bench_few": FEW}
        if any(row.name == HUGE for row in self.rows):
            wanted["bench_huge"] = self.huge
        return wanted


FEW: Final = 20
SMOKE: Final = Plan(ROWS, rounds=1, seconds=0.2, file_mib=4, entries=300, huge=1000)


def prepare(folder: Path, plan: Plan) -> None:
    """The file that is read and the folders that are listed, on the disk of the share."""
    pattern = os.urandom(BLOCK)
    big = folder / "bench_big.dat"
    with big.open("wb") as file:
        for number in range(plan.file_mib):
            file.write(number.to_bytes(8, "little") + pattern[8:])
    big.chmod(0o777)
    for name, count in plan.folders.items():
        listed = folder / name
        listed.mkdir()
        listed.chmod(0o777)
        for number in range(count):
            os.close(os.open(listed / f"file_{number:06}.txt", os.O_CREAT | os.O_WRONLY, 0o644))


def measure(
    generator: Sequence[str], peer: Peer, row: Row | Bulk, plan: Plan
) -> tuple[load.Load, float]:
    """The client's figures, and the processor seconds of the server meanwhile."""
    if isinstance(row, Bulk):
        return bulk.run(
            peer,
            bulk.WAYS[row.way],
            writing=row.writing,
            clients=row.clients,
            blocks=plan.file_mib,
            seconds=plan.seconds,
            used_s=lambda: cpu.used_s(peer.pid),
        )
    shutil.rmtree(peer.path() / "bench_create", ignore_errors=True)
    before = cpu.used_s(peer.pid)
    seen = load.run(generator, peer, row.command(plan.file_mib), plan.seconds)
    return seen, cpu.used_s(peer.pid) - before


def one(
    generator: Sequence[str], name: str, peer: Peer, row: Row | Bulk, plan: Plan, number: int
) -> Measurement:
    try:
        seen, server_s = measure(generator, peer, row, plan)
    except load.LoadError as failed:
        reason = re.sub(r"\s+", " ", str(failed))
        return Measurement(row.name, row.unit, name, number, *[0.0] * 6, reason)
    return Measurement(
        row=row.name,
        unit=row.unit,
        server=name,
        round=number,
        value=seen.megabytes if row.unit == "MB/s" else seen.rate,
        server_us=1e6 * server_s / seen.operations,
        client_us=1e6 * seen.client_cpu_s / seen.operations,
        median_us=seen.median_us,
        late_us=seen.late_us,
        cores=server_s / seen.wall_s,
    )


def run(peers: Mapping[str, Peer], plan: Plan) -> list[Measurement]:
    """All rows, round by round, the servers in alternating order."""
    generator = load.generator()
    for peer in peers.values():
        prepare(peer.path(), plan)
    found = []
    failed: set[tuple[str, str]] = set()  # not tried again
    for row in plan.rows:
        for number in range(plan.rounds):
            order = list(peers.items())[:: -1 if number % 2 else 1]
            for name, peer in order:
                if (row.name, name) in failed:
                    continue
                result = one(generator, name, peer, row, plan, number)
                found.append(result)
                if result.error:
                    failed.add((row.name, name))
                value = result.error or f"{result.value:12,.1f} {result.unit}"
                cost = "" if result.error else f"{result.server_us:10.1f} us/op"
                print(f"{row.name:40} {name:12} {value} {cost}", flush=True)
    return found


def memory(peers: Mapping[str, Peer]) -> str:
    """A table of what clients that do nothing cost, in MiB of PSS."""
    generator = load.generator()
    lines = ["| idle connections | " + " | ".join(peers) + " |", "|--:|" + "--:|" * len(peers)]
    for count in IDLE:
        cells = []
        for peer in peers.values():
            try:
                with load.idle(generator, peer, count):
                    time.sleep(SETTLED_S)
                    cells.append(f"{cpu.memory_mib(peer.pid):.1f}")
            except load.LoadError as failed:
                cells.append(f"failed: {failed}")
        lines.append(f"| {count} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def pairs(servers: Collection[str]) -> list[tuple[str, str]]:
    """Who is compared with whom: ours with each other one, and what is compiled with all."""
    others = [name for name in servers if name not in (OURS, COMPILED)]
    made = [(base, OURS) for base in others if OURS in servers]
    if COMPILED in servers:
        made += [(base, COMPILED) for base in (*others, OURS) if base in servers]
    return made


def bars(found: Sequence[Measurement], base: str, ours: str = OURS) -> list[Bar]:
    """*ours* to *base*, row by row where both have a figure."""
    made = []
    for row in dict.fromkeys(one.row for one in found):
        left, right = cell(found, row, base), cell(found, row, ours)
        if left and right and left.value and left.server_us:
            made.append(Bar(row, right.value / left.value, right.server_us / left.server_us))
    return made


def write(found: Sequence[Measurement], peers: Mapping[str, Peer], plan: Plan) -> None:
    """bench/out/, and the tables once more for who watches."""
    OUT.mkdir(exist_ok=True)
    python = f"Python {sys.version.split()[0]}"
    text = f"{os.cpu_count()} processors, Linux {platform.release()}, {python}, "
    text += f"{plan.rounds} rounds of {plan.seconds:g} s\n"
    for base, ours in pairs(peers):
        worked = [one for one in found if base == REFERENCE or cell(found, one.row, base)]
        text += f"\n{markdown(worked, base, ours)}"
        title = f"{ours} to {base}: rate, and below it 1 / CPU per operation"
        name = f"bench-{base}.svg" if ours == OURS else f"bench-{ours}-{base}.svg"
        (OUT / name).write_text(chart(title, bars(found, base, ours)))
    text += f"\nMemory, MiB:\n\n{memory(peers)}"
    (OUT / "bench.md").write_text(text)
    (OUT / "bench.tsv").write_text(tsv(found))
    print("\n" + text)


def parse(arguments: Sequence[str] | None = None) -> tuple[Plan, argparse.Namespace]:
    """What to do with which servers."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of load in each round")
    parser.add_argument("--file-mib", type=int, default=256)
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--huge", type=int, default=100_000, help="entries of the larger folder")
    parser.add_argument("--only", default="", help="rows whose name this expression finds")
    parser.add_argument("--servers", default=",".join(available()), help="default: %(default)s")
    parser.add_argument(
        *("--python",),
        metavar="NAME=PROGRAM",
        type=_named,
        action="append",
        default=[],
        help="ksmbd run by another Python too, under that name; may be repeated",
    )
    parser.add_argument("--smoke", action="store_true", help="every row once, briefly, ksmbd only")
    chosen = parser.parse_args(arguments)
    chosen.servers = ",".join((chosen.servers, *(name for name, _ in chosen.python)))
    rows = tuple(row for row in ROWS if re.search(chosen.only, row.name))
    if chosen.smoke:
        chosen.servers = OURS
        return SMOKE._replace(rows=rows), chosen
    sizes = chosen.file_mib, chosen.entries, chosen.huge
    return Plan(rows, chosen.rounds, chosen.seconds, *sizes), chosen


def _named(text: str) -> tuple[str, str]:
    name, _, program = text.partition("=")
    if not name or name in CONTENDERS or not shutil.which(program):
        raise argparse.ArgumentTypeError(f"not NAME=PROGRAM with a new name: {text!r}")
    return name, program


def main(arguments: Sequence[str] | None = None) -> int:
    plan, chosen = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, contextlib.ExitStack() as stack:
        peers: dict[str, Peer] = {}
        wanted = chosen.servers.split(",")
        if COMPILED in wanted and not BUILT.exists():
            print(f"{BUILT} is not there: make compiled", file=sys.stderr)
            return 1
        contenders = CONTENDERS | {who: by_interpreter(python) for who, python in chosen.python}
        for server in wanted:
            peer = contenders[server](Path(name) / server)
            peers[server] = stack.enter_context(peer)
        found = run(peers, plan)
        if not chosen.smoke:
            write(found, peers, plan)
    failed = [f"{one.row}: {one.server}: {one.error}" for one in found if one.error]
    print("\n".join(failed) if failed else "every row worked")
    return 1 if any(one.error for one in found if one.server != TOY) else 0


if __name__ == "__main__":
    sys.exit(main())
