"""MD4, RFC 1320, for the NT hash: OpenSSL 3 no longer offers it.

Written for passwords, a few dozen bytes; nothing on a request's path uses it.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from ksmbd.wire.secret import Secret

_MASK: Final = 0xFFFF_FFFF


class _Round(NamedTuple):
    constant: int
    order: tuple[int, ...]  # which word of the block each of the 16 steps takes
    shifts: tuple[int, int, int, int]


_ROUNDS: Final = (
    _Round(0, tuple(range(16)), (3, 7, 11, 19)),
    _Round(0x5A827999, tuple(4 * i + j for j in range(4) for i in range(4)), (3, 5, 9, 13)),
    _Round(
        0x6ED9EBA1,
        tuple(4 * i + j for j in (0, 2, 1, 3) for i in (0, 2, 1, 3)),
        (3, 9, 11, 15),
    ),
)


def nt_hash(password: str) -> bytes:
    """NTOWFv1: the 16 bytes that stand for *password* in NTLM, [MS-NLMP] 3.3.1."""
    return Secret(md4(password.encode("utf-16-le")))


def md4(data: bytes) -> bytes:
    """The 16-byte digest of *data*."""
    padding = b"\x80" + bytes(-(len(data) + 9) % 64)
    padded = data + padding + struct.pack("<Q", len(data) * 8 & 0xFFFF_FFFF_FFFF_FFFF)
    state = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
    for words in struct.iter_unpack("<16I", padded):
        state = _block(state, words)
    return struct.pack("<4I", *state)


def _block(state: tuple[int, int, int, int], words: tuple[int, ...]) -> tuple[int, int, int, int]:
    a, b, c, d = state
    for number, (constant, order, shifts) in enumerate(_ROUNDS):
        for step, word in enumerate(order):
            total = (a + _mix(number, b, c, d) + words[word] + constant) & _MASK
            shift = shifts[step % 4]
            a, b, c, d = d, (total << shift | total >> (32 - shift)) & _MASK, b, c
    return (
        (state[0] + a) & _MASK,
        (state[1] + b) & _MASK,
        (state[2] + c) & _MASK,
        (state[3] + d) & _MASK,
    )


def _mix(number: int, x: int, y: int, z: int) -> int:
    """F, G and H of RFC 1320 3.4."""
    if number == 0:
        return x & y | ~x & z
    if number == 1:
        return x & y | x & z | y & z
    return x ^ y ^ z
