"""Quotas: golden bytes by the figures of the specification, and what is refused."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire, WireError
from ksmbd.wire.quota import (
    NO_LIMIT,
    FileGetQuotaInformation,
    FileQuotaInformation,
    QueryQuotaInfo,
    QuotaEntry,
    pack_entries,
    pack_query,
    unpack_entries,
    unpack_query,
)
from ksmbd.wire.security import Sid
from tests.wire.vectors import check, name

ALICE, BOB = Sid.parse("S-1-5-21-1-2-3-1000"), Sid.parse("S-1-22-1-1001")
VECTORS = [
    (
        QueryQuotaInfo(return_single=1, restart_scan=1, sid_list_length=36, start_sid_length=12),
        "01 01 0000 24000000 0c000000 00000000",
    ),
    (FileGetQuotaInformation(next_entry_offset=40, sid_length=28), "28000000 1c000000"),
    (
        FileQuotaInformation(
            sid_length=28, quota_used=4096, quota_threshold=1 << 20, quota_limit=NO_LIMIT
        ),
        "00000000 1c000000 0000000000000000 0010000000000000 0000100000000000 ffffffffffffffff",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)


def test_sids_or_a_start_are_asked_for() -> None:
    assert unpack_query(pack_query([ALICE, BOB], single=True))[:3] == (True, False, (ALICE, BOB))
    scan = unpack_query(pack_query(start=BOB, restart=True))
    assert scan == (False, True, (), BOB)
    assert unpack_query(pack_query()).start is None


def test_a_list_of_sids_goes_before_a_start() -> None:
    data = bytearray(pack_query([ALICE]))
    data[8:12] = (12).to_bytes(4, "little")
    assert unpack_query(data) == (False, False, (ALICE,), None)


def test_entries_go_there_and_back_and_only_whole() -> None:
    entries = [QuotaEntry(ALICE, 1, 2, 3), QuotaEntry(BOB, 4, NO_LIMIT, NO_LIMIT)]
    data, count = pack_entries(entries)
    assert (unpack_entries(data), count) == (entries, 2)
    assert pack_entries(entries, len(data) - 1)[1] == 1
    assert pack_entries(entries, 40) == (b"", 0)


@pytest.mark.parametrize("length", [0, 15])
def test_a_short_query_is_refused(length: int) -> None:
    with pytest.raises(WireError):
        unpack_query(pack_query([ALICE])[:length])


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (4, 37),  # the list leads out
        (4, 12),  # or ends in a SID
        (20, 200),  # a SID leads out of its entry
        (20, 27),  # or is shorter than it says
        (16, 4),  # the next entry begins in this one
        (16, 400),
    ],
)
def test_sids_that_lead_out_are_refused(at: int, value: int) -> None:
    data = bytearray(pack_query([ALICE]))
    data[at : at + 4] = value.to_bytes(4, "little")
    with pytest.raises(WireError):
        unpack_query(data)


@pytest.mark.parametrize(("at", "value"), [(8, 13), (12, 1), (12, 0xFFFF_FFFF)])
def test_a_start_that_leads_out_is_refused(at: int, value: int) -> None:
    data = bytearray(pack_query(start=BOB))
    data[at : at + 4] = value.to_bytes(4, "little")
    with pytest.raises(WireError):
        unpack_query(data)
