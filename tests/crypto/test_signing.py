from __future__ import annotations

import hashlib
import hmac
import struct
import threading

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ksmbd.crypto.signing import Signer
from ksmbd.wire.base import Buffer
from ksmbd.wire.negotiate import AES_CMAC, AES_GMAC, HMAC_SHA256
from tests.crypto import vectors
from tests.crypto.vectors import h

ALGORITHMS = [HMAC_SHA256, AES_CMAC, AES_GMAC]
KEY = bytes(range(16))
MESSAGE = b"\xfeSMB" + bytes(range(44)) + bytes(16) + b"body of the message" * 9

RFC_4493_KEY = h("2b7e151628aed2a6abf7158809cf4f3c")
RFC_4493_TEXT = h(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)


@pytest.mark.parametrize(
    ("length", "tag"),
    [
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
        (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ],
)
def test_cmac_gives_the_tags_of_rfc_4493(length: int, tag: str) -> None:
    assert Signer(AES_CMAC, RFC_4493_KEY).sign((RFC_4493_TEXT[:length],), 0) == h(tag)


def test_windows_signature_of_a_session_setup_response_verifies() -> None:
    signer = Signer(AES_CMAC, vectors.SETUP_SIGNING_KEY)
    assert signer.verify(memoryview(vectors.SETUP_RESPONSE_2), 3, server=True)


def test_hmac_is_the_first_half_of_hmac_sha256() -> None:
    expected = hmac.digest(KEY, MESSAGE, hashlib.sha256)[:16]
    assert Signer(HMAC_SHA256, KEY).sign((MESSAGE,), 0) == expected


def test_hmac_gives_the_tag_of_rfc_4231_case_1() -> None:
    tag = Signer(HMAC_SHA256, b"\x0b" * 20).sign((b"Hi There",), 0)
    assert tag == h("b0344c61d8db38535ca8afceaf0bf12b")


@pytest.mark.parametrize(
    ("server", "cancel", "bits"),
    [(True, False, 1), (False, False, 0), (False, True, 2), (True, True, 3)],
)
def test_gmac_nonce_is_message_id_then_role_and_cancel(
    server: bool, cancel: bool, bits: int
) -> None:
    nonce = struct.pack("<QI", 0x1122334455667788, bits)
    tag = Signer(AES_GMAC, KEY).sign((MESSAGE,), 0x1122334455667788, server=server, cancel=cancel)
    assert tag == AESGCM(KEY).encrypt(nonce, b"", MESSAGE)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_parts_sign_as_their_concatenation(algorithm: int, wrap: type) -> None:
    signer = Signer(algorithm, KEY)
    parts: list[Buffer] = [wrap(MESSAGE[:64]), wrap(MESSAGE[64:70]), wrap(b""), wrap(MESSAGE[70:])]
    assert signer.sign(parts, 7) == signer.sign((MESSAGE,), 7)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signed_message_verifies_and_is_left_as_it_was(algorithm: int) -> None:
    signer = Signer(algorithm, KEY)
    message = bytearray(MESSAGE)
    signer.sign_into(message, 9, server=False)
    signed = bytes(message)
    assert signed[48:64] == signer.sign((MESSAGE,), 9, server=False)
    assert signer.verify(memoryview(message), 9)
    assert message == signed
    assert signer.verify(memoryview(signed), 9)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("at", range(0, len(MESSAGE), 13))
def test_a_flipped_bit_anywhere_does_not_verify(algorithm: int, at: int) -> None:
    signer = Signer(algorithm, KEY)
    message = bytearray(MESSAGE)
    signer.sign_into(message, 9, server=False)
    message[at] ^= 0x40
    assert not signer.verify(memoryview(message), 9)
    assert not signer.verify(memoryview(bytes(message)), 9)


def test_gmac_binds_the_message_id_and_the_direction() -> None:
    signer = Signer(AES_GMAC, KEY)
    message = bytearray(MESSAGE)
    signer.sign_into(message, 9, server=False)
    assert not signer.verify(memoryview(message), 10)
    assert not signer.verify(memoryview(message), 9, server=True)
    assert not signer.verify(memoryview(message), 9, cancel=True)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_key_does_not_verify(algorithm: int) -> None:
    message = bytearray(MESSAGE)
    Signer(algorithm, KEY).sign_into(message, 9, server=False)
    assert not Signer(algorithm, bytes(16)).verify(memoryview(message), 9)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_less_than_a_header_does_not_verify(algorithm: int) -> None:
    assert not Signer(algorithm, KEY).verify(memoryview(MESSAGE[:63]), 9)


def test_an_unknown_algorithm_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="algorithm 3"):
        Signer(3, KEY)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_signer_serves_many_threads(algorithm: int) -> None:
    signer = Signer(algorithm, KEY)
    messages = [bytes([n]) * (64 + 1000 * n) for n in range(8)]
    expected = [signer.sign((message,), n) for n, message in enumerate(messages)]
    wrong: list[int] = []

    def work(n: int) -> None:
        for _ in range(50):
            if signer.sign((messages[n],), n) != expected[n]:
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
