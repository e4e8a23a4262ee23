"""SMB2 NEGOTIATE, [MS-SMB2] 3.3.5.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ksmbd.crypto import preauth
from ksmbd.state.connection import Connection
from ksmbd.state.dialects import agree, common_cipher, common_dialect, response_for
from ksmbd.state.refusals import no_dialect
from ksmbd.state.work import Reply, Work
from ksmbd.wire import negotiate as wire
from ksmbd.wire.header import HEADER_SIZE
from ksmbd.wire.negotiate import AES_CMAC, SMB_3_1_1, NegotiateRequest
from ksmbd.wire.status import Disconnect, NtStatus, NtStatusError

_SALT: Final = 32  # bytes


def negotiate(work: Work, req: NegotiateRequest) -> Reply:
    """Choose dialect, capabilities and algorithms for the connection.

    INVALID_PARAMETER                  no dialect, or a malformed or duplicated context
    NOT_SUPPORTED                      no common dialect
    NO_PREAUTH_INTEGRITY_HASH_OVERLAP  3.1.1 without SHA-512

    A second NEGOTIATE drops the connection.
    """
    connection = work.connection
    if connection.negotiated:
        raise Disconnect("a second NEGOTIATE")
    if req.dialect_count == 0:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "no dialect")
    dialects = wire.unpack_dialects(work.message[HEADER_SIZE + req.SIZE :], req.dialect_count)
    try:
        dialect = common_dialect(work.server.settings, dialects)
    except NtStatusError:
        raise no_dialect(connection, dialects) from None
    connection.client_guid = req.client_guid
    connection.client_security_mode = req.security_mode
    connection.client_capabilities = req.capabilities
    replies = _contexts(work, req) if dialect == SMB_3_1_1 else []
    agree(connection, dialect)

    token = work.server.negotiate_token
    tail = bytearray(token)
    response = response_for(connection, dialect)
    if replies:
        tail += bytes(-len(tail) % 8)
        response.negotiate_context_count = len(replies)
        response.negotiate_context_offset = wire.SECURITY_BUFFER_OFFSET + len(tail)
        tail += wire.pack_contexts(replies)
        connection.preauth_integrity_hash_value = preauth.extend(preauth.START, work.message)
        work.keep_preauth = connection
    return Reply(response, tail)


# -- contexts of 3.1.1 -------------------------------------------------------------------

_Chosen = list[tuple[int, bytes]]


def _contexts(work: Work, req: NegotiateRequest) -> _Chosen:
    """Read the client's contexts, each type once, and make the answers."""
    offset = req.negotiate_context_offset
    fixed_end = HEADER_SIZE + req.SIZE + 2 * req.dialect_count
    if offset % 8 or offset < fixed_end or offset > len(work.message):
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"contexts at {offset}")
    found: dict[int, Any] = {}
    for context in wire.contexts(work.message[offset:], req.negotiate_context_count):
        if context.type not in _CONTEXTS:
            continue
        if context.type in found:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, f"context {context.type} twice")
        found[context.type] = context.data
    if wire.PREAUTH_INTEGRITY_CAPABILITIES not in found:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "no preauthentication context")
    replies: _Chosen = []
    work.connection.signing_algorithm_id = AES_CMAC  # unless a context says otherwise
    for type_, choose in _CONTEXTS.items():
        if type_ in found:
            answer = choose(work.connection, found[type_])
            if answer is not None:
                replies.append((type_, answer))
    return replies


def _preauth(connection: Connection, data: memoryview) -> bytes:
    if wire.SHA_512 not in wire.PreauthIntegrity.unpack(data).hash_algorithms:
        raise NtStatusError(NtStatus.NO_PREAUTH_INTEGRITY_HASH_OVERLAP, "no SHA-512")
    salt = connection.server.random(_SALT)
    return wire.PreauthIntegrity((wire.SHA_512,), salt).pack()


def _encryption(connection: Connection, data: memoryview) -> bytes:
    """The server's preference among what the client can do; 0 if there is nothing."""
    offered = wire.Encryption.unpack(data).ciphers
    connection.cipher_id = common_cipher(connection.server.settings, offered)
    return wire.Encryption((connection.cipher_id,)).pack()


def _compression(connection: Connection, data: memoryview) -> None:
    """Validated; this server compresses nothing, so there is no answer."""
    wire.Compression.unpack(data)


def _net_name(connection: Connection, data: memoryview) -> None:
    wire.NetName.unpack(data)


def _posix(connection: Connection, data: memoryview) -> bytes | None:
    """The GUID of the POSIX extensions, if the client has it among its own."""
    if not connection.server.settings.posix or not wire.offers_posix(data):
        return None
    connection.posix = True
    return wire.POSIX_GUID


def _signing(connection: Connection, data: memoryview) -> bytes:
    """The server's preference among what the client can do; AES-CMAC if there is nothing."""
    offered = wire.Signing.unpack(data).signing_algorithms
    preferred = connection.server.settings.signing_algorithms
    chosen = next((a for a in preferred if a in offered), AES_CMAC)
    connection.signing_algorithm_id = chosen
    return wire.Signing((chosen,)).pack()


_CONTEXTS: Final[dict[int, Callable[[Connection, memoryview], bytes | None]]] = {
    wire.PREAUTH_INTEGRITY_CAPABILITIES: _preauth,
    wire.ENCRYPTION_CAPABILITIES: _encryption,
    wire.COMPRESSION_CAPABILITIES: _compression,
    wire.NETNAME_NEGOTIATE_CONTEXT_ID: _net_name,
    wire.POSIX_EXTENSIONS_AVAILABLE: _posix,
    wire.SIGNING_CAPABILITIES: _signing,
}
