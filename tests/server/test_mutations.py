"""Every request, mutated in every way: the server answers or hangs up, and nothing else happens.

Reference points: the classes C to H, J, L and Q of known vulnerabilities of SMB servers.
"""

from __future__ import annotations

import dataclasses
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ksmbd.wire.header import HEADER_SIZE, Header
from tests.support.arena import REQUESTS, Arena, Subject, arena
from tests.support.client import Client
from tests.support.frames import HEADER_FIELDS, Frame

# Values a number of so many bytes is set to, besides its neighbours.
WIDTHS: Final = {"B": 1, "H": 2, "I": 4, "Q": 8, "b": 1, "i": 4, "q": 8}
OFFSETS: Final[dict[str, list[tuple[str, str]]]] = {
    "negotiate": [("negotiate_context_offset", "negotiate_context_count")],
    "session_setup": [("security_buffer_offset", "security_buffer_length")],
    "authenticate": [("security_buffer_offset", "security_buffer_length")],
    "log_on": [("security_buffer_offset", "security_buffer_length")],
    "tree_connect": [("path_offset", "path_length")],
    "create": [
        ("name_offset", "name_length"),
        ("create_contexts_offset", "create_contexts_length"),
    ],
    "create_pipe": [("name_offset", "name_length")],
    "read": [("read_channel_info_offset", "read_channel_info_length")],
    "write": [
        ("data_offset", "length"),
        ("write_channel_info_offset", "write_channel_info_length"),
    ],
    "write_pipe": [("data_offset", "length")],
    "transceive": [("input_offset", "input_count"), ("output_offset", "output_count")],
    "copychunk": [("input_offset", "input_count"), ("output_offset", "output_count")],
    "query_directory": [("file_name_offset", "file_name_length")],
    "query_eas": [("input_buffer_offset", "input_buffer_length")],
    "set_rename": [("buffer_offset", "buffer_length")],
    "set_eas": [("buffer_offset", "buffer_length")],
    "set_security": [("buffer_offset", "buffer_length")],
}
# Requests whose variable part is a chain of entries, or is full of lengths.
CHAINS: Final = (
    "negotiate", "log_on", "authenticate", "create", "lock", "validate", "copychunk", "query_eas",
    "set_eas", "set_rename", "set_security", "set_size",
)  # fmt: skip
PROFILE: Final = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def ring(
    folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Arena]:
    """Of 3.0.2, where requests may go unsigned, unless the test says otherwise."""
    with arena(folder, monkeypatch, getattr(request, "param", 0x0302)) as made:
        yield made


every_dialect = pytest.mark.parametrize("ring", [0x0202, 0x0302, 0x0311], indirect=True)


def values(current: int, size: int, seed: str) -> list[int]:
    """Boundary values of a number, its neighbours, and one that nobody thought of."""
    top = (1 << 8 * size) - 1
    chance = random.Random(zlib.crc32(seed.encode())).randrange(top + 1)
    wanted = [0, 1, current - 1, current + 1, current + 8, top >> 1, (top >> 1) + 1, top - 1, top]
    return sorted({value & top for value in [*wanted, chance]} - {current})


def numbers(structure: Any) -> Iterator[tuple[str, int]]:
    """The integer fields of a wire structure with their sizes in bytes."""
    if isinstance(structure, Header):
        yield from ((name, WIDTHS[c]) for name, c in HEADER_FIELDS.items() if c in WIDTHS)
        return
    codes = type(structure)._in.format.lstrip("<")
    plain = codes.removeprefix("2x")
    fields = [field.name for field in dataclasses.fields(structure)]
    for name, code in zip(fields, _codes(plain), strict=True):
        if code in WIDTHS:
            yield name, WIDTHS[code]


def _codes(layout: str) -> list[str]:
    codes, count = [], ""
    for char in layout:
        if char.isdigit():
            count += char
            continue
        codes.append(count + char if char == "s" else char)
        count = ""
    return codes


# -- every field -------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_every_field_of_the_fixed_part(ring: Arena, name: str) -> None:
    make = REQUESTS[name]
    for field, size in list(numbers(make(ring.subject).body)):
        current = getattr(make(ring.subject).body, field)
        for value in values(current, size, name + field):
            frame = make(ring.subject).set(**{field: value})
            ring.throw_frame(frame, f"{name}: {field} = {value:#x}")
    assert ring.thrown


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_every_structure_size(ring: Arena, name: str) -> None:
    right = REQUESTS[name](ring.subject).body.STRUCTURE_SIZE
    for size in {0, 1, right - 1, right + 1, 2 * right, 0xFFFF}:
        ring.throw_frame(REQUESTS[name](ring.subject).set(size=size), f"{name}: size {size}")


@pytest.mark.parametrize("name", ["echo", "create", "read", "log_on", "change_notify", "lock"])
def test_every_field_of_the_header(ring: Arena, name: str) -> None:
    make = REQUESTS[name]
    for field, size in list(numbers(Header(command=0))):
        for value in values(getattr(make(ring.subject).header, field), size, name + field):
            frame = make(ring.subject).set(**{f"header_{field}": value})
            if field == "message_id":
                frame.numbered = True
            ring.throw_frame(frame, f"{name}: header's {field} = {value:#x}")


def test_every_command_with_the_body_of_none(ring: Arena) -> None:
    for command in range(256):
        for data in (b"", bytes(60), b"\xff" * 60):
            frame = ring.subject.client.frames.echo(command=command, data=data)
            ring.throw_frame(frame, f"command {command}")


# -- every length ------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_every_truncation(ring: Arena, name: str) -> None:
    """Signed after it was cut, as an attacker with an account would."""
    whole = REQUESTS[name](ring.subject).pack()
    for length in range(HEADER_SIZE + 2, len(whole)):
        frame = REQUESTS[name](ring.subject)
        tail = frame.pack()[HEADER_SIZE:length]
        cut = ring.subject.client.frames.echo(command=frame.header.command)
        cut.set(session_id=frame.header.session_id, tree_id=frame.header.tree_id)
        cut.numbered, cut.header.message_id = frame.numbered, frame.header.message_id
        cut.body = Raw(bytes(tail))  # type: ignore[assignment]
        ring.throw_frame(cut, f"{name} cut to {length}")


class Raw:
    """A body that is just bytes."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def pack(self) -> bytes:
        return self._raw


def test_every_length_of_less_than_a_request(ring: Arena) -> None:
    for length in range(66):
        ring.throw(REQUESTS["echo"](ring.subject).pack()[:length], f"{length} bytes")


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_something_behind_the_end(ring: Arena, name: str) -> None:
    for extra in (b"\0", b"\xff" * 7, bytes(8), b"\xff" * 1000):
        frame = REQUESTS[name](ring.subject)
        ring.throw_frame(frame.set(data=frame.data + extra), f"{name} and {len(extra)} bytes")


# -- every offset and length (class E) ---------------------------------------------------


@pytest.mark.parametrize("name", sorted(OFFSETS))
def test_every_offset_with_every_length(ring: Arena, name: str) -> None:
    make = REQUESTS[name]
    for offset_name, length_name in OFFSETS[name]:
        body = make(ring.subject).body
        sizes = dict(numbers(body))
        offset, length = getattr(body, offset_name), getattr(body, length_name)
        end = len(make(ring.subject).pack())
        for where in (0, 1, 63, HEADER_SIZE, offset - 1, end - length + 1, end, 0xFFFF, 1 << 31,
                      0xFFFF_FFFF):  # fmt: skip
            for count in (0, 1, length - 1, length + 1, end, 0xFFFF, 1 << 31, 0xFFFF_FFFF):
                frame = make(ring.subject)
                frame.set(**{
                    offset_name: where & (1 << 8 * sizes[offset_name]) - 1,
                    length_name: count & (1 << 8 * sizes[length_name]) - 1,
                })  # fmt: skip
                ring.throw_frame(frame, f"{name}: {offset_name} {where} {length_name} {count}")


# -- every number inside the variable part (classes C, G, H, I) --------------------------


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("width", [2, 4])
def test_every_number_of_every_chain(ring: Arena, name: str, width: int) -> None:
    make = REQUESTS[name]
    layout = "<H" if width == 2 else "<I"
    for at in range(0, len(make(ring.subject).data) - width + 1, width):
        (current,) = struct.unpack_from(layout, make(ring.subject).data, at)
        high = 0x7F << 8 * (width - 1)
        for value in {0, 1, current + 4, current + 8, high, (1 << 8 * width) - 1}:
            frame = make(ring.subject)
            data = bytearray(frame.data)
            struct.pack_into(layout, data, at, value & (1 << 8 * width) - 1)
            ring.throw_frame(frame.set(data=bytes(data)), f"{name}: {value:#x} at {at}")


@pytest.mark.parametrize("name", CHAINS)
def test_every_truncation_of_every_chain(ring: Arena, name: str) -> None:
    """The lengths in the fixed part follow: the chain itself ends too soon."""
    make = REQUESTS[name]
    lengths = [length for _, length in OFFSETS.get(name, []) if "name" not in length]
    for length in range(len(make(ring.subject).data)):
        frame = make(ring.subject)
        less = len(frame.data) - length
        frame.set(data=frame.data[:length])
        for field in lengths:
            frame.set(**{field: max(0, getattr(frame.body, field) - less)})
        ring.throw_frame(frame, f"{name} with {length} bytes of its chain")


# -- chance ------------------------------------------------------------------------------

EDIT = st.tuples(
    st.sampled_from(("set", "insert", "delete", "repeat")),
    st.integers(0, 400),
    st.binary(min_size=1, max_size=8),
)


def edited(pdu: bytearray, edits: list[tuple[str, int, bytes]]) -> bytearray:
    """Bytes changed, put in, taken out, repeated: never in what finds the request at all."""
    for kind, where, data in edits:
        at = HEADER_SIZE + where % max(1, len(pdu) - HEADER_SIZE)
        if kind == "set":
            pdu[at : at + len(data)] = data
        elif kind == "insert":
            pdu[at:at] = data
        elif kind == "delete":
            del pdu[at : at + len(data)]
        else:
            pdu[at:at] = pdu[at : at + 8 * len(data)]
    return pdu


@every_dialect
def test_anything_at_all(ring: Arena) -> None:
    names = sorted(REQUESTS)

    @PROFILE
    @given(
        st.lists(
            st.tuples(st.sampled_from(names), st.lists(EDIT, max_size=4)), min_size=1, max_size=4
        )
    )
    def throw(mutants: list[tuple[str, list[tuple[str, int, bytes]]]]) -> None:
        for name, edits in mutants:
            frame = REQUESTS[name](ring.subject)
            frame.sign = False
            ring.throw(edited(ring.subject.client.pack(frame), edits), f"{name} {edits}")

    throw()


@every_dialect
def test_any_compound_at_all(ring: Arena) -> None:
    """Class F: commands in any order, related or not, each sound in itself."""
    names = sorted(set(REQUESTS) - {"negotiate", "cancel"})

    @PROFILE
    @given(
        st.lists(st.tuples(st.sampled_from(names), st.booleans()), min_size=2, max_size=6),
        st.integers(0, 3),
    )
    def throw(chosen: list[tuple[str, bool]], lie: int) -> None:
        subject = ring.subject
        frames = [compound_element(subject, name, related) for name, related in chosen]
        if lie == 0:
            frames[0].header.next_command = 8 * len(frames)
        ring.throw(subject.client.pack(*frames), f"{chosen} {lie}")

    throw()


def compound_element(subject: Subject, name: str, related: bool) -> Frame:
    frame = REQUESTS[name](subject)
    if related:
        inherit = subject.client.frames.related()
        frame.header.flags = inherit.flags
        frame.header.session_id = inherit.session_id
        frame.header.tree_id = inherit.tree_id
        if hasattr(frame.body, "volatile_id"):
            frame.set(persistent_id=inherit.persistent_id, volatile_id=inherit.volatile_id)
    return frame


MAGIC: Final = (b"", b"\xfeSMB\x40\0", b"\xffSMB\x72", b"\xfdSMB", b"\xfcSMB")


def test_any_bytes_at_all(ring: Arena) -> None:
    @PROFILE
    @given(st.binary(max_size=300), st.sampled_from(MAGIC))
    def throw(junk: bytes, magic: bytes) -> None:
        ring.throw(bytearray(magic + junk), "junk")

    throw()


def test_any_smb1_negotiate_at_all(ring: Arena) -> None:
    whole = b"\xffSMB\x72" + bytes(27) + b"\0\x0b\0\2SMB 2.002\0"

    @PROFILE
    @given(st.lists(EDIT, min_size=1, max_size=4))
    def throw(edits: list[tuple[str, int, bytes]]) -> None:
        pdu = bytearray(whole)
        for kind, where, data in edits:
            at = 4 + where % (len(pdu) - 4)
            if kind == "delete":
                del pdu[at : at + 1]
            else:
                pdu[at : at + (kind == "set") * len(data)] = data
        client = Client(ring.engine)
        ring.throw(pdu, f"SMB1 {edits}", client)
        client.lose()

    throw()
