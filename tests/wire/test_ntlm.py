from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.wire import ntlm
from ksmbd.wire.base import WireError
from ksmbd.wire.text import utf16

# The messages of [MS-NLMP] 4.2.4.3
CHALLENGE = bytes.fromhex(
    "4e544c4d53535000020000000c000c003800000033828ae20123456789abcdef"
    "000000000000000024002400440000000600701700000 00f"
    "530065007200760065007200 02000c0044006f006d00610069006e00"
    "01000c005300650072007600650072 0000000000".replace(" ", "")
)
AUTHENTICATE = bytes.fromhex(
    "4e544c4d5353500003000000180018006c00000054005400840000000c000c00"
    "480000000800080054000000100010005c00000010001000d8000000358288e2"
    "0501280a0000000f44006f006d00610069006e00550073006500720043004f00"
    "4d005000550054004500520086c35097ac9cec102554764a57cccc19aaaaaaaa"
    "aaaaaaaa68cd0ab851e51c96aabc927bebef6a1c010100000000000000000000"
    "00000000aaaaaaaaaaaaaaaa0000000002000c0044006f006d00610069006e00"
    "01000c0053006500720076006500720000000000 00000000c5dad2544fc97990"
    "94ce1ce90bc9d03e".replace(" ", "")
)
AV_PAIRS = [
    (ntlm.AV_NB_DOMAIN_NAME, utf16("Domain")),
    (ntlm.AV_NB_COMPUTER_NAME, utf16("Server")),
]


def test_the_example_authenticate_message_reads_as_it_was_meant() -> None:
    said = ntlm.parse_authenticate(AUTHENTICATE)
    assert (said.user, said.domain, said.workstation) == ("User", "Domain", "COMPUTER")
    assert said.flags == 0xE2888235
    assert said.lm_response.hex() == "86c35097ac9cec102554764a57cccc19" + "aa" * 8
    assert said.encrypted_key.hex() == "c5dad2544fc9799094ce1ce90bc9d03e"
    assert said.mic_offset is None
    client = ntlm.parse_client_challenge(said.nt_response)
    assert (client.time, client.challenge, client.flags) == (0, b"\xaa" * 8, 0)
    assert client.av_pairs == dict(AV_PAIRS)


def test_the_example_challenge_builds_but_for_its_version() -> None:
    challenge = bytes.fromhex("0123456789abcdef")
    info = ntlm.build_av_pairs(AV_PAIRS)
    built = ntlm.build_challenge(0xE28A8233, "Server", challenge, info)
    assert built[:48] == CHALLENGE[:48]
    assert built[48:56] == ntlm.VERSION
    assert built[56:] == CHALLENGE[56:]


def test_a_challenge_without_version_leaves_it_zero() -> None:
    assert ntlm.build_challenge(0, "", bytes(8), b"")[48:56] == bytes(8)


def test_a_negotiate_message_gives_its_flags() -> None:
    token = ntlm.SIGNATURE + struct.pack("<II", 1, 0xE2088297)
    assert ntlm.parse_negotiate(token) == 0xE2088297
    assert ntlm.parse_negotiate(token + bytes(24)) == 0xE2088297


@pytest.mark.parametrize("length", range(16))
def test_a_short_negotiate_message_is_refused(length: int) -> None:
    with pytest.raises(WireError):
        ntlm.parse_negotiate((ntlm.SIGNATURE + struct.pack("<II", 1, 0))[:length])


def test_messages_are_told_apart() -> None:
    assert ntlm.message_type(AUTHENTICATE) == 3
    with pytest.raises(WireError, match="message 3 where 1"):
        ntlm.parse_negotiate(AUTHENTICATE)
    with pytest.raises(WireError, match="message 2 where 3"):
        ntlm.parse_authenticate(CHALLENGE)
    with pytest.raises(WireError, match="no NTLMSSP"):
        ntlm.message_type(b"NTLMSSP " + bytes(20))


@pytest.mark.parametrize("length", range(len(AUTHENTICATE)))
def test_every_truncation_is_refused(length: int) -> None:
    with pytest.raises(WireError):
        ntlm.parse_authenticate(AUTHENTICATE[:length])


@pytest.mark.parametrize("field", range(12, 60, 8))
@pytest.mark.parametrize("offset", [0, 1, 63, len(AUTHENTICATE), 0xFFFF, 0xFFFFFFFF])
def test_a_field_outside_the_payload_is_refused(field: int, offset: int) -> None:
    token = bytearray(AUTHENTICATE)
    struct.pack_into("<I", token, field + 4, offset)
    with pytest.raises(WireError):
        ntlm.parse_authenticate(token)


@pytest.mark.parametrize("field", range(12, 60, 8))
def test_a_field_longer_than_the_message_is_refused(field: int) -> None:
    token = bytearray(AUTHENTICATE)
    struct.pack_into("<H", token, field, 0xFFFE)
    with pytest.raises(WireError):
        ntlm.parse_authenticate(token)


@pytest.mark.parametrize("field", range(12, 60, 8))
def test_an_empty_field_may_have_any_offset(field: int) -> None:
    token = bytearray(AUTHENTICATE)
    struct.pack_into("<HHI", token, field, 0, 0, 0xFFFFFFFF)
    ntlm.parse_authenticate(token)


@pytest.mark.parametrize("field", [28, 36, 44])
def test_a_name_of_odd_length_is_refused(field: int) -> None:
    token = bytearray(AUTHENTICATE)
    struct.pack_into("<H", token, field, 3)
    with pytest.raises(WireError, match="UTF-16"):
        ntlm.parse_authenticate(token)


def test_a_lone_surrogate_in_a_name_is_refused() -> None:
    token = bytearray(AUTHENTICATE)
    token[72:74] = b"\x00\xd8"
    with pytest.raises(WireError, match="UTF-16"):
        ntlm.parse_authenticate(token)


@pytest.mark.parametrize(
    ("payload", "flags", "offset"),
    [
        (64, 0, None),
        (72, 0, None),
        (79, 0, None),
        (80, 0, 64),
        (80, ntlm.NEGOTIATE_VERSION, None),
        (87, ntlm.NEGOTIATE_VERSION, None),
        (88, ntlm.NEGOTIATE_VERSION, 72),
        (88, 0, 72),
    ],
)
def test_the_mic_is_where_the_payload_leaves_room(
    payload: int, flags: int, offset: int | None
) -> None:
    user = struct.pack("<HHI", 2, 2, payload)
    fields = bytes(24) + user + bytes(16)
    token = ntlm.SIGNATURE + struct.pack("<I", 3) + fields + struct.pack("<I", flags)
    token = token.ljust(payload, b"\0") + utf16("u")
    assert ntlm.parse_authenticate(token).mic_offset == offset


def test_a_message_without_payload_ends_where_its_mic_must() -> None:
    token = ntlm.SIGNATURE + struct.pack("<I", 3) + bytes(48) + bytes(4)
    assert ntlm.parse_authenticate(token).mic_offset is None
    assert ntlm.parse_authenticate(token + bytes(24)).mic_offset == 72


@pytest.mark.parametrize("length", [0, 16, 23, 24, 43])
def test_a_response_too_short_for_ntlmv2_is_refused(length: int) -> None:
    response = bytes(16) + b"\1\1" + bytes(60)
    with pytest.raises(WireError, match="no NTLMv2"):
        ntlm.parse_client_challenge(response[:length])


@pytest.mark.parametrize(("at", "value"), [(16, 0), (16, 2), (17, 0), (17, 2)])
def test_a_response_of_another_version_is_refused(at: int, value: int) -> None:
    response = bytearray(bytes(16) + b"\1\1" + bytes(60))
    response[at] = value
    with pytest.raises(WireError, match="no NTLMv2"):
        ntlm.parse_client_challenge(response)


@pytest.mark.parametrize(
    "pairs",
    [
        b"",
        b"\0\0\0",
        b"\2\0\4\0ab",  # past the end
        b"\2\0\2\0ab",  # no MsvAvEOL
        b"\2\0\xff\xff" + bytes(8),
    ],
)
def test_av_pairs_without_an_end_are_refused(pairs: bytes) -> None:
    with pytest.raises(WireError):
        ntlm.parse_av_pairs(pairs)
    with pytest.raises(WireError):
        ntlm.parse_client_challenge(bytes(16) + b"\1\1" + bytes(26) + pairs)


def test_av_pairs_read_back_and_what_follows_the_end_is_ignored() -> None:
    built = ntlm.build_av_pairs([*AV_PAIRS, (ntlm.AV_FLAGS, b"\2\0\0\0")])
    assert ntlm.parse_av_pairs(built + b"\0\0\0\0") == dict([*AV_PAIRS, (6, b"\2\0\0\0")])
    client = ntlm.parse_client_challenge(bytes(16) + b"\1\1" + bytes(26) + built)
    assert client.flags & ntlm.AV_FLAG_MIC


def test_of_a_repeated_av_pair_the_first_counts() -> None:
    built = ntlm.build_av_pairs([(6, b"\2\0\0\0"), (6, b"\0\0\0\0")])
    assert ntlm.parse_av_pairs(built) == {6: b"\2\0\0\0"}


@given(st.data())
def test_a_damaged_message_is_read_or_refused(data: st.DataObject) -> None:
    token = bytearray(AUTHENTICATE)
    for _ in range(data.draw(st.integers(1, 6))):
        token[data.draw(st.integers(8, len(token) - 1))] = data.draw(st.integers(0, 255))
    try:
        said = ntlm.parse_authenticate(token)
        ntlm.parse_client_challenge(said.nt_response)
    except WireError:
        pass
