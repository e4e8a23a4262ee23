"""The create context AAPL: Apple's clients ask what the server is, and say what they know.

No document of Apple's defines it; what macOS sends and Samba answers does.  What is agreed holds
for the whole session: a Mac asks once.  Later it may ask where the file of a number is.
"""

from __future__ import annotations

from ksmbd.state import apple_ids
from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.wire import create_context as wire
from ksmbd.wire.base import Buffer
from ksmbd.wire.status import NtStatus, NtStatusError


def query(data: Buffer) -> wire.AaplQuery | wire.AaplResolveId:
    """INVALID_PARAMETER   a command that there is not, or another length"""
    command = int.from_bytes(data[:4], "little")
    if command == wire.AAPL_RESOLVE_ID:
        return wire.unpack_exact(wire.AaplResolveId, data)
    if command != wire.AAPL_SERVER_QUERY:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"AAPL command {command}")
    return wire.unpack_exact(wire.AaplQuery, data)


def answer(work: Work, open: Open, asked: wire.AaplQuery | wire.AaplResolveId) -> bytes:
    if isinstance(asked, wire.AaplResolveId):
        return _resolved(work, open, asked.file_id).pack()
    return _told(work, open, asked).pack()


def _resolved(work: Work, open: Open, file: int) -> wire.AaplResolved:
    path = apple_ids.path_of(work, open.tree, file)
    if path is None:
        return wire.AaplResolved(NtStatus.OBJECT_NAME_NOT_FOUND)
    return wire.AaplResolved(NtStatus.SUCCESS, path.replace("/", "\\"))


def _told(work: Work, open: Open, asked: wire.AaplQuery) -> wire.AaplReply:
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
        if apple_ids.tells_lasting(open) and apple_ids.resolves(open.tree):
            volume |= wire.AAPL_VOLUME_RESOLVE_ID
        if open.tree.root.options.case_sensitive:
            volume |= wire.AAPL_VOLUME_CASE_SENSITIVE
        if share.time_machine:  # FLUSH always is a full one; those who ask for it then do so
            volume |= wire.AAPL_VOLUME_FULL_SYNC
        reply = reply._replace(volume_capabilities=volume)
    if asked.request_bitmap & wire.AAPL_BIT_MODEL_INFO:
        reply = reply._replace(model=work.server.settings.aapl_model)
    return reply
