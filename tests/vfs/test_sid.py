"""Unix ids and their SIDs."""

from __future__ import annotations

import pytest

from ksmbd.vfs import sid
from ksmbd.vfs.sid import Domain
from ksmbd.wire.security import Sid

DOMAIN = Domain((1, 2, 3))
OTHER = Domain((1, 2, 4))


@pytest.mark.parametrize(
    ("uid", "text"),
    [
        (0, "S-1-22-1-0"),
        (1, "S-1-5-21-1-2-3-1"),
        (500, "S-1-5-21-1-2-3-500"),
        (511, "S-1-5-21-1-2-3-511"),
        (512, "S-1-22-1-512"),  # RIDs 512 to 527 are the groups of every domain
        (513, "S-1-22-1-513"),
        (527, "S-1-22-1-527"),
        (528, "S-1-5-21-1-2-3-528"),
        (1000, "S-1-5-21-1-2-3-1000"),
        (4294967294, "S-1-5-21-1-2-3-4294967294"),
    ],
)
def test_a_uid_has_a_sid_and_the_sid_that_uid(uid: int, text: str) -> None:
    assert str(DOMAIN.uid_to_sid(uid)) == text
    assert DOMAIN.sid_to_uid(Sid.parse(text)) == uid


@pytest.mark.parametrize("gid", [0, 1, 513, 1000, 4294967294])
def test_a_gid_has_a_sid_and_the_sid_that_gid(gid: int) -> None:
    assert str(DOMAIN.gid_to_sid(gid)) == f"S-1-22-2-{gid}"
    assert DOMAIN.sid_to_gid(DOMAIN.gid_to_sid(gid)) == gid


def test_no_sid_is_both_a_user_and_a_group() -> None:
    for number in (0, 1, 512, 513, 1000):
        names = DOMAIN.names_of_user(number) + DOMAIN.names_of_group(number)
        assert len(set(names)) == len(names)
        for name in DOMAIN.names_of_user(number):
            assert (DOMAIN.sid_to_uid(name), DOMAIN.sid_to_gid(name)) == (number, None)
        for name in DOMAIN.names_of_group(number):
            assert (DOMAIN.sid_to_uid(name), DOMAIN.sid_to_gid(name)) == (None, number)


@pytest.mark.parametrize(
    ("text", "uid", "gid"),
    [
        ("S-1-22-1-7", 7, None),
        ("S-1-22-2-7", None, 7),
        ("S-1-5-88-1-7", 7, None),
        ("S-1-5-88-2-7", None, 7),
        ("S-1-5-88-3-511", None, None),
        ("S-1-5-21-1-2-4-1000", None, None),  # another machine's user
        ("S-1-5-21-1-2-3-0", None, None),  # root by way of a domain RID
        ("S-1-5-21-1-2-3-513", None, None),
        ("S-1-5-21-1-2-3", None, None),
        ("S-1-5-21-1-2-3-1000-1", None, None),
        ("S-1-5-21-1000", None, None),
        ("S-1-5-32-544", None, None),
        ("S-1-1-0", None, None),
        ("S-1-22-3-7", None, None),
        ("S-1-22-1", None, None),
        ("S-1-22-1-7-7", None, None),
        ("S-1-5-22-1-7", None, None),
        ("S-1-22", None, None),
        ("S-1-5", None, None),
        ("S-1-22-1-4294967295", None, None),  # -1 would mean "keep" to chown
        ("S-1-22-2-4294967295", None, None),
        ("S-1-5-21-1-2-3-4294967295", None, None),
    ],
)
def test_only_sids_of_this_machine_name_unix_ids(
    text: str, uid: int | None, gid: int | None
) -> None:
    name = Sid.parse(text)
    assert (DOMAIN.sid_to_uid(name), DOMAIN.sid_to_gid(name)) == (uid, gid)


def test_nfs_mode_sids_carry_permission_bits() -> None:
    assert sid.sid_to_mode(Sid(5, 88, 3, 0o100755)) == 0o755
    assert sid.sid_to_mode(Sid(5, 88, 1, 0o755)) is None
    assert sid.sid_to_mode(Sid(5, 88, 3)) is None


def test_another_domain_has_other_users_and_the_same_groups() -> None:
    assert OTHER.uid_to_sid(1000) != DOMAIN.uid_to_sid(1000)
    assert OTHER.uid_to_sid(0) == DOMAIN.uid_to_sid(0)
    assert OTHER.gid_to_sid(1000) == DOMAIN.gid_to_sid(1000)
    assert str(DOMAIN.users) == "S-1-5-21-1-2-3-513"
