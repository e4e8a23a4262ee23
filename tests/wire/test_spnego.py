from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.wire import asn1, spnego
from ksmbd.wire.asn1 import context, der
from ksmbd.wire.base import WireError
from ksmbd.wire.spnego import NegState, NegTokenInit, NegTokenResp

# The exchange of a Windows client and server, from "SMB 2 and SMB 3 security in Windows 10"
WINDOWS_INIT = bytes.fromhex(
    "604806062B0601050502A03E303CA00E300C060A2B06010401823702020AA22A0428"
    "4E544C4D5353500001000000978208E200000000000000000000000000000000060380250000000F"
)
WINDOWS_LAST = bytes.fromhex("A11B3019A0030A0100A3120410010000003B453CDC3524164200000000")
# What Windows 10 sends when it also knows NEGOEX and Kerberos
MANY = (spnego.NEGOEX, spnego.MS_KERBEROS, spnego.KERBEROS, spnego.NTLMSSP)


def test_a_windows_init_token_reads_as_it_was_meant() -> None:
    token = spnego.parse(WINDOWS_INIT)
    assert isinstance(token, NegTokenInit)
    assert token.mech_types == (spnego.NTLMSSP,)
    assert token.mech_list == bytes.fromhex("300C060A2B06010401823702020A")
    assert token.mech_token == WINDOWS_INIT[-40:]
    assert token.mech_list_mic is None


def test_a_windows_final_token_reads_as_it_was_meant() -> None:
    token = spnego.parse(WINDOWS_LAST)
    assert token == NegTokenResp(NegState.ACCEPT_COMPLETED, None, None, WINDOWS_LAST[-16:])


def test_the_windows_tokens_build_again() -> None:
    assert spnego.build_init([spnego.NTLMSSP], mech_token=WINDOWS_INIT[-40:]) == WINDOWS_INIT
    last = NegTokenResp(NegState.ACCEPT_COMPLETED, mech_list_mic=WINDOWS_LAST[-16:])
    assert spnego.build_resp(last) == WINDOWS_LAST


@pytest.mark.parametrize("hint", [False, True])
def test_an_init_token_reads_back(hint: bool) -> None:
    built = spnego.build_init(MANY, mech_token=b"t" * 300, mech_list_mic=b"m" * 16, hint=hint)
    mech_list = spnego.mech_type_list(MANY)
    assert spnego.parse(built) == NegTokenInit(MANY, mech_list, b"t" * 300, b"m" * 16)


def test_hints_are_not_taken_for_a_mic() -> None:
    built = spnego.build_init([spnego.NTLMSSP], hint=True)
    assert spnego.HINT_NAME in built
    token = spnego.parse(built)
    assert isinstance(token, NegTokenInit)
    assert token.mech_list_mic is None


@pytest.mark.parametrize("state", [None, *NegState])
@pytest.mark.parametrize("mech", [None, spnego.NTLMSSP])
@pytest.mark.parametrize("token", [None, b"", b"t" * 200])
@pytest.mark.parametrize("mic", [None, b"m" * 16])
def test_a_response_token_reads_back(
    state: NegState | None, mech: bytes | None, token: bytes | None, mic: bytes | None
) -> None:
    response = NegTokenResp(state, mech, token, mic)
    assert spnego.parse(spnego.build_resp(response)) == response


def test_request_flags_and_unknown_fields_are_passed_over() -> None:
    types = der(context(0), spnego.mech_type_list(MANY))
    flags = der(context(1), b"\x03\x02\x01\x06")
    later = der(context(9), b"future")
    body = der(context(0), der(asn1.SEQUENCE, types, flags, later))
    framed = der(asn1.APPLICATION_0, der(asn1.OBJECT_IDENTIFIER, spnego.SPNEGO), body)
    token = spnego.parse(framed)
    assert isinstance(token, NegTokenInit)
    assert token.mech_types == MANY


def framed(*fields: bytes, mechanism: bytes = spnego.SPNEGO, after: bytes = b"") -> bytes:
    body = der(context(0), der(asn1.SEQUENCE, *fields), after)
    return der(asn1.APPLICATION_0, der(asn1.OBJECT_IDENTIFIER, mechanism), body)


TYPES = der(context(0), spnego.mech_type_list([spnego.NTLMSSP]))


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        b"NTLMSSP\0",
        WINDOWS_INIT + b"\0",  # something after the token
        framed(TYPES, mechanism=spnego.KERBEROS),
        framed(),  # no mechTypes
        framed(TYPES, TYPES),  # twice
        framed(TYPES, after=b"\0\0"),
        framed(der(context(0), der(asn1.SEQUENCE, der(asn1.OCTET_STRING, b"x")))),
        framed(der(context(0), der(asn1.SEQUENCE, der(asn1.OBJECT_IDENTIFIER)))),
        framed(der(context(0), spnego.mech_type_list([spnego.NTLMSSP] * 65))),
        framed(TYPES, der(context(2), der(asn1.SEQUENCE))),  # mechToken no OCTET STRING
        framed(TYPES, der(context(2), der(asn1.OCTET_STRING), b"\0")),
        der(context(1), der(asn1.SEQUENCE, der(context(0), der(asn1.ENUMERATED, b"\4")))),
        der(context(1), der(asn1.SEQUENCE, der(context(0), der(asn1.ENUMERATED)))),
        der(context(1), der(asn1.SEQUENCE, der(context(0), der(asn1.ENUMERATED, b"\0\0")))),
        der(context(1), der(asn1.SEQUENCE), der(asn1.SEQUENCE)),
        der(context(2), der(asn1.SEQUENCE)),
        b"\x60\x80\x00\x00",
        b"\x60\x84\xff\xff\xff\xff",
    ],
)
def test_malformed_tokens_are_refused(malformed: bytes) -> None:
    with pytest.raises(WireError):
        spnego.parse(malformed)


@pytest.mark.parametrize("whole", [WINDOWS_INIT, WINDOWS_LAST])
def test_every_truncation_is_refused(whole: bytes) -> None:
    for length in range(len(whole)):
        with pytest.raises(WireError):
            spnego.parse(whole[:length])


@given(st.data())
def test_a_damaged_token_is_read_or_refused(data: st.DataObject) -> None:
    token = bytearray(spnego.build_init(MANY, mech_token=b"t" * 140, hint=True))
    for _ in range(data.draw(st.integers(1, 4))):
        token[data.draw(st.integers(0, len(token) - 1))] = data.draw(st.integers(0, 255))
    try:
        spnego.parse(token)
    except WireError:
        pass


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for token in (data, der(context(1), data), framed(TYPES, data), framed(data)):
        try:
            spnego.parse(token)
        except WireError:
            pass
