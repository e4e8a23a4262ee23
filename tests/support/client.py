"""The client's side of a connection to the engine."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from ksmbd.crypto import kdf
from ksmbd.crypto.signing import Signer
from ksmbd.wire import negotiate as wire_negotiate
from ksmbd.wire.base import Wire
from ksmbd.wire.create import CreateResponse
from ksmbd.wire.header import (
    ANY_SESSION,
    ASYNC_COMMAND,
    HEADER_SIZE,
    SIGNATURE_OFFSET,
    SIGNED,
    UNSOLICITED,
    Command,
    Header,
)
from ksmbd.wire.negotiate import (
    AES_CMAC,
    HMAC_SHA256,
    SMB_2_0_2,
    SMB_3_0,
    SMB_3_1_1,
    NegotiateResponse,
)
from ksmbd.wire.session_setup import BINDING, IS_GUEST, IS_NULL, SessionSetupResponse
from ksmbd.wire.status import NtStatus
from tests.auth import client as ntlm
from tests.support.engine import PEER, Engine
from tests.support.frames import Frame, FrameFactory, standard_contexts
from tests.support.mountd import PASSWORD
from tests.support.replies import Response, split

W = TypeVar("W", bound=Wire)
CHANNEL_KEY: Final = b"channel" * 2 + b"ab"  # another than that of the session
DIALECTS: Final = (0x0202, 0x0210, 0x0300, 0x0302, 0x0311)


@dataclass
class LogOn:
    """A session as the client knows it."""

    session_id: int
    signer: Signer | None = None  # None: guest or anonymous
    signing: bool = True  # whether requests are signed
    responses: list[Response] = field(default_factory=list)


@dataclass(frozen=True)
class File:
    """An open of this client's."""

    frames: FrameFactory
    response: Response

    @property
    def ids(self) -> tuple[int, int]:
        return self.frames.persistent_id, self.frames.volatile_id


class Client:
    """One connection.  ``send`` numbers and signs; ``frames`` makes requests of its session."""

    def __init__(self, engine: Engine, peer: str = PEER) -> None:
        self.engine = engine
        self.connection, self.transport = engine.connection(peer)
        self.frames = FrameFactory(charge=0)
        self.dialect = 0
        self.algorithm = HMAC_SHA256
        self.preauth = bytes(64)  # the connection's PreauthIntegrityHashValue, as we compute it
        self.next_id = 0
        self.credits = 1
        self.sessions: dict[int, LogOn] = {}
        self.signing_now: LogOn | None = None  # a log-on whose keys are not known yet
        self.sent = b""  # the last PDU
        self.received: list[bytes] = []  # the PDUs it brought
        self.unsolicited: list[Response] = []

    # -- sending -------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return self.transport.closed

    def raw(self, pdu: bytes | bytearray) -> list[Response]:
        """Send bytes as they are; everything that comes back, compounds taken apart."""
        self.sent = bytes(pdu)
        self.engine.receive(self.connection, bytearray(pdu))
        return self.receive()

    def receive(self) -> list[Response]:
        """The replies the server has sent since; what nobody asked for goes to ``unsolicited``."""
        self.received = self.transport.take()
        responses = [response for pdu in self.received for response in split(pdu)]
        breaks = [r for r in responses if r.header.message_id == UNSOLICITED]
        self.unsolicited += breaks
        replies = [r for r in responses if r.header.message_id != UNSOLICITED]
        for response in replies:
            self._check(response)
            self.credits += response.header.credits
        return replies

    def pack(self, *frames: Frame) -> bytearray:
        """Number, pad and sign: the PDU of one request or of a compound."""
        pdu = bytearray()
        for frame in frames:
            self._number(frame)
            packed = frame.pack()
            if frame is not frames[-1]:
                packed += bytes(-len(packed) % 8)
                if not frame.header.next_command:
                    struct.pack_into("<I", packed, 20, len(packed))
            self._sign(frame, packed, frames[0])
            pdu += packed
        return pdu

    def send(self, *frames: Frame) -> list[Response]:
        """One PDU of these requests, and its replies."""
        return self.raw(self.pack(*frames))

    def call(self, frame: Frame) -> Response:
        """One request that has one reply."""
        responses = self.send(frame)
        assert len(responses) == 1, f"{len(responses)} replies, closed: {self.closed}"
        return responses[0]

    def ok(self, frame: Frame, kind: type[W]) -> W:
        """One request that succeeds; the fixed part of its reply."""
        response = self.call(frame)
        assert response.status is NtStatus.SUCCESS, response
        return response.body(kind)

    def status(self, frame: Frame) -> NtStatus:
        return self.call(frame).status

    def _number(self, frame: Frame) -> None:
        if not frame.numbered:
            frame.header.message_id = self.next_id
            multi_credit = self.dialect > SMB_2_0_2
            charge = frame.header.credit_charge if multi_credit else 1
            self.next_id += charge or 1
            self.credits -= charge or 1

    def _sign(self, frame: Frame, packed: bytearray, first: Frame) -> None:
        session_id = frame.header.session_id
        if session_id == ANY_SESSION:
            session_id = first.header.session_id
        session = self.sessions.get(session_id)
        wanted = frame.sign
        if session is None or session.signer is None or wanted is False:
            return
        if wanted is None and not session.signing:
            return
        flags = frame.header.flags | SIGNED
        struct.pack_into("<I", packed, 16, flags)
        packed[SIGNATURE_OFFSET:HEADER_SIZE] = bytes(16)
        packed[SIGNATURE_OFFSET:HEADER_SIZE] = session.signer.sign(
            [packed],
            frame.header.message_id,
            server=False,
            cancel=frame.header.command == Command.CANCEL,
        )

    def _check(self, response: Response) -> None:
        if not response.header.flags & SIGNED or self.signing_now is not None:
            return
        session = self.sessions.get(response.header.session_id)
        if session is None and response.header.command == Command.SESSION_SETUP:
            return  # of a log-on whose key the test has not derived
        if response.status is NtStatus.USER_SESSION_DELETED and not any(response.header.signature):
            return  # there is no key any more
        if session is None and response.header.session_id == ANY_SESSION:
            session = self._only_session()
        assert session is not None, "signed for a session we have not"
        assert session.signer is not None, "signed without a key"
        assert response.signed_by(session.signer), f"wrong signature: {response}"

    def _only_session(self) -> LogOn | None:
        return next(iter(self.sessions.values())) if len(self.sessions) == 1 else None

    # -- conversations -------------------------------------------------------------------

    def negotiate(
        self, *dialects: int, signing: Sequence[int] | None = None, **changes: Any
    ) -> NegotiateResponse:
        """Agree on a dialect; *signing* are the algorithms offered with 3.1.1."""
        contexts = None if signing is None else standard_contexts(signing)
        frame = self.frames.negotiate(*(dialects or DIALECTS), contexts=contexts, **changes)
        response = self.call(frame)
        assert response.status is NtStatus.SUCCESS, response
        body = response.body(NegotiateResponse)
        self._agreed(response, body)
        return body

    def _agreed(self, response: Response, body: NegotiateResponse) -> None:
        self.dialect = body.dialect_revision
        self.algorithm = AES_CMAC if self.dialect >= SMB_3_0 else HMAC_SHA256
        self.frames.charge = int(self.dialect > SMB_2_0_2)
        if self.dialect != SMB_3_1_1:
            return
        self.preauth = chain(self.preauth, self.sent, response.raw)
        at = body.negotiate_context_offset
        found = wire_negotiate.contexts(response.raw[at:], body.negotiate_context_count)
        for context in found:
            if context.type == wire_negotiate.SIGNING_CAPABILITIES:
                (self.algorithm,) = wire_negotiate.Signing.unpack(context.data).signing_algorithms

    def log_on(
        self,
        user: str = "joe",
        password: str = PASSWORD,
        *,
        signing: bool = True,
        use: bool = True,
        **changes: Any,
    ) -> LogOn:
        """A new session by NTLMv2, which ``frames`` uses from then on if *use*."""
        session = self.try_log_on(ntlm.Client(user, password=password), **changes)
        last = session.responses[-1]
        assert last.status is NtStatus.SUCCESS, last
        session.signing = signing
        if use:
            self.frames.session_id = session.session_id
        return session

    def log_on_nobody(self) -> LogOn:
        """A null session."""
        session = self.try_log_on(nobody())
        assert session.responses[-1].status is NtStatus.SUCCESS, session.responses[-1]
        self.frames.session_id = session.session_id
        return session

    def try_log_on(self, side: ntlm.Client, **changes: Any) -> LogOn:
        """Both legs, however they end.  *changes* are of the second request."""
        hash_value = self.preauth
        first = self.call(self.frames.session_setup(side.negotiate(), session_id=0))
        session = LogOn(first.header.session_id, responses=[first])
        if first.status is not NtStatus.MORE_PROCESSING_REQUIRED:
            return session
        hash_value = chain(hash_value, self.sent, first.raw)
        token = side.authenticate(first.token())
        frame = self.frames.session_setup(token, session_id=session.session_id)
        self.signing_now = session
        try:
            responses = self.send(frame.set(**changes))
        finally:
            self.signing_now = None
        session.responses += responses
        if responses and responses[-1].status is NtStatus.SUCCESS:
            self._logged_on(session, side.key, chain(hash_value, self.sent))
        return session

    def _logged_on(self, session: LogOn, key: bytes, hash_value: bytes) -> None:
        """Derive what the dialect derives, and check the reply with it."""
        self.sessions[session.session_id] = session
        last = session.responses[-1]
        if last.body(SessionSetupResponse).session_flags & (IS_GUEST | IS_NULL):
            assert not last.header.flags & SIGNED
            return
        key = kdf.short_key(key)
        session.signer = Signer(self.algorithm, kdf.signing_key(self.dialect, key, hash_value))
        if self.dialect >= SMB_3_0:
            assert last.header.flags & SIGNED, "the last SESSION_SETUP response goes unsigned"
        if last.header.flags & SIGNED:
            assert last.signed_by(session.signer), "wrong signature of the last SESSION_SETUP"

    def bind(
        self, session: LogOn, user: str = "joe", password: str = PASSWORD, **changes: Any
    ) -> LogOn:
        """Make this connection a channel of *session*, which was made on another one."""
        side = ntlm.Client(user, password=password, session_key=CHANNEL_KEY)
        channel = self.try_bind(session, side, **changes)
        assert channel.responses[-1].status is NtStatus.SUCCESS, channel.responses[-1]
        self.frames.session_id = session.session_id
        return channel

    def try_bind(self, session: LogOn, side: ntlm.Client, **changes: Any) -> LogOn:
        """Both legs, signed with the key of *session*.  *changes* are of both requests."""
        hash_value = self.preauth
        channel = LogOn(session.session_id, signer=session.signer)
        self.sessions[session.session_id] = channel
        self.signing_now = channel  # the test looks at the signatures
        token = side.negotiate()
        changes = {"flags": BINDING, "session_id": session.session_id, **changes}
        try:
            for _ in range(2):
                response = self.call(self.frames.session_setup(token, **changes))
                channel.responses.append(response)
                hash_value = chain(hash_value, self.sent)
                if response.status is not NtStatus.MORE_PROCESSING_REQUIRED:
                    break
                hash_value = chain(hash_value, response.raw)
                token = side.authenticate(response.token())
        finally:
            self.signing_now = None
        if channel.responses[-1].status is NtStatus.SUCCESS:
            self._logged_on(channel, side.key, hash_value)
        return channel

    def connect(self, name: str = "data", *, use: bool = True) -> int:
        """A tree connect to the share, which ``frames`` uses from then on if *use*."""
        response = self.call(self.frames.tree_connect(rf"\\server\{name}"))
        assert response.status is NtStatus.SUCCESS, response
        tree_id = response.header.tree_id
        if use:
            self.frames.tree_id = tree_id
        return tree_id

    def open(self, name: str = "file", **changes: Any) -> File:
        """Open or create a file with all access, or as *changes* say."""
        response = self.call(self.frames.create(name, **changes))
        assert response.status is NtStatus.SUCCESS, response
        return self.file(response)

    def file(self, response: Response) -> File:
        body = response.body(CreateResponse)
        return File(self.frames.on(body.persistent_id, body.volatile_id), response)

    def pend(self, frame: Frame) -> int:
        """Send a request that waits; its AsyncId."""
        response = self.call(frame)
        assert response.status is NtStatus.PENDING, response
        assert response.header.flags & ASYNC_COMMAND
        return response.header.async_id

    def lose(self) -> None:
        """Break the connection."""
        self.engine.lose(self.connection)


def nobody() -> ntlm.Client:
    """A null session's client, which exchanges a key nobody will use."""
    return ntlm.anonymous(encrypted_key=bytes(16))


def chain(value: bytes, *messages: bytes) -> bytes:
    """PreauthIntegrityHashValue after these messages, [MS-SMB2] 3.2.5.2: our own computation."""
    for message in messages:
        value = hashlib.sha512(value + message).digest()
    return value


def ready(engine: Engine, *dialects: int, share: str = "data", user: str = "joe") -> Client:
    """A client that has negotiated, logged on and connected to *share*."""
    client = Client(engine)
    client.negotiate(*dialects)
    client.log_on(user, engine.mountd.users[user].password)
    client.connect(share)
    return client


def statuses(responses: Iterable[Response]) -> list[NtStatus]:
    return [response.status for response in responses]


__all__ = ["Client", "File", "Header", "LogOn", "chain", "nobody", "ready", "statuses"]
