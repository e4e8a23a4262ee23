"""Where the server listens: on fixed addresses, or on those of interfaces that come and go.

    open      the sockets there can be; clients wait in their queues
    accept    a thread for each of them, and for each that comes later
    look      what ``interfaces`` stands for now, against what there is: bind, close
    change    another wish, after a reload

Who listens on interfaces is told of addresses by the kernel (rtnetlink), and looks.  What cannot be
bound is tried again at the next word of the kernel, and every so often: an IPv6 address is one
before it can be used, and another server may leave a port.  Connections outlive the socket they
came by.

Locks: ``_changing`` makes one change at a time and is held over the system calls; ``_lock``, inside
it, guards the table alone.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable
from typing import Final, NamedTuple

from ksmbd.server.interfaces import Address, choose, local_addresses
from ksmbd.server.listener import ABSENT, ANY, Admission, BindError, Listener, bind, bind_all

log = logging.getLogger("ksmbd.conn")

Serve = Callable[[socket.socket, str], None]

AGAIN_S: Final = 10.0  # until something that failed is tried again
RTMGRP: Final = 0x1 | 0x10 | 0x100  # links, IPv4 addresses, IPv6 addresses; rtnetlink(7)


class Wish(NamedTuple):
    """Where to listen; without either, everywhere."""

    addresses: tuple[str, ...] = ()
    interfaces: tuple[str, ...] | None = None  # words as ``interfaces`` has them


class Listening:
    """The listening sockets; ``in`` says whether there is one on an address."""

    def __init__(
        self,
        admission: Admission,
        ready: Callable[[str, int], None],
        *,
        addresses: Callable[[], list[Address]] = local_addresses,
        again_s: float = AGAIN_S,
    ) -> None:
        """*ready* is told each address and port whose clients are served from now on."""
        self.port = 0  # by _changing; 0 until the first socket is bound
        self._admission = admission
        self._ready = ready
        self._addresses = addresses
        self._again_s = again_s
        self._changing = threading.Lock()
        self._lock = threading.Lock()
        self._wish = Wish()  # by _changing
        self._sockets: dict[str, socket.socket] = {}  # by _lock
        self._listeners: dict[str, Listener] = {}  # by _lock
        self._failed: dict[str, str] = {}  # by _changing; address -> why, told already
        self._serve: Serve | None = None  # by _changing; None: nobody is accepted yet
        self._closed = False  # by _changing
        self._watch: _Watch | None = None  # by _changing

    def __contains__(self, address: object) -> bool:
        with self._lock:
            return address in self._sockets

    def open(self, wish: Wish, port: int) -> None:
        """Bind the first time; an address that this machine has not yet is left for later.

        Raises BindError: another server has the port, or a fixed address is none of ours.
        """
        with self._changing:
            self._wish, self.port = wish, port
            wanted = self._wanted()
            if wanted or wish.interfaces is None:
                absent_ok = wish.interfaces is not None
                sockets = bind_all(wanted, port, absent_ok=absent_ok)
                with self._lock:
                    self._sockets = sockets
                self._note_port()
            self._failed = dict.fromkeys(set(wanted) - set(self._bound()), "")
            self._say_if_none()
            self._watch_addresses()

    def accept(self, serve: Serve) -> None:
        """Serve whoever has come and whoever comes."""
        with self._changing:
            self._serve = serve
            for address in self._bound():
                self._start(address)

    def change(self, wish: Wish) -> None:
        """Listen elsewhere from now on; what fails is told in the log and tried again."""
        with self._changing:
            if wish == self._wish or self._closed:
                return
            self._wish = wish
            self._failed.clear()
            self._adjust()
            self._watch_addresses()

    def look(self) -> bool:
        """Take addresses that have come and leave those that are gone; whether that was all."""
        with self._changing:
            if not self._closed:
                self._adjust()
            return not self._failed

    def close(self) -> None:
        """Accept nobody any more; returns when all threads have ended."""
        with self._changing:
            self._closed = True
            watch, self._watch = self._watch, None
            for address in self._bound():
                self._leave(address)
        if watch is not None:
            watch.close()

    # -- under _changing -----------------------------------------------------------------

    def _bound(self) -> list[str]:
        with self._lock:
            return list(self._sockets)

    def _wanted(self) -> list[str]:
        """Addresses to be bound now; none: all, or that there are none yet."""
        if self._wish.interfaces is None:
            return list(self._wish.addresses)
        return choose(self._wish.interfaces, self._addresses())

    def _adjust(self) -> None:
        bound = self._bound()
        wanted = self._wanted()
        if not wanted and self._wish.interfaces is None:
            wanted = list(ANY)
        for address in bound:
            if address not in wanted:
                self._leave(address)
        for address in wanted:
            if address not in bound:
                self._take(address)
        for address in self._failed.keys() - set(wanted):
            del self._failed[address]
        if bound:
            self._say_if_none()

    def _take(self, address: str) -> None:
        try:
            sock = bind(address, self.port)
        except BindError as error:
            if error.errno in ABSENT and address in ANY:  # no IPv6 here
                return
            if error.errno not in ABSENT and self._failed.get(address) != str(error):
                log.warning("%s; it is tried again", error)
            self._failed[address] = str(error)
            return
        self._failed.pop(address, None)
        with self._lock:
            self._sockets[address] = sock
        self._note_port()
        if self._serve is not None:
            self._start(address)

    def _start(self, address: str) -> None:
        assert self._serve is not None
        with self._lock:
            listener = Listener(self._sockets[address], self._admission, self._serve)
            self._listeners[address] = listener
        listener.start()
        self._ready(listener.address, listener.port)

    def _leave(self, address: str) -> None:
        with self._lock:
            sock = self._sockets.pop(address)
            listener = self._listeners.pop(address, None)
        if listener is None:
            sock.close()
            return
        listener.close()
        if not self._closed:
            log.info("%s is not listened on any more", address)

    def _note_port(self) -> None:
        """Of several addresses all have the port that was free on the first."""
        with self._lock:
            first = next(iter(self._sockets.values()), None)
        if first is not None and not self.port:
            self.port = first.getsockname()[1]

    def _say_if_none(self) -> None:
        if not self._bound() and self._wish.interfaces is not None:
            words = " ".join(self._wish.interfaces)
            log.warning("no address of this machine is one of `interfaces` now: %s", words)

    def _watch_addresses(self) -> None:
        """Have a thread look where addresses may come and go, or a fixed one failed."""
        if self._watch is None and (self._wish.interfaces is not None or self._failed):
            self._watch = _Watch(self.look, self._again_s)


class _Watch:
    """The thread ``ksmbd/addresses``: looks whenever the kernel tells of an address or a link."""

    def __init__(self, look: Callable[[], bool], again_s: float) -> None:
        self._look = look
        self._again_s = again_s
        self._closed = threading.Event()
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._loop, name="ksmbd/addresses", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._waker.send(b"\0")
        self._thread.join()
        self._wake.close()
        self._waker.close()

    def _loop(self) -> None:
        try:
            kernel = _subscribe()
        except OSError as refused:
            log.info("the kernel does not tell of addresses (%s): we look ourselves", refused)
            while not self._closed.wait(self._again_s):
                self._look_once()
            return
        poll = select.poll()  # select(2) takes no number above 1023, and we have many files
        poll.register(kernel, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        with kernel:
            while not self._closed.is_set():
                complete = self._look_once()
                poll.poll(None if complete else self._again_s * 1000)
                _drain(kernel)

    def _look_once(self) -> bool:
        try:
            return self._look()
        except OSError as failed:
            log.warning("the addresses of this machine are not known: %s", failed)
            return False


def _subscribe() -> socket.socket:
    """What the kernel says of addresses and links, without waiting for it.  Raises OSError."""
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    try:
        kernel.bind((0, RTMGRP))
    except OSError:
        kernel.close()
        raise
    kernel.setblocking(False)
    return kernel


def _drain(kernel: socket.socket) -> None:
    """What it says does not matter: whoever looks sees all of it."""
    try:
        while kernel.recv(65536):
            pass
    except OSError:  # nothing is left, or it overflowed
        return
