"""The families of metrics, and that their document names each."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from ksmbd.server import exposition, metrics
from ksmbd.server.counters import READ, Counters
from ksmbd.server.listener import Admission
from ksmbd.server.metrics import FAMILIES, Sources
from ksmbd.server.pool import Pool
from ksmbd.state.tally import Event
from ksmbd.wire.header import Command
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, ready
from tests.support.engine import Engine

DOCUMENT = Path(__file__).parents[2] / "docs/metrics.md"
SECONDS_AND_BYTES = re.compile(r"(_total|_seconds|_bytes)$")


def sources(engine: Engine) -> Sources:
    """An engine's server, with a client for each connection."""

    def clients() -> list[Any]:
        transport = SimpleNamespace(slow=False)
        return [
            SimpleNamespace(connection=connection, transport=transport)
            for connection in engine.server.connections.values()
        ]

    admission = Admission(total=1)
    assert admission.admit("192.0.2.1") is None
    assert admission.admit("192.0.2.2") is not None
    table = cast(Any, SimpleNamespace(all=clients))
    return Sources(engine.server, table, admission, Pool(3), lambda: True)


def read(engine: Engine, counted: Counters | None = None) -> dict[tuple[str, str], float]:
    """Every sample by its name and its first label but ``le``."""
    text = exposition.text(metrics.families(sources(engine), counted or Counters()))
    return {
        (sample.name, next((v for k, v in sample.labels.items() if k != "le"), "")): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def test_what_is_there_is_told(engine: Engine) -> None:
    client = ready(engine)
    client.open("a")
    found = read(engine)
    assert found["ksmbd_connections", ""] == 1
    assert found["ksmbd_connections_accepted_total", ""] == 1
    assert found["ksmbd_connections_refused_total", ""] == 1
    assert found["ksmbd_sessions", ""] == 1
    assert found["ksmbd_logons_total", ""] == 1
    assert found["ksmbd_tree_connects", "data"] == 1
    assert found["ksmbd_opens", ""] == 1
    assert found["ksmbd_workers_limit", ""] == 3
    assert found["ksmbd_mountd_connected", ""] == 1
    assert found["process_open_fds", ""] > 3
    assert found["process_resident_memory_bytes", ""] > 1 << 20
    assert found["process_start_time_seconds", ""] > 1_000_000_000


def test_what_was_counted_is_told(engine: Engine) -> None:
    counted = Counters()
    counted.request(Command.READ, 200_000_000, 0)
    counted.request(Command.CREATE, 1_000, NtStatus.ACCESS_DENIED)
    counted.request(Command.SESSION_SETUP, 1_000, NtStatus.MORE_PROCESSING_REQUIRED)
    counted.share("data")[READ] = 77
    found = read(engine, counted)
    assert found["ksmbd_request_duration_seconds_count", "read"] == 1
    assert found["ksmbd_request_duration_seconds_sum", "read"] == 0.2
    assert found["ksmbd_share_read_bytes_total", "data"] == 77
    errors = {label: value for (name, label), value in found.items() if "errors" in name}
    assert errors == {"ACCESS_DENIED": 1}  # a step of a log-on is none


def refusals(engine: Engine) -> dict[str, int]:
    return engine.server.tally.of(Event.LOG_ON_FAILED)


@pytest.mark.parametrize(
    ("user", "password", "reason"),
    [("joe", "wrong", "wrong password"), ("nobody knows", "x", "unknown user")],
)
def test_refused_log_ons_are_told_apart(
    engine: Engine, user: str, password: str, reason: str
) -> None:
    client = Client(engine)
    client.negotiate()
    with pytest.raises(AssertionError):
        client.log_on(user, password)
    engine.advance(60)
    assert refusals(engine) == {reason: 1}


def test_a_break_is_counted_by_its_kind(engine: Engine) -> None:
    one, two = ready(engine), ready(engine)
    engine.make_file("a", b"x")
    one.open("a", requested_oplock_level=9)
    two.send(two.frames.open("a"))
    assert engine.server.tally.of(Event.BREAK) == {"oplock": 1}
    engine.advance(60)
    assert engine.server.tally.of(Event.BREAK_UNANSWERED) == {"oplock": 1}


def test_the_document_names_every_metric_and_no_other() -> None:
    told = re.findall(r"^\| `(\w+)`", DOCUMENT.read_text(), re.M)
    assert told == [row.name for row in FAMILIES]


def test_names_and_kinds_are_as_prometheus_wants_them() -> None:
    for row in FAMILIES:
        assert re.fullmatch(r"(ksmbd|process)_[a-z_]+", row.name)
        assert row.name.endswith("_total") == (row.kind == "counter"), row.name
        assert row.help.endswith(".")
