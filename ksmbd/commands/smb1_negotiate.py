"""SMB_COM_NEGOTIATE as the way into SMB2, [MS-SMB2] 3.3.5.3."""

from __future__ import annotations

from ksmbd.state.connection import Connection
from ksmbd.state.dialects import agree, capabilities, response_for, set_sizes
from ksmbd.state.outbound import respond
from ksmbd.state.work import Answer, Reply, Work
from ksmbd.wire.base import WireError
from ksmbd.wire.header import Command, Header
from ksmbd.wire.negotiate import SIGNING_ENABLED, SMB_2_0_2, SMB_2_1, SMB_2_WILDCARD
from ksmbd.wire.smb1 import SMB_2_002, unpack_negotiate
from ksmbd.wire.smb1 import SMB_2_WILDCARD as WILDCARD_NAME
from ksmbd.wire.status import Disconnect


def negotiate(connection: Connection, frame: memoryview) -> None:
    """Answer "SMB 2.???" with 0x02FF, "SMB 2.002" with 0x0202, anything else with silence.

    The SMB1 request counts as message id 0 ([MS-SMB2] 3.3.5.3.1); after 0x02FF the client
    sends a real SMB2 NEGOTIATE.

    Raises Disconnect if the client offers no SMB2, or speaks SMB1 once more.
    """
    if connection.negotiated or connection.offered_wildcard:
        raise Disconnect("SMB1 after the negotiation")
    try:
        names = unpack_negotiate(frame)
    except WireError as malformed:
        raise Disconnect(str(malformed)) from None
    settings = connection.server.settings
    connection.consume(0, 1)
    if WILDCARD_NAME in names and settings.max_dialect >= SMB_2_1:
        revision = SMB_2_WILDCARD
        connection.offered_wildcard = True
        connection.server_security_mode = SIGNING_ENABLED
        connection.server_capabilities = capabilities(SMB_2_1, settings, 0)
        connection.dialect = SMB_2_1  # for the sizes; NEGOTIATE says which it will be
        set_sizes(connection, settings)
        connection.supports_multi_credit = False
    elif SMB_2_002 in names and settings.min_dialect <= SMB_2_0_2:
        revision = SMB_2_0_2
        agree(connection, SMB_2_0_2)
    else:
        raise Disconnect("it speaks SMB1 alone, or no SMB2 that server min protocol allows")
    _answer(connection, frame, revision)


def _answer(connection: Connection, frame: memoryview, revision: int) -> None:
    work = Work(connection, frame)
    reply = Reply(response_for(connection, revision), connection.server.negotiate_token)
    with connection.lock:
        credits = connection.window.grant(1)
    header = Header(command=Command.NEGOTIATE, message_id=0)
    work.answers.append(Answer(header, reply, credits, None, 0))
    respond(work)
