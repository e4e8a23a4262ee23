"""The SHA-512 chain of 3.1.1, Connection. and Session.PreauthIntegrityHashValue.

[MS-SMB2] 3.3.5.4 and 3.3.5.5: each message is hashed after the value so far, which starts as
64 zero bytes.  The NEGOTIATE exchange feeds the connection's value; a session starts from it
and adds each SESSION_SETUP request and each response but the final, successful one.
"""

from __future__ import annotations

import hashlib
from typing import Final

from ksmbd.wire.base import Buffer

START: Final = bytes(64)


def extend(value: bytes, *message: Buffer) -> bytes:
    """The value after *message*, given in one or several consecutive parts, has passed.

    A message is what follows the 4-byte transport length, the signature as it was sent.
    """
    digest = hashlib.sha512(value)
    for part in message:
        digest.update(part)
    return digest.digest()
