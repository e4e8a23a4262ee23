from __future__ import annotations

import pytest

from ksmbd.crypto import kdf
from tests.crypto import vectors
from tests.crypto.vectors import h

KEY_3_0 = h("7CD451825D0450D235424E44BA6E78CC")


def test_keys_of_3_0_are_those_of_the_published_vector() -> None:
    assert kdf.signing_key(0x0300, KEY_3_0, b"") == h("0B7E9C5CAC36C0F6EA9AB275298CEDCE")
    keys = kdf.cipher_keys(0x0300, 1, KEY_3_0, b"")
    assert keys.decrypt == h("FAD27796665B313EBB578F388632B4F7")
    assert keys.encrypt == h("B0F0427F7CEB416D1D9DCC0CD4F99447")
    assert kdf.application_key(0x0300, KEY_3_0, b"") == h("BB23A4575AA26C721AF525AF15A87B4F")


def test_keys_of_3_0_2_are_derived_as_those_of_3_0() -> None:
    assert kdf.signing_key(0x0302, vectors.CCM_SESSION_KEY, b"x") == vectors.CCM_SIGNING_KEY
    keys = kdf.cipher_keys(0x0302, 1, vectors.CCM_SESSION_KEY, b"x")
    assert keys == (vectors.CCM_SERVER_KEY, vectors.CCM_CLIENT_KEY)
    application = kdf.application_key(0x0302, vectors.CCM_SESSION_KEY, b"x")
    assert application == vectors.CCM_APPLICATION_KEY


def test_keys_of_3_1_1_are_those_of_the_published_vector() -> None:
    key, hashed = vectors.SETUP_KEY, vectors.SETUP_HASH
    assert kdf.signing_key(0x0311, key, hashed) == vectors.SETUP_SIGNING_KEY
    keys = kdf.cipher_keys(0x0311, 2, key, hashed)
    assert keys.decrypt == h("629BCBC54422A0F572B97F45989B6073")
    assert keys.encrypt == h("E2AF0DCEFAC68DA71A0DFBD0D1350D74")
    assert kdf.application_key(0x0311, key, hashed) == h("6D7AD7954E9EC61E907B4D473DC178FF")


@pytest.mark.parametrize("dialect", [0x0202, 0x0210])
def test_dialects_before_3_0_sign_with_the_session_key(dialect: int) -> None:
    assert kdf.signing_key(dialect, KEY_3_0 + b"more", b"") == KEY_3_0
    assert kdf.application_key(dialect, KEY_3_0 + b"more", b"") == KEY_3_0


def test_a_short_session_key_is_filled_with_zeros() -> None:
    assert kdf.short_key(b"\x11" * 8) == b"\x11" * 8 + bytes(8)
    assert kdf.signing_key(0x0311, b"k", b"p") == kdf.signing_key(0x0311, b"k" + bytes(15), b"p")


@pytest.mark.parametrize("cipher", [3, 4])
def test_a_256_bit_cipher_takes_the_whole_key_and_gives_32_bytes(cipher: int) -> None:
    full = bytes(range(32))
    keys = kdf.cipher_keys(0x0311, cipher, full, vectors.SETUP_HASH)
    assert [len(key) for key in keys] == [32, 32]
    assert keys != kdf.cipher_keys(0x0311, cipher, full[:16], vectors.SETUP_HASH)
    assert keys.encrypt == kdf.kdf(full, b"SMBS2CCipherKey\0", vectors.SETUP_HASH, 32)


@pytest.mark.parametrize("cipher", [1, 2])
def test_a_128_bit_cipher_takes_the_first_16_bytes_of_the_key(cipher: int) -> None:
    full = bytes(range(32))
    keys = kdf.cipher_keys(0x0311, cipher, full, vectors.SETUP_HASH)
    assert keys == kdf.cipher_keys(0x0311, cipher, full[:16], vectors.SETUP_HASH)


def test_the_signing_key_has_16_bytes_whatever_the_session_key() -> None:
    full = bytes(range(32))
    signing = kdf.signing_key(0x0311, full, vectors.SETUP_HASH)
    assert signing == kdf.signing_key(0x0311, full[:16], vectors.SETUP_HASH)
    assert len(signing) == 16


def test_the_asked_length_is_part_of_what_is_hashed() -> None:
    assert kdf.kdf(b"k" * 16, b"l", b"c", 32)[:16] != kdf.kdf(b"k" * 16, b"l", b"c", 16)
