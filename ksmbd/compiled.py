"""Whether machine code runs in place of Python sources: see ``install/compiled.py``."""

from __future__ import annotations

import hashlib
import json
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

MANIFEST: Final = "compiled.json"  # beside this module: the sources that were compiled, and sums
_SUFFIXES: Final = tuple(EXTENSION_SUFFIXES)
PACKAGE: Final = Path(__file__).parent


def is_compiled(name: str) -> bool:
    """Whether a module is loaded, and compiled."""
    return (getattr(sys.modules.get(name), "__file__", None) or "").endswith(_SUFFIXES)


def count() -> int:
    """How many of the modules that are loaded are compiled."""
    return sum(is_compiled(name) for name in list(sys.modules) if name.startswith("ksmbd."))


def about() -> str:
    """What to add to the version."""
    number = count()
    return f" ({number} modules compiled)" if number else ""


def stale(package: Path = PACKAGE) -> list[str]:
    """The sources that are not what was compiled: what runs would not be what stands there."""
    manifest = package / MANIFEST
    if not manifest.exists():
        return []
    sums: dict[str, str] = json.loads(manifest.read_text())
    return [name for name, known in sums.items() if digest(package.parent / name) != known]


def digest(source: Path) -> str:
    """Of a source's bytes; "" if there is none."""
    return hashlib.sha256(source.read_bytes()).hexdigest() if source.exists() else ""
