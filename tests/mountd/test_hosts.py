from __future__ import annotations

import pytest

from mountd.hosts import NOBODY, allowed, parse


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
    ],
)
def test_who_may_come_in(allow: str, deny: str, peer: str, answer: bool) -> None:
    assert allowed(peer, parse(hosts(allow)), parse(hosts(deny))) is answer


@pytest.mark.parametrize(
    "text", ["a.example", "10.0.0.256", "10.0.0.0/33", "EXCEPT 10.", "ALL EXCEPT", "LOCAL", "@net"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host names are not resolved"):
        parse(hosts(text))


def test_an_empty_list_is_nobody() -> None:
    assert parse(()) == NOBODY
    assert not NOBODY
