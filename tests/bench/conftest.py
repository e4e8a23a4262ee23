"""The engine's fixtures, for clients that are measured with."""

from __future__ import annotations

from tests.support.fixtures import engine as engine
from tests.support.fixtures import folder as folder
from tests.support.fixtures import shares as shares
