"""srvsvc's operations on names and paths that give one back or compare two."""

from __future__ import annotations

import pytest

from mountd.rpc.errors import BAD_STUB_DATA, RpcError, Win32
from mountd.rpc.ndr import NdrWriter
from mountd.rpc.srvsvc_names import canonical
from tests.mountd.rpc_support import SRVSVC, USER, Client, Fault, finished, make_pipes

ABSOLUTE, RELATIVE, DRIVE, UNC = 8194, 8192, 4, 4096
LESS = 0xFFFFFFFF


def call(opnum, *arguments):
    """ServerName, then texts and words."""
    w = NdrWriter()
    w.null()
    for argument in arguments:
        if isinstance(argument, str):
            w.wstring(argument)
        else:
            w.u32(argument)
    return Client(make_pipes(), "srvsvc", SRVSVC, USER).call(opnum, w)


def path_canonicalize(path, prefix="", kind=0, room=520, flags=0):
    r = call(31, path, room, prefix, kind, flags)
    data = r.raw(r.conformance())
    assert len(data) == room
    return data.decode("utf-16-le").rstrip("\0"), r.u32(), finished(r)


@pytest.mark.parametrize(
    ("path", "prefix", "expected", "kind"),
    [
        ("C:/srv//data/", "", "C:\\srv\\data", ABSOLUTE | DRIVE),
        ("C:\\srv\\.\\a\\..\\b", "", "C:\\srv\\b", ABSOLUTE | DRIVE),
        ("data", "C:\\srv\\", "C:\\srv\\data", ABSOLUTE | DRIVE),
        ("\\data", "C:\\srv", "\\data", ABSOLUTE),
        ("a\\b", "", "a\\b", RELATIVE),
        ("\\\\server\\share\\x\\..", "", "\\\\server\\share", UNC),
    ],
)
def test_a_path_has_one_form(path, prefix, expected, kind):
    assert path_canonicalize(path, prefix) == (expected, kind, Win32.SUCCESS)
    assert path_canonicalize(path, prefix, kind) == (expected, kind, Win32.SUCCESS)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"path": ""}, Win32.INVALID_NAME),
        ({"path": "..\\x"}, Win32.INVALID_NAME),
        ({"path": "C:\\a\\..\\..\\x"}, Win32.INVALID_NAME),
        ({"path": "x" * 261}, Win32.INVALID_NAME),
        ({"path": "a", "prefix": "C:\\" + "x" * 260}, Win32.INVALID_NAME),
        ({"path": "a|b"}, Win32.INVALID_NAME),
        ({"path": "a", "flags": 2}, Win32.INVALID_PARAMETER),
        ({"path": "a", "kind": UNC}, Win32.INVALID_PARAMETER),
        ({"path": "abc", "room": 6}, Win32.BUF_TOO_SMALL),
        ({"path": "abc", "room": 0}, Win32.BUF_TOO_SMALL),
    ],
)
def test_a_path_that_has_none(changes, status):
    assert path_canonicalize(**changes) == ("", 0, status)


@pytest.mark.parametrize("opnum", [31, 34])
def test_a_buffer_that_is_too_large_is_a_fault(opnum):
    with pytest.raises(Fault) as fault:
        call(opnum, "a", 64001, *([""] if opnum == 31 else []), 9, 0)
    assert fault.value.status == BAD_STUB_DATA


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [
        ("C:\\srv", "c:/SRV/", 0),
        ("C:\\a", "C:\\b", LESS),
        ("C:\\b\\..\\c", "C:\\b", 1),
        ("..", "a", Win32.INVALID_NAME),
    ],
)
def test_paths_are_compared_in_their_form(first, second, order):
    assert finished(call(32, first, second, 0, 0)) == order
    assert finished(call(32, first, second, 0, 8)) == Win32.INVALID_PARAMETER


def test_a_valid_name_is_its_form():
    r = call(34, "Data", 10, 9, 1)
    assert r.u32() == 10
    assert r.raw(20).decode("utf-16-le").rstrip("\0") == "Data"
    assert finished(r) == Win32.SUCCESS
    for arguments, status in (
        (("Data", 4, 9, 0), Win32.BUF_TOO_SMALL),
        (("a/b", 4, 9, 0), Win32.INVALID_NAME),
        (("Data", 4, 99, 0), Win32.INVALID_PARAMETER),
    ):
        r = call(34, *arguments)
        assert (r.u32(), r.raw(8), finished(r)) == (4, bytes(8), status)


@pytest.mark.parametrize(
    ("first", "second", "kind", "order"),
    [
        ("DATA", "data", 9, 0),
        ("a", "b", 9, LESS),
        ("b", "a", 9, 1),
        ("a/", "b", 9, Win32.INVALID_NAME),
        ("a", "b", 0, Win32.INVALID_PARAMETER),
    ],
)
def test_names_are_compared_without_regard_to_case(first, second, kind, order):
    assert finished(call(35, first, second, kind, 1)) == order


@pytest.mark.parametrize("path", ["\\", "C:\\", "\\\\", "C:"])
def test_a_beginning_alone_stays(path):
    assert canonical(path) == path
    with pytest.raises(RpcError):
        canonical(path + "..")
