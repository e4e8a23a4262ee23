"""The life of the process: start-up on mountd's word, orders from everywhere, shutdown.

    waiting --STARTING_UP--> serving --order to stop--> stopping --> ended
       |                        | ^
       | cannot bind, mountd    | | mountd away and back: sessions and cached shares go on
       v is misconfigured       | '
     ended, exit status 1

Whatever wants the server to do something (a signal, mountd, the control socket) gives an
order; the main thread obeys them.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import select
import signal
import socket
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import ksmbd
from ksmbd import interpreter
from ksmbd.ipc.client import Mountd
from ksmbd.server import administration, descriptors, dispatch, startup
from ksmbd.server.child import Child
from ksmbd.server.clients import Clients
from ksmbd.server.commands import Commands
from ksmbd.server.control import SOCKET_NAME, ControlServer
from ksmbd.server.lease_reader import LeaseReader
from ksmbd.server.listener import Admission, BindError
from ksmbd.server.listening import Listening, Wish
from ksmbd.server.loops import Loops
from ksmbd.server.metrics import Sources
from ksmbd.server.network import Network
from ksmbd.server.notify import READY, STOPPING, WATCHDOG, Notifier
from ksmbd.server.notify_reader import NotifyReader
from ksmbd.server.pool import DEFAULT_WORKERS, Pool
from ksmbd.server.timers import Timer, Timers
from ksmbd.server.watchdog import Watchdog
from ksmbd.server.watching import Watching
from ksmbd.state.journal import Journal
from ksmbd.state.server import Server
from ksmbd.state.settings import Settings
from ksmbd.vfs.sid import Domain
from ksmbd.wire import ipc

log = logging.getLogger("ksmbd")

PERSISTENT_NAME: Final = "persistent.db"  # in the run directory
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
PID_NAME: Final = "ksmbd.pid"  # in the run directory
MOUNTD: Final = (sys.executable, "-m", "mountd", "--nodetach")

# shutdown, in seconds; together below five
CLIENTS_S: Final = 1.0
WORKERS_S: Final = 1.0
MOUNTD_S: Final = 0.75  # and as much again if it must be killed
IPC_S: Final = 0.5


@dataclass(frozen=True)
class Options:
    """The command line."""

    run_dir: Path = Path(ipc.RUN_DIR)
    port: int | None = None  # None: as mountd says; 0: any free one
    bind: tuple[str, ...] = ()  # addresses; none: as mountd says
    config: Path | None = None  # for mountd
    pwddb: Path | None = None  # for mountd
    with_mountd: bool = False
    with_parent: bool = False  # end with the standard input, whose other end our starter holds
    mountd_uid: int | None = None  # may connect besides root and ourselves
    readers: int = 0  # threads that read connections; 0: one for each
    direct_dispatch: bool = True
    max_workers: int = DEFAULT_WORKERS
    verbose: bool = False  # for mountd


class StartError(Exception):
    """The server cannot start; the text is for the administrator."""


class Stop(NamedTuple):
    """Order: end with this exit status."""

    status: int
    reason: str


class Serve(NamedTuple):
    """Order: mountd is here and the sockets are bound; accept connections."""


class Reload(NamedTuple):
    """Order: have mountd read its files again."""


Order = Stop | Serve | Reload


class Orders:
    """A queue for one reader, the main thread, that a signal handler may fill.

    Between the last look for signals and a lock's sleep a signal would be missed; what the
    interpreter writes to its wake-up descriptor is not.
    """

    def __init__(self) -> None:
        self._orders: deque[Order] = deque()  # append and popleft are atomic
        self._receive, self._send = socket.socketpair()
        self._send.setblocking(False)
        self._input = -1  # main thread only

    def watch_signals(self) -> None:
        """Have every signal wake ``get``; in the main thread."""
        signal.set_wakeup_fd(self._send.fileno(), warn_on_full_buffer=False)

    def put(self, order: Order) -> None:
        self._orders.append(order)
        with contextlib.suppress(BlockingIOError):  # full: it is awake
            self._send.send(b"\0")

    def watch_input(self, fd: int) -> None:
        """Have the end of what *fd* reads be an order to stop; what comes before is of no use."""
        self._input = fd

    def get(self) -> Order:
        """The next order; waits for it."""
        while not self._orders:
            if self._input < 0:
                self._receive.recv(4096)
            else:
                self._wait_for_either()
        return self._orders.popleft()

    def _wait_for_either(self) -> None:
        ready, _, _ = select.select([self._receive.fileno(), self._input], [], [])
        if self._input in ready and not os.read(self._input, 4096):
            self._input = -1
            self._orders.append(Stop(0, "who started us has ended: shutting down"))
        elif self._receive.fileno() in ready:
            self._receive.recv(4096)

    def close(self) -> None:
        self._receive.close()
        self._send.close()


class Kworkers:
    """What ``state`` knows of our threads, ``ksmbd.state.transport.Scheduler``."""

    def __init__(self, pool: Pool, timers: Timers) -> None:
        self.run = pool.run
        self._timers = timers

    def call_later(self, seconds: float, fn: Callable[..., Any], *args: Any) -> Timer:
        return self._timers.call_later(seconds, fn, *args)


class Daemon:
    """The running program.  ``run`` returns its exit status."""

    def __init__(self, options: Options, notifier: Notifier | None = None) -> None:
        self.options = options
        self.pool = Pool(options.max_workers)
        self.timers = Timers()
        self.watchdog = Watchdog()
        self.loops = Loops(self.watchdog, self.pool, options.readers)
        self.admission = Admission()
        self.mountd = Mountd(str(options.run_dir / ipc.SOCKET_NAME), mountd_uid=options.mountd_uid)
        self.server: Server | None = None  # both from the first STARTING_UP on
        self.clients: Clients | None = None
        self.notify_reader: NotifyReader | None = None
        self.lease_reader: LeaseReader | None = None
        self.listening = Listening(self.admission, _tell_ready)
        self.watching: Watching | None = None
        self.state = "startup"  # as in ksmbd's stats: startup, running, shutdown
        self._notifier = notifier or Notifier()
        self._orders = Orders()
        self._control = ControlServer(str(options.run_dir / SOCKET_NAME), Commands(self).table())
        self._ipc = threading.Thread(target=self._run_ipc, name="ksmbd/ipc", daemon=True)
        self._child = Child(_mountd_command(options), self._mountd_ended)

    # -- orders, from any thread ---------------------------------------------------------

    def order_stop(self, status: int, reason: str) -> None:
        self._orders.put(Stop(status, reason))

    def order_reload(self) -> None:
        self._orders.put(Reload())

    # -- the main thread -----------------------------------------------------------------

    def run(self) -> int:
        """Serve until an order to stop; raises StartError if the run directory is not ours."""
        os.umask(0)  # the share's masks say what files may have
        pid_file = _take_run_dir(self.options.run_dir)
        _tell_interpreter()
        try:
            self._install_signals()
            if self.options.with_parent:
                self._orders.watch_input(sys.stdin.fileno())
            try:
                self._control.start()
            except OSError as error:
                raise StartError(f"cannot make the control socket: {error}") from None
            self._ipc.start()
            if self.options.with_mountd:
                self._child.start()
            status = self._obey()
            self._shut_down()
            return status
        finally:
            self._control.close()
            (self.options.run_dir / PID_NAME).unlink(missing_ok=True)
            os.close(pid_file)

    def _obey(self) -> int:
        while True:
            match self._orders.get():
                case Stop(status, reason):
                    log.log(logging.ERROR if status else logging.INFO, "%s", reason)
                    return status
                case Serve():
                    self._accept()
                case Reload():
                    self._reload()

    def _install_signals(self) -> None:
        self._orders.watch_signals()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            name = signal.Signals(number).name
            stop = Stop(0, f"{name}: shutting down")
            signal.signal(number, lambda *_, stop=stop: self._orders.put(stop))
        signal.signal(signal.SIGHUP, lambda *_: self._orders.put(Reload()))

    def _accept(self) -> None:
        """Start the accept loops and say so, once mountd can be asked."""
        pause = threading.Event()
        while not self.mountd.connected:
            if not self._ipc.is_alive():
                return
            pause.wait(0.001)  # it is sending STARTED
        self._restore()
        self.state = "running"
        assert self.clients is not None
        self.listening.accept(self.clients.serve)
        self._notifier.send(READY, f"MAINPID={os.getpid()}", f"STATUS=Port {self.port}")
        self._sign_of_life()

    def _restore(self) -> None:
        """Take up the persistent opens of the process before."""
        assert self.server is not None
        path = self.options.run_dir / PERSISTENT_NAME
        if not self.server.settings.persistent_handles and not path.exists():
            return
        try:
            self.server.persistence.journal = Journal(path, _boot_id())
        except (OSError, sqlite3.Error) as error:
            log.error("%s: %s: there are no persistent handles", path, error)
            return
        self.server.persistence.restore()

    def _sign_of_life(self) -> None:
        """systemd's watchdog hears from the clockwork, by way of a kworker."""
        if self._notifier.watchdog_s:
            self.pool.run(self._notifier.send, WATCHDOG)
            self.timers.call_later(self._notifier.watchdog_s, self._sign_of_life)

    def _reload(self) -> None:
        if not self.options.with_mountd:
            log.warning("SIGHUP belongs to ksmbd-mountd; ksmbd-control --reload sends it there")
            return
        self._notifier.reloading()
        self._child.signal(signal.SIGHUP)
        self._notifier.send(READY)

    def _shut_down(self) -> None:
        """End everything, each within its time."""
        self.state = "shutdown"
        self._notifier.send(STOPPING)
        self.listening.close()
        if self.clients is not None:
            self.clients.close_all()
            if not self.clients.wait_gone(CLIENTS_S):
                log.warning("shutdown: some connections do not end")
        if self.watching is not None:
            self.watching.close()
        if self.server is not None:
            self.server.durables.close_all(persistent=False)
        if self.notify_reader is not None:
            self.notify_reader.close()
        if self.lease_reader is not None:
            self.lease_reader.close()
        self.timers.close()
        self.loops.close()
        self.watchdog.close()
        self.pool.shutdown_within(WORKERS_S)
        if self.options.with_mountd:
            self._child.stop(MOUNTD_S)
        self.mountd.stop()
        self._ipc.join(IPC_S)

    # -- mountd's word, on the thread ksmbd/ipc ------------------------------------------

    def _run_ipc(self) -> None:
        try:
            self.mountd.run(self)
        except OSError as error:
            self.order_stop(1, f"cannot listen for mountd: {error}")
        except Exception:
            log.exception("the link to mountd: a bug in the server")
            self.order_stop(1, "the link to mountd failed")

    def starting_up(self, settings: ipc.StartingUp) -> int:
        """mountd is here.  The first time bind the sockets; later take over what has changed."""
        new = startup.settings_from(settings)
        self.admission.set_limits(new.max_connections, new.max_connections_per_address)
        descriptors.check(new.max_open_files, new.max_connections)
        if self.server is not None:
            self._reconfigure(self.server, settings, new)
            return self.port
        port = settings.tcp_port if self.options.port is None else self.options.port
        try:
            self.listening.open(self._wish(settings), port)
        except BindError as error:
            self.order_stop(1, str(error))
            raise
        self.server = Server(
            scheduler=Kworkers(self.pool, self.timers),
            mountd=self.mountd,
            random=secrets.token_bytes,
            guid=startup.server_guid(settings),
            negotiate_token=startup.negotiate_token(new),
            domain=Domain(startup.sub_authorities(settings)),
            settings=new,
            interfaces=Network(settings.interfaces, self.listening),
        )
        self.server.opens.descriptors = descriptors.for_files()
        self.notify_reader = NotifyReader(self.server.notify)
        self.server.notify.local = self.notify_reader
        local = self.server.caching.local
        self.lease_reader = LeaseReader(lambda fd: self.pool.run(local.signalled, fd))
        local.leases.listener = self.lease_reader
        self.clients = Clients(
            self.server,
            dispatch=dispatch,
            admission=self.admission,
            loops=self.loops,
            timers=self.timers,
            direct=self.options.direct_dispatch,
        )
        sources = Sources(
            self.server, self.clients, self.admission, self.pool, lambda: self.mountd.connected
        )
        self.watching = Watching(sources)
        self.watching.configure(new)
        self._orders.put(Serve())
        return self.port

    def _reconfigure(self, server: Server, settings: ipc.StartingUp, new: Settings) -> None:
        """Go on with other global parameters; say what needs a new start."""
        server.settings = new
        server.opens.limit = new.max_open_files
        if server.persistence.journal is None:
            self._restore()
        server.negotiate_token = startup.negotiate_token(new)
        server.forget_shares()
        if self.watching is not None:
            self.watching.configure(new)
        self.listening.change(self._wish(settings))
        server.interfaces = Network(settings.interfaces, self.listening)
        port = settings.tcp_port if self.options.port is None else self.options.port
        if port not in (0, self.port):
            log.warning("tcp port: %d until a new start, not %d", self.port, port)

    def shutting_down(self, reason: str) -> None:
        self.order_stop(0, f"mountd ends ({reason}): shutting down")

    def state_changed(self, notice: ipc.StateChanged) -> None:
        log.info("shares changed: %s", ", ".join((*notice.changed, *notice.removed)) or "none")
        if self.server is not None:
            self.server.forget_shares()

    def administer(self, message: ipc.Message, reply: Callable[[ipc.Message], None]) -> None:
        if self.server is not None and self.clients is not None:
            self.pool.run(administration.answer, self.server, message, reply, self.clients.idle)

    def link_lost(self, hung: bool) -> None:
        """Sessions go on without mountd, unless ``ipc timeout`` says that they must not."""
        if hung and self.clients is not None:
            log.warning("mountd hangs: all connections are closed")
            self.clients.drop_all()

    @property
    def port(self) -> int:
        """Where clients find us; 0 until there is an address to listen on."""
        return self.listening.port

    def _wish(self, settings: ipc.StartingUp) -> Wish:
        """Where to listen, by the command line or else by mountd."""
        if self.options.bind:
            return Wish(self.options.bind)
        only = settings.flags & ipc.BIND_INTERFACES_ONLY and settings.interfaces
        return Wish(interfaces=settings.interfaces) if only else Wish()

    def _mountd_ended(self, status: int) -> bool:
        """The child ended by itself; it is not started again if it never got to work."""
        if self.server is None:
            self.order_stop(1, f"mountd ended with status {status} before it had started")
            return False
        return True


def _tell_interpreter() -> None:
    """Which Python it is; on a free-threaded one that takes turns all the same, that is a fault."""
    log.info("version %s, %s", ksmbd.__version__, interpreter.describe())
    if interpreter.FREE_THREADED and interpreter.takes_turns():
        log.warning("an extension module needs Python's lock: one core for all Python code")


def _tell_ready(address: str, port: int) -> None:
    host = f"[{address}]" if ":" in address else address
    print(f"ksmbd: ready on {host}:{port}", flush=True)


def _boot_id() -> str:
    """Which start of the machine this is."""
    return BOOT_ID.read_text().strip()


def _mountd_command(options: Options) -> list[str]:
    # Our id, for it cannot ask who its parent is if we end before it is there to ask.
    command = [*MOUNTD, "--with-parent", str(os.getpid()), "--run-dir", str(options.run_dir)]
    if options.config is not None:
        command += ["--config", str(options.config)]
    if options.pwddb is not None:
        command += ["--pwddb", str(options.pwddb)]
    if options.verbose:
        command.append("--verbose")
    return command


def _take_run_dir(run_dir: Path) -> int:
    """Make the run directory ours: the locked descriptor of its pid file."""
    try:
        run_dir.mkdir(mode=0o755 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        path = run_dir / PID_NAME
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise StartError(f"cannot use the run directory: {error}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(fd, 16, 0).decode().strip()
        os.close(fd)
        raise StartError(f"another ksmbd (process {pid}) uses {run_dir}") from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd
