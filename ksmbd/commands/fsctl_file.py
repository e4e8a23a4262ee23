"""FSCTLs on files, [MS-FSCC] 2.3 and [MS-FSA] 2.1.5.10."""

from __future__ import annotations

import hashlib
from typing import Final

from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.wire.fsctl import FileObjectIdBuffer
from ksmbd.wire.status import NtStatus, NtStatusError

_ID: Final = 16  # bytes


def create_or_get_object_id(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """The file's object id, by which Windows' shortcuts find what was moved.

    It is made of what never changes of a file, its inode and the volume, so that it is the
    same each time and none is kept; there is no way from an id to the file.

    INVALID_DEVICE_REQUEST   a pipe
    BUFFER_TOO_SMALL         no room for the 64 bytes
    """
    if open is None or open.handle is None:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "no file")
    if limit < FileObjectIdBuffer.SIZE:
        raise NtStatusError(NtStatus.BUFFER_TOO_SMALL, f"{limit} bytes")
    volume = open.tree.share.volume_guid
    st = open.handle.stat()
    what = volume + st.dev.to_bytes(8, "little") + st.ino.to_bytes(8, "little")
    object_id = hashlib.blake2b(what, digest_size=_ID).digest()
    answer = FileObjectIdBuffer(
        object_id=object_id, birth_volume_id=volume, birth_object_id=object_id
    )
    return answer.pack(), NtStatus.SUCCESS
