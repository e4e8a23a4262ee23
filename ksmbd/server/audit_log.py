"""The file that audit records are written to, one JSON object a line, by ``ksmbd/audit``.

Whoever has a record puts it into a queue and goes on: requests wait for no disk.  What finds the
queue full is counted, and so is what cannot be written; the first record that can be says how many
are missing before it::

    {"time": "2026-11-23T13:00:00.123456Z", "op": "lost", "records": 12}

A file that has its size becomes ``PATH.1``, what was ``PATH.1`` becomes ``PATH.2``, and so on; each
step is one rename.  Somebody else may do the same with it: a file that is not at its path any more
is left, and another begun there.

Locks: ``_lock`` guards the queue; a leaf.  ``_ready`` waits with it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from time import time_ns
from typing import Any, Final, NamedTuple

log = logging.getLogger("ksmbd.conn")
records = logging.getLogger("ksmbd.audit")  # of a server without a file for them

ROOM: Final = 16384  # records
CLOSE_S: Final = 2.0  # for what is in the queue, when the server ends
_BATCH: Final = 256  # records written at a time
_NEW: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW

Record = dict[str, Any]


class Place(NamedTuple):
    """Where records go, and how much of them is kept."""

    path: str = ""  # "": the server's log
    size: int = 0  # bytes of a file before another is begun; 0: any
    kept: int = 0  # earlier files that are kept


class AuditLog:
    """Writes records in the order in which they come."""

    def __init__(self, place: Place, room: int = ROOM) -> None:
        self.place = place
        self._room = room
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._queue: deque[tuple[int, Record]] = deque()  # by self._lock
        self._lost = 0  # by self._lock; since the last record that was written
        self._closed = False  # by self._lock
        self._write = self._to_file if place.path else self._to_log
        self._fd = -1  # the thread's
        self._size = 0  # the thread's; bytes of the file
        self._failing = False  # the thread's; it has been said
        self._done = 0  # the thread's; lines of this batch that are written
        self._thread = threading.Thread(target=self._run, name="ksmbd/audit", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, record: Record) -> None:
        """Have *record* written, from any thread.  Never waits."""
        now = time_ns()
        with self._lock:
            if self._closed or len(self._queue) >= self._room:
                self._lost += 1
                return
            self._queue.append((now, record))
            if len(self._queue) == 1:
                self._ready.notify()

    def close(self) -> None:
        """Write what is there, within CLOSE_S, and no more."""
        with self._lock:
            self._closed = True
            self._ready.notify()
        self._thread.join(CLOSE_S)

    # -- the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while batch := self._next():
                self._put_down(batch)
        finally:
            self._leave()

    def _next(self) -> list[tuple[int, Record]]:
        """The next records, what is missing before them first; none at the end."""
        with self._lock:
            self._ready.wait_for(lambda: self._queue or self._closed)
            count = min(len(self._queue), _BATCH)
            batch = [self._queue.popleft() for _ in range(count)]
            lost = self._lost
            if lost and batch:
                self._lost = 0
        if lost and batch:
            log.warning("%d audit records were lost", lost)
            batch.insert(0, (batch[0][0], {"op": "lost", "records": lost}))
        return batch

    def _put_down(self, batch: list[tuple[int, Record]]) -> None:
        """Write what can be written and count the rest.  Never raises: the thread must go on."""
        lines: list[bytes] = []
        sizes: list[int] = []  # records that each line stands for
        bad = 0
        for ns, record in batch:
            try:
                lines.append(line(ns, record))
                sizes.append(record.get("records", 1))
            except Exception:
                bad += 1
                log.exception("audit log: a bug in the server: a record that is none")
        self._done = 0
        try:
            self._write(lines)
        except OSError as failed:
            if not self._failing:
                log.error("audit log %s: %s", self.place.path, failed.strerror or failed)
            self._failing = True
            self._leave()
        except Exception:
            log.exception("audit log: a bug in the server")
            self._leave()
        else:
            self._failing = False
        missing = bad + sum(sizes[self._done :])
        if missing:
            with self._lock:
                self._lost += missing

    def _to_file(self, lines: list[bytes]) -> None:
        self._enter()
        done = 0
        while done < len(lines):
            if self.place.size and self._size >= self.place.size:
                self._rotate()
            end, size = done, self._size
            while end < len(lines) and (not self.place.size or size < self.place.size):
                size += len(lines[end])
                end += 1
            self._append(b"".join(lines[done:end]))
            self._size = size
            self._done = done = end

    def _to_log(self, lines: list[bytes]) -> None:
        for each in lines:
            records.info("%s", each.decode().rstrip("\n"))
            self._done += 1

    def _append(self, data: bytes) -> None:
        """All of *data* or, on a full disk, nothing: half a line would spoil the next one."""
        try:
            _write_all(self._fd, data)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise

    def _enter(self) -> None:
        """Have the file open that is at the path.  Raises OSError."""
        if self._fd >= 0:
            mine = os.fstat(self._fd)
            with contextlib.suppress(FileNotFoundError):
                there = os.stat(self.place.path, follow_symlinks=False)
                if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                    self._size = mine.st_size  # somebody may have truncated it
                    return
            self._leave()
        self._fd = os.open(self.place.path, _NEW, 0o600)
        self._size = os.fstat(self._fd).st_size

    def _leave(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _rotate(self) -> None:
        """Begin another file.  Raises OSError."""
        path, kept = self.place.path, self.place.kept
        for number in range(kept, 1, -1):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{path}.{number - 1}", f"{path}.{number}")
        if kept:
            os.rename(path, f"{path}.1")
        else:
            os.unlink(path)
        self._leave()
        self._enter()


def line(ns: int, record: Record) -> bytes:
    """One line: nothing in a name can end it, and ASCII is all that is in it."""
    seconds, rest = divmod(ns, 1_000_000_000)
    time = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return json.dumps({"time": f"{time}.{rest // 1000:06d}Z", **record}).encode() + b"\n"


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class Handler(logging.Handler):
    """Takes what the logger ``ksmbd.audit`` is told of audit ACEs into the file."""

    def __init__(self, put: Callable[[Record], None]) -> None:
        super().__init__()
        self._put = put

    def emit(self, record: logging.LogRecord) -> None:
        self._put(json.loads(record.getMessage()))
