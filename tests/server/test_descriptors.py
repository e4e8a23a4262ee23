"""How many descriptors the server takes, and what it says if they are few."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.client import connect
from ksmbd.server import descriptors
from ksmbd.wire.access import FILE_OVERWRITE_IF
from ksmbd.wire.status import NtStatus
from tests.support.live import LiveServer

RAISE = """
import resource
from ksmbd.server import descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(descriptors.raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard"), [(256, 512), (512, 512)])
def test_the_limit_is_raised_to_what_may_be(soft: int, hard: int) -> None:
    command = [sys.executable, "-c", RAISE.format(soft=soft, hard=hard)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [str(hard)] * 3


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (10_000 + 256 + descriptors.RESERVE, False),
        (10_000 + 256 + descriptors.RESERVE - 1, True),
        (resource.RLIM_INFINITY, False),
    ],
)
def test_too_few_for_what_is_configured_are_told(
    limit: int, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    descriptors.check(10_000, 256, limit)
    assert bool(caplog.records) is told
    if told:
        assert "max open files = 10000" in caplog.text
        assert "LimitNOFILE" in caplog.text


@pytest.mark.parametrize(
    ("limit", "first"),
    [
        (1 << 20, (1 << 20) - descriptors.RESERVE),
        (1024, 1024 - descriptors.RESERVE),
        (256, 192),
        (resource.RLIM_INFINITY, sys.maxsize),
    ],
)
def test_some_are_kept_for_what_is_no_file(limit: int, first: int) -> None:
    assert descriptors.for_files(limit) == first


def test_clients_whose_files_have_taken_all_are_told_and_others_go_on(tmp_path: Path) -> None:
    """With 512 descriptors a quarter is kept for clients that come and for the server's own use."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nulimit -n 512\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with LiveServer(tmp_path / "server", python=str(python)) as server:
        kept = server.path() / "kept"
        kept.write_text("what is in it")
        greedy, link = connect(server)
        other, other_link = connect(server)
        before = other.open("before")
        held = 0
        while (status := greedy.status(greedy.frames.create(f"file{held}"))) is NtStatus.SUCCESS:
            held += 1
            assert held < 512
        assert status is NtStatus.TOO_MANY_OPENED_FILES
        assert held > 256, "far fewer than there are"
        overwriting = greedy.frames.create("kept", create_disposition=FILE_OVERWRITE_IF)
        assert greedy.status(overwriting) is NtStatus.TOO_MANY_OPENED_FILES
        assert kept.read_text() == "what is in it"
        # those who are there, those who come, mountd
        assert other.status(before.frames.write(b"goes on")) is NtStatus.SUCCESS
        assert other.status(other.frames.create("other")) is NtStatus.TOO_MANY_OPENED_FILES
        third, third_link = connect(server, share="share2")
        assert third.status(third.frames.echo()) is NtStatus.SUCCESS
        assert server.log_text().count("no more files are opened") == 1
        link.close()
        deadline = time.monotonic() + 60
        while other.status(other.frames.create("other")) is not NtStatus.SUCCESS:
            assert time.monotonic() < deadline, "the lost connection's files are not given back"
        for each in (other_link, third_link):
            each.close()
