"""ksmbd/journald.py: log lines as entries of the journal."""

from __future__ import annotations

import io
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksmbd import journald
from ksmbd.journald import JournalHandler
from ksmbd.wire.marked import Account, Client


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    """What listens in the journal's place."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "socket"))
        made.settimeout(10)
        yield made


@pytest.fixture
def stderr() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logger(tmp_path: Path, stderr: io.StringIO) -> Iterator[logging.Logger]:
    made = logging.getLogger("journald-test.auth")
    handler = JournalHandler("ksmbd", logging.StreamHandler(stderr), str(tmp_path / "socket"))
    made.addHandler(handler)
    made.propagate = False
    made.setLevel(logging.DEBUG)
    yield made
    made.removeHandler(handler)
    handler.close()


def fields(datagram: bytes) -> dict[str, str]:
    return dict(line.split("=", 1) for line in datagram.decode().splitlines())


def test_a_line_arrives_with_its_fields(journal: socket.socket, logger: logging.Logger) -> None:
    logger.info("%s: refused: %s", Client("192.0.2.7"), "why", extra={Account.FIELD: "eve"})
    got = fields(journal.recv(65536))
    assert got["MESSAGE"] == "192.0.2.7: refused: why"
    assert (got["SMB_CLIENT"], got["SMB_USER"]) == ("192.0.2.7", "eve")
    assert (got["PRIORITY"], got["SYSLOG_IDENTIFIER"]) == ("6", "ksmbd")
    assert (got["SMB_COMPONENT"], got["THREAD"]) == ("auth", "MainThread")
    assert got["CODE_FILE"] == __file__
    assert got["CODE_FUNC"] == "test_a_line_arrives_with_its_fields"


@pytest.mark.parametrize(
    ("level", "wanted"),
    [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3"), ("critical", "2")],
)
def test_levels_are_priorities(
    journal: socket.socket, logger: logging.Logger, level: str, wanted: str
) -> None:
    getattr(logger, level)("said")
    assert fields(journal.recv(65536))["PRIORITY"] == wanted


def test_an_error_brings_its_traceback(journal: socket.socket, logger: logging.Logger) -> None:
    try:
        raise OSError("no such thing")
    except OSError:
        logger.exception("a bug in the server")
    said = journal.recv(65536)
    assert said.startswith(b"MESSAGE\n")
    assert b"a bug in the server\nTraceback" in said
    assert b"OSError: no such thing" in said


def test_a_line_too_long_is_cut(journal: socket.socket, logger: logging.Logger) -> None:
    logger.info("x" * 10_000_000)
    assert len(fields(journal.recv(1 << 20))["MESSAGE"]) == journald.MAX_TEXT


def test_without_a_journal_lines_go_to_standard_error(
    journal: socket.socket, logger: logging.Logger, stderr: io.StringIO
) -> None:
    os.unlink(journal.getsockname())
    logger.warning("%s: refused", Client("192.0.2.7"))
    assert stderr.getvalue() == "192.0.2.7: refused\n"


def test_a_journal_that_hangs_holds_nobody_up(
    journal: socket.socket, logger: logging.Logger, stderr: io.StringIO
) -> None:
    for number in range(10_000):
        logger.info("line %d", number)
        if stderr.getvalue():
            break
    assert stderr.getvalue() == f"line {number}\n"


def test_a_line_that_cannot_be_made_harms_nobody(
    journal: socket.socket, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    (handler,) = (each for each in logger.handlers if isinstance(each, JournalHandler))
    handler.handle(logging.makeLogRecord({"msg": "%d of %s", "args": ("no number",)}))
    assert "--- Logging error ---" in capsys.readouterr().err


def test_standard_error_leads_to_the_journal_if_systemd_says_so(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        status = os.fstat(file.fileno())
        here = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert journald.leads_here(here, file.fileno())
        assert not journald.leads_here({"JOURNAL_STREAM": "1:2"}, file.fileno())
        assert not journald.leads_here({"JOURNAL_STREAM": "rubbish"}, file.fileno())
        assert not journald.leads_here({}, file.fileno())
    assert not journald.leads_here(here, 1)


def test_elsewhere_lines_go_where_they_went(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = logging.NullHandler()
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    assert journald.handler("ksmbd", plain) is plain
