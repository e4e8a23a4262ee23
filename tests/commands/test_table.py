"""commands/table.py: the rows against the specification."""

from __future__ import annotations

import pytest

from ksmbd.commands.table import COMMANDS, NOTHING, SESSION, TREE
from ksmbd.wire.header import Command

SIZES = {
    Command.NEGOTIATE: 36,
    Command.SESSION_SETUP: 25,
    Command.LOGOFF: 4,
    Command.TREE_CONNECT: 9,
    Command.TREE_DISCONNECT: 4,
    Command.CREATE: 57,
    Command.CLOSE: 24,
    Command.FLUSH: 24,
    Command.READ: 49,
    Command.WRITE: 49,
    Command.LOCK: 48,
    Command.IOCTL: 57,
    Command.ECHO: 4,
    Command.QUERY_DIRECTORY: 33,
    Command.CHANGE_NOTIFY: 32,
    Command.QUERY_INFO: 41,
    Command.SET_INFO: 33,
    Command.OPLOCK_BREAK: 24,
}


def test_every_command_but_cancel_has_a_row() -> None:
    assert set(COMMANDS) == set(Command) - {Command.CANCEL}


@pytest.mark.parametrize(("command", "size"), SIZES.items())
def test_structure_sizes(command: Command, size: int) -> None:
    assert size == COMMANDS[command].request.STRUCTURE_SIZE


def test_a_lease_acknowledgment_has_a_size_of_its_own() -> None:
    other = COMMANDS[Command.OPLOCK_BREAK].or_request
    assert other is not None
    assert other.STRUCTURE_SIZE == 36
    assert [c for c, spec in COMMANDS.items() if spec.or_request] == [Command.OPLOCK_BREAK]


def test_who_needs_a_session_and_who_a_tree() -> None:
    needs = {level: {c for c, s in COMMANDS.items() if s.needs == level} for level in range(3)}
    assert needs[NOTHING] == {Command.NEGOTIATE, Command.SESSION_SETUP, Command.ECHO}
    assert needs[SESSION] == {Command.LOGOFF, Command.TREE_CONNECT}
    assert len(needs[TREE]) == len(COMMANDS) - 5


def test_whose_charge_covers_a_payload() -> None:
    """[MS-SMB2] 3.3.5.2.5."""
    assert {c for c, spec in COMMANDS.items() if spec.payload} == {
        Command.READ,
        Command.WRITE,
        Command.IOCTL,
        Command.QUERY_DIRECTORY,
        Command.CHANGE_NOTIFY,
        Command.QUERY_INFO,
        Command.SET_INFO,
    }


def test_what_an_expired_session_may_do() -> None:
    """Log on again, and end things; but no tree: smb2.session.expire2s.  LOCK looks itself."""
    assert {c for c, spec in COMMANDS.items() if spec.when_expired} == {
        Command.SESSION_SETUP,
        Command.LOGOFF,
        Command.CLOSE,
        Command.LOCK,
    }
