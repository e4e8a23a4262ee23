"""python -m bench: ksmbd and Samba's smbd side by side.

Every row is measured in several rounds, the servers turn by turn in alternating order, so that
what else the machine does meets both.  Results go to bench/out/ as TSV and as a markdown table.
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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import cpu, load
from bench.report import Measurement, markdown, tsv
from bench.rows import ROWS, Row
from tests.support.live import LiveServer, LiveShare
from tests.support.peers import Peer
from tests.support.samba import SambaServer

OUT: Final = Path(__file__).parent / "out"
OURS, REFERENCE = "ksmbd", "samba"
IDLE: Final = (100, 1000)  # connections
BLOCK: Final = 1 << 20
# what the tests' Samba is stricter in than Debian's
AS_SHIPPED: Final = {"strict locking": "auto", "posix locking": "yes"}
# all clients are one user on one host here
MANY_CLIENTS: Final = {
    "max connections": "0",
    "max ip connections": "0",
    "max active sessions": "2000",
    "max user sessions": "2000",
}


class Plan(NamedTuple):
    """How much is done."""

    rows: tuple[Row, ...]
    rounds: int
    seconds: float  # of load, for each row, server and round
    file_mib: int
    entries: int  # of the large folder


SMOKE: Final = Plan(ROWS, rounds=1, seconds=0.2, file_mib=4, entries=300)


def prepare(folder: Path, plan: Plan) -> None:
    """The file that is read and the folder that is listed, on the disk of the share."""
    pattern = os.urandom(BLOCK)
    with (folder / "bench_big.dat").open("wb") as file:
        for number in range(plan.file_mib):
            file.write(number.to_bytes(8, "little") + pattern[8:])
    listed = folder / "bench_dir"
    listed.mkdir()
    for number in range(plan.entries):
        (listed / f"file_{number:06}.txt").touch()
    few = folder / "bench_few"
    few.mkdir()
    for number in range(20):
        (few / f"letter_{number}.odt").touch()
    for path in (folder / "bench_big.dat", listed, few):
        path.chmod(0o777)


def measure(generator: Sequence[str], peer: Peer, row: Row, plan: Plan) -> tuple[load.Load, float]:
    """The generator's figures, and the processor seconds of the server meanwhile."""
    shutil.rmtree(peer.path() / "bench_create", ignore_errors=True)
    before = cpu.used_s(peer.pid)
    seen = load.run(generator, peer, row.command(plan.file_mib), plan.seconds)
    return seen, cpu.used_s(peer.pid) - before


def one(
    generator: Sequence[str], name: str, peer: Peer, row: Row, plan: Plan, number: int
) -> Measurement:
    try:
        seen, server_s = measure(generator, peer, row, plan)
    except load.LoadError as failed:
        reason = re.sub(r"\s+", " ", str(failed))
        return Measurement(row.name, row.unit, name, number, 0.0, 0.0, 0.0, 0.0, 0.0, reason)
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
    )


def run(peers: Mapping[str, Peer], plan: Plan) -> list[Measurement]:
    """All rows, round by round, the servers in alternating order."""
    generator = load.generator()
    for peer in peers.values():
        prepare(peer.path(), plan)
    found = []
    for row in plan.rows:
        for number in range(plan.rounds):
            order = list(peers.items())[:: -1 if number % 2 else 1]
            for name, peer in order:
                result = one(generator, name, peer, row, plan, number)
                found.append(result)
                value = result.error or f"{result.value:12,.1f} {result.unit}"
                cost = "" if result.error else f"{result.server_us:10.1f} us/op"
                print(f"{row.name:40} {name:6} {value} {cost}", flush=True)
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
                    cells.append(f"{cpu.memory_mib(peer.pid):.1f}")
            except load.LoadError as failed:
                cells.append(f"failed: {failed}")
        lines.append(f"| {count} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def shares(folder: Path) -> list[LiveShare]:
    return [LiveShare("share", folder / "share", {"read only": "no", "max connections": "0"})]


def write(found: Sequence[Measurement], peers: Mapping[str, Peer]) -> None:
    """bench/out/bench.{tsv,md}, and the table once more for who watches."""
    table = markdown(found, REFERENCE, OURS) + "\nMemory, MiB:\n\n" + memory(peers)
    afterwards = ", ".join(f"{n} {cpu.memory_mib(p.pid):.1f} MiB" for n, p in peers.items())
    facts = (
        f"{os.cpu_count()} processors, Linux {platform.release()}, Python {sys.version.split()[0]}"
    )
    text = f"{facts}; memory afterwards (PSS): {afterwards}\n\n{table}"
    OUT.mkdir(exist_ok=True)
    (OUT / "bench.md").write_text(text)
    (OUT / "bench.tsv").write_text(tsv(found))
    print("\n" + text)


def parse(arguments: Sequence[str] | None = None) -> tuple[Plan, bool]:
    """What to do, and whether only ksmbd is to be tried."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of load in each round")
    parser.add_argument("--file-mib", type=int, default=256)
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--only", default="", help="rows whose name this expression finds")
    parser.add_argument("--smoke", action="store_true", help="every row once, briefly, ksmbd only")
    chosen = parser.parse_args(arguments)
    rows = tuple(row for row in ROWS if re.search(chosen.only, row.name))
    if chosen.smoke:
        return SMOKE._replace(rows=rows), True
    return Plan(rows, chosen.rounds, chosen.seconds, chosen.file_mib, chosen.entries), False


def main(arguments: Sequence[str] | None = None) -> int:
    plan, smoke = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, contextlib.ExitStack() as stack:
        peers: dict[str, Peer] = {}
        if not smoke:
            reference = Path(name) / REFERENCE
            samba = SambaServer(reference, shares=shares(reference), globals_=AS_SHIPPED)
            peers[REFERENCE] = stack.enter_context(samba)
        ours = Path(name) / OURS
        peers[OURS] = stack.enter_context(
            LiveServer(ours, shares=shares(ours), globals_=MANY_CLIENTS)
        )
        found = run(peers, plan)
        if not smoke:
            write(found, peers)
    failed = [f"{result.row}: {result.error}" for result in found if result.error]
    print("\n".join(failed) if failed else "every row worked")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
