"""The SMB2 packet header, the encryption transform header, and the walk over a compound.

[MS-SMB2] 2.2.1 and 2.2.41.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Final, Self

from ksmbd.wire.base import Buffer, Wire, WireError, bytes4, bytes16, u16, u32, u64, wire

HEADER_SIZE: Final = 64
SESSION_ID_OFFSET: Final = 40  # of the 8-byte SessionId in the header
SIGNATURE_OFFSET: Final = 48  # of the 16-byte Signature in the header

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


@wire()
class Header(Wire):
    """SMB2 Packet Header - SYNC, [MS-SMB2] 2.2.1.2; ``async_id`` gives the ASYNC form, 2.2.1.1."""

    protocol_id: bytes4 = SMB2_PROTOCOL_ID
    structure_size: u16 = HEADER_SIZE
    credit_charge: u16 = 0
    status: u32 = 0  # in a 3.x request: ChannelSequence in the low 16 bits
    command: u16
    credits: u16 = 0  # requested by a client, granted by a server
    flags: u32 = 0
    next_command: u32 = 0  # bytes from this header to the next; 0 in the last
    message_id: u64 = 0
    process_id: u32 = 0
    tree_id: u32 = 0
    session_id: u64 = 0
    signature: bytes16 = bytes(16)

    @classmethod
    def parse(cls, buf: Buffer, offset: int = 0) -> Self:
        """Unpack and check ProtocolId and StructureSize. WireError if either is wrong."""
        header = cls.unpack(buf, offset)
        if header.protocol_id != SMB2_PROTOCOL_ID or header.structure_size != HEADER_SIZE:
            raise WireError(
                f"no SMB2 header: {header.protocol_id.hex()} size {header.structure_size}"
            )
        return header

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


@wire()
class TransformHeader(Wire):
    """SMB2 TRANSFORM_HEADER, [MS-SMB2] 2.2.41."""

    protocol_id: bytes4 = TRANSFORM_PROTOCOL_ID
    signature: bytes16 = bytes(16)
    nonce: bytes16 = bytes(16)  # the first 11 (CCM) or 12 (GCM) bytes are used
    original_message_size: u32
    reserved: u16 = 0
    flags: u16 = TRANSFORM_ENCRYPTED
    session_id: u64

    @classmethod
    def parse(cls, buf: Buffer, offset: int = 0) -> Self:
        """Unpack and check ProtocolId and Flags. WireError if either is wrong."""
        header = cls.unpack(buf, offset)
        if header.protocol_id != TRANSFORM_PROTOCOL_ID or header.flags != TRANSFORM_ENCRYPTED:
            raise WireError(f"no transform header: {header.protocol_id.hex()} {header.flags:#x}")
        return header


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
