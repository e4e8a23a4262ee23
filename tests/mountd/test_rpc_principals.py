"""Names of SIDs and SIDs of names."""

from __future__ import annotations

import pytest

from ksmbd.wire.security import Sid
from mountd.rpc.principals import Principals
from tests.mountd.rpc_support import FakeDaemon

DOMAIN = Sid(5, 21, 111, 222, 333)


@pytest.mark.parametrize(
    ("name", "sid"),
    [
        ("alice", DOMAIN.child(1001)),
        ("filesrv\\Alice", DOMAIN.child(1001)),
        ("alice@FILESRV", DOMAIN.child(1001)),
        ("FILESRV", DOMAIN),
        ("FILESRV\\", DOMAIN),
        ("BUILTIN", Sid(5, 32)),
        ("Unix User\\alice", Sid(22, 1, 1001)),
        ("Unix Group\\users", Sid(22, 2, 100)),
        ("NT AUTHORITY\\SYSTEM", Sid(5, 18)),
        ("OTHER\\SYSTEM", None),
        ("OTHER\\alice", None),
        ("", Sid(5, 32)),
        ("\\", Sid(5, 32)),
        ("@", Sid(5, 32)),
        ("nope", None),
    ],
)
def test_names_are_understood_with_and_without_a_domain(name, sid):
    found = Principals(FakeDaemon()).by_name(name)
    assert (found and found.sid) == sid


@pytest.mark.parametrize(
    "text",
    [
        "S-1-5-21-111-222-333-0",
        "S-1-5-21-111-222-333-4294967295",
        "S-1-5-21-111-222-333-520",
        "S-1-5-21-111-222-333-1001-1",
        "S-1-5-21-111-222-334-1001",
        "S-1-5-32-999",
        "S-1-22-3-1001",
        "S-1-22-2-4294967295",
        "S-1-5",
        "S-1-0-0",
    ],
)
def test_foreign_sids_have_no_name(text):
    assert Principals(FakeDaemon()).by_sid(Sid.parse(text)) is None


def test_a_uid_and_its_sid_go_both_ways():
    principals = Principals(FakeDaemon())
    for uid, name in ((0, "root"), (1001, "alice"), (1003, "carol")):
        assert principals.by_sid(principals.user(uid)).name == name
