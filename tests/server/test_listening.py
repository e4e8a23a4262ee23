"""server/listening.py: sockets that come and go with the addresses of interfaces."""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksmbd.server import listening as module
from ksmbd.server.interfaces import Address
from ksmbd.server.listener import Admission, BindError, bind
from ksmbd.server.listening import Listening, Wish
from tests.support.live import LiveServer
from tests.support.namespaces import own_network

SOON = 30.0
LOOPBACK = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")


class Place:
    """A machine whose addresses a test gives and takes: real ones, all of the loopback."""

    def __init__(self) -> None:
        self.here: list[Address] = []
        self.ready: queue.Queue[tuple[str, int]] = queue.Queue()
        self.served: queue.Queue[str] = queue.Queue()
        self.listening = Listening(
            Admission(),
            lambda address, port: self.ready.put((address, port)),
            addresses=lambda: list(self.here),
            again_s=0.01,
        )

    def have(self, *hosts: str, interface: str = "eth0") -> None:
        self.here = [Address(interface, host) for host in hosts]

    def serve(self, sock: socket.socket, peer: str) -> None:
        self.served.put(sock.getsockname()[0])
        sock.close()

    def reached(self, host: str) -> bool:
        try:
            socket.create_connection((host, self.listening.port), SOON).close()
        except ConnectionRefusedError:
            return False
        return self.served.get(timeout=SOON) == host

    def expect(self, *hosts: str) -> None:
        assert {self.ready.get(timeout=SOON)[0] for _ in hosts} == set(hosts)


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.listening.close()


ETHERNET = Wish(interfaces=("eth*",))


def test_an_address_that_comes_is_listened_on_and_one_that_goes_is_not(place: Place) -> None:
    place.have("127.0.0.2")
    place.listening.open(ETHERNET, 0)
    place.listening.accept(place.serve)
    place.expect("127.0.0.2")
    assert [place.reached(host) for host in LOOPBACK] == [False, True, False, False]
    place.have("127.0.0.2", "127.0.0.3")
    assert place.listening.look()
    place.expect("127.0.0.3")
    assert place.reached("127.0.0.3")
    assert "127.0.0.3" in place.listening
    place.have("127.0.0.3")
    place.listening.look()
    assert [place.reached(host) for host in LOOPBACK] == [False, False, True, False]
    assert "127.0.0.2" not in place.listening


def test_nothing_is_there_yet(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.listening.open(ETHERNET, 0)
    place.listening.accept(place.serve)
    assert place.listening.port == 0
    assert "no address of this machine is one of `interfaces` now: eth*" in caplog.text
    place.have("127.0.0.1")
    place.listening.look()
    place.expect("127.0.0.1")
    assert place.listening.port
    assert place.reached("127.0.0.1")


def test_what_is_bound_before_anybody_is_served_waits(place: Place) -> None:
    place.listening.open(ETHERNET, 0)
    place.have("127.0.0.1")
    place.listening.look()
    client = socket.create_connection(("127.0.0.1", place.listening.port), SOON)
    assert place.ready.empty()
    place.listening.accept(place.serve)
    assert place.served.get(timeout=SOON) == "127.0.0.1"
    client.close()


def test_a_taken_port_is_told_once_and_tried_again(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.have("127.0.0.1")
    place.listening.open(ETHERNET, 0)
    place.listening.accept(place.serve)
    place.expect("127.0.0.1")
    other = bind("127.0.0.2", place.listening.port)
    place.have("127.0.0.1", "127.0.0.2")
    assert not place.listening.look()
    assert not place.listening.look()
    assert caplog.text.count("another server has this port; it is tried again") == 1
    other.close()
    assert place.listening.look()
    place.expect("127.0.0.2")


def test_at_the_start_a_taken_port_is_an_error(place: Place) -> None:
    other = bind("127.0.0.1", 0)
    place.have("127.0.0.1")
    with pytest.raises(BindError) as refused:
        place.listening.open(ETHERNET, other.getsockname()[1])
    assert refused.value.errno == errno.EADDRINUSE
    other.close()


def test_an_address_that_cannot_be_used_yet_is_left_for_later(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """As an IPv6 address is while it is looked for duplicates."""
    place.have("127.0.0.1", "192.0.2.77")
    place.listening.open(ETHERNET, 0)
    place.listening.accept(place.serve)
    place.expect("127.0.0.1")
    assert not place.listening.look()
    assert caplog.text == ""
    place.have("127.0.0.1")
    assert place.listening.look()


def test_a_reload_changes_where_it_listens(place: Place) -> None:
    place.have("127.0.0.2")
    place.listening.open(ETHERNET, 0)
    place.listening.accept(place.serve)
    place.expect("127.0.0.2")
    place.listening.change(Wish(("127.0.0.3",)))
    place.expect("127.0.0.3")
    assert [place.reached(host) for host in LOOPBACK] == [False, False, True, False]
    place.listening.change(Wish())
    assert place.reached("127.0.0.4")
    place.listening.change(ETHERNET)
    assert [place.reached(host) for host in LOOPBACK[:3]] == [False, True, False]


def test_without_word_of_the_kernel_it_looks_itself(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.socket, "AF_NETLINK", 999)
    place.listening.open(ETHERNET, 0)
    place.listening.accept(place.serve)
    place.have("127.0.0.1")
    place.expect("127.0.0.1")


@pytest.fixture
def many_files() -> Iterator[None]:
    """So many open files that the next ones have numbers which select(2) cannot take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    with contextlib.ExitStack() as files:
        while files.enter_context(open(os.devnull)).fileno() < 1100:
            pass
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_many_open_files_keep_it_from_nothing(place: Place) -> None:
    place.have("192.0.2.77")  # cannot be bound, and is tried again and again
    place.listening.open(ETHERNET, 0)
    place.listening.accept(place.serve)
    for host in LOOPBACK:  # one look after the other
        place.have("192.0.2.77", host)
        place.expect(host)


def test_after_close_nothing_comes_any_more(place: Place) -> None:
    place.have("127.0.0.1")
    place.listening.open(ETHERNET, 0)
    place.listening.accept(place.serve)
    place.listening.close()
    place.have("127.0.0.1", "127.0.0.2")
    place.listening.look()
    place.listening.change(Wish())
    assert not any(host in place.listening for host in LOOPBACK)


# -- a real server, a network of its own --------------------------------------------------


class Anywhere(LiveServer):
    """Listens where its configuration says, and is not waited for."""

    def _command(self) -> list[str]:
        command = super()._command()
        at = command.index("--bind")
        return command[:at] + command[at + 2 :]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has networks of its own")
def test_interfaces_come_and_go_under_a_server(tmp_path: Path) -> None:
    """``bind interfaces only`` with a bridge that is made after the start, and removed again."""
    reach = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 30)"
    globals_ = {"interfaces": "127.0.0.1 br*", "bind interfaces only": "yes"}
    with own_network(), Anywhere(tmp_path, globals_=globals_) as server:
        for address, name in (("10.9.0.1", "br0"), ("fd00:9::1", "br1")):
            ip("link", "add", name, "type", "bridge")
            ip("link", "set", name, "up")
            ip(
                "address",
                "add",
                f"{address}/64" if ":" in address else f"{address}/24",
                "dev",
                name,
            )
            shown = f"[{address}]" if ":" in address else address
            ready = f"ready on {shown}:{server.port}"
            assert server.log.wait_for(re.compile(re.escape(ready)), SOON)
            subprocess.run([sys.executable, "-c", reach, address, str(server.port)], check=True)
            ip("link", "delete", name)
            gone = re.compile(f"{address} is not listened on any more")
            assert server.log.wait_for(gone, SOON)
