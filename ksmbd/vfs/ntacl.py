"""security.NTACL: the stored security descriptor, in the form Samba and ksmbd share.

The value is NDR (little-endian, pointers as referents) of Samba's xattr_NTACL.  The
descriptor's own offsets count from the beginning of the value.  Version 4 carries
the hash of the POSIX permissions at the time of storing: when they have changed
since, by chmod or setfacl, the stored descriptor no longer holds.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final, NamedTuple

from ksmbd.vfs import posix_acl
from ksmbd.vfs.posix_acl import Entry
from ksmbd.wire.base import WireError
from ksmbd.wire.security import SecurityDescriptor

NAME: Final = "security.NTACL"
# Where security.* cannot be written: it takes CAP_SYS_ADMIN.  Only a server that
# lacks it looks here, since whoever may write the file may write this.
NAME_UNPRIVILEGED: Final = "user.ksmbd.NTACL"

_HASH_SHA256: Final = 1
_DESCRIPTION: Final = b"posix_acl\0"
_REFERENT: Final = 0x00020000
_SD_AT: Final = 0xA0

# version, union tag, pointer to the versioned part, pointer to the descriptor,
# hash type, hash, description, time (always 0), hash of the POSIX permissions
_V4: Final = struct.Struct("<HHIIH64s10sQ64s")
_TAGS: Final = {  # kernel -> smb_acl_tag_t
    posix_acl.USER: 1,
    posix_acl.USER_OBJ: 2,
    posix_acl.GROUP: 3,
    posix_acl.GROUP_OBJ: 4,
    posix_acl.OTHER: 5,
    posix_acl.MASK: 6,
}


class Stored(NamedTuple):
    """A decoded value.  ``posix_hash`` is None before version 4: nothing to compare."""

    sd: SecurityDescriptor
    version: int
    posix_hash: bytes | None


def encode(sd: SecurityDescriptor, posix_hash: bytes) -> bytes:
    """The version 4 value of *sd*; *posix_hash* is from `permissions_hash`.

    WireError when an ACL is longer than its 16 bits of size can say.
    """
    packed = sd.pack(base=_SD_AT)
    head = _V4.pack(
        4,
        4,
        _REFERENT,
        _REFERENT + 4,
        _HASH_SHA256,
        hashlib.sha256(packed).digest(),
        _DESCRIPTION,
        0,
        posix_hash,
    )
    return head + packed


def decode(blob: bytes) -> Stored:
    """Read a value of version 1 to 4; WireError when it is malformed.

    The hashes are returned, not compared.
    """
    reader = _Ndr(blob)
    version, tag = reader.u16(), reader.u16()
    if version != tag or not 1 <= version <= 4:
        raise WireError(f"NTACL version {version}, tag {tag}")
    if not reader.u32():
        raise WireError("NTACL without content")
    if version > 1 and not reader.u32():
        raise WireError("NTACL without descriptor")
    posix_hash = None
    if version == 2:
        reader.skip(16)
    elif version == 3:
        reader.skip(2 + 64)
    elif version == 4:
        reader.skip(2 + 64)
        reader.string()
        reader.align(4)
        reader.skip(8)
        posix_hash = reader.take(64)[:32]
    reader.align(4)
    return Stored(SecurityDescriptor.unpack(blob, reader.position, base=0), version, posix_hash)


class _Ndr:
    """A cursor over an NDR blob that refuses to leave it."""

    __slots__ = ("blob", "position")

    def __init__(self, blob: bytes) -> None:
        self.blob = blob
        self.position = 0

    def take(self, count: int) -> bytes:
        start = self.position
        self.skip(count)
        return self.blob[start : self.position]

    def skip(self, count: int) -> None:
        if count > len(self.blob) - self.position:
            raise WireError("NTACL: short value")
        self.position += count

    def align(self, boundary: int) -> None:
        self.skip(-self.position % boundary)

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "little")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def string(self) -> None:
        """Pass over a NUL-terminated string."""
        end = self.blob.find(0, self.position)
        if end < 0:
            raise WireError("NTACL: string without end")
        self.position = end + 1


def permissions_hash(
    uid: int,
    gid: int,
    mode: int,
    access: tuple[Entry, ...],
    default: tuple[Entry, ...] | None,
) -> bytes:
    """SHA-256 of the POSIX permissions, as Samba's sys_acl_hash.

    *mode* is the whole st_mode.  *access* is never empty: without ACL it is the three
    entries of the mode.  *default* is None for what is no directory and ``()`` for a
    directory without default ACL.  Entries are in the kernel's order.
    """
    out = bytearray(struct.pack("<II", _REFERENT, 0 if default is None else _REFERENT + 4))
    out += struct.pack("<QQI", uid, gid, mode)
    _push_acl(out, access)
    if default is not None:
        _push_acl(out, default)
    return hashlib.sha256(out).digest()


def _push_acl(out: bytearray, entries: tuple[Entry, ...]) -> None:
    """NDR of Samba's smb_acl_t: conformance count, count, next, entries."""
    out += struct.pack("<I", len(entries))
    out += bytes(-len(out) % 8)
    out += struct.pack("<II", len(entries), 0)
    for tag, perms, id in entries:
        out += bytes(-len(out) % 8)
        ndr_tag = _TAGS.get(tag, 0)
        out += struct.pack("<HH", ndr_tag, ndr_tag)
        if tag in (posix_acl.USER, posix_acl.GROUP):
            out += bytes(-len(out) % 8)
            out += struct.pack("<Q", id)
        out += struct.pack("<I", perms)
