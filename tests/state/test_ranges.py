"""state/ranges.py: what stands before an FSCTL on a range."""

from __future__ import annotations

import pytest

from ksmbd.state import ranges
from ksmbd.wire.status import NtStatus, NtStatusError

MOST = (1 << 63) - 1


@pytest.mark.parametrize(("offset", "length"), [(0, 0), (0, MOST), (MOST, 0), (1, MOST - 1)])
def test_a_range_within_the_largest_file(offset: int, length: int) -> None:
    ranges.check_range(offset, length)


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (1, -1), (1, MOST), (MOST + 1, 0)])
def test_a_range_outside_of_it(offset: int, length: int) -> None:
    with pytest.raises(NtStatusError) as refused:
        ranges.check_range(offset, length)
    assert refused.value.status is NtStatus.INVALID_PARAMETER


def test_a_request_that_names_no_file() -> None:
    with pytest.raises(NtStatusError) as refused:
        ranges.the_open(None)
    assert refused.value.status is NtStatus.INVALID_DEVICE_REQUEST
