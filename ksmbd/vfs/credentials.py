"""Acting on the file system as the session's user, thread by thread.

``setfsuid``, ``setfsgid`` and a raw ``setgroups`` change one thread; ``os.seteuid`` would
change them all. When fsuid leaves 0 the kernel takes the capabilities that override file
permissions (CAP_DAC_OVERRIDE, CAP_FOWNER, ...) out of the thread's effective set and gives
them back on return, so the user meets exactly the permissions of a local log-on.
CAP_SETUID and CAP_SETGID stay: one user may follow another without a stop at root.

The identity is sticky: it stays until the next become() on the same thread. A new thread
inherits its creator's identity from the kernel, so a thread's first become() always switches.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final, NamedTuple

from ksmbd.vfs.syscalls import set_thread_fsgid, set_thread_fsuid, set_thread_groups


class Credentials(NamedTuple):
    """Whom the kernel sees. *groups* are the supplementary ones."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


_NOBODY: Final = 0xFFFF_FFFF  # (uid_t)-1 and (gid_t)-1: the kernel's "keep"
_UNKNOWN: Final = Credentials(-1, -1)


class _Thread(threading.local):
    acting: Credentials | None = _UNKNOWN  # None: the process's own identity


_thread: Final = _Thread()
_own_lock: Final = threading.Lock()
_own: list[Credentials] = []  # by _own_lock: filled once, before any thread has switched


def become(credentials: Credentials | None) -> None:
    """Let this thread act as *credentials*, or as the process itself (None), until told else.

    Nothing happens when it already does, or when the process is not root: then it can act as
    nobody but itself. PermissionError if the kernel refuses; the thread then acts as the
    process itself or, if even that fails, as an unknown mixture, and the caller must not go
    on with the file system.
    """
    if credentials == _thread.acting:
        return
    if os.geteuid() != 0:
        return
    own = _own_credentials()
    _thread.acting = _UNKNOWN
    wanted = own if credentials is None else credentials
    try:
        _switch(wanted)
    except OSError:
        if wanted is not own:
            _switch(own)
            _thread.acting = None
        raise
    _thread.acting = credentials


def current() -> Credentials | None:
    """Whom this thread acts as; None for the process itself."""
    return None if _thread.acting is _UNKNOWN else _thread.acting


@contextmanager
def privileged() -> Iterator[None]:
    """Act as the process itself for the block: for what our own access check has allowed
    but POSIX reserves to the owner, such as setting times."""
    before = current()
    become(None)
    try:
        yield
    finally:
        become(before)


def _own_credentials() -> Credentials:
    with _own_lock:
        if not _own:
            _own.append(Credentials(os.geteuid(), os.getegid(), tuple(os.getgroups())))
        return _own[0]


def _switch(to: Credentials) -> None:
    if not (0 <= to.uid < _NOBODY and 0 <= to.gid < _NOBODY):
        raise PermissionError(errno.EPERM, f"no ids: uid {to.uid}, gid {to.gid}")
    set_thread_groups(_group_array(to.groups))
    if not (set_thread_fsgid(to.gid) and set_thread_fsuid(to.uid)):
        raise PermissionError(errno.EPERM, f"cannot act as uid {to.uid}, gid {to.gid}")


@lru_cache(maxsize=1024)
def _group_array(groups: tuple[int, ...]) -> ctypes.Array[ctypes.c_uint]:
    if any(not 0 <= gid < _NOBODY for gid in groups):  # ctypes would wrap it, perhaps to 0
        raise PermissionError(errno.EPERM, f"no group ids: {groups}")
    return (ctypes.c_uint * len(groups))(*groups)
