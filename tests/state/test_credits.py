"""state/credits.py against a model that keeps every id there is."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ksmbd.state.credits import MAX_CREDITS, CreditWindow

MAXIMUM = 20


class Model(RuleBasedStateMachine):
    """The window as [MS-SMB2] 3.3.1.1 has it: a set of ids that may be used."""

    def __init__(self) -> None:
        super().__init__()
        self.window = CreditWindow(MAXIMUM)
        self.free = {0}
        self.next = 1

    @rule(message_id=st.integers(0, 60), charge=st.integers(1, 5))
    def consume(self, message_id: int, charge: int) -> None:
        wanted = set(range(message_id, message_id + charge))
        allowed = wanted <= self.free
        assert self.window.consume(message_id, charge) == allowed
        if allowed:
            self.free -= wanted

    @rule()
    def consume_the_lowest(self) -> None:
        if self.free:
            assert self.window.consume(min(self.free), 1)
            self.free.remove(min(self.free))

    @rule(requested=st.integers(0, 30))
    def grant(self, requested: int) -> None:
        lowest = min(self.free, default=self.next)
        room = MAXIMUM - (self.next - lowest)
        wanted = requested or int(not self.free)
        granted = self.window.grant(requested)
        assert granted == min(wanted, room)
        self.free |= set(range(self.next, self.next + granted))
        self.next += granted

    @invariant()
    def agrees(self) -> None:
        assert self.window.available == len(self.free)
        assert self.window.high == self.next
        assert self.window.low == min(self.free, default=self.next)

    @invariant()
    def nobody_starves(self) -> None:
        """Whoever holds nothing gets one, whatever it asks for."""
        if not self.free:
            low, high = self.window.low, self.window.high
            assert low == high


TestModel = Model.TestCase
TestModel.settings = settings(derandomize=True, database=None, deadline=None, max_examples=150)


def test_negotiate_has_the_only_id_there_is_at_first() -> None:
    window = CreditWindow()
    assert window.available == 1
    assert not window.consume(1, 1)
    assert not window.consume(0, 2)
    assert window.consume(0, 1)
    assert not window.consume(0, 1)


def test_all_there_are_can_be_granted_at_once() -> None:
    window = CreditWindow()
    window.consume(0, 1)
    assert window.grant(0xFFFF) == MAX_CREDITS
    assert window.grant(0xFFFF) == 0
    assert window.consume(1, 1)
    assert window.grant(0xFFFF) == 1


def test_what_is_granted_fits_its_field() -> None:
    window = CreditWindow(1 << 20)
    window.consume(0, 1)
    assert window.grant(1 << 20) == 0xFFFF


@given(st.permutations(range(1, 9)))
@settings(derandomize=True, database=None, max_examples=50)
def test_any_order_uses_up_all(order: list[int]) -> None:
    window = CreditWindow()
    window.consume(0, 1)
    window.grant(8)
    for message_id in order:
        assert window.consume(message_id, 1)
        assert not window.consume(message_id, 1)
    assert (window.low, window.high, window.available) == (9, 9, 0)


def test_ids_near_the_end_of_all_ids() -> None:
    """2^64 requests take a while, but nothing goes wrong then."""
    window = CreditWindow()
    window.low = window.high = (1 << 64) - 2
    assert window.grant(10) == 10
    assert window.consume((1 << 64) - 2, 1)
