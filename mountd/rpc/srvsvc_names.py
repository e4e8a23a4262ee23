"""Checks of names and paths in srvsvc, [MS-SRVS] 3.1.4.29 and 3.1.4.32."""

from __future__ import annotations

import re
from typing import Final

from ksmbd.wire.base import WireError
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import Call, Operation
from mountd.rpc.ndr import NdrReader, NdrWriter

LM20: Final = 0x80000000  # NameValidate Flags: LAN Manager 2.0 lengths
OLD_STYLE: Final = 0x00000001  # PathType Flags: MS-DOS rules
ALREADY_CANONICAL: Final = 0x00000001  # NameCompare Flags
ANY_NAME_FITS: Final = 0x00000001  # NameCanonicalize Flags: the client's promise
MAX_ROOM: Final = 64000  # of an OutbufLen
MAX_PATH: Final = 260
MAX_OLD_PATH: Final = 128

NOT_IN_NAMES: Final = frozenset('"/\\[]:|<>+=;,*?') | {chr(c) for c in range(32)}
NOT_IN_PATHS: Final = frozenset('"<>|') | {chr(c) for c in range(32)}

# NameType -> longest name, longest name under LM20; [MS-SRVS] 2.2.2.8 and lmcons.h
NAME_LENGTHS: Final[dict[int, tuple[int, int]]] = {
    1: (256, 20),  # user
    2: (256, 14),  # password
    3: (256, 20),  # group
    4: (15, 15),  # computer
    5: (16, 16),  # event
    6: (15, 15),  # domain
    7: (80, 15),  # service
    8: (259, 259),  # net
    9: (80, 12),  # share
    10: (15, 15),  # message
    11: (15, 15),  # message destination
    12: (8, 8),  # share password
    13: (15, 15),  # workgroup
}
PASSWORDS: Final = (2, 12)

# Path types, [MS-SRVS] 2.2.2.9
UNC_COMPNAME: Final = 4144
UNC: Final = 4096
UNC_SYS_MSLOT: Final = 6144
UNC_SYS_PIPE: Final = 6912
PATH_RELATIVE: Final = 8192
PATH_ABSOLUTE: Final = 8194
PATH_DRIVE: Final = 4  # or'ed: begins with a drive, ITYPE_*D
WILDCARD: Final = 1  # or'ed: ITYPE_*_WC
DEVICE_DISK: Final = 16384

DEVICES: Final = (
    (re.compile(r"(?i)(\\dev\\)?lpt[1-9]:?"), 16400),
    (re.compile(r"(?i)(\\dev\\)?com[1-9]:?"), 16416),
    (re.compile(r"(?i)(\\dev\\)?con:?"), 16448),
    (re.compile(r"(?i)(\\dev\\)?nul:?"), 16464),
    (re.compile(r"(?i)[a-z]:"), DEVICE_DISK),
)
UNC_KINDS: Final = {"mailslot": UNC_SYS_MSLOT, "pipe": UNC_SYS_PIPE}


def netpr_name_validate(_call: Call, r: NdrReader, _w: NdrWriter) -> int:
    """NetprNameValidate, opnum 33, [MS-SRVS] 3.1.4.32.

    INVALID_PARAMETER  an unknown name type or flag
    INVALID_NAME       empty, too long, or with characters the type does not allow
    """
    r.unique(r.wstring)
    check_name(r.wstring(), r.u32(), r.u32())
    return Win32.SUCCESS


def check_name(name: str, kind: int, flags: int) -> None:
    """Raise the statuses of NetprNameValidate."""
    lengths = NAME_LENGTHS.get(kind)
    if lengths is None or flags & ~LM20:
        raise RpcError(Win32.INVALID_PARAMETER, f"type {kind}, flags {flags:#x}")
    if not 0 < len(name) <= lengths[1 if flags & LM20 else 0]:
        raise RpcError(Win32.INVALID_NAME, f"{len(name)} characters")
    if kind not in PASSWORDS and (NOT_IN_NAMES & set(name) or not name.strip(". ")):
        raise RpcError(Win32.INVALID_NAME, "characters")


def netpr_path_type(_call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetprPathType, opnum 30, [MS-SRVS] 3.1.4.29.

    INVALID_PARAMETER  flags other than 0 and 1
    INVALID_NAME       empty, too long, or no path
    """
    r.unique(r.wstring)
    path, flags = r.wstring(), r.u32()
    if flags & ~OLD_STYLE:
        raise RpcError(Win32.INVALID_PARAMETER, f"flags {flags:#x}")
    if not 0 < len(path) <= (MAX_OLD_PATH if flags else MAX_PATH):
        raise RpcError(Win32.INVALID_NAME, f"{len(path)} characters")
    w.u32(path_type(path.replace("/", "\\")))
    return Win32.SUCCESS


def path_type(path: str) -> int:
    """Classify *path*, written with backslashes; INVALID_NAME if it is none."""
    for pattern, kind in DEVICES:
        if pattern.fullmatch(path):
            return kind
    if NOT_IN_PATHS & set(path):
        raise RpcError(Win32.INVALID_NAME, "characters")
    wildcard = WILDCARD if "*" in path or "?" in path else 0
    if path.startswith("\\\\"):
        return _unc_type(path) | wildcard
    drive = PATH_DRIVE if re.match(r"[A-Za-z]:", path) else 0
    rest = path[2:] if drive else path
    if ":" in rest:
        raise RpcError(Win32.INVALID_NAME, "colon")
    return (PATH_ABSOLUTE if rest.startswith("\\") else PATH_RELATIVE) | drive | wildcard


def _unc_type(path: str) -> int:
    parts = path[2:].split("\\")
    if not all(parts) or ":" in path:
        raise RpcError(Win32.INVALID_NAME, "empty component")
    if len(parts) == 1:
        return UNC_COMPNAME
    return UNC_KINDS.get(parts[1].casefold(), UNC)


def netpr_path_canonicalize(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetprPathCanonicalize, opnum 31, [MS-SRVS] 3.1.4.30: with the prefix, without dots.

    INVALID_PARAMETER  flags, or a path type that the path has not
    INVALID_NAME       no path, or one that leads above its beginning
    BUF_TOO_SMALL      it does not fit in OutbufLen bytes
    """
    r.unique(r.wstring)
    path = r.wstring()
    call.level = _read_room(r)
    prefix, kind, flags = r.wstring(), r.u32(), r.u32()
    if flags & ~OLD_STYLE:
        raise RpcError(Win32.INVALID_PARAMETER, f"flags {flags:#x}")
    found = canonical(path, prefix)
    known = path_type(found)
    if kind not in (0, known):
        raise RpcError(Win32.INVALID_PARAMETER, f"path type {kind}, not {known}")
    _write_text(w, found, call.level)
    w.u32(known)
    return Win32.SUCCESS


def canonical(path: str, prefix: str = "") -> str:
    """*path* with backslashes, behind *prefix* if it is relative, its dots followed.

    INVALID_NAME  empty, too long, or above its beginning
    """
    text = path.replace("/", "\\")
    if prefix and not text.startswith("\\") and not re.match(r"[A-Za-z]:", text):
        text = prefix.replace("/", "\\").rstrip("\\") + "\\" + text
    if not 0 < len(text) <= MAX_PATH:
        raise RpcError(Win32.INVALID_NAME, f"{len(text)} characters")
    start = re.match(r"\\\\|([A-Za-z]:)?\\?", text)
    head = start[0] if start else ""
    parts: list[str] = []
    for part in text[len(head) :].split("\\"):
        if part == "..":
            if not parts:
                raise RpcError(Win32.INVALID_NAME, "above its beginning")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return head + "\\".join(parts)


def netpr_path_compare(_call: Call, r: NdrReader, _w: NdrWriter) -> int:
    """NetprPathCompare, opnum 32, [MS-SRVS] 3.1.4.31: 0, or -1 or 1 by their order.

    INVALID_PARAMETER  flags other than 0 and 1
    INVALID_NAME       one of them is no path
    """
    r.unique(r.wstring)
    first, second = r.wstring(), r.wstring()
    _, flags = r.u32(), r.u32()
    if flags & ~1:
        raise RpcError(Win32.INVALID_PARAMETER, f"flags {flags:#x}")
    return _order(canonical(first).casefold(), canonical(second).casefold())


def _order(first: str, second: str) -> int:
    """0, 1, or -1 as a 32-bit number."""
    return 0 if first == second else 1 if first > second else 0xFFFFFFFF


def netpr_name_canonicalize(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """NetprNameCanonicalize, opnum 34, [MS-SRVS] 3.1.4.33: a valid name is its canonical form.

    INVALID_PARAMETER  an unknown name type or flag
    INVALID_NAME       no name of its type
    BUF_TOO_SMALL      it does not fit in OutbufLen characters
    """
    r.unique(r.wstring)
    name = r.wstring()
    call.level = 2 * _read_room(r)
    kind, flags = r.u32(), r.u32()
    check_name(name, kind, flags & ~ANY_NAME_FITS)
    _write_text(w, name, call.level, unit=2)
    return Win32.SUCCESS


def netpr_name_compare(_call: Call, r: NdrReader, _w: NdrWriter) -> int:
    """NetprNameCompare, opnum 35, [MS-SRVS] 3.1.4.34: 0 if they are one but for case.

    INVALID_PARAMETER  an unknown name type or flag
    INVALID_NAME       one is no name of its type
    """
    r.unique(r.wstring)
    first, second = r.wstring(), r.wstring()
    kind, flags = r.u32(), r.u32()
    for name in (first, second):
        check_name(name, kind, flags & ~ALREADY_CANONICAL)
    return _order(first.casefold(), second.casefold())


def _read_room(r: NdrReader) -> int:
    room = r.u32()
    if room > MAX_ROOM:
        raise WireError(f"a buffer of {room}")
    return room


def _write_text(w: NdrWriter, text: str, room: int, unit: int = 1) -> None:
    """Write Outbuf: *room* bytes with *text* at their beginning."""
    data = (text + "\0").encode("utf-16-le", "replace")
    if len(data) > room:
        raise RpcError(Win32.BUF_TOO_SMALL, f"{len(data)} bytes in {room}")
    w.u32(room // unit)
    w.raw(data.ljust(room, b"\0"))


def _refuse_path(call: Call, w: NdrWriter) -> None:
    w.u32(call.level)
    w.raw(bytes(call.level))
    w.u32(0)


def _refuse_name(call: Call, w: NdrWriter) -> None:
    w.u32(call.level // 2)
    w.raw(bytes(call.level))


def _refuse_path_type(_call: Call, w: NdrWriter) -> None:
    w.u32(0)


NAME_VALIDATE: Final = Operation("NetprNameValidate", netpr_name_validate)
PATH_CANONICALIZE: Final = Operation("NetprPathCanonicalize", netpr_path_canonicalize, _refuse_path)
PATH_COMPARE: Final = Operation("NetprPathCompare", netpr_path_compare)
NAME_CANONICALIZE: Final = Operation("NetprNameCanonicalize", netpr_name_canonicalize, _refuse_name)
NAME_COMPARE: Final = Operation("NetprNameCompare", netpr_name_compare)
PATH_TYPE: Final = Operation("NetprPathType", netpr_path_type, _refuse_path_type)
