"""What every structure's golden vectors are put through."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, get_type_hints

import pytest
from hypothesis import strategies as st

from ksmbd.wire.base import Wire, WireError


def check(value: Wire, hexbytes: str) -> None:
    """*value* packs to the bytes, they unpack to it, and every truncation is refused."""
    raw = bytes.fromhex(hexbytes)
    assert value.pack().hex(" ") == raw.hex(" ")
    assert type(value).unpack(raw) == value
    assert type(value).unpack(b"\xaa\xbb\xcc" + raw, 3) == value
    for length in range(len(raw)):
        with pytest.raises(WireError):
            type(value).unpack(raw[:length])
    assert len(raw) == type(value).SIZE
    if value.STRUCTURE_SIZE:
        assert int.from_bytes(raw[:2], "little") == value.STRUCTURE_SIZE


def name(parameter: object) -> str:
    return type(parameter).__name__ if isinstance(parameter, Wire) else ""


_RANGES = {code: (0, (1 << bits) - 1) for code, bits in zip("BHIQ", (8, 16, 32, 64), strict=True)}
_RANGES |= {
    code: (-(1 << bits - 1), (1 << bits - 1) - 1)
    for code, bits in zip("bhiq", (8, 16, 32, 64), strict=True)
}


def instances(structure: type[Wire]) -> st.SearchStrategy[Any]:
    """Any value of *structure*, each field anywhere in its range."""
    hints = get_type_hints(structure, include_extras=True)
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for field in dataclasses.fields(structure):  # type: ignore[arg-type]
        code = typing.get_args(hints[field.name])[1]
        if code.endswith("s"):
            size = int(code[:-1])
            fields[field.name] = st.binary(min_size=size, max_size=size)
        else:
            low, high = _RANGES[code]
            fields[field.name] = st.integers(low, high)
    return st.builds(structure, **fields)
