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
    LOGON = 1 << 16  # these two are of the server: no share has a say
    LOGOFF = 1 << 17


def _named(*operations: Operation) -> dict[str, Operation]:
    return {str(each.name).lower(): each for each in operations}


# What a share may have recorded, and what the server: of all shares, and of none.
NAMES: Final = _named(*(each for each in Operation if each < Operation.LOGON))
ALL: Final = Operation(sum(NAMES.values()))
OF_SERVER: Final = _named(
    Operation.LOGON, Operation.LOGOFF, Operation.CONNECT, Operation.DISCONNECT
)
ALL_OF_SERVER: Final = Operation(sum(OF_SERVER.values()))
# What a prefix may have in it: the user, the client, the server, the share.
VARIABLES: Final = frozenset("uUImiS%")
