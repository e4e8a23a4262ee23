"""SID, ACE, ACL and self-relative SECURITY_DESCRIPTOR, [MS-DTYP] 2.4.2 - 2.4.6.

Every value here is immutable and hashable, so that descriptors may be shared
between threads and serve as cache keys.  Parsing never trusts an offset, a
count or a size; what does not fit raises WireError.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, Self

from ksmbd.wire.base import Buffer, WireError

# SECURITY_INFORMATION, [MS-DTYP] 2.4.7
OWNER_SECURITY_INFORMATION: Final = 0x00000001
GROUP_SECURITY_INFORMATION: Final = 0x00000002
DACL_SECURITY_INFORMATION: Final = 0x00000004
SACL_SECURITY_INFORMATION: Final = 0x00000008
LABEL_SECURITY_INFORMATION: Final = 0x00000010
ATTRIBUTE_SECURITY_INFORMATION: Final = 0x00000020
SCOPE_SECURITY_INFORMATION: Final = 0x00000040
BACKUP_SECURITY_INFORMATION: Final = 0x00010000
UNPROTECTED_SACL_SECURITY_INFORMATION: Final = 0x10000000
UNPROTECTED_DACL_SECURITY_INFORMATION: Final = 0x20000000
PROTECTED_SACL_SECURITY_INFORMATION: Final = 0x40000000
PROTECTED_DACL_SECURITY_INFORMATION: Final = 0x80000000

# SECURITY_DESCRIPTOR.Control, [MS-DTYP] 2.4.6
OWNER_DEFAULTED: Final = 0x0001
GROUP_DEFAULTED: Final = 0x0002
DACL_PRESENT: Final = 0x0004
DACL_DEFAULTED: Final = 0x0008
SACL_PRESENT: Final = 0x0010
SACL_DEFAULTED: Final = 0x0020
DACL_TRUSTED: Final = 0x0040
SERVER_SECURITY: Final = 0x0080
DACL_AUTO_INHERIT_REQ: Final = 0x0100
SACL_AUTO_INHERIT_REQ: Final = 0x0200
DACL_AUTO_INHERITED: Final = 0x0400
SACL_AUTO_INHERITED: Final = 0x0800
DACL_PROTECTED: Final = 0x1000
SACL_PROTECTED: Final = 0x2000
RM_CONTROL_VALID: Final = 0x4000
SELF_RELATIVE: Final = 0x8000

# ACE_HEADER.AceType, [MS-DTYP] 2.4.4.1
ACCESS_ALLOWED: Final = 0x00
ACCESS_DENIED: Final = 0x01
SYSTEM_AUDIT: Final = 0x02
SYSTEM_ALARM: Final = 0x03
ACCESS_ALLOWED_OBJECT: Final = 0x05
ACCESS_DENIED_OBJECT: Final = 0x06
SYSTEM_AUDIT_OBJECT: Final = 0x07
SYSTEM_ALARM_OBJECT: Final = 0x08
ACCESS_ALLOWED_CALLBACK: Final = 0x09
ACCESS_DENIED_CALLBACK: Final = 0x0A
ACCESS_ALLOWED_CALLBACK_OBJECT: Final = 0x0B
ACCESS_DENIED_CALLBACK_OBJECT: Final = 0x0C
SYSTEM_AUDIT_CALLBACK: Final = 0x0D
SYSTEM_AUDIT_CALLBACK_OBJECT: Final = 0x0F
SYSTEM_MANDATORY_LABEL: Final = 0x11
SYSTEM_RESOURCE_ATTRIBUTE: Final = 0x12
SYSTEM_SCOPED_POLICY_ID: Final = 0x13

# ACE_HEADER.AceFlags, [MS-DTYP] 2.4.4.1
OBJECT_INHERIT: Final = 0x01
CONTAINER_INHERIT: Final = 0x02
NO_PROPAGATE_INHERIT: Final = 0x04
INHERIT_ONLY: Final = 0x08
INHERITED_ACE: Final = 0x10
SUCCESSFUL_ACCESS: Final = 0x40
FAILED_ACCESS: Final = 0x80

ACL_REVISION: Final = 2
ACL_REVISION_DS: Final = 4
MAX_SUB_AUTHORITIES: Final = 15
MAX_ACL_SIZE: Final = 0xFFFC  # AclSize is 16 bits and ACEs are multiples of four

# Mask, then SID, then whatever the type appends; all other types stay raw.
_MASK_AND_SID: Final = frozenset(
    (
        ACCESS_ALLOWED,
        ACCESS_DENIED,
        SYSTEM_AUDIT,
        SYSTEM_ALARM,
        ACCESS_ALLOWED_CALLBACK,
        ACCESS_DENIED_CALLBACK,
        SYSTEM_AUDIT_CALLBACK,
        SYSTEM_MANDATORY_LABEL,
        SYSTEM_RESOURCE_ATTRIBUTE,
        SYSTEM_SCOPED_POLICY_ID,
    )
)
_OBJECT_TYPES: Final = frozenset(
    (
        ACCESS_ALLOWED_OBJECT,
        ACCESS_DENIED_OBJECT,
        SYSTEM_AUDIT_OBJECT,
        SYSTEM_ALARM_OBJECT,
        ACCESS_ALLOWED_CALLBACK_OBJECT,
        ACCESS_DENIED_CALLBACK_OBJECT,
        SYSTEM_AUDIT_CALLBACK_OBJECT,
    )
)

_ACE_HEADER: Final = struct.Struct("<BBH")  # type, flags, size
_ACE_HEADER_MASK: Final = struct.Struct("<BBHI")
_ACL_HEADER: Final = struct.Struct("<BBHHH")  # revision, sbz1, size, count, sbz2
_SD_HEADER: Final = struct.Struct("<BBHIIII")  # revision, sbz1, control, four offsets
_SUBS: Final = tuple(struct.Struct(f"<{count}I") for count in range(MAX_SUB_AUTHORITIES + 1))


class Sid(bytes):
    """A security identifier, [MS-DTYP] 2.4.2; its value is its wire form.

    Being ``bytes`` makes it immutable, gives it a cached hash and a comparison
    in C: access checks ask little else of a SID.
    """

    __slots__ = ()

    def __new__(cls, authority: int, *sub_authorities: int) -> Self:
        """Make S-1-*authority*-*sub_authorities*; ValueError when a number does not fit."""
        count = len(sub_authorities)
        if count > MAX_SUB_AUTHORITIES or not 0 <= authority < 1 << 48:
            raise ValueError("not a SID")
        try:
            subs = _SUBS[count].pack(*sub_authorities)
        except struct.error:
            raise ValueError("not a SID") from None
        return super().__new__(cls, bytes((1, count)) + authority.to_bytes(6, "big") + subs)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the string form S-1-…, its authority decimal or 0x hexadecimal; else ValueError."""
        parts = text.split("-")
        if len(parts) < 3 or parts[0] not in ("S", "s") or parts[1] != "1":
            raise ValueError(f"not a SID: {text!r}")
        numbers = parts[2:]
        if not all(part.isascii() and part.isalnum() for part in numbers):
            raise ValueError(f"not a SID: {text!r}")
        base = 16 if numbers[0][:2] in ("0x", "0X") else 10
        return cls(int(numbers[0], base), *(int(part, 10) for part in numbers[1:]))

    @classmethod
    def unpack(cls, buf: Buffer, offset: int = 0, end: int | None = None) -> Self:
        """Read the SID at *offset*, which may use the bytes before *end* (default: all).

        WireError when it is truncated, its revision is not 1, or it counts more than
        15 sub-authorities.  Its length on the wire is ``len()`` of the result.
        """
        if end is None:
            end = len(buf)
        if offset < 0 or end > len(buf) or end - offset < 8:
            raise WireError("SID: short buffer")
        count = buf[offset + 1]
        if buf[offset] != 1 or count > MAX_SUB_AUTHORITIES:
            raise WireError(f"SID: revision {buf[offset]}, {count} sub-authorities")
        size = 8 + 4 * count
        if end - offset < size:
            raise WireError(f"SID: {count} sub-authorities do not fit")
        return super().__new__(cls, bytes(buf[offset : offset + size]))

    def pack(self) -> bytes:
        return bytes(self)

    @property
    def authority(self) -> int:
        return int.from_bytes(self[2:8], "big")

    @property
    def sub_authorities(self) -> tuple[int, ...]:
        return _SUBS[self[1]].unpack_from(self, 8)

    @property
    def prefix(self) -> bytes:
        """The wire form without count and last sub-authority: equal in SIDs of one domain."""
        return bytes(self[2:-4]) if self[1] else bytes(self[2:])

    @property
    def rid(self) -> int | None:
        """The last sub-authority; None when there is none."""
        return int.from_bytes(self[-4:], "little") if self[1] else None

    def child(self, rid: int) -> Self:
        """The SID with one sub-authority more; ValueError at the sixteenth."""
        return type(self)(self.authority, *self.sub_authorities, rid)

    def __str__(self) -> str:
        authority = self.authority
        shown = str(authority) if authority < 1 << 32 else f"0x{authority:012X}"
        return "-".join(("S-1", shown, *map(str, self.sub_authorities)))

    def __repr__(self) -> str:
        return f"Sid.parse({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.authority, *self.sub_authorities)


class Ace(NamedTuple):
    """One access control entry, [MS-DTYP] 2.4.4.

    ``sid`` is None for object ACEs and types we do not know: they are kept as they
    came, ``data`` being all that follows the header and ``mask`` 0.  Otherwise
    ``data`` is what follows the SID (the condition of a callback ACE, the claim of
    a resource attribute), usually nothing.
    """

    type: int
    flags: int
    mask: int
    sid: Sid | None
    data: bytes = b""

    @classmethod
    def unpack(cls, buf: Buffer, offset: int, end: int) -> tuple[Self, int]:
        """Read the ACE at *offset*; give it and the offset after it.

        WireError when AceSize is no multiple of four, below its type's minimum, or
        leads past *end*, or when the SID does not fit in it.
        """
        if end - offset < _ACE_HEADER.size:
            raise WireError("ACE: short buffer")
        kind, flags, size = _ACE_HEADER.unpack_from(buf, offset)
        after = offset + size
        if size & 3 or size < _ACE_HEADER.size or after > end:
            raise WireError(f"ACE: size {size} of {end - offset}")
        if kind not in _MASK_AND_SID:
            return cls(kind, flags, 0, None, bytes(buf[offset + 4 : after])), after
        if size < 16:
            raise WireError(f"ACE: size {size}, type {kind}")
        mask = int.from_bytes(buf[offset + 4 : offset + 8], "little")
        sid = Sid.unpack(buf, offset + 8, after)
        return cls(kind, flags, mask, sid, bytes(buf[offset + 8 + len(sid) : after])), after

    @property
    def size(self) -> int:
        """AceSize; ``data`` is padded to a multiple of four."""
        fixed = 4 if self.sid is None else 8 + len(self.sid)
        return fixed + (len(self.data) + 3 & ~3)

    def pack(self) -> bytes:
        size = self.size
        if self.sid is None:
            head = _ACE_HEADER.pack(self.type, self.flags, size) + self.data
        else:
            head = _ACE_HEADER_MASK.pack(self.type, self.flags, size, self.mask)
            head += self.sid + self.data
        return head.ljust(size, b"\0")


class Acl(NamedTuple):
    """An access control list, [MS-DTYP] 2.4.5, in the order it was given."""

    aces: tuple[Ace, ...] = ()
    revision: int = ACL_REVISION

    @classmethod
    def unpack(cls, buf: Buffer, offset: int = 0, end: int | None = None) -> Self:
        """Read the ACL at *offset*; bytes between its last ACE and AclSize are ignored.

        WireError when the revision is unknown, AclSize leads past *end*, or AceCount
        ACEs do not fit in AclSize.
        """
        if end is None:
            end = len(buf)
        if offset < 0 or end > len(buf) or end - offset < _ACL_HEADER.size:
            raise WireError("ACL: short buffer")
        revision, _, size, count, _ = _ACL_HEADER.unpack_from(buf, offset)
        if not ACL_REVISION <= revision <= ACL_REVISION_DS:
            raise WireError(f"ACL: revision {revision}")
        after = offset + size
        if size < _ACL_HEADER.size or after > end:
            raise WireError(f"ACL: size {size} of {end - offset}")
        if count * _ACE_HEADER.size > size - _ACL_HEADER.size:
            raise WireError(f"ACL: {count} ACEs in {size} bytes")
        aces = []
        offset += _ACL_HEADER.size
        for _ in range(count):
            ace, offset = Ace.unpack(buf, offset, after)
            aces.append(ace)
        return cls(tuple(aces), revision)

    @property
    def size(self) -> int:
        """AclSize."""
        return _ACL_HEADER.size + sum(ace.size for ace in self.aces)

    def pack(self) -> bytes:
        """The wire form, revision 4 if an object ACE needs it.

        WireError when it would exceed the 16 bits of AclSize.
        """
        body = b"".join([ace.pack() for ace in self.aces])
        size = _ACL_HEADER.size + len(body)
        if size > MAX_ACL_SIZE:
            raise WireError(f"ACL: {size} bytes")
        revision = self.revision
        if any(ace.type in _OBJECT_TYPES for ace in self.aces):
            revision = ACL_REVISION_DS
        return _ACL_HEADER.pack(revision, 0, size, len(self.aces), 0) + body


class SecurityDescriptor(NamedTuple):
    """A security descriptor, [MS-DTYP] 2.4.6.

    A DACL is absent (no DACL_PRESENT: nothing is said), NULL (DACL_PRESENT, ``dacl``
    None: everyone has full access) or empty (``Acl(())``: nobody has access); the
    SACL likewise.  ``control`` is as on the wire, SELF_RELATIVE included.
    """

    control: int = SELF_RELATIVE
    owner: Sid | None = None
    group: Sid | None = None
    sacl: Acl | None = None
    dacl: Acl | None = None
    sbz1: int = 0  # resource manager control, meaningful with RM_CONTROL_VALID

    @classmethod
    def unpack(cls, buf: Buffer, start: int = 0, *, base: int | None = None) -> Self:
        """Read the self-relative descriptor at *start*; it may use the rest of *buf*.

        Its offsets count from *base* (default: *start*); an NTACL blob counts them
        from its own beginning.  WireError when the revision is not 1, SELF_RELATIVE
        is not set, an offset points into the header or past the end, or a part is
        malformed.
        """
        if start < 0 or len(buf) - start < _SD_HEADER.size:
            raise WireError("security descriptor: short buffer")
        revision, sbz1, control, *offsets = _SD_HEADER.unpack_from(buf, start)
        if revision != 1 or not control & SELF_RELATIVE:
            raise WireError(f"security descriptor: revision {revision}, control {control:#x}")
        shift = start if base is None else base
        for offset in offsets:
            if offset and offset + shift < start + _SD_HEADER.size:
                raise WireError(f"security descriptor: offset {offset} is in the header")
        owner, group, sacl, dacl = (offset + shift if offset else 0 for offset in offsets)
        return cls(
            control,
            Sid.unpack(buf, owner) if owner else None,
            Sid.unpack(buf, group) if group else None,
            Acl.unpack(buf, sacl) if sacl and control & SACL_PRESENT else None,
            Acl.unpack(buf, dacl) if dacl and control & DACL_PRESENT else None,
            sbz1 if control & RM_CONTROL_VALID else 0,
        )

    def pack(self, *, base: int = 0) -> bytes:
        """The self-relative form: header, owner, group, SACL, DACL.

        *base* is added to every offset.  The PRESENT bits follow ``control``, except
        that an ACL that is here is present.  WireError when an ACL is too long.
        """
        control = self.control | SELF_RELATIVE
        if self.sacl is not None:
            control |= SACL_PRESENT
        if self.dacl is not None:
            control |= DACL_PRESENT
        offsets = []
        parts = [b""]
        position = _SD_HEADER.size
        for part in (self.owner, self.group, self.sacl, self.dacl):
            if part is None:
                offsets.append(0)
                continue
            packed = part.pack()
            offsets.append(base + position)
            parts.append(packed)
            position += len(packed)
        parts[0] = _SD_HEADER.pack(1, self.sbz1, control, *offsets)
        return b"".join(parts)

    @property
    def dacl_present(self) -> bool:
        """False when the descriptor says nothing of a DACL."""
        return self.dacl is not None or bool(self.control & DACL_PRESENT)

    @property
    def sacl_present(self) -> bool:
        """False when the descriptor says nothing of a SACL."""
        return self.sacl is not None or bool(self.control & SACL_PRESENT)
