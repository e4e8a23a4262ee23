"""lsarpc and dssetup: impacket's requests answered, replies parsed with our own reader."""

from __future__ import annotations

import struct

import pytest

from ksmbd.wire.security import Sid
from ksmbd.wire.status import NtStatus
from mountd.rpc.errors import BAD_STUB_DATA, CONTEXT_MISMATCH
from mountd.rpc.handles import CLOSED, MAX_HANDLES
from mountd.rpc.lsarpc_lookup import DOMAINS, NAMES, NAMES_EX, SIDS, SIDS_EX, SIDS_EX2
from mountd.rpc.ndr import NdrWriter
from tests.mountd.rpc_support import (
    ADMIN,
    ANONYMOUS,
    GUEST,
    LSARPC,
    USER,
    Client,
    Fault,
    finished,
    make_pipes,
    vectors,
)

VECTORS = vectors()
DOMAIN = Sid(5, 21, 111, 222, 333)


def client(caller=USER) -> Client:
    c = Client(make_pipes(), "lsarpc", LSARPC, caller)
    r = c.send(VECTORS["LsarOpenPolicy2"])
    assert r.raw(20) == bytes(4) + (1).to_bytes(16, "big")
    assert finished(r) == NtStatus.SUCCESS
    return c


def policy(c, name, body):
    r = c.send(VECTORS[name])
    out = r.unique(lambda: (r.u16(), body(r)))
    return out, finished(r)


def name_and_sid(r):
    return r.struct((("name", "unicode"), ("sid", "sid")))


def test_the_account_domain_is_this_machine():
    for name in ("LsarQueryInformationPolicy", "LsarQueryInformationPolicy2"):
        out, status = policy(client(), f"{name} class 5", name_and_sid)
        assert out == (5, {"name": "FILESRV", "sid": DOMAIN})
        assert status == NtStatus.SUCCESS


def test_the_primary_domain_is_the_workgroup_without_a_sid():
    out, status = policy(client(), "LsarQueryInformationPolicy2 class 3", name_and_sid)
    assert (out, status) == ((3, {"name": "WORKGROUP", "sid": None}), NtStatus.SUCCESS)


def test_the_server_role_is_primary():
    out, status = policy(client(), "LsarQueryInformationPolicy2 class 6", lambda r: r.u32())
    assert (out, status) == ((6, 3), NtStatus.SUCCESS)


def test_there_is_no_dns_domain():
    def body(r):
        heads = [(r.align(4), r.u16(), r.u16(), r.u32())[1] for _ in range(3)]
        return heads, r.raw(16), r.u32(), [r.varying() for _ in range(3)]

    out, status = policy(client(), "LsarQueryInformationPolicy2 class 12", body)
    assert out[1] == ([18, 0, 0], bytes(16), 0, ["WORKGROUP".encode("utf-16-le"), b"", b""])
    assert status == NtStatus.SUCCESS


def test_an_unknown_policy_class_is_refused():
    w = NdrWriter()
    w.raw(bytes(4) + (1).to_bytes(16, "big"))
    w.u16(99)
    r = client().call(7, w)
    assert r.u32() == 0
    assert finished(r) == NtStatus.INVALID_PARAMETER


def user_name(caller, *, domain):
    w = NdrWriter()
    for value in (0, 0, 1 if domain else 0, 0)[: 4 if domain else 3]:
        w.u32(value)
    r = client(caller).call(45, w)
    name = r.unique(r.unicode)
    place = r.unique(lambda: r.unique(r.unicode))
    return name, place, finished(r)


def test_get_user_name_tells_whom_the_caller_is():
    assert user_name(USER, domain=True) == ("bob", "FILESRV", NtStatus.SUCCESS)
    assert user_name(USER, domain=False) == ("bob", None, NtStatus.SUCCESS)
    anonymous = user_name(ANONYMOUS, domain=True)
    assert anonymous == ("ANONYMOUS LOGON", "NT AUTHORITY", NtStatus.SUCCESS)
    r = client().send(VECTORS["LsarGetUserName"])
    assert r.unique(r.unicode) == "bob"


def lookup(c, name, fields):
    """Send a lookup; give the domains, the entries, the mapped count, the status."""
    r = c.send(VECTORS[name])

    def referenced():
        count, pointer, most = r.u32(), r.u32(), r.u32()
        assert most == count
        return r.conformant(DOMAINS, count) if pointer else []

    domains = r.unique(referenced)
    return domains, r.array(fields), r.u32(), finished(r)


EXPECTED_NAMES = [
    ("FILESRV", "alice", 1),
    ("", "Everyone", 5),
    ("Unix Group", "users", 2),
    ("BUILTIN", "Administrators", 4),
    ("Unix User", "root", 1),
    ("FILESRV", "None", 2),
    ("NT AUTHORITY", "Authenticated Users", 5),
    ("FILESRV", "FILESRV", 3),
    (None, "S-1-5-21-9-9-9-9", 8),
]


def place(domains, row):
    index = row["domain_index"]
    return None if index == 0xFFFFFFFF else domains[index]["name"]


@pytest.mark.parametrize(
    ("name", "fields"), [("LsarLookupSids nine", NAMES), ("LsarLookupSids2 nine", NAMES_EX)]
)
def test_sids_become_names(name, fields):
    domains, rows, mapped, status = lookup(client(), name, fields)
    assert [(place(domains, row), row["name"], row["use"]) for row in rows] == EXPECTED_NAMES
    assert (mapped, status) == (8, NtStatus.SOME_NOT_MAPPED)
    assert len({domain["sid"] for domain in domains}) == len(domains) == 6


EXPECTED_SIDS = [
    (DOMAIN.child(1001), "FILESRV", 1),
    (DOMAIN.child(1002), "FILESRV", 1),
    (Sid(22, 1, 0), "Unix User", 1),
    (Sid(5, 32, 545), "BUILTIN", 4),
    (Sid(1, 0), "", 5),
    (Sid(5, 32, 545), "BUILTIN", 4),
    (None, None, 8),
]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("LsarLookupNames seven", SIDS),
        ("LsarLookupNames2 seven", SIDS_EX),
        ("LsarLookupNames3 seven", SIDS_EX2),
    ],
)
def test_names_become_sids(name, fields):
    domains, rows, mapped, status = lookup(client(), name, fields)
    found = []
    for row in rows:
        domain = place(domains, row)
        sid = row.get("sid")
        if "rid" in row and domain is not None:
            sid = domains[row["domain_index"]]["sid"].child(row["rid"])
        found.append((sid, domain, row["use"]))
    assert found == EXPECTED_SIDS
    assert (mapped, status) == (6, NtStatus.SOME_NOT_MAPPED)


def test_nothing_mapped_has_its_own_status_and_the_entries():
    w = NdrWriter()
    w.raw(bytes(4) + (1).to_bytes(16, "big"))
    w.u32(1)
    w.u32(1)
    w.u32(1)
    w.sid(Sid(5, 21, 1, 2, 3, 4))
    w.flush()
    w.u32(0)
    w.u32(0)
    w.u16(1)
    w.u32(0)
    r = client().call(15, w)
    domains = r.unique(lambda: (r.u32(), r.u32(), r.u32(), r.u32()))
    assert domains[0] == 0
    (row,) = r.array(NAMES)
    assert (row["use"], row["name"]) == (8, "S-1-5-21-1-2-3-4")
    assert (r.u32(), finished(r)) == (0, NtStatus.NONE_MAPPED)


@pytest.mark.parametrize(
    "name",
    ["LsarLookupSids nine", "LsarLookupSids2 nine", "LsarLookupNames seven"],
)
def test_anonymous_callers_look_up_nothing(name):
    domains, rows, mapped, status = lookup(client(ANONYMOUS), name, NAMES)
    assert (domains, rows, mapped, status) == (None, [], 0, NtStatus.ACCESS_DENIED)
    assert lookup(client(GUEST), "LsarLookupSids nine", NAMES)[2] == 8


@pytest.mark.parametrize("opnum", [76, 77])
def test_lookups_without_a_handle_are_for_domain_controllers(opnum):
    r = Client(make_pipes(), "lsarpc", LSARPC, ADMIN).call(opnum)
    assert (r.raw(16), finished(r)) == (bytes(16), NtStatus.ACCESS_DENIED)


def open_policy3(version):
    w = NdrWriter()
    for word in (0, 24, 0, 0, 0, 0, 0, 1, version, version, 1, 0):
        w.u32(word)
    r = Client(make_pipes(), "lsarpc", LSARPC).call(130, w)
    return r.raw(16), r.raw(20), finished(r)


def test_open_policy3_tells_revision_1():
    revision, handle, status = open_policy3(1)
    assert (revision, status) == (struct.pack("<4I", 1, 1, 1, 0), NtStatus.SUCCESS)
    assert handle != CLOSED
    revision, handle, status = open_policy3(2)
    assert (revision, handle) == (struct.pack("<4I", 1, 1, 0, 0), CLOSED)
    assert status == NtStatus.NOT_SUPPORTED


def test_a_closed_handle_is_a_fault():
    c = client()
    r = c.send(VECTORS["LsarClose"])
    assert (r.raw(20), finished(r)) == (CLOSED, NtStatus.SUCCESS)
    for name in ("LsarClose", "LsarLookupSids nine", "LsarQueryInformationPolicy class 5"):
        with pytest.raises(Fault) as fault:
            c.send(VECTORS[name])
        assert fault.value.status == CONTEXT_MISMATCH


def test_handles_are_limited_per_pipe():
    c = client()
    for _ in range(MAX_HANDLES - 1):
        c.send(VECTORS["LsarOpenPolicy2"])
    r = c.send(VECTORS["LsarOpenPolicy2"])
    assert (r.raw(20), finished(r)) == (CLOSED, NtStatus.INSUFFICIENT_RESOURCES)
    c.send(VECTORS["LsarClose"])
    assert finished_open(c) == NtStatus.SUCCESS


def finished_open(c):
    r = c.send(VECTORS["LsarOpenPolicy2"])
    r.raw(20)
    return finished(r)


def test_open_policy_takes_a_quality_of_service_and_nothing_else():
    def attributes(root=0, quality=0):
        w = NdrWriter()
        for value in (0, 24, root, 0, 0, 0, quality):
            w.u32(value)
        if quality:
            w.u32(12)
            w.u16(2)
            w.u8(1)
            w.u8(0)
        w.u32(0x02000000)
        return w

    r = client().call(44, attributes(quality=1))
    r.raw(20)
    assert finished(r) == NtStatus.SUCCESS
    r = client().call(44, attributes(root=1))
    assert (r.raw(20), finished(r)) == (CLOSED, NtStatus.INVALID_PARAMETER)


@pytest.mark.parametrize("count", [1001, 0xFFFFFFFF])
def test_too_many_names_are_a_fault(count):
    w = NdrWriter()
    w.raw(bytes(4) + (1).to_bytes(16, "big"))
    w.u32(count)
    w.u32(count)
    w.raw(bytes(64))
    with pytest.raises(Fault) as fault:
        client().call(68, w)
    assert fault.value.status == BAD_STUB_DATA


def test_a_sid_whose_counts_differ_is_a_fault():
    data = bytearray(VECTORS["LsarLookupSids nine"])
    at = data.index(struct.pack("<I", 5) + b"\x01\x05")
    data[at + 5] = 4
    with pytest.raises(Fault) as fault:
        client().send(bytes(data))
    assert fault.value.status == BAD_STUB_DATA


@pytest.mark.parametrize("name", [n for n in VECTORS if n.startswith("Lsar")])
def test_every_truncation_of_a_stub_is_a_fault(name):
    pdu_bytes = VECTORS[name]
    c = client()
    for end in range(24, len(pdu_bytes)):
        cut = bytearray(pdu_bytes[:end])
        cut[8:10] = end.to_bytes(2, "little")
        with pytest.raises(Fault) as fault:
            c.send(bytes(cut))
        assert fault.value.status in (BAD_STUB_DATA, CONTEXT_MISMATCH)
