"""ERROR responses."""

from __future__ import annotations

import pytest

from ksmbd.wire.base import Wire
from ksmbd.wire.error import (
    ErrorContext,
    ErrorResponse,
    SymbolicLinkError,
    pack_contexts,
    pack_error,
    pack_symlink_error,
)
from tests.wire.vectors import check, name

VECTORS = [
    (ErrorResponse(), "0900 00 00 00000000"),
    (ErrorResponse(error_context_count=1, byte_count=12), "0900 01 00 0c000000"),
    (ErrorContext(error_data_length=4), "04000000 00000000"),
    (
        SymbolicLinkError(
            sym_link_length=32,
            reparse_data_length=20,
            unparsed_path_length=2,
            substitute_name_offset=0,
            substitute_name_length=4,
            print_name_offset=4,
            print_name_length=4,
            flags=1,
        ),
        "20000000 5359 4d4c 0c0000a0 1400 0200 0000 0400 0400 0400 01000000",
    ),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)


def test_without_data_one_zero_byte_stands_in() -> None:
    assert pack_error().hex(" ") == "09 00 00 00 00 00 00 00 00"
    assert pack_error(contexts=True) == pack_error()


def test_before_311_the_data_stands_alone() -> None:
    assert pack_error(b"\x88\x00\x00\x00") == bytes.fromhex("0900 00 00 04000000 88000000")


def test_in_311_the_data_is_in_a_context() -> None:
    assert pack_error(b"\x88\x00\x00\x00", contexts=True) == bytes.fromhex(
        "0900 01 00 0c000000 04000000 00000000 88000000"
    )


def test_contexts_are_aligned_to_eight() -> None:
    assert pack_contexts([(0, b"abc"), (1, b"d")]) == bytes.fromhex(
        "03000000 00000000 616263 0000000000 01000000 01000000 64"
    )


def test_a_symlink_error_counts_its_names() -> None:
    assert pack_symlink_error("ab", "ab", unparsed="c", relative=True) == bytes.fromhex(
        "20000000 53594d4c 0c0000a0 1400 0200 0000 0400 0400 0400 01000000 61006200 61006200"
    )
