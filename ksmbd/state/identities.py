"""Whom a tree connect acts as: the session's user, ``force user``, or a guest of the share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ksmbd.ipc.requests import LoginReply, TreeConnectReply
from ksmbd.vfs.access import Token, maximum, token
from ksmbd.vfs.credentials import Credentials
from ksmbd.wire.access import FILE_ALL_ACCESS

if TYPE_CHECKING:
    from ksmbd.state.server import Server
    from ksmbd.state.session import Session
    from ksmbd.state.share import Share


def credentials_of(login: LoginReply) -> Credentials:
    """The system identity that mountd gave an account."""
    return Credentials(login.uid, login.gid, login.groups)


def credentials_for(
    session: Session, share: Share, decision: TreeConnectReply
) -> Credentials | None:
    """Whom to act as on a share; None (the process itself) only where the session has nobody."""
    acting = session.credentials
    if decision.uid is not None and decision.gid is not None:
        acting = Credentials(decision.uid, decision.gid, decision.groups)
    if share.force_uid is not None:
        gid = share.force_gid if share.force_gid is not None else acting.gid if acting else 0
        return Credentials(share.force_uid, gid, share.force_groups)
    if share.force_gid is not None and acting is not None:
        return acting._replace(gid=share.force_gid)
    return acting


def share_access(server: Server, session: Session, share: Share) -> int:
    """What the session's user may do on the share at most, by the share's own descriptor.

    It is asked with whom logged on: ``force user`` says who uses the files, not who may.  No
    privilege and no ownership counts here, as on Windows.
    """
    if share.security is None:
        return FILE_ALL_ACCESS
    user = session.credentials or Credentials(os.geteuid(), os.getegid(), tuple(os.getgroups()))
    asking = token(server.domain, user.uid, user.gid, user.groups, guest=session.is_guest)
    held = maximum(share.security._replace(owner=None), asking._replace(privileged=False))
    return held & FILE_ALL_ACCESS


def token_for(server: Server, session: Session, acting: Credentials | None) -> Token:
    """The token that access checks use.

    A process that is not root acts as itself whoever logs on, and so does its token.
    """
    if acting is None or os.geteuid() != 0:
        acting = Credentials(os.geteuid(), os.getegid(), tuple(os.getgroups()))
    return token(server.domain, acting.uid, acting.gid, acting.groups, guest=session.is_guest)
