"""Everything the server sends: reply headers, padding, signatures, notification frames.

[MS-SMB2] 3.3.4.1.  Small replies and compounds are built in one fresh buffer; a READ of many
bytes is finished in place around its data, so that the payload is copied by the kernel only::

    [4 length][52 transform][64 header][16 body] data [16 tag]
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from ksmbd.crypto import preauth
from ksmbd.state.buffers import HEADROOM
from ksmbd.state.work import Answer, Reply, Work
from ksmbd.wire.base import Buffer, Wire
from ksmbd.wire.error import ErrorResponse
from ksmbd.wire.header import (
    ASYNC_COMMAND,
    HEADER_SIZE,
    PRIORITY_MASK,
    RELATED_OPERATIONS,
    SERVER_TO_REDIR,
    SIGNATURE_OFFSET,
    SIGNED,
    SMB2_PROTOCOL_ID,
    UNSOLICITED,
)
from ksmbd.wire.negotiate import AES_GMAC
from ksmbd.wire.status import NtStatus

if TYPE_CHECKING:
    from ksmbd.crypto.signing import Signer
    from ksmbd.state.connection import Connection

# ProtocolId StructureSize CreditCharge Status Command Credits Flags NextCommand MessageId
# ProcessId+TreeId or AsyncId, SessionId, Signature
_HEADER: Final = struct.Struct("<4sHHIHHIIQQQ16s")
_LENGTH: Final = struct.Struct(">I")
_NO_SIGNATURE: Final = bytes(16)
_SCATTER: Final = 32 << 10  # payloads above this are not copied behind their header
_KEPT_FLAGS: Final = PRIORITY_MASK | RELATED_OPERATIONS


def refusal(status: NtStatus, data: bytes = b"", contexts: int = 0) -> Reply:
    """The ERROR response, [MS-SMB2] 2.2.2; one zero byte stands in for absent error data."""
    body = ErrorResponse(error_context_count=contexts, byte_count=len(data))
    return Reply(body, data or b"\0", status)


def respond(work: Work) -> None:
    """Send all answers of a work in one frame and give its buffers back."""
    answers = work.answers
    if not answers:
        return
    work.answers = []
    work.reply_size = 0
    frame = _single(work, answers[0]) if len(answers) == 1 else _compound(work, answers)
    if work.keep_preauth is not None:
        keeper, work.keep_preauth = work.keep_preauth, None
        keeper.preauth_integrity_hash_value = preauth.extend(
            keeper.preauth_integrity_hash_value, memoryview(frame[0])[4:], *frame[1:]
        )
    work.connection.transport.send(frame)
    for answer in answers:
        if answer.reply.room is not None:
            work.server.buffers.give(answer.reply.room)


def _single(work: Work, answer: Answer) -> list[Buffer]:
    reply = answer.reply
    body = reply.body
    size = len(reply.data)
    if reply.room is not None and HEADROOM - HEADER_SIZE - 4 >= 0 and body.SIZE == 16:
        start = HEADROOM - 16 - HEADER_SIZE
        room = memoryview(reply.room)
        _LENGTH.pack_into(room, start - 4, HEADER_SIZE + 16 + size)
        message = room[start : HEADROOM + size]
        _finish(message, work, answer, 0)
        body.pack_into(message, HEADER_SIZE)
        _sign(message, answer)
        return [room[start - 4 : HEADROOM + size]]
    if size > _SCATTER:
        head = bytearray(4 + HEADER_SIZE + body.SIZE)
        _LENGTH.pack_into(head, 0, len(head) - 4 + size)
        message = memoryview(head)[4:]
        _finish(message, work, answer, 0)
        body.pack_into(message, HEADER_SIZE)
        if answer.signer is not None:
            message[SIGNATURE_OFFSET:HEADER_SIZE] = answer.signer.sign(
                [message, reply.data], answer.header.message_id, server=True, cancel=False
            )
        return [head, reply.data]
    frame = bytearray(4 + HEADER_SIZE + body.SIZE + size)
    _LENGTH.pack_into(frame, 0, len(frame) - 4)
    message = memoryview(frame)[4:]
    _element(message, work, answer, 0)
    return [frame]


def _compound(work: Work, answers: list[Answer]) -> list[Buffer]:
    """Each element but the last is padded to 8 bytes and signed with its padding."""
    lengths = [HEADER_SIZE + a.reply.body.SIZE + len(a.reply.data) for a in answers]
    padded = [-(-n // 8) * 8 for n in lengths[:-1]] + lengths[-1:]
    frame = bytearray(4 + sum(padded))
    _LENGTH.pack_into(frame, 0, len(frame) - 4)
    view = memoryview(frame)
    offset = 4
    for answer, length in zip(answers, padded, strict=True):
        last = answer is answers[-1]
        _element(view[offset : offset + length], work, answer, 0 if last else length)
        offset += length
    return [frame]


def _element(message: memoryview, work: Work, answer: Answer, next_command: int) -> None:
    """Header, body, data, signature of one answer into its place."""
    reply = answer.reply
    _finish(message, work, answer, next_command)
    body = reply.body
    body.pack_into(message, HEADER_SIZE)
    if reply.data:
        start = HEADER_SIZE + body.SIZE
        message[start : start + len(reply.data)] = reply.data
    _sign(message, answer)


def _finish(message: memoryview, work: Work, answer: Answer, next_command: int) -> None:
    request = answer.header
    flags = SERVER_TO_REDIR | request.flags & _KEPT_FLAGS
    if answer.async_id:
        flags |= ASYNC_COMMAND
        ids = answer.async_id
    else:
        ids = request.process_id | request.tree_id << 32
    if answer.signer is not None:
        flags |= SIGNED
    _HEADER.pack_into(
        message, 0, SMB2_PROTOCOL_ID, HEADER_SIZE, request.credit_charge, answer.reply.status,
        request.command, answer.credits, flags, next_command, request.message_id, ids,
        request.session_id, _NO_SIGNATURE,
    )  # fmt: skip


def _sign(message: memoryview, answer: Answer) -> None:
    if answer.signer is not None:
        message[SIGNATURE_OFFSET:HEADER_SIZE] = answer.signer.sign(
            [message], answer.header.message_id, server=True, cancel=False
        )


def interim_signer(signer: Signer | None) -> Signer | None:
    """The key for an interim response.

    With AES-GMAC it goes unsigned: its nonce is the MessageId, which the final response uses
    again, and two messages under one nonce give the key away ([MS-SMB2] 3.1.4.1).  Clients do
    not check the signature of STATUS_PENDING (3.2.5.1.3).
    """
    return None if signer is None or signer.algorithm == AES_GMAC else signer


def notify(connection: Connection, command: int, body: Wire) -> None:
    """Send a message nobody asked for: an oplock or lease break, [MS-SMB2] 3.3.4.6, unsigned."""
    frame = bytearray(4 + HEADER_SIZE + body.SIZE)
    _LENGTH.pack_into(frame, 0, len(frame) - 4)
    _HEADER.pack_into(
        frame, 4, SMB2_PROTOCOL_ID, HEADER_SIZE, 0, 0, command, 0, SERVER_TO_REDIR, 0,
        UNSOLICITED, 0, 0, _NO_SIGNATURE,
    )  # fmt: skip
    body.pack_into(frame, 4 + HEADER_SIZE)
    connection.transport.send([frame])
