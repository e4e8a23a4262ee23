"""What must be known again after the process has died: the records of persistent opens, on disk.

One SQLite file in the run directory.  What is promised is to outlive the *process*: a write that
was acknowledged is in the page cache, which a kill leaves alone and a power cut does not.  The
records need to be no safer than the data, so that nothing here waits for a disk
(``synchronous = OFF``; the write-ahead log makes each change whole or not there).  After the
machine was started again they mean nothing: the store knows its boot, and begins anew.

    absent, of another boot or version, damaged --> empty --keep, forget--> records
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

log = logging.getLogger("ksmbd.smb")

VERSION: Final = 2  # of the records
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS store (version INTEGER NOT NULL, boot TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS opens (id INTEGER PRIMARY KEY, record TEXT NOT NULL);
"""


class Record(NamedTuple):
    """One persistent open; bytes are hexadecimal."""

    persistent_id: int
    volatile_id: int
    share: str
    variant: str
    path: str
    stream: str
    dev: int
    ino: int
    account: str
    domain: str
    uid: int  # the account's
    gid: int
    groups: list[int]
    acts_as: list[Any] | None  # uid, gid, groups; None: the process itself
    granted_access: int
    share_access: int
    create_options: int
    delete_on_close: bool
    delete_pending: bool  # of its file
    creation_time: float
    create_action: int
    create_guid: str
    client_guid: str
    timeout_s: float
    app_instance: list[Any] | None  # id, and version (high, low) or None
    level: int  # what it caches
    lease: list[Any] | None  # key, version, epoch, parent key or None; None: an oplock or nothing
    locks: list[list[Any]]  # offset, length, whether exclusive
    lock_sequences: dict[str, int]  # by bucket
    frozen_write_time: int | None

    def pack(self) -> str:
        return json.dumps(self)

    @classmethod
    def unpack(cls, text: str) -> Self:
        """ValueError or TypeError if it is none."""
        return cls(*json.loads(text))


class Journal:
    """The store.  Its lock is held over I/O; ``inode.lock`` may be taken inside, never outside."""

    def __init__(self, path: Path, boot: str) -> None:
        """Open or make the store at *path*; *boot* says which start of the machine this is.

        OSError or sqlite3.Error if there can be none.
        """
        self._path = path
        self.writing = threading.RLock()
        try:
            self._db = self._open()
            try:
                self._check(boot)
            except BaseException:
                self._db.close()
                raise
        except sqlite3.DatabaseError as damaged:
            aside = path.with_suffix(".damaged")
            log.error("%s: %s: kept as %s; persistent handles are lost", path, damaged, aside.name)
            os.replace(path, aside)
            _remove_log(path)
            self._db = self._open()
            self._check(boot)

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")
            db.executescript(_SCHEMA)
        except BaseException:
            db.close()
            raise
        return db

    def _check(self, boot: str) -> None:
        """Forget what is of another boot or version."""
        found = self._db.execute("SELECT version, boot FROM store").fetchall()
        if found == [(VERSION, boot)]:
            return
        if self._db.execute("SELECT count(*) FROM opens").fetchone()[0]:
            log.warning("%s: of another start of the machine: forgotten", self._path)
        with self._db:
            self._db.execute("DELETE FROM opens")
            self._db.execute("DELETE FROM store")
            self._db.execute("INSERT INTO store VALUES (?, ?)", (VERSION, boot))

    def records(self) -> list[Record]:
        """All of them; what cannot be read is forgotten, with a word."""
        found = []
        with self.writing:
            rows = self._db.execute("SELECT id, record FROM opens ORDER BY id").fetchall()
            for number, text in rows:
                try:
                    record = Record.unpack(text)
                    if record.persistent_id != number:
                        raise ValueError(f"it says that it is {record.persistent_id!r}")
                    found.append(record)
                except (ValueError, TypeError) as damaged:
                    log.error("%s: record %d: %s", self._path, number, damaged)
                    self.forget(number)
        return found

    def keep(self, record: Record) -> None:
        """Write a record, in the place of the one it had.  sqlite3.Error if that is impossible."""
        with self.writing:
            self._db.execute(
                "INSERT OR REPLACE INTO opens VALUES (?, ?)", (record.persistent_id, record.pack())
            )

    def forget(self, persistent_id: int) -> None:
        with self.writing:
            self._db.execute("DELETE FROM opens WHERE id = ?", (persistent_id,))

    def close(self) -> None:
        with self.writing:
            self._db.close()


def _remove_log(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
