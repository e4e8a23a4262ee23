"""The state machine of oplocks and leases: every state with every event, and every grant."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from ksmbd.state import oplock
from ksmbd.state.oplock import (
    BATCH,
    EXCLUSIVE,
    II,
    NONE,
    RH,
    RW,
    RWH,
    Cause,
    Kind,
    Notice,
    Others,
    R,
    State,
)
from ksmbd.wire.access import (
    DELETE,
    FILE_EXECUTE,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_READ_EA,
    FILE_WRITE_ATTRIBUTES,
    FILE_WRITE_DATA,
    FILE_WRITE_EA,
    READ_CONTROL,
    SYNCHRONIZE,
    WRITE_DAC,
    WRITE_OWNER,
)
from tests.support import oplock_page

PAGE = Path(__file__).parents[2] / "docs" / "oplocks.md"

# state | what an open, a change and a handle cause do | what each answer does
LEASES = """
none           | -                       | -                         | -                      | -
R              | -                       | told none                 | -                      | -
RH             | -                       | asked none                | asked R, waits         | -
RW             | asked R, waits          | asked none, waits         | -                      | -
RWH            | asked RH, waits         | asked none, waits         | asked RW, waits        | -
RH > none      | -                       | -                         | waits      | none: to none
RH > R         | -                       | to RH > R (none)          | waits      | \
none: to none; R: to R
RW > R         | waits                   | to RW > R (none), waits   | -          | \
none: to none; R: to R
RW > none      | waits                   | waits                     | -          | none: to none
RWH > RH       | waits                   | to RWH > RH (none), waits | to RWH > RH (R), waits | \
none: to none; R: to R; RH: to RH
RWH > none     | waits                   | waits                     | waits      | none: to none
RWH > RW       | to RWH > RW (R), waits  | to RWH > RW (none), waits | waits      | \
none: to none; R: to R; RW: to RW
RH > R (none)  | -                       | -                         | waits      | \
none: to none; R: told none
RW > R (none)  | waits                   | waits                     | -          | \
none: to none; R: told none
RWH > RH (none)| waits                   | waits                     | waits      | \
none: to none; R: told none; RH: asked R
RWH > RH (R)   | waits                   | to RWH > RH (none), waits | waits      | \
none: to none; R: to R; RH: asked R
RWH > RW (R)   | waits                   | to RWH > RW (none), waits | waits      | \
none: to none; R: to R; RW: asked R
RWH > RW (none)| waits                   | waits                     | waits      | \
none: to none; R: told none; RW: asked none
"""
OPLOCKS = """
none                 | -               | -                                | -               | -
II                   | -               | told none                        | -               | -
exclusive            | asked II, waits | asked none, waits                | -               | -
batch                | asked II, waits | asked none, waits                | asked II, waits | -
exclusive > II       | waits           | to exclusive > II (none), waits  | -     | \
none: to none; II: to II
exclusive > none     | waits           | waits                            | -     | none: to none
batch > II           | waits           | to batch > II (none), waits      | waits | \
none: to none; II: to II
batch > none         | waits           | waits                            | waits | none: to none
exclusive > II (none)| waits           | waits                            | -     | \
none: to none; II: told none
batch > II (none)    | waits           | waits                            | waits | \
none: to none; II: told none
"""


def rows(text: str) -> dict[str, list[str]]:
    table = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    return {state: cells for state, *cells in table}


EXPECTED = {Kind.LEASE: rows(LEASES), Kind.OPLOCK: rows(OPLOCKS)}
PAIRS = [(kind, state) for kind in Kind for state in oplock_page.states(kind)]


def name(value: object) -> str:
    return value.name.lower() if isinstance(value, Kind | Cause) else str(value)


@pytest.mark.parametrize(("kind", "state"), PAIRS, ids=name)
def test_every_event_does_to_every_state_what_the_table_says(kind: Kind, state: State) -> None:
    said = [oplock_page.words(kind, state, o) for o in oplock_page.causes(kind, state).values()]
    kept = [
        f"{oplock_page.NAMES[kind][level]}: {oplock_page.words(kind, state, outcome)}"
        for level, outcome in oplock_page.answers(kind, state).items()
    ]
    assert [*said, "; ".join(kept) or "-"] == EXPECTED[kind][oplock_page.name(kind, state)]


def test_no_state_is_reached_that_the_table_has_not() -> None:
    for kind in Kind:
        reached = {oplock_page.name(kind, state) for state in oplock_page.states(kind)}
        assert reached == set(EXPECTED[kind])


@pytest.mark.parametrize(("kind", "state"), PAIRS, ids=name)
def test_nothing_but_a_grant_gives_rights(kind: Kind, state: State) -> None:
    outcomes = [
        *oplock_page.causes(kind, state).values(),
        *oplock_page.answers(kind, state).values(),
    ]
    for outcome in outcomes:
        after = outcome.state
        assert not after.level & ~state.level
        assert not after.required & ~state.required
        assert not after.required & ~after.to
        assert not after.to & ~after.level


@pytest.mark.parametrize(("kind", "state"), PAIRS, ids=name)
def test_who_waits_waits_for_an_answer(kind: Kind, state: State) -> None:
    for outcome in oplock_page.causes(kind, state).values():
        assert not outcome.waits or outcome.state.breaking


@pytest.mark.parametrize(("kind", "state"), PAIRS, ids=name)
def test_enough_answers_end_a_break(kind: Kind, state: State) -> None:
    steps = 0
    while state.breaking:
        state = oplock.acknowledge(kind, state, state.to).state
        steps += 1
    assert steps <= 2
    assert state == oplock.held(state.level)


def test_read_alone_is_taken_without_an_answer() -> None:
    outcome = oplock.demand(Kind.LEASE, oplock.held(R), Cause.CHANGE)
    assert outcome == (oplock.held(NONE), Notice(R, NONE, ack=False), False)


@pytest.mark.parametrize("level", [RH, RW, RWH, 2, 4, 6, 8])
def test_an_answer_keeps_no_more_than_was_offered(level: int) -> None:
    state = oplock.demand(Kind.LEASE, oplock.held(RWH), Cause.CHANGE).state
    assert not oplock.accepts(Kind.LEASE, state, level)
    assert oplock.accepts(Kind.LEASE, state, NONE)


def test_an_answer_is_a_level_of_its_kind() -> None:
    state = oplock.demand(Kind.LEASE, oplock.held(RWH), Cause.OPEN).state
    assert [level for level in range(8) if oplock.accepts(Kind.LEASE, state, level)] == [
        NONE,
        R,
        RH,
    ]


# -- grants ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "granted"),
    [(NONE, NONE), (R, R), (2, NONE), (4, NONE), (RH, RH), (RW, RW), (6, NONE), (RWH, RWH)],
)
def test_a_lease_on_a_file_for_itself_is_what_was_asked_for(wanted: int, granted: int) -> None:
    assert oplock.grant(Kind.LEASE, wanted, Others()) == granted


@pytest.mark.parametrize("wanted", [NONE, II, EXCLUSIVE, BATCH])
def test_an_oplock_on_a_file_for_itself_is_what_was_asked_for(wanted: int) -> None:
    assert oplock.grant(Kind.OPLOCK, wanted, Others()) == wanted


LEASE_GRANTS = [  # wanted, beside another open, beside an oplock
    (R, R, R),
    (RH, RH, R),
    (RW, R, R),
    (RWH, RH, R),
]


@pytest.mark.parametrize(("wanted", "beside_open", "beside_oplock"), LEASE_GRANTS)
def test_a_lease_shares_reading_and_handles_but_no_handles_with_an_oplock(
    wanted: int, beside_open: int, beside_oplock: int
) -> None:
    assert oplock.grant(Kind.LEASE, wanted, Others(opens=True)) == beside_open
    others = Others(levels=II, opens=True, oplock=True)
    assert oplock.grant(Kind.LEASE, wanted, others) == beside_oplock


@pytest.mark.parametrize("wanted", [II, EXCLUSIVE, BATCH])
def test_an_oplock_becomes_ii_beside_others_and_nothing_beside_a_handle_lease(wanted: int) -> None:
    assert oplock.grant(Kind.OPLOCK, wanted, Others(opens=True)) == II
    assert oplock.grant(Kind.OPLOCK, wanted, Others(levels=R, opens=True)) == II
    others = Others(levels=RH, opens=True, handle_lease=True)
    assert oplock.grant(Kind.OPLOCK, wanted, others) == NONE


@pytest.mark.parametrize(("kind", "wanted"), list(product(Kind, [R, RH, RW, RWH])))
def test_nothing_is_granted_beside_a_writer_or_a_lock(kind: Kind, wanted: int) -> None:
    assert oplock.grant(kind, wanted, Others(levels=RW, opens=True)) == NONE
    assert oplock.grant(kind, wanted, Others(locked=True)) == NONE


@pytest.mark.parametrize(("wanted", "granted"), [(R, R), (RH, RH), (RW, R), (RWH, RH)])
def test_directories_have_leases_without_writing_and_no_oplocks(wanted: int, granted: int) -> None:
    assert oplock.grant(Kind.LEASE, wanted, Others(), directory=True) == granted
    assert oplock.grant(Kind.OPLOCK, wanted, Others(), directory=True) == NONE


UPGRADES = {  # held -> wanted -> held then, with the file for itself: smb2.lease.upgrade2
    NONE: {NONE: NONE, R: R, RH: RH, RW: RW, RWH: RWH},
    R: {NONE: R, R: R, RH: RH, RW: RW, RWH: RWH},
    RH: {NONE: RH, R: RH, RH: RH, RW: RH, RWH: RWH},
    RW: {NONE: RW, R: RW, RH: RW, RW: RW, RWH: RWH},
    RWH: {NONE: RWH, R: RWH, RH: RWH, RW: RWH, RWH: RWH},
}


@pytest.mark.parametrize(
    ("held", "wanted", "then"),
    [(held, wanted, then) for held, row in UPGRADES.items() for wanted, then in row.items()],
)
def test_a_lease_is_raised_only_to_more_than_it_is(held: int, wanted: int, then: int) -> None:
    assert oplock.upgrade(held, wanted, Others()) == then


@pytest.mark.parametrize(
    ("held", "wanted", "then"),
    [(R, RH, RH), (R, RW, R), (R, RWH, R), (RH, RWH, RH), (RH, NONE, RH), (NONE, RWH, NONE)],
)
def test_beside_others_a_lease_is_raised_to_all_of_what_is_wanted_or_not(
    held: int, wanted: int, then: int
) -> None:
    assert oplock.upgrade(held, wanted, Others(levels=RH, opens=True, handle_lease=True)) == then


def test_a_directory_lease_is_raised_to_rh_by_a_wish_for_everything() -> None:
    assert oplock.upgrade(NONE, RWH, Others(opens=True), directory=True) == RH


@pytest.mark.parametrize(
    ("access", "oplocks_stay", "leases_stay"),
    [
        (FILE_READ_ATTRIBUTES, True, True),
        (FILE_WRITE_ATTRIBUTES | SYNCHRONIZE, True, True),
        (SYNCHRONIZE, True, True),
        (READ_CONTROL | FILE_READ_ATTRIBUTES, False, True),
        (FILE_READ_DATA, False, False),
        (FILE_WRITE_DATA, False, False),
        (FILE_EXECUTE, False, False),
        (FILE_READ_EA, False, False),
        (FILE_WRITE_EA, False, False),
        (DELETE, False, False),
        (WRITE_DAC, False, False),
        (WRITE_OWNER, False, False),
    ],
)
def test_a_look_at_the_attributes_breaks_nothing(
    access: int, oplocks_stay: bool, leases_stay: bool
) -> None:
    assert oplock.breaks_nothing(Kind.OPLOCK, access) == oplocks_stay
    assert oplock.breaks_nothing(Kind.LEASE, access) == leases_stay


def test_the_page_of_the_documentation_is_current() -> None:
    assert PAGE.read_text() == oplock_page.page(), "run python -m tests.support.oplock_page"
