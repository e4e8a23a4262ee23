"""Audit ACEs: what the SACL of a file wants to have written down, [MS-DTYP] 2.4.4.10.

One line of the logger ``ksmbd.audit`` for each CREATE that an audit ACE asks about, of a file that
was there or is made with what it inherits, and for what a rename removes.  It is JSON: whoever
reads the log can tell its parts, and no name in it can break the line.

What is told is the descriptor's decision, whatever becomes of the request afterwards, as Windows
has it: who is refused a file that another does not share was granted it by its descriptor.  A
request that waits decides again when it goes on, and is told of once.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from ksmbd.vfs.access import audited
from ksmbd.wire.access import MAXIMUM_ALLOWED, map_generic

if TYPE_CHECKING:
    from ksmbd.state.tree import TreeConnect
    from ksmbd.wire.security import Acl

log = logging.getLogger("ksmbd.audit")

_TOLD: Final = 16  # ACEs in one line


class Decision(NamedTuple):
    """The tree's user was granted, or refused, *access* to *path*, whose SACL is *sacl*."""

    tree: TreeConnect
    path: str
    sacl: Acl
    access: int
    success: bool


def record(decision: Decision) -> None:
    """Write it down, if an ACE of the SACL is for such an access by this user."""
    tree = decision.tree
    access = map_generic(decision.access) & ~MAXIMUM_ALLOWED
    token = tree.the_token
    aces = audited(decision.sacl, token, access, success=decision.success)
    if not aces:
        return
    line = {
        "event": "access",
        "outcome": "granted" if decision.success else "denied",
        "user": tree.session.account,
        "sid": str(token.user),
        "share": tree.share.name,
        "path": decision.path,
        "access": f"{access:#x}",
        "aces": [{"sid": str(ace.sid), "mask": f"{ace.mask:#x}"} for ace in aces[:_TOLD]],
    }
    log.info("%s", json.dumps(line))
