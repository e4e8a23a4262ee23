"""Who may log in, and who may connect to which share."""

from __future__ import annotations

import logging
from typing import NamedTuple

from ksmbd.wire import ipc, marked
from ksmbd.wire.ipc import (
    LoginResponse,
    SpnegoAuthenRequest,
    SpnegoAuthenResponse,
    TreeConnectRequest,
    TreeConnectResponse,
    TreeStatus,
)
from ksmbd.wire.policy import MapToGuest
from mountd import hosts, krb5, users, variables
from mountd.sessions import Limits, Tree
from mountd.shares import Share, forced, on_list
from mountd.state import Files, State
from mountd.system import Identity
from mountd.throttle import MAX_HOLD_S
from mountd.variables import Client

log = logging.getLogger("mountd")


class Refused(Exception):
    """A tree connect is refused with ``status``."""

    def __init__(self, status: TreeStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class Member(NamedTuple):
    """For whom a share is opened."""

    account: str
    identity: Identity | None
    guest: bool
    replaced: bool  # the tree acts as ``identity``, not as the session's user


# -- log-in ------------------------------------------------------------------------------


def login(state: State, handle: int, account: str, peer: str) -> LoginResponse:
    """Who is *account*, who tries from *peer*? ksmbd checks the password against the hash.

    USER_OK                  the account
    USER_OK | USER_GUEST     no such account and `map to guest` allows it, or the anonymous user
    USER_OK | USER_BAD_UID   no system user: a guest once the password is right (`bad uid`)
    USER_BAD_UID             no system user
    USER_BAD_USER            no such account; with USER_DELAY_SESSION: too many wrong passwords,
                             this one is not looked at

    USER_HOST_DENIED         `hosts allow` and `hosts deny` of `[global]` keep the client out

    With ``delay_ms``, which only follows many wrong passwords, the answer to another is held back.
    """
    if not state.admits(peer):
        log.info("%s: log-on refused: hosts allow, hosts deny", marked.Client(peer))
        return LoginResponse(handle=handle, status=ipc.USER_HOST_DENIED, account=account)
    files = state.files
    if not account:
        return guest(state, files, handle)
    name = users.lookup(files.accounts, account)
    guests = files.globals.map_to_guest in (MapToGuest.BAD_USER, MapToGuest.BAD_PASSWORD)
    if name is None and guests:
        return guest(state, files, handle)
    hold = state.throttle.admit(name or account, peer)
    if hold is None:
        status = ipc.USER_BAD_USER | ipc.USER_DELAY_SESSION
        delay = int(MAX_HOLD_S * 1000)
        return LoginResponse(handle=handle, status=status, delay_ms=delay, account=account)
    response = _listed(state, files, handle, name or account)
    response.delay_ms = int(hold * 1000)
    return response


def _listed(state: State, files: Files, handle: int, name: str) -> LoginResponse:
    if name not in files.accounts:
        log.debug("there is no account %r", name)
        return LoginResponse(handle=handle, status=ipc.USER_BAD_USER, account=name)
    identity = state.identity(name)
    if identity is None:
        return _without_identity(state, files, handle, name)
    return LoginResponse(
        handle=handle,
        status=ipc.USER_OK,
        uid=identity.uid,
        gid=identity.gid,
        account=name,
        hash=files.accounts[name],
        groups=identity.groups,
    )


def guest(state: State, files: Files, handle: int) -> LoginResponse:
    """The guest account, USER_BAD_USER if the system does not know it."""
    account = files.globals.guest_account
    identity = state.guest_identity(account)
    if identity is None:
        log.warning("guest account %r has no system user: guest refused", account)
        return LoginResponse(handle=handle, status=ipc.USER_BAD_USER, account=account)
    return LoginResponse(
        handle=handle,
        status=ipc.USER_OK | ipc.USER_GUEST,
        uid=identity.uid,
        gid=identity.gid,
        account=account,
        groups=identity.groups,
    )


def _without_identity(state: State, files: Files, handle: int, name: str) -> LoginResponse:
    identity = None
    if files.globals.map_to_guest == MapToGuest.BAD_UID:
        identity = state.guest_identity(files.globals.guest_account)
    if identity is None:
        log.info("account %r has no system user: refused", marked.Account(name))
        return LoginResponse(handle=handle, status=ipc.USER_BAD_UID, account=name)
    return LoginResponse(
        handle=handle,
        status=ipc.USER_OK | ipc.USER_BAD_UID,
        uid=identity.uid,
        gid=identity.gid,
        account=files.globals.guest_account,
        hash=files.accounts[name],
        groups=identity.groups,
    )


def logout(state: State, account: str, flags: int, peer: str) -> None:
    """A log-on from *peer* failed (USER_BAD_PASSWORD), or a session ended.

    Accounts that do not exist are counted, too: nothing must tell them from those that do.
    """
    if flags & ipc.USER_BAD_PASSWORD:
        state.throttle.failed(users.lookup(state.files.accounts, account) or account, peer)


def kerberos(
    state: State, request: SpnegoAuthenRequest, accept: krb5.Accept = krb5.accept
) -> SpnegoAuthenResponse:
    """Whom does a client's token name?

    USER_OK          the account, see ``_account``, in the database or the system
    USER_BAD_UID     it has no system user
    USER_CLOCK_SKEW  the token is refused because somebody's clock is wrong
    USER_BAD_USER    the token is refused, or Kerberos is off
    USER_HOST_DENIED `hosts allow` and `hosts deny` of `[global]` keep the client out
    """
    params = state.files.globals
    refusal = SpnegoAuthenResponse(handle=request.handle, status=ipc.USER_BAD_USER)
    if not state.admits(request.peer):
        log.info("%s: log-on refused: hosts allow, hosts deny", marked.Client(request.peer))
        refusal.status = ipc.USER_HOST_DENIED
        return refusal
    if not params.kerberos_support:
        log.debug("a Kerberos token came, but kerberos support is off")
        return refusal
    try:
        ticket = accept(request.token, params)
    except krb5.KerberosError as error:
        log.warning("Kerberos: %s", error)
        if error.clocks:
            refusal.status = ipc.USER_CLOCK_SKEW
        return refusal
    account = _account(state.files, ticket)
    identity = state.identity(account)
    stranger = account not in state.files.accounts
    # Nobody becomes root by a principal's name alone: such an account must be listed.
    if identity is None or (stranger and (state.system.user(account) is None or not identity.uid)):
        log.info("Kerberos: %s has no account here", marked.Account(ticket.principal))
        refusal.status = ipc.USER_BAD_UID
        return refusal
    return SpnegoAuthenResponse(
        handle=request.handle,
        status=ipc.USER_OK,
        uid=identity.uid,
        gid=identity.gid,
        expiry=int(state.clock()) + ticket.lifetime_s if ticket.lifetime_s else 0,
        account=account,
        session_key=ticket.session_key,
        spnego_blob=ticket.token,
        groups=identity.groups,
    )


def _account(files: Files, ticket: krb5.Ticket) -> str:
    """The principal without its realm where that is ours; alice@ELSEWHERE is not our alice."""
    name, _, realm = ticket.principal.rpartition("@")
    principal = name if realm == ticket.realm else ticket.principal
    return users.lookup(files.accounts, principal) or principal


# -- tree connect ------------------------------------------------------------------------


class Decision(NamedTuple):
    """How a client may use a share."""

    share: Share
    variant: str  # which of that name; "": there is one for all clients
    member: Member
    flags: int  # TREE_WRITABLE ... of ksmbd.wire.ipc


def tree_connect(state: State, request: TreeConnectRequest) -> TreeConnectResponse:
    """May this session connect to this share? The tree is counted if so.

    TOO_MANY_SESSIONS  `max active sessions`
    INVALID_USER       a wrong password, `invalid users`, or not among `valid users`
    NO_SHARE           there is none of that name, or it is not available
    TOO_MANY_CONNS     the share's `max connections`
    HOST_DENIED        `hosts allow`, `hosts deny`
    ERROR              a guest where none may be, or a forced user that does not exist
    NO_USER            the account is gone
    CONN_EXIST         the session has a tree connect of that id
    """
    try:
        return _tree_connect(state, request)
    except Refused as refused:
        peer, share = marked.Client(request.peer), marked.ShareName(request.share)
        log.info("%s at %s: %r refused: %s", peer, share, marked.Account(request.account), refused)
        return TreeConnectResponse(handle=request.handle, status=refused.status)


def _tree_connect(state: State, request: TreeConnectRequest) -> TreeConnectResponse:
    files = state.files
    limit = files.globals.max_active_sessions
    if state.sessions.session_room(request.session_id, limit):
        raise Refused(TreeStatus.TOO_MANY_SESSIONS, "max active sessions")
    share, variant, member, flags = decision(state, request)
    tree = Tree(
        request.session_id,
        request.connect_id,
        member.account,
        share.name,
        request.peer,
        member.guest,
        state.clock(),
    )
    if status := state.sessions.add(tree, Limits(limit, share.params.max_connections)):
        raise Refused(status, "no room, or the tree connect exists")
    if not member.guest:
        state.throttle.succeeded(member.account, request.peer)
    identity = member.identity if member.replaced else None
    return TreeConnectResponse(
        handle=request.handle,
        status=TreeStatus.OK,
        connection_flags=flags,
        uid=identity.uid if identity else ipc.NO_ID,
        gid=identity.gid if identity else ipc.NO_ID,
        variant=variant,
        groups=identity.groups if identity else (),
    )


def decision(state: State, request: TreeConnectRequest) -> Decision:
    """Which share is meant, and as whom and with which rights the client may use it.

    Raises Refused with the statuses of :func:`tree_connect` that are no matter of number.
    """
    files = state.files
    if request.account_flags & ipc.USER_BAD_PASSWORD and not files.globals.map_to_guest:
        raise Refused(TreeStatus.INVALID_USER, "wrong password")
    share = _share(state, files, request)
    member = _member(state, files, share, request.account, request.account_flags)
    share, variant = _of_client(state, share, member, request)
    if problem := forced(share.params, state.system)[1]:
        raise Refused(TreeStatus.ERROR, problem)
    return Decision(share, variant, member, _rights(state, share, member))


def _share(state: State, files: Files, request: TreeConnectRequest) -> Share:
    """The share, if it has room and the peer may reach it."""
    is_guest = bool(request.account_flags & ipc.USER_GUEST) or _mapped(request.account_flags)
    share = files.shares.of_account(request.share, "" if is_guest else request.account)
    if share is None or not share.params.available:
        raise Refused(TreeStatus.NO_SHARE, "there is no such share")
    if state.sessions.share_room(share.name, share.params.max_connections):
        raise Refused(TreeStatus.TOO_MANY_CONNS, "max connections")
    if not hosts.allowed(
        request.peer, share.params.hosts_allow, share.params.hosts_deny, state.host_names
    ):
        raise Refused(TreeStatus.HOST_DENIED, "hosts allow, hosts deny")
    return share


def _of_client(
    state: State, share: Share, member: Member, request: TreeConnectRequest
) -> tuple[Share, str]:
    """The share with the client's variables in it, and what tells it apart from other clients'."""
    if not share.variables and not share.is_home:
        return share, ""
    client = Client(request.account, request.peer, request.machine, member.account)
    try:
        values = variables.of_share(share.params, client, state)
        if share.is_home:
            variables.check_component(share.name, "the share's name")
    except variables.Unsafe as unsafe:
        raise Refused(TreeStatus.NO_SHARE, str(unsafe)) from None
    if share.is_home:
        values[variables.SHARE] = share.name
    return share.of_client(values), variables.pack(values)


def lets_in(state: State, share: Share, account: str, *, guest: bool) -> bool:
    """Whether the share's lists of users let that account, or a guest, connect to it."""
    flags = ipc.USER_GUEST if guest else ipc.USER_OK
    try:
        _rights(state, share, _member(state, state.files, share, account, flags))
    except Refused:
        return False
    return True


def _member(state: State, files: Files, share: Share, name: str, flags: int) -> Member:
    """Whom the share sees: the account of that name, or the guest in its place."""
    is_guest = bool(flags & ipc.USER_GUEST) or _mapped(flags)
    if is_guest and not share.params.guest_ok:
        why = "restrict anonymous" if share.is_pipe else "no guest ok"
        raise Refused(TreeStatus.ERROR, why)
    if is_guest or share.params.guest_only:
        own = share.params.guest_account
        account = own or files.globals.guest_account
        identity = state.guest_identity(account)
        if identity is None:
            raise Refused(TreeStatus.NO_USER, f"guest account {account!r}")
        return Member(account, identity, True, bool(own) or not is_guest)
    name = users.lookup(files.accounts, name) or name
    identity = state.identity(name)
    if name not in files.accounts and state.system.user(name) is None:
        raise Refused(TreeStatus.NO_USER, "there is no such account")
    return Member(name, identity, False, False)


def _mapped(account_flags: int) -> bool:
    """A guest by `map to guest = bad uid`, or by `bad password`."""
    return bool(account_flags & (ipc.USER_BAD_UID | ipc.USER_BAD_PASSWORD))


def _rights(state: State, share: Share, member: Member) -> int:
    """The connection flags; refuses who is not to be let in."""
    params = share.params

    def listed(items: tuple[str, ...]) -> bool:
        return on_list(member.account, items, member.identity, state.system)

    flags = ipc.TREE_READ_ONLY if params.read_only else ipc.TREE_WRITABLE
    if listed(state.files.configuration.defaults.admin_users):  # a share's own gives no rights
        flags |= ipc.TREE_ADMIN
    if listed(params.invalid_users):
        raise Refused(TreeStatus.INVALID_USER, "invalid users")
    if listed(params.read_list):
        flags = flags & ~ipc.TREE_WRITABLE | ipc.TREE_READ_ONLY
    if listed(params.write_list):
        flags = flags & ~ipc.TREE_READ_ONLY | ipc.TREE_WRITABLE
    if params.valid_users and not listed(params.valid_users):
        raise Refused(TreeStatus.INVALID_USER, "not among the valid users")
    if member.guest:
        flags |= ipc.TREE_GUEST
    return flags | (ipc.TREE_UPDATE if share.updated else 0)


def restore(state: State, request: ipc.TreeRestore) -> None:
    """Count a tree connect that an earlier mountd granted, whatever the limits are now."""
    tree = Tree(
        request.session_id,
        request.connect_id,
        request.account,
        request.share,
        "",
        False,
        state.clock(),
    )
    state.sessions.add(tree, Limits(0, 0))
