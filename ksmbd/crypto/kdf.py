"""Every key that is derived from a session key, by dialect, [MS-SMB2] 3.1.4.2 and 3.3.5.5.3.

One block of the SP800-108 counter-mode KDF with HMAC-SHA256 yields 256 bits, all that is
ever asked for.
"""

from __future__ import annotations

import hmac
from typing import Final, NamedTuple

from ksmbd.wire.negotiate import AES_256_CCM, AES_256_GCM, SMB_3_0, SMB_3_1_1
from ksmbd.wire.secret import Secret

KEY_LENGTH: Final = 16  # bytes of Session.SessionKey and of every signing key
LONG_CIPHERS: Final = frozenset((AES_256_CCM, AES_256_GCM))  # with 32-byte keys


class CipherKeys(NamedTuple):
    """The two keys of a sealed session as the server names them."""

    encrypt: bytes  # Session.EncryptionKey: server to client
    decrypt: bytes  # Session.DecryptionKey: client to server


def kdf(key: bytes, label: bytes, context: bytes, length: int = KEY_LENGTH) -> bytes:
    """Derive *length* (at most 32) bytes, SP800-108 5.1 with r = 32.

    *label* and *context* carry their own terminating NUL where the specification shows one.
    """
    block = b"\0\0\0\1" + label + b"\0" + context + (length * 8).to_bytes(4, "big")
    return Secret(hmac.digest(key, block, "sha256")[:length])


def short_key(full_session_key: bytes) -> bytes:
    """Session.SessionKey: the first 16 bytes of the mechanism's key, zero-filled if it is short."""
    return Secret(full_session_key[:KEY_LENGTH].ljust(KEY_LENGTH, b"\0"))


def signing_key(dialect: int, session_key: bytes, preauth_hash: bytes) -> bytes:
    """Session.SigningKey or Channel.SigningKey, always 16 bytes.

    *preauth_hash* is the session's (of a channel: the channel's) PreauthIntegrityHashValue;
    dialects before 3.1.1 ignore it, and those before 3.0 sign with the session key itself.
    """
    key = short_key(session_key)
    if dialect >= SMB_3_1_1:
        return kdf(key, b"SMBSigningKey\0", preauth_hash)
    if dialect >= SMB_3_0:
        return kdf(key, b"SMB2AESCMAC\0", b"SmbSign\0")
    return key


def cipher_keys(
    dialect: int, cipher: int, full_session_key: bytes, preauth_hash: bytes
) -> CipherKeys:
    """Session.EncryptionKey and Session.DecryptionKey for *cipher* (1 to 4) of a 3.x dialect.

    The AES-256 ciphers are fed the whole key of the mechanism and yield 32 bytes; the signing
    key stays at 16 whatever the cipher.
    """
    if dialect < SMB_3_1_1:
        key = short_key(full_session_key)
        label = b"SMB2AESCCM\0"
        return CipherKeys(kdf(key, label, b"ServerOut\0"), kdf(key, label, b"ServerIn \0"))
    long = cipher in LONG_CIPHERS
    key = full_session_key if long else short_key(full_session_key)
    length = 32 if long else KEY_LENGTH
    return CipherKeys(
        kdf(key, b"SMBS2CCipherKey\0", preauth_hash, length),
        kdf(key, b"SMBC2SCipherKey\0", preauth_hash, length),
    )


def application_key(dialect: int, session_key: bytes, preauth_hash: bytes) -> bytes:
    """Session.ApplicationKey, what a named pipe's server sees as the session key; 16 bytes."""
    key = short_key(session_key)
    if dialect >= SMB_3_1_1:
        return kdf(key, b"SMBAppKey\0", preauth_hash)
    if dialect >= SMB_3_0:
        return kdf(key, b"SMB2APP\0", b"SmbRpc\0")
    return key
