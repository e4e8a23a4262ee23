"""An NTLMv2 client written for the tests: every message and every field can be changed."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from ksmbd.auth.mechanism import MapToGuest
from ksmbd.auth.ntlmssp import NtlmAcceptor, Target
from ksmbd.crypto import ntlm as crypto
from ksmbd.crypto.md4 import nt_hash
from ksmbd.wire import ntlm
from ksmbd.wire.text import utf16

TARGET = Target("SERVER", "WORKGROUP", "server.example.org", "example.org")
NOW_NS = 1_700_000_000_000_000_000
FLAGS = 0xE2088297  # a Windows 10 client's
SESSION_KEY = bytes(range(0x40, 0x50))


@dataclass
class Person:
    """An account as a look-up returns it."""

    name: str
    nt_hash: bytes


JOE = Person("joe", nt_hash("Passw0rd"))
GUEST = Person("nobody", b"")


def lookup(user: str, _domain: str) -> Person | None:
    return JOE if user.lower() == "joe" else None


def counting_random() -> Callable[[int], bytes]:
    numbers = itertools.count(1)
    return lambda length: next(numbers).to_bytes(2, "big").rjust(length, b"\xc5")


def acceptor(
    find: Callable[[str, str], Person | None] = lookup,
    map_to_guest: MapToGuest[Person] | None = None,
) -> NtlmAcceptor[Person]:
    return NtlmAcceptor(
        TARGET, find, clock=lambda: NOW_NS, random=counting_random(), map_to_guest=map_to_guest
    )


@dataclass
class Challenge:
    """A CHALLENGE_MESSAGE as the client sees it."""

    flags: int
    challenge: bytes
    name: bytes
    info: dict[int, bytes]

    @classmethod
    def parse(cls, token: bytes) -> Challenge:
        assert token[:12] == ntlm.SIGNATURE + b"\2\0\0\0"
        name_length, _, name_at, flags = struct.unpack_from("<HHII", token, 12)
        info_length, _, info_at = struct.unpack_from("<HHI", token, 40)
        return cls(
            flags,
            token[24:32],
            token[name_at : name_at + name_length],
            ntlm.parse_av_pairs(token[info_at : info_at + info_length]),
        )


@dataclass
class Client:
    """Set what differs from a well-behaved client, then negotiate() and authenticate()."""

    user: str = "joe"
    domain: str = "WORKGROUP"
    password: str = "Passw0rd"
    flags: int = FLAGS
    mic: bool = True
    wrong_mic: bool = False
    lm_response: bytes = bytes(24)
    nt_response: bytes | None = None  # instead of the right one
    encrypted_key: bytes | None = None
    session_key: bytes = SESSION_KEY  # the one that is exchanged
    av_pairs: bytes | None = None
    signer: crypto.MessageSigner | None = field(default=None, init=False)
    verifier: crypto.MessageSigner | None = field(default=None, init=False)
    key: bytes = field(default=b"", init=False)
    sent: bytes = field(default=b"", init=False)

    def negotiate(self) -> bytes:
        self.sent = ntlm.SIGNATURE + struct.pack("<II", 1, self.flags) + bytes(24)
        return self.sent

    def authenticate(self, token: bytes) -> bytes:
        challenge = Challenge.parse(token)
        flags = challenge.flags
        response, base = self._response(challenge)
        exchanged = flags & ntlm.NEGOTIATE_KEY_EXCH
        self.key = self.session_key if exchanged else base
        encrypted = crypto.rc4(base, self.key) if exchanged else b""
        if self.encrypted_key is not None:
            encrypted = self.encrypted_key
        values = (
            self.lm_response,
            self.nt_response if self.nt_response is not None else response,
            utf16(self.domain),
            utf16(self.user),
            utf16("CLIENT"),
            encrypted,
        )
        message = self._message(values, flags)
        self.signer = crypto.MessageSigner(flags, self.key, client=True)
        self.verifier = crypto.MessageSigner(flags, self.key, client=False)
        if not self.mic:
            return bytes(message)
        code = crypto.message_integrity_code(self.key, self.sent, token, message)
        message[72:88] = bytes(16) if self.wrong_mic else code
        return bytes(message)

    def _response(self, challenge: Challenge) -> tuple[bytes, bytes]:
        pairs = list(challenge.info.items())
        if self.mic:
            pairs.append((ntlm.AV_FLAGS, b"\2\0\0\0"))
        info = ntlm.build_av_pairs(pairs) if self.av_pairs is None else self.av_pairs
        time = challenge.info.get(ntlm.AV_TIMESTAMP, bytes(8))
        blob = b"\1\1" + bytes(6) + time + b"\xaa" * 8 + bytes(4) + info + bytes(4)
        key = crypto.ntowf_v2(nt_hash(self.password), self.user, self.domain)
        proof = crypto.nt_proof(key, challenge.challenge, blob)
        return proof + blob, crypto.session_base_key(key, proof)

    @staticmethod
    def _message(values: tuple[bytes, ...], flags: int) -> bytearray:
        fields, payload = b"", b""
        for value in values:
            fields += struct.pack("<HHI", len(value), len(value), 88 + len(payload))
            payload += value
        head = ntlm.SIGNATURE + struct.pack("<I", 3) + fields + struct.pack("<I", flags)
        return bytearray(head + bytes(24) + payload)


def anonymous(**changes: object) -> Client:
    """A null session: no user, no response, one zero byte for LM."""
    settings = {"user": "", "domain": "", "lm_response": b"\0", "nt_response": b"", "mic": False}
    return Client(**{**settings, "encrypted_key": b"", **changes})  # type: ignore[arg-type]
