"""What the administrator wants: values of ksmbd.conf that travel from mountd to ksmbd."""

from __future__ import annotations

from enum import IntEnum


class Signing(IntEnum):
    """StartingUp.signing, the parameter ``server signing``."""

    DISABLED = 0
    ENABLED = 1
    AUTO = 2
    MANDATORY = 3


class Encryption(IntEnum):
    """The parameters ``smb3 encryption`` and ``smb encrypt``."""

    OFF = 0  # none, whatever the client would like
    AUTO = 1  # for clients that ask for it
    DESIRED = 2  # for all clients that can
    REQUIRED = 3  # or no access


class MapToGuest(IntEnum):
    """StartingUp.map_to_guest: which failed log-on becomes a guest's."""

    NEVER = 0
    BAD_USER = 1
    BAD_PASSWORD = 2  # and BAD_USER
    BAD_UID = 3
