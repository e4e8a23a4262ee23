"""The one way a fixed-layout wire structure is declared.

A structure is a class whose annotated fields, top to bottom, are the rows of
its figure in the specification.  ``@wire`` compiles them into a
``struct.Struct`` at import time; after that, packing and unpacking are one C
call each.  Every integer is little-endian, as everywhere in SMB2.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Self,
    TypeVar,
    dataclass_transform,
    get_type_hints,
)

Buffer = bytes | bytearray | memoryview

u8 = Annotated[int, "B"]
u16 = Annotated[int, "H"]
u32 = Annotated[int, "I"]
u64 = Annotated[int, "Q"]
i8 = Annotated[int, "b"]
i32 = Annotated[int, "i"]
i64 = Annotated[int, "q"]
filetime = Annotated[int, "Q"]  # 100 ns ticks since 1601-01-01 UTC
bytes3 = Annotated[bytes, "3s"]
bytes4 = Annotated[bytes, "4s"]
bytes8 = Annotated[bytes, "8s"]
bytes16 = Annotated[bytes, "16s"]  # GUID, lease key, signature
bytes24 = Annotated[bytes, "24s"]
bytes48 = Annotated[bytes, "48s"]
bytes64 = Annotated[bytes, "64s"]


class WireError(ValueError):
    """The peer's bytes do not have the layout they claim to have."""


class Wire:
    """Base of every structure."""

    __slots__ = ()
    STRUCTURE_SIZE: ClassVar[int] = 0  # the figure's StructureSize; 0 if it has none
    SIZE: ClassVar[int]  # bytes of the fixed part, StructureSize included
    _in: ClassVar[struct.Struct]
    _out: ClassVar[struct.Struct]
    _offsets: ClassVar[dict[str, int]]
    _values: ClassVar[Any]  # instance -> tuple for _out.pack
    packed: ClassVar[Callable[..., bytes]]  # of all fields in their order, without an instance

    if TYPE_CHECKING:

        def __init__(self, *values: Any) -> None: ...

    @classmethod
    def unpack(cls, buf: Buffer, offset: int = 0) -> Self:
        """Read the fixed part at *offset*; StructureSize itself is not compared here.

        Raises WireError if *buf* is too short.
        """
        try:
            return cls(*cls._in.unpack_from(buf, offset))
        except struct.error:
            raise WireError(f"{cls.__name__}: short buffer") from None

    def pack(self) -> bytes:
        return self._out.pack(*self._values(self))

    def pack_into(self, buf: bytearray | memoryview, offset: int) -> None:
        self._out.pack_into(buf, offset, *self._values(self))

    @classmethod
    def offset_of(cls, name: str) -> int:
        """Where the field is, bytes from the structure's beginning.  KeyError: there is none."""
        return cls._offsets[name]


W = TypeVar("W", bound=Wire)


@dataclass_transform(kw_only_default=True)
def wire(*, structure_size: int = 0) -> Callable[[type[W]], type[W]]:
    """Compile the annotated fields of a :class:`Wire` subclass.

    A type checker sees a keyword-only constructor and insists on every field
    without a default.  At run time it is positional, for ``unpack`` to splat into.
    """

    def compile_(cls: type[W]) -> type[W]:
        names = list(cls.__annotations__)
        hints = get_type_hints(cls, include_extras=True)
        codes = [hints[name].__metadata__[0] for name in names]
        for name, code in zip(names, codes, strict=True):
            if name not in cls.__dict__:
                setattr(cls, name, bytes(int(code[:-1])) if code.endswith("s") else 0)
        body = "".join(codes)
        built = dataclass(slots=True)(cls)
        built.STRUCTURE_SIZE = structure_size
        if structure_size:
            names.insert(0, "STRUCTURE_SIZE")
        built._in = struct.Struct(("<2x" if structure_size else "<") + body)
        prefix = "<2x" if structure_size else "<"
        built._offsets = {
            name: struct.calcsize(prefix + "".join(codes[:index]))
            for index, name in enumerate(built.__annotations__)
        }
        built._out = struct.Struct(("<H" if structure_size else "<") + body)
        built.packed = (
            partial(built._out.pack, structure_size) if structure_size else built._out.pack
        )
        built._values = attrgetter(*names) if len(names) > 1 else staticmethod(_single(names[0]))
        built.SIZE = built._out.size
        return built

    return compile_


def _single(name: str) -> Callable[[object], tuple[Any]]:
    get = attrgetter(name)
    return lambda instance: (get(instance),)
