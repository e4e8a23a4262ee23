"""A real server for tests: ksmbd with its mountd as child processes on a free loopback port.

Nothing here waits for a time: the server is ready when it says so, and it has ended when the
kernel says so.  What it prints goes through a pipe into memory, read by one thread.
"""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ROOT: Final = Path(__file__).parents[2]
PASSWORD: Final = "Passw0rd!"
USERS: Final = {"tester": PASSWORD, "tester2": PASSWORD}
READY: Final = re.compile(r"ksmbd: ready on \[?(?P<host>.+?)\]?:(?P<port>\d+)")
RELOADED: Final = re.compile(r"shares changed: ")
START_S: Final = 60.0  # on a machine that has much else to do
STOP_S: Final = 40.0


class ServerFailed(AssertionError):
    """The server did not start, did not stop cleanly, or met a bug of its own."""


@dataclass(frozen=True)
class LiveShare:
    """One section of the configuration; ``path`` is made when it is missing."""

    name: str
    path: Path
    options: Mapping[str, str] = field(default_factory=dict)

    def section(self) -> str:
        lines = [f"[{self.name}]", f"\tpath = {self.path}"]
        lines += [f"\t{key} = {value}" for key, value in self.options.items()]
        return "\n".join(lines) + "\n"


def standard_shares(folder: Path) -> list[LiveShare]:
    """What most tests need: a writable share, a second one, a read-only and a hidden one."""
    return [
        LiveShare("share", folder / "share", {"read only": "no"}),
        LiveShare("share2", folder / "share2", {"read only": "no", "comment": "the second"}),
        LiveShare("readonly", folder / "readonly", {"read only": "yes"}),
        LiveShare("hidden", folder / "hidden", {"read only": "no", "browseable": "no"}),
    ]


def open_share(folder: Path, options: Mapping[str, str], name: str = "share") -> LiveShare:
    """A share of a fresh folder in *folder* that every local account may write to."""
    made = LiveShare(name, folder / name, options)
    made.path.mkdir(parents=True)
    made.path.chmod(0o777)
    return made


class Log:
    """The lines of one process, and a way to wait for one of them."""

    def __init__(self) -> None:
        self._lines: list[str] = []  # by self._changed
        self._ended = False  # by self._changed
        self._changed = threading.Condition()

    def add(self, line: str) -> None:
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def text(self) -> str:
        with self._changed:
            return "".join(self._lines)

    def count(self) -> int:
        """How many lines there are."""
        with self._changed:
            return len(self._lines)

    def wait_for(
        self, pattern: re.Pattern[str], timeout_s: float, after: int = 0
    ) -> re.Match[str] | None:
        """The first match; None when the process ends without one or the time is over.

        ``after`` skips that many lines.
        """
        found: list[re.Match[str]] = []

        def seen() -> bool:
            found.extend(m for m in (pattern.search(line) for line in self._lines[after:]) if m)
            return bool(found) or self._ended

        with self._changed:
            self._changed.wait_for(seen, timeout_s)
        return found[0] if found else None


class ServerProcess:
    """A server that is a child of ours: what each of them answers alike."""

    host: Final = "127.0.0.1"
    shares: Sequence[LiveShare]
    _process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def path(self, share: str = "share") -> Path:
        """The folder that ``share`` serves."""
        return next(s.path for s in self.shares if s.name == share)

    def unc(self, share: str = "share") -> str:
        return f"//{self.host}/{share}"


class LiveServer(ServerProcess):
    """Start with ``start()`` or ``with``; ``port`` is known from then on."""

    def __init__(
        self,
        folder: Path,
        *,
        shares: Sequence[LiveShare] | None = None,
        users: Mapping[str, str] | None = None,
        globals_: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        port: int = 0,
        environment: Mapping[str, str] | None = None,
        python: str = sys.executable,
    ) -> None:
        """``options`` are further arguments of ksmbd, ``globals_`` further [global] parameters.

        ``python`` is the interpreter that runs it.
        """
        self.folder = folder
        self.shares = list(standard_shares(folder) if shares is None else shares)
        self.users = dict(USERS if users is None else users)
        self.globals = dict(globals_ or {})
        self.options = list(options)
        self.port = port
        self.environment = dict(environment or {})
        self.python = python
        self.log = Log()
        self.earlier_logs: list[str] = []  # of processes that were killed
        self._reader: threading.Thread | None = None

    # what tests ask

    @property
    def configuration(self) -> Path:
        return self.folder / "ksmbd.conf"

    @property
    def accounts(self) -> Path:
        return self.folder / "ksmbdpwd.db"

    @property
    def run_folder(self) -> Path:
        return self.folder / "run"

    # life

    def start(self) -> Self:
        """Write both files, start both daemons, return when they accept connections."""
        self._prepare()
        self._process = subprocess.Popen(
            self._command(),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environment},
        )
        self._reader = threading.Thread(target=self._read, name="live server log", daemon=True)
        self._reader.start()
        ready = self.log.wait_for(READY, START_S)
        if ready is None:
            self.kill()
            raise ServerFailed(f"the server did not get ready:\n{self.log.text()}")
        self.port = int(ready["port"])
        return self

    def stop(self) -> None:
        """SIGTERM; the exit status must be 0 and the log free of tracebacks."""
        assert self._process is not None
        self._process.terminate()
        try:
            status = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailed(f"no end within {STOP_S} s of SIGTERM:\n{self.tail()}") from None
        self._join()
        if status != 0:
            raise ServerFailed(f"exit status {status}:\n{self.tail()}")
        self.check_log()

    def reload(self, globals_: Mapping[str, str], shares: Sequence[LiveShare]) -> str:
        """Go on with another configuration; what the log says of it.

        ksmbd writes its line when it has taken over the global parameters, too.
        """
        self.globals, self.shares = dict(globals_), list(shares)
        self.configuration.write_text(self.configuration_text())
        before = self.log.count()
        os.kill(self.pid, signal.SIGHUP)
        if self.log.wait_for(RELOADED, START_S, before) is None:
            raise ServerFailed(f"the server did not reload:\n{self.tail()}")
        return "".join(self.log.text().splitlines(keepends=True)[before:])

    def kill(self) -> None:
        """SIGKILL, for tests of a crash and after a failure."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._join()

    def start_again(self) -> str:
        """After a kill: on the same port, with a log of its own.  The log of the one before."""
        before = self.log.text()
        self.earlier_logs.append(before)
        self.log = Log()
        self.start()
        return before

    def check_log(self, after: int = 0) -> None:
        """A traceback is a bug of the server, even where its client was content.

        ``after`` skips that many characters, logged before.
        """
        _, found, rest = self.log.text()[after:].partition("Traceback")
        if found:
            said = "\n".join((found + rest).splitlines()[:40])
            raise ServerFailed(f"a traceback in the log:\n{said}")

    def log_text(self) -> str:
        return self.log.text()

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.text().splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self.running and kind is not None:
            self._join()
            return
        if self._process is not None:
            self.stop()

    # parts

    def configuration_text(self) -> str:
        parameters = {
            "server string": "live test server",
            "netbios name": "KSMBD",
            "workgroup": "WORKGROUP",
            "map to guest": "never",
            "default unix user": pwd.getpwuid(os.geteuid()).pw_name,
            **self.globals,
        }
        lines = ["[global]", *(f"\t{key} = {value}" for key, value in parameters.items())]
        return "\n".join(lines) + "\n\n" + "\n".join(share.section() for share in self.shares)

    def _prepare(self) -> None:
        self.run_folder.mkdir(parents=True, exist_ok=True)
        for share in self.shares:
            share.path.mkdir(parents=True, exist_ok=True)
        self.configuration.write_text(self.configuration_text())
        self.accounts.unlink(missing_ok=True)
        for name, password in self.users.items():
            self.add_user(name, password)

    def add_user(self, name: str, password: str) -> None:
        files = ["-P", str(self.accounts), "-C", str(self.configuration)]
        command = [sys.executable, "-m", "control.adduser", *files, "-a", "-p", password, name]
        added = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if added.returncode:
            raise ServerFailed(f"adduser {name}: {added.stdout}{added.stderr}")

    def _command(self) -> list[str]:
        return [
            *(self.python, "-m", "ksmbd", "--with-mountd"),
            *("--config", str(self.configuration), "--pwddb", str(self.accounts)),
            *("--run-dir", str(self.run_folder)),
            *("--port", str(self.port), "--bind", self.host),
            *self.options,
        ]

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self.log.add(line)
        self.log.end()

    def _join(self) -> None:
        """The pipe ends when the last process that holds it does; a stray one would show here."""
        if self._reader is not None:
            self._reader.join(STOP_S)
            if self._reader.is_alive():
                raise ServerFailed("a process of the server outlives it")
