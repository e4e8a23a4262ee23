"""The access check, [MS-DTYP] 2.5.3.2."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.vfs import access as access_module
from ksmbd.vfs.access import PrivilegeNotHeld, Token, audited, granted, maximum, token
from ksmbd.vfs.sid import (
    ADMINISTRATORS,
    AUTHENTICATED_USERS,
    CREATOR_OWNER,
    EVERYONE,
    GUESTS,
    OWNER_RIGHTS,
    USERS,
    Domain,
)
from ksmbd.wire.access import (
    ACCESS_SYSTEM_SECURITY,
    DELETE,
    FILE_ALL_ACCESS,
    FILE_DELETE_CHILD,
    FILE_GENERIC_READ,
    FILE_GENERIC_WRITE,
    FILE_LIST_DIRECTORY,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_WRITE_DATA,
    GENERIC_ALL,
    GENERIC_READ,
    GENERIC_WRITE,
    MAXIMUM_ALLOWED,
    READ_CONTROL,
    WRITE_DAC,
    WRITE_OWNER,
)
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    ACCESS_ALLOWED_CALLBACK,
    ACCESS_ALLOWED_OBJECT,
    ACCESS_DENIED,
    ACCESS_DENIED_CALLBACK,
    DACL_PRESENT,
    INHERIT_ONLY,
    SELF_RELATIVE,
    SUCCESSFUL_ACCESS,
    SYSTEM_AUDIT,
    SYSTEM_AUDIT_CALLBACK,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from tests.support.descriptors import allow, deny, with_dacl

DOMAIN = Domain((1, 2, 3))
ALICE = token(DOMAIN, 1000, 100, (100, 200))
BOB = token(DOMAIN, 1001, 100)
ROOT = token(DOMAIN, 0, 0)
GUEST = token(DOMAIN, 65534, 65534, guest=True)
R, W = FILE_READ_DATA, FILE_WRITE_DATA


def sd(*aces: Ace, owner: Token = BOB) -> SecurityDescriptor:
    return with_dacl(*aces, owner=owner.user, group=DOMAIN.gid_to_sid(100))


GROUP_200 = DOMAIN.gid_to_sid(200)
CASES = {
    "an empty DACL gives nothing": (sd(), 0),
    "one's own ACE": (sd(allow(ALICE.user, R)), R),
    "another's ACE": (sd(allow(BOB.user, R)), 0),
    "everyone's ACE": (sd(allow(EVERYONE, R)), R),
    "a supplementary group's ACE": (sd(allow(GROUP_200, R)), R),
    "ACEs add up": (sd(allow(GROUP_200, R), allow(ALICE.user, W)), R | W),
    "denied before allowed": (sd(deny(ALICE.user, W), allow(EVERYONE, R | W)), R),
    "allowed before denied": (sd(allow(EVERYONE, R | W), deny(ALICE.user, W)), R | W),
    "denied by a group": (sd(deny(GROUP_200, R), allow(ALICE.user, R | W)), W),
    "denied to another": (sd(deny(BOB.user, R), allow(ALICE.user, R)), R),
    "an inherit-only allow": (sd(allow(ALICE.user, R, INHERIT_ONLY)), 0),
    "an inherit-only deny": (sd(deny(ALICE.user, R, INHERIT_ONLY), allow(ALICE.user, R)), R),
    "CREATOR OWNER is nobody": (sd(allow(CREATOR_OWNER, R), owner=ALICE), READ_CONTROL | WRITE_DAC),
    "a generic right is mapped": (sd(allow(ALICE.user, GENERIC_READ)), FILE_GENERIC_READ),
    "a generic deny is mapped": (
        sd(deny(ALICE.user, GENERIC_WRITE), allow(ALICE.user, GENERIC_ALL)),
        FILE_ALL_ACCESS & ~FILE_GENERIC_WRITE,
    ),
    "an audit ACE is no permission": (sd(Ace(SYSTEM_AUDIT, 0, R, ALICE.user)), 0),
    "a condition never allows": (
        sd(Ace(ACCESS_ALLOWED_CALLBACK, 0, R, ALICE.user, b"artx")),
        0,
    ),
    "a condition always denies": (
        sd(Ace(ACCESS_DENIED_CALLBACK, 0, R, ALICE.user, b"artx"), allow(EVERYONE, R | W)),
        W,
    ),
    "an object ACE says nothing": (sd(Ace(ACCESS_ALLOWED_OBJECT, 0, 0, None, bytes(28))), 0),
    "bits that are no rights are dropped": (sd(allow(EVERYONE, 0x0FFFFFFF)), FILE_ALL_ACCESS),
    "the owner's implicit rights": (sd(owner=ALICE), READ_CONTROL | WRITE_DAC),
    "they cannot be denied": (
        sd(deny(EVERYONE, FILE_ALL_ACCESS), owner=ALICE),
        READ_CONTROL | WRITE_DAC,
    ),
    "OWNER RIGHTS takes their place": (sd(allow(OWNER_RIGHTS, R), owner=ALICE), R),
    "OWNER RIGHTS of a child does not": (
        sd(allow(OWNER_RIGHTS, R, INHERIT_ONLY), owner=ALICE),
        READ_CONTROL | WRITE_DAC,
    ),
    "OWNER RIGHTS may deny": (
        sd(deny(OWNER_RIGHTS, WRITE_DAC), allow(ALICE.user, FILE_ALL_ACCESS), owner=ALICE),
        FILE_ALL_ACCESS & ~WRITE_DAC,
    ),
    "OWNER RIGHTS is not for others": (sd(allow(OWNER_RIGHTS, R)), 0),
    "the owner under another name": (
        sd()._replace(owner=Sid(22, 1, 1000)),
        READ_CONTROL | WRITE_DAC,
    ),
    "oneself under another name": (sd(allow(Sid(5, 88, 1, 1000), R)), R),
    "no owner": (sd(allow(EVERYONE, R))._replace(owner=None), R),
    "a NULL DACL": (
        SecurityDescriptor(SELF_RELATIVE | DACL_PRESENT, BOB.user),
        FILE_ALL_ACCESS,
    ),
    "an absent DACL": (SecurityDescriptor(SELF_RELATIVE, BOB.user), FILE_ALL_ACCESS),
}


@pytest.mark.parametrize("case", CASES)
def test_what_alice_may(case: str) -> None:
    descriptor, expected = CASES[case]
    assert maximum(descriptor, ALICE) == expected


@pytest.mark.parametrize("case", CASES)
def test_each_right_by_itself_agrees_with_the_maximum(case: str) -> None:
    descriptor, expected = CASES[case]
    for bit in (1 << n for n in range(21)):
        if bit & expected:
            assert granted(descriptor, ALICE, bit) == bit
        else:
            with pytest.raises(PermissionError) as refused:
                granted(descriptor, ALICE, bit)
            assert refused.value.errno == errno.EACCES


def test_generic_rights_are_resolved_in_the_answer() -> None:
    everything = sd(allow(EVERYONE, GENERIC_ALL))
    assert granted(everything, ALICE, GENERIC_READ) == FILE_GENERIC_READ
    assert granted(everything, ALICE, GENERIC_ALL) == FILE_ALL_ACCESS
    with pytest.raises(PermissionError):
        granted(sd(allow(EVERYONE, FILE_GENERIC_READ)), ALICE, GENERIC_WRITE)


def test_maximum_allowed_yields_the_maximum() -> None:
    descriptor = sd(allow(EVERYONE, R), owner=ALICE)
    assert granted(descriptor, ALICE, MAXIMUM_ALLOWED) == R | READ_CONTROL | WRITE_DAC
    assert granted(sd(), ALICE, MAXIMUM_ALLOWED) == 0


def test_what_is_named_beside_maximum_allowed_must_be_held() -> None:
    descriptor = sd(allow(EVERYONE, R))
    assert granted(descriptor, ALICE, MAXIMUM_ALLOWED | R) == R
    with pytest.raises(PermissionError):
        granted(descriptor, ALICE, MAXIMUM_ALLOWED | W)


def test_nothing_desired_is_nothing_granted() -> None:
    assert granted(sd(), ALICE, 0) == 0


def test_root_may_everything_and_the_sacl_when_it_asks() -> None:
    closed = sd(deny(EVERYONE, FILE_ALL_ACCESS))
    assert maximum(closed, ROOT) == FILE_ALL_ACCESS
    assert granted(closed, ROOT, MAXIMUM_ALLOWED) == FILE_ALL_ACCESS
    asked = ACCESS_SYSTEM_SECURITY | R
    assert granted(closed, ROOT, asked) == asked
    assert granted(closed, ROOT, MAXIMUM_ALLOWED | asked) == FILE_ALL_ACCESS | asked


def test_rights_that_do_not_exist_are_refused_even_to_root() -> None:
    with pytest.raises(PermissionError):
        granted(sd(), ROOT, 0x200)


@pytest.mark.parametrize("also", [0, R, MAXIMUM_ALLOWED])
def test_system_security_needs_the_privilege(also: int) -> None:
    with pytest.raises(PrivilegeNotHeld) as refused:
        granted(sd(allow(EVERYONE, GENERIC_ALL)), ALICE, ACCESS_SYSTEM_SECURITY | also)
    assert refused.value.errno == errno.EPERM


def test_a_directory_that_lets_delete_children_lends_delete() -> None:
    above = sd(allow(ALICE.user, FILE_DELETE_CHILD))
    assert granted(sd(), ALICE, DELETE, lambda: above) == DELETE
    assert granted(sd(deny(EVERYONE, DELETE)), ALICE, DELETE, lambda: above) == DELETE
    assert maximum(sd(), ALICE, lambda: above) == DELETE
    with pytest.raises(PermissionError):
        granted(sd(), ALICE, DELETE | WRITE_OWNER, lambda: above)
    with pytest.raises(PermissionError):
        granted(sd(), BOB, DELETE, lambda: above)


def test_a_directory_that_may_be_listed_lends_read_attributes() -> None:
    above = sd(allow(ALICE.user, FILE_LIST_DIRECTORY))
    assert granted(sd(), ALICE, FILE_READ_ATTRIBUTES, lambda: above) == FILE_READ_ATTRIBUTES
    assert granted(sd(), ALICE, MAXIMUM_ALLOWED, lambda: above) == FILE_READ_ATTRIBUTES
    with pytest.raises(PermissionError):
        granted(sd(), ALICE, DELETE, lambda: above)


def test_the_parent_is_asked_only_when_it_matters() -> None:
    def parent() -> SecurityDescriptor:
        raise AssertionError("asked")

    full = sd(allow(EVERYONE, FILE_ALL_ACCESS))
    assert granted(full, ALICE, DELETE | R, parent) == DELETE | R
    assert granted(full, ALICE, MAXIMUM_ALLOWED, parent) == FILE_ALL_ACCESS
    assert maximum(sd(), ROOT, parent) == FILE_ALL_ACCESS
    with pytest.raises(PermissionError):
        granted(sd(), ALICE, W, parent)


def test_a_share_root_has_no_parent_to_lend() -> None:
    with pytest.raises(PermissionError):
        granted(sd(), ALICE, DELETE, lambda: None)


def test_whom_a_token_stands_for() -> None:
    assert {EVERYONE, AUTHENTICATED_USERS, USERS, DOMAIN.users} <= ALICE.sids
    assert {Sid(22, 1, 1000), Sid(22, 2, 100), GROUP_200, Sid(5, 88, 2, 200)} <= ALICE.sids
    assert GUESTS not in ALICE.sids
    assert (ALICE.user, ALICE.uid, ALICE.gid) == (DOMAIN.uid_to_sid(1000), 1000, 100)
    assert not ALICE.privileged
    assert GUESTS in GUEST.sids
    assert not {AUTHENTICATED_USERS, USERS, DOMAIN.users} & GUEST.sids
    assert ROOT.privileged
    assert ADMINISTRATORS in ROOT.sids
    assert not token(DOMAIN, 0, 0, guest=True).privileged
    assert token(DOMAIN, 1000, 100, privileged=True).privileged


def walk(descriptor: SecurityDescriptor, who: Token, wanted: int) -> bool:
    """The algorithm as the specification words it: bit by bit, stopping at the first denial."""
    remaining = wanted
    assert descriptor.dacl is not None
    owns = descriptor.owner in who.sids
    in_effect = [ace for ace in descriptor.dacl.aces if not ace.flags & INHERIT_ONLY]
    if owns and OWNER_RIGHTS not in [ace.sid for ace in in_effect]:
        remaining &= ~(READ_CONTROL | WRITE_DAC)
    for ace in in_effect:
        if ace.sid not in who.sids and not (owns and ace.sid == OWNER_RIGHTS):
            continue
        if ace.type == ACCESS_DENIED and remaining & ace.mask:
            return False
        if ace.type == ACCESS_ALLOWED:
            remaining &= ~ace.mask
    return not remaining


ACES = st.builds(
    Ace,
    st.sampled_from([ACCESS_ALLOWED, ACCESS_DENIED]),
    st.sampled_from([0, INHERIT_ONLY]),
    st.integers(0, 0x1F01FF).map(lambda mask: mask & FILE_ALL_ACCESS),
    st.sampled_from([EVERYONE, ALICE.user, BOB.user, GROUP_200, OWNER_RIGHTS]),
)


@given(st.lists(ACES, max_size=6), st.sampled_from([ALICE, BOB]), st.integers(0, 0x1F01FF))
def test_one_pass_decides_as_the_specifications_walk(
    aces: list[Ace], owner: Token, desired: int
) -> None:
    descriptor = sd(*aces, owner=owner)
    wanted = desired & FILE_ALL_ACCESS
    if walk(descriptor, ALICE, wanted):
        assert granted(descriptor, ALICE, wanted) == wanted
    else:
        with pytest.raises(PermissionError):
            granted(descriptor, ALICE, wanted)


def test_an_audit_entry_with_a_condition_writes_down() -> None:
    ace = Ace(SYSTEM_AUDIT_CALLBACK, SUCCESSFUL_ACCESS, FILE_READ_DATA, EVERYONE, b"artx")
    assert audited(Acl((ace,)), ALICE, FILE_READ_DATA, success=True) == [ace]
    assert audited(Acl((ace,)), ALICE, FILE_READ_DATA, success=False) == []
    assert audited(Acl((ace,)), ALICE, FILE_WRITE_DATA, success=True) == []


# -- what is remembered ------------------------------------------------------------------


def test_the_same_dacl_gives_each_token_and_owner_its_own_rights() -> None:
    dacl = sd(allow(ALICE.user, R), deny(GUEST.user, R), allow(EVERYONE, W)).dacl
    for owner in (ALICE, BOB):
        for who in (ALICE, BOB, GUEST):
            shared = SecurityDescriptor(SELF_RELATIVE | DACL_PRESENT, owner.user, None, None, dacl)
            again = Acl(tuple(dacl.aces)) if dacl is not None else None
            fresh = shared._replace(dacl=again)
            assert maximum(shared, who) == maximum(shared, who) == maximum(fresh, who)
            assert bool(maximum(shared, who) & WRITE_DAC) is (who is owner)


def test_only_so_many_answers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "_MOST_ANSWERS", 3)
    monkeypatch.setattr(access_module, "_MOST_ACES", 2)
    for number in range(10):
        assert maximum(sd(allow(ALICE.user, R), owner=BOB), ALICE) == R, number
    assert len(access_module._answers) <= 3
    access_module._answers.clear()
    assert maximum(sd(*[allow(ALICE.user, R)] * 3), ALICE) == R
    assert not access_module._answers
