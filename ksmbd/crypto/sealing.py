"""Encrypted messages: AES-CCM and AES-GCM under the transform header, [MS-SMB2] 2.2.41.

Sealing follows 3.1.4.3, opening 3.3.5.2.1.  A Sealer belongs to a session's EncryptionKey
and is shared by all its channels; an Unsealer to its DecryptionKey.  Both hold one key object
for good and work in place where the buffer has 16 spare bytes at its end: the cipher wants
the tag behind the text, the protocol puts it into the header.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from ksmbd.crypto.ciphers import ccm, gcm
from ksmbd.wire.base import Buffer
from ksmbd.wire.header import (
    HEADER_SIZE,
    NONCE_OFFSET,
    TRANSFORM_AAD_OFFSET,
    TRANSFORM_ENCRYPTED,
    TRANSFORM_PROTOCOL_ID,
    TRANSFORM_SIZE,
)
from ksmbd.wire.negotiate import AES_128_CCM, AES_128_GCM, AES_256_CCM, AES_256_GCM
from ksmbd.wire.status import Disconnect

KEY_LENGTHS: Final = {  # by CipherId
    AES_128_CCM: 16,
    AES_128_GCM: 16,
    AES_256_CCM: 32,
    AES_256_GCM: 32,
}
_CCM: Final = frozenset((AES_128_CCM, AES_256_CCM))

# TRANSFORM_HEADER, [MS-SMB2] 2.2.41, without an object for each message
_HEADER: Final = struct.Struct("<4s16s16sIHHQ")
TAG_SIZE: Final = 16
_TAG: Final = slice(4, 4 + TAG_SIZE)  # the header's Signature
_COUNTER_SIZE: Final = 8  # bytes of a nonce that count; the ones before are the key's prefix
_COUNTER_END: Final = 1 << 8 * _COUNTER_SIZE
RESERVE: Final = 1 << 32  # nonces kept for the messages that lead to a new session


def _aead(cipher: int, key: bytes) -> AESCCM | AESGCM:
    if len(key) != KEY_LENGTHS.get(cipher):
        raise ValueError(f"cipher {cipher} with a key of {len(key)} bytes")
    return ccm(key, TAG_SIZE) if cipher in _CCM else gcm(key)


def nonce_length(cipher: int) -> int:
    """Bytes of the header's 16-byte Nonce that *cipher* uses: 11 or 12."""
    return 11 if cipher in _CCM else 12


class Sealer:
    """Encrypts with one key, never twice under the same nonce."""

    __slots__ = ("_aead", "_lock", "_next", "_prefix", "cipher")

    def __init__(
        self, cipher: int, key: bytes, random: Callable[[int], bytes], first: int = 0
    ) -> None:
        """Take the nonce's prefix from *random*; *first* is the counter of the first message.

        ValueError for an unknown cipher or a key of the wrong length.
        """
        self.cipher = cipher
        self._aead = _aead(cipher, key)
        self._prefix = random(nonce_length(cipher) - _COUNTER_SIZE)
        self._next = first  # by self._lock
        self._lock = threading.Lock()

    def unsealer(self) -> Unsealer:
        """What opens the messages that this one has sealed, as their receiver does."""
        return Unsealer(self.cipher, self._aead)

    @property
    def spent(self) -> bool:
        """Whether so few nonces are left that the session must end."""
        return self._next >= _COUNTER_END - RESERVE

    def seal_in_place(self, frame: memoryview, session_id: int) -> memoryview:
        """Seal ``[52 bytes of room][message][16 spare bytes]`` and return it without the spare.

        Disconnect when the key has no nonces left.
        """
        size = len(frame) - TRANSFORM_SIZE - TAG_SIZE
        if size <= 0:
            raise ValueError(f"no message in a frame of {len(frame)} bytes")
        nonce = self._nonce()
        _HEADER.pack_into(
            frame, 0, TRANSFORM_PROTOCOL_ID, b"", nonce, size, 0, TRANSFORM_ENCRYPTED, session_id
        )
        body = frame[TRANSFORM_SIZE:]
        aad = frame[TRANSFORM_AAD_OFFSET:TRANSFORM_SIZE]
        self._aead.encrypt_into(nonce, body[:size], aad, body)
        frame[_TAG] = body[size:]
        return frame[:-TAG_SIZE]

    def seal(self, parts: Sequence[Buffer], session_id: int) -> memoryview:
        """Copy *parts*, one message or compound, behind a transform header and seal them."""
        frame = bytearray(TRANSFORM_SIZE)
        for part in parts:
            frame += part
        frame += bytes(TAG_SIZE)
        return self.seal_in_place(memoryview(frame), session_id)

    def _nonce(self) -> bytes:
        with self._lock:
            counter = self._next
            self._next = counter + 1
        if counter >= _COUNTER_END:
            raise Disconnect("the encryption key has no nonces left")
        return self._prefix + counter.to_bytes(_COUNTER_SIZE, "little")


class Unsealer:
    """Decrypts with one key. A message that is not authentic ends its connection."""

    __slots__ = ("_aead", "_nonce")

    def __init__(self, cipher: int, key: bytes | AESCCM | AESGCM) -> None:
        """ValueError for an unknown cipher or a key of the wrong length."""
        self._aead = _aead(cipher, key) if isinstance(key, bytes) else key
        self._nonce = slice(NONCE_OFFSET, NONCE_OFFSET + nonce_length(cipher))

    def unseal(self, frame: Buffer) -> memoryview:
        """Decrypt a whole transformed message into a new buffer.

        Disconnect if the header is wrong, OriginalMessageSize is not what follows it, or the
        message is not authentic.
        """
        view = memoryview(frame)
        _check(view, len(view) - TRANSFORM_SIZE)
        sealed = b"".join((view[TRANSFORM_SIZE:], view[_TAG]))
        aad = view[TRANSFORM_AAD_OFFSET:TRANSFORM_SIZE]
        try:
            return memoryview(self._aead.decrypt(view[self._nonce], sealed, aad))
        except InvalidTag:
            raise Disconnect("an encrypted message is not authentic") from None

    def unseal_in_place(self, frame: memoryview) -> memoryview:
        """Decrypt ``[transformed message][16 spare bytes]`` where it lies; return the message.

        Disconnect as in unseal; the buffer is then worthless.
        """
        size = len(frame) - TRANSFORM_SIZE - TAG_SIZE
        _check(frame, size)
        sealed = frame[TRANSFORM_SIZE:]
        sealed[size:] = frame[_TAG]
        message = sealed[:size]
        aad = frame[TRANSFORM_AAD_OFFSET:TRANSFORM_SIZE]
        try:
            self._aead.decrypt_into(frame[self._nonce], sealed, aad, message)
        except InvalidTag:
            raise Disconnect("an encrypted message is not authentic") from None
        return message


def _check(frame: memoryview, size: int) -> None:
    """Disconnect unless a transform header announces the *size* bytes that follow it."""
    if size < HEADER_SIZE:
        raise Disconnect(f"encrypted message of {size} bytes")
    protocol, _, _, said, _, flags, _ = _HEADER.unpack_from(frame)
    if protocol != TRANSFORM_PROTOCOL_ID or flags != TRANSFORM_ENCRYPTED:
        raise Disconnect(f"no transform header: {protocol.hex()} {flags:#x}")
    if said != size:
        raise Disconnect(f"OriginalMessageSize {said} of {size} bytes")
