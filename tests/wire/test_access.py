"""Access masks."""

from __future__ import annotations

import pytest

from ksmbd.wire.access import (
    FILE_ALL_ACCESS,
    FILE_GENERIC_EXECUTE,
    FILE_GENERIC_READ,
    FILE_GENERIC_WRITE,
    FILE_READ_DATA,
    GENERIC_ALL,
    GENERIC_EXECUTE,
    GENERIC_READ,
    GENERIC_WRITE,
    MAXIMUM_ALLOWED,
    map_generic,
)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        (0, 0),
        (FILE_READ_DATA | MAXIMUM_ALLOWED, FILE_READ_DATA | MAXIMUM_ALLOWED),
        (GENERIC_READ, FILE_GENERIC_READ),
        (GENERIC_WRITE, FILE_GENERIC_WRITE),
        (GENERIC_EXECUTE, FILE_GENERIC_EXECUTE),
        (GENERIC_ALL, FILE_ALL_ACCESS),
        (GENERIC_READ | GENERIC_WRITE, FILE_GENERIC_READ | FILE_GENERIC_WRITE),
        (GENERIC_EXECUTE | MAXIMUM_ALLOWED, FILE_GENERIC_EXECUTE | MAXIMUM_ALLOWED),
    ],
)
def test_generic_rights_become_file_rights(asked: int, meant: int) -> None:
    assert map_generic(asked) == meant
