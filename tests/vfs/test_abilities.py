"""What a file system can do."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ksmbd.vfs import abilities as module
from ksmbd.vfs.abilities import COMPRESSES, FREES_RANGES, SHARES_BLOCKS, abilities


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(module, "_known", {})
    return os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)


def refuse(*_arguments: object, **_options: object) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def accept(*_arguments: object, **_options: object) -> None:
    pass


@pytest.mark.parametrize(
    ("name", "flag"),
    [("fallocate", FREES_RANGES), ("change_compression", COMPRESSES), ("fcntl", SHARES_BLOCKS)],
)
@pytest.mark.parametrize("able", [True, False])
def test_what_works_is_found_and_nothing_else(
    directory: int, monkeypatch: pytest.MonkeyPatch, name: str, flag: int, able: bool
) -> None:
    class Ioctl:
        ioctl = staticmethod(accept if able else refuse)

    monkeypatch.setattr(module, "fs_type", lambda _: 0x9123683E)
    monkeypatch.setattr(module, name, Ioctl if name == "fcntl" else accept if able else refuse)
    assert bool(abilities(directory) & flag) is able
    os.close(directory)


def test_a_file_system_that_only_keeps_the_flag_does_not_compress(
    directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "fs_type", lambda _: 0xEF53)
    monkeypatch.setattr(module, "change_compression", accept)
    assert not abilities(directory) & COMPRESSES
    os.close(directory)


def test_it_is_tried_once_and_leaves_nothing(
    directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    found = abilities(directory)
    monkeypatch.setattr(module, "_try", lambda _: 0)
    assert abilities(directory) == found
    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(directory)


def test_a_directory_that_takes_no_file_says_nothing_about_its_disk(
    directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask: Callable[[int], int | None] = module._try
    monkeypatch.setattr(module, "_try", lambda _: None)
    assert abilities(directory) == 0
    monkeypatch.setattr(module, "_try", ask)
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    assert abilities(proc) == 0
    assert module._known == {}
    os.close(proc)
    os.close(directory)
