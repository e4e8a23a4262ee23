"""state/dialects.py: what follows from a dialect."""

from __future__ import annotations

import pytest

from ksmbd.state.dialects import DIALECTS, capabilities, common_dialect
from ksmbd.state.settings import Settings
from ksmbd.wire.negotiate import CAP_LARGE_MTU
from ksmbd.wire.status import NtStatus, NtStatusError


@pytest.mark.parametrize(
    ("offered", "limits", "expected"),
    [
        ((0x0311, 0x0202), {}, 0x0311),
        ((0x0202, 0x0210), {}, 0x0210),
        ((0x0302, 0x0311), {"max_dialect": 0x0302}, 0x0302),
        ((0x0202, 0x0300), {"min_dialect": 0x0210}, 0x0300),
        ((0xFFFF, 0x0300, 0), {}, 0x0300),
    ],
)
def test_the_best_that_both_have(
    offered: tuple[int, ...], limits: dict[str, int], expected: int
) -> None:
    assert common_dialect(Settings(**limits), offered) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("offered", [(), (0x02FF,), (0x0201,), (0x0311 + 1,)])
def test_nothing_in_common(offered: tuple[int, ...]) -> None:
    with pytest.raises(NtStatusError) as refused:
        common_dialect(Settings(), offered)
    assert refused.value.status is NtStatus.NOT_SUPPORTED


def test_limits_that_leave_nothing() -> None:
    with pytest.raises(NtStatusError):
        common_dialect(Settings(min_dialect=0x0311, max_dialect=0x0302), DIALECTS)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_2_0_2_can_nothing_the_others_can_pay_for_more(dialect: int) -> None:
    found = capabilities(dialect, Settings(leases=False), 0)
    assert found == (0 if dialect == 0x0202 else CAP_LARGE_MTU)
