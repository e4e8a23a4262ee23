"""SMB2 LOGOFF, [MS-SMB2] 2.2.7 and 2.2.8."""

from __future__ import annotations

from ksmbd.wire.base import Wire, u16, wire


@wire(structure_size=4)
class LogoffRequest(Wire):
    """SMB2 LOGOFF Request, [MS-SMB2] 2.2.7."""

    reserved: u16 = 0


@wire(structure_size=4)
class LogoffResponse(Wire):
    """SMB2 LOGOFF Response, [MS-SMB2] 2.2.8."""

    reserved: u16 = 0
