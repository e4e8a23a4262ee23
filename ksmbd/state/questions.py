"""Breaks that wait for an answer, and the connection that each was asked over.

    asked --answered, closed, 35 seconds--> over
          --connection lost---------------> asked over another channel, if the session has one
          --sent again and again by TCP---> the connection is dropped: likewise

[MS-SMB2] 3.3.4.6 and 3.3.4.7 have a notification that cannot be sent go over another channel.  A
dead path shows only when TCP gives up, after half a minute, which is long for who waits.  So
where the session has another channel, a peer that has not acknowledged the message after some
attempts of TCP is taken for gone.  The last channel is left to TCP: with it would go what the
session has open.  The 35 seconds run from the first question.

``Connection.questions`` is guarded by that connection's lock; a break is in one of them at most.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ksmbd.state.oplock import TIMEOUT_S
from ksmbd.state.tally import Event, Tally

if TYPE_CHECKING:
    from ksmbd.state.connection import Connection
    from ksmbd.state.holder import Break, Holder, Message
    from ksmbd.state.transport import Scheduler

log = logging.getLogger("ksmbd.oplock")

LOOK_S: Final = 2.0  # how often TCP is asked whether the peer has the message
MAX_RESENT: Final = 3  # attempts; TCP waits twice as long for each, from 0.2 seconds in a LAN


class Questions:
    """All of a server; *send* finds another way for a message."""

    def __init__(self, scheduler: Scheduler, send: Callable[[Message], None], tally: Tally) -> None:
        self._scheduler = scheduler
        self._tally = tally
        self._send = send

    def ask(self, message: Message, connection: Connection) -> bool:
        """Remember, before it is sent, that it goes over *connection*; False if that is lost."""
        if not self._remember(message, connection):
            return False
        self._tally.count(Event.BREAK, message.holder.kind.name.lower())
        return True

    def unanswered(self, holder: Holder) -> None:
        """The time for an answer is over, or there is nobody to ask."""
        log.info("%s: a break was not answered within %d s", holder, TIMEOUT_S)
        self._tally.count(Event.BREAK_UNANSWERED, holder.kind.name.lower())

    def _remember(self, message: Message, connection: Connection) -> bool:
        pending = message.holder.pending
        if pending is None:  # nobody is to answer
            return not connection.closed
        withdraw(pending)
        with connection.lock:
            if connection.closed:
                return False
            connection.questions[pending] = message
            pending.way = connection
        if pending.over.fired:
            withdraw(pending)
        elif _has_another_way(message):
            self._scheduler.call_later(LOOK_S, self._look, pending, message, connection)
        return True

    def lost(self, connection: Connection) -> None:
        """Ask again what was asked over *connection*, which is closed."""
        with connection.lock:
            questions, connection.questions = connection.questions, {}
        for pending, message in questions.items():
            if not pending.over.fired:
                log.debug("%s: asked again", message.holder)
                self._send(message)

    def _look(self, pending: Break, message: Message, connection: Connection) -> None:
        """From the clockwork, until the peer has the message or is taken for gone."""
        if pending.way is not connection or connection.closed or pending.over.fired:
            return
        resent = connection.transport.resent()
        if resent is None:
            return
        if resent >= MAX_RESENT and _has_another_way(message):  # the other may be lost by now
            log.info("%s: gone: a break is not acknowledged", connection.peer)
            connection.transport.abort()
            return
        self._scheduler.call_later(LOOK_S, self._look, pending, message, connection)


def _has_another_way(message: Message) -> bool:
    return any(len(open.session.channels) > 1 for open in message.opens)


def withdraw(pending: Break) -> None:
    """Nobody waits for the answer, or it is asked for over another connection."""
    connection, pending.way = pending.way, None
    if connection is not None:
        with connection.lock:
            connection.questions.pop(pending, None)
