"""Who watches the server: what the settings and the administrator ask for, switched on and off.

configure   with every start-up message of mountd, so after each reload, too
close       at the end
"""

from __future__ import annotations

import logging

from ksmbd.server import exposition, metrics
from ksmbd.server.counters import Counters, Counts
from ksmbd.server.exporter import Exporter
from ksmbd.server.metrics import Sources
from ksmbd.server.observe import Observer
from ksmbd.state.settings import Settings

log = logging.getLogger("ksmbd.conn")


class Watching:
    """Everything that looks at requests and is no part of answering them."""

    def __init__(self, sources: Sources) -> None:
        self.observer = Observer()
        self._sources = sources
        self._exporter: Exporter | None = None

    def configure(self, settings: Settings) -> None:
        """Do what *settings* ask for; only the threads that bring settings call this."""
        observer = self.observer
        if not settings.count_requests:
            observer.counts = None
        elif observer.counts is None:
            observer.counts = Counts()
        observer.slow_ns = settings.slow_request_ms * 1_000_000
        self._redirect()
        self._export(settings.metrics_address, settings.metrics_file)

    def close(self) -> None:
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
        self._sources.clients.redirect(self.observer.dispatch_for)

    def _export(self, address: str, file: str) -> None:
        old = self._exporter
        if old is not None and (old.address, old.file) == (address, file):
            return
        self.close()
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
