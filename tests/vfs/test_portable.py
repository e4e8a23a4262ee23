"""The names of users in stored descriptors."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.vfs.portable import as_stored, as_told
from ksmbd.vfs.sid import EVERYONE, Domain
from ksmbd.wire.access import FILE_ALL_ACCESS, FILE_GENERIC_READ
from ksmbd.wire.security import (
    MAX_ACL_SIZE,
    SELF_RELATIVE,
    SYSTEM_AUDIT,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from tests.support.descriptors import allow, with_dacl

OURS, THEIRS = Domain((1, 2, 3)), Domain((7, 8, 9))
UID, GID, BOB = 1000, 100, 1001
OWNER: Final = OURS.uid_to_sid(UID)
GROUP: Final = OURS.gid_to_sid(GID)


def told(sd: SecurityDescriptor, domain: Domain = OURS) -> SecurityDescriptor:
    return as_told(sd, UID, GID, domain)


def test_a_user_of_ours_is_stored_by_uid_and_told_by_domain() -> None:
    audit = Acl((Ace(SYSTEM_AUDIT, 0x40, FILE_ALL_ACCESS, OURS.uid_to_sid(BOB)),))
    asked = with_dacl(
        allow(OWNER, FILE_ALL_ACCESS), allow(OURS.uid_to_sid(BOB), FILE_GENERIC_READ),
        owner=OWNER, group=GROUP,
    )._replace(sacl=audit)  # fmt: skip
    stored = as_stored(asked, OURS)
    assert stored.owner == Sid(22, 1, UID)
    assert stored.dacl is not None
    assert [ace.sid for ace in stored.dacl.aces] == [Sid(22, 1, UID), Sid(22, 1, BOB)]
    assert stored.sacl == Acl((audit.aces[0]._replace(sid=Sid(22, 1, BOB)),))
    assert told(stored) == asked


def test_another_domain_of_this_machine_knows_its_users() -> None:
    asked = with_dacl(allow(OURS.uid_to_sid(BOB), FILE_ALL_ACCESS), owner=OWNER, group=GROUP)
    found = told(as_stored(asked, OURS), THEIRS)
    assert found.owner == THEIRS.uid_to_sid(UID)
    assert found.dacl == Acl((allow(THEIRS.uid_to_sid(BOB), FILE_ALL_ACCESS),))


def test_of_another_server_only_the_owner_is_known() -> None:
    theirs, stranger = THEIRS.uid_to_sid(5555), THEIRS.uid_to_sid(BOB)
    stored = with_dacl(allow(theirs, FILE_ALL_ACCESS), allow(stranger, 1), owner=theirs)
    found = told(stored)
    assert (found.owner, found.group) == (OWNER, GROUP)
    assert found.dacl == Acl((allow(OWNER, FILE_ALL_ACCESS), allow(stranger, 1)))


@pytest.mark.parametrize("owner", [EVERYONE, Sid(5, 32, 544), Sid(5, 18)])
def test_nobodys_account_stays_the_owner(owner: Sid) -> None:
    assert told(with_dacl(owner=owner)).owner == owner


def test_who_owned_it_before_a_local_chown_is_one_of_the_others() -> None:
    stored = with_dacl(allow(Sid(22, 1, BOB), FILE_ALL_ACCESS), owner=Sid(22, 1, BOB))
    found = told(stored)
    assert found.owner == OWNER
    assert found.dacl == Acl((allow(OURS.uid_to_sid(BOB), FILE_ALL_ACCESS),))


def test_a_group_that_is_none_here_stays_and_another_gives_way() -> None:
    assert told(with_dacl(group=THEIRS.users)).group == THEIRS.users
    assert told(with_dacl(group=OURS.gid_to_sid(999))).group == GROUP
    assert told(with_dacl()).group == GROUP


def test_a_list_that_would_be_too_long_keeps_its_names() -> None:
    aces = [allow(Sid(22, 1, 2000 + n), 1) for n in range(MAX_ACL_SIZE // 24 - 1)]
    stored = with_dacl(*aces, owner=OWNER, group=GROUP)
    assert told(stored) == stored


_SIDS = st.one_of(
    st.integers(1, 70_000).map(OURS.uid_to_sid),
    st.integers(1, 70_000).map(THEIRS.uid_to_sid),
    st.integers(0, 70_000).map(OURS.gid_to_sid),
    st.sampled_from((EVERYONE, OURS.users, OURS.sid, Sid(5, 32, 544), Sid(5, 88, 1, 7), Sid(3, 4))),
)


@given(sids=st.lists(_SIDS, max_size=6))
def test_what_is_stored_is_told_as_it_was(sids: list[Sid]) -> None:
    """Whoever owns the file, the SIDs of a list come back: its owner's, others', none's."""
    asked = with_dacl(*[allow(sid, n + 1) for n, sid in enumerate(sids)], owner=OWNER, group=GROUP)
    stored = as_stored(asked, OURS)
    assert told(stored) == asked
    again = SecurityDescriptor.unpack(stored.pack())
    assert told(again) == asked
    assert again.control & SELF_RELATIVE
    assert not any(sid.prefix == OURS.sid[2:] and OURS.sid_to_uid(sid) for sid in _named(stored))


def _named(sd: SecurityDescriptor) -> list[Sid]:
    aces = sd.dacl.aces if sd.dacl else ()
    return [sid for sid in (sd.owner, sd.group, *(ace.sid for ace in aces)) if sid is not None]
