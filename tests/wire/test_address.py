from __future__ import annotations

import pytest

from ksmbd.wire.address import host_of, split_port


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("junk", "junk"),
    ],
)
def test_addresses_of_one_host_are_one(address: str, host: str) -> None:
    assert host_of(address) == host


@pytest.mark.parametrize(
    ("endpoint", "parts"),
    [("127.0.0.1:9445", ("127.0.0.1", 9445)), ("[::1]:80", ("::1", 80))],
)
def test_an_address_with_its_port_is_cut_in_two(endpoint: str, parts: tuple[str, int]) -> None:
    assert split_port(endpoint) == parts


@pytest.mark.parametrize(
    "endpoint",
    [
        *("", "127.0.0.1", "127.0.0.1:", ":80", "::1:80", "[127.0.0.1]:80", "[::1]", "a:80"),
        *("::1]:80", "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:\u0661"),
    ],
)
def test_what_has_no_address_or_port_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="address"):
        split_port(endpoint)
