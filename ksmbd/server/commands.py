"""What ksmbd-control may ask: the table of commands behind the control socket.

version                    the version of the running server
stats                      one line as in /sys/class/ksmbd-control/stats
debug    component?        switch a component over (``all``: everything); the listing
status                     connections, sessions, trees, opens, pool
pool     max_workers?      figures of the worker pool, after setting its maximum
list                       the shares, as mountd serves them
reload                     have our own mountd read its files again
kill     how = "hard"      end all connections and the server
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import ksmbd
from ksmbd import debug
from ksmbd.server.control import Command, ControlError
from ksmbd.server.report import report
from ksmbd.wire.status import NtStatusError

if TYPE_CHECKING:
    from ksmbd.server.server import Daemon

STATS_VERSION: Final = 2
MAX_WORKERS: Final = 1024

Request = Mapping[str, Any]


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
            "pool": self.pool,
            "list": self.list,
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
        try:
            return debug.toggle(str(component))
        except debug.UnknownComponent as unknown:
            raise ControlError(str(unknown)) from None

    def status(self, _: Request) -> dict[str, Any]:
        daemon = self._daemon
        row: dict[str, Any] = {
            "version": ksmbd.__version__,
            "state": daemon.state,
            "port": daemon.port,
            "mountd": daemon.mountd.connected,
        }
        if daemon.server is None or daemon.clients is None:
            return row
        direct = daemon.options.direct_dispatch
        figures = daemon.pool.figures()
        return row | report(daemon.server, daemon.clients.all(), figures, direct=direct)

    def pool(self, request: Request) -> dict[str, int]:
        count = request.get("max_workers")
        if count is not None:
            if not isinstance(count, int) or not 1 <= count <= MAX_WORKERS:
                raise ControlError(f"a pool has 1 to {MAX_WORKERS} workers")
            self._daemon.pool.set_max_workers(count)
        return self._daemon.pool.figures()._asdict()

    def list(self, _: Request) -> list[dict[str, Any]]:
        try:
            shares = self._daemon.mountd.shares()
        except NtStatusError:
            raise ControlError("mountd is not there to ask") from None
        return [{"name": s.name, "comment": s.comment, "flags": s.flags} for s in shares]

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
