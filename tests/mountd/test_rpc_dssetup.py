"""dssetup: what this server says it is."""

from __future__ import annotations

import pytest

from mountd.rpc.errors import Win32
from mountd.rpc.ndr import NdrWriter
from tests.mountd.rpc_support import DSSETUP, USER, Client, finished, make_pipes


def test_dssetup_shares_the_pipe_and_the_opnum_of_lsar_close():
    c = Client(make_pipes(), "lsarpc", DSSETUP, USER)
    w = NdrWriter()
    w.u16(1)
    r = c.call(0, w)

    def body():
        level = r.u16()
        r.align(4)
        head = (level, r.u16(), r.u32(), r.u32() != 0, r.u32(), r.u32(), r.raw(16))
        return (*head, r.wstring())

    assert r.unique(body) == (1, 2, 0, True, 0, 0, bytes(16), "WORKGROUP")
    assert finished(r) == Win32.SUCCESS


@pytest.mark.parametrize(("level", "values"), [(2, (0, 0)), (3, (0,))])
def test_dssetup_is_neither_upgrading_nor_busy(level, values):
    w = NdrWriter()
    w.u16(level)
    r = Client(make_pipes(), "lsarpc", DSSETUP, USER).call(0, w)
    assert r.u32() != 0
    assert r.u16() == level
    assert tuple(r.u32() for _ in values) == values
    assert finished(r) == Win32.SUCCESS


def test_dssetup_of_an_unknown_level_is_refused():
    w = NdrWriter()
    w.u16(4)
    r = Client(make_pipes(), "lsarpc", DSSETUP, USER).call(0, w)
    assert (r.u32(), finished(r)) == (0, Win32.INVALID_PARAMETER)
