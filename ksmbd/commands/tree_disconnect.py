"""SMB2 TREE_DISCONNECT, [MS-SMB2] 3.3.5.8."""

from __future__ import annotations

from ksmbd.state.work import Reply, Work
from ksmbd.wire.tree_connect import TreeDisconnectRequest, TreeDisconnectResponse


def tree_disconnect(work: Work, req: TreeDisconnectRequest) -> Reply:
    """Close the opens of the tree connect and forget it.

    NETWORK_NAME_DELETED   it was disconnected before, from checks
    """
    work.server.end_tree(work.the_tree())
    return Reply(TreeDisconnectResponse())
