"""SMB2 CLOSE, [MS-SMB2] 3.3.5.10."""

from __future__ import annotations

from ksmbd.state.work import Reply, Work
from ksmbd.wire.access import ATTR_NORMAL
from ksmbd.wire.close import POSTQUERY_ATTRIB, CloseRequest, CloseResponse
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import filetime_from_ns


def close(work: Work, req: CloseRequest) -> Reply:
    """End an open; the last one of a file that is to be deleted removes it.

    FILE_CLOSED   the FileId names no open of this session
    """
    open = work.open(req.persistent_id, req.volatile_id)
    if open.pipe is not None:
        work.needs_kworker()  # mountd is told
    response = CloseResponse()
    if req.flags & POSTQUERY_ATTRIB and open.handle is not None:
        st = open.handle.stat()
        response = CloseResponse(
            flags=POSTQUERY_ATTRIB,
            creation_time=filetime_from_ns(st.birth),
            last_access_time=filetime_from_ns(st.access),
            last_write_time=filetime_from_ns(st.write),
            change_time=filetime_from_ns(st.change),
            allocation_size=0 if st.is_directory else st.allocation,
            end_of_file=0 if st.is_directory else st.size,
            file_attributes=st.attributes or ATTR_NORMAL,
        )
    work.let_go()  # our own use of it must not put the end off
    work.server.opens.close(open, later=work.after)
    work.compound_status = NtStatus.FILE_CLOSED
    return Reply(response)
