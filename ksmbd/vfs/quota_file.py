r"""$Extend\$Quota:$Q:$INDEX_ALLOCATION, the file of NTFS by which clients ask for quotas.

There is none on the disk.  Its handle is one of the share's directory, which it shows nothing of.
"""

from __future__ import annotations

import os
from typing import Final

from ksmbd.vfs.handle import Handle
from ksmbd.vfs.path import O_PATH
from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.stat import Stat
from ksmbd.wire.access import ATTR_ARCHIVE, ATTR_DIRECTORY, ATTR_HIDDEN, ATTR_SYSTEM
from ksmbd.wire.text import upcase

STREAM: Final = "$Q"
_PATH: Final = upcase("$Extend/$Quota")
_ATTRIBUTES: Final = ATTR_HIDDEN | ATTR_SYSTEM | ATTR_DIRECTORY | ATTR_ARCHIVE
_NEVER: Final = -11_644_473_600 * 10**9  # ns since 1970: 1601, which is 0 on the wire


class QuotaFile(Handle):
    """The open file."""

    __slots__ = ()

    def stat(self) -> Stat:
        """As Windows shows it."""
        found = super().stat()
        found.attributes = _ATTRIBUTES
        found.birth = found.access = found.write = found.change = _NEVER
        return found


def is_quota_file(path: str) -> bool:
    """Whether a share-relative path, without its stream, is its."""
    return upcase(path) == _PATH


def open_quota_file(root: ShareRoot) -> QuotaFile:
    """A handle of it, for nothing but quotas."""
    fd = os.open(".", O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root.fd)
    try:
        st = root.attributes.stat_fd(fd, "", path_only=True)
    except BaseException:
        os.close(fd)
        raise
    return QuotaFile(root, fd, "", st, readable=False, writable=False, path_only=True)
