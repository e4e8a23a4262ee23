"""The flag of compressed files."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from ksmbd.vfs import compression
from ksmbd.vfs.compression import is_compressed, set_compressed
from ksmbd.vfs.credentials import Credentials, become
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.root import ShareRoot

Open = Callable[..., Handle]
GET, SET = 0x80086601, 0x40086602


class Kernel:
    """Keeps the flags of one file; *code*: refuses with it."""

    def __init__(self, flags: int = 0, code: int = 0) -> None:
        self.flags = flags
        self.code = code

    def ioctl(self, fd: int, request: int, argument: bytes) -> bytes:
        os.fstat(fd)
        if self.code:
            raise OSError(self.code, os.strerror(self.code))
        if request == GET:
            return struct.pack("=I4x", self.flags)
        assert request == SET
        (self.flags,) = struct.unpack("=I4x", argument)
        return argument


@pytest.mark.parametrize("path_only", [True, False])
def test_the_flag_comes_and_goes_and_others_stay(
    share: ShareRoot, opened: Open, monkeypatch: pytest.MonkeyPatch, path_only: bool
) -> None:
    kernel = Kernel(flags=0x80410)
    monkeypatch.setattr(compression, "fcntl", kernel)
    opened(share, "f")
    handle = opened(share, "f", read=not path_only, write=False)
    assert not is_compressed(handle)
    set_compressed(handle, True)
    assert kernel.flags == 0x80014
    assert is_compressed(handle)
    set_compressed(handle, False)
    assert kernel.flags == 0x80010


@pytest.mark.parametrize("code", [errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL])
def test_where_there_is_no_flag_nothing_is_compressed(
    share: ShareRoot, opened: Open, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    handle = opened(share, "f")
    monkeypatch.setattr(compression, "fcntl", Kernel(code=code))
    assert not is_compressed(handle)
    set_compressed(handle, False)
    with pytest.raises(OSError, match="not supported") as refused:
        set_compressed(handle, True)
    assert refused.value.errno == errno.EOPNOTSUPP


def test_a_failing_disk_is_no_disk_without_the_flag(
    share: ShareRoot, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = opened(share, "f")
    monkeypatch.setattr(compression, "fcntl", Kernel(code=errno.EIO))
    for call in (lambda: is_compressed(handle), lambda: set_compressed(handle, False)):
        with pytest.raises(OSError, match="Input/output"):
            call()


def test_a_special_file_is_not_even_opened(
    share: ShareRoot, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(disk / "fifo")
    monkeypatch.setattr(compression, "fcntl", Kernel())
    with share.resolve("fifo") as entry:
        handle = share.open(entry, read=False, write=False)
    for ask in (is_compressed, lambda h: set_compressed(h, True)):
        with pytest.raises(OSError, match="not supported"):
            ask(handle)
    handle.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as others")
def test_who_may_not_write_the_file_does_not_change_the_flag(
    share: ShareRoot, disk: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel()
    monkeypatch.setattr(compression, "fcntl", kernel)
    disk.chmod(0o755)
    (disk / "f").touch()
    (disk / "f").chmod(0o644)
    become(Credentials(12345, 12346))
    try:
        with pytest.raises(PermissionError):
            set_compressed(opened(share, "f", write=False), True)
    finally:
        become(None)
    assert kernel.flags == 0
