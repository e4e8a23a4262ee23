"""Samba's client programs, as the tests call them.

A program that is missing fails the test that needs it: ``make test`` installs them, so a machine
without one is a machine where nothing was tested.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.support.live import PASSWORD
from tests.support.peers import Peer

TIMEOUT_S: Final = 100
BLOCK: Final = 1 << 20


def program(name: str) -> str:
    """The path of a client program."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        pytest.fail(f"{name} is missing: make test installs it")
    return found


@dataclass(frozen=True)
class Answer:
    """What a client printed, both streams together, and its exit status."""

    status: int
    text: str

    def __contains__(self, words: str) -> bool:
        return words in self.text


@dataclass(frozen=True)
class SmbClient:
    """smbclient with its options, for one server."""

    peer: Peer
    options: Sequence[str] = ()
    user: str = "tester"
    password: str = PASSWORD
    share: str = "share"
    folder: Path = field(default_factory=Path.cwd)  # lcd

    def run(self, script: str, timeout_s: float = TIMEOUT_S) -> Answer:
        """Run the commands and say what came of it."""
        return run(
            [
                *(program("smbclient"), self.peer.unc(self.share), "-p", str(self.peer.port)),
                *("-U", f"{self.user}%{self.password}", *self.options, "-c", script),
            ],
            folder=self.folder,
            timeout_s=timeout_s,
        )

    def ok(self, script: str, timeout_s: float = TIMEOUT_S) -> str:
        """Run the commands, which must all succeed; return what was printed."""
        answer = self.run(script, timeout_s)
        # smbclient's allinfo asks for shadow copies, and says so when there are none
        lines = [line for line in answer.text.splitlines() if "shadow copy" not in line]
        failed = [line for line in lines if "NT_STATUS_" in line]
        assert answer.status == 0, answer.text
        assert not failed, answer.text
        return answer.text


def run(
    command: Sequence[str],
    folder: Path | None = None,
    timeout_s: float = TIMEOUT_S,
    environment: Mapping[str, str] | None = None,
) -> Answer:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )
    return Answer(done.returncode, done.stdout)


def account(user: str = "tester", password: str = PASSWORD) -> list[str]:
    return ["-U", f"{user}%{password}"]


def make_file(path: Path, size: int) -> str:
    """Fill ``path`` with ``size`` bytes without holes or repeats; return their SHA-256."""
    digest = hashlib.sha256()
    block = os.urandom(min(size, BLOCK))
    with path.open("wb") as file:
        for start in range(0, size, BLOCK):
            # each block differs from every other without the cost of new random bytes
            data = (start.to_bytes(8, "little") + block[8:])[: size - start]
            digest.update(data)
            file.write(data)
    return digest.hexdigest()


def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_tree(folder: Path) -> dict[str, str]:
    """A small source tree; path below ``folder`` -> SHA-256."""
    sizes = {
        "top.txt": 12,
        "empty": 0,
        "src/main.c": 4097,
        "src/lib/deep/er.h": 1,
        "src/größe ☃.txt": 77,
        "data/blob.bin": 3_000_001,
        "data/exact.bin": 65536,
    }
    made = {}
    for name, size in sizes.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        made[name] = make_file(path, size)
    return made


def tree_checksums(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): checksum(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
