"""FSCTLs about the connection itself, [MS-SMB2] 3.3.5.15.11 and .12."""

from __future__ import annotations

from ksmbd.state.dialects import common_dialect
from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.wire.fsctl import (
    ValidateNegotiateInfoRequest,
    ValidateNegotiateInfoResponse,
    pack_interfaces,
)
from ksmbd.wire.negotiate import CAP_MULTI_CHANNEL, SMB_3_1_1, unpack_dialects
from ksmbd.wire.status import Disconnect, NtStatus, NtStatusError


def validate_negotiate_info(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """Say again what was negotiated, signed this time, [MS-SMB2] 3.3.5.15.12.

    INVALID_PARAMETER   the answer is longer than *limit*

    Drops the connection if anything differs from the NEGOTIATE that arrived (somebody changed
    it on the way), and on 3.1.1, where preauthentication integrity does this work.
    """
    connection = work.connection
    if connection.dialect == SMB_3_1_1:
        raise Disconnect("VALIDATE_NEGOTIATE_INFO on 3.1.1")
    said = ValidateNegotiateInfoRequest.unpack(data)
    dialects = unpack_dialects(data[said.SIZE :], said.dialect_count)
    try:
        dialect = common_dialect(work.server.settings, dialects)
    except NtStatusError:
        dialect = 0
    if (
        said.guid != connection.client_guid
        or said.security_mode != connection.client_security_mode
        or said.capabilities != connection.client_capabilities
        or dialect != connection.dialect
    ):
        raise Disconnect("what was negotiated is not what the client asked for")
    if limit < ValidateNegotiateInfoResponse.SIZE:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"{limit} bytes")
    answer = ValidateNegotiateInfoResponse(
        capabilities=connection.server_capabilities,
        guid=work.server.guid,
        security_mode=connection.server_security_mode,
        dialect=connection.dialect,
    )
    return answer.pack(), NtStatus.SUCCESS


def query_network_interface_info(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """Say where else the client may connect to, [MS-SMB2] 3.3.5.15.11.

    NOT_SUPPORTED      multichannel was not agreed on
    BUFFER_TOO_SMALL   the answer is longer than *limit*
    """
    connection = work.connection
    if not connection.server_capabilities & CAP_MULTI_CHANNEL:
        raise NtStatusError(NtStatus.NOT_SUPPORTED, "no multichannel")
    answer = pack_interfaces(work.server.interfaces(connection.transport.local))
    if len(answer) > limit:
        raise NtStatusError(NtStatus.BUFFER_TOO_SMALL, f"{len(answer)} bytes in {limit}")
    return answer, NtStatus.SUCCESS
