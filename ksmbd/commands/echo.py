"""SMB2 ECHO, [MS-SMB2] 3.3.5.17."""

from __future__ import annotations

from ksmbd.state.work import Reply, Work
from ksmbd.wire.echo import EchoRequest, EchoResponse


def echo(work: Work, req: EchoRequest) -> Reply:
    """Say that we are here; needs no session."""
    return Reply(EchoResponse())
