"""Limits at run time: ``ksmbd-control limits``."""

from __future__ import annotations

from typing import Any

import pytest

from ksmbd.server import limits
from ksmbd.server.listener import Admission
from ksmbd.wire.status import NtStatus
from tests.support.client import ready
from tests.support.engine import Engine


def row(engine: Engine, admission: Admission, name: str) -> tuple[Any, Any]:
    rows = {row["name"]: row for row in limits.shown(engine.server, admission)}
    assert list(rows) == list(limits.LIMITS)
    return rows[name]["limit"], rows[name]["now"]


def test_what_there_is_is_told_with_what_there_may_be(engine: Engine) -> None:
    admission = Admission()
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.2"):
        assert admission.admit(address) is None
    client = ready(engine)
    engine.make_file("a")
    client.open("a")
    assert row(engine, admission, "max connections")[1] == 3
    assert row(engine, admission, "max ip connections")[1] == 2
    assert row(engine, admission, "max active sessions")[1] == 1
    assert row(engine, admission, "max user sessions")[1] == 1
    assert row(engine, admission, "max open files") == (10000, 1)
    assert row(engine, admission, "deadtime") == (0, None)


def test_a_change_holds_at_once(engine: Engine) -> None:
    admission = Admission()
    client = ready(engine)
    engine.make_file("a")
    client.open("a")
    wanted = {"max open files": 1, "max connections": 1, "max active sessions": 1, "deadtime": 5}
    limits.change(engine.server, admission, wanted)
    assert client.status(client.frames.open("a")) is NtStatus.TOO_MANY_OPENED_FILES
    assert admission.admit("192.0.2.1") is None
    assert admission.admit("192.0.2.2") is not None
    assert engine.server.settings.deadtime_s == 300
    assert row(engine, admission, "deadtime") == (5, None)


@pytest.mark.parametrize(
    "wrong",
    [{"max files": 1}, {"max open files": 0}, {"max open files": 65537}, {"deadtime": "5"},
     {"max open files": True}],
)  # fmt: skip
def test_a_wrong_one_changes_nothing(engine: Engine, wrong: dict[str, Any]) -> None:
    before = engine.server.settings
    with pytest.raises(ValueError, match=next(iter(wrong))):
        limits.change(engine.server, Admission(), {"max connections": 5, **wrong})
    assert engine.server.settings == before
