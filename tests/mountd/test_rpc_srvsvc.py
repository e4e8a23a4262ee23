"""srvsvc: impacket's requests answered, replies parsed with our own reader."""

from __future__ import annotations

import pytest

from mountd.rpc.errors import BAD_STUB_DATA, OP_RANGE_ERROR, Win32
from mountd.rpc.interface import IPC, SPECIAL, SV_TYPE, Share
from mountd.rpc.ndr import NdrWriter
from mountd.rpc.srvsvc_info import EVERYONES, SERVER_INFO, SHARE_ENUM_LEVELS, SHARE_INFO
from mountd.rpc.srvsvc_lists import CONNECTION_LEVELS, FILE_LEVELS, SESSION_LEVELS
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


def client(caller=ADMIN, daemon=None) -> Client:
    return Client(make_pipes(daemon), "srvsvc", SRVSVC, caller)


def container(r, level, fields):
    """Parse an enumeration's reply: rows, total, resume handle, status."""
    assert (r.u32(), r.u32()) == (level, level)
    rows = r.unique(lambda: r.array(fields))
    return rows, r.u32(), r.unique(r.u32), finished(r)


def info(r, level, fields):
    assert r.u32() == level
    row = r.unique(lambda: r.struct(fields))
    return row, finished(r)


def share_enum(level, max_length=0xFFFFFFFF, resume=None, opnum=15):
    w = NdrWriter()
    w.unique_wstring("\\\\FILESRV")
    w.flush()
    w.u32(level)
    w.u32(level)
    w.pointer(lambda: w.array((), []))
    w.flush()
    w.u32(max_length)
    w.unique_u32(resume)
    return opnum, w


def get_info(name, level):
    w = NdrWriter()
    w.null()
    w.wstring(name)
    w.u32(level)
    return 16, w


@pytest.mark.parametrize("level", [0, 1, 2, 501, 502, 503])
def test_share_enum_lists_browseable_shares_by_name(level):
    r = client().send(VECTORS[f"NetrShareEnum level {level}"])
    rows, total, resume, status = container(r, level, SHARE_ENUM_LEVELS[level])
    assert [row["name"] for row in rows] == ["Büro", "data", "IPC$"]
    assert (total, resume, status) == (3, 0, Win32.SUCCESS)


def test_share_enum_level_1_tells_types_and_comments():
    r = client(USER).send(VECTORS["NetrShareEnum level 1"])
    rows, *_ = container(r, 1, SHARE_ENUM_LEVELS[1])
    assert rows == [
        {"name": "Büro", "type": 0, "comment": "Größe 𝄞"},
        {"name": "data", "type": 0, "comment": "Data"},
        {"name": "IPC$", "type": IPC | SPECIAL, "comment": "IPC"},
    ]


def test_share_enum_level_502_tells_paths_and_limits():
    r = client().send(VECTORS["NetrShareEnum level 502"])
    rows, *_ = container(r, 502, SHARE_ENUM_LEVELS[502])
    assert rows[1] == {
        "name": "data",
        "type": 0,
        "comment": "Data",
        "permissions": 0,
        "max_uses": 5,
        "current_uses": 1,
        "path": "C:\\srv\\data",
        "password": None,
        "descriptor_size": len(EVERYONES),
        "descriptor": EVERYONES,
    }
    assert rows[0]["max_uses"] == 0xFFFFFFFF


@pytest.mark.parametrize("level", [2, 502, 503])
def test_share_paths_are_for_administrators(level):
    r = client(USER).send(VECTORS[f"NetrShareEnum level {level}"])
    rows, total, resume, status = container(r, level, SHARE_ENUM_LEVELS[level])
    assert (rows, total, resume, status) == (None, 0, None, Win32.ACCESS_DENIED)
    r = client(USER).send(VECTORS[f"NetrShareGetInfo data level {level}"])
    assert info(r, level, SHARE_INFO[level]) == (None, Win32.ACCESS_DENIED)


def test_share_enum_goes_on_at_the_resume_handle():
    c, names, resume = client(), [], 0
    for _ in range(3):
        r = c.call(*share_enum(0, 20, resume))
        rows, total, resume, status = container(r, 0, SHARE_ENUM_LEVELS[0])
        assert total == 3 - len(names)
        names += [row["name"] for row in rows]
        assert status == (Win32.MORE_DATA if len(names) < 3 else Win32.SUCCESS)
    assert (names, resume) == (["Büro", "data", "IPC$"], 0)


def test_share_enum_beyond_the_last_share_is_empty():
    r = client().call(*share_enum(0, resume=0xFFFFFFFE))
    assert container(r, 0, SHARE_ENUM_LEVELS[0]) == ([], 0, 0, Win32.SUCCESS)


def test_share_enum_that_fits_nothing_says_so():
    r = client().call(*share_enum(1, 8, 0))
    assert container(r, 1, SHARE_ENUM_LEVELS[1]) == (None, 0, None, Win32.BUF_TOO_SMALL)


def test_share_enum_of_an_unknown_level_is_refused_without_an_arm():
    r = client().call(*share_enum(77))
    assert (r.u32(), r.u32()) == (77, 77)
    assert (r.u32(), r.u32()) == (0, 0)
    assert finished(r) == Win32.INVALID_LEVEL


def test_share_enum_sticky_leaves_out_special_shares():
    r = client().send(VECTORS["NetrShareEnumSticky level 1"])
    rows, *_ = container(r, 1, SHARE_ENUM_LEVELS[1])
    assert [row["name"] for row in rows] == ["Büro", "data"]


def test_a_share_that_lists_by_access_says_so():
    daemon = FakeDaemon()
    daemon.share_list[0] = Share("data", lists_by_access=True)
    r = client(USER, daemon).send(VECTORS["NetrShareGetInfo data level 1005"])
    assert info(r, 1005, SHARE_INFO[1005]) == ({"flags": 0x800}, Win32.SUCCESS)


@pytest.mark.parametrize("level", sorted(SHARE_INFO))
def test_share_get_info_answers_every_level(level):
    row, status = info(
        client().send(VECTORS[f"NetrShareGetInfo data level {level}"]), level, SHARE_INFO[level]
    )
    assert status == Win32.SUCCESS
    assert row.get("name", "data") == "data"


@pytest.mark.parametrize("caller", [USER, GUEST, ANONYMOUS])
def test_explorer_level_1005_is_for_everybody(caller):
    r = client(caller).send(VECTORS["NetrShareGetInfo data level 1005"])
    assert info(r, 1005, SHARE_INFO[1005]) == ({"flags": 0}, Win32.SUCCESS)


def test_share_get_info_finds_hidden_shares_and_misses_absent_ones():
    row, status = info(client().call(*get_info("HIDDEN", 1)), 1, SHARE_INFO[1])
    assert (row["name"], status) == ("hidden", Win32.SUCCESS)
    r = client().send(VECTORS["NetrShareGetInfo nope level 1"])
    assert info(r, 1, SHARE_INFO[1]) == (None, Win32.NET_NAME_NOT_FOUND)


def test_share_get_info_of_an_unknown_level_has_no_arm():
    r = client().call(*get_info("data", 99))
    assert r.u32() == 99
    assert finished(r) == Win32.INVALID_LEVEL


@pytest.mark.parametrize("level", [100, 101, 102])
def test_server_get_info(level):
    r = client().send(VECTORS[f"NetrServerGetInfo level {level}"])
    row, status = info(r, level, SERVER_INFO[level])
    assert status == Win32.SUCCESS
    assert (row["platform"], row["name"]) == (500, "FILESRV")
    if level > 100:
        assert (row["major"], row["minor"], row["type"]) == (6, 1, SV_TYPE)
        assert row["comment"] == "A file server"


def test_server_get_info_102_is_for_administrators():
    r = client(USER).send(VECTORS["NetrServerGetInfo level 102"])
    assert info(r, 102, SERVER_INFO[102]) == (None, Win32.ACCESS_DENIED)


@pytest.mark.parametrize("level", sorted(SESSION_LEVELS))
def test_session_enum_is_for_administrators(level):
    vector = VECTORS[f"NetrSessionEnum level {level}"]
    rows, total, _, status = container(client().send(vector), level, SESSION_LEVELS[level])
    assert [row["client"] for row in rows] == ["10.0.0.1", "10.0.0.2"]
    assert (total, status) == (2, Win32.SUCCESS)
    rows, _, _, status = container(client(USER).send(vector), level, SESSION_LEVELS[level])
    assert (rows, status) == (None, Win32.ACCESS_DENIED)


@pytest.mark.parametrize("level", sorted(FILE_LEVELS))
def test_file_enum_is_for_administrators(level):
    vector = VECTORS[f"NetrFileEnum level {level}"]
    rows, total, _, status = container(client().send(vector), level, FILE_LEVELS[level])
    assert ([row["id"] for row in rows], total, status) == ([7], 1, Win32.SUCCESS)
    assert rows[0].get("path", "C:\\srv\\data\\x") == "C:\\srv\\data\\x"
    rows, _, _, status = container(client(USER).send(vector), level, FILE_LEVELS[level])
    assert (rows, status) == (None, Win32.ACCESS_DENIED)


def file_call(opnum, number, level=None):
    w = NdrWriter()
    w.unique_wstring("\\\\FILESRV")
    w.flush()
    w.u32(number)
    if level is not None:
        w.u32(level)
    return opnum, w


@pytest.mark.parametrize("level", sorted(FILE_LEVELS))
def test_one_file_is_told_by_its_number(level):
    row, status = info(client().call(*file_call(10, 7, level)), level, FILE_LEVELS[level])
    assert (row["id"], status) == (7, Win32.SUCCESS)
    row, status = info(client().call(*file_call(10, 8, level)), level, FILE_LEVELS[level])
    assert (row, status) == (None, Win32.FILE_ID_NOT_FOUND)
    row, status = info(client(USER).call(*file_call(10, 7, level)), level, FILE_LEVELS[level])
    assert (row, status) == (None, Win32.ACCESS_DENIED)


def test_an_unknown_level_of_a_file_has_no_arm():
    r = client().call(*file_call(10, 7, 9))
    assert (r.u32(), finished(r)) == (9, Win32.INVALID_LEVEL)


def test_administrators_close_files():
    daemon = FakeDaemon()
    assert finished(client(USER, daemon).call(*file_call(11, 7))) == Win32.ACCESS_DENIED
    assert finished(client(ADMIN, daemon).call(*file_call(11, 7))) == Win32.SUCCESS
    assert daemon.file_list == []
    assert finished(client(ADMIN, daemon).call(*file_call(11, 7))) == Win32.FILE_ID_NOT_FOUND


def session_del(client_name, user):
    w = NdrWriter()
    for text in ("\\\\FILESRV", client_name, user):
        w.unique_wstring(text)
        w.flush()
    return 13, w


@pytest.mark.parametrize(
    ("client_name", "user", "status", "left"),
    [
        ("\\\\10.0.0.1", None, Win32.SUCCESS, ["10.0.0.2"]),
        ("10.0.0.1", "bob", Win32.SUCCESS, ["10.0.0.2"]),
        (None, "nobody", Win32.SUCCESS, ["10.0.0.1"]),
        ("\\\\10.0.0.9", None, Win32.CLIENT_NAME_NOT_FOUND, ["10.0.0.1", "10.0.0.2"]),
        (None, "eve", Win32.USER_NOT_FOUND, ["10.0.0.1", "10.0.0.2"]),
        (None, None, Win32.INVALID_PARAMETER, ["10.0.0.1", "10.0.0.2"]),
    ],
)
def test_administrators_end_sessions(client_name, user, status, left):
    daemon = FakeDaemon()
    refused = client(USER, daemon).call(*session_del(client_name, user))
    assert finished(refused) == Win32.ACCESS_DENIED
    done = client(ADMIN, daemon).call(*session_del(client_name, user))
    assert finished(done) == status
    assert [session.client for session in daemon.session_list] == left


@pytest.mark.parametrize("level", sorted(CONNECTION_LEVELS))
def test_connection_enum_is_for_administrators(level):
    vector = VECTORS[f"NetrConnectionEnum data level {level}"]
    rows, *_, status = container(client().send(vector), level, CONNECTION_LEVELS[level])
    assert ([row["id"] for row in rows], status) == ([9], Win32.SUCCESS)
    assert rows[0].get("net_name", "10.0.0.1") == "10.0.0.1"
    *_, status = container(client(USER).send(vector), level, CONNECTION_LEVELS[level])
    assert status == Win32.ACCESS_DENIED


def connections_of(qualifier):
    w = NdrWriter()
    w.null()
    w.unique_wstring(qualifier)
    w.flush()
    w.u32(1)
    w.u32(1)
    w.null()
    w.u32(0xFFFFFFFF)
    w.null()
    return 8, w


@pytest.mark.parametrize(
    ("qualifier", "found", "status"),
    [
        ("\\\\10.0.0.1", ["data"], Win32.SUCCESS),
        ("\\\\10.0.0.9", [], Win32.SUCCESS),
        ("DATA", ["10.0.0.1"], Win32.SUCCESS),
        ("nope", None, Win32.NET_NAME_NOT_FOUND),
        (None, None, Win32.INVALID_PARAMETER),
    ],
)
def test_connection_enum_by_share_or_client(qualifier, found, status):
    rows, *_, code = container(client().call(*connections_of(qualifier)), 1, CONNECTION_LEVELS[1])
    assert (rows and [row["net_name"] for row in rows]) == found
    assert code == status


def test_remote_tod_is_utc():
    r = client().send(VECTORS["NetrRemoteTOD"])
    values = r.unique(lambda: [r.u32() for _ in range(12)])
    assert finished(r) == Win32.SUCCESS
    assert values == [
        *(1700000000, 12500, 22, 13, 20, 25),
        *(0xFFFFFFFF - 59, 310, 14, 11, 2023, 2),
    ]


def test_server_disk_enum_shows_one_drive():
    def disks():
        count = r.u32()
        assert (r.u32(), r.u32()) == (0, count)
        return [(r.u32(), r.raw(2 * r.u32())) for _ in range(count)]

    r = client().send(VECTORS["NetrServerDiskEnum"])
    assert r.u32() == 1
    assert r.unique(disks) == [(0, "C:\0".encode("utf-16-le"))]
    assert (r.u32(), r.unique(r.u32)) == (1, 0)
    assert finished(r) == Win32.SUCCESS
    r = client(USER).send(VECTORS["NetrServerDiskEnum"])
    assert [r.u32() for _ in range(5)] == [0, 0, 0, 0, Win32.ACCESS_DENIED]


def test_statistics_are_not_supported():
    r = client().send(VECTORS["NetrServerStatisticsGet"])
    assert r.u32() == 0
    assert finished(r) == Win32.NOT_SUPPORTED


def path_type(path, flags=0):
    w = NdrWriter()
    w.null()
    w.wstring(path)
    w.u32(flags)
    r = client().call(30, w)
    kind, status = r.u32(), finished(r)
    return status or kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("C:\\foo", 8198),
        ("C:/foo/*.txt", 8199),
        ("\\foo", 8194),
        ("foo\\b?r", 8193),
        ("foo", 8192),
        ("c:foo", 8196),
        ("d:", 16384),
        ("LPT1:", 16400),
        ("\\dev\\com2", 16416),
        ("con", 16448),
        ("NUL", 16464),
        ("\\\\srv", 4144),
        ("\\\\srv\\share\\x", 4096),
        ("\\\\srv\\share\\*", 4097),
        ("\\\\srv\\pipe\\srvsvc", 6912),
        ("\\\\srv\\mailslot\\x", 6144),
        ("\\\\srv\\\\x", Win32.INVALID_NAME),
        ("a|b", Win32.INVALID_NAME),
        ("a:b:c", Win32.INVALID_NAME),
        ("", Win32.INVALID_NAME),
        ("x" * 261, Win32.INVALID_NAME),
    ],
)
def test_path_types(path, kind):
    assert path_type(path) == kind


def test_old_style_paths_are_shorter():
    assert path_type("x" * 129) == 8192
    assert path_type("x" * 129, 1) == Win32.INVALID_NAME
    assert path_type("x", 2) == Win32.INVALID_PARAMETER


@pytest.mark.parametrize(
    ("name", "kind", "flags", "status"),
    [
        ("share", 9, 0, Win32.SUCCESS),
        ("s" * 80, 9, 0, Win32.SUCCESS),
        ("s" * 81, 9, 0, Win32.INVALID_NAME),
        ("s" * 13, 9, 0x80000000, Win32.INVALID_NAME),
        ("a/b", 9, 0, Win32.INVALID_NAME),
        ("...", 9, 0, Win32.INVALID_NAME),
        ("", 9, 0, Win32.INVALID_NAME),
        ("a/b", 2, 0, Win32.SUCCESS),
        ("x", 14, 0, Win32.INVALID_PARAMETER),
        ("x", 9, 4, Win32.INVALID_PARAMETER),
    ],
)
def test_name_validation(name, kind, flags, status):
    w = NdrWriter()
    w.null()
    w.wstring(name)
    w.u32(kind)
    w.u32(flags)
    assert finished(client().call(33, w)) == status


def test_an_operation_that_does_not_exist_is_a_fault():
    for opnum in (0, 7, 200, 65535):
        with pytest.raises(Fault) as fault:
            client().call(opnum)
        assert fault.value.status == OP_RANGE_ERROR


@pytest.mark.parametrize("name", [n for n in VECTORS if n.startswith("Netr") and "Wksta" not in n])
def test_every_truncation_of_a_stub_is_a_fault(name):
    pdu_bytes, c = VECTORS[name], client()
    for end in range(24, len(pdu_bytes)):
        cut = bytearray(pdu_bytes[:end])
        cut[8:10] = end.to_bytes(2, "little")
        with pytest.raises(Fault) as fault:
            c.send(bytes(cut))
        assert fault.value.status == BAD_STUB_DATA


def test_a_thousand_shares_take_several_fragments():
    daemon = FakeDaemon()
    daemon.share_list = [Share(f"share{i:04}", comment="x" * 30) for i in range(1000)]
    r = client(daemon=daemon).call(*share_enum(1))
    rows, total, _, status = container(r, 1, SHARE_ENUM_LEVELS[1])
    assert (len(rows), total, status) == (1000, 1000, Win32.SUCCESS)
    assert rows[999]["name"] == "share0999"


def test_a_container_with_rows_in_the_request_is_read_and_ignored():
    def rows():
        w.u32(1)
        w.pointer(lambda: w.rows(SHARE_ENUM_LEVELS[0], [Share("mine")]))

    w = NdrWriter()
    w.null()
    w.u32(0)
    w.u32(0)
    w.pointer(rows)
    w.flush()
    w.u32(0xFFFFFFFF)
    w.null()
    found, *_ = container(client().call(15, w), 0, SHARE_ENUM_LEVELS[0])
    assert len(found) == 3


def test_a_container_that_claims_four_billion_rows_is_a_fault():
    w = NdrWriter()
    w.null()
    for value in (1, 1, 4, 0xFFFFFFFF, 4, 0xFFFFFFFF):
        w.u32(value)
    with pytest.raises(Fault) as fault:
        client().call(15, w)
    assert fault.value.status == BAD_STUB_DATA


def test_a_level_that_differs_from_its_discriminant_is_a_fault():
    w = NdrWriter()
    for value in (0, 1, 2, 0, 0xFFFFFFFF, 0):
        w.u32(value)
    with pytest.raises(Fault) as fault:
        client().call(15, w)
    assert fault.value.status == BAD_STUB_DATA
