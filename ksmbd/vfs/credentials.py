"""Acting on the file system as the session's user, thread by thread.

``setfsuid``, ``setfsgid``, a raw ``setgroups`` and ``capset`` change one thread; ``os.seteuid``
would change them all. A thread that acts as anybody but root has two capabilities in effect,
CAP_SETUID and CAP_SETGID, so that one user may follow another without a stop at root. By
itself setfsuid would take those away that override file permissions (CAP_DAC_OVERRIDE,
CAP_FOWNER, ...) and leave those that override quotas and reserved blocks (CAP_SYS_RESOURCE) or
let anybody write security.* attributes (CAP_SYS_ADMIN). So the user meets exactly the
permissions of a local log-on.

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

from ksmbd.vfs.syscalls import (
    Capabilities,
    set_thread_capabilities,
    set_thread_fsgid,
    set_thread_fsuid,
    set_thread_groups,
    thread_capabilities,
)


class Credentials(NamedTuple):
    """Whom the kernel sees. *groups* are the supplementary ones."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


_NOBODY: Final = 0xFFFF_FFFF  # (uid_t)-1 and (gid_t)-1: the kernel's "keep"
_UNKNOWN: Final = Credentials(-1, -1)
_KEPT: Final = 1 << 6 | 1 << 7  # CAP_SETGID, CAP_SETUID


class _Own(NamedTuple):
    """The process's identity, and the capabilities of root's threads and of everybody else's."""

    credentials: Credentials
    all: Capabilities
    few: Capabilities


class _Thread(threading.local):
    acting: Credentials | None = _UNKNOWN  # None: the process's own identity


_thread: Final = _Thread()
_own_lock: Final = threading.Lock()
_own: list[_Own] = []  # by _own_lock: filled once, before any thread has switched


def become(credentials: Credentials | None) -> None:
    """Let this thread act as *credentials*, or as the process itself (None), until told else.

    Nothing happens when it already does, or when the process is not root: then it can act as
    nobody but itself. PermissionError if the kernel refuses; the thread then acts as the
    process itself or, if even that fails, as an unknown mixture, and the caller must not go
    on with the file system.
    """
    acting = _thread.acting
    if credentials is acting or credentials == acting:
        return
    if os.geteuid() != 0:
        return
    own = _own_identity()
    before, _thread.acting = _thread.acting, _UNKNOWN
    wanted = own.credentials if credentials is None else credentials
    try:
        _switch(wanted)
        if not (wanted.uid and _is_limited(before)):
            set_thread_capabilities(own.few if wanted.uid else own.all)
    except OSError:
        if wanted is not own.credentials:
            _switch(own.credentials)
            set_thread_capabilities(own.all)
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


@contextmanager
def holding(capability: int) -> Iterator[None]:
    """Have *capability* in effect for the block, if the process has it, and go on as who one is.

    A third of what privileged() costs.
    """
    if not _is_limited(_thread.acting):
        yield
        return
    own = _own_identity()
    more = own.few.effective | own.all.effective & 1 << capability
    set_thread_capabilities(own.few._replace(effective=more))
    try:
        yield
    finally:
        set_thread_capabilities(own.few)


def _own_identity() -> _Own:
    with _own_lock:
        if not _own:
            credentials = Credentials(os.geteuid(), os.getegid(), tuple(os.getgroups()))
            held = thread_capabilities()
            _own.append(_Own(credentials, held, held._replace(effective=held.effective & _KEPT)))
        return _own[0]


def _is_limited(acting: Credentials | None) -> bool:
    """Whether a thread that acts so has few capabilities, as far as is known."""
    return acting is not None and acting.uid > 0


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
