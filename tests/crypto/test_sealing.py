from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from ksmbd.crypto.sealing import KEY_LENGTHS, TAG_SIZE, Sealer, Unsealer, nonce_length
from ksmbd.wire.base import Buffer
from ksmbd.wire.header import TRANSFORM_SIZE
from ksmbd.wire.status import Disconnect
from tests.crypto import vectors
from tests.support.transform import TransformHeader

CIPHERS = sorted(KEY_LENGTHS)
MESSAGE = b"\xfeSMB" + bytes(range(200))
SESSION = 0x0011223344556677


def key_of(cipher: int) -> bytes:
    return bytes(range(KEY_LENGTHS[cipher]))


def spare(frame: Buffer) -> memoryview:
    return memoryview(bytearray(frame) + bytearray(TAG_SIZE))


def prefix(value: bytes) -> Callable[[int], bytes]:
    def random(length: int) -> bytes:
        assert length == len(value)
        return value

    return random


def both_ways(unsealer: Unsealer, frame: bytes) -> bytes:
    """What opening gives, which must be the same by copy and in place."""
    copied = bytes(unsealer.unseal(frame))
    assert bytes(unsealer.unseal_in_place(spare(frame))) == copied
    return copied


@pytest.mark.parametrize(
    ("cipher", "key", "sealed", "message"),
    [
        (1, vectors.CCM_CLIENT_KEY, vectors.CCM_SEALED_WRITE, vectors.CCM_WRITE),
        (1, vectors.CCM_SERVER_KEY, vectors.CCM_SEALED_RESPONSE, vectors.CCM_RESPONSE),
        (2, vectors.GCM_CLIENT_KEY, vectors.GCM_SEALED_WRITE, vectors.GCM_WRITE),
        (2, vectors.GCM_SERVER_KEY, vectors.GCM_SEALED_RESPONSE, vectors.GCM_RESPONSE),
    ],
)
def test_windows_messages_open(cipher: int, key: bytes, sealed: bytes, message: bytes) -> None:
    assert both_ways(Unsealer(cipher, key), sealed) == message


def test_a_message_seals_to_the_published_bytes() -> None:
    nonce = vectors.GCM_SEALED_WRITE[20:32]
    counter = int.from_bytes(nonce[4:], "little")
    sealer = Sealer(2, vectors.GCM_CLIENT_KEY, prefix(nonce[:4]), counter)
    assert bytes(sealer.seal([vectors.GCM_WRITE], 0x100000000025)) == vectors.GCM_SEALED_WRITE


@pytest.mark.parametrize("cipher", CIPHERS)
def test_what_is_sealed_opens_again(cipher: int) -> None:
    sealer = Sealer(cipher, key_of(cipher), os.urandom)
    sealed = bytes(sealer.seal([MESSAGE[:64], bytearray(MESSAGE[64:])], SESSION))
    assert MESSAGE[:16] not in sealed
    header = TransformHeader.parse(sealed)
    assert (header.session_id, header.original_message_size) == (SESSION, len(MESSAGE))
    assert header.nonce[nonce_length(cipher) :] == bytes(16 - nonce_length(cipher))
    assert both_ways(Unsealer(cipher, key_of(cipher)), sealed) == MESSAGE


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("size", [64, 65, 4096, 1 << 20])
def test_sealing_in_place_gives_what_sealing_a_copy_gives(cipher: int, size: int) -> None:
    message = os.urandom(size)
    start = bytes(nonce_length(cipher) - 8)
    copied = Sealer(cipher, key_of(cipher), prefix(start)).seal([message], SESSION)
    frame = memoryview(bytearray(TRANSFORM_SIZE) + message + bytearray(TAG_SIZE))
    sealed = Sealer(cipher, key_of(cipher), prefix(start)).seal_in_place(frame, SESSION)
    assert sealed == copied
    assert both_ways(Unsealer(cipher, key_of(cipher)), bytes(sealed)) == message


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("at", [*range(4, 56), 60, 150, 255])
def test_a_flipped_bit_disconnects(cipher: int, at: int) -> None:
    sealed = bytearray(Sealer(cipher, key_of(cipher), os.urandom).seal([MESSAGE], SESSION))
    sealed[at] ^= 1
    unsealer = Unsealer(cipher, key_of(cipher))
    with pytest.raises(Disconnect):
        unsealer.unseal(bytes(sealed))
    with pytest.raises(Disconnect):
        unsealer.unseal_in_place(spare(sealed))


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, b"\xfeSMB"),  # no transform
        (36, b"\xcb\0\0\0"),  # OriginalMessageSize one short
        (36, b"\xcd\0\0\0"),  # one beyond
        (36, b"\0\0\0\0"),
        (36, b"\xff\xff\xff\xff"),
        (42, b"\0\0"),  # not flagged as encrypted
        (42, b"\2\0"),
    ],
)
def test_a_wrong_header_disconnects(at: int, value: bytes) -> None:
    sealed = bytearray(Sealer(2, key_of(2), os.urandom).seal([MESSAGE], SESSION))
    sealed[at : at + len(value)] = value
    with pytest.raises(Disconnect):
        Unsealer(2, key_of(2)).unseal(sealed)
    with pytest.raises(Disconnect):
        Unsealer(2, key_of(2)).unseal_in_place(spare(sealed))


@pytest.mark.parametrize("length", [0, 1, 51, 52, 53, 115])
def test_less_than_a_header_and_a_command_disconnects(length: int) -> None:
    sealed = bytes(Sealer(2, key_of(2), os.urandom).seal([MESSAGE], SESSION))[:length]
    with pytest.raises(Disconnect):
        Unsealer(2, key_of(2)).unseal(sealed)
    with pytest.raises(Disconnect):
        Unsealer(2, key_of(2)).unseal_in_place(spare(sealed))


def test_a_foreign_key_does_not_open() -> None:
    sealed = Sealer(2, key_of(2), os.urandom).seal([MESSAGE], SESSION)
    with pytest.raises(Disconnect, match="authentic"):
        Unsealer(2, bytes(16)).unseal(sealed)


@pytest.mark.parametrize("cipher", CIPHERS)
def test_nonces_never_repeat_across_threads(cipher: int) -> None:
    sealer = Sealer(cipher, key_of(cipher), os.urandom)
    nonces: list[bytes] = []

    def work() -> None:
        for _ in range(100):
            nonces.append(bytes(sealer.seal([MESSAGE], SESSION)[20:36]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(nonces)) == len(nonces) == 400
    assert len({nonce[: nonce_length(cipher) - 8] for nonce in nonces}) == 1


def test_an_exhausted_counter_disconnects_for_good() -> None:
    sealer = Sealer(2, key_of(2), os.urandom, first=(1 << 64) - 1)
    sealer.seal([MESSAGE], SESSION)
    for _ in range(2):
        with pytest.raises(Disconnect, match="no nonces"):
            sealer.seal([MESSAGE], SESSION)


@pytest.mark.parametrize(
    ("cipher", "length"), [(0, 16), (5, 16), (1, 32), (2, 0), (3, 16), (4, 24)]
)
def test_a_cipher_with_a_foreign_key_length_is_a_value_error(cipher: int, length: int) -> None:
    with pytest.raises(ValueError, match="cipher"):
        Sealer(cipher, bytes(length), os.urandom)
    with pytest.raises(ValueError, match="cipher"):
        Unsealer(cipher, bytes(length))


def test_a_frame_without_a_message_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no message"):
        Sealer(2, key_of(2), os.urandom).seal([], SESSION)
