"""Opening paths beneath a directory, so that no "..", symlink or rename leads out of it.

The kernel's openat2 does it in one call; where it is missing (before Linux 5.6, or hidden by
a seccomp filter) a walk opens one component after the other with O_NOFOLLOW.

A share may say that symlinks lead wherever they like ("wide links").  Names a client sends still
do not: ".." and absolute paths are refused before, in ``vfs.pattern``.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final, Protocol

from ksmbd.vfs.syscalls import (
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    OpenHow,
    has_openat2,
    openat2,
)

O_PATH: Final = os.O_PATH | os.O_CLOEXEC
_MAX_LINKS: Final = 40  # as the kernel


class Beneath(Protocol):
    """Opens paths beneath one directory."""

    def open(self, path: bytes, flags: int) -> int:
        """A descriptor of *path* (share-relative, not empty).

        ELOOP for a symlink that is not to be followed, EXDEV for one that leads out or for a
        forbidden mount, else as open(2). With O_PATH|O_NOFOLLOW a final symlink is opened
        itself.
        """


def beneath(
    root_fd: int, *, follow_symlinks: bool, crossmnt: bool, wide_links: bool = False
) -> Beneath:
    """The best way this kernel offers; without openat2 there are no *wide_links*."""
    if not has_openat2():
        return Walk(root_fd, follow_symlinks=follow_symlinks, crossmnt=crossmnt)
    if follow_symlinks and wide_links:
        return WideOpenat2(root_fd, follow_symlinks=True, crossmnt=crossmnt)
    if follow_symlinks or not crossmnt:
        return Openat2(root_fd, follow_symlinks=follow_symlinks, crossmnt=crossmnt)
    return PlainOpenat2(root_fd, follow_symlinks=follow_symlinks, crossmnt=crossmnt)


class Openat2:
    """One system call per path. Safe for any number of threads."""

    def __init__(self, root_fd: int, *, follow_symlinks: bool, crossmnt: bool) -> None:
        self._root_fd = root_fd
        self._resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
        if not follow_symlinks:
            self._resolve |= RESOLVE_NO_SYMLINKS
        if not crossmnt:
            self._resolve |= RESOLVE_NO_XDEV
        self._hows: dict[int, OpenHow] = {}

    def open(self, path: bytes, flags: int) -> int:
        how = self._hows.get(flags)
        if how is None:
            how = self._hows[flags] = OpenHow(flags | os.O_CLOEXEC, 0, self._resolve)
        return openat2(self._root_fd, path, how)


class PlainOpenat2(Openat2):
    """The same without symlinks and with all mounts: one component then needs no openat2.

    os.open is 1.5 us faster than the call through ctypes.
    """

    def open(self, path: bytes, flags: int) -> int:
        if flags & os.O_NOFOLLOW and b"/" not in path:
            return os.open(path, flags, dir_fd=self._root_fd)
        return super().open(path, flags)


class WideOpenat2(Openat2):
    """Symlinks lead anywhere but through the magic ones of /proc."""

    def __init__(self, root_fd: int, *, follow_symlinks: bool, crossmnt: bool) -> None:
        super().__init__(root_fd, follow_symlinks=follow_symlinks, crossmnt=crossmnt)
        self._resolve &= ~RESOLVE_BENEATH

    def open(self, path: bytes, flags: int) -> int:
        if path.startswith(b"/") or b".." in path.split(b"/"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
        return super().open(path, flags)


class Walk:
    """Component by component, for kernels without openat2."""

    def __init__(self, root_fd: int, *, follow_symlinks: bool, crossmnt: bool) -> None:
        self._root_fd = root_fd
        self._follow = follow_symlinks
        self._device = None if crossmnt else os.fstat(root_fd).st_dev

    def open(self, path: bytes, flags: int) -> int:
        trail: list[int] = []  # one descriptor per directory entered, so that ".." goes back
        waiting = path.split(b"/")[::-1]
        links = 0
        try:
            while True:
                name = waiting.pop()
                final = not any(waiting)
                here = trail[-1] if trail else self._root_fd
                if name in (b"", b".", b".."):
                    self._step_back(name, trail)
                    if final:
                        return os.open(b".", flags, dir_fd=trail[-1] if trail else self._root_fd)
                    continue
                fd = os.open(name, O_PATH | os.O_NOFOLLOW, dir_fd=here)
                trail.append(fd)
                mode = self._check_device(fd)
                if stat.S_ISLNK(mode) and not (final and flags & os.O_NOFOLLOW):
                    links += 1
                    waiting += self._target(fd, links)[::-1]
                    os.close(trail.pop())
                elif final:
                    return self._finish(name, flags, here, trail)
                elif not stat.S_ISDIR(mode):
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        finally:
            for fd in trail:
                os.close(fd)

    @staticmethod
    def _finish(name: bytes, flags: int, here: int, trail: list[int]) -> int:
        if flags & os.O_PATH and not flags & os.O_DIRECTORY:
            return trail.pop()
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=here)

    @staticmethod
    def _step_back(name: bytes, trail: list[int]) -> None:
        if name == b"..":
            if not trail:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            os.close(trail.pop())

    def _check_device(self, fd: int) -> int:
        st = os.fstat(fd)
        if self._device is not None and st.st_dev != self._device:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return st.st_mode

    def _target(self, link_fd: int, links: int) -> list[bytes]:
        """The components a symlink stands for."""
        if not self._follow or links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink(b"", dir_fd=link_fd)
        if target.startswith(b"/"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return target.split(b"/")
