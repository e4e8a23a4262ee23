"""Messages between ksmbd and mountd: ksmbd's netlink events over a SOCK_SEQPACKET socket.

Event numbers below 64 are those of ksmbd's ``ksmbd_netlink.h``; 64 and above are ours.  Unlike
netlink, ids have 32 bits, no name is cut off, groups travel in the log-in response, and a
request's handle is never the pipe's id.  How a message lies in its frame: ``ipc_frame``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ksmbd.wire.base import Buffer, WireError, u16, u32, u64
from ksmbd.wire.ipc_frame import HEADER, blob, ids, message, secret, text, texts
from ksmbd.wire.ipc_frame import IPC_VERSION as IPC_VERSION
from ksmbd.wire.ipc_frame import MAX_FRAME as MAX_FRAME
from ksmbd.wire.ipc_frame import Event as Event
from ksmbd.wire.ipc_frame import Message as Message

MAX_RPC_PAYLOAD: Final = 64 * 1024
MAX_GROUPS: Final = 32 * 1024  # ids one frame surely holds
NO_ID: Final = 0xFFFFFFFF  # "no uid" or "no gid"; (uid_t)-1 is nobody's id

RUN_DIR: Final = "/run/ksmbd"
SOCKET_NAME: Final = "ipc.sock"  # in the run directory; ksmbd listens, mountd connects
LOCK_NAME: Final = "ksmbd.lock"  # in the run directory; mountd's process id

# StartingUp.flags; the low five are ksmbd's
LEASES: Final = 0x1
ENCRYPTION: Final = 0x2  # every session must be sealed
MULTICHANNEL: Final = 0x4
ENCRYPTION_OFF: Final = 0x8
DURABLE_HANDLES: Final = 0x10
KERBEROS: Final = 0x10000  # mountd answers SPNEGO_AUTHEN_REQUEST
BIND_INTERFACES_ONLY: Final = 0x20000
PERSISTENT_HANDLES: Final = 0x80000  # some share is continuously available
POSIX_EXTENSIONS: Final = 0x100000  # of SMB 3.1.1
COUNT_REQUESTS: Final = 0x200000  # for metrics
AUDIT: Final = 0x400000  # something of some share is recorded
ENCRYPTION_DESIRED: Final = 0x40000  # every session that can be sealed is

# LoginResponse.status, TreeConnectRequest.account_flags, Logout.account_flags
USER_OK: Final = 0x1
USER_BAD_PASSWORD: Final = 0x2
USER_BAD_UID: Final = 0x4  # alone: refuse. With USER_OK: check the password, then it is a guest
USER_BAD_USER: Final = 0x8
USER_GUEST: Final = 0x10  # no password is asked for
USER_DELAY_SESSION: Final = 0x20  # hold back the answer; without USER_OK whatever the password
USER_CLOCK_SKEW: Final = 0x40  # refused because the client's clock, the KDC's or ours is wrong
USER_HOST_DENIED: Final = 0x80  # refused: the server is not for clients from there

# ShareConfigResponse.flags; 0 means that there is no such share. Bits from 24 on are ours
SHARE_AVAILABLE: Final = 0x1
SHARE_BROWSEABLE: Final = 0x2
SHARE_WRITEABLE: Final = 0x4
SHARE_READONLY: Final = 0x8
SHARE_GUEST_OK: Final = 0x10
SHARE_GUEST_ONLY: Final = 0x20
SHARE_STORE_DOS_ATTRS: Final = 0x40
SHARE_OPLOCKS: Final = 0x80
SHARE_PIPE: Final = 0x100
SHARE_HIDE_DOT_FILES: Final = 0x200
SHARE_INHERIT_OWNER: Final = 0x400
SHARE_STREAMS: Final = 0x800
SHARE_FOLLOW_SYMLINKS: Final = 0x1000
SHARE_ACL_XATTR: Final = 0x2000
SHARE_UPDATE: Final = 0x4000  # changed since ksmbd last asked for it
SHARE_CROSSMNT: Final = 0x8000
SHARE_CONTINUOUS_AVAILABILITY: Final = 1 << 16
SHARE_HIDE_UNREADABLE: Final = 1 << 17
SHARE_TIME_MACHINE: Final = 1 << 18
SHARE_WIDE_LINKS: Final = 1 << 19
SHARE_ENCRYPT_DATA: Final = 1 << 20  # sealed or not at all
SHARE_CHANGE_NOTIFY: Final = 1 << 23  # CHANGE_NOTIFY is answered
SHARE_CASE_SENSITIVE: Final = 1 << 24
SHARE_ENCRYPT_DESIRED: Final = 1 << 25  # sealed by the clients that can
SHARE_STREAMS_SAMBA: Final = 1 << 26  # streams lie on disk in Samba's format
SHARE_DURABLE_HANDLES: Final = 1 << 30
SHARE_ACL_ALONE: Final = 1 << 31  # with SHARE_ACL_XATTR: mode and POSIX ACL say nothing
SHARE_POSIX_LOCKING: Final = 1 << 27  # local programs see clients' byte-range locks
SHARE_KERNEL_OPLOCKS: Final = 1 << 29  # behind what clients cache is a lease of the kernel
SHARE_STRICT_LOCKING: Final = 1 << 28  # READ and WRITE heed those of local programs
SHARE_SHORT_NAMES: Final = 1 << 21  # listings tell 8.3 names, too
SHARE_AAPL: Final = 1 << 22  # Apple's extensions are offered

# ShareConfigResponse.snapshot_flags
SNAPSHOT_LOCAL_TIME: Final = 0x1  # the times in the names are the machine's, not UTC
SNAPSHOT_ASCENDING: Final = 0x2  # told oldest first

# ShareConfigResponse.recycle_flags
RECYCLE_KEEP_TREE: Final = 0x1  # the directories of a file are made in the repository, too
RECYCLE_VERSIONS: Final = 0x2  # several files of one name are all kept
RECYCLE_TOUCH: Final = 0x4  # the access time becomes that of the deletion
RECYCLE_TOUCH_MTIME: Final = 0x8  # and the write time with it

# TreeConnectRequest.flags
PEER_IPV6: Final = 0x1
PEER_SMB2: Final = 0x2

# TreeConnectResponse.connection_flags
TREE_GUEST: Final = 0x1
TREE_READ_ONLY: Final = 0x2
TREE_WRITABLE: Final = 0x4
TREE_ADMIN: Final = 0x8
TREE_UPDATE: Final = 0x10  # ask for the share's configuration again

# RpcRequest.flags
RPC_RETURN: Final = 0x1
RPC_SRVSVC: Final = 0x2
RPC_WKSSVC: Final = 0x4
RPC_IOCTL: Final = 0x8 | RPC_RETURN
RPC_OPEN: Final = 0x10
RPC_WRITE: Final = 0x20
RPC_READ: Final = 0x40 | RPC_RETURN
RPC_CLOSE: Final = 0x80
RPC_RAP: Final = 0x100 | RPC_RETURN
RPC_RESTRICTED_CONTEXT: Final = 0x200  # the session is a guest's
RPC_SAMR: Final = 0x400
RPC_LSARPC: Final = 0x800
RPC_PEEK: Final = 0x10000 | RPC_RETURN  # three u32: bytes unread, messages, bytes of the first


class TreeStatus(IntEnum):
    """TreeConnectResponse.status."""

    OK = 0
    NOMEM = 1
    NO_SHARE = 2
    NO_USER = 3
    INVALID_USER = 4
    HOST_DENIED = 5
    CONN_EXIST = 6
    TOO_MANY_CONNS = 7
    TOO_MANY_SESSIONS = 8
    ERROR = 9


class RpcStatus(IntEnum):
    """RpcResponse.flags."""

    OK = 0
    BAD_FUNC = 1
    NO_SUCH_PIPE = 2
    ACCESS_DENIED = 5
    BAD_FID = 6
    NOMEM = 8
    BAD_DATA = 0xD
    NOT_IMPLEMENTED = 0x40
    INVALID_PARAMETER = 0x57
    INVALID_LEVEL = 0x7C
    PIPE_BUSY = 0xE7
    NO_DATA = 0xE8
    NOT_CONNECTED = 0xE9
    MORE_DATA = 0xEA
    SOME_NOT_MAPPED = 0x107


@message(Event.HEARTBEAT)
class Heartbeat(Message):
    """Are you there? Answered by the same event with the same handle."""

    handle: u32


@message(Event.STARTING_UP)
class StartingUp(Message):
    """mountd's first message: every global parameter that ksmbd needs."""

    flags: u32  # LEASES ...
    signing: u16  # policy.Signing
    tcp_port: u16  # 0: any free one
    ipc_timeout: u32  # seconds without a sign of life after which sessions are closed; 0: never
    deadtime: u32  # minutes; a connection idle for longer and without opens is closed; 0: never
    file_max: u32  # opens, all clients together
    max_read: u32  # bytes, as the next two
    max_write: u32
    max_trans: u32
    max_credits: u32
    max_io_size: u32  # bytes, SMB Direct
    max_connections: u32
    max_ip_connections: u32
    max_sessions: u32
    max_user_sessions: u32
    fake_fscaps: u32  # or-ed into FileFsAttributeInformation
    sub_auth_1: u32  # the machine's domain SID is S-1-5-21-<1>-<2>-<3>
    sub_auth_2: u32
    sub_auth_3: u32
    map_to_guest: u32  # policy.MapToGuest
    restrict_anonymous: u32  # 0, 1 or 2
    slow_request_ms: u32  # requests that take as long are logged; 0: none
    audit_size: u32  # KiB of an audit log before another is begun; 0: any
    audit_count: u32  # of earlier ones that are kept
    audit_success: u32  # auditing.Operation, of the whole server
    audit_failure: u32
    min_protocol: text  # "SMB2_02" ... "SMB3_11"
    max_protocol: text
    netbios_name: text
    workgroup: text
    server_string: text
    guest_account: text
    default_unix_user: text  # whom accounts without a system user act as; "": nobody
    aapl_model: text
    metrics_address: text  # ADDRESS:PORT or a path; "": nowhere
    metrics_file: text  # "": none
    audit_log: text  # a path; "": the server's log
    interfaces: texts  # names, addresses or networks; none: all
    encryption_algorithms: texts  # "AES-128-GCM" ..., in order of preference
    signing_algorithms: texts  # "AES-128-GMAC" ...


@message(Event.SHUTTING_DOWN)
class ShuttingDown(Message):
    """mountd ends in good order and ksmbd is to end with it."""

    reason: text = ""


@message(Event.STARTED)
class Started(Message):
    """ksmbd's answer to STARTING_UP: *status* 0 and the ports, or an errno and why not."""

    status: u32
    port: u32 = 0
    why: text = ""


@message(Event.LOGIN_REQUEST)
class LoginRequest(Message):
    """Which account is this? The empty name is the anonymous one."""

    handle: u32
    account: text
    peer: text = ""  # the client's address


@message(Event.LOGIN_RESPONSE)
class LoginResponse(Message):
    """The account, or why not."""

    handle: u32
    status: u32  # USER_OK ...
    uid: u32 = NO_ID
    gid: u32 = NO_ID
    delay_ms: u32 = 0  # how long to hold back the answer to a wrong password
    account: text = ""  # as in the database; the guest account's name for a guest
    hash: secret = b""  # NT hash, 16 bytes; none for a guest
    groups: ids = ()  # supplementary, gid included


@message(Event.SHARE_CONFIG_REQUEST)
class ShareConfigRequest(Message):
    """What is this share?"""

    handle: u32
    name: text
    variant: text = ""  # as TreeConnectResponse said


@message(Event.SHARE_CONFIG_RESPONSE)
class ShareConfigResponse(Message):
    """A share's parameters; flags 0 if there is none of that name."""

    handle: u32
    flags: u32 = 0
    create_mask: u32 = 0
    directory_mask: u32 = 0
    force_create_mode: u32 = 0
    force_directory_mode: u32 = 0
    force_uid: u32 = NO_ID
    force_gid: u32 = NO_ID
    max_connections: u32 = 0  # 0: no limit
    time_machine_max_size: u64 = 0  # bytes; 0: no limit
    snapshot_flags: u32 = 0  # SNAPSHOT_LOCAL_TIME ...
    recycle_flags: u32 = 0  # RECYCLE_KEEP_TREE ...
    recycle_directory_mode: u32 = 0o700
    recycle_subdir_mode: u32 = 0o700
    recycle_minsize: u64 = 0  # bytes; smaller files are not kept
    recycle_maxsize: u64 = 0  # bytes, nor are bigger ones; 0: no limit
    audit_success: u32 = 0  # auditing.Operation
    audit_failure: u32 = 0
    name: text = ""  # as spelled in the configuration
    comment: text = ""
    path: text = ""  # `root directory` in front; empty for a pipe share
    volume: text = ""  # label; "": the share's name
    guest_account: text = ""
    veto: texts = ()  # patterns
    hide: texts = ()  # patterns of names that are shown as hidden
    vfs_objects: texts = ()
    snapshot_dir: text = ""  # where previous versions lie; "": there are none
    snapshot_base: text = ""  # what each is a copy of; "": the mount point
    snapshot_format: text = ""  # of their names, as strftime(3) has it
    recycle_repository: text = ""  # where deleted files are kept; "": nowhere
    recycle_exclude: texts = ()  # patterns of names
    recycle_exclude_dir: texts = ()  # patterns of names of directories
    recycle_noversions: texts = ()  # patterns of names
    audit_prefix: text = ""
    force_groups: ids = ()  # supplementary groups of `force user`
    security: blob = b""  # the share's own descriptor, self-relative; b"": everyone may do all


@message(Event.TREE_CONNECT_REQUEST)
class TreeConnectRequest(Message):
    """May this account connect to this share?"""

    handle: u32
    account_flags: u32  # what LoginResponse.status said
    flags: u32  # PEER_IPV6, PEER_SMB2
    session_id: u64
    connect_id: u64
    account: text
    share: text
    peer: text  # the client's address
    machine: text = ""  # what the client calls itself; "": it did not say


@message(Event.TREE_CONNECT_RESPONSE)
class TreeConnectResponse(Message):
    """Yes, with which rights; or why not."""

    handle: u32
    status: u32  # TreeStatus
    connection_flags: u32 = 0  # TREE_GUEST ...
    uid: u32 = NO_ID  # whom to act as instead of the session's user; NO_ID: the session's user
    gid: u32 = NO_ID
    variant: text = ""  # which of the shares of that name; "": there is one for all clients
    groups: ids = ()


@message(Event.TREE_DISCONNECT)
class TreeDisconnect(Message):
    """The tree connect is gone; no answer."""

    session_id: u64
    connect_id: u64


@message(Event.TREE_RESTORE)
class TreeRestore(Message):
    """A tree connect that an earlier mountd granted, told to a new one; no answer."""

    session_id: u64
    connect_id: u64
    account: text
    share: text


@message(Event.LOGOUT)
class Logout(Message):
    """A session ended, or, with USER_BAD_PASSWORD, a log-on failed; no answer."""

    account_flags: u32
    account: text
    peer: text = ""  # the client's address


@message(Event.RPC_REQUEST)
class RpcRequest(Message):
    """One operation on a named pipe; *name*, *account* and *peer* come with RPC_OPEN only."""

    handle: u32
    pipe: u32
    flags: u32  # RPC_OPEN ...
    max_output: u32 = MAX_RPC_PAYLOAD  # bytes the client takes
    session_id: u64 = 0
    name: text = ""
    account: text = ""
    peer: text = ""
    payload: blob = b""


@message(Event.RPC_RESPONSE)
class RpcResponse(Message):
    """What the operation gave."""

    handle: u32
    flags: u32  # RpcStatus, or a Win32 code as the operation returned it
    payload: blob = b""


@message(Event.SPNEGO_AUTHEN_REQUEST)
class SpnegoAuthenRequest(Message):
    """A client's Kerberos token."""

    handle: u32
    token: blob
    peer: text = ""  # the client's address


@message(Event.SPNEGO_AUTHEN_RESPONSE)
class SpnegoAuthenResponse(Message):
    """Who the ticket names, the key, and the token to send back."""

    handle: u32
    status: u32  # as LoginResponse
    uid: u32 = NO_ID
    gid: u32 = NO_ID
    expiry: u64 = 0  # seconds since 1970 at which the ticket ends; 0: unknown
    account: text = ""
    session_key: secret = b""
    spnego_blob: blob = b""
    groups: ids = ()


@message(Event.SHARE_LIST_REQUEST)
class ShareListRequest(Message):
    """Which shares are there, from the *start*-th on?"""

    handle: u32
    start: u32 = 0


@message(Event.SHARE_LIST_RESPONSE)
class ShareListResponse(Message):
    """As many shares as one frame holds; the three lists have one entry a share."""

    handle: u32
    total: u32
    names: texts = ()
    comments: texts = ()
    flags: ids = ()


@message(Event.STATE_CHANGED)
class StateChanged(Message):
    """mountd read its files again; no answer."""

    generation: u32
    changed: texts = ()  # shares that are new or have other parameters
    removed: texts = ()


@message(Event.OPENS_REQUEST)
class OpensRequest(Message):
    """mountd asks ksmbd: which files are open, from the *start*-th on?"""

    handle: u32
    start: u32 = 0


@message(Event.OPENS_RESPONSE)
class OpensResponse(Message):
    """As many opens as one frame holds; the lists have one entry an open."""

    handle: u32
    total: u32
    numbers: ids = ()
    access: ids = ()  # granted, [MS-SMB2] 2.2.13.1
    locks: ids = ()  # how many byte-range locks it has
    sessions: ids = ()  # whose it is, as TreeConnectRequest has it, the low 32 bits
    trees: ids = ()  # and by which tree connect
    paths: texts = ()  # on the disk
    users: texts = ()


@message(Event.END_REQUEST)
class EndRequest(Message):
    """mountd asks ksmbd to end an open, or else the sessions of a client, a user, or both."""

    handle: u32
    number: u32 = 0  # of the open
    client: text = ""  # address
    user: text = ""


@message(Event.END_RESPONSE)
class EndResponse(Message):
    """How many opens or sessions there were."""

    handle: u32
    count: u32 = 0


@message(Event.FILE_SECURITY_REQUEST)
class FileSecurityRequest(Message):
    """mountd asks ksmbd for the descriptor of a file, or to set it, as the user of a pipe."""

    handle: u32
    pipe: u32  # through which the user asks
    information: u32  # SECURITY_INFORMATION, [MS-DTYP] 2.4.7
    connection_flags: u32  # TREE_WRITABLE ...: how mountd would let the user connect
    uid: u32 = NO_ID  # as in TreeConnectResponse
    gid: u32 = NO_ID
    share: text = ""
    variant: text = ""
    path: text = ""  # share-relative, '/' between components
    security: blob = b""  # self-relative; b"": tell it
    groups: ids = ()


@message(Event.FILE_SECURITY_RESPONSE)
class FileSecurityResponse(Message):
    """The parts of the descriptor that were asked for, or why not."""

    handle: u32
    status: u32  # NTSTATUS
    security: blob = b""


@message(Event.SESSIONS_REQUEST)
class SessionsRequest(Message):
    """mountd asks ksmbd: how long are sessions idle, from the *start*-th on?"""

    handle: u32
    start: u32 = 0


@message(Event.SESSIONS_RESPONSE)
class SessionsResponse(Message):
    """As many sessions as one frame holds; the lists have one entry a session."""

    handle: u32
    total: u32
    sessions: ids = ()  # the low 32 bits of their ids
    idle: ids = ()  # seconds since something came from them


MESSAGES: Final[dict[int, type[Message]]] = {
    kind.EVENT: kind
    for kind in (
        Heartbeat,
        StartingUp,
        ShuttingDown,
        Started,
        LoginRequest,
        LoginResponse,
        ShareConfigRequest,
        ShareConfigResponse,
        TreeConnectRequest,
        TreeConnectResponse,
        TreeDisconnect,
        TreeRestore,
        Logout,
        RpcRequest,
        RpcResponse,
        SpnegoAuthenRequest,
        SpnegoAuthenResponse,
        ShareListRequest,
        ShareListResponse,
        StateChanged,
        OpensRequest,
        OpensResponse,
        EndRequest,
        EndResponse,
        FileSecurityRequest,
        FileSecurityResponse,
        SessionsRequest,
        SessionsResponse,
    )
}


def parse(frame: Buffer) -> Message:
    """The message in one datagram.

    Raises WireError for another version, an unknown event, or a length that is not so.
    """
    if len(frame) < HEADER.size:
        raise WireError(f"frame of {len(frame)} bytes")
    event, length, version = HEADER.unpack_from(frame)
    if version != IPC_VERSION:
        raise WireError(f"IPC version {version}, not {IPC_VERSION}")
    if length != len(frame) - HEADER.size:
        raise WireError(f"length {length} in a frame of {len(frame)} bytes")
    kind = MESSAGES.get(event)
    if kind is None:
        raise WireError(f"unknown event {event}")
    return kind.unpack(memoryview(frame)[HEADER.size :])
