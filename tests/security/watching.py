"""Who the kernel sees at every file-system call that the server's threads make.

The functions of ``os`` and the raw system calls are wrapped for the time of a test.
Each call by one of the server's threads is noted with what /proc says of the thread: fsuid, fsgid,
supplementary groups, effective capabilities; and with the file, as the kernel has its path.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from ksmbd.vfs import syscalls
from ksmbd.vfs.credentials import Credentials

OS_CALLS: Final = (
    "open", "stat", "lstat", "fstat", "mkdir", "rmdir", "unlink", "rename", "link", "symlink",
    "readlink", "listdir", "scandir", "utime", "chmod", "chown", "ftruncate", "fsync", "fdatasync",
    "preadv", "pread", "pwrite", "getxattr", "setxattr", "listxattr", "removexattr", "access",
    "statvfs", "fstatvfs", "copy_file_range", "lseek", "posix_fallocate",
)  # fmt: skip
RAW_CALLS: Final = ("_openat2", "_renameat2", "_getxattrat", "_statx", "_inotify_add", "_fallocate")
_PROC: Final = "/proc/self/fd/"

_open, _read, _close, _readlink = os.open, os.read, os.close, os.readlink


class Call(NamedTuple):
    """One call: its name, the file, who it was, and which functions of ours led to it."""

    name: str
    path: str
    who: Credentials
    capabilities: int
    thread: str
    stack: tuple[str, ...]  # "module.py:function", the innermost first


def kernel_view() -> tuple[Credentials, int]:
    """The calling thread's identity and effective capabilities, by the kernel's word."""
    fd = _open("/proc/thread-self/status", os.O_RDONLY)
    try:
        lines = _read(fd, 8192).decode().splitlines()
    finally:
        _close(fd)
    fields = dict(line.split(":", 1) for line in lines)
    groups = tuple(int(gid) for gid in fields["Groups"].split())
    who = Credentials(int(fields["Uid"].split()[3]), int(fields["Gid"].split()[3]), groups)
    return who, int(fields["CapEff"], 16)


class Watcher:
    """Notes the calls of threads whose names begin with "ksmbd"."""

    def __init__(self) -> None:
        self.calls: list[Call] = []  # append is atomic

    def wrapped(self, name: str, function: Callable[..., Any], raw: bool) -> Callable[..., Any]:
        @functools.wraps(function, assigned=())
        def call(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread().name.startswith("ksmbd"):
                self._note(name, arguments[1:] if raw else arguments, named)
            return function(*arguments, **named)

        return call

    def _note(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        stack = tuple(_stack())
        if not stack:
            return
        who, capabilities = kernel_view()
        path = _path(arguments, named)
        thread = threading.current_thread().name
        self.calls.append(Call(name, path, who, capabilities, thread, stack))


def _stack() -> Iterator[str]:
    """Our own functions that are being executed, but for the wrappers of system calls."""
    frame = sys._getframe(3)
    while frame is not None:
        code = frame.f_code
        path = Path(code.co_filename)
        if "ksmbd" in path.parts and "tests" not in path.parts and path.name != "syscalls.py":
            yield f"{path.name}:{code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]


def _path(arguments: tuple[Any, ...], named: dict[str, Any]) -> str:
    """Where the kernel has the file of a call: by descriptor, /proc path, or below a descriptor."""
    numbers = [a for a in arguments[:1] if isinstance(a, int)]
    texts = [os.fsdecode(a) for a in arguments[:2] if isinstance(a, str | bytes)]
    base = named.get("dir_fd", named.get("dst_dir_fd", numbers[0] if numbers else None))
    name = texts[0] if texts else ""
    if name.startswith(_PROC):
        return _where(int(name[len(_PROC) :].partition("/")[0]))
    if base is None:
        return name
    return os.path.normpath(os.path.join(_where(base), name))


def _where(fd: int) -> str:
    try:
        return _readlink(f"{_PROC}{fd}")
    except OSError:
        return ""


@contextmanager
def watching_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    watcher = Watcher()
    with monkeypatch.context() as patch:
        for module, names in ((os, OS_CALLS), (syscalls, RAW_CALLS)):
            for name in names:
                raw = name in ("_openat2", "_renameat2", "_getxattrat")  # syscall(number, ...)
                function = getattr(module, name)
                patch.setattr(module, name, watcher.wrapped(name, function, raw))
        yield watcher
