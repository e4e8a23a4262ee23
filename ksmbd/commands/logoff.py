"""SMB2 LOGOFF, [MS-SMB2] 3.3.5.6."""

from __future__ import annotations

from ksmbd.state.work import Reply, Work
from ksmbd.wire.logoff import LogoffRequest, LogoffResponse


def logoff(work: Work, req: LogoffRequest) -> Reply:
    """End the session on all its channels; the reply is still signed with its key.

    Durable opens wait for their client, as Windows has it: smb2.durable-open.reopen4.

    USER_SESSION_DELETED   there is no such session any more, from checks
    """
    session = work.the_session()
    work.server.end_session(session, preserve=True)
    return Reply(LogoffResponse())
