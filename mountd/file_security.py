"""Descriptors of files over RPC: mountd decides about the share, ksmbd looks at the file.

mountd has no right to any file.  It says who may use the share and how, as at a tree connect, and
ksmbd then finds the file, checks and answers as the user of the pipe.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ksmbd.wire import ipc
from ksmbd.wire.ipc import FileSecurityRequest, TreeConnectRequest
from ksmbd.wire.status import NtStatus
from mountd import login
from mountd.login import Refused
from mountd.questions import Questions
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import Caller
from mountd.state import State

# NTSTATUS -> Win32, [MS-ERREF]; what is not here is ACCESS_DENIED
CODES: Final[dict[int, Win32]] = {
    NtStatus.INVALID_PARAMETER: Win32.INVALID_PARAMETER,
    NtStatus.INVALID_HANDLE: Win32.INVALID_HANDLE,
    NtStatus.INVALID_DEVICE_REQUEST: Win32.INVALID_FUNCTION,
    NtStatus.OBJECT_NAME_INVALID: Win32.INVALID_NAME,
    NtStatus.OBJECT_NAME_NOT_FOUND: Win32.FILE_NOT_FOUND,
    NtStatus.OBJECT_PATH_NOT_FOUND: Win32.PATH_NOT_FOUND,
    NtStatus.NOT_SUPPORTED: Win32.NOT_SUPPORTED,
    NtStatus.BAD_NETWORK_NAME: Win32.NET_NAME_NOT_FOUND,
    NtStatus.INVALID_OWNER: Win32.INVALID_OWNER,
    NtStatus.PRIVILEGE_NOT_HELD: Win32.PRIVILEGE_NOT_HELD,
    NtStatus.INVALID_SECURITY_DESCR: Win32.INVALID_SECURITY_DESCR,
}
REFUSALS: Final = {ipc.TreeStatus.NO_SHARE: Win32.NET_NAME_NOT_FOUND}


class FileOf(NamedTuple):
    """Which file, and which parts of its descriptor."""

    share: str
    path: str  # as the client spells it
    information: int  # SECURITY_INFORMATION, [MS-DTYP] 2.4.7
    security: bytes = b""  # self-relative; b"": tell it


def ask(state: State, questions: Questions, caller: Caller, file: FileOf) -> bytes:
    """The descriptor, or b"" after it was set. Raises RpcError with a Win32 code.

    NET_NAME_NOT_FOUND  there is no such share for the caller
    ACCESS_DENIED       the share or the file is not for the caller
    NO_LOGON_SERVERS    ksmbd does not answer
    (others)            CODES
    """
    flags = ipc.USER_OK | (ipc.USER_GUEST if caller.is_guest or caller.is_anonymous else 0)
    request = TreeConnectRequest(
        handle=0,
        account_flags=flags,
        flags=ipc.PEER_SMB2,
        session_id=0,
        connect_id=0,
        account=caller.account,
        share=file.share,
        peer=caller.peer,
    )
    try:
        found = login.decision(state, request)
    except Refused as refused:
        code = REFUSALS.get(refused.status, Win32.ACCESS_DENIED)
        raise RpcError(code, f"{file.share}: {refused}") from None
    identity = found.member.identity if found.member.replaced else None
    answer = questions.file_security(
        FileSecurityRequest(
            handle=0,
            pipe=caller.pipe,
            information=file.information,
            connection_flags=found.flags,
            uid=identity.uid if identity else ipc.NO_ID,
            gid=identity.gid if identity else ipc.NO_ID,
            share=found.share.name,
            variant=found.variant,
            path=file.path.replace("\\", "/").strip("/"),
            security=file.security,
            groups=identity.groups if identity else (),
        )
    )
    if answer is None:
        raise RpcError(Win32.NO_LOGON_SERVERS, "ksmbd does not answer")
    status, security = answer
    if status != NtStatus.SUCCESS:
        code = CODES.get(status, Win32.ACCESS_DENIED)
        raise RpcError(code, f"{file.share}: {NtStatus(status).name}")
    return security
