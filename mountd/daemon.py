"""The life of mountd: lock, signals, reload, end."""

from __future__ import annotations

import logging
import logging.handlers
import os
import signal
import socket
from types import FrameType
from typing import Final

from ksmbd import journald
from ksmbd.wire.ipc import SOCKET_NAME, ShuttingDown
from mountd import outcome, reloading
from mountd.conf import ConfError
from mountd.lock import LockFile
from mountd.outcome import Outcome
from mountd.params import GlobalParams
from mountd.server import SdNotify, Server
from mountd.state import State
from mountd.worker import Services, Worker

log = logging.getLogger("mountd")

SYSLOG: Final = "/dev/log"
ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
SIGNALS: Final = (*ENDING, signal.SIGHUP, signal.SIGUSR1)


class Daemon:
    """Runs until a signal ends it."""

    def __init__(
        self, state: State, run_dir: str, lock: LockFile, notify: SdNotify, parent: int | None
    ) -> None:
        """*parent* is the process with whose end this one ends; it may have ended already."""
        self._state = state
        self._parent = parent
        self._lock = lock
        self._notify = notify
        services = Services(state, os.urandom)
        self._worker = Worker(services)
        self._server = Server(os.path.join(run_dir, SOCKET_NAME), state, services, self._worker)
        self._wake_receive, self._wake_send = socket.socketpair()
        self._pending: list[int] = []  # signals not yet handled, main thread only
        self._reloads = 0

    def run(self) -> None:
        """Serve; needs the main thread, for the signals."""
        self._catch_signals()
        self._notify("READY=1")
        warned = False
        try:
            while not self._handle_signals() and not self._orphaned():
                self._server.turn(self._wake_receive)
                if self._server.connected and not warned:  # whom accounts act as is known now
                    warn(self._state)
                    warned = True
            self._notify("STOPPING=1")
            self._server.tell(ShuttingDown(reason="mountd was told to end"))
        finally:
            self._server.close()
            self._worker.stop()
            outcome.remove(self._lock.path)
            self._lock.release()

    def _orphaned(self) -> bool:
        """Whether our parent is gone; its end closes the link, so that nobody has to poll."""
        return self._parent is not None and os.getppid() != self._parent

    def _catch_signals(self) -> None:
        self._wake_send.setblocking(False)
        self._wake_receive.setblocking(False)
        signal.set_wakeup_fd(self._wake_send.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._pending.append(number)

    def _handle_signals(self) -> bool:
        """Do what the signals ask for; True if it is time to end."""
        try:
            self._wake_receive.recv(4096)
        except BlockingIOError:
            pass
        while self._pending:
            number = self._pending.pop(0)
            if number in ENDING:
                log.info("%s: shutting down", signal.Signals(number).name)
                return True
            if number == signal.SIGHUP:
                self._reload()
            else:
                self._list_shares()
        return False

    def _reload(self) -> None:
        """Read the files again, and leave word of what became of it."""
        self._notify("RELOADING=1")
        self._reloads += 1
        done = Outcome(os.getpid(), self._reloads)
        old = self._state.files.globals
        try:
            notice = self._state.reload()
        except ConfError as error:
            log.error("not reloaded, the old configuration stays: %s", error)
            done = done._replace(error=str(error))
        else:
            summary = f"reloaded: {len(notice.changed)} changed, {len(notice.removed)} removed"
            log.info("%s", summary)
            changes = tell_changes(self._state, old)
            warnings = warn(self._state)
            self._server.reloaded(notice)
            done = done._replace(changes=(summary, *changes), warnings=tuple(warnings))
        try:
            outcome.write(self._lock.path, done)
        except OSError as failed:
            log.warning("nobody can be told of the reload: %s", failed)
        self._notify("READY=1")

    def _list_shares(self) -> None:
        for share in self._state.files.shares:
            log.info("share %s: %s", share.name, share.path or share.params.comment)


def warn(state: State) -> list[str]:
    """Tell the administrator what the files leave open."""
    lines = state.warnings()
    for line in lines:
        log.warning("%s", line)
    return lines


def tell_changes(state: State, old: GlobalParams) -> list[str]:
    """Tell which global parameters a reload has changed, and from when on they hold."""
    changes = list(reloading.told(old, state.files.globals, own_port=state.port is not None))
    for late, line in changes:
        log.log(logging.WARNING if late else logging.INFO, "%s", line)
    return [line for _, line in changes]


class Format(logging.Formatter):
    """``[ksmbd.mountd/PID]: LEVEL: text``, as ksmbd-tools writes."""

    def __init__(self, tool: str) -> None:
        super().__init__(f"[{tool}/%(process)d]: %(levelname)s: %(message)s")


def log_to_stderr(tool: str, *, verbose: bool) -> None:
    """To standard error or, where that leads to the journal, there with fields."""
    plain = logging.StreamHandler()
    plain.setFormatter(Format(tool))
    handler = journald.handler(tool, plain)
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True
    )


def log_to_syslog(*, verbose: bool) -> None:
    """Facility LOCAL5, ident ``ksmbd``; where there is no syslog the messages are lost."""
    handler: logging.Handler = logging.NullHandler()
    if os.path.exists(SYSLOG):
        syslog = logging.handlers.SysLogHandler(
            SYSLOG, facility=logging.handlers.SysLogHandler.LOG_LOCAL5
        )
        syslog.ident = "ksmbd: "
        handler = syslog
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True
    )


def detach(lock: LockFile) -> int | None:
    """Become a daemon: None in the daemon, the exit status in the process that was started.

    The latter returns once the lock file has the daemon's process id.
    """
    ready_receive, ready_send = os.pipe()
    child = os.fork()
    if child:
        os.close(ready_send)
        ready = os.read(ready_receive, 1)
        os.close(ready_receive)
        os.waitpid(child, 0)
        return 0 if ready else 1
    os.close(ready_receive)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    lock.write(os.getpid())
    os.write(ready_send, b"1")
    os.close(ready_send)
    return None
