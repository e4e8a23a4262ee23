"""Binds, faults and fragments, through a pipe."""

from __future__ import annotations

import struct
from uuid import UUID

import pytest

from ksmbd.wire.base import WireError
from mountd.rpc import association, errors, pdu
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.pdu import NDR32, PduType, Reject, Syntax
from tests.mountd.rpc_support import (
    DSSETUP,
    LSARPC,
    SRVSVC,
    USER,
    WKSSVC,
    Client,
    FakeDaemon,
    Fault,
    bind,
    fragments,
    make_pipes,
    reply_stub,
    request,
    vectors,
)

NDR64 = Syntax(UUID("71710533-beba-4937-8319-b5dbef9ccc36"), 1)
FEATURES = Syntax(UUID("6cb71c2c-9812-4540-0300-000000000000"), 1)
VECTORS = vectors()


@pytest.fixture
def pipes():
    made = make_pipes()
    made.open(1, "srvsvc", USER)
    return made


def exchange(pipes, data):
    return pipes.transceive(1, data, 65536).data


def results(ack):
    """The results of a bind_ack or alter_context_resp, and its secondary address."""
    (length,) = struct.unpack_from("<H", ack, 24)
    address = ack[26 : 26 + length]
    offset = -(-(26 + length) // 4) * 4
    count = ack[offset]
    found = [struct.unpack_from("<HH16sHH", ack, offset + 4 + 24 * i) for i in range(count)]
    assert len(ack) == offset + 4 + 24 * count
    return found, address


def fault_status(fragment):
    with pytest.raises(Fault) as fault:
        reply_stub(fragment)
    return fault.value.status


def with_auth(data, size=16):
    """Append an NTLM authentication trailer."""
    out = bytearray(data + struct.pack("<BBBxI", 10, 2, 0, 0) + bytes(size))
    struct.pack_into("<HH", out, 8, len(out), size)
    return bytes(out)


def test_bind_as_impacket_sends_it(pipes):
    ack = exchange(pipes, VECTORS["bind srvsvc"])
    header = pdu.parse_header(ack)
    assert (header.type, header.flags, header.call_id) == (PduType.BIND_ACK, 3, 1)
    assert struct.unpack_from("<HHI", ack, 16) == (4280, 4280, association.ASSOCIATION_GROUP)
    assert results(ack) == ([(0, 0, NDR32.uuid.bytes_le, 2, 0)], b"\\PIPE\\srvsvc\0")


def test_a_windows_bind_of_three_contexts(pipes):
    wanted = [(0, SRVSVC, (NDR32,)), (1, SRVSVC, (NDR64,)), (2, SRVSVC, (FEATURES,))]
    found, _ = results(exchange(pipes, bind(*wanted, frag=5840)))
    assert [result[:2] for result in found] == [(0, 0), (2, 2), (3, 0)]
    assert found[2][2] == bytes(16)


def test_any_of_several_transfer_syntaxes_will_do(pipes):
    found, _ = results(exchange(pipes, bind((0, SRVSVC, (NDR64, NDR32)))))
    assert found[0][:2] == (0, 0)


@pytest.mark.parametrize(
    "syntax",
    [WKSSVC, Syntax(SRVSVC.uuid, 4), Syntax(SRVSVC.uuid, 3, 1), Syntax(UUID(int=7), 3)],
)
def test_an_interface_the_pipe_does_not_offer_is_rejected(pipes, syntax):
    found, _ = results(exchange(pipes, bind((0, syntax, (NDR32,)))))
    assert found[0][:3] == (2, 1, bytes(16))
    assert fault_status(exchange(pipes, request(15))) == errors.UNKNOWN_INTERFACE


def test_fragment_sizes_stay_between_the_limits(pipes):
    assert struct.unpack_from("<HH", exchange(pipes, bind((0, SRVSVC, (NDR32,)), frag=0)), 16) == (
        1432,
        1432,
    )
    pipes.open(2, "srvsvc", USER)
    ack = pipes.transceive(2, bind((0, SRVSVC, (NDR32,)), frag=65535), 999).data
    assert struct.unpack_from("<HH", ack, 16) == (5840, 5840)


def test_the_clients_association_group_is_kept(pipes):
    data = bytearray(bind((0, SRVSVC, (NDR32,))))
    struct.pack_into("<I", data, 20, 0x1234)
    assert struct.unpack_from("<I", exchange(pipes, bytes(data)), 20) == (0x1234,)


def test_alter_context_adds_a_context_without_an_address(pipes):
    exchange(pipes, bind((0, SRVSVC, (NDR32,))))
    alter = bind((5, SRVSVC, (NDR32,)), type=PduType.ALTER_CONTEXT, call_id=9)
    resp = exchange(pipes, alter)
    assert (resp[2], pdu.call_id(resp)) == (PduType.ALTER_CONTEXT_RESP, 9)
    assert results(resp) == ([(0, 0, NDR32.uuid.bytes_le, 2, 0)], b"")
    reply = exchange(pipes, request(21, struct.pack("<II", 0, 100), context_id=5))
    assert struct.unpack_from("<H", reply, 20) == (5,)
    assert reply[2] == PduType.RESPONSE
    assert fault_status(exchange(pipes, request(21, context_id=6))) == errors.UNKNOWN_INTERFACE


def test_alter_context_of_another_interface_ends_the_association():
    pipes = make_pipes()
    pipes.open(1, "lsarpc", USER)
    exchange(pipes, bind((0, LSARPC, (NDR32,))))
    again = exchange(pipes, bind((0, LSARPC, (NDR32,)), type=PduType.ALTER_CONTEXT))
    assert results(again)[0][0][0] == 0
    other = exchange(pipes, bind((0, DSSETUP, (NDR32,)), type=PduType.ALTER_CONTEXT))
    assert fault_status(other) == errors.PROTOCOL_ERROR
    with pytest.raises(RpcError) as broken:
        pipes.write(1, request(44))
    assert broken.value.code == Win32.PIPE_NOT_CONNECTED


def test_contexts_are_limited(pipes):
    exchange(pipes, bind((0, SRVSVC, (NDR32,))))
    accepted = 1
    for start in range(1, 300, 100):
        wanted = [(start + i, SRVSVC, (NDR32,)) for i in range(100)]
        found, _ = results(exchange(pipes, bind(*wanted, type=PduType.ALTER_CONTEXT)))
        accepted += sum(result[0] == 0 for result in found)
    assert accepted == association.MAX_CONTEXTS
    assert found[-1][:2] == (2, 3)


def test_bind_with_authentication_gets_a_nak_and_may_be_tried_without(pipes):
    nak = exchange(pipes, with_auth(bind((0, SRVSVC, (NDR32,)))))
    assert (nak[2], nak[16]) == (PduType.BIND_NAK, Reject.AUTHENTICATION_TYPE_NOT_RECOGNIZED)
    assert exchange(pipes, bind((0, SRVSVC, (NDR32,))))[2] == PduType.BIND_ACK
    alter = with_auth(bind((0, SRVSVC, (NDR32,)), type=PduType.ALTER_CONTEXT))
    assert fault_status(exchange(pipes, alter)) == errors.ACCESS_DENIED


def test_another_protocol_version_gets_a_nak(pipes):
    data = bytearray(bind((0, SRVSVC, (NDR32,))))
    data[0] = 4
    nak = exchange(pipes, bytes(data))
    assert nak[2] == PduType.BIND_NAK
    assert nak[16:21] == bytes([Reject.PROTOCOL_VERSION_NOT_SUPPORTED, 0, 1, 5, 0])


def test_big_endian_data_is_refused_with_its_call_id(pipes):
    data = bytearray(bind((0, SRVSVC, (NDR32,))))
    data[4] = 0
    data[8:10] = len(data).to_bytes(2, "big")
    data[12:16] = (77).to_bytes(4, "big")
    nak = exchange(pipes, bytes(data))
    assert (nak[2], pdu.call_id(nak)) == (PduType.BIND_NAK, 77)


def assert_broken(pipes):
    with pytest.raises(RpcError) as refused:
        pipes.write(1, request(21))
    assert refused.value.code == Win32.PIPE_NOT_CONNECTED
    with pytest.raises(RpcError) as refused:
        pipes.read(1, 100)
    assert refused.value.code == Win32.PIPE_NOT_CONNECTED


@pytest.mark.parametrize(
    "data", [request(21), b"\x05\x00\x63" + bytes(13), b"GET / HTTP/1.1\r\n\r\n"]
)
def test_anything_but_a_bind_first_breaks_the_pipe(pipes, data):
    assert fault_status(exchange(pipes, data)) == errors.PROTOCOL_ERROR
    assert_broken(pipes)


def test_a_second_bind_breaks_the_pipe(pipes):
    exchange(pipes, bind((0, SRVSVC, (NDR32,))))
    assert fault_status(exchange(pipes, bind((0, SRVSVC, (NDR32,))))) == errors.PROTOCOL_ERROR
    assert_broken(pipes)


@pytest.mark.parametrize("cut", range(16, 72))
def test_every_truncation_of_a_bind_is_refused(pipes, cut):
    data = bytearray(VECTORS["bind srvsvc"][:cut])
    data[8:10] = cut.to_bytes(2, "little")
    assert exchange(pipes, bytes(data))[2] == PduType.BIND_NAK
    assert_broken(pipes)


def test_a_bind_of_255_contexts_that_are_not_there_is_refused(pipes):
    data = bytearray(bind((0, SRVSVC, (NDR32,))))
    data[24] = 255
    assert exchange(pipes, bytes(data))[2] == PduType.BIND_NAK


@pytest.mark.parametrize("length", [0, 15, 5841, 65535])
def test_impossible_fragment_lengths_are_refused(length):
    data = bytearray(request(21))
    data[8:10] = length.to_bytes(2, "little")
    with pytest.raises(WireError):
        pdu.parse_header(data)


def test_an_authentication_trailer_longer_than_the_fragment_is_refused():
    data = bytearray(request(21))
    data[10:12] = b"\xff\xff"
    with pytest.raises(WireError):
        pdu.parse_header(data)


def test_a_signed_request_breaks_the_pipe(pipes):
    exchange(pipes, bind((0, SRVSVC, (NDR32,))))
    assert fault_status(exchange(pipes, with_auth(request(21)))) == errors.PROTOCOL_ERROR
    assert_broken(pipes)


def test_cancel_orphaned_and_auth3_are_passed_over(pipes):
    exchange(pipes, bind((0, SRVSVC, (NDR32,))))
    for kind in (PduType.CO_CANCEL, PduType.ORPHANED, PduType.AUTH3):
        pipes.write(1, pdu.pack(kind, 5, b""))
    assert pipes.peek(1).messages == 0
    reply = exchange(pipes, request(21, struct.pack("<II", 0, 100)))
    assert reply[2] == PduType.RESPONSE


def test_orphaned_drops_a_half_received_request(pipes):
    exchange(pipes, bind((0, SRVSVC, (NDR32,))))
    pipes.write(1, fragments(15, bytes(64), 32, call_id=3)[0])
    pipes.write(1, pdu.pack(PduType.ORPHANED, 3, b""))
    reply = exchange(pipes, request(21, struct.pack("<II", 0, 100), call_id=4))
    assert reply[2] == PduType.RESPONSE


def test_a_request_in_eight_byte_fragments_is_put_together(pipes):
    exchange(pipes, VECTORS["bind srvsvc"])
    whole = VECTORS["NetrShareEnum level 1"]
    expected = exchange(pipes, whole)[24:]
    pieces = fragments(15, whole[24:], 8, call_id=44)
    for piece in pieces[:-1]:
        pipes.write(1, piece)
        assert pipes.peek(1).messages == 0
    reply = exchange(pipes, pieces[-1])
    assert (pdu.call_id(reply), reply[24:]) == (44, expected)


@pytest.mark.parametrize("size", [1, 7, 15, 16, 17, 23])
def test_writes_need_not_match_pdus(pipes, size):
    stream = VECTORS["bind srvsvc"] + VECTORS["NetrShareEnum level 1"] + VECTORS["NetrRemoteTOD"]
    for start in range(0, len(stream), size):
        pipes.write(1, stream[start : start + size])
    assert pipes.peek(1).messages == 3


def test_fragments_of_another_call_break_the_pipe(pipes):
    exchange(pipes, VECTORS["bind srvsvc"])
    first = fragments(15, bytes(64), 32, call_id=3)[0]
    last = fragments(15, bytes(64), 32, call_id=4)[1]
    pipes.write(1, first)
    assert fault_status(exchange(pipes, last)) == errors.PROTOCOL_ERROR
    assert_broken(pipes)


@pytest.mark.parametrize("index", [0, 1])
def test_a_fragment_out_of_order_breaks_the_pipe(pipes, index):
    exchange(pipes, VECTORS["bind srvsvc"])
    pieces = fragments(15, bytes(64), 16)
    if index == 0:
        pipes.write(1, pieces[0])  # then the first once more
    assert fault_status(exchange(pipes, pieces[index])) == errors.PROTOCOL_ERROR


def test_a_request_beyond_four_megabytes_breaks_the_pipe(pipes):
    exchange(pipes, VECTORS["bind srvsvc"])
    body = struct.pack("<IHH", 0xFFFFFFFF, 0, 15) + bytes(5800)
    first = pdu.pack(PduType.REQUEST, 2, body, pdu.FIRST_FRAG)
    middle = pdu.pack(PduType.REQUEST, 2, body, 0)
    pipes.write(1, first)
    for _ in range(association.MAX_STUB // 5800 - 1):
        pipes.write(1, middle)
    assert pipes.held <= association.MAX_STUB
    assert fault_status(exchange(pipes, middle)) == errors.PROTOCOL_ERROR
    assert pipes.held == 0


def test_alloc_hint_is_not_believed(pipes):
    exchange(pipes, VECTORS["bind srvsvc"])
    data = bytearray(VECTORS["NetrRemoteTOD"])
    data[16:20] = b"\xff\xff\xff\xff"
    assert exchange(pipes, bytes(data))[2] == PduType.RESPONSE


def test_an_object_uuid_is_skipped(pipes):
    exchange(pipes, VECTORS["bind srvsvc"])
    plain = VECTORS["NetrRemoteTOD"]
    data = bytearray(plain[:24] + bytes(16) + plain[24:])
    data[3] |= pdu.OBJECT_UUID
    data[8:10] = len(data).to_bytes(2, "little")
    assert exchange(pipes, bytes(data))[2] == PduType.RESPONSE
    short = bytearray(plain)
    short[3] |= pdu.OBJECT_UUID
    assert fault_status(exchange(pipes, bytes(short))) == errors.PROTOCOL_ERROR


def test_a_maybe_call_gets_no_reply(pipes):
    exchange(pipes, VECTORS["bind srvsvc"])
    data = bytearray(VECTORS["NetrRemoteTOD"])
    data[3] |= pdu.MAYBE
    pipes.write(1, bytes(data))
    assert pipes.peek(1).messages == 0


def test_replies_are_cut_to_the_clients_fragments():
    for size in (1432, 4280, 5840):
        cut = pdu.responses(7, 0, bytes(range(256)) * 64, size)
        assert all(len(fragment) <= size for fragment in cut)
        assert all((len(fragment) - 24) % 8 == 0 for fragment in cut[:-1])
        assert [f[3] for f in cut] == [1] + [0] * (len(cut) - 2) + [2]
        assert b"".join(reply_stub(f) for f in cut) == bytes(range(256)) * 64
        hints = [struct.unpack_from("<I", f, 16)[0] for f in cut]
        assert hints[0] == 256 * 64
        assert hints[-1] == len(cut[-1]) - 24


def test_an_empty_reply_is_one_fragment():
    (only,) = pdu.responses(7, 0, b"", 4280)
    assert (only[3], len(only)) == (3, 24)


class Burning(FakeDaemon):
    def shares(self):
        raise ZeroDivisionError


def test_a_bug_in_an_operation_is_logged_and_a_fault(caplog):
    c = Client(make_pipes(Burning()), "srvsvc", SRVSVC, USER)
    with pytest.raises(Fault) as fault:
        c.send(VECTORS["NetrShareEnum level 1"])
    assert fault.value.status == errors.UNSPECIFIED
    assert "a bug in the server" in caplog.text
    assert c.send(VECTORS["NetrRemoteTOD"]).remaining
