"""An in-memory mountd with the face of ``ksmbd.ipc.client.Mountd``: accounts, shares, pipes.

Every pipe echoes what is written to it.  Set ``away`` and every request is answered as the real
client answers when the link is down.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from ksmbd.crypto.md4 import nt_hash
from ksmbd.ipc.requests import LoginReply, RpcReply, ShareConfig, SpnegoReply, TreeConnectReply
from ksmbd.wire import ipc
from ksmbd.wire.base import Buffer
from ksmbd.wire.ipc import RpcStatus, TreeStatus
from ksmbd.wire.status import NtStatus, NtStatusError

PASSWORD: Final = "Passw0rd"
PIPES: Final = frozenset(("srvsvc", "wkssvc", "lsarpc", "samr"))
DISK: Final = (
    ipc.SHARE_AVAILABLE | ipc.SHARE_BROWSEABLE | ipc.SHARE_WRITEABLE | ipc.SHARE_STORE_DOS_ATTRS
    | ipc.SHARE_OPLOCKS | ipc.SHARE_HIDE_DOT_FILES | ipc.SHARE_CROSSMNT
    | ipc.SHARE_STREAMS | ipc.SHARE_DURABLE_HANDLES | ipc.SHARE_POSIX_LOCKING
    | ipc.SHARE_CHANGE_NOTIFY
)  # fmt: skip
READ_ONLY: Final = DISK & ~ipc.SHARE_WRITEABLE | ipc.SHARE_READONLY


def unprivileged_id() -> int:
    """Whom the tests' users act as: ourselves, or somebody who is not root."""
    return os.geteuid() or 1000


@dataclass
class User:
    """An account; ``status`` and ``delay_s`` as LoginReply has them."""

    name: str
    password: str = PASSWORD
    uid: int = field(default_factory=unprivileged_id)
    gid: int = field(default_factory=unprivileged_id)
    groups: tuple[int, ...] = ()
    status: int = ipc.USER_OK
    delay_s: float = 0.0

    def reply(self) -> LoginReply:
        return LoginReply(
            status=self.status,
            uid=self.uid,
            gid=self.gid,
            groups=self.groups,
            nt_hash=b"" if self.status & ipc.USER_GUEST else nt_hash(self.password),
            account=self.name,
            delay_s=self.delay_s,
        )


def share(name: str, path: str, flags: int = DISK, **changes: object) -> ShareConfig:
    """A share with the defaults of ``ksmbd.conf``."""
    config = ShareConfig(
        name=name,
        flags=flags,
        path=path,
        comment="",
        volume="",
        veto=(),
        hide=(),
        vfs_objects=(),
        guest_account="nobody",
        create_mask=0o744,
        directory_mask=0o755,
        force_create_mode=0,
        force_directory_mode=0,
        force_uid=None,
        force_gid=None,
        force_groups=(),
        max_connections=0,
        time_machine_max_size=0,
    )
    return config._replace(**changes)  # type: ignore[arg-type]


IPC_SHARE: Final = share("IPC$", "", ipc.SHARE_AVAILABLE | ipc.SHARE_PIPE)
GUEST: Final = User("nobody", status=ipc.USER_OK | ipc.USER_GUEST)


class MemoryMountd:
    """Decides at once and remembers what it was told."""

    def __init__(self, users: Iterable[User], shares: Iterable[ShareConfig]) -> None:
        self.users = {user.name: user for user in users}
        self.configs = {config.name.casefold(): config for config in (IPC_SHARE, *shares)}
        self.guest: User | None = None  # who unknown users are, if anybody
        self.anonymous: User | None = replace(GUEST)
        self.decisions: dict[str, TreeConnectReply] = {}  # by share name, instead of our own
        self.away = False
        self.trees: dict[tuple[int, int], str] = {}  # (session, connect id) -> share
        self.connecting: list[tuple[str, int]] = []  # account and flags of each tree connect
        self.logouts: list[tuple[str, int]] = []
        self.pipes: dict[int, bytearray] = {}  # what can be read from each
        self.asked: list[str] = []  # every request, by name

    # -- what ksmbd asks -----------------------------------------------------------------

    def login(self, account: str, peer: str) -> LoginReply:
        self._ask("login")
        user = self.users.get(account.lower()) if account else self.anonymous
        if user is None:
            user = self.guest
        if user is None:
            return LoginReply(ipc.USER_BAD_USER, ipc.NO_ID, ipc.NO_ID, (), b"", account)
        return user.reply()

    def share_config(self, name: str, variant: str = "") -> ShareConfig | None:
        self._ask("share_config")
        return self.configs.get(f"{name}?{variant}".casefold() if variant else name.casefold())

    def tree_connect(
        self,
        *,
        account: str,
        share: str,
        session_id: int,
        connect_id: int,
        peer: str,
        account_flags: int,
        ipv6: bool,
        machine: str = "",
    ) -> TreeConnectReply:
        self._ask("tree_connect")
        self.connecting.append((account, account_flags))
        config = self.configs.get(share.casefold())
        if config is None:
            return TreeConnectReply(TreeStatus.NO_SHARE, 0)
        decision = self.decisions.get(share.casefold())
        if decision is None:
            flags = 0 if config.read_only else ipc.TREE_WRITABLE
            decision = TreeConnectReply(TreeStatus.OK, flags)
        if decision.status == TreeStatus.OK:
            self.trees[session_id, connect_id] = share
        return decision

    def tree_disconnect(self, session_id: int, connect_id: int) -> None:
        self.trees.pop((session_id, connect_id), None)

    def logout(self, account: str, flags: int, peer: str) -> None:
        self.logouts.append((account, flags))

    def rpc_open(
        self, pipe: int, name: str, *, account: str, session_id: int, peer: str, guest: bool = False
    ) -> RpcReply:
        self._ask("rpc_open", NtStatus.PIPE_NOT_AVAILABLE)
        if name.casefold() not in PIPES:
            return RpcReply(RpcStatus.NO_SUCH_PIPE, b"")
        self.pipes[pipe] = bytearray()
        return RpcReply(RpcStatus.OK, b"")

    def rpc(
        self,
        handle: int,
        method_flags: int,
        payload: Buffer,
        max_output: int = ipc.MAX_RPC_PAYLOAD,
    ) -> RpcReply:
        """Every pipe gives back what was written to it."""
        if len(payload) > ipc.MAX_RPC_PAYLOAD:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, f"{len(payload)} bytes for a pipe")
        self._ask("rpc", NtStatus.PIPE_NOT_AVAILABLE)
        unread = self.pipes.get(handle)
        if unread is None:
            return RpcReply(RpcStatus.BAD_FID, b"")
        if method_flags == ipc.RPC_CLOSE:
            del self.pipes[handle]
            return RpcReply(RpcStatus.OK, b"")
        if method_flags == ipc.RPC_PEEK:
            size = len(unread)
            return RpcReply(RpcStatus.OK, struct.pack("<III", size, bool(size), size))
        if method_flags in (ipc.RPC_WRITE, ipc.RPC_IOCTL):
            unread += payload
        if method_flags == ipc.RPC_WRITE:
            return RpcReply(RpcStatus.OK, b"")
        return self._read(unread, max_output)

    def spnego_authen(self, blob: bytes, peer: str) -> SpnegoReply:
        self._ask("spnego_authen")
        refused = LoginReply(ipc.USER_BAD_USER, ipc.NO_ID, ipc.NO_ID, (), b"", "")
        return SpnegoReply(refused, b"", b"", 0)

    # ------------------------------------------------------------------------------------

    @staticmethod
    def _read(unread: bytearray, max_output: int) -> RpcReply:
        if not unread:
            return RpcReply(RpcStatus.NO_DATA, b"")
        data = bytes(unread[:max_output])
        del unread[:max_output]
        return RpcReply(RpcStatus.MORE_DATA if unread else RpcStatus.OK, data)

    def _ask(self, what: str, status: NtStatus = NtStatus.NO_LOGON_SERVERS) -> None:
        self.asked.append(what)
        if self.away:
            raise NtStatusError(status, "mountd is away")
