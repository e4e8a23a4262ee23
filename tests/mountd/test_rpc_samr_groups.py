"""samr's groups, aliases, lists for display, and what it refuses."""

from __future__ import annotations

import pytest

from ksmbd.wire.security import Sid
from ksmbd.wire.status import NtStatus
from mountd.rpc.errors import CONTEXT_MISMATCH
from mountd.rpc.handles import CLOSED
from mountd.rpc.interface import Account, Caller
from mountd.rpc.ndr import NdrWriter
from mountd.rpc.principals import ALIASES, BUILTIN
from mountd.rpc.samr_groups import DISPLAYS, NUMBERS, OPERATIONS, SIDS
from tests.mountd.rpc_support import GUEST, USER, Client, FakeDaemon, Fault, finished
from tests.mountd.test_rpc_samr import ALICE, DOMAIN, MACHINE, SERVER, client, handle, on

BUILTIN_HANDLE, GROUP, ALIAS = handle(4), handle(5), handle(6)
AUTHENTICATED = Sid(5, 11)


def opened(daemon: FakeDaemon | None = None, caller: Caller = USER) -> Client:
    """A client with Builtin, None and Administrators open besides."""
    c = client(caller, daemon)
    w = on(SERVER, 0)
    w._sid(BUILTIN)
    for opnum, stub, expected in (
        (7, w, BUILTIN_HANDLE),
        (19, on(MACHINE, 0, 513), GROUP),
        (27, on(BUILTIN_HANDLE, 0, 544), ALIAS),
    ):
        r = c.call(opnum, stub)
        assert (r.raw(20), finished(r)) == (expected, NtStatus.SUCCESS)
    return c


def level(handle_bytes, number):
    w = on(handle_bytes)
    w.u16(number)
    return w


def texts(r, count):
    """*count* strings of a union, in a row, and the status."""
    fields = tuple((f"text{i}", "unicode") for i in range(count))
    return [*r.struct(fields).values(), finished(r)]


def test_a_group_tells_name_attributes_and_members():
    c = opened()
    r = c.call(20, level(GROUP, 1))
    assert (r.u32() != 0, r.u16()) == (True, 1)
    row = r.struct((("name", "unicode"), ("flags", "u32"), ("members", "u32"), ("text", "unicode")))
    assert row == {"name": "None", "flags": 7, "members": 2, "text": ""}
    assert finished(r) == NtStatus.SUCCESS
    r = c.call(20, level(GROUP, 3))
    assert (r.u32() != 0, r.u16(), r.u32(), finished(r)) == (True, 3, 7, NtStatus.SUCCESS)
    r = c.call(20, level(GROUP, 6))
    assert (r.u32(), finished(r)) == (0, NtStatus.INVALID_INFO_CLASS)


@pytest.mark.parametrize(
    ("opnum", "held", "number", "expected"),
    [
        (20, GROUP, 2, "None"),
        (20, GROUP, 4, ""),
        (28, ALIAS, 2, "Administrators"),
        (28, ALIAS, 3, ""),
    ],
)
def test_a_name_or_a_comment_alone(opnum, held, number, expected):
    r = opened().call(opnum, level(held, number))
    assert (r.u32() != 0, r.u16()) == (True, number)
    assert texts(r, 1) == [expected, NtStatus.SUCCESS]


def test_every_account_is_in_the_machine_s_group():
    r = opened().call(25, on(GROUP))
    assert r.u32()
    count, rids, attributes = r.u32(), r.u32(), r.u32()
    assert (count, rids != 0, attributes != 0) == (2, True, True)
    assert [row["number"] for row in r.conformant(NUMBERS, 2)] == [1001, 1002]
    assert [row["number"] for row in r.conformant(NUMBERS, 2)] == [7, 7]
    assert finished(r) == NtStatus.SUCCESS


def test_an_alias_tells_who_is_in_it():
    c = opened()
    r = c.call(28, level(ALIAS, 1))
    assert (r.u32() != 0, r.u16()) == (True, 1)
    row = r.struct((("name", "unicode"), ("members", "u32"), ("text", "unicode")))
    assert row == {"name": "Administrators", "members": 1, "text": ""}
    assert finished(r) == NtStatus.SUCCESS
    r = c.call(33, on(ALIAS))
    assert [row["sid"] for row in r.array(SIDS)] == [DOMAIN.child(1001)]
    assert finished(r) == NtStatus.SUCCESS
    r = c.call(28, level(ALIAS, 4))
    assert (r.u32(), finished(r)) == (0, NtStatus.INVALID_INFO_CLASS)


@pytest.mark.parametrize(("rid", "members"), [(545, [AUTHENTICATED]), (546, [])])
def test_users_are_whoever_logs_on(rid, members):
    c = opened()
    r = c.call(27, on(BUILTIN_HANDLE, 0, rid))
    r = c.call(33, on(r.raw(20)))
    assert ([row["sid"] for row in r.array(SIDS)], finished(r)) == (members, NtStatus.SUCCESS)


@pytest.mark.parametrize(
    ("opnum", "domain", "rid", "status"),
    [
        (19, MACHINE, 512, NtStatus.NO_SUCH_GROUP),
        (19, BUILTIN_HANDLE, 513, NtStatus.NO_SUCH_GROUP),
        (27, MACHINE, 544, NtStatus.NO_SUCH_ALIAS),
        (27, BUILTIN_HANDLE, 1, NtStatus.NO_SUCH_ALIAS),
    ],
)
def test_what_is_no_group_is_not_opened(opnum, domain, rid, status):
    r = opened().call(opnum, on(domain, 0, rid))
    assert (r.raw(20), finished(r)) == (CLOSED, status)


@pytest.mark.parametrize(
    ("domain", "sids", "expected"),
    [
        (BUILTIN_HANDLE, [DOMAIN.child(1001)], [544, 545]),
        (BUILTIN_HANDLE, [DOMAIN.child(1002)], [545]),
        (BUILTIN_HANDLE, [DOMAIN.child(9), Sid(1, 0)], []),
        (MACHINE, [DOMAIN.child(1001)], []),
    ],
)
def test_in_which_aliases_an_account_is(domain, sids, expected):
    w = on(domain)
    w.array(SIDS, [type("Row", (), {"sid": sid}) for sid in sids])
    r = opened().call(16, w)
    assert ([row["number"] for row in r.array(NUMBERS)], finished(r)) == (expected, 0)


# -- lists for display -------------------------------------------------------------------


def display(kind, start=0, count=1000, room=0xFFFF, domain=MACHINE, c=None, opnum=40):
    w = level(domain, kind)
    for word in (start, count, room):
        w.u32(word)
    r = (c or opened()).call(opnum, w)
    total, returned, number = r.u32(), r.u32(), r.u16()
    r.align(4)
    rows = r.array(DISPLAYS[kind]) if number else None
    return total, returned, rows, finished(r)


@pytest.mark.parametrize("opnum", [40, 48, 51])
def test_accounts_are_listed_for_display(opnum):
    total, returned, rows, status = display(1, opnum=opnum)
    assert (total, status) == (returned, NtStatus.SUCCESS)
    assert rows == [
        {
            "index": 1,
            "rid": 1001,
            "control": 0x210,
            "name": "alice",
            "comment": "",
            "full_name": "Alice Liddell",
        },
        {"index": 2, "rid": 1002, "control": 0x210, "name": "bob", "comment": "", "full_name": ""},
    ]


def test_a_list_for_display_goes_on():
    c = opened()
    assert [row["name"] for row in display(1, 0, 1, c=c)[2]] == ["alice"]
    assert display(1, 0, 1, c=c)[3] == NtStatus.MORE_ENTRIES
    assert [row["name"] for row in display(1, 0, room=1, c=c)[2]] == ["alice"]
    _, _, rows, status = display(1, 1, c=c)
    assert ([row["name"] for row in rows], status) == (["bob"], NtStatus.SUCCESS)
    assert display(1, 9, c=c)[2:] == ([], NtStatus.SUCCESS)


def test_groups_are_listed_and_machines_are_not():
    assert [row["name"] for row in display(3)[2]] == ["None"]
    assert display(2)[2:] == ([], NtStatus.SUCCESS)
    assert display(1, domain=BUILTIN_HANDLE)[2:] == ([], NtStatus.SUCCESS)


@pytest.mark.parametrize(("kind", "names"), [(4, [b"alice", b"bob"]), (5, [b"None"])])
def test_names_in_the_old_character_set(kind, names):
    w = level(MACHINE, kind)
    for word in (0, 10, 0xFFFF):
        w.u32(word)
    r = opened().call(40, w)
    r.u32(), r.u32(), r.u16()
    r.align(4)
    assert (r.u32(), r.u32() != 0, r.u32()) == (len(names), True, len(names))
    heads = [(r.u32(), r.u16(), r.u16(), r.u32() != 0) for _ in names]
    assert heads == [(i, len(name), len(name), True) for i, name in enumerate(names, 1)]
    for name in names:
        assert (r.u32(), r.u32(), r.u32(), r.raw(len(name))) == (len(name), 0, len(name), name)
    assert finished(r) == NtStatus.SUCCESS


def test_an_account_without_a_rid_of_its_own_is_not_listed():
    daemon = FakeDaemon()
    daemon.account_list.append(Account("stranger", 65534, disabled=True))
    assert [row["name"] for row in display(1, c=opened(daemon))[2]] == ["alice", "bob"]


@pytest.mark.parametrize("kind", [0, 6, 0xFFFF])
def test_a_class_that_there_is_not(kind):
    w = level(MACHINE, kind)
    for word in (0, 10, 10):
        w.u32(word)
    r = opened().call(40, w)
    assert (r.u32(), r.u32(), r.u16()) == (0, 0, kind)
    r.align(4)
    assert finished(r) == NtStatus.INVALID_INFO_CLASS


def test_guests_are_shown_no_accounts():
    assert display(1, c=client(GUEST))[3] == NtStatus.ACCESS_DENIED


@pytest.mark.parametrize(("opnum", "held", "zeros"), [(25, GROUP, 1), (33, ALIAS, 2)])
def test_guests_are_told_no_members(opnum, held, zeros):
    r = opened(caller=GUEST).call(opnum, on(held))
    assert [r.u32() for _ in range(zeros)] == [0] * zeros
    assert finished(r) == NtStatus.ACCESS_DENIED


# -- passwords, SIDs, refusals -----------------------------------------------------------


def test_any_password_will_do():
    c = opened()
    r = c.call(44, on(ALICE))
    assert (r.u16(), r.u32(), finished(r)) == (0, 0, NtStatus.SUCCESS)
    w = NdrWriter()
    w.null()
    r = c.call(56, w)
    assert (r.u16(), r.u32(), finished(r)) == (0, 0, NtStatus.SUCCESS)


@pytest.mark.parametrize(
    ("held", "sid"),
    [
        (MACHINE, DOMAIN.child(7)),
        (BUILTIN_HANDLE, BUILTIN.child(7)),
        (ALIAS, BUILTIN.child(7)),
        (GROUP, DOMAIN.child(7)),
        (ALICE, DOMAIN.child(7)),
    ],
)
def test_a_rid_becomes_a_sid_of_its_domain(held, sid):
    r = opened().call(65, on(held, 7))
    assert (r.u32() != 0, r.sid(), finished(r)) == (True, sid, NtStatus.SUCCESS)


@pytest.mark.parametrize(
    "opnum", [op for op, operation in OPERATIONS.items() if operation.refuses is not None]
)
def test_nothing_is_changed(opnum):
    r = opened().call(opnum, on(MACHINE, 0, 0, 0))
    while r.remaining > 4:
        assert r.u32() == 0
    assert finished(r) == OPERATIONS[opnum].refuses


@pytest.mark.parametrize("opnum", [16, 19, 20, 25, 27, 28, 33, 40, 44, 48, 51, 65])
def test_a_handle_of_another_kind_is_a_fault(opnum):
    with pytest.raises(Fault) as fault:
        opened().call(opnum, on(bytes(20), 0, 0, 0))
    assert fault.value.status == CONTEXT_MISMATCH


def test_every_alias_can_be_asked():
    c = opened()
    for rid, name in ALIASES.items():
        r = c.call(27, on(BUILTIN_HANDLE, 0, rid))
        r = c.call(28, level(r.raw(20), 2))
        r.u32(), r.u16()
        assert texts(r, 1) == [name, NtStatus.SUCCESS]
