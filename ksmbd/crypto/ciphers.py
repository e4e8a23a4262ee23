"""AES as the package cryptography has it, alike for us whatever its release.

From 47 on it works in place and takes any buffer: what is made here is then the package's own
object, and nothing stands between.  Distributions have older ones (Debian 12: 38, Debian 13: 43);
with those every message is copied on its way.
"""

from __future__ import annotations

from typing import Final, cast

from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from ksmbd.wire.base import Buffer

IN_PLACE: Final = hasattr(AESGCM, "encrypt_into")


class CopyingAead:
    """AES-GCM or AES-CCM of an older release, with the methods of a new one."""

    __slots__ = ("_aead",)

    def __init__(self, aead: AESCCM | AESGCM) -> None:
        self._aead = aead

    def encrypt(self, nonce: Buffer, data: Buffer, aad: Buffer) -> bytes:
        return self._aead.encrypt(bytes(nonce), bytes(data), bytes(aad))

    def decrypt(self, nonce: Buffer, sealed: Buffer, aad: Buffer) -> bytes:
        """Raises InvalidTag."""
        return self._aead.decrypt(bytes(nonce), bytes(sealed), bytes(aad))

    def encrypt_into(self, nonce: Buffer, data: Buffer, aad: Buffer, into: memoryview) -> None:
        into[:] = self.encrypt(nonce, data, aad)

    def decrypt_into(self, nonce: Buffer, sealed: Buffer, aad: Buffer, into: memoryview) -> None:
        """Raises InvalidTag; *into* is then as it was."""
        into[:] = self.decrypt(nonce, sealed, aad)


class CopyingCmac:
    """AES-CMAC of an older release, which knows ``bytes`` alone."""

    __slots__ = ("_cmac",)

    def __init__(self, cmac: CMAC) -> None:
        self._cmac = cmac

    def update(self, data: Buffer) -> None:
        self._cmac.update(bytes(data))

    def copy(self) -> CopyingCmac:
        return CopyingCmac(self._cmac.copy())

    def finalize(self) -> bytes:
        return self._cmac.finalize()


def gcm(key: bytes) -> AESGCM:
    """AES-GCM with a tag of 16 bytes; by the key's length AES-128 or AES-256."""
    aead = AESGCM(key)
    return aead if IN_PLACE else cast(AESGCM, CopyingAead(aead))


def ccm(key: bytes, tag_length: int) -> AESCCM:
    aead = AESCCM(key, tag_length=tag_length)
    return aead if IN_PLACE else cast(AESCCM, CopyingAead(aead))


def cmac(key: bytes) -> CMAC:
    made = CMAC(AES(key))
    return made if IN_PLACE else cast(CMAC, CopyingCmac(made))
