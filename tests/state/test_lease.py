"""state/lease.py: the table, and what the wire says of a lease."""

from __future__ import annotations

import pytest

from ksmbd.state.inode import Inode
from ksmbd.state.lease import Lease, LeaseTable, LeaseWish
from ksmbd.state.oplock import NONE, RH, RWH, Notice, R, State
from ksmbd.wire.create_context import (
    LEASE_BREAK_IN_PROGRESS,
    LEASE_PARENT_KEY_SET,
    RequestLease,
    RequestLeaseV2,
)
from ksmbd.wire.oplock_break import ACK_REQUIRED
from ksmbd.wire.status import NtStatus, NtStatusError

GUID = bytes(16)
KEY = bytes(range(16))
PARENT = bytes(range(16, 32))


def inode(number: int = 1) -> Inode:
    return Inode((1, number))


def wish(version: int = 2, epoch: int = 0, parent: bytes | None = None) -> LeaseWish:
    return LeaseWish(KEY, RWH, version, epoch, parent)


def test_a_key_is_one_lease_for_one_client_and_one_file() -> None:
    table, file = LeaseTable(), inode()
    lease = table.hold(file, GUID, wish(), False)
    assert table.hold(file, GUID, wish(), False) is lease
    assert table.hold(inode(2), b"B" * 16, wish(), False) is not lease
    assert len(table) == 2


def test_a_key_for_another_file_is_refused_before_and_after_it_is_made() -> None:
    table = LeaseTable()
    table.hold(inode(), GUID, wish(), False)
    for act in (
        lambda: table.hold(inode(2), GUID, wish(), False),
        lambda: table.check(inode(2), GUID, KEY),
        lambda: table.check(None, GUID, KEY),
    ):
        with pytest.raises(NtStatusError) as refused:
            act()
        assert refused.value.status is NtStatus.INVALID_PARAMETER
    table.check(None, b"B" * 16, KEY)


def test_a_forgotten_key_is_free() -> None:
    table = LeaseTable()
    lease = table.hold(inode(), GUID, wish(), True)
    assert table.oldest_directories(5) == [lease]
    table.forget(lease)
    table.forget(lease)
    assert len(table) == 0
    assert table.oldest_directories(5) == []
    table.check(inode(2), GUID, KEY)


def test_the_oldest_directories_come_first() -> None:
    table = LeaseTable()
    made = [
        table.hold(inode(n), GUID, LeaseWish(bytes([n]) * 16, RH, 2), n % 2 == 0)
        for n in range(1, 7)
    ]
    assert table.oldest_directories(2) == [made[1], made[3]]


def test_the_epoch_counts_changes_and_begins_again_after_65535() -> None:
    lease = Lease(inode(), GUID, wish(epoch=0xFFFE))
    lease.change(NONE)
    assert lease.epoch == 0xFFFE
    lease.change(RH)
    assert lease.epoch == 0xFFFF
    lease.change(RH)
    assert lease.epoch == 0xFFFF
    lease.change(RWH)
    assert lease.epoch == 0


def test_version_1_says_nothing_of_epochs_and_parents() -> None:
    lease = Lease(inode(), GUID, wish(version=1, epoch=5, parent=PARENT))
    lease.change(R)
    assert lease.context() == RequestLease(lease_key=KEY, lease_state=R)
    assert lease.message(Notice(R, NONE, ack=False)).new_epoch == 0


def test_version_2_says_all_of_them() -> None:
    lease = Lease(inode(), GUID, wish(epoch=5, parent=PARENT))
    lease.change(RWH)
    assert lease.context() == RequestLeaseV2(
        lease_key=KEY,
        lease_state=RWH,
        lease_flags=LEASE_PARENT_KEY_SET,
        parent_lease_key=PARENT,
        epoch=6,
    )
    notice = lease.message(Notice(RWH, RH, ack=True))
    assert (notice.new_epoch, notice.flags) == (6, ACK_REQUIRED)
    assert (notice.current_lease_state, notice.new_lease_state) == (RWH, RH)


def test_a_break_in_progress_shows() -> None:
    lease = Lease(inode(), GUID, wish())
    lease.state = State(RWH, RH, RH)
    context = lease.context()
    assert context.lease_flags == LEASE_BREAK_IN_PROGRESS
    assert context.lease_state == RWH


def test_a_lease_tells_the_log_which_it_is() -> None:
    assert str(Lease(inode(), GUID, wish(epoch=3))) == f"lease {KEY.hex()} at 0, epoch 3"
