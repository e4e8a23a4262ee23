"""Which interfaces clients are told of."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ksmbd.server import network
from ksmbd.server.interfaces import Address, local_addresses
from ksmbd.server.network import UNKNOWN_SPEED, Network
from ksmbd.wire.fsctl import RSS_CAPABLE, NetworkInterfaceInfo, pack_sockaddr

HERE = [
    Address("lo", "127.0.0.1"),
    Address("lo", "::1"),
    Address("eth0", "192.0.2.10"),
    Address("eth0:1", "192.0.2.11"),
    Address("eth0", "2001:db8::10"),
    Address("eth0", "fe80::1%eth0"),
    Address("eth1", "198.51.100.7"),
    Address("eth2", "203.0.113.7", up=False),
]
INDEXES = {"lo": 1, "eth0": 2, "eth1": 3, "eth2": 4}
EVERYWHERE = ("0.0.0.0", "::")
OF_ETH = ["192.0.2.10", "192.0.2.11", "2001:db8::10", "198.51.100.7"]

Make = Callable[..., Network]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """eth0 has 10 Gbit/s and four receive queues, eth1 one queue and no speed."""

    def index(name: str) -> int:
        if name not in INDEXES:
            raise OSError("no such interface")
        return INDEXES[name]

    monkeypatch.setattr(socket, "if_nametoindex", index)
    for name, speed, queues in (("eth0", "10000", 4), ("eth1", "-1", 1)):
        for number in range(queues):
            (tmp_path / name / "queues" / f"rx-{number}").mkdir(parents=True)
        (tmp_path / name / "queues" / "tx-0").mkdir()
        (tmp_path / name / "speed").write_text(speed + "\n")

    def made(*words: str, listening: tuple[str, ...] = EVERYWHERE, processors: int = 2) -> Network:
        return Network(
            words, listening, addresses=lambda: HERE, sysfs=tmp_path, processors=processors
        )

    return made


def told(found: list[NetworkInterfaceInfo]) -> list[str]:
    """The addresses, in order."""
    return [
        str(next(a.text for a in ALL if sockaddr(a.text) == info.sock_addr_storage))
        for info in found
    ]


ALL = [*HERE, Address("", "203.0.113.99")]


def sockaddr(address: str) -> bytes:
    return pack_sockaddr(address.partition("%")[0]).ljust(128, b"\0")


def test_all_addresses_that_can_be_reached_are_told(make: Make) -> None:
    """Not the loopback's, not link-local ones, none of an interface that is down."""
    assert told(make()("192.0.2.10")) == OF_ETH


def test_who_comes_over_the_loopback_is_told_of_it(make: Make) -> None:
    assert told(make()("127.0.0.1")) == ["127.0.0.1", "::1", *OF_ETH]


@pytest.mark.parametrize(
    ("words", "listening", "expected"),
    [
        (("eth1",), EVERYWHERE, ["198.51.100.7"]),
        (("192.0.2.0/24",), EVERYWHERE, ["192.0.2.10", "192.0.2.11"]),
        (("eth*",), ("192.0.2.10", "198.51.100.7"), ["192.0.2.10", "198.51.100.7"]),
        ((), ("0.0.0.0",), ["192.0.2.10", "192.0.2.11", "198.51.100.7"]),
        ((), ("2001:db8::10",), ["2001:db8::10"]),
        (("wlan0",), EVERYWHERE, []),
    ],
)
def test_only_what_is_configured_and_listened_on_is_told(
    make: Make, words: tuple[str, ...], listening: tuple[str, ...], expected: list[str]
) -> None:
    assert told(make(*words, listening=listening)("192.0.2.10")) == expected


def test_index_speed_and_rss_are_the_system_s(make: Make) -> None:
    rows = [(i.if_index, i.link_speed, i.capability) for i in make("eth*")("192.0.2.10")]
    assert rows == [(2, 10**10, RSS_CAPABLE)] * 3 + [(3, UNKNOWN_SPEED, 0)]


def test_one_processor_has_nothing_from_several_queues(make: Make) -> None:
    rows = make("eth0", processors=1)("192.0.2.10")
    assert {info.capability for info in rows} == {0}


def test_the_configuration_knows_better(make: Make) -> None:
    (info,) = make("eth1;speed=25000000000,capability=RSS,if_index=77")("192.0.2.10")
    assert (info.if_index, info.link_speed, info.capability) == (77, 25 * 10**9, RSS_CAPABLE)


def test_an_address_that_is_forwarded_to_us_is_told(make: Make) -> None:
    (info,) = make("203.0.113.99;capability=RSS", "wlan0;speed=5")("127.0.0.1")
    assert info.sock_addr_storage == sockaddr("203.0.113.99")
    assert info.if_index
    assert (info.link_speed, info.capability) == (UNKNOWN_SPEED, RSS_CAPABLE)
    assert make("203.0.113.99")("127.0.0.1") == []  # an address alone must be ours


def test_an_interface_that_goes_meanwhile_is_left_out(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(INDEXES, "eth1")
    assert told(make("eth1", "192.0.2.10")("192.0.2.10")) == ["192.0.2.10"]


def test_this_machine_tells_of_its_loopback() -> None:
    found = Network((), EVERYWHERE)("127.0.0.1")
    assert sockaddr("127.0.0.1") in [info.sock_addr_storage for info in found]
    assert all(info.if_index and info.link_speed for info in found)
    assert any(address.up for address in local_addresses())
    assert network.SYSFS.is_dir()
