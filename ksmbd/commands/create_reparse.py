"""Reparse points on the way of a CREATE: where clients go on, [MS-SMB2] 2.2.2.2.1.

A symlink that the share does not follow is the client's to follow: it is told where it leads and
how much of its path is left.
"""

from __future__ import annotations

from ksmbd.commands.create_request import Wanted
from ksmbd.state.tree import TreeConnect
from ksmbd.vfs.entry import Entry
from ksmbd.vfs.reparse import symlink_of
from ksmbd.wire.error import pack_symlink_error
from ksmbd.wire.reparse import SymlinkData
from ksmbd.wire.status import NtStatus, NtStatusError


def stop_at(entry: Entry, *, used: bool, posix: bool) -> None:
    """Refuse to open a reparse point as if it were the file it stands for.

    STOPPED_ON_SYMLINK           a symlink
    IO_REPARSE_TAG_NOT_HANDLED   a client's other points: the Linux client asks what they are only
                                 after this; special files of the disk if their data are *used*
    """
    st = entry.stat
    assert st is not None
    link = symlink_of(entry.fd, st, posix=posix)
    if link is not None:
        raise _stopped(link, "")
    if used or st.tag:
        raise NtStatusError(NtStatus.IO_REPARSE_TAG_NOT_HANDLED, f"tag {st.reparse_tag:#x}")


def look_for_link(tree: TreeConnect, want: Wanted) -> None:
    """After a path was not found: was that because of a symlink on the way?

    STOPPED_ON_SYMLINK   yes
    """
    components = want.path.split("/")
    for count in range(1, len(components)):
        try:
            with tree.root.resolve("/".join(components[:count]), posix=want.posix) as entry:
                if entry.stat is None:
                    return
                link = symlink_of(entry.fd, entry.stat, posix=want.posix)
        except OSError:
            return
        if link is not None:
            raise _stopped(link, "\\" + "\\".join(components[count:]))


def _stopped(link: SymlinkData, unparsed: str) -> NtStatusError:
    data = pack_symlink_error(
        link.substitute_name, link.print_name, unparsed=unparsed, relative=link.relative
    )
    return NtStatusError(NtStatus.STOPPED_ON_SYMLINK, link.print_name, data)
