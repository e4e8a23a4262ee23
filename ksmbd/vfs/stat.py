"""What the file system tells about one file, in the terms of [MS-FSCC]."""

from __future__ import annotations

import os
import stat
from typing import Final, NamedTuple

from ksmbd.wire.access import ATTR_ARCHIVE, ATTR_DIRECTORY, ATTR_HIDDEN, ATTR_REPARSE_POINT

BLOCK: Final = 512  # bytes in one unit of st_blocks, on every Linux file system

EA_SIZE_UNASKED: Final = -1

_REPARSE_TAGS: Final = {  # [MS-FSCC] 2.1.2.1
    stat.S_IFLNK: 0xA000000C,  # IO_REPARSE_TAG_SYMLINK
    stat.S_IFSOCK: 0x80000023,  # IO_REPARSE_TAG_AF_UNIX
    stat.S_IFIFO: 0x80000024,  # IO_REPARSE_TAG_LX_FIFO
    stat.S_IFCHR: 0x80000025,  # IO_REPARSE_TAG_LX_CHR
    stat.S_IFBLK: 0x80000026,  # IO_REPARSE_TAG_LX_BLK
}


class Stat:
    """One file. Sizes are bytes; times are ns since 1970 and may be negative.

    ``attributes`` are ATTR_* bits: DIRECTORY follows from the mode, never from an xattr;
    REPARSE_POINT marks what is neither file nor directory, or kept as a reparse point (``tag``).
    0 is possible, and NORMAL never.

    Written out, as the header of a request is: of a dataclass mypyc does not compile the making.
    """

    __slots__ = (
        "access",
        "allocation",
        "attributes",
        "birth",
        "change",
        "ctime",
        "dev",
        "ea_size",
        "gid",
        "ino",
        "is_directory",
        "kind",
        "mode",
        "nlink",
        "rdev",
        "size",
        "tag",
        "uid",
        "write",
    )

    def __init__(
        self,
        dev: int,
        ino: int,
        mode: int,
        nlink: int,
        uid: int,
        gid: int,
        size: int,
        allocation: int,
        birth: int,
        access: int,
        write: int,
        change: int,
        attributes: int,
        is_directory: bool,
        rdev: int,
        tag: int,
        kind: int,
        ea_size: int,
        ctime: int,
    ) -> None:
        self.dev = dev
        self.ino = ino
        self.mode = mode
        self.nlink = nlink
        self.uid = uid
        self.gid = gid
        self.size = size
        self.allocation = allocation
        self.birth = birth
        self.access = access
        self.write = write
        self.change = change
        self.attributes = attributes
        self.is_directory = is_directory
        self.rdev = rdev
        self.tag = tag  # of a reparse point that is kept beside the file
        self.kind = kind  # S_IFMT bits that it stands for, 0 for those that mean nothing to Linux
        self.ea_size = ea_size  # bytes of all extended attributes; -1 while nobody has asked
        self.ctime = ctime  # the kernel's, whatever a client has set: names what was read, stamps

    @property
    def posix_mode(self) -> int:
        """The mode, of a kept reparse point with the type that it stands for."""
        return self.mode & 0o7777 | self.kind if self.kind else self.mode

    @property
    def reparse_tag(self) -> int:
        """The tag that goes with REPARSE_POINT, 0 for what is none."""
        return self.tag or _REPARSE_TAGS.get(stat.S_IFMT(self.mode), 0)


class Kept(NamedTuple):
    """What is known of a reparse point that is kept beside a file."""

    tag: int
    kind: int  # S_IFMT bits, or 0
    rdev: int


NOTHING_KEPT: Final = Kept(0, 0, 0)


class FsStat(NamedTuple):
    """The file system under a share; space and file counts in units of ``block_size``."""

    block_size: int  # bytes
    blocks: int
    free: int
    available: int  # to users without privilege
    files: int
    files_free: int
    name_max: int  # bytes of one component
    read_only: bool
    fsid: int


def stat_from(
    st: os.stat_result,
    attributes: int,
    birth: int | None,
    hidden: bool = False,
    set_change: int | None = None,
    kept: Kept = NOTHING_KEPT,
    ea_size: int = EA_SIZE_UNASKED,
) -> Stat:
    """Join the kernel's answer with stored *attributes* and *birth* time (None = unknown).

    *set_change* is a change time that a client set, which Linux itself cannot keep. *hidden*
    adds HIDDEN, whatever is stored. A directory has no size, as on NTFS.
    """
    mode, ino, dev, nlink, uid, gid, size, _, _, _ = st
    access, write, ctime = st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns
    allocation = st.st_blocks * BLOCK
    kind = mode & 0o170000
    is_directory = kind == stat.S_IFDIR
    if hidden:
        attributes |= ATTR_HIDDEN
    if is_directory:
        attributes |= ATTR_DIRECTORY
        size = allocation = 0
    elif kind != stat.S_IFREG:
        attributes |= ATTR_REPARSE_POINT
    if birth is None:
        birth = min(access, write, ctime)
    change = ctime if set_change is None else set_change
    return Stat(
        dev, ino, mode, nlink, uid, gid, size, allocation,
        birth, access, write, change, attributes, is_directory,
        kept.rdev or st.st_rdev, kept.tag, kept.kind, ea_size, ctime,
    )  # fmt: skip


def default_attributes(mode: int) -> int:
    """The attributes of a file that has none stored: new files want archiving."""
    return ATTR_ARCHIVE if stat.S_ISREG(mode) else 0


def is_special(mode: int) -> bool:
    """Neither file, directory nor symlink: opening it for I/O would reach a driver or a peer."""
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def fs_stat(fd: int) -> FsStat:
    """Ask the file system that holds *fd*."""
    answer = os.statvfs(fd)
    return FsStat(
        block_size=answer.f_frsize or answer.f_bsize,
        blocks=answer.f_blocks,
        free=answer.f_bfree,
        available=answer.f_bavail,
        files=answer.f_files,
        files_free=answer.f_ffree,
        name_max=answer.f_namemax,
        read_only=bool(answer.f_flag & os.ST_RDONLY),
        fsid=answer.f_fsid,
    )
