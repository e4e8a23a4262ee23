"""Opening a file on disk that somebody holds a lease of the kernel on: ours, or a local program.

open(2) does not wait (O_NONBLOCK), the request does.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ksmbd.commands.create_request import Wanted
from ksmbd.state.local_locks import next_pause
from ksmbd.state.local_opens import Wish
from ksmbd.state.tree import TreeConnect
from ksmbd.state.wait import Event, Wait
from ksmbd.state.work import Work
from ksmbd.vfs.entry import Entry
from ksmbd.vfs.handle import Handle
from ksmbd.wire.status import NtStatus, NtStatusError

LONGEST_S: Final = 60.0  # the kernel ends a lease after 45 seconds


class _Blocked(NamedTuple):
    """Of a CREATE that waits for a local program."""

    until: float
    pause_s: float


def open_file(
    work: Work, tree: TreeConnect, want: Wanted, entry: Entry, granted: int, wish: Wish, *,
    read: bool, write: bool,
) -> Handle:  # fmt: skip
    """``ShareRoot.open``; raises Wait while a lease of the kernel is in the way.

    SHARING_VIOLATION   a local program keeps one longer than the kernel allows
    """
    st = entry.stat
    if tree.share.kernel_oplocks and (read or write) and st is not None and not st.is_directory:
        key = (st.dev, st.ino)
        work.server.caching.local.make_way(
            work, key, wish, granted, want.share_access, writes=write
        )
    try:
        handle = tree.root.open(entry, read=read, write=write)
    except BlockingIOError:
        now = work.server.clock()
        before = work.memo if isinstance(work.memo, _Blocked) else _Blocked(now + LONGEST_S, 0)
        if now >= before.until:
            raise NtStatusError(NtStatus.SHARING_VIOLATION, "a local program's lease") from None
        work.memo = before._replace(pause_s=next_pause(before.pause_s))
        raise Wait(Event(), timeout_s=work.memo.pause_s, in_compound=True) from None
    if tree.root.tunnel is not None:
        tree.root.tunnel.opened(handle, entry)
    return handle
