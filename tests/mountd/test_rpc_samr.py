"""samr: impacket's requests answered, replies parsed with our own reader."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ksmbd.wire.security import SecurityDescriptor, Sid
from ksmbd.wire.status import NtStatus
from mountd.rpc.errors import BAD_STUB_DATA, CONTEXT_MISMATCH
from mountd.rpc.handles import CLOSED
from mountd.rpc.interface import Account
from mountd.rpc.ndr import NdrWriter
from mountd.rpc.samr import ENTRIES, NAMES, NUMBERS
from tests.mountd.rpc_support import (
    ADMIN,
    ANONYMOUS,
    GUEST,
    SAMR,
    USER,
    Client,
    FakeDaemon,
    Fault,
    finished,
    make_pipes,
    vectors,
)

VECTORS = vectors()
DOMAIN = Sid(5, 21, 111, 222, 333)


def handle(number):
    return bytes(4) + number.to_bytes(16, "big")


SERVER, MACHINE, ALICE = handle(1), handle(2), handle(3)


def client(caller=USER, daemon=None) -> Client:
    """A client with the server, the machine domain and alice open, as the vectors have them."""
    c = Client(make_pipes(daemon), "samr", SAMR, caller)
    r = c.send(VECTORS["SamrConnect5"])
    assert [r.u32() for _ in range(4)] == [1, 1, 3, 0]
    assert (r.raw(20), finished(r)) == (SERVER, NtStatus.SUCCESS)
    for name, expected in (("SamrOpenDomain", MACHINE), ("SamrOpenUser alice", ALICE)):
        r = c.send(VECTORS[name])
        assert (r.raw(20), finished(r)) == (expected, NtStatus.SUCCESS)
    return c


def entries(r):
    context = r.u32()
    rows = r.unique(lambda: r.array(ENTRIES))
    return context, [(row["rid"], row["name"]) for row in rows or []], r.u32(), finished(r)


def on(handle_bytes, *words):
    w = NdrWriter()
    w.raw(handle_bytes)
    for word in words:
        w.u32(word)
    return w


@pytest.mark.parametrize("name", ["SamrConnect", "SamrConnect2", "SamrConnect4"])
def test_every_connect_gives_a_server_handle(name):
    r = Client(make_pipes(), "samr", SAMR, USER).send(VECTORS[name])
    assert (r.raw(20), finished(r)) == (SERVER, NtStatus.SUCCESS)


@pytest.mark.parametrize("name", ["SamrConnect", "SamrConnect2", "SamrConnect4"])
def test_anonymous_callers_do_not_connect(name):
    c = Client(make_pipes(), "samr", SAMR, ANONYMOUS)
    r = c.send(VECTORS[name])
    assert (r.raw(20), finished(r)) == (CLOSED, NtStatus.ACCESS_DENIED)
    r = c.send(VECTORS["SamrConnect5"])
    assert [r.u32() for _ in range(4)] == [1, 1, 0, 0]
    assert (r.raw(20), finished(r)) == (CLOSED, NtStatus.ACCESS_DENIED)


def connect2(caller, wanted):
    c = Client(make_pipes(), "samr", SAMR, caller)
    w = NdrWriter()
    w.u32(0)
    w.u32(wanted)
    r = c.call(57, w)
    given, status = r.raw(20), finished(r)
    assert (given == CLOSED) == (status != NtStatus.SUCCESS)
    return c, status


@pytest.mark.parametrize(
    ("caller", "wanted", "status"),
    [
        (USER, 0x02000000, NtStatus.SUCCESS),
        (USER, 0x00020031, NtStatus.SUCCESS),
        (USER, 0x80000000, NtStatus.SUCCESS),
        (USER, 0x00000008, NtStatus.ACCESS_DENIED),  # to create domains
        (USER, 0x10000000, NtStatus.ACCESS_DENIED),
        (USER, 0x01000000, NtStatus.ACCESS_DENIED),
        (ADMIN, 0x000F003F, NtStatus.SUCCESS),
        (ADMIN, 0x51000000, NtStatus.SUCCESS),
        (ADMIN, 0x00000040, NtStatus.ACCESS_DENIED),  # there is no such right
    ],
)
def test_who_connects_asks_for_rights(caller, wanted, status):
    assert connect2(caller, wanted)[1] == status


@pytest.mark.parametrize(
    ("wanted", "enumerates", "looks_up"),
    [(0x10, True, False), (0x20, False, True), (0x02000000, True, True), (1, False, False)],
)
def test_a_server_handle_is_good_for_what_it_was_given_for(wanted, enumerates, looks_up):
    c, _ = connect2(USER, wanted)
    listed = entries(c.send(VECTORS["SamrEnumerateDomainsInSamServer"]))[-1]
    assert listed == (NtStatus.SUCCESS if enumerates else NtStatus.ACCESS_DENIED)
    allowed = NtStatus.SUCCESS if looks_up else NtStatus.ACCESS_DENIED
    r = c.send(VECTORS["SamrLookupDomainInSamServer"])
    r.unique(r.sid)
    assert finished(r) == allowed
    assert open_domain(c, Sid(5, 32))[1] == allowed


def test_connect5_knows_one_version():
    w = NdrWriter()
    for word in (0, 0, 2, 2, 0, 0):
        w.u32(word)
    r = Client(make_pipes(), "samr", SAMR, USER).call(64, w)
    r.raw(16 + 20)
    assert finished(r) == NtStatus.NOT_SUPPORTED


def test_the_server_has_two_domains():
    r = client().send(VECTORS["SamrEnumerateDomainsInSamServer"])
    assert entries(r) == (2, [(0, "FILESRV"), (0, "Builtin")], 2, NtStatus.SUCCESS)


def test_a_domain_is_found_by_name():
    r = client().send(VECTORS["SamrLookupDomainInSamServer"])
    assert (r.unique(r.sid), finished(r)) == (DOMAIN, NtStatus.SUCCESS)
    w = on(SERVER)
    w.unicode("nope")
    r = client().call(5, w)
    assert (r.u32(), finished(r)) == (0, NtStatus.NO_SUCH_DOMAIN)


def open_domain(c, sid):
    w = on(SERVER, 0, sid[1])
    w.raw(sid)
    r = c.call(7, w)
    return r.raw(20), finished(r)


def test_an_account_without_a_unix_user_is_neither_listed_nor_counted():
    daemon = FakeDaemon()
    daemon.account_list.append(Account("ghost", 65534))
    c = client(daemon=daemon)
    listed = entries(c.call(13, on(MACHINE, 0, 0, 65535)))[1]
    assert [name for _, name in listed] == ["alice", "bob"]
    w = on(MACHINE)
    w.u16(2)
    r = c.call(8, w)
    assert r.u32()
    assert r.u16() == 2
    r.raw(8 + 3 * 8 + 8 + 4 + 4 + 1, 8)
    assert (r.u32(), r.u32()) == (2, 1)


def test_only_our_two_domains_open():
    c = client()
    assert open_domain(c, Sid(5, 32)) == (handle(4), NtStatus.SUCCESS)
    assert open_domain(c, Sid(5, 21, 1, 2, 3)) == (CLOSED, NtStatus.NO_SUCH_DOMAIN)


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12])
def test_domain_information_of_every_level_says_which(level):
    r = client().send(VECTORS[f"SamrQueryInformationDomain level {level}"])
    assert r.u32() != 0
    assert r.u16() == level
    rest = r.raw(r.remaining)
    assert rest[-4:] == bytes(4)


def test_domain_information_2_counts_accounts():
    r = client().send(VECTORS["SamrQueryInformationDomain level 2"])
    assert (r.u32() != 0, r.u16()) == (True, 2)
    fields = (
        *(("low", "u32"), ("high", "u32"), ("oem", "unicode"), ("name", "unicode")),
        *(("replica", "unicode"), ("modified", "u32"), ("modified_high", "u32")),
        *(("state", "u32"), ("role", "u32"), ("uas", "u8")),
        *(("users", "u32"), ("groups", "u32"), ("aliases", "u32")),
    )
    row = r.struct(fields)
    assert (row["oem"], row["name"], row["replica"]) == ("A file server", "FILESRV", "")
    assert (row["users"], row["groups"], row["aliases"]) == (2, 1, 0)
    assert (row["state"], row["role"]) == (1, 3)
    assert finished(r) == NtStatus.SUCCESS


@pytest.mark.parametrize(("opnum", "number"), [(8, 2), (46, 2), (36, 3), (47, 3)])
def test_an_unknown_level_is_refused(opnum, number):
    w = on(handle(number))
    w.u16(99)
    r = client().call(opnum, w)
    assert (r.u32(), finished(r)) == (0, NtStatus.INVALID_INFO_CLASS)


def test_users_are_the_account_database():
    expected = (2, [(1001, "alice"), (1002, "bob")], 2, NtStatus.SUCCESS)
    assert entries(client().send(VECTORS["SamrEnumerateUsersInDomain"])) == expected


def test_users_come_in_pieces_of_the_size_asked_for():
    daemon = FakeDaemon()
    c, found, context, status = client(daemon=daemon), [], 0, NtStatus.MORE_ENTRIES
    while status == NtStatus.MORE_ENTRIES:
        context, rows, count, status = entries(c.call(13, on(MACHINE, context, 0, 1)))
        assert count == len(rows) == 1
        found += rows
    assert found == [(1001, "alice"), (1002, "bob")]
    assert entries(c.call(13, on(MACHINE, 99, 0, 1))) == (99, [], 0, NtStatus.SUCCESS)


def test_guests_do_not_enumerate_users():
    r = client(GUEST).send(VECTORS["SamrEnumerateUsersInDomain"])
    assert entries(r) == (0, [], 0, NtStatus.ACCESS_DENIED)


def test_accounts_without_a_user_here_are_left_out():
    daemon = FakeDaemon()
    daemon.account_list = [Account("ghost", 4000), Account("bob", 1002)]
    _, rows, _, _ = entries(client(daemon=daemon).send(VECTORS["SamrEnumerateUsersInDomain"]))
    assert rows == [(1002, "bob")]


def test_groups_and_aliases():
    c = client()
    assert entries(c.send(VECTORS["SamrEnumerateGroupsInDomain"]))[1] == [(513, "None")]
    assert entries(c.call(15, on(MACHINE, 0, 0xFFFF)))[1] == []
    builtin, _ = open_domain(c, Sid(5, 32))
    assert entries(c.call(11, on(builtin, 0, 0xFFFF)))[1] == []
    assert (544, "Administrators") in entries(c.call(15, on(builtin, 0, 0xFFFF)))[1]
    assert entries(c.call(13, on(builtin, 0, 0, 0xFFFF)))[1] == []


def numbers(r):
    return [row["number"] for row in r.array(NUMBERS)]


def test_names_become_rids():
    r = client().send(VECTORS["SamrLookupNamesInDomain"])
    assert (numbers(r), numbers(r)) == ([1001, 513, 0], [1, 2, 8])
    assert finished(r) == NtStatus.SOME_NOT_MAPPED


def test_rids_become_names():
    r = client().send(VECTORS["SamrLookupIdsInDomain"])
    assert [row["name"] for row in r.array(NAMES)] == ["alice", "None", None]
    assert numbers(r) == [1, 2, 8]
    assert finished(r) == NtStatus.SOME_NOT_MAPPED


@pytest.mark.parametrize("count", [1001, 0xFFFFFFFF])
@pytest.mark.parametrize("opnum", [17, 18])
def test_too_many_names_are_a_fault(opnum, count):
    w = on(MACHINE, count, 1000, 0, count)
    w.raw(bytes(64))
    with pytest.raises(Fault) as fault:
        client().call(opnum, w)
    assert fault.value.status == BAD_STUB_DATA


@pytest.mark.parametrize("rid", [0, 7, 513, 0xFFFFFFFF])
def test_a_rid_that_is_no_users_does_not_open(rid):
    r = client().call(34, on(MACHINE, 0, rid))
    assert (r.raw(20), finished(r)) == (CLOSED, NtStatus.NO_SUCH_USER)


ALL = (
    *((f"time{i}", "u32") for i in range(12)),
    *((name, "unicode") for name in ("user", "full", "home", "drive", "script", "profile")),
    *((name, "unicode") for name in ("admin", "workstations", "comment", "parameters")),
    *((name, "unicode") for name in ("lm", "nt", "private")),
    *(("sd_size", "u32"), ("sd", "null")),
    *((name, "u32") for name in ("rid", "group", "control", "fields")),
)


def test_user_information_21_is_all_there_is_and_no_hash():
    r = client().send(VECTORS["SamrQueryInformationUser level 21"])
    assert (r.u32() != 0, r.u16()) == (True, 21)
    rows = {name: r._head(kind) for name, kind in ALL}
    assert r.u16() == 168
    assert r.u32() != 0
    assert [r.u16() for _ in range(4)] == [0, 0, 0, 0]
    assert [r.u8() for _ in range(4)] == [0, 1, 0, 0]
    strings = [r.varying().decode("utf-16-le") for _ in range(10)]
    assert strings[:3] == ["alice", "Alice Liddell", "\\\\FILESRV\\alice"]
    assert strings[5] == "\\\\FILESRV\\alice\\profile"
    assert (rows["rid"], rows["group"], rows["control"]) == (1001, 513, 0x210)
    assert [rows[name] for name in ("lm", "nt", "private", "sd")] == [*[(0, 0, 0)] * 3, 0]
    assert [r.u32() for _ in range(3)] == [1260, 0, 21]
    assert r.raw(21) == b"\xff" * 21
    assert finished(r) == NtStatus.SUCCESS


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 20, 21])
def test_user_information_of_every_level_says_which(level):
    r = client().send(VECTORS[f"SamrQueryInformationUser level {level}"])
    assert r.u32() != 0
    assert r.u16() == level
    assert r.raw(r.remaining)[-4:] == bytes(4)


def test_a_disabled_account_says_so():
    daemon = FakeDaemon()
    daemon.account_list = [Account("alice", 1001, disabled=True)]
    r = client(daemon=daemon).send(VECTORS["SamrQueryInformationUser level 16"])
    assert (r.u32() != 0, r.u16(), r.u32()) == (True, 16, 0x211)


def test_everybody_is_in_one_group_and_no_alias():
    c = client()
    r = c.send(VECTORS["SamrGetGroupsForUser"])
    groups = r.unique(lambda: (r.u32(), r.unique(lambda: [r.u32() for _ in range(3)])))
    assert groups == (1, [1, 513, 7])
    assert finished(r) == NtStatus.SUCCESS
    for sids in ([], [DOMAIN.child(1001), Sid(1, 0)]):
        w = on(MACHINE)
        w.array((("sid", "sid"),), [SimpleNamespace(sid=sid) for sid in sids])
        r = c.call(16, w)
        assert (numbers(r), finished(r)) == ([], NtStatus.SUCCESS)


def test_the_security_of_a_user_names_the_user():
    r = client().send(VECTORS["SamrQuerySecurityObject"])

    def body():
        size, pointer, count = r.u32(), r.u32(), r.u32()
        assert pointer
        assert size == count
        return SecurityDescriptor.unpack(r.raw(size))

    sd = r.unique(body)
    assert finished(r) == NtStatus.SUCCESS
    assert [(str(ace.sid), ace.mask) for ace in sd.dacl.aces] == [
        ("S-1-1-0", 0x2035B),
        ("S-1-5-32-544", 0xF07FF),
        ("S-1-5-32-548", 0xF07FF),
        (str(DOMAIN.child(1001)), 0x20044),
    ]


@pytest.mark.parametrize(
    ("opnum", "number"),
    [(6, 2), (7, 3), (13, 1), (34, 1), (36, 2), (39, 2), (8, 3), (5, 2), (3, 9), (1, 9)],
)
def test_a_handle_of_another_kind_is_a_fault(opnum, number):
    w = on(handle(number), 0, 0, 0, 0)
    with pytest.raises(Fault) as fault:
        client().call(opnum, w)
    assert fault.value.status == CONTEXT_MISMATCH


def test_a_handle_of_another_pipe_is_a_fault():
    pipes = make_pipes()
    first, second = (Client(pipes, "samr", SAMR, USER) for _ in range(2))
    first.send(VECTORS["SamrConnect2"])
    with pytest.raises(Fault) as fault:
        second.send(VECTORS["SamrEnumerateDomainsInSamServer"])
    assert fault.value.status == CONTEXT_MISMATCH


def test_a_closed_handle_is_a_fault():
    c = client()
    r = c.send(VECTORS["SamrCloseHandle"])
    assert (r.raw(20), finished(r)) == (CLOSED, NtStatus.SUCCESS)
    with pytest.raises(Fault):
        c.send(VECTORS["SamrGetGroupsForUser"])


UNREAD = {"SamrCloseHandle": 4}  # bytes impacket sends after the last argument


@pytest.mark.parametrize("name", [n for n in VECTORS if n.startswith("Samr")])
def test_every_truncation_of_a_stub_is_a_fault(name):
    pdu_bytes = VECTORS[name]
    pdu_bytes = pdu_bytes[: len(pdu_bytes) - UNREAD.get(name, 0)]
    c = client()
    for end in range(24, len(pdu_bytes)):
        cut = bytearray(pdu_bytes[:end])
        cut[8:10] = end.to_bytes(2, "little")
        with pytest.raises(Fault) as fault:
            c.send(bytes(cut))
        assert fault.value.status in (BAD_STUB_DATA, CONTEXT_MISMATCH)
