"""Log lines to systemd's journal, with fields to search by, where standard error leads there.

``journalctl SMB_USER=alice``, ``journalctl -u ksmbd -p warning``: docs/administration.md.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import Final

from ksmbd.wire.marked import MARKS, entry, fields_of

SOCKET: Final = "/run/systemd/journal/socket"
MAX_TEXT: Final = 32768  # characters of a field: a datagram must hold all of them
PRIORITIES: Final = (  # from a level on, as syslog(3) counts
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)
DEBUG_PRIORITY: Final = 7
ATTRIBUTES: Final = tuple(mark.FIELD for mark in MARKS)  # given to a line by ``extra``


def leads_here(environment: Mapping[str, str] = os.environ, fd: int = 2) -> bool:
    """Whether what is written to *fd* goes to the journal: systemd says which file that is."""
    try:
        device, inode = map(int, environment.get("JOURNAL_STREAM", "").split(":"))
        status = os.fstat(fd)
    except (ValueError, OSError):
        return False
    return (status.st_dev, status.st_ino) == (device, inode)


class JournalHandler(logging.Handler):
    """Sends each line as an entry; what cannot be sent *otherwise* writes."""

    def __init__(self, identifier: str, otherwise: logging.Handler, address: str = SOCKET) -> None:
        super().__init__()
        self._identifier = identifier
        self._otherwise = otherwise
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            # a journal that hangs must not hold up who logs
            self._socket.sendto(entry(self.fields(record)), socket.MSG_DONTWAIT, self._address)
        except OSError:
            self._otherwise.handle(record)
        except Exception:  # arguments that do not fit the line: said as any handler says it
            self.handleError(record)

    def fields(self, record: logging.LogRecord) -> dict[str, str]:
        """What the entry says; the journal adds process, unit and time."""
        text = self.format(record)  # the traceback of an error behind it
        found = {
            "MESSAGE": text[:MAX_TEXT],
            "PRIORITY": str(priority(record.levelno)),
            "SYSLOG_IDENTIFIER": self._identifier,
            "SMB_COMPONENT": record.name.rpartition(".")[2],
            "THREAD": str(record.threadName),
            "CODE_FILE": record.pathname,
            "CODE_LINE": str(record.lineno),
            "CODE_FUNC": record.funcName,
        }
        if isinstance(record.args, tuple):
            found.update(fields_of(record.args))
        for name in ATTRIBUTES:
            if value := getattr(record, name, None):
                found[name] = str(value)[:MAX_TEXT]
        return found

    def close(self) -> None:
        self._socket.close()
        super().close()


def priority(level: int) -> int:
    """A level of ``logging`` as a priority of the journal."""
    for least, number in PRIORITIES:
        if level >= least:
            return number
    return DEBUG_PRIORITY


def handler(identifier: str, otherwise: logging.Handler) -> logging.Handler:
    """*otherwise*, which writes to standard error, unless that leads to the journal."""
    return JournalHandler(identifier, otherwise) if leads_here() else otherwise
