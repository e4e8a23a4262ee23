"""SMB2 ECHO, [MS-SMB2] 2.2.28 and 2.2.29."""

from __future__ import annotations

from ksmbd.wire.base import Wire, u16, wire


@wire(structure_size=4)
class EchoRequest(Wire):
    """SMB2 ECHO Request, [MS-SMB2] 2.2.28."""

    reserved: u16 = 0


@wire(structure_size=4)
class EchoResponse(Wire):
    """SMB2 ECHO Response, [MS-SMB2] 2.2.29."""

    reserved: u16 = 0
