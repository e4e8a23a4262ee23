"""Memory goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ksmbd.interpreter import FREE_THREADED

SCRIPT = """
import re, threading
from ksmbd.server import memory

def resident():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmRSS:\\s*(\\d+)", status.read())[1]) // 1024

def use():
    for _ in range(2):  # the first to be freed moves glibc's threshold
        buffers = [bytearray(b"x") * (1 << 20) for _ in range(8)]
        kept.append(bytearray(5000))  # above them, in the way
        del buffers

kept = []
if {frugal} and not memory.be_frugal():
    raise SystemExit("not glibc")
before = resident()
threads = [threading.Thread(target=use) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(resident() - before)
"""


def grown(*, frugal: bool) -> int:
    """MiB that a process has kept after eight threads used and freed 8 MiB each, twice."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(frugal=frugal)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "not glibc" in done.stderr:
        pytest.skip("the C library has no mallopt")
    return int(done.stdout)


@pytest.mark.skipif(FREE_THREADED, reason="this Python has an allocator of its own, mimalloc")
def test_freed_buffers_are_given_back_to_the_system() -> None:
    assert grown(frugal=True) < 4
