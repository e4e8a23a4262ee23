"""What follows from a dialect: capabilities and sizes, [MS-SMB2] 3.3.5.4."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ksmbd.state.connection import Connection
from ksmbd.state.settings import Settings, SigningPolicy
from ksmbd.wire.negotiate import (
    AES_128_CCM,
    AES_CMAC,
    CAP_DIRECTORY_LEASING,
    CAP_ENCRYPTION,
    CAP_LARGE_MTU,
    CAP_LEASING,
    CAP_MULTI_CHANNEL,
    CAP_PERSISTENT_HANDLES,
    SIGNING_ENABLED,
    SIGNING_REQUIRED,
    SMB_2_0_2,
    SMB_2_1,
    SMB_3_0,
    SMB_3_0_2,
    SMB_3_1_1,
    NegotiateResponse,
)
from ksmbd.wire.policy import Encryption
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import filetime_from_ns

DIALECTS: Final = (SMB_3_1_1, SMB_3_0_2, SMB_3_0, SMB_2_1, SMB_2_0_2)  # best first

_SMALL: Final = 65536  # all sizes without multi-credit operations


def common_dialect(settings: Settings, offered: Iterable[int]) -> int:
    """The best dialect both sides have.

    NOT_SUPPORTED   there is none
    """
    wanted = set(offered)
    for dialect in DIALECTS:
        if dialect in wanted and settings.min_dialect <= dialect <= settings.max_dialect:
            return dialect
    raise NtStatusError(NtStatus.NOT_SUPPORTED, f"dialects {sorted(map(hex, wanted))}")


def capabilities(dialect: int, settings: Settings, offered: int) -> int:
    """Only what there is something behind; of what 3.0 brought, only what the client *offered*."""
    if dialect < SMB_2_1:
        return 0
    found = CAP_LARGE_MTU
    if settings.multichannel and dialect >= SMB_3_0:
        found |= offered & CAP_MULTI_CHANNEL
    if settings.leases:
        found |= CAP_LEASING
        if dialect >= SMB_3_0:
            found |= offered & CAP_DIRECTORY_LEASING
    if settings.persistent_handles and dialect >= SMB_3_0:
        found |= offered & CAP_PERSISTENT_HANDLES
    return found


def common_cipher(settings: Settings, offered: Sequence[int]) -> int:
    """The cipher that the server likes best among what the client has; 0: there is none."""
    if settings.encryption == Encryption.OFF:
        return 0
    return next((cipher for cipher in settings.ciphers if cipher in offered), 0)


def set_sizes(connection: Connection, settings: Settings) -> None:
    """MaxTransactSize, MaxReadSize, MaxWriteSize; more than 64 KiB needs credits to pay with."""
    connection.supports_multi_credit = connection.dialect >= SMB_2_1
    if connection.supports_multi_credit:
        connection.max_transact_size = settings.max_trans
        connection.max_read_size = settings.max_read
        connection.max_write_size = settings.max_write
    else:
        connection.max_transact_size = _SMALL
        connection.max_read_size = _SMALL
        connection.max_write_size = _SMALL


def agree(connection: Connection, dialect: int) -> None:
    """Fix what follows from the dialect; from here on every command is allowed."""
    settings = connection.server.settings
    connection.dialect = dialect
    connection.should_sign = settings.signing == SigningPolicy.MANDATORY
    connection.server_security_mode = SIGNING_ENABLED | (
        SIGNING_REQUIRED if connection.should_sign else 0
    )
    offered = connection.client_capabilities
    connection.server_capabilities = capabilities(dialect, settings, offered)
    if connection.server.persistence.journal is None:
        connection.server_capabilities &= ~CAP_PERSISTENT_HANDLES
    if SMB_3_0 <= dialect < SMB_3_1_1:
        connection.signing_algorithm_id = AES_CMAC
        if connection.client_capabilities & CAP_ENCRYPTION:
            connection.cipher_id = common_cipher(settings, (AES_128_CCM,))
        # 3.1.1 says it by its context alone: a client that finds the bit there, too, may take
        # it for a downgrade and go on in clear.
        if connection.cipher_id:
            connection.server_capabilities |= CAP_ENCRYPTION
    set_sizes(connection, settings)
    connection.negotiated = True


def response_for(connection: Connection, dialect_revision: int) -> NegotiateResponse:
    """The response without contexts; also what an SMB1 negotiate is answered with."""
    server = connection.server
    return NegotiateResponse(
        security_mode=connection.server_security_mode,
        dialect_revision=dialect_revision,
        server_guid=server.guid,
        capabilities=connection.server_capabilities,
        max_transact_size=connection.max_transact_size,
        max_read_size=connection.max_read_size,
        max_write_size=connection.max_write_size,
        system_time=filetime_from_ns(int(server.clock() * 1e9)),
        security_buffer_length=len(server.negotiate_token),
    )
