"""Codes an RPC call ends with: Win32 and NTSTATUS inside a reply, fault statuses instead of one.

[MS-ERREF] 2.2 and 2.3, [C706] appendix E, [MS-RPCE] 3.1.1.5.5.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Win32(IntEnum):
    """Win32 and NERR codes, [MS-ERREF] 2.2."""

    SUCCESS = 0
    INVALID_FUNCTION = 1
    FILE_NOT_FOUND = 2
    PATH_NOT_FOUND = 3
    ACCESS_DENIED = 5
    INVALID_HANDLE = 6
    NOT_ENOUGH_MEMORY = 8
    NOT_SUPPORTED = 50
    INVALID_PARAMETER = 87
    INVALID_NAME = 123
    INVALID_LEVEL = 124
    BUSY = 170
    PIPE_BUSY = 231
    NO_DATA = 232  # STATUS_PIPE_EMPTY
    PIPE_NOT_CONNECTED = 233
    MORE_DATA = 234
    NO_MORE_ITEMS = 259
    NO_LOGON_SERVERS = 1311
    NO_SUCH_LOGON_SESSION = 1312
    INVALID_OWNER = 1307
    PRIVILEGE_NOT_HELD = 1314
    INVALID_SECURITY_DESCR = 1338
    BAD_CONFIGURATION = 1610
    UNKNOWN_AUTHN_SERVICE = 1747
    UNKNOWN_DEV_DIR = 2116  # NERR_UnknownDevDir
    DUPLICATE_SHARE = 2118  # NERR_DuplicateShare
    BUF_TOO_SMALL = 2123  # NERR_BufTooSmall
    USER_NOT_FOUND = 2221  # NERR_UserNotFound
    USE_NOT_FOUND = 2250  # NERR_UseNotFound
    NET_NAME_NOT_FOUND = 2310  # NERR_NetNameNotFound
    DEVICE_NOT_SHARED = 2311  # NERR_DeviceNotShared
    CLIENT_NAME_NOT_FOUND = 2312  # NERR_ClientNameNotFound
    FILE_ID_NOT_FOUND = 2314  # NERR_FileIdNotFound
    REMOTE_DISABLED = 0x8001011C  # RPC_E_REMOTE_DISABLED: what Windows says to any other machine


NO_MEMORY: Final = 0x1C00001B  # nca_s_fault_remote_no_memory
UNSPECIFIED: Final = 0x1C000012  # nca_s_fault_unspec: a bug on our side
CONTEXT_MISMATCH: Final = 0x1C00001A  # nca_s_fault_context_mismatch: no such context handle
OP_RANGE_ERROR: Final = 0x1C010002  # nca_s_op_rng_error
UNKNOWN_INTERFACE: Final = 0x1C010003  # nca_s_unk_if
PROTOCOL_ERROR: Final = 0x1C01000B  # nca_s_proto_error
TOO_BUSY: Final = 0x1C010014  # nca_s_server_too_busy
BAD_STUB_DATA: Final = 0x000006F7  # RPC_X_BAD_STUB_DATA, what Windows and Samba send for bad NDR
ACCESS_DENIED: Final = 0x00000005


class RpcError(Exception):
    """The operation refuses: *code* is the reply's Win32 code or NTSTATUS.

    Out of :class:`mountd.rpc.pipe.Pipes` it is always a Win32 code.
    """

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(f"{code:#x}" + (f": {detail}" if detail else ""))
        self.code = int(code)


class RpcFault(RpcError):
    """The call cannot be answered at all: *code* goes into a fault PDU."""
