"""A server inside a Python program: for tests, containers and tools.

    with ksmbd.Server({"data": folder}, {"alice": "secret"}) as server:
        ...  # \\\\127.0.0.1\\data on server.port

ksmbd and its mountd run as processes of their own, without root if need be, in a temporary
directory that goes with them.  They end with ``stop``, with the ``with`` block, and with the
program itself however that ends: what holds them is the program's end of a pipe.
"""

from __future__ import annotations

import os
import pwd
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Final, NamedTuple, Self

START_S: Final = 30.0
STOP_S: Final = 10.0
LOG_SHOWN: Final = 40  # lines of the log in the text of an error
READY: Final = re.compile(r"^ksmbd: ready on \[?(?P<address>.+?)\]?:(?P<port>\d+)\n", re.M)
NOT_IN_A_NAME: Final = re.compile(r'[\x00-\x1f"/\\\[\]:|<>+=;,*?]')
LINE_END: Final = re.compile(r"[\r\n\0]")
RESERVED: Final = frozenset({"global", "ipc$", "homes", "printers"})

StrPath = str | os.PathLike[str]


class ServerError(Exception):
    """The server did not start, or did not end by itself; the text ends with its log."""


class Share(NamedTuple):
    """One share; ``parameters`` are further ones of its section in ksmbd.conf."""

    path: StrPath  # a directory; made when it is missing
    read_only: bool = False
    guest: bool = False  # those without an account may come, too
    parameters: Mapping[str, str] = {}

    def section(self, name: str) -> str:
        """Its part of ksmbd.conf.  ValueError for a name or a value that cannot stand there."""
        if not name or name.lower() in RESERVED or NOT_IN_A_NAME.search(name):
            raise ValueError(f"{name!r} cannot be the name of a share")
        chosen = {
            "path": os.path.abspath(self.path),
            "read only": "yes" if self.read_only else "no",
            "guest ok": "yes" if self.guest else "no",
            **self.parameters,
        }
        return _section(name, chosen)


class Server:
    """A running server; ``start`` and ``stop`` do what the ``with`` block does."""

    def __init__(
        self,
        shares: Mapping[str, StrPath | Share],
        users: Mapping[str, str] | None = None,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        """*shares* by name: a directory, writable, or a ``Share``.  *users*: passwords by name.

        Every account acts as the program's own user.  *port* 0 is any free one; *parameters* go
        into [global] of ksmbd.conf, for example ``{"smb3 encryption": "required"}``.

        ValueError   there is nothing to serve or nobody to serve it to, or a name or a value
                     cannot stand in ksmbd.conf
        """
        self.shares = {name: _share(share) for name, share in shares.items()}
        self.users = dict(users or {})
        self.address = address
        self.port = port  # the true one from start() on
        if not self.shares:
            raise ValueError("a server needs a share")
        guests = any(share.guest for share in self.shares.values())
        if not self.users and not guests:
            raise ValueError("a server needs a user, or a share with guest=True")
        for name in self.users:
            if not name or ":" in name or name != name.strip():
                raise ValueError(f"{name!r} cannot be the name of an account")
        if any(LINE_END.search(text) for pair in self.users.items() for text in pair):
            raise ValueError("names and passwords have no line ends")
        self._configuration = self._text(guests, parameters or {})
        self._chosen_port = port
        self._folder: Path | None = None
        self._process: subprocess.Popen[str] | None = None
        self._last_log = ""

    # -- what programs ask ---------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All that the server has logged; after its end, what it had."""
        if self._folder is None:
            return self._last_log
        return (self._folder / "log").read_text(errors="replace")

    def unc(self, share: str) -> str:
        r"""``\\address\share``; the port is told apart."""
        if share not in self.shares:
            raise KeyError(share)
        return rf"\\{self.address}\{share}"

    # -- life ----------------------------------------------------------------------------

    def start(self) -> Self:
        """Return when clients can connect.

        RuntimeError   it runs already
        ServerError    it does not get ready; nothing of it is left
        """
        if self._process is not None:
            raise RuntimeError("the server runs already")
        self._folder = Path(tempfile.mkdtemp(prefix="ksmbd-"))
        try:
            self._prepare(self._folder)
            self._process = self._launch(self._folder)
            self._await_ready(self._process)
        except BaseException:
            self._end(kill=True)
            raise
        return self

    def stop(self) -> None:
        """End it and wait until it has; does nothing when it has not been started.

        ServerError   it had ended before, or had to be killed
        """
        if self._process is None:
            return
        ended_before = self._process.poll()
        killed = self._end(kill=False)
        if ended_before is not None:
            raise ServerError(f"the server had ended with status {ended_before}{self._tail()}")
        if killed:
            raise ServerError(f"the server did not end and was killed{self._tail()}")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.stop()
        else:  # the program's own error is the one to see
            self._end(kill=False)

    # -- parts ---------------------------------------------------------------------------

    def _text(self, guests: bool, parameters: Mapping[str, str]) -> str:
        user = _user_name()
        chosen = {"default unix user": user, "map to guest": "bad user" if guests else "never"}
        if guests:
            chosen["guest account"] = user
        sections = [_section("global", {**chosen, **parameters})]
        return "\n".join(sections + [s.section(name) for name, s in self.shares.items()])

    def _prepare(self, folder: Path) -> None:
        for share in self.shares.values():
            Path(share.path).mkdir(parents=True, exist_ok=True)
        (folder / "ksmbd.conf").write_text(self._configuration, encoding="utf-8")
        (folder / "ksmbdpwd.db").touch(mode=0o600)
        for name, password in self.users.items():
            self._add_user(folder, name, password)

    def _add_user(self, folder: Path, name: str, password: str) -> None:
        """The password goes through a pipe: others see command lines."""
        added = subprocess.run(
            [*_module("control.adduser"), *_files(folder), "-a", "--", name],
            input=f"{password}\n{password}\n",
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
        )
        if added.returncode:
            raise ServerError(f"user {name!r}: {added.stderr.strip()}")

    def _launch(self, folder: Path) -> subprocess.Popen[str]:
        command = [
            *(*_module("ksmbd"), "--with-mountd", "--with-parent", *_files(folder)),
            *("--run-dir", str(folder), "--port", str(self._chosen_port)),
            *("--bind", self.address),
        ]
        with (folder / "log").open("wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_environment(),
                start_new_session=True,  # a terminal's Ctrl-C is for the program
            )

    def _await_ready(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        ready = READY.search(_read_until(process.stdout, READY, START_S))
        if ready is None:
            raise ServerError(f"the server did not get ready{self._tail()}")
        self.port = int(ready["port"])

    def _end(self, *, kill: bool) -> bool:
        """Whether it had to be killed, although nobody wanted that."""
        process, self._process = self._process, None
        killed = False
        if process is not None:
            if kill:
                process.kill()
            else:
                process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed = True
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        if self._folder is not None:
            log = self._folder / "log"
            self._last_log = log.read_text(errors="replace") if log.exists() else ""
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        return killed

    def _tail(self) -> str:
        lines = self.log.splitlines()[-LOG_SHOWN:]
        return "\n  ".join([":", *lines]) if lines else ""


def _share(given: StrPath | Share) -> Share:
    return given if isinstance(given, Share) else Share(given)


def _section(name: str, parameters: Mapping[str, str]) -> str:
    for key, value in parameters.items():
        if LINE_END.search(key + value) or "=" in key:
            raise ValueError(f"{key!r} = {value!r} cannot stand in ksmbd.conf")
    return "".join([f"[{name}]\n", *(f"\t{key} = {value}\n" for key, value in parameters.items())])


def _user_name() -> str:
    """Who accounts act as.  ServerError when the system does not know who we are."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise ServerError(f"uid {os.geteuid()} has no name in the user database") from None


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", name]


def _files(folder: Path) -> list[str]:
    return ["-C", str(folder / "ksmbd.conf"), "-P", str(folder / "ksmbdpwd.db")]


def _environment() -> dict[str, str]:
    """Ours, with the packages beside this one before all others, and without the directory we
    happen to be in.
    """
    here = str(Path(__file__).parents[1])
    before = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([here, before] if before else [here])
    return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


def _read_until(stream: IO[str], pattern: re.Pattern[str], timeout_s: float) -> str:
    """What came up to and with the pattern, to the end, or within the time."""
    fd = stream.fileno()
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    deadline = time.monotonic() + timeout_s
    text = b""
    while not pattern.search(text.decode(errors="replace")):
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            break
        more = os.read(fd, 4096)
        if not more:
            break
        text += more
    return text.decode(errors="replace")
