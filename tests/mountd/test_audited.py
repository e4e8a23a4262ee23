"""``full_audit:`` parameters, in our words and in those of Samba."""

from __future__ import annotations

import pytest

from ksmbd.wire.auditing import ALL, Operation
from mountd.audited import operations, prefix


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("all", ALL),
        ("", 0),
        ("none", 0),
        ("all none", 0),
        ("ALL !read", ALL & ~Operation.READ),
        ("open !create", Operation.OPEN),
        ("create", Operation.CREATE),
        ("mkdirat renameat", Operation.MKDIR | Operation.RENAME),
        ("unlinkat", Operation.UNLINK | Operation.RMDIR),
        ("pwrite, pwrite_send,write", Operation.WRITE),
        ("fset_nt_acl", Operation.SETSECURITY),
        ("stat readdir get_quota connect", Operation.CONNECT),
        ("!connect", 0),
    ],
)
def test_a_list_of_operations(value: str, expected: int) -> None:
    assert operations(value) == expected


@pytest.mark.parametrize("value", ["wrte", "open;close", "!", "!!open", "all !wrte", "*"])
def test_an_operation_that_there_is_not_is_no_value(value: str) -> None:
    with pytest.raises(ValueError, match="a list out of all, none, connect"):
        operations(value)


@pytest.mark.parametrize("value", ["%u|%I", "%%", "100%% %U at %S", "", '"%u "'])
def test_a_prefix(value: str) -> None:
    assert prefix(value) == value.strip('"')


@pytest.mark.parametrize("value", ["%", "%m", "%u%", "% u"])
def test_a_prefix_with_other_variables_is_none(value: str) -> None:
    with pytest.raises(ValueError, match="variables"):
        prefix(value)
