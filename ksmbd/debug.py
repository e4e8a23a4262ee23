"""Log lines and the seven components that ``ksmbd-control --debug`` switches.

Lines look as in ksmbd-tools: ``[ksmbd/PID]: LEVEL: text``, on standard error.  A component is
the logger of its name below ``ksmbd``; switched on it logs at DEBUG, otherwise at INFO.
"""

from __future__ import annotations

import logging
import sys
from typing import Final, TextIO

from ksmbd import journald

COMPONENTS: Final = ("smb", "auth", "vfs", "oplock", "ipc", "conn", "rdma")
ALL: Final = "all"


class UnknownComponent(ValueError):
    """Nobody logs under that name."""


def set_up(*, verbose: bool = False, stream: TextIO | None = None) -> None:
    """Send the log to *stream*; with *verbose* every component is on.

    Without one it goes to standard error or, where that leads to the journal, there with fields.
    """
    handler: logging.Handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("[ksmbd/%(process)d]: %(levelname)s: %(message)s"))
    if stream is None:
        handler = journald.handler("ksmbd", handler)
    root = logging.getLogger("ksmbd")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(logging.INFO)
    for component in COMPONENTS:
        _switch(component, verbose)


def enabled(component: str) -> bool:
    return logging.getLogger(f"ksmbd.{component}").isEnabledFor(logging.DEBUG)


def toggle(component: str) -> str:
    """Switch one component over, or with ``all`` everything on or, if all are on, off.

    Returns ``listing()``.  Raises UnknownComponent.
    """
    if component == ALL:
        on = not all(map(enabled, COMPONENTS))
        for each in COMPONENTS:
            _switch(each, on)
    elif component in COMPONENTS:
        _switch(component, not enabled(component))
    else:
        known = ", ".join((ALL, *COMPONENTS))
        raise UnknownComponent(f"unknown component {component!r}; there are {known}")
    return listing()


def listing() -> str:
    """All components, those that are on in brackets: ``[smb] auth vfs ...``."""
    return " ".join(f"[{name}]" if enabled(name) else name for name in COMPONENTS)


def _switch(component: str, on: bool) -> None:
    logging.getLogger(f"ksmbd.{component}").setLevel(logging.DEBUG if on else logging.NOTSET)
