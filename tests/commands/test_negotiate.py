"""commands/negotiate.py through the engine, [MS-SMB2] 3.3.5.4."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ksmbd.state.settings import SigningPolicy
from ksmbd.wire import negotiate as wire
from ksmbd.wire.header import HEADER_SIZE
from ksmbd.wire.negotiate import NegotiateRequest, NegotiateResponse
from ksmbd.wire.spnego import NTLMSSP, NegTokenInit, parse
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.support.client import DIALECTS, Client, chain
from tests.support.engine import NOW, Engine
from tests.support.frames import Frame, standard_contexts

OK = NtStatus.SUCCESS
INVALID = NtStatus.INVALID_PARAMETER
PREAUTH = wire.PREAUTH_INTEGRITY_CAPABILITIES
ENCRYPTION = wire.ENCRYPTION_CAPABILITIES
COMPRESSION = wire.COMPRESSION_CAPABILITIES
NETNAME = wire.NETNAME_NEGOTIATE_CONTEXT_ID
SIGNING = wire.SIGNING_CAPABILITIES

GOOD_PREAUTH = wire.PreauthIntegrity((wire.SHA_512,), b"salt").pack()


def answers(client: Client) -> dict[int, bytes]:
    """The contexts of the response that came last."""
    raw = client.received[0]
    body = NegotiateResponse.unpack(raw, HEADER_SIZE)
    if not body.negotiate_context_count:
        return {}
    assert body.negotiate_context_offset % 8 == 0
    found = wire.contexts(raw[body.negotiate_context_offset :], body.negotiate_context_count)
    return {context.type: bytes(context.data) for context in found}


# -- refusals ----------------------------------------------------------------------------


def test_no_dialect_is_refused(engine: Engine) -> None:
    client = Client(engine)
    assert client.status(client.frames.negotiate(dialect_count=0)) is INVALID


@pytest.mark.parametrize("count", [6, 100, 0xFFFF])
def test_more_dialects_than_the_message_has_are_refused(engine: Engine, count: int) -> None:
    client = Client(engine)
    assert client.status(client.frames.negotiate(0x0202, dialect_count=count)) is INVALID


@pytest.mark.parametrize("dialects", [(0x0300 + 99,), (0x02FF,), (0,), (0xFFFF, 0x0201)])
def test_no_common_dialect_is_refused(engine: Engine, dialects: tuple[int, ...]) -> None:
    client = Client(engine)
    assert client.status(client.frames.negotiate(*dialects)) is NtStatus.NOT_SUPPORTED


def test_a_dialect_outside_the_administrators_limits_is_refused(folder: Path) -> None:
    engine = Engine(folder, min_dialect=0x0210, max_dialect=0x0302)
    assert Client(engine).negotiate().dialect_revision == 0x0302
    for dialect in (0x0202, 0x0311):
        client = Client(engine)
        assert client.status(client.frames.negotiate(dialect)) is NtStatus.NOT_SUPPORTED


def test_a_refused_negotiate_may_be_repeated(engine: Engine) -> None:
    client = Client(engine)
    client.call(client.frames.negotiate(dialect_count=0))
    client.negotiate()
    client.log_on()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_second_negotiate_ends_the_connection(engine: Engine, dialect: int) -> None:
    client = Client(engine)
    client.negotiate(dialect)
    assert client.send(client.frames.negotiate(dialect)) == []
    assert client.closed


def test_3_1_1_without_sha_512_is_refused(engine: Engine) -> None:
    client = Client(engine)
    other = wire.PreauthIntegrity((0x0002, 0x7777), b"salt").pack()
    frame = client.frames.negotiate(contexts=[(PREAUTH, other)])
    assert client.status(frame) is NtStatus.NO_PREAUTH_INTEGRITY_HASH_OVERLAP


def test_sha_512_may_come_second(engine: Engine) -> None:
    client = Client(engine)
    both = wire.PreauthIntegrity((0x0002, wire.SHA_512), b"").pack()
    assert client.status(client.frames.negotiate(contexts=[(PREAUTH, both)])) is OK


def test_3_1_1_without_preauthentication_is_refused(engine: Engine) -> None:
    client = Client(engine)
    contexts = standard_contexts()[1:]
    assert client.status(client.frames.negotiate(contexts=contexts)) is INVALID


@pytest.mark.parametrize("twice", [PREAUTH, ENCRYPTION, COMPRESSION, NETNAME, SIGNING])
def test_a_context_that_comes_twice_is_refused(engine: Engine, twice: int) -> None:
    every = dict(standard_contexts())
    every[COMPRESSION] = wire.Compression((wire.LZ77,)).pack()
    contexts = [*every.items(), (twice, every[twice])]
    client = Client(engine)
    assert client.status(client.frames.negotiate(contexts=contexts)) is INVALID


def test_an_unknown_context_may_come_twice(engine: Engine) -> None:
    client = Client(engine)
    contexts = [(0x7777, b"x"), *standard_contexts(), (0x7777, b""), (0, b"yy"), (0xFFFF, b"")]
    assert client.status(client.frames.negotiate(contexts=contexts)) is OK
    assert set(answers(client)) == {PREAUTH, ENCRYPTION, SIGNING}


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        (PREAUTH, b""),
        (PREAUTH, struct.pack("<HH", 0, 0)),
        (PREAUTH, struct.pack("<HHH", 2, 0, 1)),
        (PREAUTH, struct.pack("<HHH", 0xFFFF, 0, 1)),
        (PREAUTH, struct.pack("<HHH", 1, 1, 1)),
        (PREAUTH, struct.pack("<HHH", 1, 0xFFFF, 1)),
        (ENCRYPTION, b""),
        (ENCRYPTION, b"\0"),
        (ENCRYPTION, struct.pack("<H", 0)),
        (ENCRYPTION, struct.pack("<HH", 2, 1)),
        (ENCRYPTION, struct.pack("<HH", 0xFFFF, 1)),
        (COMPRESSION, struct.pack("<HHI", 0, 0, 0)),
        (COMPRESSION, struct.pack("<HHIH", 2, 0, 0, 1)),
        (COMPRESSION, b"\1\0\0\0"),
        (SIGNING, b""),
        (SIGNING, struct.pack("<H", 0)),
        (SIGNING, struct.pack("<HH", 0xFFFF, 1)),
        (NETNAME, b"odd"),
        (NETNAME, b"\x00\xd8"),
    ],
)
def test_a_malformed_context_is_refused(engine: Engine, type_: int, data: bytes) -> None:
    contexts = dict(standard_contexts()) | {type_: data}
    client = Client(engine)
    assert client.status(client.frames.negotiate(contexts=list(contexts.items()))) is INVALID


@pytest.mark.parametrize("count", [5, 6, 100, 0xFFFF])
def test_a_count_beyond_the_contexts_is_refused(engine: Engine, count: int) -> None:
    client = Client(engine)
    assert client.status(client.frames.negotiate(negotiate_context_count=count)) is INVALID


@pytest.mark.parametrize("by", [-8, 1, 4, 7, 8, 1 << 20])
def test_contexts_somewhere_else_are_refused(engine: Engine, by: int) -> None:
    client = Client(engine)
    frame = client.frames.negotiate()
    assert isinstance(frame.body, NegotiateRequest)
    frame.body.negotiate_context_offset += by
    assert client.status(frame) is INVALID


@pytest.mark.parametrize("offset", [0, 64, 100, 0xFFFF_FFF8])
def test_contexts_before_or_behind_the_message_are_refused(engine: Engine, offset: int) -> None:
    client = Client(engine)
    assert client.status(client.frames.negotiate(negotiate_context_offset=offset)) is INVALID


@pytest.mark.parametrize("length", [0x200, 0x1000, 0xFFFF])
def test_a_context_longer_than_the_message_is_refused(engine: Engine, length: int) -> None:
    client = Client(engine)
    frame = client.frames.negotiate()
    data = bytearray(frame.data)
    at = data.index(struct.pack("<HHI", PREAUTH, 38, 0))
    struct.pack_into("<H", data, at + 2, length)
    assert client.status(frame.set(data=bytes(data))) is INVALID


# -- what is agreed on -------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_dialect_can_be_agreed_on(engine: Engine, dialect: int) -> None:
    body = Client(engine).negotiate(dialect)
    assert body.dialect_revision == dialect


@pytest.mark.parametrize("dialect", DIALECTS)
def test_sizes_and_capabilities_follow_from_the_dialect(engine: Engine, dialect: int) -> None:
    body = Client(engine).negotiate(dialect)
    multi = dialect > 0x0202
    sizes = (body.max_read_size, body.max_write_size, body.max_transact_size)
    assert sizes == ((8 << 20, 8 << 20, 1 << 20) if multi else (65536,) * 3)
    assert body.capabilities == (wire.CAP_LARGE_MTU | wire.CAP_LEASING if multi else 0)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_directories_are_leased_with_3_x_to_who_offers_it(engine: Engine, dialect: int) -> None:
    offered = wire.CAP_DIRECTORY_LEASING | wire.CAP_MULTI_CHANNEL
    body = Client(engine).negotiate(dialect, capabilities=offered)
    leased = bool(body.capabilities & wire.CAP_DIRECTORY_LEASING)
    assert leased == (dialect >= 0x0300)
    assert not body.capabilities & wire.CAP_MULTI_CHANNEL


def test_without_smb2_leases_there_is_no_such_capability(folder: Path) -> None:
    client = Client(Engine(folder, leases=False))
    body = client.negotiate(capabilities=wire.CAP_DIRECTORY_LEASING)
    assert not body.capabilities & (wire.CAP_LEASING | wire.CAP_DIRECTORY_LEASING)


def test_the_best_common_dialect_is_chosen_whatever_the_order(engine: Engine) -> None:
    assert Client(engine).negotiate(0x0302, 0x0202, 0x0311, 0x0210).dialect_revision == 0x0311
    assert Client(engine).negotiate(0x0302, 0x0202, 0x9999).dialect_revision == 0x0302


def test_the_response_tells_who_and_when(engine: Engine) -> None:
    client = Client(engine)
    body = client.negotiate()
    assert body.server_guid == engine.server.guid
    assert body.system_time == 116_444_736_000_000_000 + int(NOW) * 10_000_000
    assert body.server_start_time == 0


def test_the_security_buffer_offers_ntlm(engine: Engine) -> None:
    client = Client(engine)
    body = client.negotiate()
    assert body.security_buffer_offset == 128
    start = body.security_buffer_offset
    token = parse(client.received[0][start : start + body.security_buffer_length])
    assert isinstance(token, NegTokenInit)
    assert token.mech_types == (NTLMSSP,)


@pytest.mark.parametrize(
    ("policy", "mode"),
    [(SigningPolicy.DISABLED, 1), (SigningPolicy.AUTO, 1), (SigningPolicy.MANDATORY, 3)],
)
def test_signing_is_required_where_it_is_mandatory(
    folder: Path, policy: SigningPolicy, mode: int
) -> None:
    engine = Engine(folder, signing=policy)
    assert Client(engine).negotiate().security_mode == mode


# -- contexts of 3.1.1 -------------------------------------------------------------------


def test_only_what_was_asked_is_answered(engine: Engine) -> None:
    client = Client(engine)
    client.negotiate(signing=())
    assert set(answers(client)) == {PREAUTH, ENCRYPTION}
    client = Client(engine)
    client.negotiate()
    assert list(answers(client)) == [PREAUTH, ENCRYPTION, SIGNING]


def test_each_answer_has_a_salt_of_its_own(engine: Engine) -> None:
    salts = set()
    for _ in range(3):
        client = Client(engine)
        client.negotiate()
        answer = wire.PreauthIntegrity.unpack(answers(client)[PREAUTH])
        assert answer.hash_algorithms == (wire.SHA_512,)
        assert len(answer.salt) == 32
        salts.add(answer.salt)
    assert len(salts) == 3


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [((0, 1, 2), 2), ((2, 1, 0), 2), ((0, 1), 1), ((0,), 0), ((7, 0), 0), ((7,), 1)],
)
def test_the_server_prefers_the_fastest_signature(
    engine: Engine, offered: tuple[int, ...], chosen: int
) -> None:
    client = Client(engine)
    client.negotiate(signing=offered)
    assert wire.Signing.unpack(answers(client)[SIGNING]) == ((chosen,),)
    assert client.connection.signing_algorithm_id == chosen


def test_the_administrator_orders_the_algorithms(folder: Path) -> None:
    client = Client(Engine(folder, signing_algorithms=(1, 0)))
    client.negotiate(signing=(2, 0, 1))
    assert wire.Signing.unpack(answers(client)[SIGNING]) == ((1,),)


def test_without_a_signing_context_it_is_aes_cmac(engine: Engine) -> None:
    client = Client(engine)
    client.negotiate(signing=())
    assert client.connection.signing_algorithm_id == wire.AES_CMAC


def test_contexts_count_only_with_3_1_1(engine: Engine) -> None:
    """The field is ClientStartTime for the others."""
    client = Client(engine)
    frame = client.frames.negotiate(
        0x0302, negotiate_context_offset=0xFFFFFFFF, negotiate_context_count=0xFFFF
    )
    assert client.status(frame) is OK
    assert answers(client) == {}


def test_compression_is_understood_and_not_taken(engine: Engine) -> None:
    client = Client(engine)
    packed = wire.Compression((wire.LZ77, wire.LZNT1), wire.COMPRESSION_CHAINED).pack()
    contexts = [*standard_contexts(), (COMPRESSION, packed)]
    assert client.status(client.frames.negotiate(contexts=contexts)) is OK
    assert COMPRESSION not in answers(client)


def test_the_hash_is_of_the_bytes_on_the_wire(engine: Engine) -> None:
    client = Client(engine)
    client.negotiate()
    expected = chain(bytes(64), client.sent, client.received[0])
    assert client.connection.preauth_integrity_hash_value == expected


@pytest.mark.parametrize("dialect", DIALECTS[:-1])
def test_other_dialects_have_no_hash(engine: Engine, dialect: int) -> None:
    client = Client(engine)
    client.negotiate(dialect)
    assert client.connection.preauth_integrity_hash_value == bytes(64)


def test_padding_behind_the_last_context_is_tolerated(engine: Engine) -> None:
    client = Client(engine)
    frame: Frame = client.frames.negotiate()
    assert client.status(frame.set(data=frame.data + bytes(13))) is OK


def test_a_name_of_a_thousand_characters_is_tolerated(engine: Engine) -> None:
    client = Client(engine)
    contexts = [(PREAUTH, GOOD_PREAUTH), (NETNAME, utf16("x" * 1000))]
    assert client.status(client.frames.negotiate(contexts=contexts)) is OK
