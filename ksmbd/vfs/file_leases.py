"""Leases of the kernel, fcntl(2) F_SETLEASE: it holds back whoever opens the file until we agree.

    WRITE   nobody else has the file open; whoever opens it waits
    READ    nobody has it open for writing; whoever opens it so waits

A lease belongs to the open file description and ends with it.  When one is in somebody's way the
kernel sends a signal that names the descriptor, and takes the lease away itself after
/proc/sys/fs/lease-break-time, 45 seconds.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ksmbd.vfs.syscalls import signalfd

if TYPE_CHECKING:
    from ksmbd.vfs.handle import Handle

log = logging.getLogger("ksmbd.vfs")

NONE, READ, WRITE = range(3)
SIGNAL: Final = signal.SIGRTMIN + 1
OVERFLOW: Final = signal.SIGIO  # comes instead when too many signals are queued; names nothing
_KINDS: Final = {NONE: fcntl.F_UNLCK, READ: fcntl.F_RDLCK, WRITE: fcntl.F_WRLCK}
_LEVELS: Final = {kind: level for level, kind in _KINDS.items()}
_F_SETOWN_EX: Final = 15
_OWNER_TID: Final = 0
_OWNER: Final = struct.Struct("@ii")  # struct f_owner_ex: type, pid
_SIGINFO: Final = struct.Struct("=I16xi104x")  # struct signalfd_siginfo: ssi_signo, ssi_fd


def take(handle: Handle, level: int) -> bool:
    """Have a lease of *level* instead of what there is; False if there cannot be one.

    Somebody else has the file open, the file system knows no leases, or this user may have none
    on another's file (CAP_LEASE).
    """
    try:
        fcntl.fcntl(handle.fd, fcntl.F_SETLEASE, _KINDS[level])
    except OSError as failed:
        log.debug("%s: no lease %d: %s", handle.path, level, failed)
        return False
    return True


def left(handle: Handle) -> int:
    """What the kernel leaves of the lease: less than was taken while somebody waits."""
    return _LEVELS[fcntl.fcntl(handle.fd, fcntl.F_GETLEASE)]


def direct(fd: int, thread: int) -> None:
    """Have the signals about *fd* sent to the thread of that native id."""
    fcntl.fcntl(fd, fcntl.F_SETSIG, SIGNAL)
    fcntl.fcntl(fd, _F_SETOWN_EX, _OWNER.pack(_OWNER_TID, thread))


def hold_back_signals() -> None:
    """Keep the signals from ending the process: this thread reads them when it likes."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL, OVERFLOW})


def signal_descriptor() -> int:
    """A descriptor from which a thread reads the signals that are directed to it."""
    return signalfd((SIGNAL, OVERFLOW), os.O_NONBLOCK | os.O_CLOEXEC)


def read_signals(fd: int) -> Iterator[int | None]:
    """The descriptors that the queued signals name; None: some have been lost."""
    while True:
        try:
            data = os.read(fd, 16 * _SIGINFO.size)
        except BlockingIOError:
            return
        for number, named in _SIGINFO.iter_unpack(data):
            yield named if number == SIGNAL else None
