"""state/pipe.py: mountd's answers as statuses.  Pipes altogether: test_create_pipe.py."""

from __future__ import annotations

from typing import cast

import pytest

from ksmbd.ipc.client import Mountd
from ksmbd.ipc.requests import RpcReply
from ksmbd.state.pipe import Pipe
from ksmbd.wire.ipc import RpcStatus
from ksmbd.wire.status import NtStatus, NtStatusError
from tests.support.mountd import MemoryMountd

EXPECTED = {
    RpcStatus.NO_SUCH_PIPE: NtStatus.OBJECT_NAME_NOT_FOUND,
    RpcStatus.ACCESS_DENIED: NtStatus.ACCESS_DENIED,
    RpcStatus.BAD_FID: NtStatus.FILE_CLOSED,
    RpcStatus.NOMEM: NtStatus.INSUFFICIENT_RESOURCES,
    RpcStatus.NOT_IMPLEMENTED: NtStatus.NOT_SUPPORTED,
    RpcStatus.PIPE_BUSY: NtStatus.PIPE_BUSY,
    RpcStatus.NO_DATA: NtStatus.PIPE_EMPTY,
    RpcStatus.NOT_CONNECTED: NtStatus.PIPE_DISCONNECTED,
}
GOOD = (RpcStatus.OK, RpcStatus.MORE_DATA)


@pytest.mark.parametrize("status", [s for s in RpcStatus if s not in GOOD])
def test_each_refusal_has_a_status(status: RpcStatus) -> None:
    with pytest.raises(NtStatusError) as refused:
        Pipe.checked(RpcReply(status, b""))
    assert refused.value.status is EXPECTED.get(status, NtStatus.INVALID_PARAMETER)


@pytest.mark.parametrize("flags", [3, 0x7777, 0xFFFF_FFFF])
def test_a_refusal_nobody_knows_is_one_too(flags: int) -> None:
    with pytest.raises(NtStatusError):
        Pipe.checked(RpcReply(flags, b""))


@pytest.mark.parametrize("status", GOOD)
def test_an_answer_is_an_answer(status: RpcStatus) -> None:
    assert Pipe.checked(RpcReply(status, b"x")).payload == b"x"


def test_a_conversation() -> None:
    mountd = MemoryMountd([], [])
    mountd.rpc_open(7, "srvsvc", account="", session_id=0, peer="")
    pipe = Pipe(cast(Mountd, mountd), 7, "srvsvc")
    pipe.write(b"abc")
    assert pipe.peek() == bytes.fromhex("030000000100000003000000")
    assert pipe.read(2) == (NtStatus.BUFFER_OVERFLOW, b"ab")
    assert pipe.transceive(b"d", 10) == (NtStatus.SUCCESS, b"cd")
    pipe.close()
    assert mountd.pipes == {}
    pipe.close()


def test_closing_without_mountd_is_no_matter() -> None:
    mountd = MemoryMountd([], [])
    mountd.away = True
    Pipe(cast(Mountd, mountd), 7, "srvsvc").close()
