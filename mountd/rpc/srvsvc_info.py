"""Share and server structures of srvsvc by level, [MS-SRVS] 2.2.4."""

from __future__ import annotations

from typing import Final

from ksmbd.wire.access import FILE_ALL_ACCESS
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    DACL_PRESENT,
    SELF_RELATIVE,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from mountd.rpc.interface import Context, Share
from mountd.rpc.ndr import Fields

PLATFORM_NT: Final = 500  # [MS-SRVS] 2.2.2.6
SHI1005_ACCESS_BASED_DIRECTORY_ENUM: Final = 0x0800  # [MS-SRVS] 2.2.4.29
UNLIMITED: Final = 0xFFFFFFFF  # SHI_USES_UNLIMITED
EVERYONE: Final = Sid(1, 0)
EVERYONES: Final = SecurityDescriptor(  # of a share that nobody has set one for
    DACL_PRESENT | SELF_RELATIVE,
    dacl=Acl((Ace(ACCESS_ALLOWED, 0, FILE_ALL_ACCESS, EVERYONE),)),
).pack()

_SHARE_2: Final[Fields] = (
    ("name", "unique_wstring"),
    ("type", "u32"),
    ("comment", "unique_wstring"),
    ("permissions", "u32"),
    ("max_uses", "u32"),
    ("current_uses", "u32"),
    ("path", "unique_wstring"),
    ("password", "null"),
)
_DESCRIPTOR: Final[Fields] = (("descriptor_size", "u32"), ("descriptor", "octets"))

SHARE_ENUM_LEVELS: Final[dict[int, Fields]] = {
    0: (("name", "unique_wstring"),),
    1: _SHARE_2[:3],
    2: _SHARE_2,
    501: (*_SHARE_2[:3], ("flags", "u32")),
    502: _SHARE_2 + _DESCRIPTOR,
    503: (*_SHARE_2, ("server", "unique_wstring"), *_DESCRIPTOR),
}
SHARE_INFO: Final[dict[int, Fields]] = SHARE_ENUM_LEVELS | {
    1004: (("comment", "unique_wstring"),),
    1005: (("flags", "u32"),),
    1006: (("max_uses", "u32"),),
    1501: _DESCRIPTOR,
}
# a level of the union that nobody tells: flags and another name of the directory
OTHER_SHARE_LEVELS: Final = frozenset({1007})
ADMIN_SHARE_LEVELS: Final = frozenset({2, 502, 503, 1501})

_SERVER_101: Final[Fields] = (
    ("platform", "u32"),
    ("name", "unique_wstring"),
    ("major", "u32"),
    ("minor", "u32"),
    ("type", "u32"),
    ("comment", "unique_wstring"),
)
SERVER_INFO: Final[dict[int, Fields]] = {
    100: _SERVER_101[:2],
    101: _SERVER_101,
    102: (
        *_SERVER_101,
        ("users", "u32"),
        ("disconnect", "u32"),
        ("hidden", "u32"),
        ("announce", "u32"),
        ("announce_delta", "u32"),
        ("licenses", "u32"),
        ("user_path", "unique_wstring"),
    ),
}
# levels of the union, [MS-SRVS] 2.2.3.7, that the server does not tell
OTHER_SERVER_LEVELS: Final = frozenset(
    {103, 502, 503, 599, 1005, 1107, 1010, 1016, 1017, 1018, *range(1501, 1603)}
)
ADMIN_SERVER_LEVELS: Final = frozenset({102})


class ShareRow:
    """A share with the fields' names and meanings of SHARE_INFO_*, [MS-SRVS] 2.2.4.22 on."""

    permissions = 0  # of share-level security, which is gone
    password = None
    server = "*"  # no server name scoping

    def __init__(self, share: Share) -> None:
        self.name = share.name
        self.type = share.type
        self.comment = share.comment
        # Manual caching, no DFS: what TREE_CONNECT says, too
        self.flags = SHI1005_ACCESS_BASED_DIRECTORY_ENUM if share.lists_by_access else 0
        self.max_uses = share.max_users if 0 < share.max_users < UNLIMITED else UNLIMITED
        self.current_uses = max(share.current_users, 0)
        self.descriptor = share.security or EVERYONES
        self.descriptor_size = len(self.descriptor)
        # Clients expect a drive: what Samba shows, too
        self.path = "C:" + share.path.replace("/", "\\") if share.path else ""


class ServerRow:
    """The server as SERVER_INFO_*, [MS-SRVS] 2.2.4.40 on."""

    platform = PLATFORM_NT
    users = UNLIMITED
    disconnect = 15  # minutes, the Windows default; we disconnect by `deadtime`
    hidden = 0
    announce = 240  # seconds
    announce_delta = 3000  # milliseconds
    licenses = 0
    user_path = "C:\\"

    def __init__(self, context: Context) -> None:
        self.name = context.server_name
        self.major, self.minor = context.version
        self.type = context.server_type
        self.comment = context.server_string
