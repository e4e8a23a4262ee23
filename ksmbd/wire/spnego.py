"""SPNEGO tokens, RFC 4178 4.2 with [MS-SPNG] 2.2.1's NegTokenInit2.

A mechanism is named by the contents of its OBJECT IDENTIFIER, as bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from ksmbd.wire import asn1
from ksmbd.wire.asn1 import Reader, context, der
from ksmbd.wire.base import Buffer, WireError

SPNEGO: Final = asn1.oid("1.3.6.1.5.5.2")
KERBEROS: Final = asn1.oid("1.2.840.113554.1.2.2")
MS_KERBEROS: Final = asn1.oid("1.2.840.48018.1.2.2")
NTLMSSP: Final = asn1.oid("1.3.6.1.4.1.311.2.2.10")
NEGOEX: Final = asn1.oid("1.3.6.1.4.1.311.2.2.30")

HINT_NAME: Final = b"not_defined_in_RFC4178@please_ignore"
MAX_MECHANISMS: Final = 64


class NegState(IntEnum):
    ACCEPT_COMPLETED = 0
    ACCEPT_INCOMPLETE = 1
    REJECT = 2
    REQUEST_MIC = 3


class NegTokenInit(NamedTuple):
    """The initiator's first token, or the acceptor's hint."""

    mech_types: tuple[bytes, ...]
    mech_list: bytes  # MechTypeList as it was sent, which mechListMIC covers
    mech_token: bytes | None = None
    mech_list_mic: bytes | None = None


class NegTokenResp(NamedTuple):
    """Every later token."""

    state: int | None = None
    supported_mech: bytes | None = None
    response_token: bytes | None = None
    mech_list_mic: bytes | None = None


def parse(token: Buffer) -> NegTokenInit | NegTokenResp:
    """Read one token with its framing, RFC 4178 4.2. WireError if anything is out of place."""
    reader = Reader(token)
    tag, contents = reader.any()
    reader.end()
    if tag == asn1.APPLICATION_0:
        framed = Reader(contents, 1)
        if framed.value(asn1.OBJECT_IDENTIFIER) != SPNEGO:
            raise WireError("GSS token of another mechanism than SPNEGO")
        body = framed.inside(context(0))
        framed.end()
        return _init(body)
    if tag == context(1):
        return _resp(Reader(contents, 1))
    raise WireError(f"SPNEGO token with tag {tag:#x}")


def _init(body: Reader) -> NegTokenInit:
    fields = body.inside(asn1.SEQUENCE).fields()
    body.end()
    if 0 not in fields:
        raise WireError("NegTokenInit without mechTypes")
    mech_list = bytes(fields[0].rest())
    mech_types = _mech_types(fields[0])
    # [1] reqFlags is not protected and means nothing. [3] is mechListMIC of RFC 4178 or, in
    # NegTokenInit2, a SEQUENCE of hints to be ignored, the MIC then being [4].
    mic = fields.get(3)
    if mic is not None and mic.rest()[:1] == bytes((asn1.SEQUENCE,)):
        mic = fields.get(4)
    return NegTokenInit(mech_types, mech_list, _octets(fields.get(2)), _octets(mic))


def _mech_types(field: Reader) -> tuple[bytes, ...]:
    listed = field.inside(asn1.SEQUENCE)
    field.end()
    found: list[bytes] = []
    while listed.more():
        if len(found) == MAX_MECHANISMS:
            raise WireError(f"more than {MAX_MECHANISMS} mechanisms")
        mechanism = bytes(listed.value(asn1.OBJECT_IDENTIFIER))
        asn1.dotted(mechanism)
        found.append(mechanism)
    return tuple(found)


def _resp(body: Reader) -> NegTokenResp:
    fields = body.inside(asn1.SEQUENCE).fields()
    body.end()
    state = mech = None
    if 0 in fields:
        number = fields[0].only(asn1.ENUMERATED)
        if len(number) != 1 or number[0] > NegState.REQUEST_MIC:
            raise WireError(f"negState {bytes(number).hex()}")
        state = number[0]
    if 1 in fields:
        mech = bytes(fields[1].only(asn1.OBJECT_IDENTIFIER))
    return NegTokenResp(state, mech, _octets(fields.get(2)), _octets(fields.get(3)))


def _octets(field: Reader | None) -> bytes | None:
    return None if field is None else bytes(field.only(asn1.OCTET_STRING))


def mech_type_list(mechanisms: Sequence[bytes]) -> bytes:
    """The DER of MechTypeList, what mechListMIC covers."""
    return der(asn1.SEQUENCE, *(der(asn1.OBJECT_IDENTIFIER, name) for name in mechanisms))


def build_init(
    mechanisms: Sequence[bytes],
    *,
    mech_token: bytes | None = None,
    mech_list_mic: bytes | None = None,
    hint: bool = False,
) -> bytes:
    """A NegTokenInit or, with *hint*, the NegTokenInit2 of a NEGOTIATE response."""
    fields = [der(context(0), mech_type_list(mechanisms))]
    if mech_token is not None:
        fields.append(der(context(2), der(asn1.OCTET_STRING, mech_token)))
    if hint:
        name = der(context(0), der(asn1.GENERAL_STRING, HINT_NAME))
        fields.append(der(context(3), der(asn1.SEQUENCE, name)))
    if mech_list_mic is not None:
        fields.append(der(context(4 if hint else 3), der(asn1.OCTET_STRING, mech_list_mic)))
    body = der(context(0), der(asn1.SEQUENCE, *fields))
    return der(asn1.APPLICATION_0, der(asn1.OBJECT_IDENTIFIER, SPNEGO), body)


def build_resp(token: NegTokenResp) -> bytes:
    """The DER of *token*, with the fields that are not None."""
    fields: list[bytes] = []
    if token.state is not None:
        fields.append(der(context(0), der(asn1.ENUMERATED, bytes((token.state,)))))
    if token.supported_mech is not None:
        fields.append(der(context(1), der(asn1.OBJECT_IDENTIFIER, token.supported_mech)))
    if token.response_token is not None:
        fields.append(der(context(2), der(asn1.OCTET_STRING, token.response_token)))
    if token.mech_list_mic is not None:
        fields.append(der(context(3), der(asn1.OCTET_STRING, token.mech_list_mic)))
    return der(context(1), der(asn1.SEQUENCE, *fields))
