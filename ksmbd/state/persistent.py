"""Persistent opens, [MS-SMB2] 3.3.5.9.10: written down while they live, made again at the start.

    CREATE, LOCK, rename, a change of what is cached --> written, before anybody is told
    CLOSE                                            --> forgotten
    start of the server                              --> made again, away; their clients come

Opens that are not persistent cost nothing here: whoever calls has looked.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ksmbd.auth.identity import Identity
from ksmbd.state import local_locks, shares
from ksmbd.state.connection import Connection
from ksmbd.state.durable import AppInstance, Durable
from ksmbd.state.holder import Holder
from ksmbd.state.journal import Journal, Record
from ksmbd.state.lease import Lease, LeaseWish
from ksmbd.state.open import Open
from ksmbd.state.oplock import held
from ksmbd.state.session import Session, SessionState
from ksmbd.state.tree import TreeConnect
from ksmbd.vfs import afp_info, credentials
from ksmbd.vfs.credentials import Credentials
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.locks import MAX_LOCKS
from ksmbd.vfs.streams import open_stream
from ksmbd.wire.access import (
    FILE_ALL_ACCESS,
    FILE_APPEND_DATA,
    FILE_EXECUTE,
    FILE_READ_DATA,
    FILE_WRITE_DATA,
)
from ksmbd.wire.base import Buffer
from ksmbd.wire.status import NtStatusError

if TYPE_CHECKING:
    from ksmbd.state.server import Server

log = logging.getLogger("ksmbd.smb")

_DAMAGED: Final = (ValueError, TypeError, AttributeError)  # a record that says nothing of an open


class Persistence:
    """The persistent opens of a server; without a journal there are none."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.journal: Journal | None = None

    def keep(self, open: Open) -> bool:
        """Write down how it is now; False if that is impossible."""
        journal = self.journal
        if journal is None or open.inode is None:
            return False
        try:
            with journal.writing:  # so that an older state is never written over a newer one
                with open.inode.lock:
                    record = None if open.closed else _record(open)
                if record is not None:
                    journal.keep(record)
        except sqlite3.Error as failed:
            log.error("%s will not outlive the server: %s", open.path, failed)
            return False
        return True

    def changed(self, holder: Holder) -> None:
        """What it caches is another level now."""
        with holder.inode.lock:
            opens = [open for open in holder.opens if _is_persistent(open)]
        for open in opens:
            self.keep(open)

    def file_changed(self, open: Open) -> None:
        """Its file has another name, or is to be deleted, or not to be any more."""
        if open.inode is None:
            return
        with open.inode.lock:
            opens = [other for other in open.inode.opens if _is_persistent(other)]
        for each in opens:
            self.keep(each)

    def forget(self, open: Open) -> None:
        """It is closed."""
        if self.journal is None:
            return
        try:
            self.journal.forget(open.persistent_id)
        except sqlite3.Error as failed:
            log.error("%s will be open again after a start: %s", open.path, failed)

    # -- the start of the server ---------------------------------------------------------

    def restore(self) -> int:
        """Make the opens again before anybody can connect; how many there are."""
        if self.journal is None:
            return 0
        count = 0
        for record in self.journal.records():
            try:
                self._restore(record)
            except (OSError, NtStatusError, *_DAMAGED) as gone:
                log.warning("%s/%s is not opened again: %s", record.share, record.path, gone)
                self.journal.forget(record.persistent_id)
                continue
            count += 1
        credentials.become(None)
        if count:
            log.info("%d persistent opens wait for their clients", count)
        return count

    def _restore(self, record: Record) -> None:
        """One open as it was; OSError if its file is not there any more."""
        tree = self._tree(record)
        handle = _handle(tree, record)
        inode = self.server.inodes.hold((handle.dev, handle.ino), handle.stream)
        open = Open(
            connection=tree.session.connection,
            tree=tree,
            granted_access=record.granted_access,
            share_access=record.share_access,
            create_options=record.create_options,
            handle=handle,
            inode=inode,
            now=record.creation_time,
        )
        open.delete_on_close = record.delete_on_close
        open.frozen_write_time = record.frozen_write_time
        open.lock_sequences = {int(k): n for k, n in record.lock_sequences.items()} or None
        open.durable = durable = Durable(tree.session.identity, bytes.fromhex(record.client_guid))
        durable.persistent = durable.replayable = True
        durable.create_guid = bytes.fromhex(record.create_guid)
        durable.create_action = record.create_action
        durable.timeout_s = record.timeout_s
        durable.app_instance = _app_instance(record)
        if record.level and tree.share.kernel_oplocks:  # as much as local programs leave of it
            promised = self.server.caching.local.claim(open, record.level)
            record = record._replace(level=promised if isinstance(promised, int) else 0)
        with inode.lock:
            inode.opens.append(open)
            inode.write_time_set |= open.frozen_write_time is not None
            for offset, length, exclusive in record.locks:
                inode.locks.lock(open, offset, length, exclusive)
            parts = local_locks.parts(open, inode, [(o, n, e) for o, n, e in record.locks])
            self._give_level(open, record)
            if record.delete_pending:
                inode.delete_pending, inode.delete_path = True, record.path
        if not local_locks.place(open, parts):
            log.warning("%s: a local program has locked what was a client's", record.path)
        self.server.opens.put_back(open, record.persistent_id, record.volatile_id)
        self.server.replays.keep(open)
        self.server.durables.put_back(open)

    def _tree(self, record: Record) -> TreeConnect:
        """What stands for the connection, session and tree connect that are gone."""
        share = shares.find(self.server, record.share, record.variant)
        connection = Connection(self.server, _Gone(), 0)
        connection.closed = True
        connection.client_guid = bytes.fromhex(record.client_guid)
        session = Session(0, connection, self.server.clock())
        session.state = SessionState.EXPIRED
        session.identity = Identity(
            record.account, record.domain, record.uid, record.gid, tuple(record.groups)
        )
        acts_as = None
        if record.acts_as is not None:
            uid, gid, groups = record.acts_as
            acts_as = Credentials(uid, gid, tuple(groups))
        tree = TreeConnect(
            0,
            session,
            share,
            writable=True,
            maximal_access=FILE_ALL_ACCESS,
            credentials=acts_as,
            token=None,
            now=self.server.clock(),
        )
        tree.connected = False
        return tree

    def _give_level(self, open: Open, record: Record) -> None:
        """Under ``inode.lock``: its oplock or its lease, which may have other opens."""
        assert open.inode is not None
        holder: Holder
        if record.lease is not None:
            key, version, epoch, parent = record.lease
            wish = LeaseWish(
                bytes.fromhex(key),
                record.level,
                version,
                epoch,
                None if parent is None else bytes.fromhex(parent),
            )
            guid = bytes.fromhex(record.client_guid)
            holder = self.server.caching.leases.hold(open.inode, guid, wish, False)
        elif record.level:
            holder = Holder(open.inode, record.level)
        else:
            return
        holder.state = held(record.level)
        holder.persistent = True
        if not holder.opens:
            open.inode.holders.append(holder)
        holder.opens.append(open)
        open.holder = holder


def _is_persistent(open: Open) -> bool:
    return open.durable is not None and open.durable.persistent


def _record(open: Open) -> Record:
    """Under ``inode.lock``."""
    durable, inode, handle, holder = open.durable, open.inode, open.file, open.holder
    assert durable is not None
    assert inode is not None
    assert durable.owner is not None
    owner, acts_as = durable.owner, open.tree.credentials
    lease, app = None, durable.app_instance
    if isinstance(holder, Lease):
        parent = holder.parent.hex() if holder.parent is not None else None
        lease = [holder.key.hex(), holder.version, holder.epoch, parent]
    return Record(
        persistent_id=open.persistent_id,
        volatile_id=open.volatile_id,
        share=open.tree.share.name,
        variant=open.tree.share.variant,
        path=handle.path,
        stream=handle.stream,
        dev=handle.dev,
        ino=handle.ino,
        account=owner.account,
        domain=owner.domain,
        uid=owner.uid,
        gid=owner.gid,
        groups=list(owner.groups),
        acts_as=list(acts_as) if acts_as is not None else None,
        granted_access=open.granted_access,
        share_access=open.share_access,
        create_options=open.create_options,
        delete_on_close=open.delete_on_close,
        delete_pending=inode.delete_pending and not inode.deleted,
        creation_time=open.creation_time,
        create_action=durable.create_action,
        create_guid=durable.create_guid.hex(),
        client_guid=durable.client_guid.hex(),
        timeout_s=durable.timeout_s,
        app_instance=None if app is None else [app.id.hex(), app.version],
        level=holder.level if holder is not None else 0,
        lease=lease,
        locks=[list(each) for each in inode.locks.of(open, MAX_LOCKS)],
        lock_sequences={str(k): n for k, n in (open.lock_sequences or {}).items()},
        frozen_write_time=open.frozen_write_time,
    )


def _app_instance(record: Record) -> AppInstance | None:
    if record.app_instance is None:
        return None
    name, version = record.app_instance
    return AppInstance(bytes.fromhex(name), None if version is None else tuple(version))


def _handle(tree: TreeConnect, record: Record) -> Handle:
    """The very file, opened as it was; the process itself may, for its user was granted it."""
    credentials.become(None)
    access = record.granted_access
    reads = bool(access & (FILE_READ_DATA | FILE_EXECUTE))
    writes = bool(access & (FILE_WRITE_DATA | FILE_APPEND_DATA))
    with tree.root.resolve(record.path) as entry:
        st = entry.stat
        if st is None or (st.dev, st.ino) != (record.dev, record.ino):
            raise FileNotFoundError("another file has its name, or none")
        if record.stream:
            kind = afp_info.kind(tree.root, record.stream)
            return open_stream(
                tree.root, entry, record.stream, read=reads, write=writes, create=False, kind=kind
            )
        return tree.root.open(entry, read=reads, write=writes)


class _Gone:
    """The transport of a connection that ended with the process before."""

    peer = local = ""

    def send(self, parts: Sequence[Buffer]) -> None:
        """Nobody is there."""

    def resent(self) -> int | None:
        return None

    def abort(self) -> None:
        """It is closed."""

    def close(self) -> None:
        """It is closed."""
