"""Class B: whoever fails to bind a session can do nothing with it, and the session does not notice.

CVE-2026-31476 let a wrong password end the victim's session; CVE-2026-31409 left the attacker's
connection able to find sessions that were not its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ksmbd.wire.header import SIGNED, Command
from ksmbd.wire.status import NtStatus
from tests.commands.test_session_setup_bind import (
    expired,
    first,
    forged,
    somebody_else,
    unfinished,
    unknown,
    unsigned,
    wrong_password,
)
from tests.support.client import Client
from tests.support.engine import Engine

DELETED = NtStatus.USER_SESSION_DELETED
ATTACKS = (unsigned, unknown, forged, unfinished, expired, somebody_else, wrong_password)


@pytest.fixture
def engine(folder: Path) -> Engine:
    return Engine(folder, multichannel=True)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("own", [False, True], ids=["without a session", "with one of its own"])
def test_a_failed_binding_opens_no_door(
    engine: Engine, attack: Callable[[Client, Client], NtStatus], own: bool
) -> None:
    victim = first(engine)
    file = victim.open("file")
    attacker = Client(engine)
    attacker.negotiate()
    if own:
        attacker.log_on("jane", "Secret!")
    assert attack(attacker, victim) != 0
    session_id = victim.frames.session_id
    engine.server.sessions[session_id].expiration_time = None
    attacker.sessions.pop(session_id, None)
    for flags in (0, SIGNED):
        for frame in (
            file.frames.read(1),
            file.frames.write(b"theirs"),
            file.frames.close(),
            victim.frames.tree_connect(),
            victim.frames.tree_disconnect(),
            victim.frames.open("file"),
            victim.frames.logoff(),
        ):
            frame.header.flags |= flags
            (response,) = attacker.send(frame.changed(sign=False))
            assert response.status is DELETED, (Command(frame.header.command), response)
    assert victim.status(file.frames.write(b"mine")) is NtStatus.SUCCESS
    assert victim.call(file.frames.read(10)).data == b"mine"
    assert len(engine.server.sessions[session_id].channels) == 1


def test_many_failed_bindings_leave_nothing(engine: Engine) -> None:
    victim = first(engine)
    for number in range(140):
        attacker = Client(engine)
        attacker.negotiate()
        ATTACKS[number % len(ATTACKS)](attacker, victim)
        engine.server.sessions[victim.frames.session_id].expiration_time = None
        attacker.lose()
        victim.receive()
    victim.lose()
    engine.assert_idle()
