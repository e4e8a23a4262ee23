"""HTTP of WS-Discovery without a network: what is no request is refused, whatever it looks like."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from uuid import UUID

import pytest

from discovery.addresses import Address
from discovery.device import Device
from discovery.multicast import Endpoint
from discovery.soap import MAX_MESSAGE, WSD, envelope
from discovery.wsd import Announcer

OURS = UUID("11111111-2222-3333-4444-555555555555")
DEVICE = Device(OURS, "Home", "Lab", "files", "MacSamba", 445)
MOST_DIGITS = "9" * 5000  # more than int() takes


def answer(head: str, body: bytes = b"") -> bytes:
    """The code and phrase of the status line."""

    async def ask() -> bytes:
        reader = asyncio.StreamReader()
        reader.feed_data(head.encode("latin-1") + b"\r\n\r\n" + body)
        reader.feed_eof()
        announcer = Announcer(DEVICE, 1, lambda: UUID(int=1))
        return await Endpoint(announcer, Address("lo", 1, ip_address("127.0.0.1"), 8))._respond(
            reader
        )

    return asyncio.run(ask()).partition(b"\r\n")[0].removeprefix(b"HTTP/1.1 ")


@pytest.mark.parametrize(
    ("length", "status"),
    [
        ("3", b"400 Bad Request"),  # three bytes that are no envelope
        ("", b"411 Length Required"),
        ("-3", b"411 Length Required"),
        ("\xb2", b"411 Length Required"),  # a digit, but no number
        (str(MAX_MESSAGE + 1), b"413 Content Too Large"),
        (MOST_DIGITS, b"413 Content Too Large"),
    ],
)
def test_lengths(length: str, status: bytes) -> None:
    assert answer(f"POST /{OURS} HTTP/1.1\r\nContent-Length: {length}", b"abc") == status


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET / HTTP/1.1", b"404 Not Found"),
        (f"GET /{OURS} HTTP/1.1", b"405 Method Not Allowed"),
        (f"POST /{OURS} HTTP/1.1", b"411 Length Required"),
        ("POST / HTTP/1.1", b"411 Length Required"),
        ("POST /x HTTP/1.1", b"404 Not Found"),
        ("", b"404 Not Found"),
    ],
)
def test_requests(request_line: str, status: bytes) -> None:
    assert answer(request_line) == status


def test_nothing_is_left_open_on_an_address_that_is_not_ours() -> None:
    """pytest makes an error of the warning that a socket was not closed."""
    announcer = Announcer(DEVICE, 1, lambda: UUID(int=1))
    for address in ("192.0.2.1", "2001:db8::1"):
        with pytest.raises(OSError, match=r"."):
            asyncio.run(Endpoint(announcer, Address("lo", 1, ip_address(address), 24)).start())


def test_a_head_that_is_too_long() -> None:
    assert answer("X: " + "x" * 9000) == b"431 Request Header Fields Too Large"


@pytest.mark.parametrize(
    ("address", "prefix", "sender", "answered"),
    [
        ("192.0.2.7", 24, "192.0.2.99", True),
        ("192.0.2.7", 24, "198.51.100.9", False),  # somebody else's address, perhaps forged
        ("192.0.2.7", 32, "192.0.2.8", False),
        ("fe80::7", 64, "fe80::99%1", True),
        ("fe80::7", 64, "2001:db8::9", False),
    ],
)
def test_who_is_not_on_the_link_is_not_answered(
    address: str, prefix: int, sender: str, answered: bool
) -> None:
    probe = envelope(f"{WSD}/Probe", "<wsd:Probe/>", message_id=UUID(int=7))

    async def ask() -> int:
        announcer = Announcer(DEVICE, 1, lambda: UUID(int=1))
        endpoint = Endpoint(announcer, Address("lo", 1, ip_address(address), prefix))
        endpoint.datagram_received(probe, (sender, 50000))
        tasks = list(endpoint._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(tasks)

    assert asyncio.run(ask()) == answered
