from __future__ import annotations

from typing import ClassVar

import pytest

from mountd.hosts import NOBODY, allowed, parse


class Book:
    """A resolver that knows three hosts, and one whose name is a lie."""

    names: ClassVar = {"10.0.0.1": "a.example.org", "10.0.0.2": "plain", "2001:db8::5": "six.org"}
    addresses: ClassVar = {"a.example.org": "10.0.0.1", "plain": "10.0.0.2", "liar.org": "10.9.9.9"}

    def has(self, name: str, address: str) -> bool:
        return self.addresses.get(name) == address

    def of(self, address: str) -> str:
        return self.names.get(address, "")


def hosts(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@pytest.mark.parametrize(
    ("allow", "deny", "peer", "answer"),
    [
        ("", "", "10.0.0.1", True),
        ("", "", "junk", True),
        ("10.0.0.1", "", "10.0.0.1", True),
        ("10.0.0.1", "", "10.0.0.2", False),
        ("10.0.0.1", "", "127.0.0.1", True),
        ("10.0.0.1", "", "::1", True),
        ("10.0.0.1", "ALL", "127.0.0.1", False),
        ("", "10.", "10.9.9.9", False),
        ("", "10.", "11.9.9.9", True),
        ("10.1.", "10.", "10.1.2.3", True),
        ("10.1.", "10.", "10.2.2.3", False),
        ("10.1.", "10.", "11.2.2.3", True),
        ("10.0.0.0/8", "", "10.255.0.1", True),
        ("10.0.0.0/255.0.0.0", "", "10.255.0.1", True),
        ("192.168.1.7/24", "", "192.168.1.200", True),
        ("ALL EXCEPT 10.0.0.0/8", "", "10.0.0.1", False),
        ("all except 10.0.0.0/8", "", "11.0.0.1", True),
        ("10. EXCEPT 10.1. EXCEPT 10.1.1.1", "", "10.1.1.1", True),
        ("10. EXCEPT 10.1. EXCEPT 10.1.1.1", "", "10.1.1.2", False),
        ("", "ALL EXCEPT fe80::/10", "fe80::1%eth0", True),
        ("2001:db8::/32", "", "2001:db8::5", True),
        ("10.0.0.1", "", "::ffff:10.0.0.1", True),
        ("10.0.0.1", "", "junk", False),
        ("", "10.0.0.1", "junk", False),
        ("a.example.org", "", "10.0.0.1", True),
        ("A.Example.Org", "", "10.0.0.1", True),
        ("a.example.org", "", "10.0.0.2", False),
        (".example.org", "", "10.0.0.1", True),
        (".org", "", "2001:db8::5", True),
        (".org", "", "10.0.0.3", False),
        ("example.org", "", "10.0.0.1", False),
        (".example.org EXCEPT a.example.org", "", "10.0.0.1", False),
        ("", "plain", "10.0.0.2", False),
        ("", "plain", "10.0.0.9", True),
        ("LOCAL", "", "127.0.0.1", True),
        ("local", "", "10.0.0.2", True),
        ("LOCAL", "", "10.0.0.1", False),
        ("LOCAL", "", "10.0.0.9", False),
        ("", "LOCAL", "127.0.0.1", False),
        ("ALL EXCEPT LOCAL", "", "10.0.0.2", False),
    ],
)
def test_who_may_come_in(allow: str, deny: str, peer: str, answer: bool) -> None:
    assert allowed(peer, parse(hosts(allow)), parse(hosts(deny)), Book()) is answer


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.256",
        "10.0.0.0/33",
        "EXCEPT 10.",
        "ALL EXCEPT",
        "@net",
        "a..b",
        "-a",
        "a/8",
        ".",
        "::g",
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="LOCAL, EXCEPT; here is"):
        parse(hosts(text))


def test_the_resolver_is_not_asked_about_who_is_there_by_his_address() -> None:
    class Silent(Book):
        def has(self, name: str, address: str) -> bool:
            raise AssertionError("asked")

        of = has  # type: ignore[assignment]

    assert allowed("10.0.0.1", parse(hosts("a.example LOCAL 10.")), NOBODY, Silent())


def test_an_empty_list_is_nobody() -> None:
    assert parse(()) == NOBODY
    assert not NOBODY
