"""Audit records: who logged on, opened, read, wrote, renamed, deleted what.

What is recorded of a share is as its policy wants it, of log-ons and of tree connects to any share
as the server's does; these two are told by those who decide them.  Of each answer ``Auditor`` is
told by ``Observation``.  READ and WRITE are many: their bytes are added up, and recorded when the
open ends, however it does.  Deletions are recorded when the name goes, with whom asked for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ksmbd.server.audit_log import AuditLog, Record
from ksmbd.server.naming import requested_name
from ksmbd.state.open import Open
from ksmbd.state.session import Session
from ksmbd.state.share import AuditPolicy
from ksmbd.state.tree import TreeConnect
from ksmbd.state.work import Reply, Work
from ksmbd.wire import fsctl
from ksmbd.wire.access import (
    FILE_CREATE,
    FILE_CREATED,
    FILE_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_OPEN_IF,
    FILE_OPENED,
    FILE_OVERWRITE,
    FILE_OVERWRITE_IF,
    FILE_OVERWRITTEN,
    FILE_SUPERSEDE,
    FILE_SUPERSEDED,
)
from ksmbd.wire.auditing import Operation
from ksmbd.wire.base import WireError
from ksmbd.wire.create import CreateRequest, CreateResponse
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.header import NO_FILE, Command
from ksmbd.wire.ioctl import IoctlRequest
from ksmbd.wire.lock import LockRequest
from ksmbd.wire.query_info import INFO_FILE, INFO_SECURITY
from ksmbd.wire.read import ReadResponse
from ksmbd.wire.security import (
    DACL_SECURITY_INFORMATION,
    GROUP_SECURITY_INFORMATION,
    OWNER_SECURITY_INFORMATION,
    SACL_SECURITY_INFORMATION,
)
from ksmbd.wire.set_info import SetInfoRequest
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import from_utf16
from ksmbd.wire.write import WriteResponse

_ACTIONS: Final = {
    FILE_SUPERSEDED: "superseded",
    FILE_OPENED: "opened",
    FILE_CREATED: "created",
    FILE_OVERWRITTEN: "overwritten",
}
_DISPOSITION_NAMES: Final = {
    FILE_SUPERSEDE: "supersede",
    FILE_OPEN: "open",
    FILE_CREATE: "create",
    FILE_OPEN_IF: "open_if",
    FILE_OVERWRITE: "overwrite",
    FILE_OVERWRITE_IF: "overwrite_if",
}
_PARTS: Final = (
    (OWNER_SECURITY_INFORMATION, "owner"),
    (GROUP_SECURITY_INFORMATION, "group"),
    (DACL_SECURITY_INFORMATION, "dacl"),
    (SACL_SECURITY_INFORMATION, "sacl"),
)
_CLASSES: Final[dict[int, str]] = {each: each.name.lower() for each in FileInfo}
_RENAMES: Final = frozenset((FileInfo.RENAME, FileInfo.RENAME_EX))
_LINKS: Final = frozenset((FileInfo.LINK, FileInfo.LINK_EX))
_DISPOSITIONS: Final = frozenset((FileInfo.DISPOSITION, FileInfo.DISPOSITION_EX))
_NAME_AT: Final = 20  # bytes before the new name in all of these classes
# Control codes that change a file, or another one.
_CHANGING: Final = {
    getattr(fsctl, name): name
    for name in (
        *("SET_COMPRESSION", "SET_REPARSE_POINT", "DELETE_REPARSE_POINT", "SET_SPARSE"),
        *("SET_ZERO_DATA", "FILE_LEVEL_TRIM", "OFFLOAD_WRITE", "DUPLICATE_EXTENTS_TO_FILE"),
        *("DUPLICATE_EXTENTS_TO_FILE_EX", "SRV_COPYCHUNK", "SRV_COPYCHUNK_WRITE"),
        *("SET_OBJECT_ID", "SET_OBJECT_ID_EXTENDED", "DELETE_OBJECT_ID"),
    )
}
# What a client reads until it gets it says nothing; what it is told as well is no failure.
_OF_TREES: Final = Operation.CONNECT | Operation.DISCONNECT
_NO_FAILURES: Final = frozenset((NtStatus.END_OF_FILE, NtStatus.MORE_PROCESSING_REQUIRED))


class Trail:
    """One tree connect's records: what they have in common; ``state.transport.AuditedTree``."""

    def __init__(self, auditor: Auditor, tree: TreeConnect, client: str) -> None:
        session, share = tree.session, tree.share
        self._auditor = auditor
        self._policy = share.audit or AuditPolicy(0, 0)
        of_server = auditor.policy
        self._of_tree = AuditPolicy(
            self._policy.success | of_server.success & _OF_TREES,
            self._policy.failure | of_server.failure & _OF_TREES,
        )
        self._common = {**_who(session), "client": client, "share": share.name}
        if self._policy.prefix:
            self._common["prefix"] = _expanded(self._policy.prefix, tree, client)

    def record(self, operation: Operation, status: NtStatus, **what: Any) -> None:
        """Write down that *operation* has succeeded or failed, if the share wants to know."""
        policy = self._of_tree if operation & _OF_TREES else self._policy
        if operation & (policy.failure if _failed(status) else policy.success):
            told = {"op": str(operation.name).lower(), "status": status.name}
            self._auditor.put({**told, **self._common, **what})

    def ended(self, tree: TreeConnect) -> None:
        self.record(Operation.DISCONNECT, NtStatus.SUCCESS)


class OpenTrail:
    """One open's records; ``state.transport.AuditedOpen``."""

    __slots__ = ("path", "read", "reads", "trail", "writes", "written")

    def __init__(self, trail: Trail, path: str) -> None:
        self.trail = trail
        self.path = path  # as it was last heard of
        self.reads = self.writes = 0  # requests
        self.read = self.written = 0  # bytes

    def ended(self, open: Open) -> None:
        """What was read and written, and that it is closed."""
        for operation, count, size in (
            (Operation.READ, self.reads, self.read),
            (Operation.WRITE, self.writes, self.written),
        ):
            if count:
                self._record(operation, open, requests=count, bytes=size)
        self._record(Operation.CLOSE, open)

    def _record(self, operation: Operation, open: Open, **what: int) -> None:
        ids = {"path": open.full_name, "open": f"{open.volatile_id:#x}"}
        self.trail.record(operation, NtStatus.SUCCESS, **ids, **what)

    def deleted(
        self, path: str, status: NtStatus, *, directory: bool, kept: str | None = None
    ) -> None:
        operation = Operation.RMDIR if directory else Operation.UNLINK
        what = {"path": path} if kept is None else {"path": path, "kept": kept}
        self.trail.record(operation, status, **what)


class Auditor:
    """Makes records of answers."""

    def __init__(self) -> None:
        self.log: AuditLog | None = None  # replaced as the settings want it
        self.policy = AuditPolicy(0, 0)  # of the whole server; replaced likewise

    def put(self, record: Record) -> None:
        log = self.log
        if log is not None:
            log.put(record)

    def answered(self, work: Work, reply: Reply, *, parsed: bool) -> None:
        """*parsed*: ``work.request`` is this command's, which was not refused before that."""
        command = work.header.command
        record = _RECORDED.get(command)
        if record is None or not parsed:
            return
        tree = work.tree
        if tree is None or tree.share.audit is None or tree.share.is_pipe:
            return
        trail = tree.audited
        if not isinstance(trail, Trail):
            trail = tree.audited = Trail(self, tree, work.connection.peer)
        record(trail, work, reply)

    # -- log-ons and tree connects: ``ksmbd.state.transport.Audit`` ----------------------

    def logged_on(self, session: Session, client: str, how: str) -> None:
        if self.policy.success & Operation.LOGON:
            told = {"op": "logon", "status": NtStatus.SUCCESS.name, **_who(session)}
            self.put({**told, "client": client, "how": how})

    def logon_refused(self, user: str, client: str, refused: NtStatusError) -> None:
        if self.policy.failure & Operation.LOGON:
            told = {"op": "logon", "status": refused.status.name, "user": user}
            self.put({**told, "client": client, "why": refused.why})

    def logged_off(self, session: Session) -> None:
        if self.policy.success & Operation.LOGOFF:
            told = {"op": "logoff", "status": NtStatus.SUCCESS.name, **_who(session)}
            self.put({**told, "client": session.connection.peer})

    def connected(self, tree: TreeConnect, client: str) -> None:
        policy, share = self.policy, tree.share
        wanted = policy.success & _OF_TREES
        if not share.is_pipe and (share.audit is not None or wanted):
            tree.audited = trail = Trail(self, tree, client)
            trail.record(Operation.CONNECT, NtStatus.SUCCESS)

    def connect_refused(self, session: Session, share: str, client: str, status: NtStatus) -> None:
        """Of a share that nobody has used yet only the server's policy is known."""
        known = session.connection.server.cached_share(share)
        policy = known.audit if known is not None else None
        wanted = self.policy.failure | (policy.failure if policy is not None else 0)
        if wanted & Operation.CONNECT and (known is None or not known.is_pipe):
            told = {"op": "connect", "status": status.name, **_who(session)}
            self.put({**told, "client": client, "share": known.name if known else share})


def _who(session: Session) -> dict[str, Any]:
    """The user of a session, as all records about it have him."""
    token = session.token
    return {
        "user": session.account,
        "sid": str(token.user) if token is not None else None,
        "session": f"{session.session_id:#x}",
    }


def _create(trail: Trail, work: Work, reply: Reply) -> None:
    request, open, body = work.request, work.compound_open, reply.body
    if not isinstance(request, CreateRequest):
        return
    asked = {
        "access": f"{request.desired_access:#x}",
        "disposition": _DISPOSITION_NAMES.get(request.create_disposition),
    }
    if not isinstance(body, CreateResponse) or open is None:
        wants_directory = request.create_options & FILE_DIRECTORY_FILE
        operation = Operation.MKDIR if wants_directory and _makes(request) else Operation.OPEN
        trail.record(operation, reply.status, path=requested_name(work), **asked)
        return
    back = open.audited is not None  # a durable one, or one that was asked for twice
    if open.audited is None:
        open.audited = OpenTrail(trail, open.full_name)
    operation = Operation.OPEN
    if body.create_action == FILE_CREATED and not back:
        operation = Operation.MKDIR if open.is_directory else Operation.CREATE
    trail.record(
        operation,
        reply.status,
        path=open.full_name,
        open=f"{open.volatile_id:#x}",
        **asked,
        granted=f"{open.granted_access:#x}",
        action="reconnected" if back else _ACTIONS.get(body.create_action),
        directory=open.is_directory,
    )


def _makes(request: CreateRequest) -> bool:
    """Whether it makes a file that is not there; what opens only fails as an open."""
    return request.create_disposition not in (FILE_OPEN, FILE_OVERWRITE)


def _read(trail: Trail, work: Work, reply: Reply) -> None:
    body, audited = reply.body, _audited(work)
    if isinstance(body, ReadResponse):
        if audited is not None:
            audited.reads += 1
            audited.read += body.data_length
    elif reply.status not in _NO_FAILURES:
        trail.record(Operation.READ, reply.status, path=_path(work))


def _write(trail: Trail, work: Work, reply: Reply) -> None:
    body, audited = reply.body, _audited(work)
    if isinstance(body, WriteResponse):
        if audited is not None:
            audited.writes += 1
            audited.written += body.count
    else:
        trail.record(Operation.WRITE, reply.status, path=_path(work))


def _set_info(trail: Trail, work: Work, reply: Reply) -> None:
    request, open = work.request, _open(work)
    if not isinstance(request, SetInfoRequest):
        return
    number = request.file_info_class
    if request.info_type == INFO_SECURITY:
        parts = [name for bit, name in _PARTS if request.additional_information & bit]
        trail.record(Operation.SETSECURITY, reply.status, path=_path(work), parts=parts)
    elif request.info_type != INFO_FILE:
        trail.record(Operation.SETINFO, reply.status, path=_path(work), type=request.info_type)
    elif number in _RENAMES or number in _LINKS:
        _name(trail, work, reply, request)
    elif number in _DISPOSITIONS and _failed(reply.status):  # else it is told of when it happens
        operation = Operation.RMDIR if open is not None and open.is_directory else Operation.UNLINK
        trail.record(operation, reply.status, path=_path(work))
    elif number not in _DISPOSITIONS:
        known = _CLASSES.get(number, str(number))
        trail.record(Operation.SETINFO, reply.status, path=_path(work), **{"class": known})


def _name(trail: Trail, work: Work, reply: Reply, request: SetInfoRequest) -> None:
    """A rename or a hard link: from where to where."""
    audited = _audited(work)
    path, to = _path(work), _new_name(work, request)
    if request.file_info_class in _LINKS:
        trail.record(Operation.LINK, reply.status, path=path, to=to)
        return
    if not _failed(reply.status) and audited is not None:
        path, to, audited.path = audited.path, path, path
    trail.record(Operation.RENAME, reply.status, path=path, to=to)


def _new_name(work: Work, request: SetInfoRequest) -> str:
    """What the client asked for, with our separators; empty if it was no name."""
    try:
        data = work.buffer(request.buffer_offset, request.buffer_length, after=request.SIZE)
        size = int.from_bytes(data[_NAME_AT - 4 : _NAME_AT], "little")
        return from_utf16(data[_NAME_AT : _NAME_AT + size]).replace("\\", "/").strip("/")
    except (NtStatusError, WireError):
        return ""


def _lock(trail: Trail, work: Work, reply: Reply) -> None:
    if isinstance(work.request, LockRequest):
        count = work.request.lock_count
        trail.record(Operation.LOCK, reply.status, path=_path(work), ranges=count)


def _ioctl(trail: Trail, work: Work, reply: Reply) -> None:
    code = work.request.ctl_code if isinstance(work.request, IoctlRequest) else 0
    name = _CHANGING.get(code)
    if name is not None:
        trail.record(Operation.FSCTL, reply.status, path=_path(work), code=name.lower())


_RECORDED: Final[dict[int, Callable[[Trail, Work, Reply], None]]] = {
    Command.CREATE: _create,
    Command.READ: _read,
    Command.WRITE: _write,
    Command.SET_INFO: _set_info,
    Command.LOCK: _lock,
    Command.IOCTL: _ioctl,
}


def _open(work: Work) -> Open | None:
    """What the request means: in a compound its FileId may not be that of the one before."""
    open = work.compound_open
    if open is None or getattr(work.request, "volatile_id", NO_FILE) in (NO_FILE, open.volatile_id):
        return open
    return None


def _audited(work: Work) -> OpenTrail | None:
    open = _open(work)
    audited = open.audited if open is not None else None
    return audited if isinstance(audited, OpenTrail) else None


def _path(work: Work) -> str | None:
    open = _open(work)
    return open.full_name if open is not None else None


def _failed(status: int) -> bool:
    return status & 0xC0000000 == 0xC0000000


def _expanded(prefix: str, tree: TreeConnect, client: str) -> str:
    """The prefix with what its variables stand for, ``ksmbd.wire.auditing.VARIABLES``."""
    session = tree.session
    machine = session.identity.workstation if session.identity is not None else ""
    known = {
        **dict.fromkeys("uU", session.account),
        "I": client,
        "m": machine.lower() or client,
        "i": session.connection.transport.local,
        "S": tree.share.name,
        "%": "%",
    }
    head, *rest = prefix.split("%%")
    return "%".join(_filled(part, known) for part in (head, *rest))


def _filled(text: str, known: dict[str, str]) -> str:
    head, *rest = text.split("%")
    return head + "".join(known.get(part[:1], "") + part[1:] for part in rest)
