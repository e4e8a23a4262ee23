"""Reparse points on the disk.  What clients see: tests/commands/test_fsctl_reparse.py."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ksmbd.vfs import reparse
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.root import ShareRoot
from ksmbd.wire.access import ATTR_REPARSE_POINT
from ksmbd.wire.reparse import IO_REPARSE_TAG_NFS, NFS_FIFO, NfsData, ReparsePoint

Open = Callable[..., Handle]
FIFO = ReparsePoint(IO_REPARSE_TAG_NFS, NfsData(NFS_FIFO).pack())


def test_a_point_is_kept_in_samba_s_attribute(share: ShareRoot, disk: Path, opened: Open) -> None:
    handle = opened(share, "f")
    reparse.keep(handle, FIFO)
    assert os.getxattr(disk / "f", "user.SmbReparse") == FIFO.pack()
    assert reparse.read(handle.fd, handle.stat()) is None  # the attribute says that it is one
    handle.mark(ATTR_REPARSE_POINT, True)
    st = handle.stat()
    assert (st.tag, st.reparse_tag) == (FIFO.tag, FIFO.tag)
    assert reparse.read(handle.fd, st) == FIFO
    assert reparse.symlink_of(handle.fd, st) is None
    reparse.forget(handle)
    reparse.forget(handle)
    assert reparse.read(handle.fd, st) is None
    assert handle.stat().reparse_tag == 0


def test_a_symlink_of_the_disk_says_where_it_leads(share: ShareRoot, disk: Path) -> None:
    (disk / "link").symlink_to("a/b")
    with share.resolve("link") as entry:
        assert entry.stat is not None
        data = reparse.symlink_of(entry.fd, entry.stat)
        assert data is not None
        assert (data.print_name, data.relative) == ("a\\b", True)


@pytest.mark.parametrize(("code", "fails"), [(errno.EOPNOTSUPP, False), (errno.EIO, True)])
def test_a_disk_without_attributes_has_nothing_to_forget(
    share: ShareRoot, opened: Open, monkeypatch: pytest.MonkeyPatch, code: int, fails: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    handle = opened(share, "f")
    monkeypatch.setattr(reparse, "remove_value", refuse)
    if not fails:
        reparse.forget(handle)
        return
    with pytest.raises(OSError, match="Input/output"):
        reparse.forget(handle)
