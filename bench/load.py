"""The load generator: built from ``smb2load.c``, run against one server, its answer read.

libsmb2 and the C library it needs are Debian packages unpacked into the cache
(``tests/support/debs.py``); the host's gcc links against them.
"""

from __future__ import annotations

import hashlib
import json
import select
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.debs import SUITE, cache_folder, ensure, run_inside
from tests.support.peers import Peer

SOURCE: Final = Path(__file__).with_name("smb2load.c")
PARTS: Final = (SOURCE, SOURCE.with_name("smb2load_waits.h"))
PACKAGES: Final = ("libsmb2-dev", "libc6-dev")
# the shared library leaves out LOCK and leases; the static one needs what it was linked with
LIBRARIES: Final = ("-l:libsmb2.a", "-l:libgssapi_krb5.so.2", "-l:libkrb5.so.3")
GRACE_S: Final = 60.0  # beyond its own time, for connecting and for answers that are late


class LoadError(RuntimeError):
    """The generator could not do its work: what it said."""


class Load(NamedTuple):
    """What the generator saw."""

    operations: int
    wall_s: float
    rate: float  # operations a second
    megabytes: float  # a second, 10**6 bytes
    median_us: float
    late_us: float  # the 99th percentile
    client_cpu_s: float


def generator() -> list[str]:
    """The command that runs the generator, compiled when its source has changed."""
    root = ensure("libsmb2", "closure", PACKAGES)
    source = b"".join(part.read_bytes() for part in PARTS)
    program = cache_folder() / f"smb2load-{SUITE}-{hashlib.sha256(source).hexdigest()[:16]}"
    if not program.exists():
        partial = program.with_suffix(".part")
        # -L goes before the folders of the host's gcc, where the host's own libc is
        library = f"-L{root}/usr/lib/x86_64-linux-gnu"
        tree = [f"--sysroot={root}", library, "-Wl,--allow-shlib-undefined"]
        compiler = ["gcc", "-O2", "-Wall", *tree, "-o", str(partial), str(SOURCE)]
        built = subprocess.run([*compiler, *LIBRARIES], capture_output=True, text=True, check=False)
        if built.returncode:
            raise LoadError(f"{' '.join(compiler)}: {built.stderr}")
        partial.rename(program)
    return run_inside(root, program)


def parse(text: str) -> Load:
    """The generator's line of JSON.

    LoadError when an operation failed or none was done: a rate of failures is no rate.
    """
    lines = [line for line in text.splitlines() if line.startswith("{")]
    if not lines:
        raise LoadError(text.strip()[-500:] or "the generator said nothing")
    told = json.loads(lines[-1])
    if told["failed"] or not told["ops"]:
        raise LoadError(f"{told['failed']} operations failed, {told['ops']} done: {text[-500:]}")
    return Load(
        operations=told["ops"],
        wall_s=told["wall_s"],
        rate=told["ops_s"],
        megabytes=told["mb_s"],
        median_us=told["p50_us"],
        late_us=told["p99_us"],
        client_cpu_s=told["client_cpu_s"],
    )


def run(command: Sequence[str], peer: Peer, arguments: Sequence[str], seconds: float) -> Load:
    """Load ``peer`` for ``seconds``."""
    try:
        done = subprocess.run(
            command_line(command, peer, arguments, seconds),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds + GRACE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LoadError("the server does not answer") from None
    return parse(done.stdout)


@contextmanager
def idle(command: Sequence[str], peer: Peer, connections: int) -> Iterator[None]:
    """So many clients that are logged on and do nothing, for the time of the block."""
    arguments = command_line(command, peer, ["-n", str(connections), "idle"], GRACE_S)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        try:
            if not select.select([process.stdout], [], [], GRACE_S)[0]:
                raise LoadError("the server does not answer")
            told = process.stdout.readline()
            if told != b"idle\n":
                raise LoadError(told.decode(errors="replace").strip())
            yield
        finally:
            process.kill()


def command_line(
    command: Sequence[str], peer: Peer, arguments: Sequence[str], seconds: float
) -> list[str]:
    user, password = next(iter(peer.users.items()))
    where = ["-h", peer.host, "-p", str(peer.port), "-s", "share"]
    return [*command, *where, "-u", user, "-P", password, "-t", str(seconds), *arguments]
