from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.wire import ipc
from ksmbd.wire.base import WireError
from ksmbd.wire.ipc import Event, Message, parse

HEADER = 12
ALREADY_CARRIED = {Event.LOGIN_REQUEST_EXT, Event.LOGIN_RESPONSE_EXT}

VECTORS = [
    (ipc.Heartbeat(handle=7), "01000000 04000000 01000000 07000000"),
    (
        ipc.LoginRequest(handle=1, account="änne", peer="::1"),
        "04000000 14000000 01000000 01000000 05000000 03000000 c3a46e6e65 3a3a31",
    ),
    (
        ipc.LoginResponse(
            handle=1,
            status=ipc.USER_OK,
            uid=1000,
            gid=100,
            account="bo",
            hash=bytes(range(16)),
            groups=(100, 70000),
        ),
        "05000000 3a000000 01000000 01000000 01000000 e8030000 64000000 00000000"
        "02000000 10000000 08000000 626f 000102030405060708090a0b0c0d0e0f 64000000 70110100",
    ),
    (
        ipc.TreeDisconnect(session_id=0x1122334455667788, connect_id=2),
        "0a000000 10000000 01000000 8877665544332211 0200000000000000",
    ),
    (
        ipc.StateChanged(generation=2, changed=("a", ""), removed=()),
        "42000000 0f000000 01000000 02000000 03000000 00000000 610000",
    ),
    (
        ipc.RpcResponse(handle=9, flags=ipc.RpcStatus.MORE_DATA, payload=b"xyz"),
        "0d000000 0f000000 01000000 09000000 ea000000 03000000 78797a",
    ),
]
ids = [type(message).__name__ for message, _ in VECTORS]


@pytest.mark.parametrize(("message", "hexadecimal"), VECTORS, ids=ids)
def test_a_message_is_these_bytes_both_ways(message: Message, hexadecimal: str) -> None:
    frame = bytes.fromhex(hexadecimal)
    assert message.pack() == frame
    assert parse(frame) == message


@pytest.mark.parametrize(("message", "hexadecimal"), VECTORS, ids=ids)
def test_a_frame_cut_off_anywhere_is_refused(message: Message, hexadecimal: str) -> None:
    frame = bytes.fromhex(hexadecimal)
    for length in range(len(frame)):
        with pytest.raises(WireError):
            parse(frame[:length])
        with pytest.raises(WireError):
            type(message).unpack(frame[HEADER:length]) if length > HEADER else parse(b"")


@pytest.mark.parametrize(("message", "hexadecimal"), VECTORS, ids=ids)
def test_nothing_may_be_left_over(message: Message, hexadecimal: str) -> None:
    frame = bytes.fromhex(hexadecimal)
    with pytest.raises(WireError):
        parse(frame + b"\0")
    with pytest.raises(WireError):
        type(message).unpack(frame[HEADER:] + b"\0")


@pytest.mark.parametrize("kind", ipc.MESSAGES.values(), ids=lambda kind: kind.__name__)
def test_every_message_survives_the_way(kind: type[Message]) -> None:
    samples = {
        "text": "ä b",
        "blob": b"\0\xff",
        "secret": b"\xff\0",
        "texts": ("", "x"),
        "ids": (0, 0xFFFFFFFF),
    }
    variable = dict(kind._variable)
    values = {
        field.name: samples.get(variable.get(field.name, ""), 3)
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
    }
    message = kind(**values)
    assert parse(message.pack()) == message


def test_every_event_has_its_message_but_those_that_are_not_sent() -> None:
    assert set(ipc.MESSAGES) == set(Event) - ALREADY_CARRIED


def test_a_response_is_its_request_and_one() -> None:
    for event in Event:
        if event.name.endswith("REQUEST"):
            assert Event(event + 1).name == event.name.replace("REQUEST", "RESPONSE")


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        ("01000000 04000000 02000000 07000000", "version"),
        ("01000000 05000000 01000000 07000000", "length"),
        ("63000000 04000000 01000000 07000000", "unknown event"),
        ("10000000 04000000 01000000 07000000", "unknown event"),
        ("04000000 0d000000 01000000 01000000 01000000 00000000 ff", "UTF-8"),
        ("42000000 0d000000 01000000 02000000 01000000 00000000 61", "NUL"),
        ("04000000 0c000000 01000000 01000000 ffffffff 00000000", "length it claims"),
        ("050000002300000001000000" + "00" * 20 + "00000000 00000000 03000000 010203", "cut"),
    ],
)
def test_a_malformed_frame_is_refused(frame: str, why: str) -> None:
    with pytest.raises(WireError, match=why):
        parse(bytes.fromhex(frame))


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (ipc.LoginRequest(handle=1 << 32, account=""), "LoginRequest"),
        (ipc.LoginRequest(handle=1, account="\ud800"), "UTF-8"),
        (ipc.StateChanged(generation=1, changed=("a\0b",)), "NUL"),
        (ipc.LoginResponse(handle=1, status=1, groups=(-1,)), "ids"),
        (ipc.RpcResponse(handle=1, flags=0, payload=bytes(ipc.MAX_FRAME)), "too many"),
    ],
)
def test_what_cannot_be_sent_is_refused(message: Message, why: str) -> None:
    with pytest.raises(WireError, match=why):
        message.pack()


def test_the_largest_message_fits() -> None:
    groups = tuple(range(ipc.MAX_GROUPS))
    assert len(ipc.LoginResponse(handle=1, status=1, groups=groups).pack()) < ipc.MAX_FRAME
    payload = bytes(ipc.MAX_RPC_PAYLOAD)
    assert len(ipc.RpcResponse(handle=1, flags=0, payload=payload).pack()) < ipc.MAX_FRAME


@given(st.binary(max_size=80))
def test_no_bytes_do_more_than_be_refused(junk: bytes) -> None:
    for event in (*Event, 99):
        frame = event.to_bytes(4, "little") + len(junk).to_bytes(4, "little") + b"\1\0\0\0" + junk
        try:
            message = parse(frame)
        except WireError:
            continue
        assert message.pack() == frame


def test_each_flag_of_a_share_has_a_bit_of_its_own() -> None:
    flags = [value for name, value in vars(ipc).items() if name.startswith("SHARE_")]
    assert len(flags) > 25
    assert all(flag.bit_count() == 1 for flag in flags)
    assert len(set(flags)) == len(flags)
