"""ksmbd: an SMB 2.0.2-3.1.1 file server in user space.

``ksmbd.Server`` and ``ksmbd.Share`` start one inside a Python program: ``ksmbd/embedded.py``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ksmbd.embedded import Server, ServerError, Share

__version__ = "0.1.0"
__all__ = ("Server", "ServerError", "Share", "__version__")

_EMBEDDED: Final = frozenset({"Server", "ServerError", "Share"})


def __getattr__(name: str) -> Any:
    """Load what programs use when they do: the server itself does without."""
    if name in _EMBEDDED:
        return getattr(importlib.import_module("ksmbd.embedded"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
