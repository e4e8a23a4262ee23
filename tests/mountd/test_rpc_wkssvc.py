"""wkssvc: impacket's requests answered, replies parsed with our own reader."""

from __future__ import annotations

import pytest

from mountd.rpc.errors import BAD_STUB_DATA, Win32
from mountd.rpc.ndr import NdrWriter
from mountd.rpc.wkssvc import (
    COMPUTER_NAMES,
    TRANSPORT_LEVELS,
    USE_LEVELS,
    USER_LEVELS,
    WKSTA_INFO,
)
from mountd.rpc.wkssvc import WKSSVC as WKSSVC_TABLE
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


# -- further operations ------------------------------------------------------------------


def words(*values, name=None):
    """ServerName or another string, then words."""
    w = NdrWriter()
    w.unique_wstring(name)
    w.flush()
    for value in values:
        w.u32(value)
    return w


def enumeration(level, caller=ADMIN, opnum=5):
    w = words(level, level)
    w.pointer(lambda: w.array((), []))
    w.flush()
    w.u32(0xFFFFFFFF)
    w.unique_u32(None)
    r = client(caller).call(opnum, w)
    assert (r.u32(), r.u32()) == (level, level)
    return r


@pytest.mark.parametrize(("opnum", "levels"), [(5, TRANSPORT_LEVELS), (11, USE_LEVELS)])
def test_a_server_uses_no_other(opnum, levels):
    for level in levels:
        r = enumeration(level, opnum=opnum)
        assert (r.u32() != 0, r.u32(), r.u32() != 0, r.u32()) == (True, 0, True, 0)
        assert (r.u32(), r.u32(), finished(r)) == (0, 0, Win32.SUCCESS)
    r = enumeration(7, opnum=opnum)
    assert (r.u32(), r.u32(), finished(r)) == (0, 0, Win32.INVALID_LEVEL)


def test_the_workgroup_is_what_the_machine_is_in():
    r = client(USER).call(20, words(0, name="\\\\FILESRV"))
    assert (r.u32() != 0, r.wstring(), r.u16()) == (True, "WORKGROUP", 2)
    assert finished(r) == Win32.SUCCESS


@pytest.mark.parametrize(("kind", "names"), [(0, ["FILESRV"]), (1, []), (2, ["FILESRV"])])
def test_the_machine_has_one_name(kind, names):
    r = client(USER).call(30, words(kind, 0))
    assert r.u32()
    assert [row["name"] for row in r.array(COMPUTER_NAMES)] == names
    assert finished(r) == Win32.SUCCESS
    r = client(USER).call(30, words(3, 0))
    assert (r.u32(), finished(r)) == (0, Win32.INVALID_PARAMETER)


@pytest.mark.parametrize(
    ("name", "level", "status"),
    [
        (None, 0, Win32.NO_SUCH_LOGON_SESSION),
        (None, 1, Win32.NO_SUCH_LOGON_SESSION),
        ("bob", 1101, Win32.INVALID_PARAMETER),
    ],
)
def test_nobody_is_at_the_console(name, level, status):
    r = client().call(3, words(level, name=name))
    assert (r.u32(), r.u32(), finished(r)) == (level, 0, status)
    r = client().call(3, words(1101))
    assert (r.u32(), r.u32() != 0, r.u32() != 0) == (1101, True, True)
    assert (r.wstring(), finished(r)) == ("", Win32.SUCCESS)
    r = client().call(3, words(5))
    assert (r.u32(), finished(r)) == (5, Win32.INVALID_LEVEL)


def test_a_use_that_there_is_not():
    w = words()
    w.wstring("z:")
    w.u32(1)
    r = client().call(9, w)
    assert (r.u32(), r.u32(), finished(r)) == (1, 0, Win32.USE_NOT_FOUND)


def test_a_level_of_the_union_that_is_not_told_has_its_null_pointer():
    r = client().call(0, words(502))
    assert (r.u32(), r.u32(), finished(r)) == (502, 0, Win32.INVALID_LEVEL)


@pytest.mark.parametrize(
    "opnum", [op for op, row in WKSSVC_TABLE.operations.items() if row.refuses is not None]
)
def test_what_is_refused_says_so_whatever_is_sent(opnum):
    for stub in (NdrWriter(), words(1, 2, 3)):
        r = client().call(opnum, stub)
        while r.remaining > 4:
            assert r.u32() == 0
        assert finished(r) == WKSSVC_TABLE.operations[opnum].refuses
