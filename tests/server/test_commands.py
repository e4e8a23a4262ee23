"""The table of commands behind the control socket."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import ksmbd
from ksmbd import compiled, interpreter
from ksmbd.ipc.requests import ShareEntry
from ksmbd.server.commands import Commands
from ksmbd.server.control import ControlError
from ksmbd.server.pool import Pool
from ksmbd.wire.status import NtStatus, NtStatusError


class FakeDaemon:
    def __init__(self) -> None:
        self.state = "running"
        self.port = 4450
        self.server = None
        self.clients = None
        self.watching = None
        self.pool = Pool(4)
        self.options = SimpleNamespace(with_mountd=False, direct_dispatch=True)
        self.mountd = SimpleNamespace(connected=True, shares=lambda: [ShareEntry("m", "c", 2)])
        self.orders: list[Any] = []

    def order_stop(self, status: int, reason: str) -> None:
        self.orders.append(("stop", status))

    def order_reload(self) -> None:
        self.orders.append("reload")


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


def ask(daemon: FakeDaemon, command: str, **arguments: Any) -> Any:
    return Commands(daemon).table()[command](arguments)  # type: ignore[arg-type]


def test_version_and_stats(daemon: FakeDaemon) -> None:
    assert ask(daemon, "version") == ksmbd.__version__
    assert ask(daemon, "stats") == "2 running 4450 0"
    daemon.mountd.connected = False
    assert ask(daemon, "stats") == "2 running 4450 -1"


def test_debug_lists_and_switches(daemon: FakeDaemon) -> None:
    before = ask(daemon, "debug")
    assert "oplock" in before
    assert ask(daemon, "debug", component="oplock") != before
    assert ask(daemon, "debug", component="oplock") == before
    with pytest.raises(ControlError, match="unknown component"):
        ask(daemon, "debug", component="everything")


def test_before_mountd_has_come_the_status_is_short(daemon: FakeDaemon) -> None:
    assert ask(daemon, "status") == {
        "version": ksmbd.__version__,
        "python": interpreter.describe(),
        "compiled": compiled.count(),
        "state": "running",
        "port": 4450,
        "mountd": True,
    }


def test_the_pool_shows_figures_and_takes_a_maximum(daemon: FakeDaemon) -> None:
    assert ask(daemon, "pool")["max_workers"] == 4
    assert ask(daemon, "pool", max_workers=9)["max_workers"] == 9
    for wrong in (0, -1, 1025, "8", 2.5, [1]):
        with pytest.raises(ControlError, match="1 to 1024"):
            ask(daemon, "pool", max_workers=wrong)
    assert daemon.pool.max_workers == 9


def test_list_asks_mountd(daemon: FakeDaemon) -> None:
    assert ask(daemon, "list") == [{"name": "m", "comment": "c", "flags": 2}]

    def away() -> list[ShareEntry]:
        raise NtStatusError(NtStatus.NO_LOGON_SERVERS, "away")

    daemon.mountd.shares = away
    with pytest.raises(ControlError, match="mountd is not there"):
        ask(daemon, "list")


def test_reload_is_for_a_mountd_that_is_our_child(daemon: FakeDaemon) -> None:
    with pytest.raises(ControlError, match="SIGHUP"):
        ask(daemon, "reload")
    daemon.options.with_mountd = True
    assert ask(daemon, "reload") == "reloading"
    assert daemon.orders == ["reload"]


def test_kill_must_be_meant(daemon: FakeDaemon) -> None:
    for wrong in ({}, {"how": "soft"}, {"how": True}):
        with pytest.raises(ControlError):
            ask(daemon, "kill", **wrong)
    assert daemon.orders == []
    assert ask(daemon, "kill", how="hard") == "shutting down"
    assert daemon.orders == [("stop", 0)]


@pytest.mark.parametrize(
    "request_",
    [{}, {"what": "session"}, {"what": "share", "id": 1}, {"what": "file", "id": "1"},
     {"what": 7, "id": 1}],
)  # fmt: skip
def test_what_to_close_must_be_said_well(daemon: FakeDaemon, request_: dict[str, Any]) -> None:
    with pytest.raises(ControlError, match="close what"):
        ask(daemon, "close", **request_)


@pytest.mark.parametrize("what", ["connection", "session", "file"])
def test_what_is_not_there_cannot_be_closed(daemon: FakeDaemon, what: str) -> None:
    with pytest.raises(ControlError, match=f"there is no {what} 0x1f"):
        ask(daemon, "close", what=what, id=31)
