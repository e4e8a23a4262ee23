"""``full_audit:`` parameters, in our words and in those of Samba."""

from __future__ import annotations

import pytest

from ksmbd.wire.auditing import ALL, ALL_OF_SERVER, Operation
from mountd.audited import operations, prefix, server_operations


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


def test_the_servers_list_has_log_ons_and_nothing_of_files() -> None:
    assert server_operations("logon, disconnect !logon") == Operation.DISCONNECT
    assert server_operations("all") == ALL_OF_SERVER
    for value in ("open", "mkdirat", "logon write"):
        with pytest.raises(ValueError, match="all, none, logon, logoff, connect, disconnect"):
            server_operations(value)
    with pytest.raises(ValueError, match="all, none"):
        operations("logon")


@pytest.mark.parametrize("value", ["wrte", "open;close", "!", "!!open", "all !wrte", "*"])
def test_an_operation_that_there_is_not_is_no_value(value: str) -> None:
    with pytest.raises(ValueError, match="a list out of all, none, connect"):
        operations(value)


@pytest.mark.parametrize("value", ["%u|%I", "%%", "100%% %U at %S", "", '"%u "'])
def test_a_prefix(value: str) -> None:
    assert prefix(value) == value.strip('"')


@pytest.mark.parametrize("value", ["%", "%T", "%u%", "% u"])
def test_a_prefix_with_other_variables_is_none(value: str) -> None:
    with pytest.raises(ValueError, match="variables"):
        prefix(value)
