"""python -m bench.flames: a flame graph of our server under the load of each row.

py-spy (`pip install py-spy`) looks many times a second, from outside, at the thread that has the
interpreter's lock: what is shown is what costs the interpreter's time, small sends among it, which
keep the lock.  Waiting, large sends and file system calls, which let go of it, are not.  To look
into a process that is not its child it wants to be root, or a kernel with ptrace_scope 0.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from bench import load
from bench.__main__ import Plan, prepare
from bench.contenders import CONTENDERS, OURS
from bench.rows import ROWS, Bulk, Row
from tests.support.peers import Peer

OUT: Final = Path(__file__).parent / "out/flames"
A_SECOND: Final = 250  # looks
WARM_S: Final = 1.0
FILE_MIB: Final = 64
# Of each kind one: the commonest requests, and those that stay behind.
TOP: Final = (
    r"^(echo|query-info|open and close|create and close|random 4 KiB (read|write)"
    r"|sequential (64 KiB write|1 MiB read)|listing of 10,000)$"
)


def recorder() -> str:
    """The program; LoadError if it is not installed."""
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise load.LoadError("no py-spy here: pip install py-spy")
    return found


def file_name(row: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", row.casefold()).strip("-") + ".svg"


def titled(picture: str, name: str) -> str:
    """With the row's name for a title, where py-spy has its command line."""
    return re.sub(r">[^<>]*\bpy-spy record [^<>]*<", f">{escape(name)}<", picture)


def record(peer: Peer, row: Row, seconds: float, out: Path) -> None:
    """Load *peer* and have it looked at; LoadError if either fails."""
    failed: list[load.LoadError] = []

    def work() -> None:
        try:
            load.run(load.generator(), peer, row.command(FILE_MIB), seconds + 2 * WARM_S)
        except load.LoadError as error:
            failed.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        worker.join(WARM_S)
        command = [recorder(), "record", "--pid", str(peer.pid), "--output", str(out)]
        shape = ["--duration", str(round(seconds)), "--rate", str(A_SECOND), "--gil"]
        done = subprocess.run([*command, *shape], capture_output=True, text=True, check=False)
        if done.returncode:
            raise load.LoadError(f"{row.name}: {done.stderr.strip()}")
        out.write_text(titled(out.read_text(), row.name))
    finally:
        worker.join()
    if failed:
        raise failed[0]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.flames", description=__doc__)
    parser.add_argument("--only", default=TOP, metavar="REGEX", help="rows whose name it matches")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each row")
    parser.add_argument("--out", type=Path, default=OUT, help="where the pictures go")
    chosen = parser.parse_args(arguments)
    rows = [r for r in ROWS if not isinstance(r, Bulk) and re.search(chosen.only, r.name)]
    chosen.out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="ksmbd-flame-")))
        try:
            recorder()
            peer = running.enter_context(CONTENDERS[OURS](folder / "server"))
            prepare(peer.path(), Plan(tuple(rows), 1, chosen.seconds, FILE_MIB, 10_000, 10_000))
            for row in rows:
                out = chosen.out / file_name(row.name)
                record(peer, row, chosen.seconds, out)
                print(out, flush=True)
        except load.LoadError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
