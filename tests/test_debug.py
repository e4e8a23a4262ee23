"""Log lines and the switches of the components."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator

import pytest

from ksmbd import debug


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    names = ["ksmbd", *(f"ksmbd.{component}" for component in debug.COMPONENTS)]
    loggers = [logging.getLogger(name) for name in names]
    before = [(made.level, made.propagate, list(made.handlers)) for made in loggers]
    yield
    for made, (level, propagate, handlers) in zip(loggers, before, strict=True):
        made.setLevel(level)
        made.propagate = propagate
        made.handlers[:] = handlers


def test_lines_look_as_in_ksmbd_tools() -> None:
    stream = io.StringIO()
    debug.set_up(stream=stream)
    logging.getLogger("ksmbd.conn").warning("%s: refused", "192.0.2.1")
    assert stream.getvalue() == f"[ksmbd/{os.getpid()}]: WARNING: 192.0.2.1: refused\n"


def test_a_component_that_is_off_says_only_what_matters() -> None:
    stream = io.StringIO()
    debug.set_up(stream=stream)
    logging.getLogger("ksmbd.vfs").debug("detail")
    logging.getLogger("ksmbd.vfs").info("event")
    debug.toggle("vfs")
    logging.getLogger("ksmbd.vfs").debug("more detail")
    logging.getLogger("ksmbd.smb").debug("of another component")
    assert [line.rpartition(": ")[2] for line in stream.getvalue().splitlines()] == [
        "event",
        "more detail",
    ]


def test_enabled_components_stand_in_brackets() -> None:
    debug.set_up(stream=io.StringIO())
    assert debug.listing() == "smb auth vfs oplock ipc conn rdma"
    assert debug.toggle("oplock") == "smb auth vfs [oplock] ipc conn rdma"
    assert debug.toggle("smb") == "[smb] auth vfs [oplock] ipc conn rdma"
    assert debug.toggle("oplock") == "[smb] auth vfs oplock ipc conn rdma"


def test_all_switches_everything_on_and_then_off() -> None:
    debug.set_up(stream=io.StringIO())
    debug.toggle("ipc")
    assert debug.toggle("all") == "[smb] [auth] [vfs] [oplock] [ipc] [conn] [rdma]"
    assert debug.toggle("all") == "smb auth vfs oplock ipc conn rdma"


def test_verbose_is_everything() -> None:
    debug.set_up(verbose=True, stream=io.StringIO())
    assert all(map(debug.enabled, debug.COMPONENTS))


def test_an_unknown_component_is_refused_with_the_known_ones() -> None:
    with pytest.raises(debug.UnknownComponent, match="'smbd'; there are all, smb, auth"):
        debug.toggle("smbd")
