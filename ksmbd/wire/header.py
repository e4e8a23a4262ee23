"""The SMB2 packet header, [MS-SMB2] 2.2.1, what stands in it, and the walk over a compound."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from ksmbd.wire.base import Buffer, WireError

HEADER_SIZE: Final = 64
SESSION_ID_OFFSET: Final = 40  # of the 8-byte SessionId in the header
SIGNATURE_OFFSET: Final = 48  # of the 16-byte Signature in the header
NO_SIGNATURE: Final = bytes(16)

SMB1_PROTOCOL_ID: Final = b"\xffSMB"
SMB2_PROTOCOL_ID: Final = b"\xfeSMB"
TRANSFORM_PROTOCOL_ID: Final = b"\xfdSMB"
COMPRESSION_PROTOCOL_ID: Final = b"\xfcSMB"

# Flags
SERVER_TO_REDIR: Final = 0x00000001
ASYNC_COMMAND: Final = 0x00000002
RELATED_OPERATIONS: Final = 0x00000004
SIGNED: Final = 0x00000008
PRIORITY_MASK: Final = 0x00000070
DFS: Final = 0x10000000
REPLAY: Final = 0x20000000

UNSOLICITED: Final = 0xFFFF_FFFF_FFFF_FFFF  # MessageId of a break notification
ANY_SESSION: Final = 0xFFFF_FFFF_FFFF_FFFF  # SessionId and FileId of a related operation
ANY_TREE: Final = 0xFFFF_FFFF
NO_FILE: Final = 0xFFFF_FFFF_FFFF_FFFF  # both halves of a FileId that names no open


# ProtocolId StructureSize CreditCharge Status Command Credits Flags NextCommand MessageId ProcessId
# TreeId SessionId Signature
_HEADER: Final = struct.Struct("<4sHHIHHIIQIIQ16s")


class Command(IntEnum):
    """Command codes, [MS-SMB2] 2.2.1.2."""

    NEGOTIATE = 0
    SESSION_SETUP = 1
    LOGOFF = 2
    TREE_CONNECT = 3
    TREE_DISCONNECT = 4
    CREATE = 5
    CLOSE = 6
    FLUSH = 7
    READ = 8
    WRITE = 9
    LOCK = 10
    IOCTL = 11
    CANCEL = 12
    ECHO = 13
    QUERY_DIRECTORY = 14
    CHANGE_NOTIFY = 15
    QUERY_INFO = 16
    SET_INFO = 17
    OPLOCK_BREAK = 18


class Header:
    """SMB2 Packet Header - SYNC, [MS-SMB2] 2.2.1.2; ``async_id`` gives the ASYNC form, 2.2.1.1.

    Each command has one, so it is written out where other structures are declared: compiled, its
    fields are plain numbers.
    """

    __slots__ = (
        "command",
        "credit_charge",
        "credits",
        "flags",
        "message_id",
        "next_command",
        "process_id",
        "protocol_id",
        "session_id",
        "signature",
        "status",
        "structure_size",
        "tree_id",
    )

    def __init__(
        self,
        protocol_id: bytes = SMB2_PROTOCOL_ID,
        structure_size: int = HEADER_SIZE,
        credit_charge: int = 0,
        status: int = 0,
        command: int = 0,
        credits: int = 0,
        flags: int = 0,
        next_command: int = 0,
        message_id: int = 0,
        process_id: int = 0,
        tree_id: int = 0,
        session_id: int = 0,
        signature: bytes = NO_SIGNATURE,
    ) -> None:
        """The fields in their order."""
        self.protocol_id = protocol_id
        self.structure_size = structure_size
        self.credit_charge = credit_charge
        self.status = status  # in a 3.x request: ChannelSequence in the low 16 bits
        self.command = command
        self.credits = credits  # requested by a client, granted by a server
        self.flags = flags
        self.next_command = next_command  # bytes from this header to the next; 0 in the last
        self.message_id = message_id
        self.process_id = process_id
        self.tree_id = tree_id
        self.session_id = session_id
        self.signature = signature

    @staticmethod
    def parse(buf: Buffer, offset: int = 0) -> Header:
        """Unpack and check ProtocolId and StructureSize. WireError if either is wrong."""
        try:
            (
                protocol_id, size, credit_charge, status, command, credits, flags, next_command,
                message_id, process_id, tree_id, session_id, signature,
            ) = _HEADER.unpack_from(buf, offset)  # fmt: skip
        except struct.error:
            raise WireError("Header: short buffer") from None
        if protocol_id != SMB2_PROTOCOL_ID or size != HEADER_SIZE:
            raise WireError(f"no SMB2 header: {protocol_id.hex()} size {size}")
        return Header(
            protocol_id, size, credit_charge, status, command, credits, flags, next_command,
            message_id, process_id, tree_id, session_id, signature,
        )  # fmt: skip

    def pack(self) -> bytes:
        return _HEADER.pack(
            self.protocol_id, self.structure_size, self.credit_charge, self.status, self.command,
            self.credits, self.flags, self.next_command, self.message_id, self.process_id,
            self.tree_id, self.session_id, self.signature,
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Header) and self.pack() == other.pack()

    def __repr__(self) -> str:
        return f"<Header {self.pack().hex(' ', 8)}>"

    @property
    def channel_sequence(self) -> int:
        """ChannelSequence of a 3.x request."""
        return self.status & 0xFFFF

    @property
    def async_id(self) -> int:
        """AsyncId: the eight bytes of ProcessId and TreeId; meaningful with ASYNC_COMMAND."""
        return self.process_id | self.tree_id << 32

    @async_id.setter
    def async_id(self, value: int) -> None:
        self.process_id = value & 0xFFFF_FFFF
        self.tree_id = value >> 32


TRANSFORM_SIZE: Final = 52
TRANSFORM_ENCRYPTED: Final = 0x0001  # Flags (3.1.1) or EncryptionAlgorithm AES-128-CCM (3.0)
TRANSFORM_AAD_OFFSET: Final = 20  # bytes 20..51, from Nonce on, are authenticated
NONCE_OFFSET: Final = 20


def elements(message: Buffer) -> Iterator[memoryview]:
    """Yield each command of a compound, header first, padding included, [MS-SMB2] 3.3.5.2.7.

    WireError if NextCommand is no multiple of 8, leaves no room for this header and a
    StructureSize, or leaves less than that for the next.
    """
    view = memoryview(message)
    smallest = HEADER_SIZE + 2
    while True:
        if len(view) < smallest:
            raise WireError(f"element of {len(view)} bytes")
        after = int.from_bytes(view[20:24], "little")
        if not after:
            yield view
            return
        if after % 8 or after < smallest or after > len(view) - smallest:
            raise WireError(f"NextCommand {after} of {len(view)} bytes")
        yield view[:after]
        view = view[after:]
