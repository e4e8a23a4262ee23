"""NTLMSSP messages and their AV pairs, [MS-NLMP] 2.2.

Only Unicode strings: every client that speaks SMB2 offers them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from ksmbd.wire.base import Buffer, Wire, WireError, bytes8, u16, u32, wire
from ksmbd.wire.text import from_utf16, utf16

SIGNATURE: Final = b"NTLMSSP\0"
NEGOTIATE_MESSAGE: Final = 1
CHALLENGE_MESSAGE: Final = 2
AUTHENTICATE_MESSAGE: Final = 3

# NegotiateFlags, 2.2.2.5
NEGOTIATE_UNICODE: Final = 0x00000001
NEGOTIATE_OEM: Final = 0x00000002
REQUEST_TARGET: Final = 0x00000004
NEGOTIATE_SIGN: Final = 0x00000010
NEGOTIATE_SEAL: Final = 0x00000020
NEGOTIATE_LM_KEY: Final = 0x00000080
NEGOTIATE_NTLM: Final = 0x00000200
ANONYMOUS: Final = 0x00000800
ALWAYS_SIGN: Final = 0x00008000
TARGET_TYPE_SERVER: Final = 0x00020000
EXTENDED_SESSIONSECURITY: Final = 0x00080000
NEGOTIATE_TARGET_INFO: Final = 0x00800000
NEGOTIATE_VERSION: Final = 0x02000000
NEGOTIATE_128: Final = 0x20000000
NEGOTIATE_KEY_EXCH: Final = 0x40000000
NEGOTIATE_56: Final = 0x80000000

# AvId, 2.2.2.1
AV_EOL: Final = 0
AV_NB_COMPUTER_NAME: Final = 1
AV_NB_DOMAIN_NAME: Final = 2
AV_DNS_COMPUTER_NAME: Final = 3
AV_DNS_DOMAIN_NAME: Final = 4
AV_FLAGS: Final = 6
AV_TIMESTAMP: Final = 7
AV_SINGLE_HOST: Final = 8
AV_TARGET_NAME: Final = 9
AV_CHANNEL_BINDINGS: Final = 10

AV_FLAG_MIC: Final = 0x2  # of AV_FLAGS: the AUTHENTICATE_MESSAGE carries a MIC

PROOF_SIZE: Final = 16
MIC_SIZE: Final = 16
VERSION: Final = b"\x06\x01\0\0\0\0\0\x0f"  # 2.2.2.10: any product, NTLMSSP revision 15
_AFTER_FLAGS: Final = 64  # of an AUTHENTICATE_MESSAGE: Version, if it was negotiated
_AFTER_VERSION: Final = 72
_BLOB_FIXED: Final = 28  # NTLMv2_CLIENT_CHALLENGE up to its AvPairs


@wire()
class _Head(Wire):
    """What the three messages begin with."""

    signature: bytes8 = SIGNATURE
    message_type: u32


@wire()
class _Negotiate(Wire):
    """NEGOTIATE_MESSAGE, 2.2.1.1; what may follow is not used."""

    signature: bytes8 = SIGNATURE
    message_type: u32 = NEGOTIATE_MESSAGE
    flags: u32


@wire()
class _Challenge(Wire):
    """CHALLENGE_MESSAGE, 2.2.1.2; Version is zero unless it was negotiated."""

    signature: bytes8 = SIGNATURE
    message_type: u32 = CHALLENGE_MESSAGE
    target_name_length: u16
    target_name_max: u16
    target_name_offset: u32
    flags: u32
    server_challenge: bytes8
    reserved: bytes8 = bytes(8)
    target_info_length: u16
    target_info_max: u16
    target_info_offset: u32
    version: bytes8 = bytes(8)


@wire()
class _Authenticate(Wire):
    """AUTHENTICATE_MESSAGE, 2.2.1.3, up to NegotiateFlags."""

    signature: bytes8 = SIGNATURE
    message_type: u32 = AUTHENTICATE_MESSAGE
    lm_length: u16
    lm_max: u16
    lm_offset: u32
    nt_length: u16
    nt_max: u16
    nt_offset: u32
    domain_length: u16
    domain_max: u16
    domain_offset: u32
    user_length: u16
    user_max: u16
    user_offset: u32
    workstation_length: u16
    workstation_max: u16
    workstation_offset: u32
    key_length: u16
    key_max: u16
    key_offset: u32
    flags: u32


class Authenticate(NamedTuple):
    """What an AUTHENTICATE_MESSAGE says."""

    lm_response: bytes
    nt_response: bytes
    domain: str
    user: str
    workstation: str
    encrypted_key: bytes  # EncryptedRandomSessionKey
    flags: int
    mic_offset: int | None  # where the MIC is, if there is one; None if payload leaves no room


class ClientChallenge(NamedTuple):
    """NTLMv2_CLIENT_CHALLENGE, 2.2.2.7."""

    time: int  # FILETIME
    challenge: bytes
    av_pairs: dict[int, bytes]

    @property
    def flags(self) -> int:
        """MsvAvFlags, 0 if there is none."""
        return int.from_bytes(self.av_pairs.get(AV_FLAGS, b""), "little")


def message_type(token: Buffer) -> int:
    """The MessageType. WireError if *token* is no NTLMSSP message."""
    head = _Head.unpack(token)
    if head.signature != SIGNATURE:
        raise WireError("no NTLMSSP message")
    return head.message_type


def parse_negotiate(token: Buffer) -> int:
    """The NegotiateFlags of a NEGOTIATE_MESSAGE. WireError if it is another message."""
    _expect(token, NEGOTIATE_MESSAGE)
    return _Negotiate.unpack(token).flags


def build_challenge(
    flags: int, target_name: str, server_challenge: bytes, target_info: bytes
) -> bytes:
    """A CHALLENGE_MESSAGE; *target_info* comes from build_av_pairs."""
    name = utf16(target_name)
    fixed = _Challenge(
        target_name_length=len(name),
        target_name_max=len(name),
        target_name_offset=_Challenge.SIZE,
        flags=flags,
        server_challenge=server_challenge,
        target_info_length=len(target_info),
        target_info_max=len(target_info),
        target_info_offset=_Challenge.SIZE + len(name),
        version=VERSION if flags & NEGOTIATE_VERSION else bytes(8),
    )
    return fixed.pack() + name + target_info


def parse_authenticate(token: Buffer) -> Authenticate:
    """Read an AUTHENTICATE_MESSAGE. WireError if a field lies outside it or is no UTF-16."""
    _expect(token, AUTHENTICATE_MESSAGE)
    view = memoryview(token)
    fixed = _Authenticate.unpack(view)
    spans = {
        "lm": (fixed.lm_offset, fixed.lm_length),
        "nt": (fixed.nt_offset, fixed.nt_length),
        "domain": (fixed.domain_offset, fixed.domain_length),
        "user": (fixed.user_offset, fixed.user_length),
        "workstation": (fixed.workstation_offset, fixed.workstation_length),
        "key": (fixed.key_offset, fixed.key_length),
    }
    payload = {name: _payload(view, *span) for name, span in spans.items()}
    start = min((offset for offset, length in spans.values() if length), default=len(view))
    return Authenticate(
        lm_response=bytes(payload["lm"]),
        nt_response=bytes(payload["nt"]),
        domain=from_utf16(payload["domain"]),
        user=from_utf16(payload["user"]),
        workstation=from_utf16(payload["workstation"]),
        encrypted_key=bytes(payload["key"]),
        flags=fixed.flags,
        mic_offset=_mic_offset(fixed.flags, min(start, len(view))),
    )


def _mic_offset(flags: int, payload: int) -> int | None:
    """Where the MIC is, given the offset of the first payload.

    The figure of 2.2.1.3 has it at 72; clients that take Version for absent when it is not
    negotiated (pyspnego, impacket) put it at 64.
    """
    if payload >= _AFTER_VERSION + MIC_SIZE:
        return _AFTER_VERSION
    if payload >= _AFTER_FLAGS + MIC_SIZE and not flags & NEGOTIATE_VERSION:
        return _AFTER_FLAGS
    return None


def parse_client_challenge(nt_response: Buffer) -> ClientChallenge:
    """Read what follows NTProofStr in an NTLMv2_RESPONSE, 2.2.2.8. WireError if it is none."""
    blob = memoryview(nt_response)[PROOF_SIZE:]
    if len(blob) < _BLOB_FIXED or blob[0] != 1 or blob[1] != 1:
        raise WireError(f"no NTLMv2 response in {len(nt_response)} bytes")
    return ClientChallenge(
        time=int.from_bytes(blob[8:16], "little"),
        challenge=bytes(blob[16:24]),
        av_pairs=parse_av_pairs(blob[_BLOB_FIXED:]),
    )


def parse_av_pairs(buf: Buffer) -> dict[int, bytes]:
    """The AV pairs by AvId up to MsvAvEOL; of a repeated one the first.

    WireError if the list ends without MsvAvEOL or a value reaches past the end.
    """
    view = memoryview(buf)
    found: dict[int, bytes] = {}
    at = 0
    while True:
        if at + 4 > len(view):
            raise WireError("AV pairs without an end")
        av_id = int.from_bytes(view[at : at + 2], "little")
        end = at + 4 + int.from_bytes(view[at + 2 : at + 4], "little")
        if av_id == AV_EOL:
            return found
        if end > len(view):
            raise WireError(f"AV pair {av_id} past the end")
        found.setdefault(av_id, bytes(view[at + 4 : end]))
        at = end


def build_av_pairs(pairs: Iterable[tuple[int, bytes]]) -> bytes:
    """*pairs* and MsvAvEOL."""
    out = bytearray()
    for av_id, value in (*pairs, (AV_EOL, b"")):
        out += av_id.to_bytes(2, "little") + len(value).to_bytes(2, "little") + value
    return bytes(out)


def _expect(token: Buffer, wanted: int) -> None:
    found = message_type(token)
    if found != wanted:
        raise WireError(f"NTLMSSP message {found} where {wanted} is expected")


def _payload(view: memoryview, offset: int, length: int) -> memoryview:
    if length and not _Authenticate.SIZE <= offset <= len(view) - length:
        raise WireError(f"NTLMSSP field at {offset}, {length} bytes, of {len(view)}")
    return view[offset : offset + length]
