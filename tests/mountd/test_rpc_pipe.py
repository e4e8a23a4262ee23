"""Pipes by handle: message mode, limits, concurrency."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mountd.rpc import association, pdu, pipe
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import Share
from tests.mountd.rpc_support import (
    SRVSVC,
    USER,
    Client,
    FakeDaemon,
    bind,
    fragments,
    make_pipes,
    vectors,
)

VECTORS = vectors()


@pytest.fixture
def pipes():
    made = make_pipes()
    made.open(1, "srvsvc", USER)
    made.transceive(1, VECTORS["bind srvsvc"], 999)
    return made


def refused(call, *args):
    with pytest.raises(RpcError) as caught:
        call(*args)
    return caught.value.code


@pytest.mark.parametrize("name", ["srvsvc", "SRVSVC", "\\srvsvc", "\\PIPE\\WksSvc"])
def test_pipe_names_have_no_case_and_may_have_a_prefix(name):
    make_pipes().open(1, name, USER)


@pytest.mark.parametrize(
    "name", ["", "mdssvc", "../srvsvc", "srvsvc\0", "pipe\\pipe\\srvsvc", "/etc/passwd"]
)
def test_unknown_pipes_are_refused_quietly(name, caplog):
    assert refused(make_pipes().open, 1, name, USER) == Win32.FILE_NOT_FOUND
    assert not caplog.records


def test_a_handle_is_opened_once(pipes):
    assert refused(pipes.open, 1, "srvsvc", USER) == Win32.INVALID_PARAMETER


def test_a_closed_handle_is_gone(pipes):
    pipes.close(1)
    pipes.close(1)
    assert refused(pipes.write, 1, b"") == Win32.INVALID_HANDLE
    assert refused(pipes.read, 1, 1) == Win32.INVALID_HANDLE
    assert refused(pipes.transceive, 1, b"", 1) == Win32.INVALID_HANDLE
    assert refused(pipes.peek, 1) == Win32.INVALID_HANDLE
    assert (len(pipes), pipes.held) == (0, 0)


def test_reading_with_nothing_written_says_no_data(pipes):
    assert refused(pipes.read, 1, 100) == Win32.NO_DATA


def test_a_short_read_says_more_and_the_next_brings_it(pipes):
    whole = pipes.transceive(1, VECTORS["NetrShareEnum level 1"], 65536)
    assert not whole.more
    chunk = pipes.transceive(1, VECTORS["NetrShareEnum level 1"], 24)
    assert (len(chunk.data), chunk.more) == (24, True)
    assert pipes.peek(1) == (len(whole.data) - 24, 1, len(whole.data) - 24)
    rest = b""
    while chunk.more:
        chunk = pipes.read(1, 100)
        rest += chunk.data
    assert rest == whole.data[24:]
    assert refused(pipes.read, 1, 1) == Win32.NO_DATA


def test_a_read_never_joins_two_messages(pipes):
    pipes.write(1, VECTORS["NetrRemoteTOD"] + VECTORS["NetrServerGetInfo level 100"])
    first, second = pipes.read(1, 65536), pipes.read(1, 65536)
    assert pdu.parse_header(first.data).frag_length == len(first.data)
    assert [pdu.call_id(first.data), pdu.call_id(second.data)] == [
        pdu.call_id(VECTORS["NetrRemoteTOD"]),
        pdu.call_id(VECTORS["NetrServerGetInfo level 100"]),
    ]


def test_a_read_of_no_bytes_tells_that_there_are_some(pipes):
    pipes.write(1, VECTORS["NetrRemoteTOD"])
    assert pipes.read(1, 0) == (b"", True)
    assert not pipes.read(1, 65536).more


def test_transceive_wants_an_empty_pipe(pipes):
    pipes.write(1, VECTORS["NetrRemoteTOD"])
    assert refused(pipes.transceive, 1, VECTORS["NetrRemoteTOD"], 999) == Win32.PIPE_BUSY
    assert pipes.peek(1).messages == 1


def test_transceive_of_half_a_request_has_no_reply(pipes):
    half = VECTORS["NetrRemoteTOD"][:10]
    assert refused(pipes.transceive, 1, half, 999) == Win32.NO_DATA
    assert pipes.transceive(1, VECTORS["NetrRemoteTOD"][10:], 999).data


def test_a_client_that_never_reads_is_stopped(pipes):
    request = VECTORS["NetrShareEnum level 1"]
    while pipes.held <= association.MAX_UNREAD:
        pipes.write(1, request)
    assert refused(pipes.write, 1, request) == Win32.PIPE_BUSY
    assert pipes.held < association.MAX_UNREAD + 4096
    while pipes.peek(1).messages:
        pipes.read(1, 65536)
    assert pipes.transceive(1, request, 65536).data


def test_one_huge_write_of_requests_ends_in_a_fault(pipes):
    request = VECTORS["NetrShareEnum level 1"]
    pipes.write(1, request * 20_000)
    assert pipes.held < association.MAX_UNREAD + 4096
    last = b""
    while pipes.peek(1).messages:
        last = pipes.read(1, 65536).data
    assert last[2] == pdu.PduType.FAULT
    assert refused(pipes.write, 1, request) == Win32.PIPE_NOT_CONNECTED


def test_a_write_larger_than_smb_allows_is_refused(pipes):
    assert refused(pipes.write, 1, bytes(pipe.MAX_WRITE + 1)) == Win32.INVALID_PARAMETER


def test_all_pipes_together_are_bounded():
    pipes = make_pipes()
    whole = bytes(3 << 20)
    pieces = fragments(15, whole, 5800)[:-1]
    codes = set()
    for handle in range(30):
        pipes.open(handle, "srvsvc", USER)
        pipes.transceive(handle, VECTORS["bind srvsvc"], 999)
        try:
            for piece in pieces:
                pipes.write(handle, piece)
        except RpcError as caught:
            codes.add(caught.code)
    assert codes == {Win32.NOT_ENOUGH_MEMORY}
    assert pipes.held < pipe.MAX_BUFFERED + 30 * (pipe.FAIR_SHARE + 6000)
    pipes.open(99, "srvsvc", USER)
    assert pipes.transceive(99, VECTORS["bind srvsvc"], 999).data
    pipes.close_all()
    assert (pipes.held, len(pipes)) == (0, 0)


def test_pipes_are_limited(monkeypatch):
    monkeypatch.setattr(pipe, "MAX_PIPES", 3)
    pipes = make_pipes()
    for handle in range(3):
        pipes.open(handle, "srvsvc", USER)
    assert refused(pipes.open, 3, "srvsvc", USER) == Win32.PIPE_BUSY
    pipes.close(0)
    pipes.open(3, "srvsvc", USER)


def test_calls_on_different_pipes_run_side_by_side():
    meeting = threading.Barrier(4, timeout=30)

    class Meeting(FakeDaemon):
        def shares(self, caller):
            meeting.wait()
            return super().shares(caller)

    pipes = make_pipes(Meeting())
    clients = [Client(pipes, "srvsvc", SRVSVC, USER) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda c: c.send(VECTORS["NetrShareEnum level 1"]), clients))
    assert all(r.remaining for r in done)


def test_parallel_writes_on_one_pipe_are_all_answered(pipes):
    def write(_):
        for _ in range(50):
            pipes.write(1, VECTORS["NetrRemoteTOD"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert pipes.peek(1).messages == 400
    sizes = {len(pipes.read(1, 65536).data) for _ in range(400)}
    assert len(sizes) == 1
    assert pipes.held == 0


def test_closing_during_a_call_leaves_nothing_behind():
    started, go = threading.Event(), threading.Event()

    class Slow(FakeDaemon):
        def shares(self, caller):
            started.set()
            assert go.wait(30)
            return [Share(f"share{i}") for i in range(500)]

    pipes = make_pipes(Slow())
    client = Client(pipes, "srvsvc", SRVSVC, USER)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(pipes.write, client.handle, VECTORS["NetrShareEnum level 1"])
        assert started.wait(30)
        pipes.close(client.handle)
        go.set()
        future.result(30)
    assert (pipes.held, len(pipes)) == (0, 0)


def test_a_rejected_bind_may_still_be_answered_once():
    pipes = make_pipes()
    pipes.open(1, "wkssvc", USER)
    assert pipes.transceive(1, bind((0, SRVSVC, (pdu.NDR32,))), 999).data[2] == pdu.PduType.BIND_ACK
