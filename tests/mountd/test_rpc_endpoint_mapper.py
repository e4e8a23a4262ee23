"""epmapper: which interface is on which pipe."""

from __future__ import annotations

import struct
from uuid import UUID

import pytest

from mountd.rpc import errors
from mountd.rpc.endpoint_mapper import NOT_REGISTERED, Endpoint, read_tower
from mountd.rpc.errors import Win32
from mountd.rpc.handles import CLOSED
from mountd.rpc.ndr import NdrWriter
from mountd.rpc.pipe import PIPES
from mountd.rpc.srvsvc import SRVSVC
from tests.mountd.rpc_support import Client, Fault, finished, make_pipes

EPMAPPER = PIPES["epmapper"][0]
EVERY = [
    (interface.syntax.uuid, pipe)
    for pipe, offered in PIPES.items()
    if pipe != "epmapper"
    for interface in offered
]
UNKNOWN = UUID("e3514235-4b06-11d1-ab04-00c04fc2dcd2")


@pytest.fixture
def mapper():
    return Client(make_pipes(), "epmapper", EPMAPPER.syntax)


def lookup(client, room=500, handle=CLOSED, kind=0, interface=None):
    w = NdrWriter()
    w.u32(kind)
    w.u32(0)
    w.u32(0 if interface is None else 1)
    if interface is not None:
        w.raw(interface.bytes_le + struct.pack("<HH", 0, 0))
    w.u32(1)
    w.raw(handle)
    w.u32(room)
    return client.call(2, w)


def read_towers(r, count):
    """The interface and the pipe of each tower that follows."""
    found = []
    for _ in range(count):
        size = r.u32()
        assert r.u32() == size
        tower = r.raw(size)
        pipe = tower.partition(b"\\pipe\\")[2].partition(b"\0")[0].decode()
        found.append((read_tower(tower)[0].uuid, pipe))
    return found


def entries(r):
    """The handle and what a lookup told, and its status."""
    handle, count = r.raw(20), r.u32()
    assert r.u32() >= count
    assert (r.u32(), r.u32()) == (0, count)
    for _ in range(count):
        assert r.raw(16, 4) == bytes(16)
        assert r.u32()
        assert r.u32() == 0
        assert r.raw(r.u32()).endswith(b"\0")
    found = read_towers(r, count)
    return handle, found, finished(r)


def test_lookup_tells_every_endpoint(mapper):
    assert entries(lookup(mapper)) == (CLOSED, EVERY, Win32.SUCCESS)


def test_lookup_goes_on_with_its_handle_to_the_end(mapper):
    handle, found, status = entries(lookup(mapper, room=1))
    while status == Win32.SUCCESS:
        handle, more, status = entries(lookup(mapper, room=1, handle=handle))
        found += more
    assert found == EVERY
    assert (handle, status) == (CLOSED, NOT_REGISTERED)


def test_lookup_by_interface_tells_its_pipes(mapper):
    uuid = SRVSVC.syntax.uuid
    assert entries(lookup(mapper, kind=1, interface=uuid))[1] == [(uuid, "srvsvc")]
    nobody = entries(lookup(mapper, kind=1, interface=UNKNOWN))
    assert nobody == (CLOSED, [], NOT_REGISTERED)
    with pytest.raises(Fault) as fault:
        lookup(mapper, kind=1)
    assert fault.value.status == errors.BAD_STUB_DATA


def test_a_lookup_handle_is_freed_once(mapper):
    handle, _, _ = entries(lookup(mapper, room=1))
    w = NdrWriter()
    w.raw(handle)
    r = mapper.call(4, w)
    assert r.raw(20) == CLOSED
    assert finished(r) == Win32.SUCCESS
    with pytest.raises(Fault) as fault:
        lookup(mapper, handle=handle)
    assert fault.value.status == errors.CONTEXT_MISMATCH


def mapped(client, tower):
    w = NdrWriter()
    w.u32(0)
    w.u32(1)
    w.u32(len(tower))
    w.u32(len(tower))
    w.raw(tower)
    w.align(4)
    w.raw(CLOSED)
    w.u32(4)
    r = client.call(3, w)
    assert r.raw(20) == CLOSED
    count = r.u32()
    assert r.raw(12) == struct.pack("<III", 4, 0, count)
    assert all(r.u32() for _ in range(count))
    return read_towers(r, count), finished(r)


TOWER = Endpoint(SRVSVC, "").tower("FILESRV")


def test_map_tells_the_pipe_of_an_interface(mapper):
    assert mapped(mapper, TOWER) == ([(SRVSVC.syntax.uuid, "srvsvc")], Win32.SUCCESS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (SRVSVC.syntax.uuid.bytes_le, UNKNOWN.bytes_le),
        (b"\x01\0\x0f", b"\x01\0\x07"),  # over TCP
    ],
)
def test_map_tells_that_there_is_none(mapper, old, new):
    assert mapped(mapper, TOWER.replace(old, new)) == ([], NOT_REGISTERED)


@pytest.mark.parametrize("size", range(len(TOWER)))
def test_a_tower_cut_short_is_bad_stub_data(mapper, size):
    with pytest.raises(Fault) as fault:
        mapped(mapper, TOWER[:size])
    assert fault.value.status == errors.BAD_STUB_DATA


@pytest.mark.parametrize("opnum", [0, 1])
def test_nobody_registers_endpoints(mapper, opnum):
    assert finished(mapper.call(opnum)) == Win32.ACCESS_DENIED
