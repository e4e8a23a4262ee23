"""Offloaded copies: FSCTL_OFFLOAD_READ and FSCTL_OFFLOAD_WRITE, [MS-FSCC] 2.3; tokens, 2.1.11."""

from __future__ import annotations

import struct
from typing import Annotated, Final

from ksmbd.wire.base import Buffer, Wire, u32, u64, wire

bytes512 = Annotated[bytes, "512s"]

TOKEN_ZERO: Final = 0xFFFF0001  # STORAGE_OFFLOAD_TOKEN_TYPE_ZERO_DATA
TOKEN_OURS: Final = 0x4B534D42  # "KSMB", in the range that is left to vendors
_TOKEN: Final = struct.Struct(">IHH")  # TokenType, Reserved, TokenIdLength: big-endian
_TOKEN_SIZE: Final = 512
_TOKEN_ID_SIZE: Final = 504
_OUR_ID_SIZE: Final = 32  # bytes of ours that are not padding


@wire()
class OffloadReadInput(Wire):
    """FSCTL_OFFLOAD_READ_INPUT, [MS-FSCC] 2.3."""

    size: u32 = 32
    flags: u32 = 0
    token_time_to_live: u32 = 0  # milliseconds; 0: the server's choice
    reserved: u32 = 0
    file_offset: u64
    copy_length: u64


@wire()
class OffloadReadOutput(Wire):
    """FSCTL_OFFLOAD_READ_OUTPUT, [MS-FSCC] 2.3."""

    size: u32 = 528
    flags: u32 = 0
    transfer_length: u64
    token: bytes512


@wire()
class OffloadWriteInput(Wire):
    """FSCTL_OFFLOAD_WRITE_INPUT, [MS-FSCC] 2.3."""

    size: u32 = 544
    flags: u32 = 0
    file_offset: u64
    copy_length: u64
    transfer_offset: u64
    token: bytes512


@wire()
class OffloadWriteOutput(Wire):
    """FSCTL_OFFLOAD_WRITE_OUTPUT, [MS-FSCC] 2.3."""

    size: u32 = 16
    flags: u32 = 0
    length_written: u64


def pack_token(token_id: bytes) -> bytes:
    """STORAGE_OFFLOAD_TOKEN of ours, [MS-FSCC] 2.1.11."""
    head = _TOKEN.pack(TOKEN_OURS, 0, _TOKEN_ID_SIZE)
    return (head + token_id).ljust(_TOKEN_SIZE, b"\0")


def unpack_token(buf: Buffer) -> tuple[int, bytes]:
    """Its type and the id that :func:`pack_token` was given."""
    kind, _, _ = _TOKEN.unpack_from(buf)
    return kind, bytes(buf[_TOKEN.size : _TOKEN.size + _OUR_ID_SIZE])
