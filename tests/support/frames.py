"""Valid requests of every command, so that a test says only what is unusual about its own.

A method of :class:`FrameFactory` makes a :class:`Frame`; its keyword arguments change fields by
name: a field of the fixed part (``volatile_id=9``), else one of the header (``message_id=7``,
``credit_charge=2``).  ``flags`` of a command that has flags are those of its fixed part;
``header_flags`` are always the header's.  Besides: ``size`` lies about StructureSize, ``data``
replaces what follows the fixed part, ``sign`` overrides what the session does.
"""

from __future__ import annotations

import copy
import dataclasses
import struct
from collections.abc import Sequence
from typing import Any, Final, Self

from ksmbd.wire import negotiate as wire_negotiate
from ksmbd.wire.access import (
    FILE_ALL_ACCESS,
    FILE_OPEN,
    FILE_OPEN_IF,
    FILE_SHARE_DELETE,
    FILE_SHARE_READ,
    FILE_SHARE_WRITE,
)
from ksmbd.wire.base import Wire
from ksmbd.wire.cancel import CancelRequest
from ksmbd.wire.change_notify import CHANGE_FILE_NAME, ChangeNotifyRequest
from ksmbd.wire.close import CloseRequest
from ksmbd.wire.create import CreateRequest
from ksmbd.wire.create_context import pack_contexts
from ksmbd.wire.echo import EchoRequest
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.flush import FlushRequest
from ksmbd.wire.header import (
    ANY_SESSION,
    ANY_TREE,
    ASYNC_COMMAND,
    HEADER_SIZE,
    NO_FILE,
    RELATED_OPERATIONS,
    Command,
    Header,
)
from ksmbd.wire.ioctl import IoctlRequest
from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY, LockElement, LockRequest
from ksmbd.wire.logoff import LogoffRequest
from ksmbd.wire.negotiate import AES_CMAC, AES_GMAC, HMAC_SHA256, SMB_3_1_1, NegotiateRequest
from ksmbd.wire.oplock_break import LeaseBreakAcknowledgment, OplockBreakAcknowledgment
from ksmbd.wire.query_directory import QueryDirectoryRequest
from ksmbd.wire.query_info import INFO_FILE, QueryInfoRequest
from ksmbd.wire.read import ReadRequest
from ksmbd.wire.session_setup import SessionSetupRequest
from ksmbd.wire.set_info import SetInfoRequest
from ksmbd.wire.text import utf16
from ksmbd.wire.tree_connect import TreeConnectRequest, TreeDisconnectRequest
from ksmbd.wire.write import WriteRequest

SHARE_ALL: Final = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE
CLIENT_GUID: Final = bytes(range(16))
# the fields of a header, in their order, with struct's codes
HEADER_FIELDS: Final = {
    "protocol_id": "4s",
    "structure_size": "H",
    "credit_charge": "H",
    "status": "I",
    "command": "H",
    "credits": "H",
    "flags": "I",
    "next_command": "I",
    "message_id": "Q",
    "process_id": "I",
    "tree_id": "I",
    "session_id": "Q",
    "signature": "16s",
}

Lock = tuple[int, int, int]  # offset, length, flags


def lock_elements(*locks: Lock) -> bytes:
    """The Locks array of a LOCK request."""
    return b"".join(
        LockElement(offset=offset, length=length, flags=flags).pack()
        for offset, length, flags in locks
    )


@dataclasses.dataclass(slots=True)
class Frame:
    """One request.  Its message id is given when it is sent, unless it has one of its own."""

    header: Header
    body: Wire
    data: bytes = b""
    size: int | None = None  # StructureSize, if it is to be another than the right one
    sign: bool | None = None  # None: as the session does
    numbered: bool = False  # message_id was set by the test

    @property
    def related(self) -> bool:
        return bool(self.header.flags & RELATED_OPERATIONS)

    def changed(self, **changes: Any) -> Frame:
        """A copy with other values in some fields."""
        other = Frame(
            copy.copy(self.header),
            copy.copy(self.body),
            self.data,
            self.size,
            self.sign,
            self.numbered,
        )
        other.set(**changes)
        return other

    def set(self, **changes: Any) -> Self:
        """Change fields in place, as the module says."""
        own = {field.name for field in dataclasses.fields(self.body)}  # type: ignore[arg-type]
        for name, value in changes.items():
            if name in ("data", "size", "sign"):
                setattr(self, name, value)
            elif name in own:
                setattr(self.body, name, value)
            elif name.removeprefix("header_") in HEADER_FIELDS:
                setattr(self.header, name.removeprefix("header_"), value)
                self.numbered |= name == "message_id"
            else:
                raise TypeError(f"{type(self.body).__name__} has no field {name}")
        return self

    def pack(self) -> bytearray:
        """Header and all, unsigned."""
        packed = bytearray(self.header.pack() + self.body.pack() + self.data)
        if self.size is not None:
            struct.pack_into("<H", packed, HEADER_SIZE, self.size)
        return packed


class FrameFactory:
    """Makes requests with these ids in their headers; a client changes them as it goes along."""

    def __init__(self, *, charge: int = 1) -> None:
        self.session_id = 0
        self.tree_id = 0
        self.persistent_id = NO_FILE
        self.volatile_id = NO_FILE
        self.charge = charge  # CreditCharge; 0 in 2.0.2
        self.credits = 16  # asked for with each request
        self.flags = 0  # of every header

    def related(self) -> FrameFactory:
        """A factory of requests that inherit session, tree and file from the one before them."""
        other = copy.copy(self)
        other.session_id = ANY_SESSION
        other.tree_id = ANY_TREE
        other.persistent_id = other.volatile_id = NO_FILE
        other.flags = RELATED_OPERATIONS
        return other

    def on(self, persistent_id: int, volatile_id: int) -> FrameFactory:
        """A factory of requests about another open."""
        other = copy.copy(self)
        other.persistent_id, other.volatile_id = persistent_id, volatile_id
        return other

    def frame(self, command: int, body: Wire, data: bytes, changes: dict[str, Any]) -> Frame:
        header = Header(
            command=command,
            credit_charge=self.charge,
            credits=self.credits,
            flags=self.flags,
            session_id=self.session_id,
            tree_id=self.tree_id,
        )
        return Frame(header, body, data).set(**changes)

    def _file(self) -> dict[str, int]:
        return {"persistent_id": self.persistent_id, "volatile_id": self.volatile_id}

    # -- sessions and trees --------------------------------------------------------------

    def negotiate(
        self,
        *dialects: int,
        contexts: Sequence[tuple[int, bytes]] | None = None,
        **changes: Any,
    ) -> Frame:
        """With the contexts of 3.1.1 if that is among the dialects."""
        dialects = dialects or (0x0202, 0x0210, 0x0300, 0x0302, 0x0311)
        data = struct.pack(f"<{len(dialects)}H", *dialects)
        body = NegotiateRequest(
            dialect_count=len(dialects),
            security_mode=wire_negotiate.SIGNING_ENABLED,
            client_guid=CLIENT_GUID,
        )
        if SMB_3_1_1 in dialects:
            chosen = standard_contexts() if contexts is None else contexts
            data += bytes(-(HEADER_SIZE + body.SIZE + len(data)) % 8)
            body.negotiate_context_offset = HEADER_SIZE + body.SIZE + len(data)
            body.negotiate_context_count = len(chosen)
            data += wire_negotiate.pack_contexts(chosen)
        changes = {"credit_charge": 0, "session_id": 0, "tree_id": 0} | changes
        return self.frame(Command.NEGOTIATE, body, data, changes)

    def session_setup(self, token: bytes, **changes: Any) -> Frame:
        body = SessionSetupRequest(
            security_mode=wire_negotiate.SIGNING_ENABLED,
            security_buffer_offset=HEADER_SIZE + SessionSetupRequest.SIZE,
            security_buffer_length=len(token),
        )
        return self.frame(Command.SESSION_SETUP, body, token, {"tree_id": 0} | changes)

    def logoff(self, **changes: Any) -> Frame:
        return self.frame(Command.LOGOFF, LogoffRequest(), b"", {"tree_id": 0} | changes)

    def tree_connect(self, path: str = r"\\server\data", **changes: Any) -> Frame:
        raw = utf16(path)
        body = TreeConnectRequest(
            path_offset=HEADER_SIZE + TreeConnectRequest.SIZE, path_length=len(raw)
        )
        return self.frame(Command.TREE_CONNECT, body, raw, {"tree_id": 0} | changes)

    def tree_disconnect(self, **changes: Any) -> Frame:
        return self.frame(Command.TREE_DISCONNECT, TreeDisconnectRequest(), b"", changes)

    # -- files ---------------------------------------------------------------------------

    def create(
        self, name: str = "file", *, contexts: Sequence[tuple[bytes, bytes]] = (), **changes: Any
    ) -> Frame:
        """Open or create a file with all access, sharing everything."""
        raw = utf16(name)
        start = HEADER_SIZE + CreateRequest.SIZE
        body = CreateRequest(
            desired_access=FILE_ALL_ACCESS,
            share_access=SHARE_ALL,
            create_disposition=FILE_OPEN_IF,
            name_offset=start,
            name_length=len(raw),
        )
        data = raw
        if contexts:
            data += bytes(-(start + len(raw)) % 8)
            chain = pack_contexts(contexts)
            body.create_contexts_offset = start + len(data)
            body.create_contexts_length = len(chain)
            data += chain
        return self.frame(Command.CREATE, body, data or b"\0", changes)

    def open(self, name: str = "file", **changes: Any) -> Frame:
        """A CREATE of what is there already."""
        return self.create(name, **({"create_disposition": FILE_OPEN} | changes))

    def close(self, **changes: Any) -> Frame:
        return self.frame(Command.CLOSE, CloseRequest(**self._file()), b"", changes)

    def flush(self, **changes: Any) -> Frame:
        return self.frame(Command.FLUSH, FlushRequest(**self._file()), b"", changes)

    def read(self, length: int = 16, offset: int = 0, **changes: Any) -> Frame:
        body = ReadRequest(length=length, offset=offset, **self._file())
        return self.frame(Command.READ, body, b"\0", self._charged(length) | changes)

    def write(self, data: bytes = b"data", offset: int = 0, **changes: Any) -> Frame:
        body = WriteRequest(
            data_offset=HEADER_SIZE + WriteRequest.SIZE,
            length=len(data),
            offset=offset,
            **self._file(),
        )
        return self.frame(Command.WRITE, body, data, self._charged(len(data)) | changes)

    def lock(self, *locks: Lock, **changes: Any) -> Frame:
        """An exclusive lock of bytes 0 to 9 that does not wait, if nothing else is asked for."""
        locks = locks or ((0, 10, EXCLUSIVE_LOCK | FAIL_IMMEDIATELY),)
        body = LockRequest(lock_count=len(locks), **self._file())
        return self.frame(Command.LOCK, body, lock_elements(*locks), changes)

    def ioctl(self, ctl_code: int, data: bytes = b"", **changes: Any) -> Frame:
        body = IoctlRequest(
            ctl_code=ctl_code,
            input_offset=HEADER_SIZE + IoctlRequest.SIZE,
            input_count=len(data),
            max_output_response=4096,
            **self._file(),
        )
        return self.frame(Command.IOCTL, body, data, changes)

    def query_directory(self, pattern: str = "*", **changes: Any) -> Frame:
        raw = utf16(pattern)
        body = QueryDirectoryRequest(
            file_information_class=FileInfo.ID_BOTH_DIRECTORY,
            file_name_offset=HEADER_SIZE + QueryDirectoryRequest.SIZE,
            file_name_length=len(raw),
            output_buffer_length=65536,
            **self._file(),
        )
        return self.frame(Command.QUERY_DIRECTORY, body, raw, changes)

    def change_notify(self, **changes: Any) -> Frame:
        body = ChangeNotifyRequest(
            output_buffer_length=4096, completion_filter=CHANGE_FILE_NAME, **self._file()
        )
        return self.frame(Command.CHANGE_NOTIFY, body, b"", changes)

    def query_info(
        self, info_class: int = FileInfo.BASIC, data: bytes = b"", **changes: Any
    ) -> Frame:
        body = QueryInfoRequest(
            info_type=INFO_FILE,
            file_info_class=info_class,
            output_buffer_length=4096,
            input_buffer_offset=HEADER_SIZE + QueryInfoRequest.SIZE if data else 0,
            input_buffer_length=len(data),
            **self._file(),
        )
        return self.frame(Command.QUERY_INFO, body, data, changes)

    def set_info(self, info_class: int, data: bytes, **changes: Any) -> Frame:
        body = SetInfoRequest(
            info_type=INFO_FILE,
            file_info_class=info_class,
            buffer_offset=HEADER_SIZE + SetInfoRequest.SIZE,
            buffer_length=len(data),
            **self._file(),
        )
        return self.frame(Command.SET_INFO, body, data, changes)

    def oplock_break(self, level: int = 0, **changes: Any) -> Frame:
        body = OplockBreakAcknowledgment(oplock_level=level, **self._file())
        return self.frame(Command.OPLOCK_BREAK, body, b"", changes)

    def lease_break(self, key: bytes = bytes(16), state: int = 0, **changes: Any) -> Frame:
        body = LeaseBreakAcknowledgment(lease_key=key, lease_state=state)
        return self.frame(Command.OPLOCK_BREAK, body, b"", changes)

    # -- the rest ------------------------------------------------------------------------

    def echo(self, **changes: Any) -> Frame:
        return self.frame(Command.ECHO, EchoRequest(), b"", changes)

    def cancel(self, *, message_id: int = 0, async_id: int = 0, **changes: Any) -> Frame:
        """Cancel by AsyncId if there is one, else by MessageId."""
        frame = self.frame(Command.CANCEL, CancelRequest(), b"", {"credits": 0, "credit_charge": 0})
        frame.set(message_id=message_id)
        if async_id:
            frame.header.flags |= ASYNC_COMMAND
            frame.header.async_id = async_id
        return frame.set(**changes)

    def _charged(self, length: int) -> dict[str, int]:
        """CreditCharge for a payload, [MS-SMB2] 3.1.5.2."""
        return {"credit_charge": self.charge and max(1, -(-length // 65536))}


def standard_contexts(
    signing: Sequence[int] = (AES_GMAC, AES_CMAC, HMAC_SHA256),
) -> list[tuple[int, bytes]]:
    """The contexts of a Windows client that cares about preauthentication and signing."""
    preauth = wire_negotiate.PreauthIntegrity((wire_negotiate.SHA_512,), bytes(range(32)))
    ciphers = wire_negotiate.Encryption((wire_negotiate.AES_128_GCM, wire_negotiate.AES_128_CCM))
    contexts = [
        (wire_negotiate.PREAUTH_INTEGRITY_CAPABILITIES, preauth.pack()),
        (wire_negotiate.ENCRYPTION_CAPABILITIES, ciphers.pack()),
        (wire_negotiate.NETNAME_NEGOTIATE_CONTEXT_ID, utf16("server")),
    ]
    if signing:
        packed = wire_negotiate.Signing(tuple(signing)).pack()
        contexts.append((wire_negotiate.SIGNING_CAPABILITIES, packed))
    return contexts
