"""An environment of its own with impacket: as a server beside ours, and as a client of ours.

In the environment of the tests it would hold cryptography back.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from tests.support.debs import cache_folder

# without what only its web and database programs want
PACKAGES: Final = ("impacket>=0.12", "pyasn1", "pycryptodomex", "six")


def interpreter() -> Path:
    """The environment's Python, made when there is none."""
    folder = cache_folder() / f"impacket-{sys.version_info.major}.{sys.version_info.minor}"
    python, stamp = folder / "bin" / "python", folder / "installed"
    if not stamp.exists():
        venv.create(folder, clear=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python)]
        subprocess.run([*pip, "install", "--quiet", "--no-deps", *PACKAGES], check=True)
        stamp.touch()
    return python
