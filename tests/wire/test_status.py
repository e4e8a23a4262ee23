"""Statuses and the errno table."""

from __future__ import annotations

import errno

import pytest

from ksmbd.wire.status import STATUS_FROM_ERRNO, NtStatus, NtStatusError, from_oserror


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (errno.ENOENT, NtStatus.OBJECT_NAME_NOT_FOUND),
        (errno.ENOTDIR, NtStatus.OBJECT_PATH_NOT_FOUND),
        (errno.EACCES, NtStatus.ACCESS_DENIED),
        (errno.EEXIST, NtStatus.OBJECT_NAME_COLLISION),
        (errno.ENOTEMPTY, NtStatus.DIRECTORY_NOT_EMPTY),
        (errno.ENOSPC, NtStatus.DISK_FULL),
        (errno.EDQUOT, NtStatus.DISK_FULL),
        (errno.EUCLEAN, NtStatus.UNEXPECTED_IO_ERROR),
    ],
)
def test_an_errno_becomes_a_status(number: int, status: NtStatus) -> None:
    assert from_oserror(OSError(number, "")) is status


def test_an_error_without_a_number_is_unexpected() -> None:
    assert from_oserror(OSError("?")) is NtStatus.UNEXPECTED_IO_ERROR


def test_every_errno_maps_to_a_refusal() -> None:
    assert all(status >> 30 == 3 for status in STATUS_FROM_ERRNO.values())


def test_an_error_names_its_status() -> None:
    assert str(NtStatusError(NtStatus.FILE_CLOSED)) == "FILE_CLOSED"
    assert str(NtStatusError(NtStatus.FILE_CLOSED, "id 0x9")) == "FILE_CLOSED: id 0x9"


def test_no_status_has_two_names() -> None:
    assert len(NtStatus.__members__) == len(NtStatus)
