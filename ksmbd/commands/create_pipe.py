"""CREATE on IPC$: open one of mountd's pipes, [MS-SMB2] 3.3.5.9."""

from __future__ import annotations

from ksmbd.state.open import Open
from ksmbd.state.work import Reply, Work
from ksmbd.wire.access import ATTR_NORMAL, FILE_OPENED, map_generic
from ksmbd.wire.create import CreateRequest, CreateResponse
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import from_utf16


def create_pipe(work: Work, req: CreateRequest) -> Reply:
    """Open the pipe whose name is given, with or without the leading backslash.

    OBJECT_NAME_NOT_FOUND   there is none of that name
    PIPE_NOT_AVAILABLE      mountd is away
    """
    raw = work.buffer(req.name_offset, req.name_length, after=CreateRequest.SIZE)
    name = from_utf16(raw).lstrip("\\").lower()
    if not name:
        raise NtStatusError(NtStatus.OBJECT_NAME_NOT_FOUND, "IPC$ itself cannot be opened")
    work.needs_kworker()  # mountd is asked
    server = work.server
    server.opens.require_room()
    session = work.the_session()
    pipe = server.open_pipe(session, name, work.connection.peer)
    open = Open(
        connection=work.connection,
        tree=work.the_tree(),
        granted_access=map_generic(req.desired_access),
        share_access=req.share_access,
        create_options=req.create_options,
        pipe=pipe,
        now=server.clock(),
        channel_sequence=work.header.channel_sequence,
    )
    try:
        server.opens.add(open)
    except NtStatusError:
        pipe.close()
        raise
    work.compound_open = open
    response = CreateResponse(
        create_action=FILE_OPENED,
        creation_time=0,
        last_access_time=0,
        last_write_time=0,
        change_time=0,
        allocation_size=4096,
        end_of_file=0,
        file_attributes=ATTR_NORMAL,
        persistent_id=open.persistent_id,
        volatile_id=open.volatile_id,
    )
    return Reply(response)
