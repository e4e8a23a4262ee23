"""Message signatures, [MS-SMB2] 3.1.4.1: HMAC-SHA256, AES-CMAC, AES-GMAC.

A Signer is made once per signing key and shared by all threads: what it holds is never
changed, only copied (0.6-0.9 us for a small message, where building the key anew costs 2-3).
HMAC and GMAC release the GIL on large messages, CMAC holds it.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Sequence
from typing import Final, cast

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from ksmbd.crypto.ciphers import cmac, gcm
from ksmbd.wire.base import Buffer
from ksmbd.wire.header import HEADER_SIZE, SIGNATURE_OFFSET
from ksmbd.wire.negotiate import AES_CMAC, AES_GMAC, HMAC_SHA256

_FROM_SERVER: Final = 1
_IS_CANCEL: Final = 2
_UNSIGNED: Final = bytes(16)
_NONCE: Final = struct.Struct("<QI")


class Signer:
    """Signs and verifies with one key and algorithm."""

    __slots__ = ("_gmac", "_keyed", "algorithm")

    def __init__(self, algorithm: int, key: bytes) -> None:
        """*algorithm* is a SigningAlgorithmId, *key* has 16 bytes. ValueError for others."""
        self.algorithm = algorithm
        self._gmac: AESGCM | None = None
        self._keyed: HMAC
        if algorithm == HMAC_SHA256:
            self._keyed = HMAC(key, SHA256())
        elif algorithm == AES_CMAC:
            # the annotation of CMAC.update knows only bytes; it takes any buffer, as HMAC's does
            self._keyed = cast(HMAC, cmac(key))
        elif algorithm == AES_GMAC:
            self._gmac = gcm(key)
        else:
            raise ValueError(f"signing algorithm {algorithm}")

    def sign(
        self,
        parts: Sequence[Buffer],
        message_id: int,
        *,
        server: bool = True,
        cancel: bool = False,
    ) -> bytes:
        """The 16-byte signature of *parts* laid end to end.

        The caller has set SIGNED and zeroed the Signature field. One part is never copied;
        several are joined for GMAC only, which is faster than feeding them one by one. With
        GMAC a MessageId must sign one message in each direction: an interim response, which
        shares it with the final one, goes out unsigned.
        """
        if self._gmac is not None:
            nonce = _NONCE.pack(message_id, server * _FROM_SERVER | cancel * _IS_CANCEL)
            return self._gmac.encrypt(nonce, b"", parts[0] if len(parts) == 1 else b"".join(parts))
        mac = self._keyed.copy()
        for part in parts:
            mac.update(part)
        return mac.finalize()[:16]

    def sign_into(
        self,
        message: bytearray | memoryview,
        message_id: int,
        *,
        server: bool = True,
        cancel: bool = False,
    ) -> None:
        """Write the signature of one contiguous *message* into its header, zero until then."""
        signature = self.sign((message,), message_id, server=server, cancel=cancel)
        message[SIGNATURE_OFFSET:HEADER_SIZE] = signature

    def verify(
        self,
        message: memoryview,
        message_id: int,
        *,
        server: bool = False,
        cancel: bool = False,
    ) -> bool:
        """Whether the header's signature is right, compared in constant time.

        *message* is one command from its header on, compound padding included. If it is
        writable the field is zeroed meanwhile and restored; nobody else may use it then.
        """
        if len(message) < HEADER_SIZE:
            return False
        claimed = bytes(message[SIGNATURE_OFFSET:HEADER_SIZE])
        if message.readonly:
            parts = (message[:SIGNATURE_OFFSET], _UNSIGNED, message[HEADER_SIZE:])
            actual = self.sign(parts, message_id, server=server, cancel=cancel)
        else:
            message[SIGNATURE_OFFSET:HEADER_SIZE] = _UNSIGNED
            actual = self.sign((message,), message_id, server=server, cancel=cancel)
            message[SIGNATURE_OFFSET:HEADER_SIZE] = claimed
        return hmac.compare_digest(actual, claimed)


class _Unverifiable(Signer):
    """Stands where a reply must say that it is signed and there is no key."""

    __slots__ = ()

    def __init__(self) -> None:
        self.algorithm = HMAC_SHA256

    def sign(
        self,
        parts: Sequence[Buffer],
        message_id: int,
        *,
        server: bool = True,
        cancel: bool = False,
    ) -> bytes:
        return _UNSIGNED


UNVERIFIABLE: Final = _Unverifiable()
