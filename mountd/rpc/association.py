"""The server side of one RPC association: bytes in, reply fragments out.

    NEW --bind--> BOUND --anything malformed--> BROKEN
    NEW --anything but bind--> BROKEN
    BOUND --requests far ahead of what is read--> BROKEN

Pure: no I/O, no lock (the pipe has one).  Requests are reassembled one at a
time; presentation context id -> interface -> opnum selects the operation.
[C706] chapters 9.3 and 12, [MS-RPCE] 3.3.1.5.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from ksmbd.wire.base import Buffer, WireError
from mountd.rpc import errors, pdu
from mountd.rpc.errors import RpcFault
from mountd.rpc.handles import Handles
from mountd.rpc.interface import Call, Caller, Context, Interface, execute
from mountd.rpc.pdu import Header, PduType, Presentation, Reject, Request, Result

log = logging.getLogger("mountd.rpc")

MAX_STUB: Final = 4 << 20  # bytes of one reassembled request
MAX_UNREAD: Final = 1 << 20  # bytes of replies nobody has read; further requests are refused
MAX_CONTEXTS: Final = 128  # presentation contexts of one association
ASSOCIATION_GROUP: Final = 0x53F0  # for a client that asks for a new group


class State(Enum):
    NEW = auto()
    BOUND = auto()
    BROKEN = auto()


@dataclass(slots=True)
class Assembly:
    """A request whose last fragment has not come yet."""

    call_id: int
    context_id: int
    opnum: int
    flags: int
    stub: bytearray = field(default_factory=bytearray)


class Association:
    """One client's RPC conversation over one pipe."""

    def __init__(
        self,
        pipe: str,
        interfaces: Sequence[Interface],
        context: Context,
        caller: Caller,
        handles: Handles,
    ) -> None:
        self.state = State.NEW
        self.replies: deque[memoryview] = deque()  # fragments nobody has read yet
        self._pipe = pipe
        self._interfaces = interfaces
        self._context = context
        self._caller = caller
        self._handles = handles
        self._contexts: dict[int, Interface] = {}
        self._input = bytearray()  # less than one fragment, between calls of receive()
        self._assembly: Assembly | None = None
        self._max_xmit = pdu.MIN_FRAG
        self._group = ASSOCIATION_GROUP
        self.unread = 0  # bytes in self.replies

    @property
    def broken(self) -> bool:
        return self.state is State.BROKEN

    @property
    def buffered(self) -> int:
        """Bytes held for this association, both ways."""
        assembled = len(self._assembly.stub) if self._assembly else 0
        return len(self._input) + assembled + self.unread

    def receive(self, data: Buffer) -> None:
        """Take what the client wrote: part of a PDU, one, or several."""
        if self.broken:
            return
        self._input += data
        taken = 0
        while not self.broken and len(self._input) - taken >= pdu.HEADER_SIZE:
            size = self._one(taken)
            if size == 0:
                break
            taken += size
        del self._input[:taken]
        if self.broken:
            self._input.clear()
            self._assembly = None

    def take(self, length: int) -> tuple[bytes, int]:
        """Remove up to *length* bytes of the first unread fragment; tell how many remain."""
        if not self.replies:
            return b"", 0
        first = self.replies.popleft()
        data, rest = bytes(first[:length]), first[length:]
        if rest:
            self.replies.appendleft(rest)
        self.unread -= len(data)
        return data, len(rest)

    def _one(self, start: int) -> int:
        """Handle the PDU at *start* of the input; its size, or 0 if more bytes are needed."""
        frame = bytes(self._input[start : start + pdu.HEADER_SIZE])
        try:
            header = pdu.parse_header(frame)
            if len(self._input) - start < header.frag_length:
                return 0
            frame = bytes(self._input[start : start + header.frag_length])
            if pdu.foreign(header):
                raise WireError(f"data representation {header.drep.hex()}")
            self._dispatch(header, frame)
        except WireError as malformed:
            log.debug("%s: malformed PDU: %s", self._pipe, malformed)
            self._break(frame)
            return len(frame)
        return header.frag_length

    def _dispatch(self, header: Header, frame: bytes) -> None:
        both = pdu.FIRST_FRAG | pdu.LAST_FRAG
        if header.type in (PduType.BIND, PduType.ALTER_CONTEXT) and header.flags & both != both:
            raise WireError("fragmented bind")
        match header.type:
            case PduType.BIND:
                self._bind(header, frame)
            case PduType.ALTER_CONTEXT if self.state is State.BOUND:
                self._alter(header, frame)
            case PduType.REQUEST if self.state is State.BOUND:
                self._request(header, frame)
            case PduType.ORPHANED if self.state is State.BOUND:
                if self._assembly and self._assembly.call_id == header.call_id:
                    self._assembly = None
            case PduType.CO_CANCEL | PduType.AUTH3 if self.state is State.BOUND:
                log.debug("%s: PDU type %d has nothing to do", self._pipe, header.type)
            case _:
                raise WireError(f"PDU type {header.type} in state {self.state.name}")

    def _break(self, frame: bytes) -> None:
        """End the association over bytes that make no sense, telling why where a form exists."""
        call_id = pdu.call_id(frame)
        version = frame[0] != 5 or frame[1] > 1
        if self.state is State.NEW and frame[2] == PduType.BIND:
            reason = Reject.PROTOCOL_VERSION_NOT_SUPPORTED if version else Reject.NOT_SPECIFIED
            self._reply(pdu.bind_nak(call_id, reason))
        elif frame[2] not in (PduType.CO_CANCEL, PduType.ORPHANED, PduType.AUTH3):
            self._reply(pdu.fault(call_id, 0, errors.PROTOCOL_ERROR))
        self.state = State.BROKEN

    def _reply(self, fragment: bytes) -> None:
        self.replies.append(memoryview(fragment))
        self.unread += len(fragment)

    def _bind(self, header: Header, frame: bytes) -> None:
        """Open the association, [MS-RPCE] 3.3.1.5.2."""
        if self.state is not State.NEW:
            raise WireError("second bind")
        if header.auth_length:
            log.debug("%s: bind with authentication refused", self._pipe)
            self._reply(pdu.bind_nak(header.call_id, Reject.AUTHENTICATION_TYPE_NOT_RECOGNIZED))
            return
        bind = pdu.parse_bind(frame)
        self._max_xmit = min(max(bind.max_recv, pdu.MIN_FRAG), pdu.MAX_FRAG)
        self._group = bind.association_group or ASSOCIATION_GROUP
        self.state = State.BOUND
        self._accept(PduType.BIND_ACK, header, bind, f"\\PIPE\\{self._pipe}")

    def _alter(self, header: Header, frame: bytes) -> None:
        """Add presentation contexts, [MS-RPCE] 3.3.1.5.4.

        A context that is another interface's ends the association: nobody could tell for which
        of both a request is that was sent before the answer came.
        """
        if header.auth_length:
            self._reply(pdu.fault(header.call_id, 0, errors.ACCESS_DENIED))
            return
        bind = pdu.parse_bind(frame)
        for wanted in bind.contexts:
            known = self._contexts.get(wanted.context_id)
            if known is not None and known.syntax.uuid != wanted.abstract.uuid:
                raise WireError(f"context {wanted.context_id} is {known.name}")
        self._accept(PduType.ALTER_CONTEXT_RESP, header, bind, "")

    def _accept(self, type: PduType, header: Header, bind: pdu.Bind, address: str) -> None:
        results = [self._negotiate(wanted) for wanted in bind.contexts]
        max_recv = min(max(bind.max_xmit, pdu.MIN_FRAG), pdu.MAX_FRAG)
        body = pdu.Acceptance(self._max_xmit, max_recv, self._group, address, results).pack()
        self._reply(pdu.pack(type, header.call_id, body))

    def _negotiate(self, wanted: Presentation) -> Result:
        """Decide on one presentation context, [MS-RPCE] 3.3.1.5.3 for feature negotiation."""
        features = pdu.FEATURE_NEGOTIATION
        if any(transfer.uuid.bytes_le[:8] == features for transfer in wanted.transfers):
            return pdu.FEATURES
        interface = next((i for i in self._interfaces if i.offers(wanted.abstract)), None)
        if interface is None:
            log.debug("%s: no interface %s", self._pipe, wanted.abstract)
            return pdu.ABSTRACT_UNKNOWN
        if pdu.NDR32 not in wanted.transfers:
            return pdu.TRANSFER_UNKNOWN
        known = self._contexts.get(wanted.context_id)
        if known is not None and known is not interface:
            return pdu.NOT_SPECIFIED
        if known is None and len(self._contexts) >= MAX_CONTEXTS:
            return pdu.LIMIT_EXCEEDED
        self._contexts[wanted.context_id] = interface
        return pdu.ACCEPTED

    def _request(self, header: Header, frame: bytes) -> None:
        """Take one fragment of a request; run it with the last, [C706] 12.6.4.9."""
        if header.auth_length:
            raise WireError("authentication trailer without authentication")
        request = pdu.parse_request(header, frame)
        if header.flags & pdu.FIRST_FRAG:
            if self._assembly is not None:
                raise WireError("a new request inside an unfinished one")
            self._assembly = Assembly(
                header.call_id, request.context_id, request.opnum, header.flags
            )
        call = self._continue(header, request)
        if header.flags & pdu.LAST_FRAG:
            self._assembly = None
            self._run(call)

    def _continue(self, header: Header, request: Request) -> Assembly:
        call = self._assembly
        if call is None:
            raise WireError("middle of a request that was never begun")
        if (call.call_id, call.context_id, call.opnum) != (
            header.call_id,
            request.context_id,
            request.opnum,
        ):
            raise WireError("fragment of another call")
        if len(call.stub) + len(request.stub) > MAX_STUB:
            raise WireError(f"request of more than {MAX_STUB} bytes")
        call.stub += request.stub
        return call

    def _run(self, call: Assembly) -> None:
        """Execute a complete request and queue its reply or fault."""
        try:
            stub = self._execute(call)
            fragments = pdu.responses(call.call_id, call.context_id, stub, self._max_xmit)
        except RpcFault as failed:
            log.debug("%s: call %d: fault %s", self._pipe, call.call_id, failed)
            executed = failed.code == errors.NO_MEMORY
            if failed.code == errors.TOO_BUSY:
                self.state = State.BROKEN
            fragments = [pdu.fault(call.call_id, call.context_id, failed.code, executed=executed)]
        except Exception:
            log.exception("%s: operation %d: a bug in the server", self._pipe, call.opnum)
            fragments = [
                pdu.fault(call.call_id, call.context_id, errors.UNSPECIFIED, executed=True)
            ]
        if not call.flags & pdu.MAYBE:
            for fragment in fragments:
                self._reply(fragment)

    def _execute(self, call: Assembly) -> bytes:
        interface = self._contexts.get(call.context_id)
        if interface is None:
            raise RpcFault(errors.UNKNOWN_INTERFACE, f"context {call.context_id}")
        if self.unread > MAX_UNREAD:
            raise RpcFault(errors.TOO_BUSY, f"{self.unread} bytes unread")
        run = Call(self._context, self._caller, self._handles, self._interfaces)
        return execute(interface, call.opnum, bytes(call.stub), run)
