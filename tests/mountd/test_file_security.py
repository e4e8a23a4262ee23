"""Descriptors of files over RPC: mountd's part, from the stub to the question it asks ksmbd."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmbd.wire import ipc
from ksmbd.wire.ipc import FileSecurityRequest, FileSecurityResponse, Message
from ksmbd.wire.security import SecurityDescriptor
from ksmbd.wire.status import NtStatus
from mountd.file_security import CODES, FileOf, ask
from mountd.questions import Questions
from mountd.rpc.errors import BAD_STUB_DATA, RpcError, Win32
from mountd.rpc.interface import Caller
from mountd.rpc.ndr import NdrWriter
from tests.mountd.fakes import make_state
from tests.mountd.rpc_support import SRVSVC, USER, Client, FakeDaemon, Fault, finished, make_pipes

EMPTY = SecurityDescriptor().pack()
CONF = """[data]
path = /srv
valid users = alice
[free]
path = /free
read only = no
guest ok = yes
guest account = nobody
guest only = yes
"""


class Asked:
    """A ksmbd that answers every question alike."""

    def __init__(self, status: int = NtStatus.SUCCESS, security: bytes = EMPTY) -> None:
        self.status, self.security = status, security
        self.requests: list[FileSecurityRequest] = []
        self.questions = Questions()
        self.questions.connected(self._send)

    def _send(self, message: Message) -> None:
        assert isinstance(message, FileSecurityRequest)
        self.requests.append(message)
        answer = FileSecurityResponse(
            handle=message.handle, status=self.status, security=self.security
        )
        self.questions.answered(message.handle, answer)


def told(folder: Path, ksmbd: Asked, caller: Caller, file: FileOf) -> bytes:
    return ask(make_state(folder, CONF), ksmbd.questions, caller, file)


def test_ksmbd_hears_whose_pipe_it_is_and_how_the_share_is_used(tmp_path: Path) -> None:
    ksmbd = Asked()
    caller = Caller("alice", peer="10.0.0.1", pipe=9)
    assert told(tmp_path, ksmbd, caller, FileOf("DATA", "\\a\\b", 7)) == EMPTY
    (request,) = ksmbd.requests
    assert request == FileSecurityRequest(
        handle=request.handle,
        pipe=9,
        information=7,
        connection_flags=ipc.TREE_READ_ONLY,
        share="data",
        path="a/b",
    )


def test_who_is_a_guest_on_the_share_is_one_here(tmp_path: Path) -> None:
    ksmbd = Asked()
    told(tmp_path, ksmbd, Caller("alice"), FileOf("free", "x", 4, EMPTY))
    (request,) = ksmbd.requests
    assert request.connection_flags == ipc.TREE_WRITABLE | ipc.TREE_GUEST
    assert request.security == EMPTY


@pytest.mark.parametrize(
    ("caller", "share", "code"),
    [
        (Caller("bob"), "data", Win32.ACCESS_DENIED),
        (Caller("", is_anonymous=True), "data", Win32.ACCESS_DENIED),
        (Caller("alice", is_guest=True), "data", Win32.ACCESS_DENIED),
        (Caller("alice"), "none", Win32.NET_NAME_NOT_FOUND),
    ],
)
def test_who_may_not_use_the_share_is_not_told_of_its_files(
    tmp_path: Path, caller: Caller, share: str, code: Win32
) -> None:
    ksmbd = Asked()
    with pytest.raises(RpcError) as refused:
        told(tmp_path, ksmbd, caller, FileOf(share, "x", 7))
    assert refused.value.code == code
    assert ksmbd.requests == []


@pytest.mark.parametrize(
    ("status", "code"), [*CODES.items(), (NtStatus.DELETE_PENDING, Win32.ACCESS_DENIED)]
)
def test_what_ksmbd_refuses_is_a_win32_code(tmp_path: Path, status: int, code: Win32) -> None:
    with pytest.raises(RpcError) as refused:
        told(tmp_path, Asked(status), Caller("alice"), FileOf("data", "x", 7))
    assert refused.value.code == code


def test_without_ksmbd_nobody_is_told_anything(tmp_path: Path) -> None:
    with pytest.raises(RpcError) as refused:
        ask(make_state(tmp_path, CONF), Questions(), Caller("alice"), FileOf("data", "x", 7))
    assert refused.value.code == Win32.NO_LOGON_SERVERS


# -- the stubs ---------------------------------------------------------------------------


def file(share: str | None = "data", path: str = "\\x") -> NdrWriter:
    w = NdrWriter()
    w.null()
    if share is None:
        w.u32(0)
    else:
        w.u32(1)
        w.wstring(share)
    w.wstring(path)
    w.u32(7)
    return w


def call(opnum: int, w: NdrWriter, daemon: FakeDaemon | None = None):  # type: ignore[no-untyped-def]
    return Client(make_pipes(daemon), "srvsvc", SRVSVC, USER).call(opnum, w)


def test_a_descriptor_is_told() -> None:
    daemon = FakeDaemon()
    r = call(39, file(), daemon)
    assert r.unique(lambda: (r.u32(), r.u32() != 0, r.octets())) == (len(EMPTY), True, EMPTY)
    assert finished(r) == Win32.SUCCESS
    assert daemon.changes == [("data", "\\x", 7, b"")]


def test_a_descriptor_that_is_not_told_is_a_null_pointer() -> None:
    for w, status in ((file(path="none"), Win32.FILE_NOT_FOUND), (file(None), 87)):
        r = call(39, w)
        assert (r.u32(), finished(r)) == (0, status)


def with_descriptor(data: bytes | None, length: int | None = None) -> NdrWriter:
    w = file()
    w.u32(len(data or b"") if length is None else length)
    w.octets(data)
    return w


def test_a_descriptor_is_set() -> None:
    daemon = FakeDaemon()
    assert finished(call(40, with_descriptor(EMPTY), daemon)) == Win32.SUCCESS
    assert daemon.changes == [("data", "\\x", 7, EMPTY)]


@pytest.mark.parametrize("data", [None, b"", EMPTY[:-1], b"\x02" + EMPTY[1:]])
def test_a_malformed_descriptor_is_not_set(data: bytes | None) -> None:
    daemon = FakeDaemon()
    status = finished(call(40, with_descriptor(data), daemon))
    assert status == Win32.INVALID_SECURITY_DESCR
    assert daemon.changes == []


def test_a_length_that_is_not_so_is_a_fault() -> None:
    with pytest.raises(Fault) as fault:
        call(40, with_descriptor(EMPTY, 3))
    assert fault.value.status == BAD_STUB_DATA
