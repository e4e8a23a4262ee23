"""The lock file: one mountd a run directory, and its process id for those who signal it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import struct
from typing import Final

# struct flock; OFD locks stay with the descriptor over a fork and can be looked at without taking
_FLOCK: Final = struct.Struct("hhqqi4x")
_WHOLE_FILE: Final = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


class Locked(Exception):
    """Another mountd is alive; ``pid`` is its process id."""

    def __init__(self, path: str, pid: int) -> None:
        super().__init__(f"another ksmbd-mountd runs (process {pid}, lock file {path})")
        self.pid = pid


class LockFile:
    """An exclusive lock on a file that holds our process id; gone with the process in any case."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1

    def acquire(self, pid: int) -> None:
        """Take the lock. Raises Locked, or OSError if the file cannot be written."""
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try:
                fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _WHOLE_FILE)
            except OSError as error:
                pid_of_holder = _pid(fd)
                os.close(fd)
                if error.errno in (errno.EAGAIN, errno.EACCES):
                    raise Locked(self.path, pid_of_holder) from None
                raise
            if _same_file(fd, self.path):
                break
            os.close(fd)  # its last owner removed it between our open and our lock
        self._fd = fd
        self.write(pid)

    def write(self, pid: int) -> None:
        """Change the process id: the lock goes with the descriptor over a fork."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{pid}\n".encode(), 0)

    def release(self) -> None:
        """Remove the file and let go."""
        if self._fd >= 0:
            with contextlib.suppress(FileNotFoundError):  # the run directory may be gone
                os.unlink(self.path)
            os.close(self._fd)
            self._fd = -1


def holder(path: str) -> int:
    """The process id of the live mountd whose lock file is *path*, 0 if there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _WHOLE_FILE)
        free = _FLOCK.unpack(answer)[0] == fcntl.F_UNLCK
        return 0 if free else _pid(fd)
    finally:
        os.close(fd)


def notify(path: str, number: int = signal.SIGHUP) -> int:
    """Send a signal to the mountd of *path*; its process id, 0 if none runs. Raises OSError."""
    pid = holder(path)
    if not pid:
        return 0
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return 0
    return pid


def _pid(fd: int) -> int:
    digits = os.pread(fd, 16, 0).strip()
    return int(digits) if digits.isdigit() else 0


def _same_file(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False
