"""srvsvc's shares: their descriptors told and set, shares made and ended by administrators."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ksmbd.wire.access import FILE_ALL_ACCESS, FILE_GENERIC_READ
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    DACL_PRESENT,
    DACL_PROTECTED,
    SACL_PRESENT,
    SELF_RELATIVE,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from mountd.rpc import srvsvc_shares
from mountd.rpc.errors import BAD_STUB_DATA, RpcError, Win32
from mountd.rpc.interface import IPC, SPECIAL, Share, ShareChange
from mountd.rpc.ndr import NdrWriter
from mountd.rpc.srvsvc import SRVSVC as SRVSVC_TABLE
from mountd.rpc.srvsvc_info import EVERYONES, SHARE_INFO
from mountd.rpc.srvsvc_lists import TRANSPORT_LEVELS
from mountd.rpc.srvsvc_shares import ADD_LEVELS, SET_LEVELS
from tests.mountd.rpc_support import (
    ADMIN,
    ANONYMOUS,
    GUEST,
    SRVSVC,
    USER,
    Client,
    FakeDaemon,
    Fault,
    finished,
    make_pipes,
    vectors,
)

VECTORS = vectors()
EVERYONE = Sid(1, 0)
READERS = SecurityDescriptor(
    SELF_RELATIVE | DACL_PRESENT, dacl=Acl((Ace(ACCESS_ALLOWED, 0, FILE_GENERIC_READ, EVERYONE),))
).pack()
ROW = {
    "name": "new",
    "type": 0,
    "comment": "New",
    "permissions": 0,
    "max_uses": 3,
    "current_uses": 0,
    "path": "C:\\srv\\new",
    "password": None,
    "server": "*",
    "flags": 0x800,
    "descriptor_size": len(READERS),
    "descriptor": READERS,
}


def client(caller=ADMIN, daemon=None) -> Client:
    return Client(make_pipes(daemon), "srvsvc", SRVSVC, caller)


def information(level, **changes):
    """ServerName, [NetName,] Level, SHARE_INFO and ParmErr."""
    w = NdrWriter()
    w.null()
    if "net_name" in changes:
        w.wstring(changes.pop("net_name"))
    w.u32(level)
    w.u32(changes.pop("arm", level))
    if changes.pop("empty", False):
        w.null()
    else:
        row = SimpleNamespace(**(ROW | changes))
        w.pointer(lambda: w.struct(SHARE_INFO[level], row))
    w.flush()
    w.unique_u32(changes.get("asks", 0))
    return w


def add(level=502, caller=ADMIN, daemon=None, wrong=0, **changes):
    """NetrShareAdd, which says that the parameter *wrong* is wrong; the status."""
    r = client(caller, daemon).call(14, information(level, **changes))
    assert r.unique(r.u32) == wrong
    return finished(r)


def set_info(level, caller=ADMIN, daemon=None, net_name="data", **changes):
    """NetrShareSetInfo; the status."""
    r = client(caller, daemon).call(17, information(level, net_name=net_name, **changes))
    r.unique(r.u32)
    return finished(r)


def delete(name, caller=ADMIN, daemon=None, opnum=18):
    w = NdrWriter()
    w.null()
    w.wstring(name)
    w.u32(0)
    return finished(client(caller, daemon).call(opnum, w))


# -- told --------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [502, 503, 1501])
def test_a_share_tells_its_descriptor(level):
    daemon = FakeDaemon()
    daemon.share_list = [Share("data", security=READERS), Share("all")]
    for name, expected in (("data", READERS), ("all", EVERYONES)):
        w = NdrWriter()
        w.null()
        w.wstring(name)
        w.u32(level)
        r = client(daemon=daemon).call(16, w)
        assert r.u32() == level
        row = r.unique(lambda r=r: r.struct(SHARE_INFO[level]))
        assert (row["descriptor_size"], row["descriptor"]) == (len(expected), expected)
        assert finished(r) == Win32.SUCCESS


def test_a_share_that_nobody_has_secured_is_everyones():
    sd = SecurityDescriptor.unpack(EVERYONES)
    assert sd.dacl == Acl((Ace(ACCESS_ALLOWED, 0, FILE_ALL_ACCESS, EVERYONE),))


# -- set ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (1, ShareChange("New")),
        (2, ShareChange("New", 3)),
        (502, ShareChange("New", 3, None, READERS)),
        (503, ShareChange("New", 3, None, READERS)),
        (1004, ShareChange("New")),
        (1005, ShareChange(lists_by_access=True)),
        (1006, ShareChange(max_users=3)),
        (1501, ShareChange(security=READERS)),
    ],
)
def test_each_level_sets_what_it_has(level, expected):
    daemon = FakeDaemon()
    assert set_info(level, daemon=daemon, net_name="DATA") == Win32.SUCCESS
    assert daemon.changes == [("data", expected)]


def test_a_level_without_a_descriptor_leaves_it():
    daemon = FakeDaemon()
    status = set_info(502, daemon=daemon, descriptor=None, descriptor_size=0, comment=None)
    assert status == Win32.SUCCESS
    assert daemon.changes == [("data", ShareChange("", 3))]


def test_no_limit_is_no_limit():
    daemon = FakeDaemon()
    assert set_info(1006, daemon=daemon, max_uses=0xFFFFFFFF) == Win32.SUCCESS
    assert daemon.changes == [("data", ShareChange(max_users=0))]


def test_of_a_descriptor_the_system_acl_is_not_kept():
    daemon = FakeDaemon()
    sd = SecurityDescriptor(
        SELF_RELATIVE | DACL_PROTECTED | SACL_PRESENT, EVERYONE, EVERYONE, Acl(()), Acl(())
    )
    data = sd.pack()
    assert (
        set_info(1501, daemon=daemon, descriptor=data, descriptor_size=len(data)) == Win32.SUCCESS
    )
    kept = SecurityDescriptor.unpack(daemon.changes[0][1].security)
    assert (kept.owner, kept.group, kept.sacl, kept.dacl) == (EVERYONE, EVERYONE, None, Acl(()))
    assert kept.control == SELF_RELATIVE | DACL_PROTECTED | DACL_PRESENT


@pytest.mark.parametrize(
    ("level", "changes", "status"),
    [
        (1501, {"descriptor": b"", "descriptor_size": 0}, Win32.INVALID_SECURITY_DESCR),
        (
            1501,
            {"descriptor": READERS[:-1], "descriptor_size": len(READERS) - 1},
            Win32.INVALID_SECURITY_DESCR,
        ),
        (
            1501,
            {"descriptor": SecurityDescriptor().pack(), "descriptor_size": 20},
            Win32.INVALID_SECURITY_DESCR,
        ),
        (1005, {"flags": 0x30}, Win32.NOT_SUPPORTED),
        (1, {"empty": True}, Win32.INVALID_PARAMETER),
        (0, {}, Win32.INVALID_LEVEL),
        (501, {}, Win32.INVALID_LEVEL),
        (1, {"net_name": "none"}, Win32.NET_NAME_NOT_FOUND),
        (1, {"net_name": "ipc$"}, Win32.ACCESS_DENIED),
        (1, {"caller": USER}, Win32.ACCESS_DENIED),
    ],
)
def test_what_is_not_set(level, changes, status):
    daemon = FakeDaemon()
    assert set_info(level, daemon=daemon, **changes) == status
    assert daemon.changes == []


def test_a_descriptor_has_a_greatest_length(monkeypatch):
    monkeypatch.setattr(srvsvc_shares, "MAX_DESCRIPTOR", len(READERS))
    assert set_info(1501) == Win32.SUCCESS
    longer = READERS + b"\0"
    status = set_info(1501, descriptor=longer, descriptor_size=len(longer))
    assert status == Win32.INVALID_SECURITY_DESCR


@pytest.mark.parametrize("wrong", [{"descriptor_size": 3}, {"arm": 502}])
def test_a_size_or_a_level_that_contradicts_itself_is_a_fault(wrong):
    with pytest.raises(Fault) as fault:
        set_info(1501, **wrong)
    assert fault.value.status == BAD_STUB_DATA


# -- made and ended ----------------------------------------------------------------------


@pytest.mark.parametrize("level", sorted(ADD_LEVELS))
def test_a_share_is_added(level):
    daemon = FakeDaemon()
    assert add(level, daemon=daemon) == Win32.SUCCESS
    change = ShareChange("New", 3, None, None if level == 2 else READERS)
    assert daemon.changes == [("new", "C:\\srv\\new", change)]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"level": 1, "wrong": None}, Win32.INVALID_LEVEL),
        ({"caller": USER}, Win32.ACCESS_DENIED),
        ({"name": None, "wrong": 1}, Win32.INVALID_PARAMETER),
        ({"path": "", "wrong": 8}, Win32.INVALID_PARAMETER),
        ({"path": "", "asks": None, "wrong": None}, Win32.INVALID_PARAMETER),
        ({"type": 1, "wrong": 3}, Win32.INVALID_PARAMETER),
        ({"type": 0x80000000, "wrong": 3}, Win32.INVALID_PARAMETER),
        ({"level": 503, "server": "other", "wrong": 503}, Win32.INVALID_PARAMETER),
        ({"descriptor": b"x", "descriptor_size": 1}, Win32.INVALID_SECURITY_DESCR),
        ({"empty": True, "wrong": None}, Win32.INVALID_PARAMETER),
    ],
)
def test_what_is_not_added(changes, status):
    daemon = FakeDaemon()
    assert add(daemon=daemon, **changes) == status
    assert daemon.changes == []


@pytest.mark.parametrize("opnum", [18, 19])
def test_a_share_is_ended(opnum):
    daemon = FakeDaemon()
    assert delete("DATA", daemon=daemon, opnum=opnum) == Win32.SUCCESS
    assert daemon.changes == [("data",)]
    assert delete("none", daemon=daemon, opnum=opnum) == Win32.NET_NAME_NOT_FOUND
    assert delete("IPC$", daemon=daemon, opnum=opnum) == Win32.ACCESS_DENIED
    assert delete("data", USER, daemon, opnum) == Win32.ACCESS_DENIED
    assert len(daemon.changes) == 1


def test_what_the_configuration_refuses_is_the_status(monkeypatch):
    def refuse(*_args):
        raise RpcError(Win32.BUSY)

    for name in ("add_share", "change_share", "delete_share"):
        monkeypatch.setattr(FakeDaemon, name, refuse)
    assert add() == set_info(1) == delete("data") == Win32.BUSY


def test_a_directory_is_known_by_its_path():
    for device, expected in (
        ("c:\\SRV\\data", (0, Win32.SUCCESS)),
        ("C:\\srv\\data\\", (0, Win32.SUCCESS)),
        ("C:\\srv", (0, Win32.DEVICE_NOT_SHARED)),
        ("C:\\adm", (IPC, Win32.SUCCESS)),  # without STYPE_SPECIAL
        ("", (IPC, Win32.SUCCESS)),  # what IPC$ tells of itself
    ):
        w = NdrWriter()
        w.null()
        w.wstring(device)
        daemon = FakeDaemon()
        daemon.share_list.append(Share("ADM$", IPC | SPECIAL, path="/adm"))
        r = client(USER, daemon).call(20, w)
        assert (r.u32(), finished(r)) == expected


def test_nobody_without_an_account_asks_what_is_shared():
    w = NdrWriter()
    w.null()
    w.wstring("C:\\srv\\data")
    r = client(ANONYMOUS).call(20, w)
    assert (r.u32(), finished(r)) == (0, Win32.ACCESS_DENIED)


@pytest.mark.parametrize("level", sorted(SET_LEVELS))
def test_every_truncation_of_an_information_is_a_fault(level):
    w = information(level, net_name="data")
    stub = bytes(w.out)
    daemon = FakeDaemon()
    for end in range(len(stub)):
        short = NdrWriter()
        short.raw(stub[:end])
        with pytest.raises(Fault) as fault:
            client(daemon=daemon).call(17, short)
        assert fault.value.status == BAD_STUB_DATA
    assert daemon.changes == []


# -- the rest of the table ---------------------------------------------------------------


def enumerate_shares(opnum, level, caller):
    w = NdrWriter()
    for value in (0, level, level):
        w.u32(value)
    w.pointer(lambda: w.array((), []))
    w.flush()
    w.u32(0xFFFFFFFF)
    w.unique_u32(None)
    r = client(caller).call(opnum, w)
    r.raw(r.remaining - 4)
    return finished(r)


def test_the_flags_of_all_shares_are_for_real_users():
    for caller, status in (
        (USER, Win32.SUCCESS),
        (GUEST, Win32.ACCESS_DENIED),
        (ANONYMOUS, Win32.ACCESS_DENIED),
    ):
        assert enumerate_shares(15, 501, caller) == status
        assert enumerate_shares(36, 501, caller) == Win32.INVALID_LEVEL
        assert enumerate_shares(36, 1, caller) == Win32.SUCCESS


@pytest.mark.parametrize("level", sorted(TRANSPORT_LEVELS))
def test_the_one_transport_is_told_to_administrators(level):
    w = NdrWriter()
    for value in (0, level, level, 1, 0, 0, 0xFFFFFFFF, 0):
        w.u32(value)
    r = client().call(26, w)
    assert (r.u32(), r.u32()) == (level, level)
    rows = r.unique(lambda: r.array(TRANSPORT_LEVELS[level]))
    assert [row["address"] for row in rows] == [b"FILESRV         "]
    assert (r.u32(), r.u32(), finished(r)) == (1, 0, Win32.SUCCESS)
    r = client(USER).call(26, w)
    assert [r.u32() for _ in range(5)] == [level, level, 0, 0, 0]
    assert finished(r) == Win32.ACCESS_DENIED


@pytest.mark.parametrize(
    "opnum", [op for op, row in SRVSVC_TABLE.operations.items() if row.refuses and op != 24]
)
def test_what_is_refused_says_so_whatever_is_sent(opnum):
    r = client().call(opnum, NdrWriter())
    while r.remaining > 4:
        assert r.u32() == 0
    assert finished(r) == SRVSVC_TABLE.operations[opnum].refuses
