"""mgmt: what every pipe tells of itself."""

from __future__ import annotations

from uuid import UUID

import pytest

from mountd.rpc import errors
from mountd.rpc.errors import Win32
from mountd.rpc.management import MGMT
from mountd.rpc.ndr import NdrWriter
from mountd.rpc.pipe import PIPES
from tests.mountd.rpc_support import Client, Fault, finished, make_pipes


@pytest.mark.parametrize("pipe", PIPES)
def test_mgmt_tells_the_interfaces_of_its_pipe(pipe):
    r = Client(make_pipes(), pipe, MGMT.syntax).call(0)
    assert r.u32()
    count = r.u32()
    assert r.u32() == count
    assert all(r.u32() for _ in range(count))
    found = [(UUID(bytes_le=r.raw(16, 4)), r.u16(), r.u16()) for _ in range(count)]
    assert found == [tuple(interface.syntax) for interface in PIPES[pipe]]
    assert finished(r) == Win32.SUCCESS


def test_mgmt_says_that_it_listens_and_goes_on():
    client = Client(make_pipes(), "srvsvc", MGMT.syntax)
    r = client.call(2)
    assert (r.u32(), finished(r)) == (Win32.SUCCESS, 1)
    assert finished(client.call(3)) == Win32.ACCESS_DENIED
    r = client.call(2)
    assert (r.u32(), finished(r)) == (Win32.SUCCESS, 1)


def test_mgmt_keeps_no_statistics():
    w = NdrWriter()
    w.u32(4)
    r = Client(make_pipes(), "srvsvc", MGMT.syntax).call(1, w)
    assert (r.u32(), r.u32(), r.raw(16)) == (4, 4, bytes(16))
    assert finished(r) == Win32.NOT_SUPPORTED


@pytest.mark.parametrize("room", [0, 1, 100])
def test_mgmt_has_no_name_to_authenticate_with(room):
    w = NdrWriter()
    w.u32(10)
    w.u32(room)
    client = Client(make_pipes(), "srvsvc", MGMT.syntax)
    if not room:
        with pytest.raises(Fault) as fault:
            client.call(4, w)
        assert fault.value.status == errors.BAD_STUB_DATA
        return
    r = client.call(4, w)
    assert (r.u32(), r.u32(), r.u32(), r.u8()) == (room, 0, 1, 0)
    assert finished(r) == Win32.UNKNOWN_AUTHN_SERVICE
