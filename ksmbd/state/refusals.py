"""Refusals that the administrator can do something about: said in the log, but not every time.

A client that may not come in tries again and again.  Of one reason one line a minute is written
for each client, and the next says how many were left out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from ksmbd.wire.marked import Account, ShareName
from ksmbd.wire.negotiate import DIALECT_NAMES, SMB_3_0
from ksmbd.wire.policy import Encryption
from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.state.connection import Connection
    from ksmbd.state.session import Session

log = logging.getLogger("ksmbd.auth")

QUIET_S: Final = 60.0  # between two lines of one client and one reason
ROOM: Final = 1024  # clients and reasons that are remembered; then the oldest are forgotten

NO_ACCOUNT: Final = "give its users accounts"


class Refusals:
    """What was said lately."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._said: dict[tuple[str, str], tuple[float, int]] = {}  # by self._lock; when, and since

    def due(self, client: str, why: str) -> int | None:
        """None: it was said lately.  Else how often it has happened since without being said."""
        now = self._clock()
        with self._lock:
            when, since = self._said.get((client, why), (None, 0))
            if when is not None and 0 <= now - when < QUIET_S:
                self._said[client, why] = when, since + 1
                return None
            self._said.pop((client, why), None)
            self._said[client, why] = now, 0
            if len(self._said) > ROOM:
                del self._said[next(iter(self._said))]
            return since

    def __len__(self) -> int:
        return len(self._said)


def refused(
    connection: Connection,
    status: NtStatus,
    why: str,
    *,
    session: Session | None = None,
    share: str = "",
) -> NtStatusError:
    """The error to raise.  The log says whom it meets, *why*, and what to do, as *why* ends."""
    client = connection.peer
    at = f" at {share}" if share else ""
    missed = connection.server.refusals.due(client, at + why)
    if missed is not None:
        more = f" ({missed} more like it meanwhile)" if missed else ""
        user = session.account if session is not None else ""
        about = {Account.FIELD: user} if user else {}
        if share:
            about[ShareName.FIELD] = share
        whom = f" {user}" if user else ""
        log.warning("%s:%s refused%s: %s%s", client, whom, at, why, more, extra=about)
    return NtStatusError(status, why)


def not_encrypted(
    connection: Connection, wanted: str, *, session: Session | None = None, share: str = ""
) -> NtStatusError:
    """ACCESS_DENIED   encryption is demanded by the parameter *wanted*, and there can be none"""
    why = _no_encryption(connection, wanted, session)
    return refused(connection, NtStatus.ACCESS_DENIED, why, session=session, share=share)


def no_dialect(connection: Connection, offered: Iterable[int]) -> NtStatusError:
    """NOT_SUPPORTED   what the client speaks is not allowed here"""
    settings = connection.server.settings
    known = [DIALECT_NAMES[each] for each in sorted(offered) if each in DIALECT_NAMES]
    theirs = ", ".join(known) or "of another time"
    least, most = DIALECT_NAMES[settings.min_dialect], DIALECT_NAMES[settings.max_dialect]
    why = (
        f"the client speaks SMB {theirs}; "
        f"server min protocol and server max protocol allow {least} to {most}"
    )
    return refused(connection, NtStatus.NOT_SUPPORTED, why)


def _no_encryption(connection: Connection, wanted: str, session: Session | None) -> str:
    """Why nothing can be encrypted, and what to do about that."""
    if session is not None and (session.is_guest or session.is_anonymous):
        return (
            f"guests cannot encrypt, and {wanted} = required; "
            f"{NO_ACCOUNT}, or say {wanted} = desired"
        )
    if connection.server.settings.encryption == Encryption.OFF:
        return (
            f"smb3 encryption = off, and {wanted} = required; "
            f"say smb3 encryption = auto, or {wanted} = desired"
        )
    if connection.dialect < SMB_3_0:
        name = DIALECT_NAMES[connection.dialect]
        return (
            f"the client speaks SMB {name}, which cannot encrypt, and {wanted} = required; "
            f"have it speak SMB 3, or say {wanted} = desired"
        )
    return (
        f"the client has no encryption, or none that is allowed here, and {wanted} = required; "
        f"see server smb3 encryption algorithms, or say {wanted} = desired"
    )
