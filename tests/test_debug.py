"""Log lines and the switches of the components."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator

import pytest

from ksmbd import debug
from ksmbd.wire.marked import Client


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
    for component in debug.COMPONENTS:
        debug._filters[component].clients = frozenset()
        logging.getLogger(f"ksmbd.{component}").filters.clear()
    debug._on.clear()


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


def said(stream: io.StringIO) -> list[str]:
    return [line.partition("DEBUG: ")[2] for line in stream.getvalue().splitlines()]


def test_a_client_s_lines_are_those_that_name_it_and_those_of_its_requests() -> None:
    stream = io.StringIO()
    debug.set_up(stream=stream)
    log = logging.getLogger("ksmbd.conn")
    assert debug.toggle("conn", "192.0.2.7").splitlines() == [
        "smb auth vfs oplock ipc conn rdma",
        "192.0.2.7: smb auth vfs oplock ipc [conn] rdma",
    ]
    log.debug("%s: one", Client("192.0.2.7"))
    log.debug("%s: another's", Client("192.0.2.8"))
    log.debug("nobody's")
    with debug.about("192.0.2.7"):
        log.debug("two")
        with debug.about("192.0.2.8"):
            log.debug("another's")
        logging.getLogger("ksmbd.vfs").debug("of another component")
        log.debug("three")
    log.debug("nobody's")
    assert said(stream) == ["192.0.2.7: one", "two", "three"]


def test_what_matters_is_said_of_everybody_meanwhile() -> None:
    stream = io.StringIO()
    debug.set_up(stream=stream)
    debug.toggle("smb", "2001:DB8::7")
    logging.getLogger("ksmbd.smb").info("event")
    assert stream.getvalue().endswith("event\n")
    assert debug.clients() == {"2001:db8::7"}


def test_on_for_everybody_is_on_for_everybody() -> None:
    stream = io.StringIO()
    debug.set_up(stream=stream)
    debug.toggle("smb", "192.0.2.7")
    debug.toggle("smb")
    logging.getLogger("ksmbd.smb").debug("anybody's")
    debug.toggle("smb")
    logging.getLogger("ksmbd.smb").debug("nobody's")
    assert said(stream) == ["anybody's"]


def test_off_leaves_nothing_behind() -> None:
    debug.set_up(stream=io.StringIO())
    debug.toggle("all", "192.0.2.7")
    assert debug.enabled("rdma", "192.0.2.7")
    assert debug.toggle("all", "192.0.2.7") == "smb auth vfs oplock ipc conn rdma"
    for component in debug.COMPONENTS:
        log = logging.getLogger(f"ksmbd.{component}")
        assert (log.filters, log.level) == ([], logging.NOTSET)
    assert debug.clients() == frozenset()


@pytest.mark.parametrize("address", ["somewhere", "192.0.2.0/24", "192.0.2.7:445"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        debug.toggle("smb", address)
    assert debug.clients() == frozenset()


@pytest.mark.parametrize(
    ("name", "shown"),
    [("two\nlines", r"two\nlines"), ("\x1b[2J", r"\x1b[2J"), ("\u2028", r"\u2028"),
     ("\udc80", r"\udc80"), ("caf\u00e9", "caf\u00e9")],
)  # fmt: skip
def test_no_name_ends_a_line_or_steers_a_terminal(name: str, shown: str) -> None:
    stream = io.StringIO()
    debug.set_up(stream=stream)
    logging.getLogger("ksmbd.vfs").warning("%s is gone", name)
    assert stream.getvalue().endswith(f": {shown} is gone\n")


def test_a_traceback_has_its_lines() -> None:
    stream = io.StringIO()
    debug.set_up(stream=stream)
    try:
        raise KeyError("bug")
    except KeyError:
        logging.getLogger("ksmbd.vfs").exception("a bug in the server")
    assert stream.getvalue().count("\n") > 3
