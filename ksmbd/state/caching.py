"""Who caches what: grants with CREATE, breaks before changes, answers, and how clients are told.

``state.oplock`` decides; here its decisions meet the opens of an inode.  Whatever is found out
under ``inode.lock`` is done after it: messages, timers, and waking those who wait.

    before an open      enter       breaks what is in the way or waits, joins, and grants
    before a change     change      breaks other caches; grants nobody READ until it is done
    before a new name   demand      breaks HANDLE
    after a change      listing_changed   breaks the leases of the directory that lists the file
    afterwards          acknowledge_oplock, acknowledge_lease, leave, or 35 seconds

A wait is a :class:`~ksmbd.state.wait.Wait` on the end of one break; the command runs again and
finds the next thing in its way, or nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from ksmbd.state import oplock
from ksmbd.state.absence import all_away, answer_for, lose_without_handle
from ksmbd.state.durable import is_away
from ksmbd.state.holder import OPLOCK_OF, After, Break, Grant, Holder, Message
from ksmbd.state.lease import Lease, LeaseTable, LeaseWish
from ksmbd.state.local_opens import LocalOpens, Wish, of_level
from ksmbd.state.oplock import Cause, Kind, Notice, Others
from ksmbd.state.outbound import notify
from ksmbd.state.questions import Questions
from ksmbd.state.rights import identity_of
from ksmbd.state.wait import Wait
from ksmbd.wire.create import OPLOCK_LEASE
from ksmbd.wire.create_context import LEASE_HANDLE
from ksmbd.wire.header import Command
from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from types import TracebackType

    from ksmbd.state.connection import Connection
    from ksmbd.state.inode import Inode
    from ksmbd.state.open import Open
    from ksmbd.state.server import Server
    from ksmbd.state.session import Session
    from ksmbd.state.work import Work
    from ksmbd.vfs.root import ShareRoot

log = logging.getLogger("ksmbd.oplock")

_PLENTY: Final = 0.75  # of ``max open files``: from here on, leases of directories keep none open
_ASKED_AT_A_TIME: Final = 64

Later = list[Callable[[], None]]


class Change:
    """A change of a file under way; nobody is granted READ who could read what was before it."""

    __slots__ = ("_inode",)

    def __init__(self, inode: Inode | None) -> None:
        self._inode = inode  # None: only the changer itself caches

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._inode is not None:
            with self._inode.lock:
                self._inode.changing -= 1


_ALONE = Change(None)


class Caching:
    """The oplocks and leases of a server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.leases = LeaseTable()
        self.questions = Questions(server.scheduler, self._send, server.tally)
        self.local = LocalOpens(self)

    # -- CREATE --------------------------------------------------------------------------

    def check_key(self, work: Work, wish: Wish, inode: Inode | None) -> None:
        """Refuse a lease key before anything is made, [MS-SMB2] 3.3.5.9.8.

        INVALID_PARAMETER   the client has used the key for another file
        """
        if isinstance(wish, LeaseWish):
            self.leases.check(inode, work.connection.client_guid, wish.key)

    def enter(self, work: Work, open: Open, wish: Wish, *, overwrites: int, new: bool) -> None:
        """Join the others who have the file open, and grant what *wish* can have.

        Raises Wait while somebody must give up a cache first; then nothing has been done but
        asking.  A *new* file is there already, and its maker waits for nobody.  One that
        *overwrites* goes on as after :meth:`change`, and ends it by :meth:`overwritten`; that is
        the access which the others must share although it is not granted, 0 if it does not.

        DELETE_PENDING      the file is going to be removed
        SHARING_VIOLATION   another open does not share, and holds on to its handle
        INVALID_PARAMETER   see :meth:`check_key`
        """
        if isinstance(wish, LeaseWish):
            open.parent_key = wish.parent
            if open.is_directory and self._handles_are_scarce():
                wish = wish._replace(level=wish.level & ~LEASE_HANDLE)
                self._ask_for_handles()
        if wish and open.tree.share.kernel_oplocks and not open.is_directory:
            wish = self.local.claim(open, wish)
        try:
            self._enter(work, open, wish, overwrites=overwrites, new=new)
        finally:
            if open.kernel_lease is not None:
                self.local.settle((open,))

    def _enter(self, work: Work, open: Open, wish: Wish, *, overwrites: int, new: bool) -> None:
        inode = open.inode
        assert inode is not None
        size = open.file.stat().size if inode.locks and not overwrites else 0
        after = After()
        with inode.lock:
            if inode.doomed:
                raise NtStatusError(NtStatus.DELETE_PENDING, open.path)
            self.check_key(work, wish, inode)
            own = self.lease_of(work, wish)
            violated = inode.conflicting(open.granted_access | overwrites, open.share_access)
            if violated:
                wait = self.demand_all(inode, Cause.HANDLE, after, own=own, among=violated)
            elif overwrites:
                wait = self.demand_all(inode, Cause.CHANGE, after, own=own)
            else:
                wait = self.demand_all(
                    inode, Cause.OPEN, after, own=own, access=open.granted_access
                )
            if new:
                wait = None
            if wait is None and not violated:
                # A change under way is as good as a lock: what is read now may be old at once.
                locked = inode.changing > 0 or inode.locks.conflicts_write(self, 0, size)
                inode.opens.append(open)
                inode.changing += overwrites != 0
                if wish:
                    others = self._others(open, inode, own, locked)
                    open.grant = self._grant(work, open, wish, others)
        self.finish(after)
        if wait is not None:
            raise Wait(wait.over, in_compound=True)
        if violated:
            raise NtStatusError(NtStatus.SHARING_VIOLATION, f"open {violated[0].volatile_id:#x}")

    def overwritten(self, open: Open) -> None:
        """The file of an open that overwrites is empty now, or could not be emptied."""
        inode = open.inode
        if inode is not None:
            with inode.lock:
                inode.changing -= 1

    def lease_of(self, work: Work, wish: Wish) -> Lease | None:
        if isinstance(wish, LeaseWish):
            return self.leases.find(work.connection.client_guid, wish.key)
        return None

    def _grant(self, work: Work, open: Open, wish: Wish, others: Others) -> Grant:
        """Under ``inode.lock``."""
        if open.kernel_lease is not None and open.kernel_lease.broken:
            wish = of_level(wish, oplock.NONE)
        if isinstance(wish, LeaseWish):
            return self._grant_lease(work, open, wish, others)
        level = oplock.grant(Kind.OPLOCK, wish, others, directory=open.is_directory)
        if not level:
            return Grant()
        assert open.inode is not None
        holder = Holder(open.inode, level)
        self._join(work, open, holder, changed=True)
        log.debug("%s: granted", holder)
        return Grant(OPLOCK_OF[level])

    def _grant_lease(self, work: Work, open: Open, wish: LeaseWish, others: Others) -> Grant:
        """A new lease gets what it can; another open of a lease may raise it."""
        directory = open.is_directory
        assert open.inode is not None
        lease = self.leases.hold(open.inode, work.connection.client_guid, wish, directory)
        before = lease.level
        if not lease.opens:
            lease.change(oplock.grant(Kind.LEASE, wish.level, others, directory=directory))
        elif not lease.state.breaking:
            lease.change(oplock.upgrade(before, wish.level, others, directory=directory))
        self._join(work, open, lease, changed=not lease.opens or lease.level != before)
        log.debug("%s: granted, %d before", lease, before)
        return Grant(OPLOCK_LEASE, lease.context().pack())

    @staticmethod
    def _others(open: Open, inode: Inode, own: Lease | None, locked: bool) -> Others:
        """What all opens but those of the same lease have."""
        opens = cached = handle = False
        levels = 0
        for other in inode.opens:
            holder = other.holder
            if other is open or (holder is not None and holder is own):
                continue
            level = holder.level if holder is not None else 0
            levels |= level
            opens |= bool(level) or not oplock.breaks_nothing(Kind.OPLOCK, other.granted_access)
            if holder is not None and level:
                cached |= holder.kind is Kind.OPLOCK
                handle |= holder.kind is Kind.LEASE and bool(level & LEASE_HANDLE)
        return Others(levels, opens, cached, handle, locked)

    def _join(self, work: Work, open: Open, holder: Holder, *, changed: bool) -> None:
        """Under ``inode.lock``.  *changed*: the CREATE response tells of something new."""
        if not holder.opens:
            holder.inode.holders.append(holder)
        holder.opens.append(open)
        open.holder = holder
        if changed:
            holder.unannounced += 1
            work.after.append(partial(self._announced, holder))

    def _announced(self, holder: Holder) -> None:
        """The CREATE response is out: messages about what it granted may follow."""
        after = After()
        with holder.inode.lock:
            holder.unannounced -= 1
            if not holder.unannounced:
                opens = tuple(holder.opens)
                after.messages += [Message(holder, body, opens) for body in holder.kept]
                holder.kept = []
        self.finish(after)

    # -- breaks --------------------------------------------------------------------------

    def change(self, open: Open) -> Change:
        """Begin to change the file's data, its size, or its byte-range locks.

        Use it as a context around the change.  Raises Wait while somebody else may have written
        data that are not here yet.
        """
        inode = open.inode
        if inode is None:
            return _ALONE
        holder = open.holder
        if holder is not None and holder.level & oplock.RW == oplock.RW:
            return _ALONE  # nobody else caches, and whoever comes breaks this first
        with inode.lock:
            if not inode.holders:  # nobody caches
                inode.changing += 1
                return Change(inode)
            after = After()
            wait = self.demand_all(inode, Cause.CHANGE, after, own=holder)
            if wait is None:
                inode.changing += 1
        self.finish(after)
        if wait is not None:
            raise Wait(wait.over)
        return Change(inode)

    def demand(self, inode: Inode | None, cause: Cause, own: Holder | None) -> None:
        """Break what *cause* says; raises Wait, without an interim response, if it must be waited.

        SET_INFO sends none, however long it takes: smbtorture's smb2.compound_async.rename_*.
        """
        if inode is None or not inode.holders:
            return
        after = After()
        with inode.lock:
            wait = self.demand_all(inode, cause, after, own=own)
        self.finish(after)
        if wait is not None:
            raise Wait(wait.over, interim=False)

    def demand_among(self, inode: Inode, among: Sequence[Open], own: Holder | None) -> None:
        """Break HANDLE of those who hold *among*; raises Wait as :meth:`demand`."""
        after = After()
        with inode.lock:
            wait = self.demand_all(inode, Cause.HANDLE, after, own=own, among=among)
        self.finish(after)
        if wait is not None:
            raise Wait(wait.over, interim=False)

    def demand_below(self, work: Work, opens: Sequence[Open]) -> None:
        """Break HANDLE of all who have files of a directory open that is to have another name.

        They may close what they keep open for nobody; raises Wait while they are asked.  Returns
        if that is no use: somebody really has a file open, or has come since they were asked.
        """
        holders = list({open.holder: None for open in opens if open.holder is not None})
        if any(open.holder is None or not open.holder.level & LEASE_HANDLE for open in opens):
            return
        if work.memo is None:
            work.memo = holders
        elif not all(holder in work.memo for holder in holders):
            return
        after = After()
        waited_for = None
        for holder in holders:
            with holder.inode.lock:
                if self.demand_of(holder, Cause.HANDLE, after):
                    waited_for = waited_for or holder.pending
        self.finish(after)
        if waited_for is not None:
            raise Wait(waited_for.over, interim=False)

    def listing_changed(
        self, open: Open, path: str, later: Later | None, *, spare: bool = True
    ) -> None:
        """What a directory lists of *path* was changed by *open*: break the directory's leases.

        Whoever opened with the directory's own lease key knows of it already: *spare* that lease.
        The messages follow the reply if *later* is its ``work.after``.
        """
        if not self.leases.directories or not path:
            return
        key = open.parent_key if spare else None
        try:
            directory = _identity_of_directory(open.file.root, path.rpartition("/")[0])
        except OSError as gone:
            log.debug("the directory of %s: %s", path, gone)
            return
        inode = self.server.inodes.find(directory)
        if inode is None:
            return
        after = After()
        with inode.lock:
            for holder in inode.holders:
                if isinstance(holder, Lease) and holder.key != key:
                    self.demand_of(holder, Cause.CHANGE, after)
        if later is None:
            self.finish(after)
        else:
            later.append(partial(self.finish, after))

    def begin_deletion(self, inode: Inode, after: After, own: Holder | None) -> None:
        """Under ``inode.lock``: an open that deletes on close is closed; let others do the same."""
        self.demand_all(inode, Cause.HANDLE, after, own=own)

    def demand_all(
        self,
        inode: Inode,
        cause: Cause,
        after: After,
        *,
        own: Holder | None,
        access: int | None = None,
        among: Sequence[Open] | None = None,
    ) -> Break | None:
        """Ask all holders under ``inode.lock``; the first break that must be waited for.

        *own* is the holder of who asks.  *among*: only those who hold one of these opens.
        """
        waited_for = None
        holders = inode.holders
        if among is not None:
            holders = list({open.holder: None for open in among if open.holder is not None})
        for holder in holders:
            # A lease never breaks itself; nor does an oplock, but that II is lost by writing.
            if holder is own and (holder.kind is Kind.LEASE or holder.level != oplock.II):
                continue
            if access is not None and oplock.breaks_nothing(holder.kind, access):
                continue
            if self.demand_of(holder, cause, after) and waited_for is None:
                waited_for = holder.pending
        return waited_for

    def demand_of(self, holder: Holder, cause: Cause, after: After) -> bool:
        """Under ``inode.lock``; True if whoever asks must wait."""
        outcome = oplock.demand(holder.kind, holder.state, cause)
        holder.state = outcome.state
        if outcome.notice is not None:
            if isinstance(holder, Lease):
                holder.next_epoch()
            if holder.persistent:
                after.changed.append(holder)
            if all_away(holder):
                return answer_for(holder, outcome, after)
            self._tell(holder, outcome.notice, after)
            if not outcome.notice.ack:
                after.lowered.append(holder)
        return outcome.waits

    def _tell(self, holder: Holder, notice: Notice, after: After) -> None:
        """Under ``inode.lock``: prepare a notification."""
        log.debug("%s: break %d -> %d, ack %s", holder, notice.level, notice.to, notice.ack)
        if notice.ack:
            if holder.pending is None:
                holder.pending = Break()
            after.asked.append((holder, holder.pending))
        body = holder.message(notice)
        if holder.unannounced:
            holder.kept.append(body)
        else:
            after.messages.append(Message(holder, body, tuple(holder.opens)))

    def _handles_are_scarce(self) -> bool:
        opens = self.server.opens
        return len(opens) > opens.limit * _PLENTY

    def _ask_for_handles(self) -> None:
        """Have clients close directories that they keep open only to list them from memory.

        Some keep one for every directory they have ever seen, and fail when there are no more.
        """
        after = After()
        for lease in self.leases.oldest_directories(_ASKED_AT_A_TIME):
            with lease.inode.lock:
                self.demand_of(lease, Cause.HANDLE, after)
        self.finish(after)

    # -- the ends of breaks --------------------------------------------------------------

    def acknowledge_oplock(self, work: Work, open: Open, level: int) -> None:
        """[MS-SMB2] 3.3.5.22.1: the open keeps *level*, a set of rights.

        INVALID_OPLOCK_PROTOCOL   it has no oplock (any more); a level it was not offered, and
                                  then it has none
        INVALID_DEVICE_STATE      its oplock, or lease, is not being broken
        """
        inode, holder = open.inode, open.holder
        if inode is None or holder is None or not holder.level:
            raise NtStatusError(NtStatus.INVALID_OPLOCK_PROTOCOL, "no oplock")
        after = After()
        with inode.lock:
            if holder.kind is not Kind.OPLOCK or not holder.state.breaking:
                raise NtStatusError(NtStatus.INVALID_DEVICE_STATE, "no break in progress")
            accepted = oplock.accepts(holder.kind, holder.state, level)
            self._acknowledge(holder, level if accepted else oplock.NONE, after)
        work.after.append(partial(self.finish, after))
        if not accepted:
            raise NtStatusError(NtStatus.INVALID_OPLOCK_PROTOCOL, f"level {level}")

    def give_up_oplock(self, open: Open) -> None:
        """An answer that makes no sense ends a break, if there is one: nothing is held any more."""
        inode, holder = open.inode, open.holder
        if inode is None or holder is None or holder.kind is not Kind.OPLOCK:
            return
        after = After()
        with inode.lock:
            if holder.state.breaking:
                self._acknowledge(holder, oplock.NONE, after)
        self.finish(after)

    def acknowledge_lease(self, work: Work, key: bytes, level: int) -> None:
        """[MS-SMB2] 3.3.5.22.2: the client keeps *level* of the lease.

        OBJECT_NAME_NOT_FOUND   the client has no lease of that key
        UNSUCCESSFUL            it is not being broken
        REQUEST_NOT_ACCEPTED    more than it was asked to go down to; the break goes on
        """
        lease = self.leases.find(work.connection.client_guid, key)
        if lease is None:
            raise NtStatusError(NtStatus.OBJECT_NAME_NOT_FOUND, f"lease {key.hex()}")
        after = After()
        with lease.inode.lock:
            if not lease.state.breaking:
                raise NtStatusError(NtStatus.UNSUCCESSFUL, "no break in progress")
            if not oplock.accepts(lease.kind, lease.state, level):
                raise NtStatusError(NtStatus.REQUEST_NOT_ACCEPTED, f"lease state {level}")
            self._acknowledge(lease, level, after)
        work.after.append(partial(self.finish, after))

    def _acknowledge(self, holder: Holder, level: int, after: After) -> None:
        """Under ``inode.lock``: end the break, or go on with its next step."""
        log.debug("%s: keeps %d", holder, level)
        outcome = oplock.acknowledge(holder.kind, holder.state, level)
        holder.state = outcome.state
        after.lowered.append(holder)
        if outcome.notice is not None:
            self._tell(holder, outcome.notice, after)
        self._end_break(holder, after)
        if holder.persistent:
            after.changed.append(holder)
        lose_without_handle(holder, after)

    def leave(self, open: Open, after: After) -> None:
        """Under ``inode.lock``: the open is closed, which counts as an answer."""
        holder, open.holder = open.holder, None
        if holder is None:
            return
        holder.opens.remove(open)
        if holder.opens:
            if open.kernel_lease is not None and not any(o.kernel_lease for o in holder.opens):
                self.demand_of(holder, Cause.CHANGE, after)  # nothing stands behind it any more
            return
        log.debug("%s: closed", holder)
        holder.state = oplock.held(oplock.NONE)
        holder.kept = []
        holder.inode.holders.remove(holder)
        self._end_break(holder, after)
        if isinstance(holder, Lease):
            self.leases.forget(holder)

    def _timed_out(self, holder: Holder, pending: Break) -> None:
        """The holder has not answered in time, or cannot be asked: it holds nothing any more."""
        after = After()
        with holder.inode.lock:
            if holder.pending is not pending:
                return
            holder.state = oplock.held(oplock.NONE)
            after.lowered.append(holder)
            self._end_break(holder, after)
            if holder.persistent:
                after.changed.append(holder)
            lose_without_handle(holder, after)
        self.questions.unanswered(holder)
        self.finish(after)

    def went_away(self, holder: Holder, after: After) -> None:
        """Under ``inode.lock``: one more of its opens is away; a break waits for no answer then."""
        if holder.state.breaking and all_away(holder):
            holder.state = oplock.held(holder.state.required)
            after.lowered.append(holder)
            self._end_break(holder, after)
            if holder.persistent:
                after.changed.append(holder)

    @staticmethod
    def _end_break(holder: Holder, after: After) -> None:
        if holder.pending is not None and not holder.state.breaking:
            after.over.append(holder.pending)
            holder.pending = None

    # -- without the lock ----------------------------------------------------------------

    def finish(self, after: After) -> None:
        """Do what was found out under ``inode.lock``, which is free now."""
        scheduler = self.server.scheduler
        for holder in after.changed:
            self.server.persistence.changed(holder)
        for holder, pending in after.asked:
            timer = scheduler.call_later(oplock.TIMEOUT_S, self._timed_out, holder, pending)
            pending.set_timer(timer)
        for message in after.messages:
            self._send(message)
        if self.local.leases:
            for holder in after.lowered:
                self.local.settle(tuple(holder.opens))
        for pending in after.over:
            pending.end()
        for open in after.lost:
            self.server.durables.close_lost(open)

    def _send(self, message: Message) -> None:
        """Over the first connection that is there, [MS-SMB2] 3.3.4.6 and 3.3.4.7."""
        for connection, seal in self._ways(message):
            if self.questions.ask(message, connection):
                notify(connection, Command.OPLOCK_BREAK, message.body, seal=seal)
                return
        pending = message.holder.pending
        if pending is not None:
            self._timed_out(message.holder, pending)

    def _ways(self, message: Message) -> Iterator[tuple[Connection, Session | None]]:
        """Where it may go, best first, and whose key seals it.

        A lease of version 2 is its client's, whose oldest connection hears of it first:
        smbtorture's smb2.lease.v2_complex1.  Another lease's break goes over the session's oldest,
        an oplock's over that of the open first.  What must be sealed needs a connection that the
        session has.
        """
        seals = [(open, _seal_of(open)) for open in message.opens if not is_away(open)]
        holder = message.holder
        if isinstance(holder, Lease) and holder.version == 2 and not any(seal for _, seal in seals):
            with self.server.lock:
                connections = list(self.server.connections.values())
            for connection in connections:
                if connection.client_guid == holder.client_guid and connection.authenticated:
                    yield connection, None
        if not isinstance(holder, Lease):  # a lease is not of one open: smb2.multichannel.leases
            for open, seal in seals:
                yield open.connection, seal
        for open, seal in seals:
            with open.session.lock:
                channels = list(open.session.channels.values())
            for channel in channels:
                yield channel.connection, seal


def _seal_of(open: Open) -> Session | None:
    """The session whose key its messages are sealed with; None: they go in clear."""
    return open.session if open.session.encrypt_data or open.tree.encrypt_data else None


def _identity_of_directory(root: ShareRoot, path: str) -> tuple[int, int]:
    """The inode table's key of a directory.  OSError if it is not there."""
    fd = root.open_directory(path)
    try:
        return identity_of(fd)
    finally:
        os.close(fd)
