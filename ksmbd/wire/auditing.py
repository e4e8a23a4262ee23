"""What an audit log may record, as one bit each: what mountd tells ksmbd of a share."""

from __future__ import annotations

from enum import IntFlag
from typing import Final


class Operation(IntFlag):
    """``full_audit:success`` and ``full_audit:failure``; configuration, never on a hot path."""

    CONNECT = 1 << 0
    DISCONNECT = 1 << 1
    OPEN = 1 << 2  # of what was there
    CREATE = 1 << 3  # of a new file
    MKDIR = 1 << 4
    CLOSE = 1 << 5
    READ = 1 << 6
    WRITE = 1 << 7
    RENAME = 1 << 8
    LINK = 1 << 9
    UNLINK = 1 << 10
    RMDIR = 1 << 11
    SETINFO = 1 << 12
    SETSECURITY = 1 << 13
    LOCK = 1 << 14
    FSCTL = 1 << 15  # such as change a file


NAMES: Final[dict[str, Operation]] = {str(each.name).lower(): each for each in Operation}
ALL: Final = Operation(sum(Operation))
# What a prefix may have in it: the user, the client, the server, the share.
VARIABLES: Final = frozenset("uUIiS%")
