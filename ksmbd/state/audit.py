"""Audit ACEs: what the SACL of a file wants to have written down, [MS-DTYP] 2.4.4.10.

One line of the logger ``ksmbd.audit`` for each CREATE of an existing file that an audit ACE asks
about, as JSON: whoever reads the log can tell its parts, and no name in it can break the line.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final

from ksmbd.vfs.access import audited
from ksmbd.wire.access import MAXIMUM_ALLOWED, map_generic

if TYPE_CHECKING:
    from ksmbd.state.tree import TreeConnect
    from ksmbd.wire.security import Acl

log = logging.getLogger("ksmbd.audit")

_TOLD: Final = 16  # ACEs in one line


def record(tree: TreeConnect, path: str, sacl: Acl, access: int, *, success: bool) -> None:
    """Write down that the tree's user was granted, or refused, *access* to *path*.

    Nothing is written unless an ACE of *sacl* is for such an access by this user.
    """
    access = map_generic(access) & ~MAXIMUM_ALLOWED
    token = tree.the_token
    aces = audited(sacl, token, access, success=success)
    if not aces:
        return
    line = {
        "event": "access",
        "outcome": "granted" if success else "denied",
        "user": tree.session.account,
        "sid": str(token.user),
        "share": tree.share.name,
        "path": path,
        "access": f"{access:#x}",
        "aces": [{"sid": str(ace.sid), "mask": f"{ace.mask:#x}"} for ace in aces[:_TOLD]],
    }
    log.info("%s", json.dumps(line))
