"""WS-Discovery on one address: UDP port 3702 with its group, and HTTP on port 5357.

What is sent by UDP is sent several times, after pauses that differ, as SOAP-over-UDP has it.
Only who is on the link is answered: whoever forged the address of somebody farther away would
have us send him several times as much as he sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import struct
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import Any, Final

from discovery.addresses import Address
from discovery.soap import MAX_MESSAGE, Malformed
from discovery.wsd import Announcer

log = logging.getLogger("discovery")

UDP_PORT: Final = 3702
HTTP_PORT: Final = 5357
GROUP_4: Final = "239.255.255.250"
GROUP_6: Final = "ff02::c"

_MULTICAST_REPEATS: Final = 4
_UNICAST_REPEATS: Final = 2
_PAUSE_S: Final = (0.05, 0.25)  # before the first repetition; doubled before each other ...
_LONGEST_PAUSE_S: Final = 0.5  # ... up to this
_ANSWER_WITHIN_S: Final = 0.5  # so that not all devices answer at once
_PENDING: Final = 64  # answers under way; a flood is not answered
_HTTP_CLIENTS: Final = 16  # at a time
_HTTP_S: Final = 5.0  # for a whole request
_MAX_HEADER: Final = 8 << 10
_MAX_DIGITS: Final = 9  # of Content-Length
_IP_MULTICAST_ALL: Final = 49  # linux/in.h; 0: only of the interfaces that were joined
_IPV6_MULTICAST_ALL: Final = 29


class Endpoint(asyncio.DatagramProtocol):
    """What is heard and said on one address."""

    def __init__(self, announcer: Announcer, address: Address) -> None:
        self._announcer = announcer
        self._address = address
        self._where = f"{address.host}:{HTTP_PORT}"
        self._link = address.link
        self._sender: asyncio.DatagramTransport | None = None
        self._receiver: asyncio.DatagramTransport | None = None
        self._web: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients = 0
        group = (GROUP_6, UDP_PORT, 0, address.number) if self._v6 else (GROUP_4, UDP_PORT)
        self._group: tuple[str | int, ...] = group

    @property
    def _v6(self) -> bool:
        return self._address.ip.version == 6

    # -- life ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen, and say hello.  Raises OSError, with nothing left open."""
        loop = asyncio.get_running_loop()
        try:
            own = self._prepared(socket.SOCK_DGRAM, self._bind_own)
            self._sender, _ = await loop.create_datagram_endpoint(lambda: self, sock=own)
            joined = self._prepared(socket.SOCK_DGRAM, self._join)
            self._receiver, _ = await loop.create_datagram_endpoint(lambda: self, sock=joined)
            listening = self._prepared(socket.SOCK_STREAM, self._bind_web)
            self._web = await asyncio.start_server(self._serve, sock=listening)
        except OSError:
            self.close()
            raise
        self._later(self._repeat(self._announcer.hello(), self._group, _MULTICAST_REPEATS))

    async def stop(self) -> None:
        """Say goodbye and close."""
        for task in list(self._tasks):
            task.cancel()
        if self._sender is not None:
            with contextlib.suppress(OSError):
                await self._repeat(self._announcer.bye(), self._group, _UNICAST_REPEATS)
        self.close()

    def close(self) -> None:
        for transport in (self._sender, self._receiver, self._web):
            if transport is not None:
                transport.close()
        self._sender = self._receiver = self._web = None

    def _bind_own(self, sock: socket.socket) -> None:
        """To our address: what all senders reach by it, and what others see us send from."""
        if self._v6:
            index = self._address.number
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
            sock.bind((str(self._address.ip), UDP_PORT, 0, index))
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, self._address.ip.packed)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            sock.bind((str(self._address.ip), UDP_PORT))

    def _join(self, sock: socket.socket) -> None:
        """Bind to the group, and be a member of it on our interface only."""
        index = self._address.number
        if self._v6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
            wanted = socket.inet_pton(socket.AF_INET6, GROUP_6) + struct.pack("=I", index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, wanted)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            own = self._address.ip.packed
            wanted = socket.inet_aton(GROUP_4) + own + struct.pack("=i", index)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, wanted)
        sock.bind(self._group)

    def _bind_web(self, sock: socket.socket) -> None:
        scope = (0, self._address.number) if self._v6 else ()
        sock.bind((str(self._address.ip), HTTP_PORT, *scope))

    def _prepared(self, kind: int, prepare: Callable[[socket.socket], None]) -> socket.socket:
        """A socket that *prepare* has bound; closed if it cannot be."""
        sock = socket.socket(socket.AF_INET6 if self._v6 else socket.AF_INET, kind)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setblocking(False)
            prepare(sock)
        except OSError:
            sock.close()
            raise
        return sock

    # -- UDP -----------------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        if len(self._tasks) >= _PENDING or not self._is_near(str(addr[0])):
            return
        answer = self._announcer.answer(data, self._where)
        if answer is not None:
            log.debug("%s asks on %s", addr[0], self._address.interface)
            pause = random.uniform(0, _ANSWER_WITHIN_S)
            self._later(self._repeat(answer, addr, _UNICAST_REPEATS, pause))

    def _is_near(self, sender: str) -> bool:
        return ip_address(sender.partition("%")[0]) in self._link

    def error_received(self, exc: Exception) -> None:
        """Who asked is gone already, or the interface is."""
        log.debug("%s: %s", self._where, exc)

    async def _repeat(
        self, message: bytes, to: tuple[str | int, ...], times: int, pause: float = 0.0
    ) -> None:
        await asyncio.sleep(pause)
        pause = random.uniform(*_PAUSE_S)
        for left in reversed(range(times)):
            if self._sender is None or self._sender.is_closing():
                return
            self._sender.sendto(message, to)
            if left:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- HTTP ----------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection, one answer, the end."""
        self._clients += 1
        try:
            if self._clients <= _HTTP_CLIENTS:
                writer.write(await asyncio.wait_for(self._respond(reader), _HTTP_S))
                await asyncio.wait_for(writer.drain(), _HTTP_S)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            log.debug("%s: a request that does not end", self._where)
        finally:
            self._clients -= 1
            writer.close()

    async def _respond(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        if len(head) > _MAX_HEADER:
            return _http(431)
        request, *lines = head.decode("latin-1").split("\r\n")
        method, _, rest = request.partition(" ")
        path = rest.partition(" ")[0]
        ours = path.strip("/").casefold() == str(self._announcer.device.uuid)
        if not ours and (method, path) != ("POST", "/"):  # where one asks who is there
            return _http(404)
        if method != "POST":
            return _http(405)
        length = _length(lines)
        if length is None:
            return _http(411)
        if length > MAX_MESSAGE:
            return _http(413)
        body = await reader.readexactly(length)
        try:
            answer = self._announcer.posted(body, self._where, to_endpoint=ours)
            return _http(200, answer)
        except Malformed as why:
            log.debug("%s: %s", self._where, why)
            return _http(400)


_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
}


def _http(status: int, body: bytes = b"") -> bytes:
    lines = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        "Server: ksmbd",
        "Connection: close",
        f"Content-Length: {len(body)}",
        *(["Content-Type: application/soap+xml; charset=utf-8"] if body else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _length(lines: list[str]) -> int | None:
    for line in lines:
        name, _, value = line.partition(":")
        digits = value.strip()
        if name.casefold() == "content-length" and digits.isascii() and digits.isdigit():
            return int(digits[: _MAX_DIGITS + 1])  # what has more is too long all the same
    return None
