"""Names, addresses and networks of ``interfaces``."""

from __future__ import annotations

import pytest

from ksmbd.server.interfaces import Address, choose, local_addresses

ADDRESSES = [
    Address("lo", "127.0.0.1"),
    Address("eth0", "192.0.2.10"),
    Address("eth1", "198.51.100.7"),
    Address("eth1", "198.51.100.8"),
    Address("lo", "::1"),
    Address("eth0", "2001:db8::10"),
    Address("eth0", "fe80::1%eth0"),
]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (["lo"], ["127.0.0.1", "::1"]),
        (["eth1"], ["198.51.100.7", "198.51.100.8"]),
        (["eth*"], [a.text for a in ADDRESSES if a.interface != "lo"]),
        (["192.0.2.10"], ["192.0.2.10"]),
        (["198.51.100.0/24"], ["198.51.100.7", "198.51.100.8"]),
        (["192.0.2.99/255.255.255.0"], ["192.0.2.10"]),
        (["2001:db8::/32"], ["2001:db8::10"]),
        (["fe80::1%eth0"], ["fe80::1%eth0"]),
        (["eth1", "198.51.100.7", "lo"], ["198.51.100.7", "198.51.100.8", "127.0.0.1", "::1"]),
        (["wlan0", "203.0.113.5"], []),
        ([], []),
    ],
)
def test_what_interfaces_stand_for(wanted: list[str], chosen: list[str]) -> None:
    assert choose(wanted, ADDRESSES) == chosen


def test_this_machine_has_a_loopback_address() -> None:
    assert "127.0.0.1" in [address.text for address in local_addresses()]
