"""lsarpc's privileges and account rights."""

from __future__ import annotations

import pytest

from ksmbd.wire.security import SecurityDescriptor, Sid
from ksmbd.wire.status import NtStatus
from mountd.rpc.errors import BAD_STUB_DATA, CONTEXT_MISMATCH
from mountd.rpc.handles import CLOSED
from mountd.rpc.lsarpc import CLASSES
from mountd.rpc.lsarpc_rights import (
    ADMINISTRATORS,
    EVERYONE,
    HOLDERS,
    NAMES,
    OPERATIONS,
    PRIVILEGES,
    ROWS,
    SIDS,
    USERS,
)
from mountd.rpc.ndr import NdrWriter
from tests.mountd.rpc_support import (
    ADMIN,
    LSARPC,
    USER,
    Client,
    Fault,
    finished,
    make_pipes,
    vectors,
)

VECTORS = vectors()
POLICY = bytes(4) + (1).to_bytes(16, "big")
ACCOUNT = bytes(4) + (2).to_bytes(16, "big")
STRANGER = Sid(5, 21, 1, 2, 3)


def client(caller=ADMIN) -> Client:
    """A client with a policy handle."""
    c = Client(make_pipes(), "lsarpc", LSARPC, caller)
    r = c.send(VECTORS["LsarOpenPolicy2"])
    assert (r.raw(20), finished(r)) == (POLICY, NtStatus.SUCCESS)
    return c


def on(handle, *words):
    w = NdrWriter()
    w.raw(handle)
    for word in words:
        w.u32(word)
    return w


def named(name, *words):
    """A policy handle and an RPC_UNICODE_STRING."""
    w = on(POLICY)
    w.unicode(name)
    w.flush()
    for word in words:
        w.u16(word)
    return w


def with_sid(sid, *words):
    """A policy handle and an RPC_SID."""
    w = on(POLICY)
    w._sid(sid)
    for word in words:
        w.u32(word)
    return w


def buffer(r, fields):
    """An enumeration's context, rows and status."""
    context = r.u32()
    return context, r.array(fields), finished(r)


def test_privileges_are_told_with_their_luids():
    context, rows, status = buffer(client(USER).call(2, on(POLICY, 0, 0xFFFF)), ROWS)
    assert (context, status) == (len(PRIVILEGES), NtStatus.SUCCESS)
    assert rows == [{"name": p.name, "low": p.number, "high": 0} for p in PRIVILEGES]


def test_privileges_go_on_where_there_was_no_room():
    c, names, context = client(), [], 0
    for _ in PRIVILEGES:
        context, rows, status = buffer(c.call(2, on(POLICY, context, 1)), ROWS)
        assert status == NtStatus.SUCCESS
        names += [row["name"] for row in rows]
    assert names == [privilege.name for privilege in PRIVILEGES]
    assert buffer(c.call(2, on(POLICY, context, 1)), ROWS) == (0, [], NtStatus.NO_MORE_ENTRIES)


def test_a_privilege_has_a_value_a_name_and_a_text():
    c = client(USER)
    r = c.call(31, named("seBACKUPprivilege"))
    assert (r.u32(), r.u32(), finished(r)) == (17, 0, NtStatus.SUCCESS)
    r = c.call(32, on(POLICY, 17, 0))
    assert (r.u32() != 0, r.unicode(), finished(r)) == (True, "SeBackupPrivilege", 0)
    r = c.call(33, named("SeBackupPrivilege", 0x407, 0x407))
    assert (r.u32() != 0, r.unicode()) == (True, "Back up files and directories")
    assert (r.u16(), finished(r)) == (0x409, NtStatus.SUCCESS)


def test_a_privilege_that_there_is_not():
    c = client(USER)
    r = c.call(31, named("SeNonsense"))
    assert (r.u32(), r.u32(), finished(r)) == (0, 0, NtStatus.NO_SUCH_PRIVILEGE)
    for low, high in ((0, 0), (17, 1), (99, 0)):
        r = c.call(32, on(POLICY, low, high))
        assert (r.u32(), finished(r)) == (0, NtStatus.NO_SUCH_PRIVILEGE)
    r = c.call(33, named("SeNonsense", 0, 0))
    assert (r.u32(), r.u16(), finished(r)) == (0, 0, NtStatus.NO_SUCH_PRIVILEGE)


def test_who_holds_rights_is_told_to_administrators():
    context, rows, status = buffer(client().call(11, on(POLICY, 0, 0xFFFF)), SIDS)
    assert (context, status) == (len(HOLDERS), NtStatus.SUCCESS)
    assert [row["sid"] for row in rows] == [ADMINISTRATORS, USERS, EVERYONE]
    refused = client(USER).call(11, on(POLICY, 0, 0xFFFF))
    assert buffer(refused, SIDS) == (0, [], NtStatus.ACCESS_DENIED)


def test_an_account_tells_its_privileges():
    c = client()
    r = c.call(17, with_sid(ADMINISTRATORS, 0x02000000))
    assert (r.raw(20), finished(r)) == (ACCOUNT, NtStatus.SUCCESS)
    r = c.call(18, on(ACCOUNT))
    assert r.u32()
    assert (r.u32(), r.u32(), r.u32()) == (5, 5, 0)
    luids = [(r.u32(), r.u32(), r.u32()) for _ in range(5)]
    assert luids == [(privilege.number, 0, 3) for privilege in PRIVILEGES]
    assert finished(r) == NtStatus.SUCCESS
    r = c.call(23, on(ACCOUNT))
    assert (r.u32(), finished(r)) == (2, NtStatus.SUCCESS)


@pytest.mark.parametrize(
    ("caller", "sid", "status"),
    [
        (USER, ADMINISTRATORS, NtStatus.ACCESS_DENIED),
        (ADMIN, STRANGER, NtStatus.OBJECT_NAME_NOT_FOUND),
    ],
)
def test_an_account_that_is_not_opened(caller, sid, status):
    r = client(caller).call(17, with_sid(sid, 0))
    assert (r.raw(20), finished(r)) == (CLOSED, status)


def test_rights_of_a_sid():
    r = client(USER).call(36, with_sid(EVERYONE))
    assert [row["name"] for row in r.array(NAMES)] == list(HOLDERS[EVERYONE])
    assert finished(r) == NtStatus.SUCCESS
    r = client(USER).call(36, with_sid(STRANGER))
    assert (r.array(NAMES), finished(r)) == ([], NtStatus.OBJECT_NAME_NOT_FOUND)


@pytest.mark.parametrize(
    ("right", "holders", "status"),
    [
        (None, [ADMINISTRATORS, USERS, EVERYONE], NtStatus.SUCCESS),
        ("SeBackupPrivilege", [ADMINISTRATORS], NtStatus.SUCCESS),
        ("SENETWORKLOGONRIGHT", [ADMINISTRATORS, USERS, EVERYONE], NtStatus.SUCCESS),
        ("SeNonsense", [], NtStatus.NO_SUCH_PRIVILEGE),
    ],
)
def test_who_holds_a_right(right, holders, status):
    w = on(POLICY)
    w.pointer(None if right is None else lambda: w.unicode(right))
    r = client().call(35, w)
    assert ([row["sid"] for row in r.array(SIDS)], finished(r)) == (holders, status)
    w = on(POLICY, 0)
    r = client(USER).call(35, w)
    assert (r.array(SIDS), finished(r)) == ([], NtStatus.ACCESS_DENIED)


def test_the_policy_s_descriptor_is_for_administrators():
    r = client().call(3, on(POLICY, 7))
    assert r.u32()
    size, pointer, data = r.u32(), r.u32(), r.octets()
    assert (size, pointer != 0, finished(r)) == (len(data), True, NtStatus.SUCCESS)
    assert SecurityDescriptor.unpack(data).owner == ADMINISTRATORS
    r = client(USER).call(3, on(POLICY, 7))
    assert (r.u32(), finished(r)) == (0, NtStatus.ACCESS_DENIED)


@pytest.mark.parametrize(
    "opnum", [op for op, operation in OPERATIONS.items() if operation.refuses is not None]
)
def test_what_is_refused_is_refused_to_administrators_too(opnum):
    r = client().call(opnum, on(POLICY, 0, 0, 0))
    while r.remaining > 4:
        assert r.u32() == 0
    assert finished(r) == OPERATIONS[opnum].refuses


@pytest.mark.parametrize("level", sorted(CLASSES))
def test_every_class_of_policy_information_is_answered(level):
    w = on(POLICY)
    w.u16(level)
    r = client().call(7, w)
    assert (r.u32() != 0, r.u16()) == (True, level)
    r.raw(r.remaining - 4)
    assert finished(r) == NtStatus.SUCCESS


@pytest.mark.parametrize("opnum", [2, 3, 11, 17, 18, 23, 31, 32, 33, 35, 36])
def test_a_handle_of_another_kind_and_a_short_stub_are_faults(opnum):
    c = client()
    for stub, status in ((on(bytes(20), 0), CONTEXT_MISMATCH), (on(POLICY[:19]), BAD_STUB_DATA)):
        with pytest.raises(Fault) as fault:
            c.call(opnum, stub)
        assert fault.value.status == status
