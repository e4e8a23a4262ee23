"""winreg: the handful of values that clients ask for, and nothing to change."""

from __future__ import annotations

from uuid import UUID

import pytest

from mountd.rpc.errors import CONTEXT_MISMATCH, OP_RANGE_ERROR, Win32
from mountd.rpc.handles import CLOSED, HANDLE_SIZE, MAX_HANDLES
from mountd.rpc.ndr import NdrWriter
from mountd.rpc.pdu import Syntax
from tests.mountd.rpc_support import Client, Fault, finished, make_pipes

WINREG = Syntax(UUID("338cd001-2244-31f1-aaaa-900038001003"), 1)
OPTIONS = r"SYSTEM\CurrentControlSet\Control\ProductOptions"


@pytest.fixture
def client() -> Client:
    return Client(make_pipes(), "winreg", WINREG)


def text(w: NdrWriter, value: str, room: int = 0) -> None:
    """RRP_UNICODE_STRING, with its NUL; *room* for an answer in units."""
    units = (value + "\0").encode("utf-16-le")
    w.align(4)
    w.u16(len(units))
    w.u16(max(len(units), 2 * room))
    w.u32(1)
    for number in (max(len(units) // 2, room), 0, len(units) // 2):
        w.u32(number)
    w.raw(units)


def opened(client: Client, root: int = 2) -> bytes:
    w = NdrWriter()
    w.u32(0)
    w.u32(0x20019)
    r = client.call(root, w)
    handle = r.raw(HANDLE_SIZE)
    assert finished(r) == Win32.SUCCESS
    return handle


def open_key(client: Client, root: bytes, name: str) -> tuple[bytes, int]:
    w = NdrWriter()
    w.raw(root)
    text(w, name)
    w.u32(0)
    w.u32(0x20019)
    r = client.call(15, w)
    return r.raw(HANDLE_SIZE), finished(r)


def value_tail(w: NdrWriter, room: int | None) -> None:
    """lpType, lpData, lpcbData and lpcbLen of a request."""
    w.align(4)
    w.u32(1)
    w.u32(0)
    if room is None:
        w.u32(0)
    else:
        w.u32(1)
        for number in (room, 0, 0):
            w.u32(number)
    for number in (room or 0, 0):
        w.u32(1)
        w.u32(number)


def read_tail(r):
    """Type, data, cbData and cbLen of an answer, and the status."""
    kind = r.unique(r.u32)
    data = r.unique(lambda: [r.u32(), r.u32(), r.raw(r.u32())][-1])
    return kind, data, r.unique(r.u32), r.unique(r.u32), finished(r)


def query(client: Client, key: bytes, name: str, room: int | None):
    w = NdrWriter()
    w.raw(key)
    text(w, name)
    value_tail(w, room)
    return read_tail(client.call(17, w))


@pytest.mark.parametrize("path", [OPTIONS, OPTIONS.lower(), f"\\{OPTIONS}\\"])
def test_a_value_is_read(client: Client, path: str) -> None:
    key, status = open_key(client, opened(client), path)
    assert status == Win32.SUCCESS
    data = "ServerNT\0".encode("utf-16-le")
    assert query(client, key, "producttype", 64) == (1, data, 18, 18, Win32.SUCCESS)
    assert query(client, key, "ProductType", None) == (1, None, 18, 0, Win32.SUCCESS)
    assert query(client, key, "ProductType", 17) == (1, None, 18, 0, Win32.MORE_DATA)
    assert query(client, key, "Other", 64) == (None, None, None, None, Win32.FILE_NOT_FOUND)


def test_a_key_is_opened_step_by_step(client: Client) -> None:
    key = opened(client)
    for name in OPTIONS.split("\\"):
        key, status = open_key(client, key, name)
        assert status == Win32.SUCCESS
    assert query(client, key, "ProductType", 64)[-1] == Win32.SUCCESS


@pytest.mark.parametrize("name", ["Nothing", "SYSTEM\\Nothing", "SYSTE", OPTIONS + "\\More"])
def test_other_keys_are_not_there(client: Client, name: str) -> None:
    assert open_key(client, opened(client), name) == (CLOSED, Win32.FILE_NOT_FOUND)


@pytest.mark.parametrize("root", [0, 1, 4])
def test_other_roots_are_empty(client: Client, root: int) -> None:
    assert open_key(client, opened(client, root), "SYSTEM")[1] == Win32.FILE_NOT_FOUND


def test_handles_are_limited_and_the_refusal_is_a_win32_code(client: Client) -> None:
    root = opened(client)
    for _ in range(MAX_HANDLES - 1):
        assert open_key(client, root, "")[1] == Win32.SUCCESS
    assert open_key(client, root, "") == (CLOSED, Win32.NOT_ENOUGH_MEMORY)
    w = NdrWriter()
    w.u32(0)
    w.u32(0x20019)
    r = client.call(2, w)
    assert (r.raw(HANDLE_SIZE), finished(r)) == (CLOSED, Win32.NOT_ENOUGH_MEMORY)


def names(client: Client, key: bytes) -> list[str]:
    found = []
    while True:
        w = NdrWriter()
        w.raw(key)
        w.u32(len(found))
        text(w, "", 256)
        for _ in range(2):
            w.u32(0)
        r = client.call(9, w)
        name = r.unicode()
        r.u32(), r.u32()
        status = finished(r)
        if status == Win32.NO_MORE_ITEMS:
            return found
        assert status == Win32.SUCCESS
        found.append(name)


def test_keys_are_enumerated(client: Client) -> None:
    root = opened(client)
    assert names(client, root) == ["SOFTWARE", "SYSTEM"]
    key, _ = open_key(client, root, r"SYSTEM\CurrentControlSet")
    assert names(client, key) == ["Control", "Services"]
    key, _ = open_key(client, root, OPTIONS)
    assert names(client, key) == []


def test_values_are_enumerated_and_counted(client: Client) -> None:
    key, _ = open_key(client, opened(client), r"SOFTWARE\Microsoft\Windows NT\CurrentVersion")
    found = {}
    for index in range(4):
        w = NdrWriter()
        w.raw(key)
        w.u32(index)
        text(w, "", 256)
        value_tail(w, 64)
        r = client.call(10, w)
        name = r.unicode()
        kind, data, _, _, status = read_tail(r)
        if status == Win32.NO_MORE_ITEMS:
            break
        found[name] = (kind, data.decode("utf-16-le"))
    assert found["CurrentVersion"] == (1, "6.1\0")
    assert len(found) == 3
    w = NdrWriter()
    w.raw(key)
    text(w, "")
    r = client.call(16, w)
    assert r.unicode() == ""
    assert [r.u32() for _ in range(4)] == [0, 0, 0, 3]
    assert [r.u32() for _ in range(3)] == [30, 22, 0]
    r.u64()
    assert finished(r) == Win32.SUCCESS


def test_a_closed_key_is_none(client: Client) -> None:
    key = opened(client)
    w = NdrWriter()
    w.raw(key)
    r = client.call(26, w)
    assert (r.u32(), finished(r)) == (5, Win32.SUCCESS)
    w = NdrWriter()
    w.raw(key)
    r = client.call(5, w)
    assert (r.raw(HANDLE_SIZE), finished(r)) == (CLOSED, Win32.SUCCESS)
    with pytest.raises(Fault) as fault:
        open_key(client, key, OPTIONS)
    assert fault.value.status == CONTEXT_MISMATCH


@pytest.mark.parametrize("opnum", [7, 8, 22])
def test_nothing_can_be_changed(client: Client, opnum: int) -> None:
    w = NdrWriter()
    w.raw(opened(client))
    text(w, "x")
    assert finished(client.call(opnum, w)) == Win32.ACCESS_DENIED


def test_what_is_not_there_is_no_operation(client: Client) -> None:
    with pytest.raises(Fault) as fault:
        client.call(33)
    assert fault.value.status == OP_RANGE_ERROR


@pytest.mark.parametrize(
    ("opnum", "words"),
    [(6, 6), (12, 3), *((opnum, 0) for opnum in (13, 18, 19, 20, 21, 23, 31, 35))],
)
def test_what_would_change_the_registry_is_refused_with_its_results(
    client: Client, opnum: int, words: int
) -> None:
    r = client.call(opnum)
    assert (r.raw(4 * words), finished(r)) == (bytes(4 * words), Win32.ACCESS_DENIED)


def test_a_key_has_nothing_to_write(client: Client) -> None:
    w = NdrWriter()
    w.raw(opened(client, 27))
    assert finished(client.call(11, w)) == Win32.SUCCESS
    wrong = NdrWriter()
    wrong.raw(b"x" * HANDLE_SIZE)
    with pytest.raises(Fault) as fault:
        client.call(11, wrong)
    assert fault.value.status == CONTEXT_MISMATCH
