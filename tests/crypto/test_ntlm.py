"""Vectors of [MS-NLMP] 4.2.4 and of the exchange in tests/crypto/vectors.py."""

from __future__ import annotations

import pytest

from ksmbd.crypto import ntlm
from ksmbd.crypto.md4 import nt_hash
from ksmbd.wire.ntlm import NEGOTIATE_56, NEGOTIATE_128, NEGOTIATE_KEY_EXCH
from tests.crypto import vectors
from tests.crypto.vectors import h

FLAGS = 0xE28A8233
RESPONSE_KEY = h("0c868a403bfd7a93a3001ef22ef02e3f")
CHALLENGE = h("0123456789abcdef")
BLOB = h(
    "01010000000000000000000000000000aaaaaaaaaaaaaaaa0000000002000c0044006f006d00610069006e00"
    "01000c005300650072007600650072000000000000000000"
)
PROOF = h("68cd0ab851e51c96aabc927bebef6a1c")
BASE_KEY = h("8de40ccadbc14a82f15cb0ad0de95ca3")
EXPORTED = h("55" * 16)
MECH_TYPES = h("300C060A2B06010401823702020A")


def test_ntowf_v2_is_that_of_the_example() -> None:
    assert ntlm.ntowf_v2(nt_hash("Password"), "User", "Domain") == RESPONSE_KEY


def test_ntowf_v2_ignores_the_case_of_the_user_and_keeps_that_of_the_domain() -> None:
    key = nt_hash("Password")
    assert ntlm.ntowf_v2(key, "uSER", "Domain") == RESPONSE_KEY
    assert ntlm.ntowf_v2(key, "User", "DOMAIN") != RESPONSE_KEY


def test_ntowf_v2_upper_cases_character_by_character() -> None:
    key = nt_hash("Password")
    assert ntlm.ntowf_v2(key, "jürgen", "") == ntlm.ntowf_v2(key, "JÜRGEN", "")
    assert ntlm.ntowf_v2(key, "weiß", "") != ntlm.ntowf_v2(key, "WEISS", "")


def test_proof_and_base_key_are_those_of_the_example() -> None:
    proof = ntlm.nt_proof(RESPONSE_KEY, CHALLENGE, BLOB)
    assert proof == PROOF
    assert ntlm.session_base_key(RESPONSE_KEY, proof) == BASE_KEY


def test_the_exchanged_key_is_that_of_the_example() -> None:
    encrypted = h("c5dad2544fc9799094ce1ce90bc9d03e")
    assert ntlm.rc4(BASE_KEY, encrypted) == EXPORTED
    assert ntlm.rc4(BASE_KEY, EXPORTED) == encrypted


def test_sign_and_seal_keys_are_those_of_the_example() -> None:
    assert ntlm.sign_key(EXPORTED, client=True) == h("4788dc861b4782f35d43fd98fe1a2d39")
    assert ntlm.seal_key(FLAGS, EXPORTED, client=True) == h("59f600973cc4960a25480a7c196e4c58")


def test_a_seal_key_shrinks_with_the_negotiated_strength() -> None:
    full = ntlm.seal_key(NEGOTIATE_128 | NEGOTIATE_56, EXPORTED, client=False)
    medium = ntlm.seal_key(NEGOTIATE_56, EXPORTED, client=False)
    weak = ntlm.seal_key(0, EXPORTED, client=False)
    assert len({full, medium, weak}) == 3


def test_the_signature_after_the_sealed_text_is_that_of_the_example() -> None:
    text = "Plaintext".encode("utf-16-le")
    signer = ntlm.MessageSigner(FLAGS, EXPORTED, client=True)
    assert signer._stream is not None
    assert signer._stream.crypt(text) == h("54e50165bf1936dc996020c1811b0f06fb5f")
    assert signer.sign(text) == h("010000007fb38ec5c55d497600000000")


def test_windows_mech_list_mics_verify_in_both_directions() -> None:
    flags = 0xE2888215
    client = ntlm.MessageSigner(flags, vectors.SETUP_KEY, client=True)
    assert client.verify(MECH_TYPES, vectors.SETUP_REQUEST_2[-16:])
    server = ntlm.MessageSigner(flags, vectors.SETUP_KEY, client=False)
    assert server.sign(MECH_TYPES) == vectors.SETUP_RESPONSE_2[-16:]


def test_windows_message_integrity_code_verifies() -> None:
    negotiate = vectors.SETUP_REQUEST_1[-40:]
    challenge = vectors.SETUP_RESPONSE_1[-148:]
    at = vectors.SETUP_REQUEST_2.index(b"NTLMSSP\0")
    authenticate = vectors.SETUP_REQUEST_2[at : at + 0x1A6]
    code = ntlm.message_integrity_code(
        vectors.SETUP_KEY, negotiate, challenge, authenticate[:72], bytes(16), authenticate[88:]
    )
    assert code == authenticate[72:88]


def test_signatures_count_and_never_repeat() -> None:
    signer = ntlm.MessageSigner(FLAGS, EXPORTED, client=False)
    first, second = signer.sign(b"same"), signer.sign(b"same")
    assert first != second
    assert (first[12:], second[12:]) == (b"\0\0\0\0", b"\1\0\0\0")


def test_without_a_key_exchange_the_checksum_is_plain() -> None:
    signer = ntlm.MessageSigner(FLAGS & ~NEGOTIATE_KEY_EXCH, EXPORTED, client=True)
    key = ntlm.sign_key(EXPORTED, client=True)
    assert signer.sign(b"text")[4:12] == ntlm.hmac_md5(key, bytes(4), b"text")[:8]


@pytest.mark.parametrize("length", [0, 15, 16, 17])
def test_a_wrong_signature_does_not_verify(length: int) -> None:
    assert not ntlm.MessageSigner(FLAGS, EXPORTED, client=True).verify(b"text", bytes(length))


@pytest.mark.parametrize(
    ("key", "plain", "sealed"),
    [
        (b"Key", b"Plaintext", "bbf316e8d940af0ad3"),
        (b"Wiki", b"pedia", "1021bf0420"),
        (b"Secret", b"Attack at dawn", "45a01f645fc35b383552544b9bf5"),
    ],
)
def test_rc4_gives_the_well_known_streams(key: bytes, plain: bytes, sealed: str) -> None:
    assert ntlm.rc4(key, plain) == h(sealed)
    stream = ntlm.Rc4(key)
    assert b"".join(stream.crypt(plain[at : at + 1]) for at in range(len(plain))) == h(sealed)
