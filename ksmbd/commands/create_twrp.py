"""CREATE of a previous version: the TWrp context, or an ``@GMT-…`` component in the name.

[MS-SMB2] 2.2.13.2.7.  Clients of SMB1 put the time into the name, and what was made
for them still does; TWrp goes before it.
"""

from __future__ import annotations

from typing import Final

from ksmbd.commands.create_contexts import Contexts
from ksmbd.commands.create_request import Wanted
from ksmbd.state.snapshot import SnapshotTree
from ksmbd.state.tree import TreeConnect
from ksmbd.vfs.snapshots import take_token
from ksmbd.wire.access import (
    FILE_DELETE_ON_CLOSE,
    FILE_OVERWRITE,
    FILE_OVERWRITE_IF,
    FILE_SUPERSEDE,
)
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import ns_from_filetime

TOKEN: Final = "@GMT-"
_REPLACING: Final = frozenset((FILE_SUPERSEDE, FILE_OVERWRITE, FILE_OVERWRITE_IF))


def past(tree: TreeConnect, want: Wanted, contexts: Contexts) -> tuple[TreeConnect, Wanted]:
    """The tree and the name to look for instead; as they came if the present is meant.

    An open of the past is neither cached nor durable.

    OBJECT_NAME_NOT_FOUND   there is no such version, or there are none at all
    MEDIA_WRITE_PROTECTED   it would be overwritten or deleted
    ACCESS_DENIED           the same, on a read-only share
    """
    snapshots = tree.share.snapshots
    if contexts.timewarp:
        when = ns_from_filetime(contexts.timewarp) // 1_000_000_000
    elif snapshots is not None and (named := take_token(want.path)) is not None:
        when, path = named
        want = want._replace(path=path)
    else:
        return tree, want
    if snapshots is None:
        raise NtStatusError(NtStatus.OBJECT_NAME_NOT_FOUND, "no previous versions")
    try:
        root = snapshots.find(when, tree.root.options)
    except FileNotFoundError as missing:
        raise NtStatusError(NtStatus.OBJECT_NAME_NOT_FOUND, str(missing)) from None
    view = SnapshotTree(tree, root)
    if want.disposition in _REPLACING or want.options & FILE_DELETE_ON_CLOSE:
        view.require_writable()
    contexts.forgo()
    return view, want
