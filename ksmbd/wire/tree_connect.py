"""SMB2 TREE_CONNECT and TREE_DISCONNECT, [MS-SMB2] 2.2.9 to 2.2.12."""

from __future__ import annotations

from typing import Final

from ksmbd.wire.base import Wire, u8, u16, u32, u64, wire

# Flags, dialect 3.1.1
CLUSTER_RECONNECT: Final = 0x0001
REDIRECT_TO_OWNER: Final = 0x0002
EXTENSION_PRESENT: Final = 0x0004

# ShareType
SHARE_DISK: Final = 1
SHARE_PIPE: Final = 2
SHARE_PRINT: Final = 3

# ShareFlags
SHAREFLAG_MANUAL_CACHING: Final = 0x00000000
SHAREFLAG_DFS: Final = 0x00000001
SHAREFLAG_DFS_ROOT: Final = 0x00000002
SHAREFLAG_AUTO_CACHING: Final = 0x00000010
SHAREFLAG_VDO_CACHING: Final = 0x00000020
SHAREFLAG_NO_CACHING: Final = 0x00000030
SHAREFLAG_RESTRICT_EXCLUSIVE_OPENS: Final = 0x00000100
SHAREFLAG_FORCE_SHARED_DELETE: Final = 0x00000200
SHAREFLAG_ALLOW_NAMESPACE_CACHING: Final = 0x00000400
SHAREFLAG_ACCESS_BASED_DIRECTORY_ENUM: Final = 0x00000800
SHAREFLAG_FORCE_LEVELII_OPLOCK: Final = 0x00001000
SHAREFLAG_ENABLE_HASH_V1: Final = 0x00002000
SHAREFLAG_ENABLE_HASH_V2: Final = 0x00004000
SHAREFLAG_ENCRYPT_DATA: Final = 0x00008000
SHAREFLAG_IDENTITY_REMOTING: Final = 0x00040000
SHAREFLAG_COMPRESS_DATA: Final = 0x00100000
SHAREFLAG_ISOLATED_TRANSPORT: Final = 0x00200000

# Capabilities
SHARE_CAP_DFS: Final = 0x00000008
SHARE_CAP_CONTINUOUS_AVAILABILITY: Final = 0x00000010
SHARE_CAP_SCALEOUT: Final = 0x00000020
SHARE_CAP_CLUSTER: Final = 0x00000040
SHARE_CAP_ASYMMETRIC: Final = 0x00000080
SHARE_CAP_REDIRECT_TO_OWNER: Final = 0x00000100


@wire(structure_size=9)
class TreeConnectRequest(Wire):
    """SMB2 TREE_CONNECT Request, [MS-SMB2] 2.2.9; the path follows."""

    flags: u16 = 0
    path_offset: u16  # bytes, from the start of the SMB2 header
    path_length: u16


@wire()
class TreeConnectExtension(Wire):
    """SMB2 TREE_CONNECT Request Extension, [MS-SMB2] 2.2.9.1; after the request's fixed part."""

    tree_connect_context_offset: u32  # bytes, from the start of this extension
    tree_connect_context_count: u16
    reserved1: u16 = 0
    reserved2: u64 = 0


@wire(structure_size=16)
class TreeConnectResponse(Wire):
    """SMB2 TREE_CONNECT Response, [MS-SMB2] 2.2.10."""

    share_type: u8
    reserved: u8 = 0
    share_flags: u32 = 0
    capabilities: u32 = 0
    maximal_access: u32


@wire(structure_size=4)
class TreeDisconnectRequest(Wire):
    """SMB2 TREE_DISCONNECT Request, [MS-SMB2] 2.2.11."""

    reserved: u16 = 0


@wire(structure_size=4)
class TreeDisconnectResponse(Wire):
    """SMB2 TREE_DISCONNECT Response, [MS-SMB2] 2.2.12."""

    reserved: u16 = 0
