"""Oplocks and leases whose clients are away: nobody can be asked, so it is decided for them.

    must answer, durable        the open is lost: what it cached may be more than it has told
    must answer, resilient or   it keeps what it is asked to go down to, at once; the client is
    persistent                  told when it is back
    need not answer             the level goes, whoever had it

Everything here is done under the lock of the inode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ksmbd.state.durable import is_away, mark_lost
from ksmbd.state.holder import After, Break
from ksmbd.state.oplock import Outcome, held
from ksmbd.wire.create_context import LEASE_HANDLE

if TYPE_CHECKING:
    from ksmbd.state.holder import Holder


def all_away(holder: Holder) -> bool:
    """Whether there is nobody to ask."""
    return all(is_away(open) for open in holder.opens)


def answer_for(holder: Holder, outcome: Outcome, after: After) -> bool:
    """A break begins, and *holder* is away; True if whoever caused it waits."""
    if outcome.notice is None or not outcome.notice.ack:
        after.lowered.append(holder)
        return outcome.waits
    lasting = [open for open in holder.opens if open.durable is not None and open.durable.lasting]
    mark_lost((open for open in holder.opens if open not in lasting), after)
    if lasting:
        holder.state = held(outcome.state.required)
        after.lowered.append(holder)
        return False
    if holder.pending is None:
        holder.pending = Break()
    after.asked.append((holder, holder.pending))
    return outcome.waits


def lose_without_handle(holder: Holder, after: After) -> None:
    """A durable open that is away is kept by the right to keep it alone."""
    if not holder.level & LEASE_HANDLE:
        mark_lost(
            (o for o in holder.opens if o.durable is not None and not o.durable.lasting), after
        )
