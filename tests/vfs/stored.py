"""What the tests of stored streams have in common: a share in both layouts, streams of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ksmbd.vfs.depot import DIRECTORY
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.streams import StreamHandle, find_stream, open_stream
from tests.vfs.conftest import MakeShare

MIB = 1 << 20
OpenStream = Callable[..., StreamHandle]


@pytest.fixture(params=[False, True], ids=["ksmbd", "samba"])
def share(request: pytest.FixtureRequest, make_share: MakeShare) -> ShareRoot:
    """A share in each of the layouts of small streams; a ticket fits both."""
    return make_share(samba_streams=request.param)


@pytest.fixture
def stream() -> Iterator[OpenStream]:
    """Open a stream of a file that is made if need be; closed at the end."""
    handles: list[StreamHandle] = []

    def open_(
        root: ShareRoot, path: str = "f", name: str = "s", *, write: bool = True
    ) -> StreamHandle:
        with root.resolve(path) as entry:
            if not entry.exists:
                root.create_file(entry, 0o644).close()
        with root.resolve(path) as entry:
            new = find_stream(root, entry.fd, name) is None
            handle = open_stream(root, entry, name, read=True, write=write, create=new)
        handles.append(handle)
        return handle

    yield open_
    for handle in handles:
        handle.close()


def content(handle: Handle, length: int = 16 * MIB, offset: int = 0) -> bytes:
    buffer = bytearray(length)
    return bytes(buffer[: handle.readinto(memoryview(buffer), offset)])


def stored(disk: Path) -> list[str]:
    """The names of the stored streams."""
    return sorted(os.listdir(disk / DIRECTORY)) if (disk / DIRECTORY).exists() else []


def value(path: Path, name: str = "s") -> bytes:
    return os.getxattr(path, f"user.DosStream.{name}:$DATA")


def gone(disk: Path, root: ShareRoot) -> bool:
    """Whether a sweep leaves nothing, once what it looks at is old enough."""
    root.depot._clock = lambda: 1 << 62
    root.depot.sweep()
    return not stored(disk)
