"""The NTLMv2 acceptor, [MS-NLMP] 3.2.5.

    NEGOTIATE_MESSAGE ->   start     -> CHALLENGE_MESSAGE
    AUTHENTICATE_MESSAGE -> challenged -> done, or an error that ends the attempt

LM and NTLMv1 responses are refused.  The challenge always carries a timestamp, which makes
current clients protect the three messages with a MIC; a MIC announced in the response is
always verified.  The client's clock is not judged.  An unknown user costs the same work as a
wrong password and gets the same answer.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from enum import Enum
from typing import Final, Generic, NamedTuple

from ksmbd.auth.mechanism import A, LogonRefused, Lookup, MapToGuest, Refused, Result, Step
from ksmbd.crypto import ntlm as crypto
from ksmbd.wire import ntlm as wire
from ksmbd.wire.base import Buffer, WireError
from ksmbd.wire.secret import Secret
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import filetime_from_ns, utf16

log = logging.getLogger("ksmbd.auth")

_ALWAYS: Final = (
    wire.NEGOTIATE_UNICODE
    | wire.NEGOTIATE_NTLM
    | wire.TARGET_TYPE_SERVER
    | wire.NEGOTIATE_TARGET_INFO
)
_IF_ASKED: Final = (
    wire.REQUEST_TARGET
    | wire.NEGOTIATE_SIGN
    | wire.NEGOTIATE_SEAL
    | wire.ALWAYS_SIGN
    | wire.EXTENDED_SESSIONSECURITY
    | wire.NEGOTIATE_VERSION
    | wire.NEGOTIATE_128
    | wire.NEGOTIATE_KEY_EXCH
    | wire.NEGOTIATE_56
)
_KEY_SIZE: Final = 16
_NTLMV1_SIZE: Final = 24
# What Windows sends and expects under ALWAYS_SIGN without SIGN: no signature at all.
_DUMMY_SIGNATURE: Final = b"\1" + bytes(15)


class Target(NamedTuple):
    """How the server names itself in the challenge."""

    netbios_computer: str
    netbios_domain: str
    dns_computer: str
    dns_domain: str


class _State(Enum):
    START = 0
    CHALLENGED = 1
    ENDED = 2


class NtlmAcceptor(Generic[A]):
    """One NTLM log-on attempt."""

    def __init__(
        self,
        target: Target,
        lookup: Lookup[A],
        *,
        clock: Callable[[], int],
        random: Callable[[int], bytes],
        map_to_guest: MapToGuest[A] | None = None,
    ) -> None:
        """*clock* gives ns since 1970, *random* so many unpredictable bytes."""
        self._target = target
        self._lookup = lookup
        self._clock = clock
        self._random = random
        self._map_to_guest = map_to_guest
        self._state = _State.START
        self._negotiate = b""
        self._server_challenge = b""
        self._challenge = b""
        self._flags = 0
        self._signers: tuple[crypto.MessageSigner, crypto.MessageSigner] | None = None

    def step(self, token: Buffer) -> Step[A]:
        """Answer NEGOTIATE with a challenge, judge AUTHENTICATE.

        INVALID_PARAMETER  malformed, out of turn, no Unicode, or no key where one was agreed
        LOGON_FAILURE      unknown user, wrong password, NTLMv1 or LM, or a wrong MIC
        """
        state, self._state = self._state, _State.ENDED
        try:
            if state is _State.START:
                step = self._greet(bytes(token))
                self._state = _State.CHALLENGED
                return step
            if state is _State.CHALLENGED:
                return Step(b"", True, self._judge(bytes(token)))
        except WireError as malformed:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, f"NTLM: {malformed}") from None
        raise NtStatusError(NtStatus.INVALID_PARAMETER, "NTLM: a token after the last")

    @property
    def integrity(self) -> bool:
        """Whether real signatures were negotiated and both sides hold the key."""
        return self._signers is not None

    def mic(self, data: bytes) -> bytes | None:
        """Sign *data* as the server."""
        if self._signers is not None:
            return self._signers[1].sign(data)
        return _DUMMY_SIGNATURE if self._flags & wire.ALWAYS_SIGN else None

    def verify(self, data: bytes, mic: bytes) -> bool:
        """Whether *mic* is the client's next signature, of *data*."""
        if self._signers is not None:
            return self._signers[0].verify(data, mic)
        return bool(self._flags & wire.ALWAYS_SIGN) and mic == _DUMMY_SIGNATURE

    def _greet(self, token: bytes) -> Step[A]:
        """[MS-NLMP] 3.2.5.1.1."""
        asked = wire.parse_negotiate(token)
        if not asked & wire.NEGOTIATE_UNICODE:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, "NTLM client without Unicode")
        self._negotiate = token
        self._flags = _ALWAYS | asked & _IF_ASKED
        self._server_challenge = self._random(8)
        name = self._target.netbios_computer if asked & wire.REQUEST_TARGET else ""
        self._challenge = wire.build_challenge(
            self._flags, name, self._server_challenge, self._target_info()
        )
        return Step(self._challenge, False)

    def _target_info(self) -> bytes:
        target = self._target
        now = filetime_from_ns(self._clock())
        return wire.build_av_pairs(
            (
                (wire.AV_NB_DOMAIN_NAME, utf16(target.netbios_domain)),
                (wire.AV_NB_COMPUTER_NAME, utf16(target.netbios_computer)),
                (wire.AV_DNS_DOMAIN_NAME, utf16(target.dns_domain)),
                (wire.AV_DNS_COMPUTER_NAME, utf16(target.dns_computer)),
                (wire.AV_TIMESTAMP, now.to_bytes(8, "little")),
            )
        )

    def _judge(self, token: bytes) -> Result[A]:
        """[MS-NLMP] 3.2.5.1.2."""
        said = wire.parse_authenticate(token)
        self._flags &= said.flags | _ALWAYS
        if not said.user and not said.nt_response and said.lm_response in (b"", b"\0"):
            return self._anonymous(said)
        if len(said.nt_response) in (0, _NTLMV1_SIZE):
            log.info("%s\\%s: LM or NTLMv1 response refused", said.domain, said.user)
            raise NtStatusError(NtStatus.LOGON_FAILURE, "LM or NTLMv1 response")
        client = wire.parse_client_challenge(said.nt_response)
        account, base_key, refused = self._prove(said)
        if refused is not None:
            return self._refuse(said, refused)
        key = self._exported_key(said, base_key)
        self._check_mic(token, said, key, required=bool(client.flags & wire.AV_FLAG_MIC))
        self._agree(key)
        return Result(said.user, said.domain, said.workstation, account, key)

    def _prove(self, said: wire.Authenticate) -> tuple[A | None, bytes, Refused | None]:
        """The account, the session base key and, unless the proof holds, why not."""
        account = self._lookup(said.user, said.domain)
        dummy = self._random(_KEY_SIZE)
        usable = account is not None and len(account.nt_hash) == _KEY_SIZE
        nt_hash = account.nt_hash if account is not None and usable else dummy
        response_key = crypto.ntowf_v2(nt_hash, said.user, said.domain)
        proof, blob = said.nt_response[: wire.PROOF_SIZE], said.nt_response[wire.PROOF_SIZE :]
        expected = crypto.nt_proof(response_key, self._server_challenge, blob)
        base_key = crypto.session_base_key(response_key, expected)
        if hmac.compare_digest(proof, expected) and usable:
            return account, base_key, None
        known = account is not None
        return None, b"", Refused(said.user, said.domain, said.workstation, known)

    def _refuse(self, said: wire.Authenticate, refused: Refused) -> Result[A]:
        guest = self._map_to_guest(refused) if self._map_to_guest is not None else None
        if guest is None:
            raise LogonRefused(refused)
        return Result(said.user, said.domain, said.workstation, guest, bytes(_KEY_SIZE), guest=True)

    def _anonymous(self, said: wire.Authenticate) -> Result[A]:
        key = self._exported_key(said, bytes(_KEY_SIZE))
        self._agree(key)
        return Result("", said.domain, said.workstation, None, key, anonymous=True)

    def _exported_key(self, said: wire.Authenticate, base_key: bytes) -> bytes:
        """ExportedSessionKey; for NTLMv2 the key exchange key is the base key."""
        if not self._flags & wire.NEGOTIATE_KEY_EXCH:
            return base_key
        if len(said.encrypted_key) == _KEY_SIZE:
            return Secret(crypto.rc4(base_key, said.encrypted_key))
        if self._flags & (wire.NEGOTIATE_SIGN | wire.NEGOTIATE_SEAL):
            raise WireError(f"exchanged key of {len(said.encrypted_key)} bytes")
        return base_key  # nothing to protect: clients send a filler or nothing

    def _check_mic(
        self, token: bytes, said: wire.Authenticate, key: bytes, *, required: bool
    ) -> None:
        if not required:
            return
        at = said.mic_offset
        if at is None:
            raise WireError("no room for the MIC that MsvAvFlags announces")
        end = at + wire.MIC_SIZE
        expected = crypto.message_integrity_code(
            key, self._negotiate, self._challenge, token[:at], bytes(wire.MIC_SIZE), token[end:]
        )
        if not hmac.compare_digest(token[at:end], expected):
            raise NtStatusError(NtStatus.LOGON_FAILURE, f"wrong MIC of {said.user}")

    def _agree(self, key: bytes) -> None:
        """Make the signers if the session negotiated real signatures."""
        needed = wire.NEGOTIATE_SIGN | wire.EXTENDED_SESSIONSECURITY
        if self._flags & needed == needed:
            self._signers = (
                crypto.MessageSigner(self._flags, key, client=True),
                crypto.MessageSigner(self._flags, key, client=False),
            )
