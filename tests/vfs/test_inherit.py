"""What a new file inherits, [MS-DTYP] 2.5.3.4."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.vfs.access import maximum, token
from ksmbd.vfs.inherit import effective, inherited
from ksmbd.vfs.sid import CREATOR_GROUP, CREATOR_OWNER, EVERYONE, Domain
from ksmbd.wire.access import (
    FILE_ALL_ACCESS,
    FILE_GENERIC_READ,
    GENERIC_ALL,
    GENERIC_READ,
)
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    ACCESS_DENIED,
    CONTAINER_INHERIT,
    DACL_AUTO_INHERITED,
    DACL_PRESENT,
    DACL_PROTECTED,
    INHERIT_ONLY,
    INHERITED_ACE,
    NO_PROPAGATE_INHERIT,
    OBJECT_INHERIT,
    SACL_AUTO_INHERITED,
    SACL_PRESENT,
    SELF_RELATIVE,
    SUCCESSFUL_ACCESS,
    SYSTEM_AUDIT,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from tests.support.descriptors import with_dacl

DOMAIN = Domain((1, 2, 3))
ALICE = token(DOMAIN, 1000, 100)
GROUP = DOMAIN.gid_to_sid(100)
BOB = DOMAIN.uid_to_sid(1001)
OI, CI, NP, IO = OBJECT_INHERIT, CONTAINER_INHERIT, NO_PROPAGATE_INHERIT, INHERIT_ONLY


def parent(*aces: Ace, control: int = 0) -> SecurityDescriptor:
    return with_dacl(*aces, owner=BOB, group=GROUP, control=control)


def aces_below(*aces: Ace, is_directory: bool, control: int = 0) -> list[Ace]:
    child = inherited(parent(*aces, control=control), ALICE, DOMAIN, is_directory)
    if child is None:
        return []
    assert child.dacl is not None
    return list(child.dacl.aces)


# parent's flags, the flags on a file, the flags on a directory; None: nothing is inherited.
# Parent, file and directory flags are those that smbtorture's INHERITANCE test expects.
TABLE = [
    (0, None, None),
    (OI, 0, OI | IO),
    (CI, None, CI),
    (OI | CI, 0, OI | CI),
    (NP, None, None),
    (NP | OI, 0, None),
    (NP | CI, None, 0),
    (NP | OI | CI, 0, 0),
    (IO, None, None),
    (IO | OI, 0, OI | IO),
    (IO | CI, None, CI),
    (IO | OI | CI, 0, OI | CI),
    (IO | NP, None, None),
    (IO | NP | OI, 0, None),
    (IO | NP | CI, None, 0),
    (IO | NP | OI | CI, 0, 0),
]


@pytest.mark.parametrize("auto", [0, DACL_AUTO_INHERITED])
@pytest.mark.parametrize(("flags", "on_file", "on_directory"), TABLE)
def test_flags(flags: int, on_file: int | None, on_directory: int | None, auto: int) -> None:
    mark = INHERITED_ACE if auto else 0
    ace = Ace(ACCESS_ALLOWED, flags, 0x1200A9, BOB)
    for is_directory, expected in ((False, on_file), (True, on_directory)):
        found = aces_below(ace, is_directory=is_directory, control=auto)
        wanted = [] if expected is None else [ace._replace(flags=expected | mark)]
        assert found == wanted


@pytest.mark.parametrize(("flags", "on_file", "on_directory"), TABLE)
@pytest.mark.parametrize(("creator", "real"), [(CREATOR_OWNER, ALICE.user), (CREATOR_GROUP, GROUP)])
def test_creator_entries(
    flags: int, on_file: int | None, on_directory: int | None, creator: Sid, real: Sid
) -> None:
    ace = Ace(ACCESS_ALLOWED, flags, 0x1200A9, creator)
    on_the_file = aces_below(ace, is_directory=False)
    assert on_the_file == ([] if on_file is None else [ace._replace(flags=0, sid=real)])
    found = aces_below(ace, is_directory=True)
    if on_directory is None:
        assert found == []
    elif on_directory & IO:  # only its files will have it
        assert found == [ace._replace(flags=on_directory)]
    elif on_directory & CI:
        assert found == [
            ace._replace(flags=0, sid=real),
            ace._replace(flags=on_directory | IO),
        ]
    else:
        assert found == [ace._replace(flags=0, sid=real)]


def test_a_generic_right_becomes_real_and_is_handed_down_as_it_was() -> None:
    ace = Ace(ACCESS_ALLOWED, OI | CI, GENERIC_READ, BOB)
    assert aces_below(ace, is_directory=False) == [ace._replace(flags=0, mask=FILE_GENERIC_READ)]
    assert aces_below(ace, is_directory=True) == [
        ace._replace(flags=0, mask=FILE_GENERIC_READ),
        ace._replace(flags=OI | CI | IO),
    ]


def test_the_order_and_kind_of_entries_stay() -> None:
    aces = [
        Ace(ACCESS_DENIED, OI | CI, 2, BOB),
        Ace(ACCESS_ALLOWED, 0, 1, BOB),
        Ace(ACCESS_ALLOWED, CI, 1, EVERYONE),
        Ace(ACCESS_ALLOWED, OI, 1, GROUP),
    ]
    assert [ace.sid for ace in aces_below(*aces, is_directory=False)] == [BOB, GROUP]
    assert [ace.type for ace in aces_below(*aces, is_directory=True)] == [1, 0, 0]


def test_three_generations_keep_what_they_hand_down() -> None:
    first = parent(Ace(ACCESS_ALLOWED, OI | CI | IO, GENERIC_ALL, CREATOR_OWNER))
    second = inherited(first, ALICE, DOMAIN, True)
    assert second is not None
    third = inherited(second, token(DOMAIN, 1001, 100), DOMAIN, True)
    assert third is not None
    assert third.owner == BOB
    assert maximum(third, token(DOMAIN, 1001, 100)) == FILE_ALL_ACCESS
    assert maximum(third, ALICE) == 0


def test_owner_and_group_are_the_creators() -> None:
    child = inherited(parent(Ace(ACCESS_ALLOWED, OI, 1, BOB)), ALICE, DOMAIN, False)
    assert child is not None
    assert (child.owner, child.group) == (ALICE.user, GROUP)
    other = DOMAIN.gid_to_sid(500)
    child = inherited(parent(Ace(ACCESS_ALLOWED, OI, 1, BOB)), ALICE, DOMAIN, False, group=other)
    assert child is not None
    assert child.group == other


@pytest.mark.parametrize("is_directory", [False, True])
def test_a_parent_with_nothing_to_hand_down_says_nothing(is_directory: bool) -> None:
    assert inherited(parent(), ALICE, DOMAIN, is_directory) is None
    assert inherited(SecurityDescriptor(), ALICE, DOMAIN, is_directory) is None
    null = SecurityDescriptor(SELF_RELATIVE | DACL_PRESENT, BOB)
    assert inherited(null, ALICE, DOMAIN, is_directory) is None


def test_control_tells_of_auto_inheritance_and_not_of_protection() -> None:
    ace = Ace(ACCESS_ALLOWED, OI, 1, BOB)
    above = parent(ace, control=DACL_AUTO_INHERITED | DACL_PROTECTED)
    child = inherited(above, ALICE, DOMAIN, False)
    assert child is not None
    assert child.control == SELF_RELATIVE | DACL_PRESENT | DACL_AUTO_INHERITED


def test_audit_entries_are_inherited_with_their_flags() -> None:
    audit = Ace(SYSTEM_AUDIT, OI | SUCCESSFUL_ACCESS, 1, EVERYONE)
    control = SELF_RELATIVE | SACL_PRESENT | SACL_AUTO_INHERITED
    above = SecurityDescriptor(control, BOB, GROUP, Acl((audit,)), None)
    child = inherited(above, ALICE, DOMAIN, False)
    assert child is not None
    assert not child.dacl_present
    assert child.sacl is not None
    assert child.sacl.aces == (audit._replace(flags=SUCCESSFUL_ACCESS | INHERITED_ACE),)


def test_a_list_that_grows_past_64_kib_is_refused() -> None:
    ace = Ace(ACCESS_ALLOWED, OI | CI, 1, CREATOR_OWNER)
    with pytest.raises(OSError, match="too long") as refused:
        inherited(parent(*[ace] * 2000), ALICE, DOMAIN, True)
    assert refused.value.errno == errno.E2BIG


def test_effective_entries_have_their_generic_rights_resolved() -> None:
    here = Ace(ACCESS_ALLOWED, CI, GENERIC_READ, BOB)
    below = Ace(ACCESS_ALLOWED, CI | IO, GENERIC_READ, BOB)
    assert effective(Acl((here, below))) == Acl((here._replace(mask=FILE_GENERIC_READ), below))
    assert effective(None) is None


# The specification's algorithm in its own words: one list for the object, one to hand down


def compute(aces: tuple[Ace, ...], is_directory: bool) -> list[tuple[int, int, Sid | None, bool]]:
    """Kind, mask, SID and whether it is in effect, as ComputeInheritedACLfromParent has it.

    [MS-DTYP] 2.5.3.4.4 finds out what is inherited, 2.5.3.4.6 makes of creators' and generic
    entries one that is in effect and one that is handed down.
    """
    found: list[tuple[int, int, Sid | None, bool]] = []
    for ace in aces:
        for_objects, for_containers = bool(ace.flags & OI), bool(ace.flags & CI)
        ends = bool(ace.flags & NP)
        in_effect = for_containers if is_directory else for_objects
        handed_on = is_directory and not ends and (for_objects or for_containers)
        sid = {CREATOR_OWNER: ALICE.user, CREATOR_GROUP: GROUP}.get(ace.sid or EVERYONE, ace.sid)
        mask = FILE_ALL_ACCESS if ace.mask & GENERIC_ALL else ace.mask
        if in_effect:
            found.append((ace.type, mask, sid, True))
        changed = (mask, sid) != (ace.mask, ace.sid)
        if handed_on and (changed or not in_effect):
            found.append((ace.type, ace.mask, ace.sid, False))
    return found


_INHERITED = st.builds(
    Ace,
    st.sampled_from((ACCESS_ALLOWED, ACCESS_DENIED)),
    st.integers(0, 15),
    st.sampled_from((FILE_GENERIC_READ, FILE_ALL_ACCESS, GENERIC_ALL, 1, 2)),
    st.sampled_from((CREATOR_OWNER, CREATOR_GROUP, EVERYONE, BOB, ALICE.user)),
)


@given(st.lists(_INHERITED, max_size=6).map(tuple), st.booleans(), st.booleans())
def test_what_is_inherited_is_what_the_specification_computes(
    aces: tuple[Ace, ...], is_directory: bool, auto: bool
) -> None:
    control = DACL_AUTO_INHERITED if auto else 0
    below = aces_below(*aces, is_directory=is_directory, control=control)
    assert [(ace.type, ace.mask, ace.sid, not ace.flags & IO) for ace in below] == compute(
        aces, is_directory
    )
    assert all(bool(ace.flags & INHERITED_ACE) is auto for ace in below)
    assert is_directory or not any(ace.flags & (OI | CI | NP | IO) for ace in below)


@given(st.lists(_INHERITED, max_size=6).map(tuple))
def test_generations_never_add_what_the_parent_withholds(aces: tuple[Ace, ...]) -> None:
    """A stranger's rights deep below are those that the entries for children give there."""
    level, stranger = aces, token(DOMAIN, 4711, 4711)
    for _ in range(3):
        below = tuple(aces_below(*level, is_directory=True))
        held = maximum(parent(*below), stranger) if below else 0
        heirs = [a for a in level if a.flags & CI and a.sid == EVERYONE]
        allowed = [a for a in heirs if a.type == ACCESS_ALLOWED]
        assert not held or allowed
        level = below
