"""Descriptors of files for mountd's srvsvc, NetrpGetFileSecurity and NetrpSetFileSecurity.

The user of the pipe asks, so the file is looked for and its descriptor checked as by a CREATE of
that user on that share, which is connected to for as long as this takes.  Nothing is opened in the
sense of the protocol: to read or set a descriptor conflicts with no open.
"""

from __future__ import annotations

import logging
from typing import Final

from ksmbd.commands.query_security import access_to_read
from ksmbd.commands.set_security import access_to_write, store
from ksmbd.commands.tree_connect import make_tree, require_encryption
from ksmbd.ipc.requests import TreeConnectReply
from ksmbd.state import rights, shares
from ksmbd.state.server import Server
from ksmbd.state.session import Session
from ksmbd.state.share import Share
from ksmbd.state.tree import TreeConnect
from ksmbd.vfs import acl, credentials
from ksmbd.vfs.entry import Entry
from ksmbd.vfs.pattern import NameInvalid
from ksmbd.vfs.root import PathNotFound
from ksmbd.wire.access import FILE_ALL_ACCESS
from ksmbd.wire.change_notify import CHANGE_SECURITY
from ksmbd.wire.ipc import NO_ID, FileSecurityRequest, FileSecurityResponse, TreeStatus
from ksmbd.wire.policy import Encryption
from ksmbd.wire.status import NtStatus, NtStatusError, from_oserror

log = logging.getLogger("ksmbd.smb")

_STREAM_MARK: Final = ":"


def answer(server: Server, message: FileSecurityRequest) -> FileSecurityResponse:
    """Tell or set the descriptor; the status is that of CREATE, QUERY_INFO or SET_INFO."""
    try:
        data = _do(server, message)
    except NtStatusError as refused:
        log.debug("security of %s: %s", message.path, refused)
        return FileSecurityResponse(handle=message.handle, status=refused.status)
    except OSError as failed:
        log.debug("security of %s: %s", message.path, failed)
        return FileSecurityResponse(handle=message.handle, status=from_oserror(failed))
    return FileSecurityResponse(handle=message.handle, status=NtStatus.SUCCESS, security=data)


def _do(server: Server, message: FileSecurityRequest) -> bytes:
    session = _session(server, message.pipe)
    share = shares.find(server, message.share, message.variant)
    if share.is_pipe:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "no file system on a pipe share")
    _require_encryption(session, share)
    tree = make_tree(server, session, share, 0, _decision(message), session.identity)
    credentials.become(tree.credentials)
    with _find(tree, message.path) as entry:
        if message.security:
            return _set(server, tree, entry, message)
        _require(tree, entry, access_to_read(message.information))
        sd = acl.descriptor(entry, session.domain, share.acl_xattr)
        return acl.select(sd, message.information).pack()


def _set(server: Server, tree: TreeConnect, entry: Entry, message: FileSecurityRequest) -> bytes:
    tree.require_writable()
    _require(tree, entry, access_to_write(message.information))
    handle = tree.root.open(entry, read=False, write=False)
    try:
        store(tree, handle, message.security, message.information)
        server.notify.modified(handle, CHANGE_SECURITY)
    finally:
        handle.close()
    return b""


def _session(server: Server, number: int) -> Session:
    """Whose the pipe is.

    INVALID_HANDLE   it was closed meanwhile
    """
    for open in server.opens.all():
        if open.pipe is not None and open.pipe.number == number:
            return open.session
    raise NtStatusError(NtStatus.INVALID_HANDLE, f"pipe {number}")


def _require_encryption(session: Session, share: Share) -> None:
    """ACCESS_DENIED   the share must be used encrypted, and the pipe may be used in clear"""
    require_encryption(session.connection, session, share)
    if share.encryption == Encryption.REQUIRED and not session.encrypt_data:
        raise NtStatusError(NtStatus.ACCESS_DENIED, f"{share.name}: over a pipe in clear")


def _decision(message: FileSecurityRequest) -> TreeConnectReply:
    """How mountd lets the user connect, as TREE_CONNECT would have heard it."""
    return TreeConnectReply(
        TreeStatus.OK,
        message.connection_flags,
        None if message.uid == NO_ID else message.uid,
        None if message.gid == NO_ID else message.gid,
        message.groups,
        message.variant,
    )


def _find(tree: TreeConnect, path: str) -> Entry:
    """What is there of that name.

    OBJECT_NAME_INVALID     no name of a file; a stream, which has no descriptor of its own
    OBJECT_PATH_NOT_FOUND   a parent is missing
    OBJECT_NAME_NOT_FOUND   there is no such file
    """
    if _STREAM_MARK in path:
        raise NtStatusError(NtStatus.OBJECT_NAME_INVALID, path)
    try:
        entry = tree.root.resolve(path)
    except PathNotFound as missing:
        raise NtStatusError(NtStatus.OBJECT_PATH_NOT_FOUND, str(missing)) from None
    except NameInvalid as invalid:
        raise NtStatusError(NtStatus.OBJECT_NAME_INVALID, str(invalid)) from None
    if not entry.exists:
        entry.close()
        raise NtStatusError(NtStatus.OBJECT_NAME_NOT_FOUND, path)
    return entry


def _require(tree: TreeConnect, entry: Entry, needed: tuple[int, ...]) -> None:
    """ACCESS_DENIED   the descriptor, or the share's own, does not give what is *needed*"""
    desired = 0
    for access in needed:
        desired |= access
    if desired & FILE_ALL_ACCESS & ~tree.maximal_access:
        raise NtStatusError(NtStatus.ACCESS_DENIED, f"{tree.share.name} does not give it")
    rights.granted(tree, entry, desired, 0)
