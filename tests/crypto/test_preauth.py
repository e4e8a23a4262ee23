from __future__ import annotations

from ksmbd.crypto import preauth
from tests.crypto import vectors


def test_a_negotiate_request_is_hashed_after_64_zero_bytes() -> None:
    value = preauth.extend(preauth.START, vectors.NEGOTIATE_REQUEST)
    assert value == vectors.AFTER_NEGOTIATE_REQUEST


def test_a_session_adds_its_requests_and_the_first_response() -> None:
    value = vectors.AFTER_NEGOTIATE
    for message in (vectors.SETUP_REQUEST_1, vectors.SETUP_RESPONSE_1, vectors.SETUP_REQUEST_2):
        value = preauth.extend(value, message)
    assert value == vectors.SETUP_HASH


def test_a_message_in_parts_hashes_as_the_whole() -> None:
    whole = vectors.NEGOTIATE_REQUEST
    value = preauth.extend(
        preauth.START, whole[:64], bytearray(whole[64:70]), memoryview(whole)[70:]
    )
    assert value == vectors.AFTER_NEGOTIATE_REQUEST
