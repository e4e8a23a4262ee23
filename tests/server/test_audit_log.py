"""The audit file: lines, rotation by us and by others, what is lost and that it is said."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ksmbd.server import audit_log
from ksmbd.server.audit_log import AuditLog, Place, line

SOON = 30.0
Make = Callable[..., AuditLog]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    made: list[AuditLog] = []

    def start(size: int = 0, kept: int = 0, *, now: bool = True, **how: Any) -> AuditLog:
        made.append(AuditLog(Place(str(path), size, kept), **how))
        if now:
            made[-1].start()
        return made[-1]

    yield start
    for each in made:
        if each._thread.ident is not None:
            each.close()


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(each) for each in path.read_text("ascii").split("\n")[:-1]]


@pytest.mark.parametrize(
    "name",
    [
        'a "quoted" one',
        "two\nlines",
        "back\\slash",
        "caf\u00e9 \U0001f600",
        "\udc80\udcff",
        "\0\x7f",
    ],
)
def test_no_name_breaks_a_line(name: str) -> None:
    made = line(1_700_000_000_123_456_789, {"path": name})
    assert made.count(b"\n") == 1
    assert made.isascii()
    assert json.loads(made) == {"time": "2023-11-14T22:13:20.123456Z", "path": name}


def test_records_come_in_order_into_a_file_for_its_owner(make: Make, path: Path) -> None:
    log = make()
    for number in range(1000):
        log.put({"n": number})
    log.close()
    assert [record["n"] for record in read(path)] == list(range(1000))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_file_goes_on_where_it_was(make: Make, path: Path) -> None:
    path.write_text('{"n": 0}\n')
    path.chmod(0o640)
    log = make()
    log.put({"n": 1})
    log.close()
    assert [record["n"] for record in read(path)] == [0, 1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_full_file_makes_room_for_another(make: Make, path: Path) -> None:
    log = make(size=500, kept=2)
    for number in range(100):
        log.put({"n": number, "text": "x" * 50})
    log.close()
    parts = [path.with_name(f"audit.log{end}") for end in (".2", ".1", "")]
    assert sorted(path.parent.iterdir()) == sorted(parts)
    numbers = [record["n"] for part in parts for record in read(part)]
    assert numbers == list(range(numbers[0], 100))
    assert all(500 <= part.stat().st_size < 700 for part in parts[:2])


def test_none_is_kept_if_none_is_wanted(make: Make, path: Path) -> None:
    log = make(size=100)
    for number in range(10):
        log.put({"n": number, "text": "x" * 100})
    log.close()
    assert list(path.parent.iterdir()) == [path]
    assert read(path)[-1]["n"] == 9


def written(log: AuditLog, path: Path, record: dict[str, Any]) -> None:
    """Put one and wait until it is there."""
    done = threading.Event()
    write = log._write

    def tell(lines: list[bytes]) -> None:
        write(lines)
        done.set()

    log._write = tell
    log.put(record)
    assert done.wait(SOON)
    log._write = write


def test_a_file_that_somebody_moved_away_is_left(make: Make, path: Path) -> None:
    log = make()
    written(log, path, {"n": 1})
    os.rename(path, path.with_name("older"))
    written(log, path, {"n": 2})
    path.unlink()
    written(log, path, {"n": 3})
    assert [record["n"] for record in read(path.with_name("older"))] == [1]
    assert [record["n"] for record in read(path)] == [3]


def test_what_finds_the_queue_full_is_counted_and_said(
    make: Make, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = make(now=False, room=2)
    for number in range(5):
        log.put({"n": number})
    log.start()
    log.close()
    lost, *rest = read(path)
    assert (lost["op"], lost["records"]) == ("lost", 3)
    assert [record["n"] for record in rest] == [0, 1]


def test_what_cannot_be_written_is_counted_once_it_can(make: Make, path: Path) -> None:
    path.mkdir()
    log = make(now=False)
    log.put({"n": 1})
    batch = log._next()
    log._put_down(batch)
    assert log._failing
    path.rmdir()
    log.put({"n": 2})
    log.start()
    log.close()
    lost, record = read(path)
    assert (lost["records"], record["n"]) == (1, 2)
    assert not log._failing


def test_a_disk_that_is_full_in_the_middle_of_a_line_spoils_no_other(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = make(now=False)
    write, failures = audit_log.os.write, iter((False, True))

    def full(fd: int, data: memoryview) -> int:
        """Half of the first record, and then nothing more; there is room again for the second."""
        match next(failures, None):
            case False:
                return write(fd, data[: len(data) // 2])
            case True:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data)

    monkeypatch.setattr(audit_log.os, "write", full)
    log._put_down([(0, {"n": 1})])
    assert path.read_bytes() == b""
    log._put_down([(0, {"n": 2})])
    log._leave()
    assert [record["n"] for record in read(path)] == [2]
    assert log._lost == 1


def test_what_was_written_before_a_failure_is_not_counted_as_lost(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second file of a batch cannot be begun: what is in the first stays written."""
    log = make(size=60, kept=1, now=False)
    begin, failures = log._rotate, iter((OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),))

    def rotate() -> None:
        for failed in failures:
            raise failed
        begin()

    monkeypatch.setattr(log, "_rotate", rotate)
    log._put_down([(0, {"n": number, "text": "x" * 50}) for number in range(3)])
    assert [record["n"] for record in read(path)] == [0]
    assert log._lost == 2
    log.put({"n": 3})
    log._put_down(log._next())
    log._leave()
    assert [record.get("records") for record in read(path.with_name("audit.log.1"))][1:] == []
    assert [record.get("n") for record in read(path)][-1] == 3


def test_a_record_that_is_none_takes_no_other_with_it_and_the_thread_goes_on(
    make: Make, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = make()
    written(log, path, {"n": 1})
    log.put({"n": object()})
    written(log, path, {"n": 2})
    written(log, path, {"n": 3})
    log.close()
    told = [(each.get("n"), each.get("records")) for each in read(path)]
    assert [n for n, _ in told if n] == [1, 2, 3]
    assert [records for _, records in told if records] == [1]


def test_a_bug_while_writing_does_not_end_the_thread(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = make()
    write, failures = log._write, iter((RuntimeError("a bug"),))

    def broken(lines: list[bytes]) -> None:
        for failed in failures:
            raise failed
        write(lines)

    monkeypatch.setattr(log, "_write", broken)
    log.put({"n": 1})
    while not log._lost:
        os.sched_yield()
    written(log, path, {"n": 2})
    log.close()
    assert [(each.get("n"), each.get("records")) for each in read(path)] == [(None, 1), (2, None)]


def test_a_link_at_the_path_is_not_followed(make: Make, path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    log = make()
    log.put({"n": 1})
    log.close()
    assert not (tmp_path / "elsewhere").exists()


def test_without_a_path_the_log_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(audit_log.records, "info", lambda text, *args: said.append(text % args))
    log = AuditLog(Place())
    log.start()
    log.put({"n": 1})
    log.close()
    assert [json.loads(each)["n"] for each in said] == [1]
