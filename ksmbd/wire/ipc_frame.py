"""Frames between ksmbd and mountd: what every message is made of.

One datagram is one frame::

    event u32 | length u32 | version u32 | integers | u32 length of each variable field | payload

*length* counts everything after the header.  The class body is the layout: integers first to
last, then the variable fields (text, blob, texts, ids) in the same order, nothing left over.
Everything is little-endian; bump IPC_VERSION with any change of a layout.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Self,
    TypeVar,
    dataclass_transform,
    get_type_hints,
)

from ksmbd.wire.base import Buffer, WireError
from ksmbd.wire.secret import Secret

IPC_VERSION: Final = 1
MAX_FRAME: Final = 256 * 1024  # bytes, header included

text = Annotated[str, "text"]  # UTF-8
blob = Annotated[bytes, "blob"]
secret = Annotated[bytes, "secret"]
texts = Annotated[tuple[str, ...], "texts"]  # UTF-8, each ended by NUL
ids = Annotated[tuple[int, ...], "ids"]  # u32 each


class Event(IntEnum):
    """What a frame is; a response is its request + 1."""

    HEARTBEAT = 1
    STARTING_UP = 2
    SHUTTING_DOWN = 3
    LOGIN_REQUEST = 4
    LOGIN_RESPONSE = 5
    SHARE_CONFIG_REQUEST = 6
    SHARE_CONFIG_RESPONSE = 7
    TREE_CONNECT_REQUEST = 8
    TREE_CONNECT_RESPONSE = 9
    TREE_DISCONNECT = 10
    LOGOUT = 11
    RPC_REQUEST = 12
    RPC_RESPONSE = 13
    SPNEGO_AUTHEN_REQUEST = 14
    SPNEGO_AUTHEN_RESPONSE = 15
    LOGIN_REQUEST_EXT = 16  # never sent: LOGIN_RESPONSE carries the groups
    LOGIN_RESPONSE_EXT = 17
    SHARE_LIST_REQUEST = 64
    SHARE_LIST_RESPONSE = 65
    STATE_CHANGED = 66
    STARTED = 67
    TREE_RESTORE = 68
    OPENS_REQUEST = 69
    OPENS_RESPONSE = 70
    END_REQUEST = 71
    END_RESPONSE = 72
    FILE_SECURITY_REQUEST = 73
    FILE_SECURITY_RESPONSE = 74
    SESSIONS_REQUEST = 75
    SESSIONS_RESPONSE = 76


HEADER: Final = struct.Struct("<III")  # event, bytes after the header, version


class Message:
    """Base of every message: a dataclass of Python values that packs into one frame."""

    __slots__ = ()
    EVENT: ClassVar[Event]
    _struct: ClassVar[struct.Struct]  # the integers, then the length of each variable field
    _integers: ClassVar[tuple[str, ...]]
    _variable: ClassVar[tuple[tuple[str, str], ...]]  # name and kind, in payload order

    def pack(self) -> bytes:
        """The whole frame. Raises WireError if it would be longer than MAX_FRAME."""
        parts = [_ENCODE[kind](getattr(self, name)) for name, kind in self._variable]
        integers = [getattr(self, name) for name in self._integers]
        try:
            fixed = self._struct.pack(*integers, *map(len, parts))
        except struct.error as error:
            raise WireError(f"{type(self).__name__}: {error}") from None
        body = fixed + b"".join(parts)
        if HEADER.size + len(body) > MAX_FRAME:
            raise WireError(f"{type(self).__name__}: {len(body)} bytes are too many for a frame")
        return HEADER.pack(self.EVENT, len(body), IPC_VERSION) + body

    @classmethod
    def unpack(cls, body: Buffer) -> Self:
        """Read what follows the header; a byte too few or too many is a WireError."""
        try:
            fixed = cls._struct.unpack_from(body)
        except struct.error:
            raise WireError(f"{cls.__name__}: short message") from None
        count = len(cls._integers)
        values: dict[str, Any] = dict(zip(cls._integers, fixed[:count], strict=True))
        offset, view = cls._struct.size, memoryview(body)
        if offset + sum(fixed[count:]) != len(view):
            raise WireError(f"{cls.__name__}: payload does not have the length it claims")
        for (name, kind), length in zip(cls._variable, fixed[count:], strict=True):
            values[name] = _DECODE[kind](bytes(view[offset : offset + length]))
            offset += length
        return cls(**values)


def _decode_text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise WireError("text is not UTF-8") from None


def _encode_text(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise WireError("text has no UTF-8 form") from None


def _decode_texts(data: bytes) -> tuple[str, ...]:
    if data and data[-1]:
        raise WireError("list of texts does not end in NUL")
    return tuple(_decode_text(item) for item in data.split(b"\0")[:-1])


def _encode_texts(items: tuple[str, ...]) -> bytes:
    if any("\0" in item for item in items):
        raise WireError("NUL inside a text of a list")
    return b"".join(_encode_text(item) + b"\0" for item in items)


def _decode_ids(data: bytes) -> tuple[int, ...]:
    if len(data) % 4:
        raise WireError("list of ids is cut off")
    return struct.unpack(f"<{len(data) // 4}I", data)


def _encode_ids(items: tuple[int, ...]) -> bytes:
    try:
        return struct.pack(f"<{len(items)}I", *items)
    except struct.error as error:
        raise WireError(f"list of ids: {error}") from None


_ENCODE: Final[dict[str, Callable[[Any], bytes]]] = {
    "text": _encode_text,
    "blob": bytes,
    "secret": bytes,
    "texts": _encode_texts,
    "ids": _encode_ids,
}
_DECODE: Final[dict[str, Callable[[bytes], Any]]] = {
    "text": _decode_text,
    "blob": bytes,
    "secret": Secret,
    "texts": _decode_texts,
    "ids": _decode_ids,
}

M = TypeVar("M", bound=Message)


@dataclass_transform(kw_only_default=True)
def message(event: Event) -> Callable[[type[M]], type[M]]:
    """Compile the annotated fields of a :class:`Message` subclass, as ``@wire`` does."""

    def compile_(cls: type[M]) -> type[M]:
        hints = get_type_hints(cls, include_extras=True)
        kinds = {name: hints[name].__metadata__[0] for name in cls.__annotations__}
        built = dataclass(slots=True, kw_only=True)(cls)
        built.EVENT = event
        built._variable = tuple(item for item in kinds.items() if item[1] in _ENCODE)
        built._integers = tuple(name for name, kind in kinds.items() if kind not in _ENCODE)
        codes = "".join(kinds[name] for name in built._integers)
        built._struct = struct.Struct("<" + codes + "I" * len(built._variable))
        return built

    return compile_
