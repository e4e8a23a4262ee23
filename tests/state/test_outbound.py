"""state/outbound.py: the bytes of replies.  Compounds: tests/server/test_compound.py."""

from __future__ import annotations

import hashlib

import pytest

from ksmbd.crypto.signing import Signer
from ksmbd.state.buffers import HEADROOM
from ksmbd.state.connection import Connection
from ksmbd.state.outbound import interim_signer, refusal, respond
from ksmbd.state.work import Answer, Reply, Work
from ksmbd.wire.echo import EchoResponse
from ksmbd.wire.header import Command, Header
from ksmbd.wire.negotiate import AES_CMAC, AES_GMAC, HMAC_SHA256
from ksmbd.wire.read import ReadResponse
from ksmbd.wire.status import NtStatus
from tests.support.engine import Engine, ListTransport

REQUEST = Header(
    command=Command.READ,
    credit_charge=3,
    message_id=0x1122,
    process_id=0x33,
    tree_id=0x44,
    session_id=0x55,
)


@pytest.fixture
def sent(engine: Engine) -> tuple[Connection, ListTransport]:
    return engine.connection()


def answered(connection: Connection, *answers: Answer) -> Work:
    work = Work(connection, memoryview(bytearray(68)))
    work.answers += answers
    respond(work)
    return work


def test_every_byte_of_a_reply(sent: tuple[Connection, ListTransport]) -> None:
    connection, transport = sent
    answered(connection, Answer(REQUEST, Reply(EchoResponse()), 7, None, 0))
    (pdu,) = transport.take()
    assert pdu.hex() == (
        "fe534d42" "4000" "0300" "00000000" "0800" "0700" "01000000" "00000000"
        "2211000000000000" "33000000" "44000000" "5500000000000000" + "00" * 16 + "04000000"
    )  # fmt: skip


def test_every_byte_of_a_refusal(sent: tuple[Connection, ListTransport]) -> None:
    connection, transport = sent
    answered(connection, Answer(REQUEST, refusal(NtStatus.FILE_CLOSED), 1, None, 0))
    (pdu,) = transport.take()
    assert pdu[8:12].hex() == "280100c0"
    assert pdu[64:].hex() == "090000000000000000"


def test_an_async_id_takes_the_place_of_process_and_tree(
    sent: tuple[Connection, ListTransport],
) -> None:
    connection, transport = sent
    answered(connection, Answer(REQUEST, refusal(NtStatus.PENDING), 1, None, 0x0102030405))
    (pdu,) = transport.take()
    assert pdu[16:20].hex() == "03000000"
    assert pdu[32:40].hex() == "0504030201000000"


@pytest.mark.parametrize("algorithm", [HMAC_SHA256, AES_CMAC, AES_GMAC])
@pytest.mark.parametrize("size", [0, 1, 4096, 32 << 10, (32 << 10) + 1, 1 << 20])
@pytest.mark.parametrize("pooled", [False, True])
def test_all_three_ways_to_send_give_the_same_bytes(
    sent: tuple[Connection, ListTransport], algorithm: int, size: int, pooled: bool
) -> None:
    """Copied behind its header, beside it, or around the data where it lies."""
    connection, transport = sent
    signer = Signer(algorithm, bytes(range(16)))
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    body = ReadResponse(data_length=size)
    room = None
    if pooled:
        room = connection.server.buffers.take(size)
        room[HEADROOM : HEADROOM + size] = data
    view = memoryview(room)[HEADROOM : HEADROOM + size] if room is not None else data
    answered(connection, Answer(REQUEST, Reply(body, view, room=room), 1, signer, 0))
    (pdu,) = transport.take()
    assert pdu[64:80] == body.pack()
    assert pdu[80:] == data
    assert signer.verify(memoryview(pdu), REQUEST.message_id, server=True)


def test_a_pooled_buffer_is_given_back(sent: tuple[Connection, ListTransport]) -> None:
    connection, _ = sent
    buffers = connection.server.buffers
    room = buffers.take(1000)
    answered(connection, Answer(REQUEST, Reply(ReadResponse(data_length=0), room=room), 1, None, 0))
    assert buffers.take(1000) is room


def test_nothing_to_say_sends_nothing(sent: tuple[Connection, ListTransport]) -> None:
    connection, transport = sent
    answered(connection)
    assert transport.take() == []


def test_what_hashes_the_reply_hashes_what_was_sent(
    sent: tuple[Connection, ListTransport],
) -> None:
    connection, transport = sent
    work = Work(connection, memoryview(bytearray(68)))
    work.answers.append(Answer(REQUEST, Reply(EchoResponse()), 1, None, 0))
    work.keep_preauth = connection
    respond(work)
    (pdu,) = transport.take()
    expected = hashlib.sha512(bytes(64) + pdu).digest()
    assert connection.preauth_integrity_hash_value == expected
    assert work.keep_preauth is None


@pytest.mark.parametrize(
    ("algorithm", "signed"), [(HMAC_SHA256, True), (AES_CMAC, True), (AES_GMAC, False)]
)
def test_who_signs_an_interim_response(algorithm: int, signed: bool) -> None:
    signer = Signer(algorithm, bytes(16))
    assert interim_signer(signer) is (signer if signed else None)
    assert interim_signer(None) is None
