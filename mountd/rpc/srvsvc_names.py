"""Checks of names and paths in srvsvc, [MS-SRVS] 3.1.4.29 and 3.1.4.32."""

from __future__ import annotations

import re
from typing import Final

from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import Call, Operation
from mountd.rpc.ndr import NdrReader, NdrWriter

LM20: Final = 0x80000000  # NameValidate Flags: LAN Manager 2.0 lengths
OLD_STYLE: Final = 0x00000001  # PathType Flags: MS-DOS rules
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
    name, kind, flags = r.wstring(), r.u32(), r.u32()
    lengths = NAME_LENGTHS.get(kind)
    if lengths is None or flags & ~LM20:
        raise RpcError(Win32.INVALID_PARAMETER, f"type {kind}, flags {flags:#x}")
    if not 0 < len(name) <= lengths[1 if flags & LM20 else 0]:
        raise RpcError(Win32.INVALID_NAME, f"{len(name)} characters")
    if kind not in PASSWORDS and (NOT_IN_NAMES & set(name) or not name.strip(". ")):
        raise RpcError(Win32.INVALID_NAME, "characters")
    return Win32.SUCCESS


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


def _refuse_path_type(_call: Call, w: NdrWriter) -> None:
    w.u32(0)


NAME_VALIDATE: Final = Operation("NetprNameValidate", netpr_name_validate)
PATH_TYPE: Final = Operation("NetprPathType", netpr_path_type, _refuse_path_type)
