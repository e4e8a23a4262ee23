"""The engine's fixtures."""

from __future__ import annotations

from tests.support.fixtures import client as client
from tests.support.fixtures import engine as engine
from tests.support.fixtures import folder as folder
from tests.support.fixtures import shares as shares
