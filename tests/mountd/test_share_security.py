"""mountd/share_security.py: the file of the shares' own descriptors."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from ksmbd.wire.security import DACL_PRESENT, SELF_RELATIVE, SecurityDescriptor
from mountd import share_security, users
from mountd.conf import ConfError

NULL = SecurityDescriptor(SELF_RELATIVE | DACL_PRESENT).pack()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / share_security.NAME)


def test_without_a_file_nobody_has_set_anything(path: str) -> None:
    assert share_security.load(path) == {}


def test_what_is_set_is_there_next_time(path: str) -> None:
    with share_security.editing(path) as descriptors:
        descriptors["büro:1"] = NULL
        descriptors["a"] = NULL
    assert share_security.load(path) == {"a": NULL, "büro:1": NULL}
    assert Path(path).read_text().splitlines()[0].startswith("a:")
    assert os.stat(path).st_mode & 0o777 == share_security.MODE


def test_a_share_that_is_gone_is_forgotten(path: str) -> None:
    with share_security.editing(path) as descriptors:
        descriptors["data"] = NULL
    share_security.forget(path, "other")
    share_security.forget(path, "DATA")
    assert share_security.load(path) == {}


def test_to_forget_what_nobody_set_makes_no_file(path: str) -> None:
    share_security.forget(path, "data")
    assert not Path(path).exists()


def test_a_change_that_fails_changes_nothing(path: str) -> None:
    def fail() -> None:
        with share_security.editing(path) as descriptors:
            descriptors["data"] = NULL
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert share_security.load(path) == {}


def test_who_may_not_wait_is_told_that_somebody_edits(path: str) -> None:
    with users.locked(path), pytest.raises(BlockingIOError):
        share_security.editing(path, wait=False).__enter__()


@pytest.mark.parametrize(
    "line",
    [
        b"nothing",
        b"data:",
        b"data:###",
        b"data:" + base64.b64encode(NULL[:-1]),
        b":" + base64.b64encode(NULL),
        b"\xff:" + base64.b64encode(NULL),
    ],
)
def test_a_line_that_makes_no_sense_is_an_error_with_its_number(path: str, line: bytes) -> None:
    Path(path).write_bytes(b"\n" + line + b"\n")
    with pytest.raises(ConfError) as error:
        share_security.load(path)
    assert error.value.line == 2


def test_a_share_that_is_there_twice_is_an_error(path: str) -> None:
    line = b"data:" + base64.b64encode(NULL) + b"\n"
    Path(path).write_bytes(line + line)
    with pytest.raises(ConfError, match="'data' is there twice") as error:
        share_security.load(path)
    assert error.value.line == 2
