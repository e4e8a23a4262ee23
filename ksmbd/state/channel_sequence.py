"""ChannelSequence, [MS-SMB2] 3.3.5.2.10: what a client sends again must not be overtaken.

A client that has lost a channel sends what was not answered once more over another one, with
SMB2_FLAGS_REPLAY_OPERATION and the next ChannelSequence.  The first copy may still be at work
here, or wait in a queue; were it to end after the second, it would undo what came later.  So

    an older sequence than the open's        WRITE, SET_INFO, IOCTL are refused
    a replay while older requests are under way    likewise: the client tries again
    a newer sequence                         becomes the open's

Open.OutstandingRequestCount is ``users`` and ``parked`` without those that have another sequence
than the open, which are OutstandingPreRequestCount, and without those on their way, whose sequence
nobody has looked at yet.  All of it is guarded by ``Open.lock``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ksmbd.wire.header import REPLAY, Command
from ksmbd.wire.negotiate import SMB_3_0
from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.state.open import Open
    from ksmbd.state.work import Work

_FARTHEST: Final = 0x7FFF  # ahead of the open's sequence; what is farther is behind it
_MODIFYING: Final = frozenset((Command.WRITE, Command.SET_INFO, Command.IOCTL))


def verify(work: Work, open: Open) -> None:
    """Look at a request whose sequence is not the open's, or that is a replay.

    FILE_NOT_AVAILABLE   it is older than the open's, or a replay that must wait
    """
    if work.connection.dialect < SMB_3_0:
        return
    request = work.header
    sequence = request.channel_sequence
    with open.lock:
        ahead = (sequence - open.channel_sequence) & 0xFFFF
        if 0 < ahead <= _FARTHEST:
            open.channel_sequence = sequence
            open.outstanding_pre_request_count = _under_way(open)
        early = request.flags & REPLAY and open.outstanding_pre_request_count
    # Who has waited was let in already; that it is older now is what the others wait for.
    if (early or ahead > _FARTHEST) and request.command in _MODIFYING and work.wake is None:
        raise NtStatusError(
            NtStatus.FILE_NOT_AVAILABLE, f"channel sequence {sequence}, {ahead} ahead"
        )


def _under_way(open: Open) -> int:
    """Commands at work on it, or waiting.  Caller holds its lock."""
    return open.users - open.reserved + open.parked


def begin_again(open: Open, sequence: int) -> None:
    """A client has come back for its open, with a session of its own *sequence*.

    One that begins at 0 again could be behind the former for good.
    """
    with open.lock:
        if sequence != open.channel_sequence:
            open.channel_sequence = sequence
            open.outstanding_pre_request_count = _under_way(open)


def wait(work: Work, held: list[Open]) -> None:
    """The command goes to wait, and is outstanding even so."""
    sequence = work.header.channel_sequence
    for open in held:
        with open.lock:
            open.parked += 1
            if sequence != open.channel_sequence:
                open.outstanding_pre_request_count += 1
    work.parked = [(open, sequence) for open in held]


def go_on(work: Work) -> None:
    """The command has done what it waited for, or given up."""
    parked, work.parked = work.parked, []
    for open, sequence in parked:
        with open.lock:
            open.parked -= 1
            if sequence != open.channel_sequence:
                open.outstanding_pre_request_count -= 1
