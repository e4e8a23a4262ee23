"""tests/support/mountd.py against the interface it stands in for."""

from __future__ import annotations

import inspect

import pytest

from ksmbd.ipc.client import Mountd
from tests.support.mountd import MemoryMountd

METHODS = [
    name
    for name, value in inspect.getmembers(MemoryMountd, inspect.isfunction)
    if not name.startswith("_")
]


@pytest.mark.parametrize("name", METHODS)
def test_the_signature_is_the_real_one(name: str) -> None:
    ours = inspect.signature(getattr(MemoryMountd, name))
    assert ours == inspect.signature(getattr(Mountd, name))
