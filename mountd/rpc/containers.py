"""The ``*_ENUM_STRUCT`` pattern of srvsvc and wkssvc, [MS-SRVS] 2.2.4.

Level, the same level as the union's discriminant, a pointer to a container of
EntriesRead and an array; then PreferedMaximumLength and ResumeHandle.  The
reply repeats the container, full, and adds TotalEntries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ksmbd.wire.base import WireError
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import Call, Refusal
from mountd.rpc.ndr import Fields, NdrReader, NdrWriter, size_of

Levels = Mapping[int, Fields]

NO_LIMIT: Final = 0xFFFFFFFF  # MAX_PREFERRED_LENGTH


class Enumeration(NamedTuple):
    """What an enumeration asks for."""

    level: int
    fields: Fields
    max_length: int  # PreferedMaximumLength, bytes
    resume: int | None  # index of the first row wanted; None: no ResumeHandle was sent
    filters: tuple[str, ...]  # "" where the client sent none


def read_enumeration(call: Call, r: NdrReader, levels: Levels, *, filters: int = 0) -> Enumeration:
    """Read ServerName, *filters* more optional strings, InfoStruct, length and resume handle.

    INVALID_LEVEL  the level is not in *levels*
    """
    r.unique(r.wstring)
    strings = tuple(r.unique(r.wstring) or "" for _ in range(filters))
    call.level, arm = r.u32(), r.u32()
    if arm != call.level:
        raise WireError(f"level {call.level}, discriminant {arm}")
    fields = levels.get(call.level)
    if fields is None:
        raise RpcError(Win32.INVALID_LEVEL, str(call.level))
    r.unique(lambda: r.array(fields))
    return Enumeration(call.level, fields, r.u32(), r.unique(r.u32), strings)


def enumerate_rows(w: NdrWriter, asked: Enumeration, rows: Sequence[object]) -> int:
    """Write the rows from the resume handle on, as many as the caller has room for.

    Return SUCCESS or MORE_DATA; raise BUF_TOO_SMALL if there are rows and none fits.
    """
    start = min(asked.resume or 0, len(rows))
    left = rows[start:]
    fitting = left[: _fitting(asked, left)]
    if left and not fitting:
        raise RpcError(Win32.BUF_TOO_SMALL, f"{asked.max_length} bytes")
    more = len(fitting) < len(left)
    w.u32(asked.level)
    w.u32(asked.level)
    w.pointer(lambda: w.array(asked.fields, fitting))
    w.flush()
    w.u32(len(left))
    resume = start + len(fitting) if more else 0
    w.unique_u32(None if asked.resume is None else resume)
    return Win32.MORE_DATA if more else Win32.SUCCESS


def _fitting(asked: Enumeration, rows: Sequence[object]) -> int:
    """How many *rows* fit in the caller's PreferedMaximumLength."""
    if asked.max_length == NO_LIMIT:
        return len(rows)
    room = asked.max_length
    for count, row in enumerate(rows):
        room -= size_of(asked.fields, row)
        if room < 0:
            return count
    return len(rows)


def refuse_enumeration(levels: Levels) -> Refusal:
    """Results that go with a refused enumeration: no container, no entries, no resume handle."""

    def refuse(call: Call, w: NdrWriter) -> None:
        w.u32(call.level)
        w.u32(call.level)
        if call.level in levels:
            w.null()
        w.u32(0)
        w.null()

    return refuse
