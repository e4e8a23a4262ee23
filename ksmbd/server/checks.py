"""What every command must pass before its handler sees it, [MS-SMB2] 3.3.5.2.3 to 3.3.5.2.11.

One function per section, called in that order by dispatch for each command of a compound.
"""

from __future__ import annotations

from typing import Final, NoReturn

from ksmbd.commands.table import NOTHING, TREE, Spec
from ksmbd.state.connection import Connection
from ksmbd.state.session import Session, SessionState
from ksmbd.state.work import Work
from ksmbd.wire.base import Wire
from ksmbd.wire.header import (
    ANY_SESSION,
    ANY_TREE,
    ASYNC_COMMAND,
    HEADER_SIZE,
    RELATED_OPERATIONS,
    SERVER_TO_REDIR,
    SIGNED,
    Command,
    Header,
)
from ksmbd.wire.status import Disconnect, NtStatus, NtStatusError

_UNCOMMON: Final = RELATED_OPERATIONS | SIGNED
_VALID: Final = SessionState.VALID
_CREDIT: Final = 65536  # bytes that one credit pays for
_CLEAR: Final = frozenset((Command.NEGOTIATE, Command.SESSION_SETUP))  # even on sealed sessions


def header(work: Work) -> None:
    """3.3.5.2.6 and 3.3.5.2.3: what makes a header senseless whatever its command.

    Its message ids must be in the window, and are used up now.
    Raises Disconnect: this peer does not speak SMB2.
    """
    request = work.header
    connection = work.connection
    if request.flags & SERVER_TO_REDIR:
        raise Disconnect("a response where a request belongs")
    if not connection.negotiated and request.command != Command.NEGOTIATE:
        raise Disconnect(f"command {request.command} before NEGOTIATE")
    charge = request.credit_charge if connection.supports_multi_credit else 1
    connection.consume(request.message_id, charge or 1)


def common(work: Work, spec: Spec) -> bool:
    """What comes most: one command of its own, in clear, unsigned, on a valid session and tree.

    True: it has passed all that follows here.  False: nothing is decided, and nothing changed.
    """
    request = work.header
    connection = work.connection
    try:
        found = connection.sessions[request.session_id]
    except KeyError:
        return False
    if (
        request.flags & _UNCOMMON
        or found.state is not _VALID
        or found.signing_required
        or found.encrypt_data
        or work.sealed is not None
        or connection.number not in found.channels
    ):
        return False
    tree = None
    if spec.needs == TREE:
        try:
            tree = found.trees[request.tree_id]
        except KeyError:
            return False
        if not tree.connected or tree.encrypt_data:
            return False
    end = found.expiration_time
    if end is not None and spec.needs != NOTHING and work.server.clock() >= end:
        return False
    work.session = found
    work.tree = tree
    return True


def related(work: Work) -> None:
    """3.3.5.2.7.2: a related command inherits session and tree from the one before it.

    INVALID_PARAMETER   the first command of a compound has nobody to inherit from
    """
    request = work.header
    work.signer = None
    work.request_signed = False
    if not request.flags & RELATED_OPERATIONS:
        work.session = work.tree = None
        work.compound_open = work.compound_status = None
        return
    if work.number == 0:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "related to nothing")


def session(work: Work, spec: Spec) -> None:
    """3.3.5.2.9: find the session.

    USER_SESSION_DELETED   none with the id on this connection, or not logged on yet
    INVALID_PARAMETER      related to a command of another session, or of none
    """
    request = work.header
    if request.flags & RELATED_OPERATIONS:
        found = work.session
        if found is None and spec.needs != NOTHING:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, "no session to inherit")
        if found is not None and request.session_id not in (found.session_id, ANY_SESSION):
            raise NtStatusError(NtStatus.INVALID_PARAMETER, "another session in the compound")
    else:
        found = work.connection.sessions.get(request.session_id)
    work.session = found
    if spec.needs == NOTHING:
        return
    if found is None or found.state == SessionState.IN_PROGRESS:
        raise work.no_session(f"session {request.session_id:#x}")
    if work.connection.number not in found.channels:
        raise work.no_session("no channel on this connection")
    if work.connection.sessions.get(found.session_id) is not found:
        raise work.no_session("ended earlier in the compound")


def encryption(work: Work) -> None:
    """3.3.5.2.9: what must be encrypted is, and with the key of its own session.

    ACCESS_DENIED   in clear on an encrypted session, or sealed with the key of another one
    """
    found = work.session
    if found is None:
        return
    if work.sealed is not None:
        if found is not work.sealed:
            raise NtStatusError(NtStatus.ACCESS_DENIED, "sealed with the key of another session")
        found.was_sealed = True
    elif found.encrypt_data and work.header.command not in _CLEAR:
        _refuse_clear(work, found)


def _refuse_clear(work: Work, session: Session) -> NoReturn:
    """The refusal is sealed: what a session that is encrypted is told is, 3.3.4.1.4."""
    work.seal = session
    raise NtStatusError(NtStatus.ACCESS_DENIED, "unencrypted")


def expiry(work: Work, spec: Spec) -> None:
    """3.3.5.2.9, the rest: after the signature, so that the refusal is signed.

    NETWORK_SESSION_EXPIRED   its credentials have expired, or its encryption key is worn out,
                              and the command is not allowed then
    """
    if spec.needs == NOTHING:
        return
    found = work.the_session()
    end = found.expiration_time
    if end is not None and work.server.clock() >= end:
        found.state = SessionState.EXPIRED
    if work.sealed is not None and found.sealer is not None and found.sealer.spent:
        found.state = SessionState.EXPIRED
    if found.state == SessionState.EXPIRED and not spec.when_expired:
        raise NtStatusError(NtStatus.NETWORK_SESSION_EXPIRED, f"session {found.session_id:#x}")


def signature(work: Work, spec: Spec) -> None:
    """3.3.5.2.4: verify what is signed, insist where it must be, choose the key of the reply.

    ACCESS_DENIED          the signature is wrong, or missing where signing is required
    USER_SESSION_DELETED   signed, but by whom?
    """
    request = work.header
    found = work.session
    if work.sealed is not None or request.command == Command.NEGOTIATE:
        return
    if found is None or found.state == SessionState.IN_PROGRESS:
        if request.flags & SIGNED and spec.needs != NOTHING:
            raise NtStatusError(NtStatus.USER_SESSION_DELETED, "signed for no session")
        return
    signer = found.signer_on(work.connection)
    if signer is None:
        return
    if request.flags & SIGNED:
        work.signer = signer
        if not signer.verify(work.message, request.message_id):
            raise NtStatusError(NtStatus.ACCESS_DENIED, "wrong signature")
        work.request_signed = True
        if spec.needs == TREE:
            found.was_signed = True
    elif found.signing_required:
        work.signer = signer
        if spec.needs != NOTHING:
            raise NtStatusError(NtStatus.ACCESS_DENIED, "unsigned")


def tree(work: Work, spec: Spec) -> None:
    """3.3.5.2.11: find the tree connect.

    NETWORK_NAME_DELETED   the session has none with the id, or it is disconnected
    ACCESS_DENIED          in clear, and the share must be used encrypted
    """
    if spec.needs != TREE:
        return
    request = work.header
    inherits = request.flags & RELATED_OPERATIONS and request.tree_id == ANY_TREE
    found = work.tree if inherits else None
    if found is None:
        found = work.the_session().find_tree(request.tree_id)
    if not found.connected:
        raise NtStatusError(NtStatus.NETWORK_NAME_DELETED, f"tree {found.tree_id:#x}")
    work.tree = found
    if found.encrypt_data and work.sealed is None:
        _refuse_clear(work, found.session)


def body(work: Work, spec: Spec) -> Wire:
    """3.3.5.2.6: the fixed part, with the StructureSize of its command.

    INVALID_PARAMETER   another size, or a message too short for it
    """
    message = work.message
    if len(message) < HEADER_SIZE + 2:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "no body")
    size = message[HEADER_SIZE] | message[HEADER_SIZE + 1] << 8
    request = spec.request
    if size != request.STRUCTURE_SIZE:
        if spec.or_request is None or size != spec.or_request.STRUCTURE_SIZE:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, f"StructureSize {size}")
        request = spec.or_request
    return request.unpack(message, HEADER_SIZE)


def credit_charge(work: Work, spec: Spec) -> None:
    """3.3.5.2.5: large requests must have been paid for.

    INVALID_PARAMETER   the charge does not cover what is sent or asked for
    """
    if spec.payload is None or not work.connection.supports_multi_credit:
        return
    size = spec.payload(work.request)
    if size > (work.header.credit_charge or 1) * _CREDIT:
        raise NtStatusError(
            NtStatus.INVALID_PARAMETER, f"{size} bytes for {work.header.credit_charge} credits"
        )


def is_async(request: Header) -> bool:
    """Whether a CANCEL names an AsyncId rather than a MessageId."""
    return bool(request.flags & ASYNC_COMMAND)


def may_cancel(
    connection: Connection,
    frame: memoryview,
    request: Header,
    work: Work,
    sealed: Session | None = None,
) -> bool:
    """3.3.5.16: a CANCEL is its request's session's, and signed as 3.3.5.2.4 wants it.

    *sealed* is the session under whose key it came; what is encrypted is not cancelled in clear.
    One that is not right is ignored, for it has no reply.
    """
    asked = work.session.session_id if work.session else int.from_bytes(work.frame[40:48], "little")
    if asked != request.session_id:
        return False
    found = connection.sessions.get(asked)
    if sealed is not None:
        return sealed is found
    if work.sealed is not None or (found is not None and found.encrypt_data):
        return False
    signer = found.signer_on(connection) if found else None
    if found is None or signer is None:
        return True
    if request.flags & SIGNED:
        return signer.verify(frame, request.message_id, cancel=True)
    return not found.signing_required
