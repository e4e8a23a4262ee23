"""Which Python runs the server, and whether its threads take turns.

A free-threaded build (PEP 703) has no global interpreter lock, until an extension module is
imported that does not say it can do without: then Python switches the lock on for good, with a
RuntimeWarning that names the module.
"""

from __future__ import annotations

import platform
import sys
import sysconfig
from typing import Final

FREE_THREADED: Final = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def takes_turns() -> bool:
    """Whether the interpreter's lock lets one thread at a time run Python, at this moment."""
    asked = getattr(sys, "_is_gil_enabled", None)  # from 3.13 on
    return True if asked is None else bool(asked())


def describe() -> str:
    """``Python 3.13.5``, and of a free-threaded build whether it is one in fact."""
    version = f"Python {platform.python_version()}"
    if not FREE_THREADED:
        return version
    return f"{version}, {'free-threaded with its lock ON' if takes_turns() else 'free-threaded'}"
