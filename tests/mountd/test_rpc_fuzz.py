"""Whatever a client writes: RpcError or bytes come out of Pipes, and memory stays bounded."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mountd.rpc import pdu
from mountd.rpc.association import MAX_UNREAD
from mountd.rpc.errors import UNSPECIFIED, RpcError
from mountd.rpc.pipe import PIPES
from tests.mountd.rpc_support import ADMIN, USER, bind, make_pipes, request, vectors

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
