"""How many descriptors the server takes, and what it says if they are few."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from ksmbd.server import descriptors

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
