"""The fixtures of the engine, and two users whom the kernel tells apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.users import Users
from tests.support.fixtures import client, engine, folder, shares

__all__ = ["client", "engine", "folder", "shares", "users"]


@pytest.fixture
def users(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Users:
    """alice and bob with a directory each, on a share where both may enter."""
    return Users(folder)
