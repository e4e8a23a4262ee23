"""What CREATE, a break and the kernel's signal do about local programs: `kernel oplocks`.

``state.kernel_leases`` has the promises of the kernel, ``state.caching`` the clients' caches; here
each hears of what becomes of the other.  Nothing of it happens on shares without the parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ksmbd.state import oplock
from ksmbd.state.holder import After
from ksmbd.state.kernel_leases import KernelLeases, cause_of
from ksmbd.state.lease import LeaseWish
from ksmbd.state.oplock import Cause
from ksmbd.state.wait import Wait
from ksmbd.wire.status import NtStatus, NtStatusError

if TYPE_CHECKING:
    from ksmbd.state.caching import Caching
    from ksmbd.state.open import Open
    from ksmbd.state.work import Work

Wish = int | LeaseWish  # the rights of an oplock (0: none), or a lease


def of_level(wish: Wish, level: int) -> Wish:
    """The same wish for other rights."""
    return wish._replace(level=level) if isinstance(wish, LeaseWish) else level


class LocalOpens:
    """Of a server."""

    def __init__(self, caching: Caching) -> None:
        self.leases = KernelLeases()
        self._caching = caching

    def claim(self, open: Open, wish: Wish) -> Wish:
        """As much of *wish* as the kernel promises."""
        if isinstance(wish, LeaseWish):
            return of_level(wish, self.leases.claim(open, wish.level, oplock.RH))
        return self.leases.claim(open, wish, oplock.II)

    def settle(self, opens: Sequence[Open]) -> None:
        """Let the kernel know what is still cached; what it cannot promise then is not."""
        for open in self.leases.settle(opens):
            self._wanted(open, Cause.CHANGE)

    def signalled(self, fd: int | None) -> None:
        """A local program wants the file of a descriptor; None: look at all of them."""
        for each in self.leases.descriptors() if fd is None else (fd,):
            found = self.leases.broken(each)
            if found is not None:
                self._wanted(*found)

    def _wanted(self, open: Open, cause: Cause) -> None:
        inode = open.inode
        assert inode is not None
        after = After()
        with inode.lock:
            if open.kernel_lease is not None:
                open.kernel_lease.broken = True
            if open.holder is not None:
                self._caching.demand_of(open.holder, cause, after)
        self._caching.finish(after)

    def make_way(
        self, work: Work, key: tuple[int, int], wish: Wish, access: int, share: int, *, writes: bool
    ) -> None:
        """Before a file is opened on disk: break its caches as far as the kernel will demand.

        Who shares the lease is no exception: for the kernel two descriptors are two.  Raises Wait
        as ``Caching.enter`` does.

        SHARING_VIOLATION   another open does not share, and holds on to its handle
        """
        caching = self._caching
        inode = caching.server.inodes.find(key)
        if inode is None or not inode.holders:
            return
        after = After()
        wait = None
        with inode.lock:
            violated = inode.conflicting(access, share)
            if violated:
                own = caching.lease_of(work, wish)
                wait = caching.demand_all(inode, Cause.HANDLE, after, own=own, among=violated)
            else:
                for holder in inode.holders:
                    leased = next((o for o in holder.opens if o.kernel_lease is not None), None)
                    if leased is not None:
                        cause = cause_of(leased, writes=writes)
                        if caching.demand_of(holder, cause, after):
                            wait = wait or holder.pending
        caching.finish(after)
        if wait is not None:
            raise Wait(wait.over, in_compound=True)
        if violated:
            raise NtStatusError(NtStatus.SHARING_VIOLATION, f"open {violated[0].volatile_id:#x}")
