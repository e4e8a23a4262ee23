"""Log lines and the seven components that ``ksmbd-control --debug`` switches.

Lines look as in ksmbd-tools: ``[ksmbd/PID]: LEVEL: text``, on standard error.  A component is
the logger of its name below ``ksmbd``; switched on it logs at DEBUG, otherwise at INFO.

It may be on for some clients alone: then the logger has a filter, which lets those debug lines
through that are about one of them, because they name it or because the thread that logs them is
at work for it (``about``).  While no client is chosen there is no filter, and nobody says whom he
works for.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final, TextIO

from ksmbd import journald
from ksmbd.wire.marked import Client
from ksmbd.wire.text import printable

COMPONENTS: Final = ("smb", "auth", "vfs", "oplock", "ipc", "conn", "rdma")
ALL: Final = "all"


class UnknownComponent(ValueError):
    """Nobody logs under that name."""


class _Formatter(logging.Formatter):
    """One line for each message, whatever names it tells of; a traceback has lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = printable(record.message)
        return super().formatMessage(record)


class _AboutWhom(threading.local):
    client = ""  # whom this thread is at work for, if that is of interest


class _OfClients(logging.Filter):
    """Lets debug lines of a component through that are about one of some clients."""

    def __init__(self) -> None:
        super().__init__()
        self.clients: frozenset[str] = frozenset()  # replaced as a whole

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.DEBUG or _about.client in self.clients:
            return True
        arguments = record.args if isinstance(record.args, tuple) else ()
        return any(type(each) is Client and each in self.clients for each in arguments)


_about: Final = _AboutWhom()
_on: Final[set[str]] = set()  # components that are on for everybody
_filters: Final = {component: _OfClients() for component in COMPONENTS}


def set_up(*, verbose: bool = False, stream: TextIO | None = None) -> None:
    """Send the log to *stream*; with *verbose* every component is on.

    Without one it goes to standard error or, where that leads to the journal, there with fields.
    """
    handler: logging.Handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Formatter("[ksmbd/%(process)d]: %(levelname)s: %(message)s"))
    if stream is None:
        handler = journald.handler("ksmbd", handler)
    root = logging.getLogger("ksmbd")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(logging.INFO)
    for component in COMPONENTS:
        _switch(component, verbose)


def enabled(component: str, client: str = "") -> bool:
    """Whether it is on for everybody, or for *client* in particular."""
    return client in _filters[component].clients if client else component in _on


def toggle(component: str, client: str = "") -> str:
    """Switch one component over, or with ``all`` everything on or, if all are on, off.

    With *client*, an address, for that client alone.  Returns ``listing()``.  Raises
    UnknownComponent, or ValueError for what is no address.
    """
    if client:
        client = str(ip_address(client))
    if component == ALL:
        on = not all(enabled(each, client) for each in COMPONENTS)
        for each in COMPONENTS:
            _switch(each, on, client)
    elif component in COMPONENTS:
        _switch(component, not enabled(component, client), client)
    else:
        known = ", ".join((ALL, *COMPONENTS))
        raise UnknownComponent(f"unknown component {component!r}; there are {known}")
    return listing()


def clients() -> frozenset[str]:
    """The addresses for which some component is on."""
    return frozenset().union(*(each.clients for each in _filters.values()))


@contextlib.contextmanager
def about(client: str) -> Iterator[None]:
    """What this thread logs meanwhile is about *client*, even if it names nobody."""
    before, _about.client = _about.client, client
    try:
        yield
    finally:
        _about.client = before


def listing() -> str:
    """All components, those that are on in brackets: ``[smb] auth vfs ...``.

    A line for everybody, and one for each client with components of its own.
    """
    lines = [_listed("")]
    lines += [f"{client}: {_listed(client)}" for client in sorted(clients())]
    return "\n".join(lines)


def _listed(client: str) -> str:
    return " ".join(f"[{name}]" if enabled(name, client) else name for name in COMPONENTS)


def _switch(component: str, on: bool, client: str = "") -> None:
    chosen = _filters[component]
    if client:
        chosen.clients = chosen.clients | {client} if on else chosen.clients - {client}
    elif on:
        _on.add(component)
    else:
        _on.discard(component)
    logger = logging.getLogger(f"ksmbd.{component}")
    if component in _on or not chosen.clients:
        logger.removeFilter(chosen)
    else:
        logger.addFilter(chosen)
    verbose = component in _on or chosen.clients
    logger.setLevel(logging.DEBUG if verbose else logging.NOTSET)
