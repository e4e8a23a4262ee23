"""The daemon as the RPC interfaces see it (``mountd.rpc.interface.Context``)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from ksmbd.wire.access import FILE_APPEND_DATA, FILE_READ_DATA, FILE_WRITE_DATA
from mountd import file_security, login, variables
from mountd.administration import Administration
from mountd.file_security import FileOf
from mountd.questions import Questions
from mountd.rpc.interface import (
    DISK,
    IPC,
    PERM_CREATE,
    PERM_READ,
    PERM_WRITE,
    SPECIAL,
    SV_TYPE,
    Account,
    Caller,
    ConnectionInfo,
    FileInfo,
    SessionInfo,
    Share,
    ShareChange,
)
from mountd.sessions import Tree
from mountd.shares import Share as Served
from mountd.shares import on_list
from mountd.state import State
from mountd.system import Identity
from mountd.variables import Client

_WORD: Final = 0xFFFFFFFF
NOBODY: Final = Identity(65534, 65534)
VERSION: Final = (6, 1)  # what Samba shows, too: newer clients behave best with it


def permissions(access: int) -> int:
    """PERM_FILE_READ, _WRITE and _CREATE, [MS-SRVS] 2.2.4.6, as far as *access* has them."""
    return (
        PERM_READ * bool(access & FILE_READ_DATA)
        | PERM_WRITE * bool(access & FILE_WRITE_DATA)
        | PERM_CREATE * bool(access & FILE_APPEND_DATA)
    )


class RpcContext:
    """Answers from ``State``, afresh with each call."""

    def __init__(self, state: State, questions: Questions) -> None:
        self._state = state
        self._questions = questions
        self._administration = Administration(state, questions.tell)

    @property
    def server_name(self) -> str:
        return self._state.files.globals.netbios_name

    @property
    def workgroup(self) -> str:
        return self._state.files.globals.workgroup

    @property
    def server_string(self) -> str:
        return self._state.files.globals.server_string

    @property
    def version(self) -> tuple[int, int]:
        return VERSION

    @property
    def server_type(self) -> int:
        return SV_TYPE

    @property
    def sub_authorities(self) -> tuple[int, int, int]:
        return self._state.sub_authorities

    def clock(self) -> float:
        return self._state.clock()

    def uptime(self) -> float:
        return max(self._state.clock() - self._state.started, 0.0)

    def minutes_west(self) -> int:
        return -(time.localtime(self._state.clock()).tm_gmtoff // 60)

    def shares(self, caller: Caller) -> Sequence[Share]:
        return [
            Share(
                name=share.name,
                type=IPC | SPECIAL if share.is_pipe else DISK,
                comment=share.params.comment,
                path=share.path,
                browseable=self._shows(share, caller),
                max_users=share.params.max_connections,
                current_users=self._state.sessions.count(share.name),
                lists_by_access=share.params.hide_unreadable,
                security=share.security,
            )
            for share in self._shares_of(caller)
            if share.params.available
        ]

    def add_share(self, name: str, path: str, change: ShareChange) -> None:
        self._administration.add(name, path, change)

    def change_share(self, name: str, change: ShareChange) -> None:
        self._administration.change(name, change)

    def delete_share(self, name: str) -> None:
        self._administration.delete(name)

    def file_security(
        self, caller: Caller, share: str, path: str, information: int, security: bytes = b""
    ) -> bytes:
        return file_security.ask(
            self._state, self._questions, caller, FileOf(share, path, information, security)
        )

    def _shares_of(self, caller: Caller) -> Iterator[Served]:
        """Shares as the caller would get them; [homes] is the caller's own."""
        account = "" if caller.is_guest or caller.is_anonymous else caller.account
        for share in self._state.files.shares:
            own = share.of_account(account) if share.is_homes else share
            if not own.variables and not own.is_home:
                yield own
            elif account:
                try:
                    values = variables.of_share(
                        own.params, Client(account, caller.peer), self._state
                    )
                except variables.Unsafe:
                    continue
                yield own.of_client(values)

    def _shows(self, share: Served, caller: Caller) -> bool:
        if not share.params.access_based_share_enum or not share.params.browseable:
            return share.params.browseable
        return login.lets_in(self._state, share, caller.account, guest=caller.is_guest)

    def sessions(self) -> Sequence[SessionInfo]:
        first: dict[int, Tree] = {}
        for tree in self._state.sessions.trees():
            known = first.setdefault(tree.session_id, tree)
            if tree.since < known.since:
                first[tree.session_id] = tree
        opens = Counter(open.session for open in self._questions.opens())
        idle = self._questions.idle()
        return [
            SessionInfo(
                tree.peer,
                tree.account,
                opens[tree.session_id & _WORD],
                time_s=self._age(tree),
                idle_s=idle.get(tree.session_id & _WORD, 0),
                guest=tree.guest,
            )
            for tree in first.values()
        ]

    def files(self) -> Sequence[FileInfo]:
        return [
            FileInfo(open.number, open.path, open.user, permissions(open.access), open.locks)
            for open in self._questions.opens()
        ]

    def close_file(self, number: int) -> bool:
        return self._questions.end(number=number) > 0

    def end_sessions(self, client: str, user: str) -> int:
        return self._questions.end(client=client, user=user)

    def connections(self) -> Sequence[ConnectionInfo]:
        opens = Counter((open.session, open.tree) for open in self._questions.opens())
        return [
            ConnectionInfo(
                id=tree.connect_id & _WORD,
                share=tree.share,
                client=tree.peer,
                user=tree.account,
                type=IPC | SPECIAL if tree.share.casefold() == "ipc$" else DISK,
                opens=opens[tree.session_id & _WORD, tree.connect_id & _WORD],
                time_s=self._age(tree),
            )
            for tree in self._state.sessions.trees()
        ]

    def accounts(self) -> Sequence[Account]:
        return [self._account(name) for name in sorted(self._state.files.accounts)]

    def user_id(self, name: str) -> int | None:
        """As the system spells it, else in lower case, as system users are."""
        found = self._state.system.user_id(name)
        return self._state.system.user_id(name.lower()) if found is None else found

    def user_name(self, uid: int) -> str | None:
        return self._state.system.user_name(uid)

    def group_name(self, gid: int) -> str | None:
        return self._state.system.group_name(gid)

    def group_id(self, name: str) -> int | None:
        return self._state.system.group_id(name)

    def caller(self, account: str, peer: str, *, guest: bool) -> Caller:
        """Who opens a pipe; root and the members of the global ``admin users`` administer."""
        identity = self._state.identity(account) or NOBODY
        admin = self._administers(account, identity)
        return Caller(
            account=account,
            domain=self.workgroup,
            uid=identity.uid,
            gid=identity.gid,
            is_guest=guest,
            is_anonymous=not account,
            admin=admin and not guest,
            peer=peer,
            server_name=self.server_name,
        )

    def _account(self, name: str) -> Account:
        identity = self._state.identity(name)
        if identity is None:
            return Account(name, NOBODY.uid, NOBODY.gid, disabled=True)
        admin = self._administers(name, identity)
        return Account(name, identity.uid, identity.gid, identity.full_name, admin=admin)

    def _administers(self, account: str, identity: Identity) -> bool:
        admins = self._state.files.configuration.defaults.admin_users
        return identity.uid == 0 or on_list(account, admins, identity, self._state.system)

    def _age(self, tree: Tree) -> int:
        return max(int(self._state.clock() - tree.since), 0)
