"""Accepting connections: one thread per listening socket, limits in total and per address.

    bind       one address; bind_all every one asked for, or an error that names what failed
    Admission  who may come in; each ``admit`` has one ``leave``, whatever happens between
    Listener   the thread ``ksmbd/<port>-<address>``

There is no SO_REUSEPORT: a port that is served already is refused when the server starts.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from ksmbd.server.tcp import address_text
from ksmbd.wire.address import host_of
from ksmbd.wire.marked import Client

log = logging.getLogger("ksmbd.conn")

BACKLOG: Final = 256
ANY: Final = ("0.0.0.0", "::")
PORT_ATTEMPTS: Final = 16  # for one free port on several addresses
PAUSE_S: Final = 0.2  # out of descriptors or memory: let some connections end first

# accept() fails because of one connection that is gone again; the others are fine
_THAT_ONE_ONLY: Final = frozenset(
    {
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPERM,  # a firewall rule
    }
)
ABSENT: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})  # no such address here
_NOT_ENOUGH: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class BindError(OSError):
    """An address cannot be listened on; the text is for the administrator."""

    def __str__(self) -> str:
        return str(self.args[1])


class Admission:
    """Counts connections.  0 means no limit."""

    def __init__(self, total: int = 0, per_address: int = 0) -> None:
        self._lock = threading.Lock()
        self._total = total  # by self._lock
        self._per_address = per_address  # by self._lock
        self._counts: Counter[str] = Counter()  # by self._lock; no entry is 0
        self._now = 0  # by self._lock
        self.refused = 0  # by self._lock; so far

    def set_limits(self, total: int, per_address: int) -> None:
        """For connections from now on."""
        with self._lock:
            self._total, self._per_address = total, per_address

    def admit(self, address: str) -> str | None:
        """Count a connection from *address*; returns why not if it may not come in."""
        host = host_of(address)
        with self._lock:
            refusal = self._refusal(host)
            if refusal is not None:
                self.refused += 1
                return refusal
            self._counts[host] += 1
            self._now += 1
            return None

    def _refusal(self, host: str) -> str | None:
        """Caller holds the lock."""
        if self._total and self._now >= self._total:
            return f"{self._total} connections are the limit"
        if self._per_address and self._counts[host] >= self._per_address:
            return f"{self._per_address} connections from one address are the limit"
        return None

    def leave(self, address: str) -> None:
        """A connection that was admitted has ended."""
        host = host_of(address)
        with self._lock:
            self._now -= 1
            self._counts[host] -= 1
            if not self._counts[host]:
                del self._counts[host]

    def figures(self) -> tuple[int, int]:
        """Connections and addresses they come from, now."""
        with self._lock:
            return self._now, len(+self._counts)

    def most(self) -> int:
        """Connections from the address that has most of them."""
        with self._lock:
            return max(self._counts.values(), default=0)


class Listener:
    """The accept loop of one listening socket."""

    def __init__(
        self,
        sock: socket.socket,
        admission: Admission,
        serve: Callable[[socket.socket, str], None],
    ) -> None:
        """*serve* takes an admitted socket over; if it raises, the socket is closed for it."""
        host, self.port = sock.getsockname()[:2]
        self.address = str(host)
        self._socket = sock
        self._admission = admission
        self._serve = serve
        self._closed = threading.Event()
        name = f"ksmbd/{self.port}-{self.address}"
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Accept nothing more; returns when the thread has ended."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def _loop(self) -> None:
        while not self._closed.is_set():
            try:
                sock, address = self._socket.accept()
            except OSError as error:
                if not self._accept_failed(error):
                    return
                continue
            self._take(sock, Client(address_text(address)))

    def _accept_failed(self, error: OSError) -> bool:
        """Whether to go on."""
        if self._closed.is_set():
            return False
        if error.errno in _NOT_ENOUGH:
            log.warning("cannot accept a connection: %s", error.strerror)
            self._closed.wait(PAUSE_S)
        elif error.errno not in _THAT_ONE_ONLY:
            log.error("%s: accept: %s", self._thread.name, error.strerror)
            self._closed.wait(PAUSE_S)
        return True

    def _take(self, sock: socket.socket, peer: str) -> None:
        refusal = self._admission.admit(peer)
        if refusal is not None:
            log.info("%s: refused: %s", peer, refusal)
            sock.close()
            return
        try:
            self._serve(sock, peer)
        except OSError as error:  # it is gone again
            log.debug("%s: %s", peer, error.strerror)
        except Exception:
            log.exception("%s: cannot be served", peer)
        else:
            return
        self._admission.leave(peer)
        sock.close()


def bind_all(
    addresses: Sequence[str], port: int, *, absent_ok: bool = False
) -> dict[str, socket.socket]:
    """Listen on every address; without addresses on all, IPv6 where there is any.

    Port 0 takes a free one, the same on each address.  With *absent_ok* what is no address of this
    machine now is left out.  Raises BindError.
    """
    for attempt in range(PORT_ATTEMPTS):
        try:
            return _bind_once(addresses, port, absent_ok)
        except BindError as error:
            if port or error.errno != errno.EADDRINUSE or attempt == PORT_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _bind_once(addresses: Sequence[str], port: int, absent_ok: bool) -> dict[str, socket.socket]:
    sockets: dict[str, socket.socket] = {}
    for address in addresses or ANY:
        try:
            sock = bind(address, port)
        except BindError as error:
            may_miss = absent_ok or (sockets and not addresses)
            if may_miss and error.errno in ABSENT:
                log.debug("left out: %s", error)
                continue
            for bound in sockets.values():
                bound.close()
            raise
        sockets[address] = sock
        port = sock.getsockname()[1]
    return sockets


def bind(address: str, port: int) -> socket.socket:
    """Listen on one address.  Raises BindError."""
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    try:
        family, _, _, _, target = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )[0]
    except socket.gaierror:
        raise BindError(errno.EINVAL, f"{address!r} is not an IP address") from None
    sock = None
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(target)
        sock.listen(BACKLOG)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise BindError(error.errno, f"cannot listen on {where}: {_reason(error)}") from None
    return sock


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another server has this port"
    if error.errno == errno.EACCES:
        return "ports below 1024 need root or CAP_NET_BIND_SERVICE"
    return error.strerror or str(error)
