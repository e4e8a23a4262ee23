"""What the state needs from the floor above it: something to send with, to run on, to tell.

``ksmbd/server`` supplies TCP and threads; a test supplies a list and a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ksmbd.wire.base import Buffer

if TYPE_CHECKING:
    from ksmbd.state.open import Open
    from ksmbd.state.session import Session
    from ksmbd.state.tree import TreeConnect
    from ksmbd.state.work import Reply, Work
    from ksmbd.wire.status import NtStatus, NtStatusError


class Transport(Protocol):
    """One stream connection to a client."""

    peer: str  # the client's address as text, without the port
    local: str  # our own address as text

    def send(self, parts: Sequence[Buffer]) -> None:
        """Write the parts in order, as one or several whole frames, lengths included.

        Serialized by the transport's own lock.  Never raises: a connection that cannot be
        written is closed, and its reader notices.
        """

    def resent(self) -> int | None:
        """How often TCP has sent again what the client has not acknowledged; None: it has all."""

    def abort(self) -> None:
        """As :meth:`close`, for a client that seems to be gone: nothing more is sent to it."""

    def close(self) -> None:
        """Drop the connection; the reader ends and cleans up.  Safe to call twice."""


class Cancellable(Protocol):
    """A timer that has not fired yet."""

    def cancel(self) -> object: ...


class Scheduler(Protocol):
    """The kworkers and the clockwork."""

    def run(self, fn: Callable[..., Any], *args: Any) -> None:
        """Have a kworker call ``fn(*args)`` soon."""

    def call_later(self, seconds: float, fn: Callable[..., Any], *args: Any) -> Cancellable:
        """Call ``fn(*args)`` after *seconds*, from a thread that must not be held up."""


class Audit(Protocol):
    """What is told of log-ons and tree connects, to be recorded."""

    def logged_on(self, session: Session, client: str, how: str) -> None:
        """*how*: it has begun, got another channel, or its user has logged on again."""

    def logon_refused(self, user: str, client: str, refused: NtStatusError) -> None:
        """*user* is the name that was given, as far as one was."""

    def logged_off(self, session: Session) -> None:
        """The session has ended, for whatever reason."""

    def connected(self, tree: TreeConnect, client: str) -> None: ...

    def connect_refused(self, session: Session, share: str, client: str, status: NtStatus) -> None:
        """*share* is the name that was asked for."""


class AuditedTree(Protocol):
    """What is told of a tree connect that an audit log records."""

    def ended(self, tree: TreeConnect) -> None: ...


class AuditedOpen(Protocol):
    """What is told of an open that an audit log records."""

    def ended(self, open: Open) -> None: ...

    def deleted(
        self, path: str, status: NtStatus, *, directory: bool, kept: str | None = None
    ) -> None:
        """What this open had deleted is gone, or kept in the recycle bin; or *status* says why not.

        Both names are share-relative.
        """


class Observed(Protocol):
    """What is told of a request while somebody measures, records or traces requests."""

    def answered(self, work: Work, reply: Reply) -> None:
        """A command of it has its answer, which is not sent yet."""

    def parks(self) -> None:
        """It leaves its thread until something happens; nobody else runs it yet."""

    def stays(self) -> None:
        """It does not after all."""

    def go_on(self, work: Work, run: Callable[..., None], *args: Any) -> None:
        """Call ``run(*args)``, in which it goes on after it has waited."""
