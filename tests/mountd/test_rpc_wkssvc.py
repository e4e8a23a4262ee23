"""wkssvc: impacket's requests answered, replies parsed with our own reader."""

from __future__ import annotations

import pytest

from mountd.rpc.errors import BAD_STUB_DATA, Win32
from mountd.rpc.ndr import NdrWriter
from mountd.rpc.wkssvc import USER_LEVELS, WKSTA_INFO
from tests.mountd.rpc_support import (
    ADMIN,
    ANONYMOUS,
    GUEST,
    USER,
    WKSSVC,
    Client,
    Fault,
    finished,
    make_pipes,
    vectors,
)

VECTORS = vectors()


def client(caller=ADMIN) -> Client:
    return Client(make_pipes(), "wkssvc", WKSSVC, caller)


@pytest.mark.parametrize(
    ("level", "caller", "status"),
    [
        (100, ANONYMOUS, Win32.SUCCESS),
        (101, ANONYMOUS, Win32.ACCESS_DENIED),
        (101, GUEST, Win32.ACCESS_DENIED),
        (101, USER, Win32.SUCCESS),
        (102, USER, Win32.ACCESS_DENIED),
        (102, ADMIN, Win32.SUCCESS),
    ],
)
def test_wksta_get_info_by_level_and_caller(level, caller, status):
    r = client(caller).send(VECTORS[f"NetrWkstaGetInfo level {level}"])
    assert r.u32() == level
    row = r.unique(lambda: r.struct(WKSTA_INFO[level]))
    assert finished(r) == status
    if status:
        assert row is None
        return
    expected = {"platform": 500, "computer": "FILESRV", "domain": "WORKGROUP", "major": 6}
    expected |= {"minor": 1, "root": "", "users": 2}
    assert row == {name: expected[name] for name, _ in WKSTA_INFO[level]}


def test_wksta_get_info_of_an_unknown_level_has_no_arm():
    w = NdrWriter()
    w.null()
    w.u32(7)
    r = client().call(0, w)
    assert r.u32() == 7
    assert finished(r) == Win32.INVALID_LEVEL


@pytest.mark.parametrize("level", [0, 1])
def test_wksta_user_enum_is_for_administrators(level):
    vector = VECTORS[f"NetrWkstaUserEnum level {level}"]
    r = client().send(vector)
    assert (r.u32(), r.u32()) == (level, level)
    rows = r.unique(lambda: r.array(USER_LEVELS[level]))
    assert [row["user"] for row in rows] == ["bob", "nobody"]
    assert (r.u32(), r.unique(r.u32), finished(r)) == (2, 0, Win32.SUCCESS)
    r = client(USER).send(vector)
    assert [r.u32() for _ in range(5)] == [level, level, 0, 0, 0]
    assert finished(r) == Win32.ACCESS_DENIED


@pytest.mark.parametrize("name", [n for n in VECTORS if n.startswith("NetrWksta")])
def test_every_truncation_of_a_stub_is_a_fault(name):
    pdu_bytes, c = VECTORS[name], client()
    for end in range(24, len(pdu_bytes)):
        cut = bytearray(pdu_bytes[:end])
        cut[8:10] = end.to_bytes(2, "little")
        with pytest.raises(Fault) as fault:
            c.send(bytes(cut))
        assert fault.value.status == BAD_STUB_DATA
