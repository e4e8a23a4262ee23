"""Policies travel as numbers: they are fixed, and ordered from little to much."""

from __future__ import annotations

from ksmbd.wire.policy import Encryption, MapToGuest, Signing


def test_the_numbers_are_those_of_the_link() -> None:
    assert list(Signing) == [0, 1, 2, 3]
    assert list(MapToGuest) == [0, 1, 2, 3]
    assert list(Encryption) == [0, 1, 2, 3]


def test_what_is_demanded_grows_with_the_number() -> None:
    assert Encryption.OFF < Encryption.AUTO < Encryption.DESIRED < Encryption.REQUIRED
