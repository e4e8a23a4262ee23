"""DOS attributes and creation times, remembered per inode while its change time stands still.

Setting an xattr moves ctime, so (dev, ino, ctime) names one content of user.DOSATTRIB: once
read, the next stat of an unchanged file costs no getxattr (5 us through /proc). A file whose
change time may be borne by a second change is read afresh each time (stamps.py).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Callable
from typing import Final, NamedTuple

from ksmbd.vfs import credentials
from ksmbd.vfs.reader import NameReader
from ksmbd.vfs.stamps import TICK, Clock, is_fine, lasting, observe
from ksmbd.vfs.stat import EA_SIZE_UNASKED, NOTHING_KEPT, Kept, Stat, default_attributes, stat_from
from ksmbd.vfs.syscalls import birth_ns
from ksmbd.vfs.xattr import (
    ABSENT,
    CHANGE_TIME,
    DOSATTRIB,
    REPARSE,
    Item,
    get_value,
    has_eas,
    may_hold_eas,
    pack_change,
    pack_dosattrib,
    proc_path,
    read_eas,
    set_value,
    unpack_change,
    unpack_dosattrib,
)
from ksmbd.wire.access import ATTR_REPARSE_POINT
from ksmbd.wire.base import WireError
from ksmbd.wire.file_chains import pack_full_eas
from ksmbd.wire.reparse import (
    IO_REPARSE_TAG_AF_UNIX,
    IO_REPARSE_TAG_LX_BLK,
    IO_REPARSE_TAG_LX_CHR,
    IO_REPARSE_TAG_LX_FIFO,
    IO_REPARSE_TAG_LX_SYMLINK,
    IO_REPARSE_TAG_NFS,
    IO_REPARSE_TAG_SYMLINK,
    NFS_BLK,
    NFS_CHR,
    NFS_FIFO,
    NFS_LNK,
    NFS_SOCK,
    NfsData,
    ReparsePoint,
)

log = logging.getLogger("ksmbd.vfs")

_REMEMBERED: Final = 1 << 16  # inodes in each of two generations; 36 MB at most
_KINDS: Final = {
    IO_REPARSE_TAG_SYMLINK: stat.S_IFLNK,
    IO_REPARSE_TAG_LX_SYMLINK: stat.S_IFLNK,
    IO_REPARSE_TAG_AF_UNIX: stat.S_IFSOCK,
    IO_REPARSE_TAG_LX_FIFO: stat.S_IFIFO,
    IO_REPARSE_TAG_LX_CHR: stat.S_IFCHR,
    IO_REPARSE_TAG_LX_BLK: stat.S_IFBLK,
}
_NFS_KINDS: Final = {
    NFS_LNK: stat.S_IFLNK,
    NFS_CHR: stat.S_IFCHR,
    NFS_BLK: stat.S_IFBLK,
    NFS_FIFO: stat.S_IFIFO,
    NFS_SOCK: stat.S_IFSOCK,
}
_CAP_DAC_READ_SEARCH: Final = 2
_KIND: Final = 0o170000
_HAS_XATTRS: Final = frozenset({0o100000, 0o040000})  # the kernel allows user.* on these only

_LISTED: Final = DOSATTRIB.encode() + b"\0"


class _Known:
    """What there is to know of a file beside its stat, as long as that has this *ctime*."""

    __slots__ = ("attributes", "birth", "change", "ctime", "ea_size", "kept")

    def __init__(
        self,
        ctime: int,
        attributes: int,
        birth: int | None,
        change: int | None,
        kept: Kept,
        ea_size: int,
    ) -> None:
        self.ctime = ctime
        self.attributes = attributes
        self.birth = birth
        self.change = change  # if a client has set it
        self.kept = kept  # of a reparse point
        self.ea_size = ea_size  # EA_SIZE_UNASKED until somebody asks


class _Reads(NamedTuple):
    """How one file is asked."""

    value: Callable[[str], bytes | None]  # of an xattr
    birth: Callable[[], int | None]
    item: Callable[[], Item]
    names: Callable[[], bytes] | None = None  # of all xattrs; None: nobody wants to know


class AttributeStore:
    """Reads and writes user.DOSATTRIB for one share.

    Its dictionaries are shared between threads without a lock: each access is a single
    look-up or store, and a lost entry only costs reading it again.
    """

    def __init__(
        self,
        *,
        stored: bool,
        hide_dot_files: bool,
        clock: Clock,
        hide: Callable[[str], bool] | None = None,
        stored_descriptors: bool = False,
    ) -> None:
        self._stored = stored
        self._hide_dot_files = hide_dot_files
        self._hide = hide  # of other names
        self._stored_descriptors = stored_descriptors
        self._clock = clock
        self._young: dict[int, _Known] = {}
        self._old: dict[int, _Known] = {}
        self._without: set[int] = set()  # devices whose file system has no user xattrs

    def now(self) -> int:
        """The time that changes are given, ns since 1970."""
        return self._clock()

    def hides(self, name: str) -> bool:
        """Whether a file of that name is hidden, whatever is stored."""
        hide = self._hide
        return (self._hide_dot_files and name[:1] == ".") or (hide is not None and hide(name))

    def stat_fd(self, fd: int, name: str, *, path_only: bool, listed: bool = False) -> Stat:
        """Stat an open file; *name* is its final component, *path_only* an O_PATH descriptor.

        For a listing it is asked for its EaSize, too.
        """
        st = os.fstat(fd)
        change = st.st_ctime_ns
        known = self._young.get(st.st_dev << 64 | st.st_ino)
        if known is None or known.ctime != change:
            known = self._recall(st.st_dev, st.st_ino, change)
        if known is None:
            item = proc_path(fd) if path_only else fd
            reads = _Reads(lambda name: get_value(item, name), lambda: birth_ns(fd), lambda: item)
            known = self._learn(st, reads)
        hidden = self._hide_dot_files and name[:1] == "."
        if self._hide is not None:
            hidden = hidden or self._hide(name)
        size = known.ea_size
        if listed and size < 0:
            size = self.ea_size(fd, path_only=path_only)
        return stat_from(st, known.attributes, known.birth, hidden, known.change, known.kept, size)

    def ea_size(self, fd: int, *, path_only: bool) -> int:
        """Bytes of an open file's extended attributes, which its Stat has from now on."""
        st = os.fstat(fd)
        known = self._recall(st.st_dev, st.st_ino, st.st_ctime_ns)
        if known is not None and known.ea_size >= 0:
            return known.ea_size
        now = self._clock()  # before asking, as in _learn
        item = proc_path(fd) if path_only else fd
        size = _ea_size(item) if has_eas(item) else 0
        if known is not None and lasting(st, now):
            known.ea_size = size
        return size

    def stat_in(self, dir_fd: int, name: str, reader: NameReader) -> Stat:
        """Stat *name* in a directory, itself if it is a symlink. OSError if it is gone."""
        st = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        change = st.st_ctime_ns
        known = self._young.get(st.st_dev << 64 | st.st_ino)
        if known is None or known.ctime != change:
            known = self._recall(st.st_dev, st.st_ino, change)
        if known is None or known.ea_size < 0:
            encoded = name.encode()
            reads = _Reads(
                lambda attribute: reader.attribute(dir_fd, name, encoded, attribute),
                lambda: reader.birth(dir_fd, encoded),
                lambda: f"{proc_path(dir_fd)}/{name}",
                lambda: reader.attributes(dir_fd, name, encoded),
            )
            known = self._learn(st, reads)
        hidden = self._hide_dot_files and name[:1] == "."
        if self._hide is not None:
            hidden = hidden or self._hide(name)
        return stat_from(
            st, known.attributes, known.birth, hidden, known.change, known.kept, known.ea_size
        )

    def may_override(self, item: Item) -> bool:
        """Whether the server may do itself what the kernel has just kept to the file's owner.

        Times and attributes are everybody's who may write the file.  Beyond that a stored
        descriptor may give FILE_WRITE_ATTRIBUTES, which the caller has found granted; without
        such descriptors the kernel has the last word.
        """
        if self._stored_descriptors:
            return True
        path = proc_path(item) if isinstance(item, int) else item
        return os.access(path, os.W_OK, effective_ids=True)

    def store(self, item: Item, attributes: int, birth: int, change: int | None = None) -> None:
        """Write all. Where the owner alone may, write as the server if may_override() says so.

        *change* is a change time to show for as long as nothing else changes the file; its
        other times are to be set before.

        A file system without user xattrs keeps nothing, as with "store dos attributes = no".
        """
        if not self._stored:
            return
        values = [(DOSATTRIB, pack_dosattrib(attributes, birth, change_is_set=change is not None))]
        if change is not None:
            values.insert(0, (CHANGE_TIME, pack_change(change, self._clock())))
        try:
            try:
                _write(item, values)
            except PermissionError:
                if not self.may_override(item):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
                with credentials.privileged():
                    _write(item, values)
        except OSError as failed:
            if failed.errno not in (errno.EOPNOTSUPP, errno.EPERM):
                raise
            log.debug("attributes of %s not kept: %s", item, failed)

    def store_new(self, fd: int, attributes: int, *, path_only: bool = False) -> None:
        """Give a file just created its attributes and creation time.

        Without room for them it still is a good file, so that is no failure.
        """
        item = proc_path(fd) if path_only else fd
        st = os.fstat(fd)
        birth = birth_ns(fd) or st.st_mtime_ns
        with contextlib.suppress(OSError):
            self.store(item, attributes, birth)
            if not is_fine(st.st_dev):
                observe(st, os.fstat(fd))

    def _recall(self, dev: int, ino: int, change: int) -> _Known | None:
        key = dev << 64 | ino
        known = self._young.get(key)
        if known is None:
            known = self._old.get(key)
            if known is None:
                return None
            self._young[key] = known
        return known if known.ctime == change else None

    def _learn(self, st: os.stat_result, reads: _Reads) -> _Known:
        """Ask the file system, and remember the answer if it is settled.

        What has no xattrs is asked once, whoever wants to know what.
        """
        now = self._clock()  # before asking: what changes after this is not covered
        attributes = birth = change = None
        kept = NOTHING_KEPT
        ea_size = EA_SIZE_UNASKED if reads.names is None else 0
        refused = False
        if st.st_mode & _KIND in _HAS_XATTRS and st.st_dev not in self._without:
            try:
                listed = None if reads.names is None else reads.names()
                if listed and may_hold_eas(listed):
                    ea_size = _ea_size(reads.item())
                if self._stored and (listed is None or _LISTED in listed):
                    attributes, birth, change, kept = _stored(st, reads)
            except OSError as failed:
                if not self._says_nothing(failed, st.st_dev):
                    raise
                refused = failed.errno in (errno.EACCES, errno.EPERM)
                if refused and self._stored:
                    attributes, birth, change, kept = _stored_anyhow(st, reads)
        if birth is None:
            birth = reads.birth()
        if attributes is None:
            attributes = default_attributes(st.st_mode)
        known = _Known(st.st_ctime_ns, attributes, birth, change, kept, ea_size)
        if not refused and lasting(st, now):
            if len(self._young) >= _REMEMBERED:
                self._old, self._young = self._young, {}
            self._young[st.st_dev << 64 | st.st_ino] = known
        return known

    def _says_nothing(self, failed: OSError, dev: int) -> bool:
        """Take in why there is no value; False if that says nothing about the file."""
        if failed.errno == errno.EOPNOTSUPP:
            self._without.add(dev)
            return True
        return failed.errno in ABSENT or failed.errno == errno.ERANGE


def _stored(st: os.stat_result, reads: _Reads) -> tuple[int | None, int | None, int | None, Kept]:
    """Attributes, birth, set change time, reparse point. OSError if there are none."""
    blob = reads.value(DOSATTRIB)
    if blob is None:
        return None, None, None, NOTHING_KEPT
    attributes, birth, change_is_set = unpack_dosattrib(blob)
    change = _set_change(st.st_ctime_ns, reads.value) if change_is_set else None
    kept = NOTHING_KEPT
    if attributes is not None and attributes & ATTR_REPARSE_POINT:
        kept = _kept(reads.item())
        attributes &= -1 if kept.tag else ~ATTR_REPARSE_POINT
    return attributes, birth, change, kept


def _ea_size(item: Item) -> int:
    """Bytes of all extended attributes, as FileEaInformation tells it.

    Who may list a directory, or has opened the file, may know it, whatever rights that gives.
    """
    with credentials.privileged():
        return len(pack_full_eas(read_eas(item))[0])


def _stored_anyhow(
    st: os.stat_result, reads: _Reads
) -> tuple[int | None, int | None, int | None, Kept]:
    """The same of a file that the user may not read; nothing if the server may not either.

    They are as stat(2)'s, which asks for no permission: who may write a file without reading it
    must find it read-only when it is.
    """
    try:
        with credentials.holding(_CAP_DAC_READ_SEARCH):
            return _stored(st, reads)
    except OSError:
        return None, None, None, NOTHING_KEPT


def _kept(item: Item) -> Kept:
    """What the reparse point that is kept beside a file says."""
    try:
        point = ReparsePoint.unpack(get_value(item, REPARSE))
    except (OSError, WireError):
        return NOTHING_KEPT
    rdev = 0
    kind = _KINDS.get(point.tag, 0)
    if point.tag == IO_REPARSE_TAG_NFS:
        try:
            nfs = NfsData.unpack(point.data)
        except WireError:
            return Kept(point.tag, 0, 0)
        kind = _NFS_KINDS[nfs.inode_type]
        rdev = os.makedev(nfs.major & 0xFFF, nfs.minor & 0xFFFFF)
    return Kept(point.tag, kind, rdev)


def _write(item: Item, values: list[tuple[str, bytes]]) -> None:
    for name, value in values:
        set_value(item, name, value)


def _set_change(ctime: int, read_value: Callable[[str], bytes | None]) -> int | None:
    """The change time a client set, unless the file has changed since."""
    try:
        found = unpack_change(read_value(CHANGE_TIME) or b"")
    except OSError:
        return None
    if found is None or abs(ctime - found[1]) > TICK:
        return None
    return found[0]
