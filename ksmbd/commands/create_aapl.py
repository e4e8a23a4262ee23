"""The create context AAPL: Apple's clients ask what the server is, and say what they know.

No document of Apple's defines it; what macOS sends and Samba answers does.  What is agreed holds
for the whole session: a Mac asks once.
"""

from __future__ import annotations

from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.wire import create_context as wire
from ksmbd.wire.base import Buffer
from ksmbd.wire.status import NtStatus, NtStatusError


def query(data: Buffer) -> wire.AaplQuery:
    """INVALID_PARAMETER   another command than the query, or another length"""
    found = wire.unpack_exact(wire.AaplQuery, data)
    if found.command != wire.AAPL_SERVER_QUERY:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"AAPL command {found.command}")
    return found


def answer(work: Work, open: Open, asked: wire.AaplQuery) -> bytes:
    """The parts that are asked for; nothing that there is nothing behind."""
    share = open.tree.share
    reply = wire.AaplReply()
    if asked.request_bitmap & wire.AAPL_BIT_SERVER_CAPS:
        server = wire.AAPL_UNIX_BASED | wire.AAPL_OSX_COPYFILE | wire.AAPL_NFS_ACE
        if share.streams:  # which hold what such listings tell
            server |= asked.client_capabilities & wire.AAPL_READ_DIR_ATTR
        open.session.aapl = server
        reply = reply._replace(server_capabilities=server)
    if asked.request_bitmap & wire.AAPL_BIT_VOLUME_CAPS:
        volume = 0
        if open.tree.root.options.case_sensitive:
            volume |= wire.AAPL_VOLUME_CASE_SENSITIVE
        if share.time_machine:  # FLUSH always is a full one; those who ask for it then do so
            volume |= wire.AAPL_VOLUME_FULL_SYNC
        reply = reply._replace(volume_capabilities=volume)
    if asked.request_bitmap & wire.AAPL_BIT_MODEL_INFO:
        reply = reply._replace(model=work.server.settings.aapl_model)
    return reply.pack()
