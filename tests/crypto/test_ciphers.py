"""ksmbd/crypto/ciphers.py: older releases of cryptography yield the same bytes."""

from __future__ import annotations

import pytest

from ksmbd.crypto import ciphers
from ksmbd.crypto.sealing import KEY_LENGTHS, Sealer, Unsealer
from ksmbd.crypto.signing import Signer
from ksmbd.wire.header import HEADER_SIZE, TRANSFORM_SIZE
from ksmbd.wire.negotiate import AES_CMAC, AES_GMAC
from ksmbd.wire.status import Disconnect

MESSAGE = b"\xfeSMB" + bytes(range(44)) + bytes(16) + b"what stands behind the header" * 9
SPARE = 16


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As with a release that has no ``encrypt_into``, until ``undo``."""
    monkeypatch.setattr(ciphers, "IN_PLACE", False)
    return monkeypatch


def sealed(cipher: int, key: bytes) -> bytes:
    frame = bytearray(TRANSFORM_SIZE) + MESSAGE + bytes(SPARE)
    return bytes(Sealer(cipher, key, bytes).seal_in_place(memoryview(frame), 7))


@pytest.mark.parametrize("cipher", KEY_LENGTHS)
def test_what_an_older_release_seals_a_new_one_opens_and_the_other_way_round(
    cipher: int, older: pytest.MonkeyPatch
) -> None:
    key = bytes(range(KEY_LENGTHS[cipher]))
    ours = sealed(cipher, key)
    unsealer = Unsealer(cipher, key)
    older.undo()
    assert sealed(cipher, key) == ours
    assert Unsealer(cipher, key).unseal(ours) == MESSAGE
    assert unsealer.unseal(ours) == MESSAGE
    assert unsealer.unseal_in_place(memoryview(bytearray(ours) + bytes(SPARE))) == MESSAGE


@pytest.mark.usefixtures("older")
@pytest.mark.parametrize("cipher", KEY_LENGTHS)
def test_a_changed_message_is_not_opened_by_an_older_release_either(cipher: int) -> None:
    key = bytes(range(KEY_LENGTHS[cipher]))
    frame = bytearray(sealed(cipher, key)) + bytes(SPARE)
    frame[TRANSFORM_SIZE] ^= 1
    with pytest.raises(Disconnect, match="not authentic"):
        Unsealer(cipher, key).unseal_in_place(memoryview(frame))
    with pytest.raises(Disconnect, match="not authentic"):
        Unsealer(cipher, key).unseal(bytes(frame[:-SPARE]))


@pytest.mark.parametrize("algorithm", [AES_CMAC, AES_GMAC])
def test_an_older_release_signs_the_same(algorithm: int, older: pytest.MonkeyPatch) -> None:
    signer = Signer(algorithm, bytes(range(16)))
    message = bytearray(MESSAGE)
    signer.sign_into(memoryview(message), 3)
    older.undo()
    new = Signer(algorithm, bytes(range(16)))
    assert message[48:HEADER_SIZE] == new.sign((MESSAGE,), 3)
    assert signer.verify(memoryview(message), 3, server=True)
    assert signer.verify(memoryview(bytes(message)), 3, server=True)
