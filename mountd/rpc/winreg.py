"""winreg, the remote registry, [MS-RRP] 3.1.5: what clients want to know of a server, read only.

There is no registry here: the few values that Windows' tools ask for are made up on the spot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple
from uuid import UUID

from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.handles import CLOSED, HANDLE_SIZE
from mountd.rpc.interface import Call, Context, Interface, Operation, refused
from mountd.rpc.ndr import NdrReader, NdrWriter
from mountd.rpc.pdu import Syntax

REG_SZ: Final = 1
VERSION: Final = 5  # BaseRegGetVersion; Windows XP and later say so
_SEPARATOR: Final = "\\"


class Key(NamedTuple):
    """A key that is open: its path below the root that was opened, '' for the root itself."""

    root: str
    path: str = ""


def _values(context: Context) -> Mapping[str, Mapping[str, str]]:
    """Every key of HKEY_LOCAL_MACHINE that has values."""
    control, services = r"SYSTEM\CurrentControlSet\Control", r"SYSTEM\CurrentControlSet\Services"
    major, minor = context.version
    name = context.server_name
    return {
        r"SOFTWARE\Microsoft\Windows NT\CurrentVersion": {
            "CurrentVersion": f"{major}.{minor}",
            "ProductName": "ksmbd",
            "SystemRoot": r"C:\WINDOWS",
        },
        rf"{control}\ComputerName\ComputerName": {"ComputerName": name},
        rf"{control}\ProductOptions": {"ProductType": "ServerNT"},
        rf"{services}\LanmanServer\Parameters": {"srvcomment": context.server_string},
        rf"{services}\Tcpip\Parameters": {"Hostname": name},
    }


def _named(key: Key, context: Context) -> list[tuple[str, str]]:
    """The values of a key, by name."""
    if key.root != "HKLM":
        return []
    found = {path.casefold(): values for path, values in _values(context).items()}
    return sorted(found.get(key.path.casefold(), {}).items())


def _children(key: Key, context: Context) -> list[str]:
    """The names of the keys beneath."""
    if key.root != "HKLM":
        return []
    above = key.path.casefold().split(_SEPARATOR) if key.path else []
    names: dict[str, None] = {}
    for path in _values(context):
        parts = path.split(_SEPARATOR)
        if [part.casefold() for part in parts[: len(above)]] == above and len(parts) > len(above):
            names[parts[len(above)]] = None
    return sorted(names)


def _exists(key: Key, context: Context) -> bool:
    return not key.path or bool(_named(key, context) or _children(key, context))


def _open_root(root: str) -> Operation:
    """One of OpenLocalMachine and its like."""

    def handler(call: Call, r: NdrReader, w: NdrWriter) -> int:
        """OpenLocalMachine and its like, [MS-RRP] 3.1.5.1 on."""
        r.unique(r.u16)
        r.u32()  # samDesired: there is nothing here to change
        w.raw(call.handles.open(Key(root), Win32.NOT_ENOUGH_MEMORY))
        return Win32.SUCCESS

    return Operation(f"Open{root}", handler, _no_handle)


def _no_handle(_call: Call, w: NdrWriter) -> None:
    w.raw(CLOSED)


def _key(call: Call, r: NdrReader) -> Key:
    return call.handles.get(r.raw(HANDLE_SIZE, 4), Key)


def close_key(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """BaseRegCloseKey, opnum 5; a handle that is not open is a fault."""
    call.handles.close(r.raw(HANDLE_SIZE, 4))
    w.raw(CLOSED)
    return Win32.SUCCESS


def open_key(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """BaseRegOpenKey, opnum 15.

    FILE_NOT_FOUND      there is no such key
    NOT_ENOUGH_MEMORY   too many handles on this pipe
    """
    key = _key(call, r)
    name = _text(r.unicode()).strip(_SEPARATOR)
    r.u32(), r.u32()
    path = _SEPARATOR.join(part for part in (key.path, name) if part)
    opened = Key(key.root, path)
    if not _exists(opened, call.context):
        raise RpcError(Win32.FILE_NOT_FOUND, path)
    w.raw(call.handles.open(opened, Win32.NOT_ENOUGH_MEMORY))
    return Win32.SUCCESS


def query_value(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """BaseRegQueryValue, opnum 17.

    FILE_NOT_FOUND   the key has no such value
    MORE_DATA        there is no room for it; the answer says how much it takes
    """
    key = _key(call, r)
    wanted = _text(r.unicode()).casefold()
    for name, value in _named(key, call.context):
        if name.casefold() == wanted:
            return _write_value(r, w, value)
    raise RpcError(Win32.FILE_NOT_FOUND, wanted)


def enum_value(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """BaseRegEnumValue, opnum 10.

    NO_MORE_ITEMS   the key has fewer values
    MORE_DATA       see :func:`query_value`
    """
    key, index = _key(call, r), r.u32()
    r.unicode()
    values = _named(key, call.context)
    if index >= len(values):
        raise RpcError(Win32.NO_MORE_ITEMS, str(index))
    name, value = values[index]
    w.unicode(name + "\0")
    w.flush()
    return _write_value(r, w, value)


def _write_value(r: NdrReader, w: NdrWriter, value: str) -> int:
    """lpType, lpData, lpcbData and lpcbLen: those that were asked for."""
    r_type = r.unique(r.u32)
    wants_data = r.unique(lambda: _skip_bytes(r)) is not None
    room, length = r.unique(r.u32), r.unique(r.u32)
    data = (value + "\0").encode("utf-16-le", "replace")
    fits = not wants_data or (room or 0) >= len(data)
    w.unique_u32(None if r_type is None else REG_SZ)
    w.flush()
    w.pointer((lambda: _bytes(w, data, room or 0)) if wants_data and fits else None)
    w.flush()
    w.unique_u32(None if room is None else len(data))
    w.flush()
    w.unique_u32(None if length is None else len(data) if wants_data and fits else 0)
    w.flush()
    return Win32.SUCCESS if fits else Win32.MORE_DATA


def _skip_bytes(r: NdrReader) -> int:
    """Read a conformant varying array of bytes; how many there were."""
    r.u32(), r.u32()
    count = r.u32()
    r.raw(count)
    return count


def _bytes(w: NdrWriter, data: bytes, maximum: int) -> None:
    for number in (max(maximum, len(data)), 0, len(data)):
        w.u32(number)
    w.raw(data)


def _no_value(call: Call, w: NdrWriter) -> None:
    if call.opnum == ENUM_VALUE:
        w.unicode(None)
        w.flush()
    for _ in ("lpType", "lpData", "lpcbData", "lpcbLen"):
        w.null()


def enum_key(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """BaseRegEnumKey, opnum 9.

    NO_MORE_ITEMS   the key has fewer keys beneath
    """
    key, index = _key(call, r), r.u32()
    r.unicode()
    names = _children(key, call.context)
    if index >= len(names):
        raise RpcError(Win32.NO_MORE_ITEMS, str(index))
    w.unicode(names[index] + "\0")
    w.flush()
    w.null()  # no class
    w.null()  # no time
    return Win32.SUCCESS


def _no_key(_call: Call, w: NdrWriter) -> None:
    w.unicode(None)
    w.flush()
    w.null()
    w.null()


def query_info_key(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """BaseRegQueryInfoKey, opnum 16."""
    key = _key(call, r)
    r.unicode()
    values, names = _named(key, call.context), _children(key, call.context)
    w.unicode("\0")
    w.flush()
    longest_value = max((len(value) + 1 for _, value in values), default=0)
    for number in (
        len(names),
        2 * max((len(name) + 1 for name in names), default=0),
        0,
        len(values),
        2 * max((len(name) + 1 for name, _ in values), default=0),
        2 * longest_value,
        0,
    ):
        w.u32(number)
    w.u64(0)  # no time
    return Win32.SUCCESS


def _no_info(_call: Call, w: NdrWriter) -> None:
    w.unicode(None)
    w.flush()
    for _ in range(9):
        w.u32(0)


def get_version(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """BaseRegGetVersion, opnum 26."""
    _key(call, r)
    w.u32(VERSION)
    return Win32.SUCCESS


def _no_version(_call: Call, w: NdrWriter) -> None:
    w.u32(0)


def flush_key(call: Call, r: NdrReader, _w: NdrWriter) -> int:
    """BaseRegFlushKey, opnum 11: there is never anything to write."""
    _key(call, r)
    return Win32.SUCCESS


def refuse_change(_call: Call, _r: NdrReader, _w: NdrWriter) -> int:
    """Refuse to delete and to set: ACCESS_DENIED."""
    raise RpcError(Win32.ACCESS_DENIED, "the registry cannot be changed")


def _text(text: str) -> str:
    """Names come with their NUL."""
    return text.partition("\0")[0]


ENUM_VALUE: Final = 10
WINREG: Final = Interface(
    "winreg",
    Syntax(UUID("338cd001-2244-31f1-aaaa-900038001003"), 1),
    {
        0: _open_root("HKCR"),
        1: _open_root("HKCU"),
        2: _open_root("HKLM"),
        4: _open_root("HKU"),
        5: Operation("BaseRegCloseKey", close_key, _no_handle),
        6: refused("BaseRegCreateKey", Win32.ACCESS_DENIED, 6),  # a handle, its disposition
        7: Operation("BaseRegDeleteKey", refuse_change, refuses=Win32.ACCESS_DENIED),
        8: Operation("BaseRegDeleteValue", refuse_change, refuses=Win32.ACCESS_DENIED),
        9: Operation("BaseRegEnumKey", enum_key, _no_key),
        ENUM_VALUE: Operation("BaseRegEnumValue", enum_value, _no_value),
        11: Operation("BaseRegFlushKey", flush_key),
        12: refused("BaseRegGetKeySecurity", Win32.ACCESS_DENIED, 3),
        13: refused("BaseRegLoadKey", Win32.ACCESS_DENIED),
        15: Operation("BaseRegOpenKey", open_key, _no_handle),
        16: Operation("BaseRegQueryInfoKey", query_info_key, _no_info),
        17: Operation("BaseRegQueryValue", query_value, _no_value),
        18: refused("BaseRegReplaceKey", Win32.ACCESS_DENIED),
        19: refused("BaseRegRestoreKey", Win32.ACCESS_DENIED),
        20: refused("BaseRegSaveKey", Win32.ACCESS_DENIED),
        21: refused("BaseRegSetKeySecurity", Win32.ACCESS_DENIED),
        22: Operation("BaseRegSetValue", refuse_change, refuses=Win32.ACCESS_DENIED),
        23: refused("BaseRegUnLoadKey", Win32.ACCESS_DENIED),
        26: Operation("BaseRegGetVersion", get_version, _no_version),
        27: _open_root("HKCC"),
        31: refused("BaseRegSaveKeyEx", Win32.ACCESS_DENIED),
        35: refused("BaseRegDeleteKeyEx", Win32.ACCESS_DENIED),
    },
)
