"""SMB2 CHANGE_NOTIFY and FILE_NOTIFY_INFORMATION.

[MS-SMB2] 2.2.35 and 2.2.36, [MS-FSCC] 2.7.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from ksmbd.wire import chain
from ksmbd.wire.base import Buffer, Wire, WireError, u16, u32, u64, wire
from ksmbd.wire.text import from_utf16, utf16

# Flags
WATCH_TREE: Final = 0x0001

# CompletionFilter
CHANGE_FILE_NAME: Final = 0x00000001
CHANGE_DIR_NAME: Final = 0x00000002
CHANGE_ATTRIBUTES: Final = 0x00000004
CHANGE_SIZE: Final = 0x00000008
CHANGE_LAST_WRITE: Final = 0x00000010
CHANGE_LAST_ACCESS: Final = 0x00000020
CHANGE_CREATION: Final = 0x00000040
CHANGE_EA: Final = 0x00000080
CHANGE_SECURITY: Final = 0x00000100
CHANGE_STREAM_NAME: Final = 0x00000200
CHANGE_STREAM_SIZE: Final = 0x00000400
CHANGE_STREAM_WRITE: Final = 0x00000800
CHANGE_VALID: Final = 0x00000FFF

# Action
ACTION_ADDED: Final = 0x00000001
ACTION_REMOVED: Final = 0x00000002
ACTION_MODIFIED: Final = 0x00000003
ACTION_RENAMED_OLD_NAME: Final = 0x00000004
ACTION_RENAMED_NEW_NAME: Final = 0x00000005
ACTION_ADDED_STREAM: Final = 0x00000006
ACTION_REMOVED_STREAM: Final = 0x00000007
ACTION_MODIFIED_STREAM: Final = 0x00000008
ACTION_REMOVED_BY_DELETE: Final = 0x00000009
ACTION_ID_NOT_TUNNELLED: Final = 0x0000000A
ACTION_TUNNELLED_ID_COLLISION: Final = 0x0000000B
OF_STREAMS: Final = frozenset({ACTION_ADDED_STREAM, ACTION_REMOVED_STREAM, ACTION_MODIFIED_STREAM})

BUFFER_OFFSET: Final = 72  # of the notifications in a response


@wire(structure_size=32)
class ChangeNotifyRequest(Wire):
    """SMB2 CHANGE_NOTIFY Request, [MS-SMB2] 2.2.35."""

    flags: u16 = 0
    output_buffer_length: u32
    persistent_id: u64
    volatile_id: u64
    completion_filter: u32
    reserved: u32 = 0


@wire(structure_size=9)
class ChangeNotifyResponse(Wire):
    """SMB2 CHANGE_NOTIFY Response, [MS-SMB2] 2.2.36; the notifications follow."""

    output_buffer_offset: u16 = BUFFER_OFFSET
    output_buffer_length: u32


@wire()
class FileNotifyInformation(Wire):
    """FILE_NOTIFY_INFORMATION, [MS-FSCC] 2.7.1; the name follows."""

    next_entry_offset: u32 = 0
    action: u32
    file_name_length: u32


class Change(NamedTuple):
    """What happened to which name, relative to the watched directory with ``\\`` between parts."""

    action: int
    name: str


def pack_changes(changes: Iterable[Change], limit: int) -> bytes | None:
    """The chain of *changes*, or None if it needs more than *limit* bytes.

    None asks the caller to answer STATUS_NOTIFY_ENUM_DIR: a client may not be told a part.
    """
    items: list[bytes] = []
    size = 0
    for action, name in changes:
        raw = utf16(name)
        items.append(FileNotifyInformation(action=action, file_name_length=len(raw)).pack() + raw)
        size += -size % 4 + len(items[-1])
        if size > limit:
            return None
    return chain.link(items, align=4)


def unpack_changes(buf: Buffer) -> list[Change]:
    """The changes of a chain. WireError if a link or a name leads out of the buffer."""
    changes = []
    for entry in chain.entries(buf, fixed=FileNotifyInformation.SIZE, align=4):
        head = FileNotifyInformation.unpack(entry)
        end = FileNotifyInformation.SIZE + head.file_name_length
        if end > len(entry):
            raise WireError(f"name of {head.file_name_length} bytes in {len(entry)}")
        changes.append(Change(head.action, from_utf16(entry[FileNotifyInformation.SIZE : end])))
    return changes
