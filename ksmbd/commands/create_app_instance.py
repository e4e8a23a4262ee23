"""An application that comes back from another machine takes its file over, [MS-SMB2] 3.3.5.9.13.

A virtual machine that was moved, say: the host it ran on may be dead, or only believe that the
other is.  The version tells who is the newer one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ksmbd.state.durable import AppInstance, Durable
from ksmbd.state.work import Work
from ksmbd.vfs.stat import Stat
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import upcase

if TYPE_CHECKING:
    from ksmbd.commands.create_contexts import Contexts
    from ksmbd.commands.create_request import Wanted

log = logging.getLogger("ksmbd.smb")


def app_instance(contexts: Contexts) -> AppInstance | None:
    """The application that a CREATE is for."""
    if not contexts.app_instance_id:
        return None
    return AppInstance(contexts.app_instance_id, contexts.app_instance_version)


def take_over(work: Work, want: Wanted, st: Stat, contexts: Contexts) -> bool:
    """Close what the same application has open from another client; False if that is nothing.

    Only for who has been granted what it wants of the file: the AppInstanceId alone is no right.

    FILE_FORCED_CLOSED   a version that is not newer than the one which has the file open
    """
    app = app_instance(contexts)
    if app is None:
        return False
    theirs = [
        open
        for open in work.server.durables.of_app(app.id)
        if open.inode is not None
        and open.inode.key == (st.dev, st.ino)
        and open.inode.stream == upcase(want.stream)
        and open.tree.share.is_same(work.the_tree().share)
        and open.durable is not None
        and open.durable.client_guid != work.connection.client_guid
    ]
    for open in theirs:
        if not _newer(app, open.durable):
            raise NtStatusError(NtStatus.FILE_FORCED_CLOSED, f"version {app.version}")
    for open in theirs:
        log.info("%s takes %s over", work.connection.peer, open.path)
        work.server.durables.close_now(open)
    return bool(theirs)


def _newer(app: AppInstance, durable: Durable | None) -> bool:
    """Whether *app* may take over; where one of the two has no version, it may."""
    before = durable.app_instance if durable is not None else None
    if before is None or before.version is None or app.version is None:
        return True
    return app.version > before.version
