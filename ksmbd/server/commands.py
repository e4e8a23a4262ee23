"""What ksmbd-control may ask: the table of commands behind the control socket.

version                    the version of the running server
stats                      one line as in /sys/class/ksmbd-control/stats
debug    component?, client?
                           switch a component over (``all``: everything), for a client's address
                           alone if there is one; the listing
status                     connections, sessions, trees, opens, pool
metrics                    the metrics, in Prometheus' text format
pool     max_workers?      figures of the worker pool, after setting its maximum
limits   set?              how much there may be of what; *set* changes some until the next reload
list                       the shares, as mountd serves them
close    what, id          end a "connection", a "session" or a "file" (an open), and what it has
capture  client?, connection?, session?, decrypted?
                           what is said to and by one of these, as pcapng after the answer, until
                           whoever asked says no more
reload                     have our own mountd read its files again
kill     how = "hard"      end all connections and the server
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Final

import ksmbd
from ksmbd import compiled, debug, interpreter
from ksmbd.server import limits
from ksmbd.server.capture import Selection
from ksmbd.server.control import Command, ControlError, HandOver
from ksmbd.server.report import report
from ksmbd.server.watching import TooMany
from ksmbd.vfs import credentials
from ksmbd.wire.status import NtStatusError

if TYPE_CHECKING:
    from ksmbd.server.server import Daemon

STATS_VERSION: Final = 2
MAX_WORKERS: Final = 1024

Request = Mapping[str, Any]
Rows = list[dict[str, Any]]

log = logging.getLogger("ksmbd.conn")


class Commands:
    """The commands of one server."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def table(self) -> dict[str, Command]:
        return {
            "version": self.version,
            "stats": self.stats,
            "debug": self.debug,
            "status": self.status,
            "metrics": self.metrics,
            "pool": self.pool,
            "limits": self.limits,
            "list": self.list,
            "close": self.close,
            "capture": self.capture,
            "reload": self.reload,
            "kill": self.kill,
        }

    def version(self, _: Request) -> str:
        return ksmbd.__version__

    def stats(self, _: Request) -> str:
        """``version state port heartbeat``: the last is 0, or -1 while mountd is away."""
        daemon = self._daemon
        heartbeat = 0 if daemon.mountd.connected else -1
        return f"{STATS_VERSION} {daemon.state} {daemon.port} {heartbeat}"

    def debug(self, request: Request) -> str:
        component = request.get("component")
        if component is None:
            return debug.listing()
        client = request.get("client") or ""
        watching = self._daemon.watching
        if client and watching is None:
            raise ControlError("mountd has not said yet what to serve")
        try:
            listing = debug.toggle(str(component), str(client))
        except ValueError as unknown:
            raise ControlError(str(unknown)) from None
        if watching is not None:
            watching.trace(debug.clients())
        return listing

    def status(self, _: Request) -> dict[str, Any]:
        daemon = self._daemon
        row: dict[str, Any] = {
            "version": ksmbd.__version__,
            "compiled": compiled.count(),
            "state": daemon.state,
            "port": daemon.port,
            "mountd": daemon.mountd.connected,
            "python": interpreter.describe(),
        }
        if daemon.server is None or daemon.clients is None:
            return row
        direct = daemon.options.direct_dispatch
        figures = daemon.pool.figures()
        counted = daemon.watching.counted() if daemon.watching is not None else None
        clients = daemon.clients.all()
        return row | report(daemon.server, clients, figures, direct=direct, counted=counted)

    def metrics(self, _: Request) -> str:
        watching = self._daemon.watching
        if watching is None:
            raise ControlError("mountd has not said yet what to serve")
        return watching.metrics()

    def pool(self, request: Request) -> dict[str, int]:
        count = request.get("max_workers")
        if count is not None:
            if not isinstance(count, int) or not 1 <= count <= MAX_WORKERS:
                raise ControlError(f"a pool has 1 to {MAX_WORKERS} workers")
            self._daemon.pool.set_max_workers(count)
        return self._daemon.pool.figures()._asdict()

    def limits(self, request: Request) -> Rows:
        server, wanted = self._daemon.server, request.get("set") or {}
        if server is None:
            raise ControlError("mountd has not said yet what to serve")
        if not isinstance(wanted, dict):
            raise ControlError("set is an object of names and numbers")
        try:
            limits.change(server, self._daemon.admission, wanted)
        except ValueError as wrong:
            raise ControlError(str(wrong)) from None
        for name, number in wanted.items():
            log.info("ksmbd-control sets %s to %d until the next reload", name, number)
        return limits.shown(server, self._daemon.admission)

    def list(self, _: Request) -> list[dict[str, Any]]:
        try:
            shares = self._daemon.mountd.shares()
        except NtStatusError:
            raise ControlError("mountd is not there to ask") from None
        return [{"name": s.name, "comment": s.comment, "flags": s.flags} for s in shares]

    def close(self, request: Request) -> str:
        what, number = request.get("what"), request.get("id")
        closers: dict[Any, Callable[[int], str | None]] = {
            "connection": self._close_connection,
            "session": self._close_session,
            "file": self._close_file,
        }
        if what not in closers or not isinstance(number, int):
            raise ControlError("close what: connection, session or file, and its number")
        try:
            closed = closers[what](number)
        finally:
            credentials.become(None)  # files were closed as their users
        if closed is None:
            raise ControlError(f"there is no {what} {number:#x} ({number})")
        log.info("ksmbd-control closed %s", closed)
        return f"closed {closed}"

    def _close_connection(self, number: int) -> str | None:
        """Its reader ends what hangs on it, as if the client had gone."""
        clients = self._daemon.clients.all() if self._daemon.clients is not None else []
        for client in clients:
            if client.connection.number == number:
                client.transport.close()
                return f"connection {number} of {client.transport.peer}"
        return None

    def _close_session(self, number: int) -> str | None:
        server = self._daemon.server
        session = server.sessions.get(number) if server is not None else None
        if server is None or session is None:
            return None
        server.end_session(session)
        return f"session {number:#x} of {session.account or 'a guest'}"

    def _close_file(self, number: int) -> str | None:
        server = self._daemon.server
        open = server.opens.find(number) if server is not None else None
        if server is None or open is None:
            return None
        name = f"file {open.tree.share.name}/{open.path} of {open.session.account or 'a guest'}"
        server.opens.close(open)
        return name

    def capture(self, request: Request) -> HandOver:
        watching = self._daemon.watching
        if watching is None:
            raise ControlError("mountd has not said yet what to serve")
        selection = _selection(request)
        try:
            capture = watching.capture(selection, decrypted=bool(request.get("decrypted")))
        except TooMany as refused:
            raise ControlError(str(refused)) from None
        log.info("ksmbd-control captures %s", _told(selection))
        return HandOver("capturing", capture.start)

    def reload(self, _: Request) -> str:
        if not self._daemon.options.with_mountd:
            raise ControlError("this mountd was not started by ksmbd; send SIGHUP to it")
        self._daemon.order_reload()
        return "reloading"

    def kill(self, request: Request) -> str:
        if request.get("how") != "hard":
            raise ControlError('only "hard" is known')
        self._daemon.order_stop(0, "ksmbd-control: shutting down")
        return "shutting down"


def _selection(request: Request) -> Selection:
    """Which connections a request is about; ControlError unless it says so in one way."""
    client, connection, session = map(request.get, ("client", "connection", "session"))
    if (client, connection, session).count(None) != 2:
        raise ControlError("capture whom: a client's address, a connection or a session")
    for number in (connection, session):
        if not isinstance(number, int | None):
            raise ControlError(f"no number: {number!r}")
    try:
        network = None if client is None else ip_network(str(client), strict=False)
    except ValueError as wrong:
        raise ControlError(f"no address and no network: {wrong}") from None
    return Selection(network, connection, session)


def _told(selection: Selection) -> str:
    """For the log."""
    network, connection, session = selection
    if network is not None:
        who = network if network.num_addresses > 1 else network.network_address
        return f"what {who} sends and is sent"
    return f"session {session:#x}" if session is not None else f"connection {connection}"
