"""Whatever a client writes: RpcError or bytes come out of Pipes, and memory stays bounded."""

from __future__ import annotations

import logging
import random
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mountd.rpc import pdu
from mountd.rpc.association import MAX_UNREAD
from mountd.rpc.errors import UNSPECIFIED, RpcError
from mountd.rpc.pipe import PIPES
from mountd.rpc.srvsvc import SRVSVC
from tests.mountd.rpc_support import (
    ADMIN,
    USER,
    bind,
    fragments,
    make_pipes,
    reply_stub,
    request,
    vectors,
)

VECTORS = vectors()
FUZZ = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
OPNUMS = st.sampled_from(
    sorted({op for offered in PIPES.values() for i in offered for op in i.operations})
)
EDGES = st.sampled_from([0, 1, 2, 3, 4, 7, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])


@st.composite
def stubs(draw):
    """Words that look like NDR, with edges where counts and pointers are."""
    words = draw(st.lists(EDGES | st.integers(0, 1200), max_size=24))
    return struct.pack(f"<{len(words)}I", *words) + draw(st.binary(max_size=16))


@st.composite
def mangled(draw):
    """A frozen request with a few bytes changed."""
    data = bytearray(draw(st.sampled_from(sorted(VECTORS.values()))))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data) - 1))
        data[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    return bytes(data)


@st.composite
def requests(draw):
    stub = draw(stubs())
    flags = draw(st.sampled_from([3, 3, 3, 1, 2, 0, 0x83, 0x43]))
    body = struct.pack("<IHH", draw(EDGES), draw(st.integers(0, 2)), draw(OPNUMS)) + stub
    kind = draw(st.sampled_from([0] * 9 + list(pdu.PduType)))
    return pdu.pack(kind, draw(st.integers(0, 3)), body, flags)


HANDLES = [bytes(4) + number.to_bytes(16, "big") for number in range(8)]

BUILTIN = b"\1\2" + (5).to_bytes(6, "big") + struct.pack("<II", 32, 544)  # Administrators
POLICY, SERVER, MACHINE = HANDLES[1], HANDLES[1], HANDLES[2]
OPENINGS = {  # context handles of every further kind, behind those of the vectors
    "lsarpc": [request(17, POLICY + struct.pack("<I", 2) + BUILTIN + bytes(4))],
    "samr": [
        request(7, SERVER + struct.pack("<II", 0, 1) + b"\1\1" + BUILTIN[2:12]),
        request(19, MACHINE + struct.pack("<II", 0, 513)),
        request(27, HANDLES[4] + struct.pack("<II", 0, 544)),
    ],
}


@st.composite
def handled_stubs(draw):
    """A stub that begins with one of the first context handles."""
    return draw(st.sampled_from(HANDLES)) + draw(stubs())


def drain(pipes, handle):
    """Read all that is there; no reply may tell of a bug."""
    while True:
        try:
            chunk = pipes.read(handle, 65536)
        except RpcError:
            return
        if chunk.data[2] == pdu.PduType.FAULT:
            assert struct.unpack_from("<I", chunk.data, 24)[0] != UNSPECIFIED


@pytest.mark.parametrize("name", sorted(PIPES))
@pytest.mark.parametrize("caller", [USER, ADMIN], ids=["user", "admin"])
@FUZZ
@given(writes=st.lists(st.binary(max_size=64) | mangled() | requests(), max_size=12))
def test_no_write_raises_anything_but_rpc_error(name, caller, writes):
    pipes = make_pipes()
    pipes.open(1, name, caller)
    contexts = [(i, interface.syntax, (pdu.NDR32,)) for i, interface in enumerate(PIPES[name])]
    pipes.transceive(1, bind(*contexts), 999)
    for data in writes:
        try:
            pipes.write(1, data)
        except RpcError:
            break
        assert pipes.held <= MAX_UNREAD + (4 << 20)
    drain(pipes, 1)
    pipes.close(1)
    assert pipes.held == 0


@pytest.mark.parametrize("name", sorted(PIPES))
@FUZZ
@given(data=st.data())
def test_no_stub_raises_anything_but_rpc_error(name, data):
    pipes = make_pipes()
    pipes.open(1, name, ADMIN)
    contexts = [(i, interface.syntax, (pdu.NDR32,)) for i, interface in enumerate(PIPES[name])]
    pipes.transceive(1, bind(*contexts), 999)
    for opening in ("LsarOpenPolicy2", "SamrOpenDomain", "SamrOpenUser alice"):
        if name in ("samr", "lsarpc"):
            pipes.write(
                1, VECTORS["SamrConnect5" if opening[0] == "L" and name == "samr" else opening]
            )
            drain(pipes, 1)
    for further in OPENINGS.get(name, ()):
        pipes.write(1, further)
        drain(pipes, 1)
    for _ in range(4):
        context_id = data.draw(st.integers(0, len(contexts) - 1))
        opnum = data.draw(st.sampled_from(sorted(PIPES[name][context_id].operations)))
        stub = data.draw(stubs() | handled_stubs())
        body = struct.pack("<IHH", 0, context_id, opnum) + stub
        pipes.write(1, pdu.pack(pdu.PduType.REQUEST, 1, body))
        drain(pipes, 1)


@FUZZ
@given(data=st.binary(max_size=200))
def test_no_first_write_raises_anything_but_rpc_error(data):
    pipes = make_pipes()
    pipes.open(1, "srvsvc", USER)
    pipes.write(1, data)
    drain(pipes, 1)


@contextmanager
def no_bug_is_logged() -> Iterator[None]:
    """Nothing at all is worth an error in mountd's log, whatever a client sends."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append
    logging.getLogger("mountd").addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger("mountd").removeHandler(handler)
    assert [record.getMessage() for record in records] == []


SYNTAXES = st.sampled_from([i.syntax for offered in PIPES.values() for i in offered] + [pdu.NDR32])
CONTEXTS = st.lists(st.tuples(st.integers(0, 200), SYNTAXES, st.just((pdu.NDR32,))), max_size=6)


@st.composite
def conversations(draw):
    """Binds, alterations and fragments, each a little wrong, in one stream of bytes."""
    stream = bytearray()
    for _ in range(draw(st.integers(1, 8))):
        what = draw(st.integers(0, 3))
        if what < 2:
            kind = (pdu.PduType.BIND, pdu.PduType.ALTER_CONTEXT)[what]
            frag = draw(st.sampled_from([0, 16, 1432, 4280, 65535]))
            part = bytearray(bind(*draw(CONTEXTS), frag=frag, type=kind))
        else:
            cut = fragments(draw(OPNUMS), draw(stubs()) + b"1", draw(st.sampled_from([1, 8, 40])))
            if draw(st.booleans()):
                cut.insert(draw(st.integers(0, len(cut))), cut[draw(st.integers(0, len(cut) - 1))])
            part = bytearray(b"".join(cut))
        if draw(st.booleans()):
            part[draw(st.integers(0, len(part) - 1))] = draw(st.integers(0, 255))
        stream += part
    return bytes(stream)


@pytest.mark.parametrize("name", ["lsarpc", "srvsvc", "epmapper"])
@FUZZ
@given(begun=st.booleans(), stream=conversations(), size=st.sampled_from([1, 7, 24, 1000, 1 << 20]))
def test_no_order_of_binds_and_fragments_raises_anything_but_rpc_error(name, begun, stream, size):
    pipes = make_pipes()
    pipes.open(1, name, ADMIN)
    with no_bug_is_logged():
        if begun:
            pipes.transceive(1, bind((0, PIPES[name][0].syntax, (pdu.NDR32,))), 999)
        for start in range(0, len(stream), size):
            try:
                pipes.write(1, stream[start : start + size])
            except RpcError:
                break
            assert pipes.held <= MAX_UNREAD + (4 << 20)
        drain(pipes, 1)
    pipes.close(1)
    assert pipes.held == 0


def test_many_at_one_pipe_hinder_nobody():
    """Whatever several do at once: RpcError or bytes, and the next pipe's client is answered."""
    pipes = make_pipes()
    answer = request(28, bytes(4))  # NetrRemoteTOD

    def meddle(seed: int) -> None:
        chance = random.Random(seed)
        acts = (
            lambda: pipes.write(1, answer[: chance.randrange(len(answer) + 1)]),
            lambda: pipes.write(1, answer),
            lambda: pipes.transceive(1, answer, chance.choice([0, 5, 4280])),
            lambda: pipes.read(1, chance.choice([0, 1, 4280])),
            lambda: pipes.peek(1),
            lambda: pipes.close(1),
            lambda: pipes.open(1, "srvsvc", USER),
            lambda: pipes.transceive(1, bind((0, SRVSVC.syntax, (pdu.NDR32,))), 4280),
        )
        for _ in range(300):
            try:
                chance.choice(acts)()
            except RpcError:
                continue

    with no_bug_is_logged(), ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(meddle, seed) for seed in range(6)]:
            done.result(timeout=60)
        pipes.open(2, "srvsvc", USER)
        pipes.transceive(2, bind((0, SRVSVC.syntax, (pdu.NDR32,))), 4280)
        assert reply_stub(pipes.transceive(2, answer, 4280).data)
    pipes.close(1)
    pipes.close(2)
    assert pipes.held == 0
