"""The value of a parameter as it would stand in the file: what ``params.py`` reads, written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field
from typing import Any, Final

from ksmbd.wire.auditing import ALL, ALL_OF_SERVER, NAMES, OF_SERVER, Operation
from ksmbd.wire.policy import Encryption, MapToGuest, Signing
from mountd import params
from mountd.audited import server_operations
from mountd.hosts import NOBODY
from mountd.params import DIALECTS

WORDS: Final[dict[type, Mapping[str, Any]]] = {
    Encryption: params.ENCRYPTION,
    MapToGuest: params.GUEST_MAPS,
    Signing: params.POLICIES,
}
RANGES: Final = {"server_min_protocol": DIALECTS[0], "server_max_protocol": DIALECTS[-1]}
SIZES: Final = ("max_read", "max_write", "max_trans", "max_io_size", "log_size")
UNITS: Final = ((1 << 20, "M"), (1 << 10, "K"))


def key(declared: Field[Any]) -> str:
    """The name a parameter is documented under."""
    return str(declared.metadata["key"] or declared.name.replace("_", " "))


def default(declared: Field[Any]) -> str:
    """The default of a parameter."""
    return RANGES.get(declared.name) or spelled(declared, declared.default)


def spelled(declared: Field[Any], value: Any) -> str:
    """*value* of a parameter; of host lists only the empty one, which keep no text."""
    if type(value) is bool:
        return "yes" if value else "no"
    if (words := WORDS.get(type(value))) is not None:
        return next(word for word, meant in words.items() if meant == value)
    if type(value) is Operation:
        of_server = declared.metadata["convert"] is server_operations
        names, all_ = (OF_SERVER, ALL_OF_SERVER) if of_server else (NAMES, ALL)
        said = " ".join(name for name, bit in names.items() if value & bit)
        return "all" if value == all_ else said or "none"
    if declared.metadata["convert"] is params.octal:
        return f"{value:04o}"
    if value == NOBODY or value == ():
        return ""
    if declared.metadata["convert"] is params.veto:
        return "/" + "/".join(value) + "/"
    if isinstance(value, tuple):
        return " ".join(f'"{item}"' if set(item) & set(" \t,") else item for item in value)
    return _size(value) if declared.name.endswith(SIZES) else str(value)


def _size(value: int) -> str:
    for unit, letter in UNITS:
        if value and value % unit == 0:
            return f"{value // unit}{letter}"
    return str(value)
