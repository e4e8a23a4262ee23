"""bench.scale in a Linux guest of its own, where root may have as many descriptors as it likes."""

from __future__ import annotations

import argparse
import io
import shlex
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.live import ROOT
from tests.vm import machine, system

SOURCES: Final = ("ksmbd", "mountd", "control", "discovery", "bench", "tests", "install")
TIMEOUT_S: Final = 4 * 3600.0  # an emulated processor is slow
SCRIPT: Final = """
exec 2>&1
mkdir /there /there/files && tar -xf /shared/sources.tar -C /there || exit 1
mount -t tmpfs -o size=80%,nr_inodes=0 files /there/files || exit 1
ulimit -n 1048576 || exit 1
cd /there && exec python3 -m bench.scale --folder files
"""


def run(arguments: Sequence[str], chosen: argparse.Namespace) -> int:
    """Boot it, run the same command there, and show what that says; its exit status."""
    guest = system.built()
    script = f"{SCRIPT.rstrip()} {shlex.join(arguments)}\n"
    files = {"sources.tar": sources()}
    ended = machine.run_script(script, TIMEOUT_S, files, guest, memory_mib=chosen.memory)
    print(ended.output, end="")
    if ended.status is None:
        print(ended.console[-2000:], file=sys.stderr)
    return 1 if ended.status is None else ended.status


def sources() -> bytes:
    """A tar of the project, compiled for the guest's Python."""
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as name, tarfile.open(fileobj=packed, mode="w") as tar:
        stage = Path(name)
        for package in SOURCES:
            for path in (ROOT / package).rglob("*.py"):
                copy = stage / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
        root = system.cache_folder() / f"{system.NAME}-{system.SUITE}"
        system.compile_all(root, stage, "unchecked-hash", [stage])
        for package in SOURCES:
            tar.add(stage / package, package)
    return packed.getvalue()
