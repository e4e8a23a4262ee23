"""The computations of NTLMv2, [MS-NLMP] 3.3.2 and 3.4: proofs, keys, message signatures."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from ksmbd.wire.base import Buffer
from ksmbd.wire.ntlm import NEGOTIATE_56, NEGOTIATE_128, NEGOTIATE_KEY_EXCH
from ksmbd.wire.secret import Secret
from ksmbd.wire.text import upcase, utf16

_SIGN_VERSION: Final = b"\1\0\0\0"
_CLIENT: Final = b"session key to client-to-server %s key magic constant\0"
_SERVER: Final = b"session key to server-to-client %s key magic constant\0"


def hmac_md5(key: bytes, *parts: Buffer) -> bytes:
    mac = hmac.new(key, digestmod="md5")
    for part in parts:
        mac.update(part)
    return mac.digest()


def ntowf_v2(nt_hash: bytes, user: str, domain: str) -> bytes:
    """ResponseKeyNT of *user* as the client spelt both names; only the user is upper-cased."""
    return Secret(hmac_md5(nt_hash, utf16(upcase(user) + domain)))


def nt_proof(response_key: bytes, server_challenge: bytes, blob: Buffer) -> bytes:
    """NTProofStr over *blob*, the response after its first 16 bytes ("temp" in the text)."""
    return hmac_md5(response_key, server_challenge, blob)


def session_base_key(response_key: bytes, proof: bytes) -> bytes:
    """SessionBaseKey, which for NTLMv2 is the KeyExchangeKey too."""
    return Secret(hmac_md5(response_key, proof))


def message_integrity_code(
    exported_key: bytes, negotiate: Buffer, challenge: Buffer, *authenticate: Buffer
) -> bytes:
    """The MIC of the AUTHENTICATE_MESSAGE, given with its MIC field zero, 3.1.5.1.2."""
    return hmac_md5(exported_key, negotiate, challenge, *authenticate)


class Rc4:
    """An RC4 key stream; "RC4 handle" in the text. Not for several threads at once."""

    __slots__ = ("_box", "_i", "_j")

    def __init__(self, key: bytes) -> None:
        box = list(range(256))
        j = 0
        for i in range(256):
            j = (j + box[i] + key[i % len(key)]) & 0xFF
            box[i], box[j] = box[j], box[i]
        self._box, self._i, self._j = box, 0, 0

    def crypt(self, data: Buffer) -> bytes:
        """Encrypt or decrypt *data* with the next bytes of the stream."""
        box, i, j = self._box, self._i, self._j
        out = bytearray(data)
        for at in range(len(out)):
            i = (i + 1) & 0xFF
            j = (j + box[i]) & 0xFF
            box[i], box[j] = box[j], box[i]
            out[at] ^= box[(box[i] + box[j]) & 0xFF]
        self._i, self._j = i, j
        return bytes(out)


def rc4(key: bytes, data: Buffer) -> bytes:
    """RC4K of the text: *data* under a fresh stream, for EncryptedRandomSessionKey."""
    return Rc4(key).crypt(data)


def sign_key(exported_key: bytes, *, client: bool) -> bytes:
    """SIGNKEY with extended session security, 3.4.5.2, of what *client* or the server sends."""
    magic = (_CLIENT if client else _SERVER) % b"signing"
    return hashlib.md5(exported_key + magic, usedforsecurity=False).digest()


def seal_key(flags: int, exported_key: bytes, *, client: bool) -> bytes:
    """SEALKEY with extended session security, 3.4.5.3; *flags* decide how much key is used."""
    if flags & NEGOTIATE_128:
        strength = exported_key
    elif flags & NEGOTIATE_56:
        strength = exported_key[:7]
    else:
        strength = exported_key[:5]
    magic = (_CLIENT if client else _SERVER) % b"sealing"
    return hashlib.md5(strength + magic, usedforsecurity=False).digest()


class MessageSigner:
    """MAC() with extended session security in one direction, 3.4.4.2.

    The sequence number and, after a key exchange, the RC4 stream go on from one signature to
    the next: use it once per message, in order.
    """

    __slots__ = ("_key", "_sequence", "_stream")

    def __init__(self, flags: int, exported_key: bytes, *, client: bool) -> None:
        """Sign as the *client* or as the server under the negotiated *flags*."""
        self._key = sign_key(exported_key, client=client)
        self._sequence = 0
        exchanged = flags & NEGOTIATE_KEY_EXCH
        self._stream = Rc4(seal_key(flags, exported_key, client=client)) if exchanged else None

    def sign(self, message: Buffer) -> bytes:
        """The 16-byte NTLMSSP_MESSAGE_SIGNATURE of the next message."""
        sequence = self._sequence.to_bytes(4, "little")
        self._sequence = (self._sequence + 1) & 0xFFFF_FFFF
        checksum = hmac_md5(self._key, sequence, message)[:8]
        if self._stream is not None:
            checksum = self._stream.crypt(checksum)
        return _SIGN_VERSION + checksum + sequence

    def verify(self, message: Buffer, signature: Buffer) -> bool:
        """Whether *signature* is that of the next message, in constant time."""
        return hmac.compare_digest(self.sign(message), bytes(signature))
