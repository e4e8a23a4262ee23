"""Who watches the server: what the settings and the administrator ask for, switched on and off.

configure   with every start-up message of mountd, so after each reload, too
capture     for the administrator, from now on
close       at the end
"""

from __future__ import annotations

import logging
import threading

from ksmbd.server import exposition, metrics
from ksmbd.server.audit_log import AuditLog, Handler, Place
from ksmbd.server.auditing import Auditor
from ksmbd.server.capture import Capture, Selection, Tapped
from ksmbd.server.counters import Counters, Counts
from ksmbd.server.exporter import Exporter
from ksmbd.server.metrics import Sources
from ksmbd.server.observe import Observer
from ksmbd.server.reader import Dispatch
from ksmbd.server.tcp import TcpTransport
from ksmbd.state import audit as aces
from ksmbd.state.connection import Connection
from ksmbd.state.settings import Settings
from ksmbd.state.share import AuditPolicy

log = logging.getLogger("ksmbd.conn")


MAX_CAPTURES = 4  # at a time: each may keep some memory


class TooMany(Exception):
    """As many captures as there may be are under way."""


class Watching:
    """Everything that looks at requests and is no part of answering them."""

    def __init__(self, sources: Sources) -> None:
        self.observer = Observer()
        self._sources = sources
        self._exporter: Exporter | None = None
        self._auditor = sources.server.audit = Auditor()
        self._audit_log: AuditLog | None = None
        self._of_aces = Handler(self._auditor.put)
        self._lock = threading.Lock()
        self._captures: tuple[Capture, ...] = ()  # replaced by self._lock

    def configure(self, settings: Settings) -> None:
        """Do what *settings* ask for; only the threads that bring settings call this."""
        observer = self.observer
        if not settings.count_requests:
            observer.counts = None
        elif observer.counts is None:
            observer.counts = Counts()
        self._audit(settings)
        observer.slow_ns = settings.slow_request_ms * 1_000_000
        self._redirect()
        self._export(settings.metrics_address, settings.metrics_file)

    def close(self) -> None:
        for capture in self._captures:
            capture.close()
        self._stop_exporting()
        self._stop_auditing()

    def capture(self, selection: Selection, *, decrypted: bool) -> Capture:
        """Begin a capture; its caller starts it.  Raises TooMany."""
        made = Capture(selection, decrypted=decrypted, ended=self._capture_ended)
        with self._lock:
            if len(self._captures) >= MAX_CAPTURES:
                raise TooMany(f"{MAX_CAPTURES} captures are under way already")
            self._captures += (made,)
        self._redirect()
        return made

    def trace(self, clients: frozenset[str]) -> None:
        """Know of each debug line of these clients that it is theirs."""
        self.observer.traced = clients
        self._redirect()

    def _capture_ended(self, ended: Capture) -> None:
        with self._lock:
            self._captures = tuple(each for each in self._captures if each is not ended)
        self._redirect()

    def _stop_exporting(self) -> None:
        if self._exporter is not None:
            self._exporter.close()
            self._exporter = None

    def counted(self) -> Counters | None:
        """What requests were counted to be; None if they are not counted."""
        counts = self.observer.counts
        return counts.total() if counts is not None else None

    def metrics(self) -> str:
        """The metrics as Prometheus reads them."""
        return exposition.text(metrics.families(self._sources, self.counted() or Counters()))

    def _redirect(self) -> None:
        self._sources.clients.redirect(self._watched)

    def _watched(self, connection: Connection, transport: TcpTransport) -> Dispatch:
        """What the reader of *connection* is to call; its transport is tapped as need be."""
        dispatch = self.observer.dispatch_for(connection)
        wanted = [each for each in self._captures if each.selection.wants(connection)]
        if not wanted:
            transport.tap(None)
            return dispatch
        tapped = Tapped(connection, transport.peer_port, dispatch, wanted)
        transport.tap(tapped.sent)
        return tapped

    def _audit(self, settings: Settings) -> None:
        """Have records written where the settings want them."""
        place = Place(settings.audit_log, settings.audit_size, settings.audit_count)
        log_ = self._audit_log
        if log_ is not None and (log_.place != place or not (place.path or settings.audit)):
            self._stop_auditing()
        if self._audit_log is None and (place.path or settings.audit):
            self._audit_log = self._auditor.log = made = AuditLog(place)
            made.start()
            if place.path:
                aces.log.addHandler(self._of_aces)
                aces.log.propagate = False
                log.info("audit records are in %s", place.path)
        self.observer.auditor = self._auditor if settings.audit else None
        of_server = AuditPolicy(settings.audit_success, settings.audit_failure)
        self._auditor.policy = of_server if place.path else AuditPolicy(0, 0)

    def _stop_auditing(self) -> None:
        """Records that come nevertheless, of opens that end, are lost."""
        self.observer.auditor = self._auditor.log = None
        aces.log.removeHandler(self._of_aces)
        aces.log.propagate = True
        if self._audit_log is not None:
            self._audit_log.close()
            self._audit_log = None

    def _export(self, address: str, file: str) -> None:
        old = self._exporter
        if old is not None and (old.address, old.file) == (address, file):
            return
        self._stop_exporting()
        if not address and not file:
            return
        exporter = Exporter(address, file, self.metrics)
        try:
            exporter.start()
        except OSError as error:
            log.error("metrics address %s: %s", address, error.strerror or error)
            exporter.close()
            return
        log.info("metrics are at %s", " and in ".join(filter(None, (address, file))))
        self._exporter = exporter
