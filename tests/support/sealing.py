"""A client that encrypts, [MS-SMB2] 3.1.4.3 and 3.2.5.1.1.1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from ksmbd.crypto import kdf
from ksmbd.crypto.ntlm import rc4
from ksmbd.crypto.sealing import Sealer, Unsealer
from ksmbd.wire import negotiate as wire
from ksmbd.wire.header import (
    HEADER_SIZE,
    SESSION_ID_OFFSET,
    SIGNED,
    TRANSFORM_PROTOCOL_ID,
    Command,
    Header,
    elements,
)
from ksmbd.wire.negotiate import (
    AES_128_CCM,
    AES_128_GCM,
    AES_256_CCM,
    AES_256_GCM,
    CAP_ENCRYPTION,
    SMB_3_0,
    SMB_3_0_2,
    SMB_3_1_1,
    NegotiateResponse,
)
from ksmbd.wire.session_setup import IS_GUEST, SessionSetupResponse
from tests.auth import client as ntlm
from tests.support.client import DIALECTS, Client, LogOn
from tests.support.engine import PEER, Engine
from tests.support.frames import Frame, standard_contexts
from tests.support.replies import Response
from tests.support.transform import TransformHeader

CIPHERS: Final = (AES_128_CCM, AES_128_GCM, AES_256_CCM, AES_256_GCM)
# Every way to encrypt: dialect and cipher.
WAYS: Final = [
    (SMB_3_0, AES_128_CCM),
    (SMB_3_0_2, AES_128_CCM),
    *((SMB_3_1_1, cipher) for cipher in CIPHERS),
]
IN_CLEAR: Final = frozenset((Command.NEGOTIATE, Command.SESSION_SETUP))


class Keys(NamedTuple):
    """A session's, as the client has them."""

    sealer: Sealer
    unsealer: Unsealer


def encryption_contexts(
    ciphers: Sequence[int], signing: Sequence[int] | None = None
) -> list[tuple[int, bytes]]:
    """The contexts of a client that has these *ciphers*; none: it leaves the context out."""
    contexts = standard_contexts() if signing is None else standard_contexts(signing)
    packed = wire.Encryption(tuple(ciphers)).pack()
    of_encryption = wire.ENCRYPTION_CAPABILITIES
    return [
        (type_, packed if type_ == of_encryption else data)
        for type_, data in contexts
        if ciphers or type_ != of_encryption
    ]


class SealingClient(Client):
    """Seals everything but NEGOTIATE and SESSION_SETUP while ``sealing`` is set.

    Every sealed reply is opened and checked: the session inside is that of the transform
    header, and nothing inside is signed but a SESSION_SETUP.  ``sealed`` says of each PDU that
    came last whether it was sealed, ``nonces`` are those of all of them.
    """

    def __init__(
        self, engine: Engine, peer: str = PEER, *, ciphers: Sequence[int] = CIPHERS
    ) -> None:
        super().__init__(engine, peer)
        self.ciphers = ciphers
        self.cipher = 0  # as negotiated
        self.keys: dict[int, Keys] = {}  # by session id
        self.sealing = True
        self.sealed: list[bool] = []
        self.nonces: list[bytes] = []

    # -- sending -------------------------------------------------------------------------

    def pack(self, *frames: Frame) -> bytearray:
        first = frames[0].header
        if not self.sealing or first.command in IN_CLEAR or first.session_id not in self.keys:
            return super().pack(*frames)
        for frame in frames:
            if frame.sign is None:
                frame.sign = False
        return self.seal(super().pack(*frames), first.session_id)

    def seal(self, pdu: bytes | bytearray, session_id: int) -> bytearray:
        """*pdu* under the session's key."""
        return bytearray(self.keys[session_id].sealer.seal([pdu], session_id))

    def receive(self) -> list[Response]:
        pdus = self.transport.take()
        self.sealed = [pdu[:4] == TRANSFORM_PROTOCOL_ID for pdu in pdus]
        self.transport._pdus = [
            self._open(pdu) if sealed else pdu
            for pdu, sealed in zip(pdus, self.sealed, strict=True)
        ]
        return super().receive()

    def _open(self, pdu: bytes) -> bytes:
        header = TransformHeader.parse(pdu)
        message = bytes(self.keys[header.session_id].unsealer.unseal(pdu))
        self.nonces.append(header.nonce)
        for element in elements(message):
            inside = Header.parse(element)
            if inside.command != Command.SESSION_SETUP:
                assert not inside.flags & SIGNED, "signed inside sealing"
        found = int.from_bytes(message[SESSION_ID_OFFSET : HEADER_SIZE - 16], "little")
        assert found in (header.session_id, 0), "sealed with another session's key"
        return message

    # -- conversations -------------------------------------------------------------------

    def negotiate(
        self, *dialects: int, signing: Sequence[int] | None = None, **changes: Any
    ) -> NegotiateResponse:
        """As Client's, with our ciphers, and the capability bit if there are any."""
        changes.setdefault("capabilities", CAP_ENCRYPTION if self.ciphers else 0)
        contexts = encryption_contexts(self.ciphers, signing)
        frame = self.frames.negotiate(*(dialects or DIALECTS), contexts=contexts, **changes)
        response = self.call(frame)
        body = response.body(NegotiateResponse)
        self._agreed(response, body)
        if body.capabilities & CAP_ENCRYPTION:
            self.cipher = AES_128_CCM
        if self.dialect == SMB_3_1_1:
            self.cipher = chosen_cipher(response, body)
        return body

    def _logged_on(self, session: LogOn, key: bytes, hash_value: bytes) -> None:
        super()._logged_on(session, key, hash_value)
        flags = session.responses[-1].body(SessionSetupResponse).session_flags
        if self.cipher and not flags & IS_GUEST:
            keys = kdf.cipher_keys(self.dialect, self.cipher, key, hash_value)
            self.keys[session.session_id] = Keys(
                Sealer(self.cipher, keys.decrypt, self.engine.random),
                Unsealer(self.cipher, keys.encrypt),
            )


def nobody() -> ntlm.Client:
    """A null session with a key of the client's, under a key that everybody knows."""
    return ntlm.anonymous(encrypted_key=rc4(bytes(16), ntlm.SESSION_KEY))


def chosen_cipher(response: Response, body: NegotiateResponse) -> int:
    """The cipher of a 3.1.1 response; 0 for none, or if nothing is said of it."""
    at = body.negotiate_context_offset
    for context in wire.contexts(response.raw[at:], body.negotiate_context_count):
        if context.type == wire.ENCRYPTION_CAPABILITIES:
            (cipher,) = wire.Encryption.unpack(context.data).ciphers
            return cipher
    return 0


def sealing(
    engine: Engine,
    way: tuple[int, int] = (SMB_3_1_1, AES_128_GCM),
    *,
    share: str = "data",
    **changes: Any,
) -> SealingClient:
    """A client that has negotiated, logged on and connected; the last encrypted."""
    dialect, cipher = way
    client = SealingClient(engine, ciphers=(cipher,))
    client.negotiate(dialect)
    client.log_on(**changes)
    client.connect(share)
    return client
