"""epmapper, the endpoint mapper, [C706] appendices L and O: which interface is on which pipe.

Our endpoints are the pipes of IPC$ and nothing else: a client that wants an interface over TCP is
told that there is none.  A tower is five floors: interface, transfer syntax, connection-oriented
RPC, the pipe, the machine; each is (length, protocol data), (length, related data).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

from ksmbd.wire.base import WireError
from mountd.rpc.errors import Win32
from mountd.rpc.handles import CLOSED, HANDLE_SIZE
from mountd.rpc.interface import Call, Interface, Operation, refused
from mountd.rpc.ndr import NdrReader, NdrWriter
from mountd.rpc.pdu import NDR32, Syntax

NOT_REGISTERED: Final = 0x16C9A0D6  # ept_s_not_registered: no such endpoint, or no further one
SYNTAX_FLOOR: Final = 0x0D  # protocol identifiers, [C706] appendix I
RPC_FLOOR: Final = 0x0B
PIPE_FLOOR: Final = 0x0F
NETBIOS_FLOOR: Final = 0x11
FLOORS: Final = 5
BY_INTERFACE: Final = frozenset({1, 3})  # rpc_c_ep_match_by_if, ..._by_both
BY_OBJECT: Final = 2  # rpc_c_ep_match_by_obj; no endpoint of ours has objects
MAX_TOWER: Final = 1024  # bytes
MAX_ENTRIES: Final = 500  # in one answer
FLOOR: Final = struct.Struct("<H")
SYNTAX: Final = struct.Struct("<B16sH")  # a floor's protocol data: identifier, UUID, major version


class Endpoint(NamedTuple):
    """One interface on one pipe."""

    interface: Interface
    pipe: str

    def tower(self, host: str) -> bytes:
        """Pack the way to it, [C706] appendix L."""
        syntax = self.interface.syntax
        pipe = f"\\pipe\\{self.pipe}\0".encode("ascii")
        machine = f"\\\\{host}\0".encode("ascii", "replace")
        floors = (
            (_syntax_floor(syntax), FLOOR.pack(syntax.minor)),
            (_syntax_floor(NDR32), FLOOR.pack(NDR32.minor)),
            (bytes([RPC_FLOOR]), FLOOR.pack(0)),
            (bytes([PIPE_FLOOR]), pipe),
            (bytes([NETBIOS_FLOOR]), machine),
        )
        sides = (side for floor in floors for side in floor)
        return FLOOR.pack(FLOORS) + b"".join(FLOOR.pack(len(side)) + side for side in sides)


class Search(NamedTuple):
    """What an entry handle stands for: the endpoints still to be told."""

    left: tuple[Endpoint, ...]


def _syntax_floor(syntax: Syntax) -> bytes:
    return SYNTAX.pack(SYNTAX_FLOOR, syntax.uuid.bytes_le, syntax.major)


def read_tower(data: bytes) -> tuple[Syntax, int]:
    """The interface a tower asks for, and the protocol of its fourth floor."""
    try:
        (count,) = FLOOR.unpack_from(data)
        sides, at = [], FLOOR.size
        for _ in range(2 * count):
            (length,) = FLOOR.unpack_from(data, at)
            at += FLOOR.size + length
            sides.append(data[at - length : at])
        if count < FLOORS - 1 or at > len(data) or not sides[6]:
            raise WireError(f"tower of {count} floors, {at} of {len(data)} bytes")
        identifier, uuid, major = SYNTAX.unpack(sides[0])
        if identifier != SYNTAX_FLOOR:
            raise WireError(f"tower that stands on {identifier:#x}")
        return Syntax(UUID(bytes_le=uuid), major, *FLOOR.unpack(sides[1])), sides[6][0]
    except struct.error:
        raise WireError("short tower") from None


class EndpointMapper:
    """The operations, over the pipes of this server."""

    def __init__(self, pipes: Mapping[str, Sequence[Interface]]) -> None:
        self._endpoints = tuple(
            Endpoint(interface, pipe) for pipe, offered in pipes.items() for interface in offered
        )

    def lookup(self, call: Call, r: NdrReader, w: NdrWriter) -> int:
        """ept_lookup, opnum 2, [C706] appendix O.

        NOT_REGISTERED  no endpoint is like that
        """
        kind = r.u32()
        r.unique(lambda: r.raw(16, 4))
        wanted = r.unique(lambda: _read_interface(r))
        r.u32()  # whichever versions: there is one of each
        handle, room = r.raw(HANDLE_SIZE, 4), r.u32()
        found = () if kind == BY_OBJECT else self._endpoints
        if kind in BY_INTERFACE:
            if wanted is None:
                raise WireError("no interface to look for")
            found = tuple(e for e in found if e.interface.syntax.uuid == wanted.uuid)
        told, handle = _go_on(call, handle, found, room)

        _head(w, handle, len(told), room)
        for endpoint in told:
            w.align(4)
            w.raw(bytes(16))  # of no object
            w.pointer(partial(_write_tower, w, endpoint.tower(call.context.server_name)))
            annotation = endpoint.interface.name.encode("ascii") + b"\0"
            w.u32(0)
            w.u32(len(annotation))
            w.raw(annotation)
        w.flush()
        return Win32.SUCCESS if told else NOT_REGISTERED

    def map(self, call: Call, r: NdrReader, w: NdrWriter) -> int:
        """ept_map, opnum 3, [C706] appendix O: the pipes of an interface.

        NOT_REGISTERED  it is on none, or another way to it is asked for than a pipe
        """
        r.unique(lambda: r.raw(16, 4))
        tower = r.unique(lambda: _read_tower(r))
        handle, room = r.raw(HANDLE_SIZE, 4), r.u32()
        found: tuple[Endpoint, ...] = ()
        if tower is not None:
            wanted, way = read_tower(tower)
            ours = (e for e in self._endpoints if way == PIPE_FLOOR)
            found = tuple(e for e in ours if e.interface.offers(wanted))
        told, handle = _go_on(call, handle, found, room)
        _head(w, handle, len(told), room)
        for endpoint in told:
            w.pointer(partial(_write_tower, w, endpoint.tower(call.context.server_name)))
        w.flush()
        return Win32.SUCCESS if told else NOT_REGISTERED


def _go_on(
    call: Call, handle: bytes, found: tuple[Endpoint, ...], room: int
) -> tuple[tuple[Endpoint, ...], bytes]:
    """What is told now of a search that begins, or that *handle* goes on with; the handle then.

    Who got less than there was room for has seen all, and gets a null handle; else the next call
    says so by its status.  Windows does the former, Samba's clients wait for the latter.
    """
    if handle != CLOSED:
        found = call.handles.get(handle, Search).left
        call.handles.close(handle)
    room = min(room, MAX_ENTRIES)
    told, left = found[:room], found[room:]
    return told, call.handles.open(Search(left)) if told and len(told) == room else CLOSED


def _head(w: NdrWriter, handle: bytes, count: int, room: int) -> None:
    """Write the handle, the count, and the beginning of an array that has room for more."""
    w.raw(handle)
    for value in (count, max(room, count), 0, count):
        w.u32(value)


def _read_interface(r: NdrReader) -> Syntax:
    """Read an rpc_if_id_t."""
    return Syntax(UUID(bytes_le=r.raw(16, 4)), r.u16(), r.u16())


def _read_tower(r: NdrReader) -> bytes:
    """Read a twr_t."""
    room, length = r.conformance(), r.u32()
    if room != length or length > MAX_TOWER:
        raise WireError(f"tower of {length} bytes in {room}")
    return r.raw(length)


def _write_tower(w: NdrWriter, tower: bytes) -> None:
    w.u32(len(tower))
    w.u32(len(tower))
    w.raw(tower)


def free_lookup_handle(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """ept_lookup_handle_free, opnum 4, [C706] appendix O; one that is not open is a fault."""
    call.handles.close(r.raw(HANDLE_SIZE, 4))
    w.raw(CLOSED)
    return Win32.SUCCESS


def _refuse(_call: Call, w: NdrWriter) -> None:
    """No handle, and an empty array."""
    w.raw(CLOSED)
    for _ in ("count", "maximum", "offset", "actual"):
        w.u32(0)


def endpoint_mapper(pipes: Mapping[str, Sequence[Interface]]) -> Interface:
    """The interface, of a server with these *pipes*."""
    mapper = EndpointMapper(pipes)
    return Interface(
        "epmapper",
        Syntax(UUID("e1af8308-5d1f-11c9-91a4-08002b14a0fa"), 3),
        {
            0: refused("ept_insert", Win32.ACCESS_DENIED),
            1: refused("ept_delete", Win32.ACCESS_DENIED),
            2: Operation("ept_lookup", mapper.lookup, _refuse),
            3: Operation("ept_map", mapper.map, _refuse),
            4: Operation("ept_lookup_handle_free", free_lookup_handle),
        },
    )
