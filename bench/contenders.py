"""The servers that are compared: ksmbd, Samba's smbd, and impacket's.

impacket has an environment of its own: tests/support/impacket.py.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from tests.support import impacket
from tests.support.live import USERS, LiveServer, LiveShare, ServerFailed, ServerProcess
from tests.support.peers import Peer
from tests.support.samba import SambaServer, free_port

OURS, REFERENCE, TOY = "ksmbd", "samba", "impacket"
COMPILED: Final = "ksmbd-compiled"  # the same sources after ``make compiled``
BUILT: Final = Path(__file__).parents[1] / "build" / "compiled"
# what the tests' Samba is stricter in than Debian's
AS_SHIPPED: Final = {"strict locking": "auto", "posix locking": "yes"}
# all clients are one user on one host here
MANY_CLIENTS: Final = {
    "max connections": "0",
    "max ip connections": "0",
    "max active sessions": "4000",
    "max user sessions": "4000",
}
TOY_SERVER: Final = """
import sys
from impacket import ntlm, smbserver

port, path, user, password = sys.argv[1:]
server = smbserver.SimpleSMBServer(listenAddress="127.0.0.1", listenPort=int(port))
server.addShare("SHARE", path)
server.setSMB2Support(True)
hashes = ntlm.compute_lmhash(password).hex(), ntlm.compute_nthash(password).hex()
server.addCredential(user, 0, *hashes)
server.setLogFile("/dev/null")
print("ready", flush=True)
server.start()
"""


class ImpacketServer(ServerProcess):
    """impacket's SimpleSMBServer on a loopback port, with one user and one share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shares = shares(folder)
        self.users = dict(list(USERS.items())[:1])
        self.port = 0

    def log_text(self) -> str:
        return ""  # it logs to nowhere

    def tail(self, lines: int = 60) -> str:
        return self.log_text()

    def check_log(self, after: int = 0) -> None:
        """Its faults are not ours to judge."""

    def start(self) -> Self:
        self.path().mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        arguments = [str(self.port), str(self.path()), *next(iter(self.users.items()))]
        self._process = subprocess.Popen(
            [str(impacket.interpreter()), "-c", TOY_SERVER, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self.stop()
            raise ServerFailed("impacket's server did not start")
        return self

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    kill = stop

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def shares(folder: Path) -> list[LiveShare]:
    return [LiveShare("share", folder / "share", {"read only": "no", "max connections": "0"})]


def _ours(folder: Path) -> LiveServer:
    return LiveServer(folder, shares=shares(folder), globals_=MANY_CLIENTS)


def by_interpreter(python: str) -> Callable[[Path], Peer]:
    """Makes ksmbd as another interpreter runs it; it needs what ksmbd needs."""
    return lambda folder: LiveServer(
        folder, shares=shares(folder), globals_=MANY_CLIENTS, python=python
    )


def _compiled(folder: Path) -> LiveServer:
    environment = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(BUILT)}
    return LiveServer(folder, shares=shares(folder), globals_=MANY_CLIENTS, environment=environment)


def _reference(folder: Path) -> SambaServer:
    return SambaServer(folder, shares=shares(folder), globals_=AS_SHIPPED)


def available() -> list[str]:
    """Those that need nothing to be made before."""
    return [name for name in CONTENDERS if name != COMPILED or BUILT.exists()]


CONTENDERS: Final[dict[str, Callable[[Path], Peer]]] = {
    REFERENCE: _reference,
    OURS: _ours,
    COMPILED: _compiled,
    TOY: ImpacketServer,
}
