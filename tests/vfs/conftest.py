"""Shares in temporary directories for the tests of the file system floor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ksmbd.vfs.handle import Handle
from ksmbd.vfs.root import RootOptions, ShareRoot

MakeShare = Callable[..., ShareRoot]


@pytest.fixture
def make_share(tmp_path: Path) -> Iterator[MakeShare]:
    """Shares of tmp_path/share with the given RootOptions fields; closed at the end."""
    (tmp_path / "share").mkdir(exist_ok=True)
    roots: list[ShareRoot] = []

    def make(**options: object) -> ShareRoot:
        roots.append(ShareRoot(str(tmp_path / "share"), RootOptions(**options)))  # type: ignore[arg-type]
        return roots[-1]

    yield make
    for root in roots:
        root.close()


@pytest.fixture
def share(make_share: MakeShare) -> ShareRoot:
    return make_share()


@pytest.fixture
def disk(tmp_path: Path, make_share: MakeShare) -> Path:
    """The share's directory as a local process sees it."""
    return tmp_path / "share"


@pytest.fixture
def opened() -> Iterator[Callable[..., Handle]]:
    """Open or create a path; handles are closed at the end."""
    handles: list[Handle] = []

    def open_(root: ShareRoot, path: str, *, read: bool = True, write: bool = True) -> Handle:
        with root.resolve(path) as entry:
            if entry.exists:
                handle = root.open(entry, read=read, write=write)
            else:
                handle = root.create_file(entry, 0o644)
        handles.append(handle)
        return handle

    yield open_
    for handle in handles:
        handle.close()
