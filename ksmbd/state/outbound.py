"""Everything the server sends: reply headers, padding, signatures, notification frames.

[MS-SMB2] 3.3.4.1.  Small replies and compounds are built in one fresh buffer; a READ of many
bytes is finished in place around its data, so that the payload is copied by the kernel only::

    [4 length][52 transform][64 header][16 body] data [16 tag]
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from ksmbd.crypto import preauth
from ksmbd.crypto.sealing import TAG_SIZE
from ksmbd.state.buffers import HEADROOM
from ksmbd.state.work import Answer, Reply, Work
from ksmbd.wire.base import Buffer, Wire
from ksmbd.wire.error import ErrorResponse
from ksmbd.wire.header import (
    ASYNC_COMMAND,
    HEADER_SIZE,
    NO_SIGNATURE,
    PRIORITY_MASK,
    RELATED_OPERATIONS,
    SERVER_TO_REDIR,
    SIGNATURE_OFFSET,
    SIGNED,
    SMB2_PROTOCOL_ID,
    TRANSFORM_SIZE,
    UNSOLICITED,
    Command,
)
from ksmbd.wire.negotiate import AES_GMAC
from ksmbd.wire.status import Disconnect, NtStatus

if TYPE_CHECKING:
    from ksmbd.crypto.sealing import Sealer
    from ksmbd.crypto.signing import Signer
    from ksmbd.state.connection import Connection
    from ksmbd.state.session import Session

# ProtocolId StructureSize CreditCharge Status Command Credits Flags NextCommand MessageId
# ProcessId+TreeId or AsyncId, SessionId, Signature
_HEADER: Final = struct.Struct("<4sHHIHHIIQQQ16s")
_LENGTH: Final = struct.Struct(">I")
_ROOM_BODY: Final = 16  # bytes of the fixed part that HEADROOM leaves place for: READ's
_SCATTER: Final = 32 << 10  # payloads above this are not copied behind their header
_KEPT_FLAGS: Final = PRIORITY_MASK | RELATED_OPERATIONS


def refusal(status: NtStatus, data: bytes = b"", contexts: int = 0) -> Reply:
    """The ERROR response, [MS-SMB2] 2.2.2; one zero byte stands in for absent error data."""
    body = ErrorResponse(error_context_count=contexts, byte_count=len(data))
    return Reply(body, data or b"\0", status)


def respond(work: Work) -> None:
    """Send all answers of a work in one frame and give its buffers back.

    Disconnect when the key to seal them with has no nonces left.
    """
    answers = work.answers
    if not answers:
        return
    work.answers = []
    work.reply_size = 0
    if work.seal is not None:
        frame = _sealed(answers, work.seal)
    else:
        frame = _single(answers[0]) if len(answers) == 1 else _compound(answers)
    if work.keep_preauth is not None:
        keeper, work.keep_preauth = work.keep_preauth, None
        keeper.preauth_integrity_hash_value = preauth.extend(
            keeper.preauth_integrity_hash_value, memoryview(frame[0])[4:], *frame[1:]
        )
    work.connection.transport.send(frame)
    for answer in answers:
        if answer.reply.room is not None:
            work.server.buffers.give(answer.reply.room)
    if work.after:
        work.answered()


def _single(answer: Answer) -> list[Buffer]:
    reply = answer.reply
    body = reply.body
    size = len(reply.data)
    if reply.room is not None and body.SIZE == _ROOM_BODY:
        start = HEADROOM - _ROOM_BODY - HEADER_SIZE
        room = memoryview(reply.room)
        _LENGTH.pack_into(room, start - 4, HEADER_SIZE + _ROOM_BODY + size)
        message = room[start : HEADROOM + size]
        _finish(message, answer, 0)
        body.pack_into(message, HEADER_SIZE)
        _sign(message, answer)
        return [room[start - 4 : HEADROOM + size]]
    if size > _SCATTER:
        head = bytearray(4 + HEADER_SIZE + body.SIZE)
        _LENGTH.pack_into(head, 0, len(head) - 4 + size)
        message = memoryview(head)[4:]
        _finish(message, answer, 0)
        body.pack_into(message, HEADER_SIZE)
        if answer.signer is not None:
            message[SIGNATURE_OFFSET:HEADER_SIZE] = answer.signer.sign(
                [message, reply.data], answer.header.message_id, server=True, cancel=False
            )
        return [head, reply.data]
    if answer.signer is None:
        length = _LENGTH.pack(HEADER_SIZE + body.SIZE + size)
        return [b"".join((length, _head(answer, 0), body.pack(), reply.data))]
    frame = bytearray(4 + HEADER_SIZE + body.SIZE + size)
    _LENGTH.pack_into(frame, 0, len(frame) - 4)
    message = memoryview(frame)[4:]
    _element(message, answer, 0)
    return [frame]


def _compound(answers: list[Answer]) -> list[Buffer]:
    """Each element but the last is padded to 8 bytes and signed with its padding."""
    lengths = _padded_lengths(answers)
    frame = bytearray(4 + sum(lengths))
    _LENGTH.pack_into(frame, 0, len(frame) - 4)
    _elements(memoryview(frame)[4:], answers, lengths)
    return [frame]


def _padded_lengths(answers: list[Answer]) -> list[int]:
    lengths = [HEADER_SIZE + a.reply.body.SIZE + len(a.reply.data) for a in answers]
    return [-(-n // 8) * 8 for n in lengths[:-1]] + lengths[-1:]


def _elements(message: memoryview, answers: list[Answer], lengths: list[int]) -> None:
    """All answers into their places."""
    offset = 0
    for answer, length in zip(answers, lengths, strict=True):
        last = answer is answers[-1]
        _element(message[offset : offset + length], answer, 0 if last else length)
        offset += length


def _sealed(answers: list[Answer], session: Session) -> list[Buffer]:
    """The whole frame under one transform header.

    Nothing inside is signed, 3.3.4.1.1, but the end of a log-on: Samba's client verifies that of
    a re-authentication even so, smbtorture's smb2.session.reauth1 --client-protection=encrypt.
    """
    sealer = session.sealer
    if sealer is None:
        raise Disconnect("no key to seal with")
    for answer in answers:
        if answer.header.command != Command.SESSION_SETUP:
            answer.signer = None
    reply = answers[0].reply
    if reply.room is not None and len(answers) == 1 and reply.body.SIZE == _ROOM_BODY:
        frame = memoryview(reply.room)[: HEADROOM + len(reply.data) + TAG_SIZE]
        message = frame[4 + TRANSFORM_SIZE : -TAG_SIZE]
        _finish(message, answers[0], 0)
        reply.body.pack_into(message, HEADER_SIZE)
    else:
        lengths = _padded_lengths(answers)
        frame = memoryview(bytearray(4 + TRANSFORM_SIZE + sum(lengths) + TAG_SIZE))
        _elements(frame[4 + TRANSFORM_SIZE : -TAG_SIZE], answers, lengths)
    return _seal(frame, session, sealer)


def _seal(frame: memoryview, session: Session, sealer: Sealer) -> list[Buffer]:
    """Seal ``[4 length][52 transform][message][16 tag]`` where it lies."""
    _LENGTH.pack_into(frame, 0, len(frame) - 4 - TAG_SIZE)
    sealer.seal_in_place(frame[4:], session.session_id)
    return [frame[:-TAG_SIZE]]


def _element(message: memoryview, answer: Answer, next_command: int) -> None:
    """Header, body, data, signature of one answer into its place."""
    reply = answer.reply
    _finish(message, answer, next_command)
    body = reply.body
    body.pack_into(message, HEADER_SIZE)
    if reply.data:
        start = HEADER_SIZE + body.SIZE
        message[start : start + len(reply.data)] = reply.data
    _sign(message, answer)


def _finish(message: memoryview, answer: Answer, next_command: int) -> None:
    message[:HEADER_SIZE] = _head(answer, next_command)


def _head(answer: Answer, next_command: int) -> bytes:
    """The reply's header."""
    request = answer.header
    flags = SERVER_TO_REDIR | request.flags & _KEPT_FLAGS
    if answer.async_id:
        flags |= ASYNC_COMMAND
        ids = answer.async_id
    else:
        ids = request.process_id | request.tree_id << 32
    if answer.signer is not None:
        flags |= SIGNED
    return _HEADER.pack(
        SMB2_PROTOCOL_ID, HEADER_SIZE, request.credit_charge, answer.reply.status,
        request.command, answer.credits, flags, next_command, request.message_id, ids,
        request.session_id, NO_SIGNATURE,
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


def notify(
    connection: Connection, command: int, body: Wire, *, seal: Session | None = None
) -> None:
    """Send a message nobody asked for: an oplock or lease break, [MS-SMB2] 3.3.4.6.

    Never signed; sealed for the session *seal*, which is the open's if that session or the
    open's tree connect is encrypted.
    """
    size = HEADER_SIZE + body.SIZE
    frame = memoryview(bytearray(4 + TRANSFORM_SIZE + size + TAG_SIZE))
    start = 4 + TRANSFORM_SIZE
    _HEADER.pack_into(
        frame, start, SMB2_PROTOCOL_ID, HEADER_SIZE, 0, 0, command, 0, SERVER_TO_REDIR, 0,
        UNSOLICITED, 0, 0, NO_SIGNATURE,
    )  # fmt: skip
    body.pack_into(frame, start + HEADER_SIZE)
    if seal is None or seal.sealer is None:
        _LENGTH.pack_into(frame, start - 4, size)
        connection.transport.send([frame[start - 4 : start + size]])
        return
    try:
        parts = _seal(frame, seal, seal.sealer)
    except Disconnect as why:
        connection.drop(str(why))
        return
    connection.transport.send(parts)
