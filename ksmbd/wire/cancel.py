"""SMB2 CANCEL, [MS-SMB2] 2.2.30; it has no response."""

from __future__ import annotations

from ksmbd.wire.base import Wire, u16, wire


@wire(structure_size=4)
class CancelRequest(Wire):
    """SMB2 CANCEL Request, [MS-SMB2] 2.2.30."""

    reserved: u16 = 0
