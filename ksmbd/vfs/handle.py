"""One open file or directory: I/O, times, attributes, extended attributes on one descriptor."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import TYPE_CHECKING, Final

from ksmbd.vfs import credentials
from ksmbd.vfs.directory import Enumeration, Shows
from ksmbd.vfs.needed_eas import needed, note_needed
from ksmbd.vfs.stamps import Remembered
from ksmbd.vfs.stat import FsStat, Stat, fs_stat
from ksmbd.vfs.syscalls import fallocate
from ksmbd.vfs.xattr import Item, has_eas, proc_path, read_eas, write_eas
from ksmbd.wire.base import Buffer

if TYPE_CHECKING:
    from ksmbd.vfs.root import ShareRoot

MAX_OFFSET: Final = (1 << 63) - 1  # loff_t

_without_eas: Final[Remembered[bool]] = Remembered(1 << 13)
_without_nowait: Final[set[int]] = set()  # devices whose file system refuses RWF_NOWAIT


class Handle:
    """An open file. Its owner closes it, and only when no thread uses it any more.

    ``path`` is share-relative in the spelling on disk; it follows our own renames.
    ``path_only`` handles (O_PATH) serve metadata, never data.
    """

    __slots__ = (
        "dev",
        "fd",
        "ino",
        "is_directory",
        "path",
        "path_only",
        "readable",
        "root",
        "short_name",
        "stream",
        "writable",
    )

    def __init__(
        self,
        root: ShareRoot,
        fd: int,
        path: str,
        stat: Stat,
        *,
        readable: bool,
        writable: bool,
        path_only: bool,
    ) -> None:
        self.root = root
        self.fd = fd
        self.path = path
        self.dev = stat.dev
        self.ino = stat.ino
        self.is_directory = stat.is_directory
        self.readable = readable
        self.writable = writable
        self.path_only = path_only
        self.stream = ""  # the name of the alternate data stream this handle is for
        self.short_name = ""  # what it was opened by, where it matters: vfs.tunnel

    @property
    def item(self) -> Item:
        """What xattr and ACL calls take for this file: the descriptor, or its /proc path."""
        return proc_path(self.fd) if self.path_only else self.fd

    def of_file(self) -> Handle:
        """This handle; a stream's gives one of its file, on the same descriptor, not to close."""
        return self

    def data_fd(self) -> int:
        """The descriptor of the data; -1 if they lie in no file, as a short stream's."""
        return self.fd

    def touch(self) -> None:
        """Move the write time after a change by the descriptor, if the kernel has not."""

    def stat(self) -> Stat:
        """The file as it is now, with stored attributes and creation time."""
        name = self.path.rpartition("/")[2]
        return self.root.attributes.stat_fd(self.fd, name, path_only=self.path_only)

    def ea_size(self) -> int:
        """Bytes of all extended attributes, asked for; stat() tells what is known of them."""
        return self.root.attributes.ea_size(self.fd, path_only=self.path_only)

    def statfs(self) -> FsStat:
        """The file system that holds this file; not the share's where mounts are crossed."""
        return fs_stat(self.fd)

    def readlink(self) -> str:
        """What this symlink points to; OSError EINVAL if it is none."""
        return os.readlink("", dir_fd=self.fd)

    def readinto(self, buffer: memoryview, offset: int) -> int:
        """Fill *buffer* from *offset*; fewer bytes mean the end of the file."""
        done = 0
        length = min(len(buffer), max(MAX_OFFSET - offset, 0))
        while done < length:
            count = os.preadv(self.fd, [buffer[done:length]], offset + done)
            if not count:
                break
            done += count
        return done

    @property
    def tells_cached(self) -> bool:
        """Whether readinto_cached() can say what memory does not serve."""
        return self.dev not in _without_nowait

    def readinto_cached(self, buffer: memoryview, offset: int) -> int | None:
        """readinto() as far as memory serves it; None if it would wait, or nobody can say."""
        if self.dev in _without_nowait or offset > MAX_OFFSET - len(buffer):
            return None
        length = len(buffer)
        try:
            done = os.preadv(self.fd, [buffer], offset, os.RWF_NOWAIT)
            while 0 < done < length:
                count = os.preadv(self.fd, [buffer[done:]], offset + done, os.RWF_NOWAIT)
                if not count:
                    break
                done += count
        except BlockingIOError:
            return None
        except OSError as failed:
            if failed.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
            if failed.errno == errno.EOPNOTSUPP:
                _without_nowait.add(self.dev)
            return None
        return done

    def write(self, data: Buffer, offset: int) -> int:
        """Write all of *data* at *offset*; beyond the end of the file a hole stays between."""
        total = len(data)
        if offset + total > MAX_OFFSET:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        done = os.pwrite(self.fd, data, offset) if total else 0
        if done < total:  # the disk is full, or a signal came
            view = memoryview(data)
            while done < total:
                done += os.pwrite(self.fd, view[done:], offset + done)
        return total

    def append(self, data: Buffer) -> int:
        """Write all of *data* where the file ends, wherever that is by then."""
        rest = memoryview(data)
        while rest:
            count = os.pwritev(self.fd, [rest], 0, os.RWF_APPEND)
            rest = rest[count:]
        return len(data)

    def sync(self) -> None:
        """Bring data and metadata to stable storage.

        A directory as the server itself: who adds names to one need not be able to list it.
        """
        if not self.path_only:
            os.fsync(self.fd)
            return
        if not self.is_directory:
            return  # nothing was written through this handle
        with credentials.privileged():
            fd = os.open(proc_path(self.fd), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def truncate(self, size: int) -> None:
        """Move the end of the file; growing leaves a hole."""
        if size > MAX_OFFSET:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        os.ftruncate(self.fd, size)

    def allocate(self, size: int) -> None:
        """Reserve space for *size* bytes; less than the file has cuts it off there.

        On file systems that cannot reserve, it is checked that there is as much free space.
        """
        if size > MAX_OFFSET:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        st = os.fstat(self.fd)
        if size < st.st_size:
            os.ftruncate(self.fd, size)
            return
        missing = size - st.st_blocks * 512
        if missing <= 0:
            return
        try:
            fallocate(self.fd, 0, size)
        except OSError as failed:
            if failed.errno not in (errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            free = fs_stat(self.fd)
            if missing > free.available * free.block_size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None

    def set_times(
        self,
        *,
        birth: int | None = None,
        access: int | None = None,
        write: int | None = None,
        change: int | None = None,
    ) -> None:
        """Set what is given, ns since 1970.

        Linux keeps no change time but its own: *change* is stored beside the file and shown
        until the file changes again.  POSIX keeps times to the owner; where it does the server
        acts itself, if AttributeStore.may_override() says so.
        """
        if access is not None or write is not None:
            self._set_posix_times(access, write)
        if birth is not None or change is not None:
            # without the name: the HIDDEN of a dot file is not stored
            stored = self.root.attributes.stat_fd(self.fd, "", path_only=self.path_only)
            born = stored.birth if birth is None else birth
            self.root.attributes.store(self.item, stored.attributes, born, change)

    def keep_access_time(self, kept: bool) -> None:
        """Leave the access time alone when this handle reads, or have it moved again.

        POSIX keeps the former to the owner, for whom a server that is root acts; for others it
        goes on moving.
        """
        if self.path_only:
            return  # it reads nothing
        flags = fcntl.fcntl(self.fd, fcntl.F_GETFL)
        wanted = flags | os.O_NOATIME if kept else flags & ~os.O_NOATIME
        try:
            fcntl.fcntl(self.fd, fcntl.F_SETFL, wanted)
        except PermissionError:
            with credentials.privileged(), contextlib.suppress(PermissionError):
                fcntl.fcntl(self.fd, fcntl.F_SETFL, wanted)

    def change_set_by_client(self) -> int | None:
        """The change time shown now, if it is one that a client set."""
        shown = self.stat().change
        return shown if shown != os.fstat(self.fd).st_ctime_ns else None

    def _set_posix_times(self, access: int | None, write: int | None) -> None:
        st = os.fstat(self.fd)
        times = (
            st.st_atime_ns if access is None else access,
            st.st_mtime_ns if write is None else write,
        )
        try:
            os.utime(self.item, ns=times)
        except PermissionError:
            if not self.root.attributes.may_override(self.item):
                raise
            with credentials.privileged():
                os.utime(self.item, ns=times)

    def set_attributes(self, attributes: int) -> None:
        """Store ATTR_* bits with the creation time as it is; the mode stays as it is too."""
        self.root.attributes.store(self.item, attributes, self.stat().birth)

    def mark(self, attribute: int, wanted: bool) -> bool:
        """Set or clear one ATTR_* bit and keep the others; whether that changed it."""
        stored = self.root.attributes.stat_fd(self.fd, "", path_only=self.path_only)
        if bool(stored.attributes & attribute) is wanted:
            return False
        attributes = stored.attributes & ~attribute
        if wanted:
            attributes |= attribute
        self.root.attributes.store(self.item, attributes, stored.birth)
        return True

    def set_mode(self, mode: int) -> None:
        """chmod; the permission bits and the three above them."""
        os.chmod(self.item, mode & 0o7777)

    def eas(self) -> list[tuple[str, bytes]]:
        """The extended attributes, names without "user."."""
        st = os.fstat(self.fd)
        if _without_eas.recall(st):
            return []
        now = self.root.clock()
        if not has_eas(self.item):  # most files; who asks makes no difference to that
            _without_eas.keep(st, now, True)
            return []
        return read_eas(self.item)

    def set_eas(self, eas: list[tuple[str, bytes]], flagged: frozenset[str] = frozenset()) -> None:
        """Set extended attributes, or none; an empty value deletes; see write_eas().

        Of *flagged*, folded names, it is noted that the file is not understood without them.
        """
        write_eas(self.item, eas)
        note_needed(self.item, eas, flagged)

    def needed_eas(self) -> frozenset[str]:
        """The folded names of those that the file is not understood without."""
        return needed(self.item)

    def entries(self, sight: Shows | None = None) -> Enumeration:
        """A new enumeration of this directory, of what *sight* shows; its owner closes it."""
        return Enumeration(self, sight)

    def is_empty(self) -> bool:
        """Whether this directory holds nothing, vetoed names and others' private ones included.

        Asked as the server itself: one may delete a directory that one may not list.
        """
        with credentials.privileged(), os.scandir(proc_path(self.fd)) as listing:
            return next(listing, None) is None

    def close(self) -> None:
        """Give the descriptor back; a second call does nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
