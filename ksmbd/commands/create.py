"""SMB2 CREATE, [MS-SMB2] 3.3.5.9 and [MS-FSA] 2.1.5.1: the steps of an open, in order.

validate -> find -> existing: check type, rights, sharing; overwrite
                 -> missing:  check the parent's rights; make it
         -> attach to the inode -> FileId -> answer with its contexts

A reconnect to a durable open, and the replay of a CREATE that was done, take neither of the ways:
the open is there, and is answered with.
"""

from __future__ import annotations

import errno
from typing import Final

from ksmbd.commands import (
    create_app_instance,
    create_caching,
    create_contexts,
    create_durable,
    create_local,
    create_reparse,
    create_replay,
    create_stream,
    create_twrp,
)
from ksmbd.commands.create_contexts import Contexts
from ksmbd.commands.create_durable import Claim
from ksmbd.commands.create_pipe import create_pipe
from ksmbd.commands.create_request import Wanted, wanted
from ksmbd.state import audit, rights
from ksmbd.state.local_opens import Wish
from ksmbd.state.open import Open
from ksmbd.state.snapshot import SnapshotOpen, SnapshotTree, inode_key
from ksmbd.state.tree import TreeConnect
from ksmbd.state.wait import Wait
from ksmbd.state.work import Reply, Work
from ksmbd.vfs import afp_info
from ksmbd.vfs.abilities import compresses
from ksmbd.vfs.compression import settle_new
from ksmbd.vfs.entry import Entry
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.needed_eas import has_needed
from ksmbd.vfs.pattern import NameInvalid
from ksmbd.vfs.quota_file import open_quota_file
from ksmbd.vfs.root import PathNotFound
from ksmbd.vfs.stat import Stat
from ksmbd.vfs.streams import open_stream
from ksmbd.vfs.tunnel import Tunnel
from ksmbd.vfs.xattr import proc_path
from ksmbd.wire.access import (
    ACCESS_SYSTEM_SECURITY,
    ATTR_ARCHIVE,
    ATTR_HIDDEN,
    ATTR_NORMAL,
    ATTR_READONLY,
    ATTR_REPARSE_POINT,
    ATTR_SYSTEM,
    DELETE,
    FILE_ADD_FILE,
    FILE_ADD_SUBDIRECTORY,
    FILE_ALL_ACCESS,
    FILE_APPEND_DATA,
    FILE_CREATE,
    FILE_CREATED,
    FILE_DELETE_CHILD,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_EXECUTE,
    FILE_NO_COMPRESSION,
    FILE_NO_EA_KNOWLEDGE,
    FILE_NON_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_OPEN_IF,
    FILE_OPEN_REPARSE_POINT,
    FILE_OPENED,
    FILE_OVERWRITE,
    FILE_OVERWRITE_IF,
    FILE_OVERWRITTEN,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_SUPERSEDE,
    FILE_SUPERSEDED,
    FILE_WRITE_DATA,
    MAXIMUM_ALLOWED,
    SYNCHRONIZE,
)
from ksmbd.wire.change_notify import (
    CHANGE_ATTRIBUTES,
    CHANGE_CREATION,
    CHANGE_EA,
    CHANGE_LAST_ACCESS,
    CHANGE_LAST_WRITE,
    CHANGE_SIZE,
)
from ksmbd.wire.create import OPLOCK_BATCH, OPLOCK_LEASE, OPLOCK_NONE, CreateRequest, CreateResponse
from ksmbd.wire.negotiate import SMB_3_0
from ksmbd.wire.posix import mode_of_new
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import filetime_from_ns

_READING: Final = FILE_READ_DATA | FILE_EXECUTE
_WRITING: Final = FILE_WRITE_DATA | FILE_APPEND_DATA
_OVERWRITING: Final = {
    FILE_SUPERSEDE: (FILE_SUPERSEDED, DELETE),
    FILE_OVERWRITE: (FILE_OVERWRITTEN, FILE_WRITE_DATA),
    FILE_OVERWRITE_IF: (FILE_OVERWRITTEN, FILE_WRITE_DATA),
}
# Of a name that may be made one in the other normal form of Unicode is another: smb2.charset
_MAKING: Final = frozenset((FILE_CREATE, FILE_OPEN_IF, FILE_OVERWRITE_IF, FILE_SUPERSEDE))
_OVERWRITTEN: Final = (
    CHANGE_ATTRIBUTES | CHANGE_SIZE | CHANGE_LAST_WRITE | CHANGE_LAST_ACCESS
    | CHANGE_CREATION | CHANGE_EA
)  # fmt: skip
_TRIES: Final = 3  # a name that comes and goes under our hands


def create(work: Work, req: CreateRequest) -> Reply:
    """Open or create a file, a directory, or a pipe.

    INVALID_PARAMETER        impossible options, offsets, contexts, a leading backslash
    NOT_SUPPORTED            open by file id, an opfilter
    BAD_IMPERSONATION_LEVEL  there are four
    OBJECT_NAME_INVALID      a name no file can have
    OBJECT_NAME_NOT_FOUND    no such file; a stream where there are none; no such previous version
    OBJECT_PATH_NOT_FOUND    a parent is missing or no directory
    OBJECT_NAME_COLLISION    FILE_CREATE of what exists
    FILE_IS_A_DIRECTORY, NOT_A_DIRECTORY   the options want the other kind
    ACCESS_DENIED            the descriptor, the share, an attribute, or the kernel says no; the
                             session has another user than the tree connect
    PRIVILEGE_NOT_HELD       ACCESS_SYSTEM_SECURITY is the administrator's
    CANNOT_DELETE            delete-on-close of a read-only file
    MEDIA_WRITE_PROTECTED    a previous version would be changed
    STOPPED_ON_SYMLINK       a symlink that is the client's to follow, at the end or on the way
    IO_REPARSE_TAG_NOT_HANDLED   a special file, or what only its client understands
    DELETE_PENDING           somebody has deleted it already
    SHARING_VIOLATION        another open does not share what is asked for
    FILE_NOT_AVAILABLE       a persistent open of the file waits for its client
    TOO_MANY_OPENED_FILES    ``max open files``
    (others)                 of reconnects and replays: create_durable, create_replay
    """
    tree = work.the_tree()
    tree.require_user()
    if tree.share.is_pipe:
        return create_pipe(work, req)
    contexts = create_contexts.parse(work, req)
    if contexts.reconnect is not None:
        return _reconnect(work, req, contexts)
    want = wanted(work, req, posix=contexts.posix_mode is not None)
    contexts.wish = create_caching.wish(work, req, contexts.lease)
    if contexts.timewarp or create_twrp.TOKEN in want.path:
        tree, want = create_twrp.past(tree, want, contexts)
    if not create_replay.concerns(contexts):
        return _new(work, tree, want, contexts)
    with create_replay.under_way(work, req, contexts) as before:
        if before is None:
            return _new(work, tree, want, contexts)
        return _again(work, req, before, contexts)


def _reconnect(work: Work, req: CreateRequest, contexts: Contexts) -> Reply:
    """A durable open that its client wants back."""
    assert contexts.reconnect is not None
    open = create_durable.reconnect(work, req, Claim(contexts.reconnect, contexts.lease))
    contexts.durable = None  # a request beside it means nothing, 3.3.5.9.7
    return _found(work, open, FILE_OPENED, contexts)


def _again(work: Work, req: CreateRequest, open: Open, contexts: Contexts) -> Reply:
    """The open that this CREATE has made before, with the oplock level that is asked for now."""
    assert open.durable is not None
    if req.requested_oplock_level not in (OPLOCK_BATCH, OPLOCK_LEASE):
        contexts.durable = None  # Windows grants it by the request: smb2.replay.replay-dhv2-oplock2
    level = req.requested_oplock_level
    return _found(work, open, open.durable.create_action, contexts, level)


def _found(
    work: Work, open: Open, action: int, contexts: Contexts, level: int | None = None
) -> Reply:
    """Answer with an open that was there before, and the oplock level it has unless given."""
    work.hold(open)
    work.compound_open = open
    open.regrant()
    if level is not None:
        open.grant = open.grant._replace(oplock_level=level)
    st = open.file.stat()
    return _reply(open, action, st, create_contexts.answer(work, open, st, contexts))


def _new(work: Work, tree: TreeConnect, want: Wanted, contexts: Contexts) -> Reply:
    """Open or create, whatever was there."""
    work.server.opens.require_room()
    open, action = _told(work, tree, want, contexts)
    try:
        if action != FILE_OPENED:
            work.server.caching.listing_changed(open, open.path, work.after)
        work.server.opens.add(open)
        work.hold(open)
        work.compound_open = open
        app = create_app_instance.app_instance(contexts)
        create_durable.grant(work, open, contexts.durable, app, action)
        if open.holder is not None and open.holder.persistent:
            work.server.persistence.changed(open.holder)  # its lease may have been raised
        # Who may cache it must be told what it is since then; else it is as good as it was found.
        found = contexts.found if open.holder is None else None
        st = found or open.file.stat()
        answers = create_contexts.answer(work, open, st, contexts)
    except BaseException:
        if action == FILE_CREATED:
            open.discard()
        work.let_go()
        work.server.opens.close(open)
        raise
    return _reply(open, action, st, answers)


def _reply(open: Open, action: int, st: Stat, answers: bytes) -> Reply:
    """The response, with the oplock level that ``open.grant`` says."""
    response = CreateResponse(
        oplock_level=open.grant.oplock_level,
        create_action=action,
        creation_time=filetime_from_ns(st.birth),
        last_access_time=filetime_from_ns(st.access),
        last_write_time=filetime_from_ns(st.write),
        change_time=filetime_from_ns(st.change),
        allocation_size=0 if st.is_directory else st.allocation,
        end_of_file=0 if st.is_directory else st.size,
        file_attributes=st.attributes or ATTR_NORMAL,
        persistent_id=open.persistent_id,
        volatile_id=open.volatile_id,
    )
    if answers:
        response.create_contexts_offset = 64 + response.SIZE
        response.create_contexts_length = len(answers)
    return Reply(response, answers)


def _told(work: Work, tree: TreeConnect, want: Wanted, contexts: Contexts) -> tuple[Open, int]:
    """Find or make the file, and tell of it those whom its audit ACEs name."""
    try:
        return _open(work, tree, want, contexts)
    except Wait:
        contexts.decision = None  # it will be decided again
        raise
    finally:
        if contexts.decision is not None:
            audit.record(contexts.decision)


def _open(work: Work, tree: TreeConnect, want: Wanted, contexts: Contexts) -> tuple[Open, int]:
    """Find or make the file; again if somebody else made or removed it in between."""
    if want.stream and want.options & FILE_DIRECTORY_FILE:
        return _open_quotas(work, tree, want), FILE_OPENED
    for last in (False,) * (_TRIES - 1) + (True,):
        try:
            with _find(tree, want) as entry:
                if work.server.unfinished:
                    work.server.unfinished.wait_for(tree.root, entry)
                if entry.exists:
                    return _open_existing(work, tree, want, entry, contexts)
                _check_new(work, tree, want, entry, contexts)
                birth = _tunnelled(tree, want, entry)
                with work.server.unfinished.making(tree.root, entry):
                    return _create(work, tree, want, entry, contexts, birth), FILE_CREATED
        except FileExistsError:
            if last or want.disposition == FILE_CREATE:
                raise
        except FileNotFoundError:
            if last:
                raise
    raise AssertionError("the last try returns or raises")


def _find(tree: TreeConnect, want: Wanted) -> Entry:
    try:
        return tree.root.resolve(want.path, posix=want.posix, new=want.disposition in _MAKING)
    except PathNotFound as missing:
        create_reparse.look_for_link(tree, want)
        raise NtStatusError(NtStatus.OBJECT_PATH_NOT_FOUND, str(missing)) from None
    except NameInvalid as invalid:
        raise NtStatusError(NtStatus.OBJECT_NAME_INVALID, str(invalid)) from None
    except FileNotFoundError as vetoed:
        raise NtStatusError(NtStatus.OBJECT_NAME_NOT_FOUND, str(vetoed)) from None
    except OSError as outside:
        if outside.errno == errno.EXDEV:  # a symlink out of the share, a mount not to be crossed
            raise NtStatusError(NtStatus.ACCESS_DENIED, str(outside)) from None
        if outside.errno == errno.ELOOP:
            create_reparse.look_for_link(tree, want)
        raise


def _open_quotas(work: Work, tree: TreeConnect, want: Wanted) -> Open:
    """NTFS's file of quotas, whose streams alone are lists: it is there, and serves nothing else.

    OBJECT_NAME_COLLISION   it is to be made
    ACCESS_DENIED           or overwritten, or deleted
    """
    if want.disposition == FILE_CREATE:
        raise NtStatusError(NtStatus.OBJECT_NAME_COLLISION, want.path)
    if want.disposition in _OVERWRITING or want.options & FILE_DELETE_ON_CLOSE:
        raise NtStatusError(NtStatus.ACCESS_DENIED, want.path)
    handle = open_quota_file(tree.root)
    return _attach(work, tree, want, handle, FILE_READ_ATTRIBUTES | SYNCHRONIZE, OPLOCK_NONE)


# -- what exists -------------------------------------------------------------------------


def _open_existing(
    work: Work, tree: TreeConnect, want: Wanted, entry: Entry, contexts: Contexts
) -> tuple[Open, int]:
    st = entry.stat
    assert st is not None
    if want.stream and not create_stream.exists(tree, want, entry):
        return _create_stream(work, tree, want, entry, contexts)
    _check_kind(want, entry, st)
    if want.options & FILE_NO_EA_KNOWLEDGE and has_needed(proc_path(entry.fd)):
        raise NtStatusError(NtStatus.ACCESS_DENIED, "not to be understood without its EAs")
    overwriting = _OVERWRITING.get(want.disposition)
    besides = overwriting[1] if overwriting else 0
    needed = besides | FILE_WRITE_DATA if overwriting else 0  # a folder's word is not enough
    granted = _granted(tree, want, entry, contexts, needed)
    if create_app_instance.take_over(work, want, st, contexts):
        raise FileNotFoundError(want.path)  # look again: the file may have gone with the open
    if overwriting and not want.stream:
        _check_overwrite(tree, want, st)
    try:
        handle = _handle(work, tree, want, entry, contexts, granted | besides)
    except PermissionError:
        if not want.access & MAXIMUM_ALLOWED:
            raise
        granted = rights.possible(entry, granted, want.access)
        handle = _handle(work, tree, want, entry, contexts, granted | besides)
    open = _attach(work, tree, want, handle, granted, contexts.wish, overwrites=besides)
    if overwriting is None:
        if not want.stream:
            contexts.found = st
        return open, FILE_OPENED
    try:
        _overwrite(work, open, want)
        create_contexts.prepare(open, contexts)
        work.server.notify.modified(handle, _OVERWRITTEN)
    except BaseException:
        work.server.opens.close(open)
        raise
    finally:
        work.server.caching.overwritten(open)
    return open, overwriting[0]


def _handle(
    work: Work, tree: TreeConnect, want: Wanted, entry: Entry, contexts: Contexts, access: int
) -> Handle:
    """The file or stream, opened for *access* and for the disposition.  PermissionError."""
    reads = bool(access & _READING)
    writes = bool(access & _WRITING) or want.disposition in _OVERWRITING
    if want.stream:
        kind = afp_info.kind(tree.root, want.stream)
        return open_stream(
            tree.root, entry, want.stream, read=reads, write=writes, create=False, kind=kind
        )
    return create_local.open_file(
        work, tree, want, entry, access, contexts.wish, read=reads, write=writes
    )


def _check_kind(want: Wanted, entry: Entry, st: Stat) -> None:
    if want.disposition == FILE_CREATE:
        raise NtStatusError(NtStatus.OBJECT_NAME_COLLISION, want.path)
    if st.attributes & ATTR_REPARSE_POINT and not want.options & FILE_OPEN_REPARSE_POINT:
        used = want.access & (_READING | _WRITING) or want.disposition in _OVERWRITING
        create_reparse.stop_at(entry, used=bool(used), posix=want.posix)
    if st.is_directory and not want.stream:
        if want.options & FILE_NON_DIRECTORY_FILE:
            raise NtStatusError(NtStatus.FILE_IS_A_DIRECTORY, want.path)
        if want.disposition in _OVERWRITING:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, "overwriting a directory")
    elif want.options & FILE_DIRECTORY_FILE:
        raise NtStatusError(NtStatus.NOT_A_DIRECTORY, want.path)


def _granted(
    tree: TreeConnect, want: Wanted, entry: Entry, contexts: Contexts, besides: int
) -> int:
    """The access the open gets; *besides* is needed for the disposition and not granted."""
    st = entry.stat
    assert st is not None
    granted = rights.granted(tree, entry, want.access, besides, contexts.decided)
    beyond = FILE_ALL_ACCESS & ~tree.maximal_access  # read-only, or what its descriptor withholds
    if beyond:
        if want.access & MAXIMUM_ALLOWED:
            granted &= ~beyond | want.access
        if (granted | besides) & beyond:
            raise NtStatusError(NtStatus.ACCESS_DENIED, f"{tree.share.name} does not give it")
    if st.attributes & ATTR_READONLY and not st.is_directory:
        if want.access & _WRITING:
            raise NtStatusError(NtStatus.ACCESS_DENIED, "a read-only file")
        if want.options & FILE_DELETE_ON_CLOSE:
            raise NtStatusError(NtStatus.CANNOT_DELETE, "a read-only file")
        granted &= ~(_WRITING | FILE_DELETE_CHILD)
    if want.options & FILE_DELETE_ON_CLOSE and not granted & DELETE:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "delete-on-close, but not allowed to delete")
    return granted


def _check_overwrite(tree: TreeConnect, want: Wanted, st: Stat) -> None:
    """[MS-FSA] 2.1.5.1.2.1: hidden and system files are overwritten only as such.

    But for those that the share hides by their name, which no client can have meant.
    """
    kept = st.attributes & (ATTR_HIDDEN | ATTR_SYSTEM)
    if kept & ATTR_HIDDEN and tree.root.attributes.hides(want.path.rpartition("/")[2]):
        kept &= ~ATTR_HIDDEN
    if st.attributes & ATTR_READONLY or kept & ~want.attributes:
        raise NtStatusError(NtStatus.ACCESS_DENIED, "attributes of the file to overwrite")


def _overwrite(work: Work, open: Open, want: Wanted) -> None:
    """Empty it, and give it the new attributes; EAs and streams do not survive."""
    handle = open.file
    handle.truncate(0)
    if want.stream:
        return
    if open.tree.share.streams:
        create_stream.remove_all(work, open)
    eas = handle.eas()
    if eas:
        handle.set_eas([(name, b"") for name, _ in eas])
    handle.set_attributes(want.attributes | ATTR_ARCHIVE)
    if want.disposition == FILE_SUPERSEDE:
        handle.set_times(birth=want.now)


def _create_stream(
    work: Work, tree: TreeConnect, want: Wanted, entry: Entry, contexts: Contexts
) -> tuple[Open, int]:
    """Make a stream of a file that exists; that is to write to the file."""
    st = entry.stat
    assert st is not None
    create_stream.check_new(work, want, st)
    tree.require_writable()
    granted = _granted(tree, want, entry, contexts, FILE_WRITE_DATA)
    kind = afp_info.kind(tree.root, want.stream)
    handle = open_stream(
        tree.root, entry, want.stream, read=True, write=True, create=True, kind=kind
    )
    try:
        open = _attach(work, tree, want, handle, granted, contexts.wish, new=True)
    except NtStatusError:
        create_stream.remove_one(tree, want)
        raise
    try:
        work.server.notify.created(handle)
        create_contexts.prepare(open, contexts)
    except BaseException:
        open.discard()
        work.server.opens.close(open)
        raise
    return open, FILE_CREATED


# -- what is missing ---------------------------------------------------------------------


def _check_new(
    work: Work, tree: TreeConnect, want: Wanted, entry: Entry, contexts: Contexts
) -> None:
    """Whether the file may be made; nothing has been done yet."""
    if want.disposition in (FILE_OPEN, FILE_OVERWRITE):
        if tree.root.attributes.stat_fd(entry.parent, "", path_only=True).tag:
            create_reparse.look_for_link(tree, want)
        raise NtStatusError(NtStatus.OBJECT_NAME_NOT_FOUND, want.path)
    tree.require_writable()
    if want.access & FILE_ALL_ACCESS & ~tree.maximal_access:
        raise NtStatusError(NtStatus.ACCESS_DENIED, f"{tree.share.name} does not give it")
    if want.access & ACCESS_SYSTEM_SECURITY and not tree.the_token.privileged:
        raise NtStatusError(NtStatus.PRIVILEGE_NOT_HELD, "the SACL of a new file")
    directory = bool(want.options & FILE_DIRECTORY_FILE)
    if want.attributes & ATTR_READONLY and want.options & FILE_DELETE_ON_CLOSE and not directory:
        raise NtStatusError(NtStatus.CANNOT_DELETE, "a read-only file that is to be deleted")
    _check_parent_alive(work, entry)
    work.server.caching.check_key(work, contexts.wish, None)
    rights.require_in_parent(tree, entry, FILE_ADD_SUBDIRECTORY if directory else FILE_ADD_FILE)


def _tunnelled(tree: TreeConnect, want: Wanted, entry: Entry) -> int | None:
    """The creation time of a file that was called so until a moment ago, and its whole name."""
    tunnel = tree.root.tunnel
    if tunnel is None or want.posix or want.options & FILE_DIRECTORY_FILE:
        return None
    return tunnel.give_back(entry)


def _create(
    work: Work,
    tree: TreeConnect,
    want: Wanted,
    entry: Entry,
    contexts: Contexts,
    birth: int | None,
) -> Open:
    """Make it, whole or not at all."""
    handle = _made(work, tree, want, entry)
    if birth is not None:
        Tunnel.bear(handle, birth)
    granted = want.access
    if granted & MAXIMUM_ALLOWED:
        granted = granted & ~MAXIMUM_ALLOWED | tree.maximal_access
    open = _attach(work, tree, want, handle, granted, contexts.wish, new=True)
    try:
        work.server.notify.created(handle)
        if compresses(handle.dev, entry.parent):
            settle_new(handle, plain=bool(want.options & FILE_NO_COMPRESSION))
        sacl = rights.give_to_new(tree, open, entry, contexts.security)
        if contexts.posix_mode is not None:
            asked = mode_of_new(contexts.posix_mode, directory=handle.is_directory)
            if asked is not None:
                handle.set_mode(asked)
        create_contexts.prepare(open, contexts)
        work.server.notify.modified(handle, 0)
    except BaseException:
        open.discard()
        create_stream.delete_file_too(open)
        work.server.opens.close(open)
        raise
    if sacl is not None:
        contexts.decided(audit.Decision(tree, entry.path, sacl, granted, True))
    return open


def _made(work: Work, tree: TreeConnect, want: Wanted, entry: Entry) -> Handle:
    """The file or directory as the kernel makes it, and its first stream if that is meant."""
    share = tree.share
    if want.options & FILE_DIRECTORY_FILE:
        mode = 0o777 & share.directory_mask | share.force_directory_mode
        return tree.root.create_directory(entry, mode, want.attributes)
    mode = 0o777 & share.create_mask | share.force_create_mode
    handle = tree.root.create_file(entry, mode, want.attributes | ATTR_ARCHIVE)
    return create_stream.of_new_file(work, handle, want.stream) if want.stream else handle


def _check_parent_alive(work: Work, entry: Entry) -> None:
    """DELETE_PENDING   the directory it would be made in is going to be removed"""
    inode = work.server.inodes.find(rights.identity_of(entry.parent))
    if inode is not None and inode.delete_pending:
        raise NtStatusError(NtStatus.DELETE_PENDING, "the parent is deleted")


# -- the open itself ---------------------------------------------------------------------


def _attach(
    work: Work,
    tree: TreeConnect,
    want: Wanted,
    handle: Handle,
    granted: int,
    wish: Wish,
    *,
    overwrites: int = 0,
    new: bool = False,
) -> Open:
    """Join the others who have the file open, if their share modes and caches allow.

    Raises Wait while a cache is in the way; CREATE runs again, and nothing has been done yet.
    """
    inodes = work.server.inodes
    kind, key, live = Open, (handle.dev, handle.ino), tree
    if isinstance(tree, SnapshotTree):
        kind, key, live = SnapshotOpen, inode_key(handle), tree.live
    inode = inodes.hold(key, handle.stream)
    if work.server.durables.persistent_away and work.connection.dialect >= SMB_3_0:
        create_durable.make_way(inodes, inode, handle)
    open = kind(
        connection=work.connection,
        tree=live,
        granted_access=granted,
        share_access=want.share_access,
        create_options=want.options,
        handle=handle,
        inode=inode,
        now=work.server.clock(),
        channel_sequence=work.header.channel_sequence,
    )
    open.delete_on_close = bool(want.options & FILE_DELETE_ON_CLOSE)
    open.posix = want.posix
    open.posix_delete = want.posix and open.delete_on_close
    try:
        wish = create_caching.fitting(work.connection, wish, directory=handle.is_directory)
        if wish or overwrites or not inode.join(open):
            work.server.caching.enter(work, open, wish, overwrites=overwrites, new=new)
    except BaseException:
        inodes.drop(inode)
        handle.close()
        raise
    return open
