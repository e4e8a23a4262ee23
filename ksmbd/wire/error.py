"""SMB2 ERROR Response, its contexts, and the symbolic link error.

[MS-SMB2] 2.2.2, 2.2.2.1 and 2.2.2.2.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ksmbd.wire.base import Wire, u8, u16, u32, wire
from ksmbd.wire.text import utf16

ERROR_ID_DEFAULT: Final = 0x00000000
ERROR_ID_SHARE_REDIRECT: Final = 0x72645253

SYMLINK_ERROR_TAG: Final = 0x4C4D5953
SYMLINK_REPARSE_TAG: Final = 0xA000000C
SYMLINK_RELATIVE: Final = 0x00000001


@wire(structure_size=9)
class ErrorResponse(Wire):
    """SMB2 ERROR Response, [MS-SMB2] 2.2.2; ErrorData follows, one zero byte if there is none."""

    error_context_count: u8 = 0
    reserved: u8 = 0
    byte_count: u32 = 0


@wire()
class ErrorContext(Wire):
    """SMB2 ERROR Context Response, [MS-SMB2] 2.2.2.1; only in dialect 3.1.1."""

    error_data_length: u32
    error_id: u32 = ERROR_ID_DEFAULT


@wire()
class SymbolicLinkError(Wire):
    """Symbolic Link Error Response, [MS-SMB2] 2.2.2.2.1; PathBuffer follows."""

    sym_link_length: u32  # bytes after this field
    sym_link_error_tag: u32 = SYMLINK_ERROR_TAG
    reparse_tag: u32 = SYMLINK_REPARSE_TAG
    reparse_data_length: u16  # bytes from SubstituteNameOffset on
    unparsed_path_length: u16  # bytes of the path behind the link
    substitute_name_offset: u16  # into PathBuffer
    substitute_name_length: u16
    print_name_offset: u16
    print_name_length: u16
    flags: u32 = 0


def pack_error(data: bytes = b"", *, contexts: bool = False, error_id: int = 0) -> bytes:
    """The whole body of an ERROR response carrying *data*.

    *contexts* (dialect 3.1.1) wraps non-empty data in one error context.
    """
    if not data:
        return ErrorResponse().pack() + b"\0"
    if not contexts:
        return ErrorResponse(byte_count=len(data)).pack() + data
    wrapped = pack_contexts([(error_id, data)])
    return ErrorResponse(error_context_count=1, byte_count=len(wrapped)).pack() + wrapped


def pack_contexts(contexts: Iterable[tuple[int, bytes]]) -> bytes:
    """Error contexts of (ErrorId, data), each but the last padded to 8 bytes."""
    out = bytearray()
    for error_id, data in contexts:
        out += bytes(-len(out) % 8)
        out += ErrorContext(error_data_length=len(data), error_id=error_id).pack()
        out += data
    return bytes(out)


def pack_symlink_error(
    substitute: str, printed: str, *, unparsed: str = "", relative: bool = False
) -> bytes:
    """ErrorData of STATUS_STOPPED_ON_SYMLINK: where the link leads and what was not yet parsed."""
    substitute_name, print_name = utf16(substitute), utf16(printed)
    names = len(substitute_name) + len(print_name)
    return (
        SymbolicLinkError(
            sym_link_length=SymbolicLinkError.SIZE - 4 + names,
            reparse_data_length=12 + names,
            unparsed_path_length=len(utf16(unparsed)),
            substitute_name_offset=0,
            substitute_name_length=len(substitute_name),
            print_name_offset=len(substitute_name),
            print_name_length=len(print_name),
            flags=SYMLINK_RELATIVE if relative else 0,
        ).pack()
        + substitute_name
        + print_name
    )
