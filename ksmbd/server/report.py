"""What the server looks like now, as JSON for ``ksmbd-control status``.

Read without stopping anything: the rows of one report may be of slightly different moments.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from ksmbd.crypto.signing import Signer
from ksmbd.server.clients import Client
from ksmbd.server.counters import OPERATIONS, READ, WRITTEN, Counters
from ksmbd.server.pool import PoolFigures
from ksmbd.server.startup import CIPHERS, SIGNING_ALGORITHMS
from ksmbd.state.durable import is_away
from ksmbd.state.holder import OPLOCK_OF
from ksmbd.state.open import Open
from ksmbd.state.oplock import Kind
from ksmbd.state.server import Server
from ksmbd.state.session import Session
from ksmbd.wire.create import OPLOCK_BATCH, OPLOCK_EXCLUSIVE, OPLOCK_II
from ksmbd.wire.create_context import LEASE_HANDLE, LEASE_READ, LEASE_WRITE
from ksmbd.wire.negotiate import DIALECT_NAMES

_OPLOCKS: Final = {OPLOCK_II: "level II", OPLOCK_EXCLUSIVE: "exclusive", OPLOCK_BATCH: "batch"}
_SIGNATURES: Final = {number: name for name, number in SIGNING_ALGORITHMS.items()}
_CIPHERS: Final = {number: name for name, number in CIPHERS.items()}
MAX_OPENS: Final = 10_000  # rows
MAX_LOCKS: Final = 100  # rows of one open
_RIGHTS: Final = ((LEASE_READ, "R"), (LEASE_WRITE, "W"), (LEASE_HANDLE, "H"))


def report(
    server: Server,
    clients: list[Client],
    figures: PoolFigures,
    *,
    direct: bool,
    counted: Counters | None = None,
) -> dict[str, Any]:
    """Everything, in plain dictionaries and lists; *counted* if requests are counted."""
    with server.lock:
        sessions = list(server.sessions.values())
    opens = server.opens.all()
    return {
        "started": server.start_time,
        "now": server.clock(),
        "pool": {**figures._asdict(), "direct_dispatch": direct},
        "connections": [_connection(client) for client in clients],
        "sessions": [_session(session) for session in sessions],
        "channels": [row for session in sessions for row in _channels(session)],
        "shares": _shares(sessions, opens, counted),
        "trees": [row for session in sessions for row in _trees(session)],
        "opens": [_open(open) for open in opens[:MAX_OPENS]],
        "open_count": len(opens),
        "locks": [row for open in opens[:MAX_OPENS] for row in _locks(open)],
    }


def _connection(client: Client) -> dict[str, Any]:
    connection = client.connection
    with connection.lock:
        sessions, requests = len(connection.sessions), len(connection.requests)
        pending = len(connection.async_commands)
    received, sent = client.transport.traffic()
    return {
        "number": connection.number,
        "peer": connection.peer,
        "local": client.transport.local,
        "dialect": DIALECT_NAMES.get(connection.dialect, "not negotiated"),
        "sessions": sessions,
        "requests": requests,
        "pending": pending,
        "frames": client.reader.frames,
        "received": received,
        "sent": sent,
        "slow": client.transport.slow,
        "since": connection.creation_time,
    }


def _session(session: Session) -> dict[str, Any]:
    with session.lock:
        channels = list(session.channels.values())
        trees, opens = len(session.trees), len(session.opens)
    oldest = channels[0].connection if channels else session.connection
    return {
        "id": f"{session.session_id:#x}",
        "account": session.account,
        "guest": session.is_guest or session.is_anonymous,
        "state": session.state.name.lower(),
        "peer": oldest.peer,
        "connection": oldest.number,
        "channels": len(channels),
        "trees": trees,
        "opens": opens,
        "dialect": DIALECT_NAMES.get(session.connection.dialect, "not negotiated"),
        "signed": _signed(session, session.signer),
        "signing_required": session.signing_required,
        "sealed": _sealed(session),
        "encryption_required": session.encrypt_data,
        "since": session.creation_time,
    }


def _channels(session: Session) -> list[dict[str, Any]]:
    with session.lock:
        channels = list(session.channels.values())
    return [
        {
            "session": f"{session.session_id:#x}",
            "account": session.account,
            "connection": channel.connection.number,
            "peer": channel.connection.peer,
            "local": channel.connection.transport.local,
            "signed": _signed(session, channel.signer),
            "sealed": _sealed(session),
        }
        for channel in channels
    ]


def _signed(session: Session, signer: Signer | None) -> str:
    """The algorithm that requests are signed with; empty: they are not.

    What is sealed is not signed as well.
    """
    used = session.was_signed or (session.signing_required and not _sealed(session))
    return _SIGNATURES[signer.algorithm] if signer is not None and used else ""


def _sealed(session: Session) -> str:
    """The cipher of encrypted requests, if there are any; empty: there are none."""
    if session.sealer is None or not (session.encrypt_data or session.was_sealed):
        return ""
    return _CIPHERS[session.sealer.cipher]


def _trees(session: Session) -> list[dict[str, Any]]:
    with session.lock:
        trees = list(session.trees.values())
    return [
        {
            "id": tree.tree_id,
            "session": f"{session.session_id:#x}",
            "account": session.account,
            "share": tree.share.name,
            "writable": tree.writable,
            "encryption_required": tree.encrypt_data,
            "since": tree.creation_time,
        }
        for tree in trees
    ]


def _shares(
    sessions: list[Session], opens: list[Open], counted: Counters | None
) -> list[dict[str, Any]]:
    """Every share that somebody uses, or has used since requests are counted."""
    trees: Counter[str] = Counter()
    for session in sessions:
        with session.lock:
            trees.update(tree.share.name for tree in session.trees.values())
    opened = Counter(open.tree.share.name for open in opens)
    done = counted.shares if counted is not None else {}
    return [
        {
            "name": name,
            "trees": trees[name],
            "opens": opened[name],
            "operations": _counted(done.get(name), OPERATIONS, counted),
            "read": _counted(done.get(name), READ, counted),
            "written": _counted(done.get(name), WRITTEN, counted),
        }
        for name in sorted({*trees, *opened, *done})
    ]


def _counted(numbers: list[int] | None, which: int, counted: Counters | None) -> int | None:
    """None if nobody counts."""
    return None if counted is None else numbers[which] if numbers is not None else 0


def _open(open: Open) -> dict[str, Any]:
    return {
        "id": f"{open.volatile_id:#x}",
        "account": open.session.account,
        "share": open.tree.share.name,
        "path": open.path,
        "directory": open.is_directory,
        "pipe": open.pipe is not None,
        "access": f"{open.granted_access:#010x}",
        "oplock": open.oplock_level,
        "kept": _kept(open),
        "away": is_away(open),
        "caching": _caching(open),
        "since": open.creation_time,
    }


def _caching(open: Open) -> str:
    """What its client may cache: "batch", "lease RWH"; empty: nothing."""
    holder = open.holder
    if holder is None or not holder.level:
        return ""
    if holder.kind is Kind.OPLOCK:
        return _OPLOCKS[OPLOCK_OF[holder.level]]
    return "lease " + "".join(letter for right, letter in _RIGHTS if holder.level & right)


def _locks(open: Open) -> list[dict[str, Any]]:
    if open.inode is None:
        return []
    with open.inode.lock:
        held = open.inode.locks.of(open, MAX_LOCKS)
    return [
        {
            "open": f"{open.volatile_id:#x}",
            "account": open.session.account,
            "share": open.tree.share.name,
            "path": open.path,
            "offset": offset,
            "length": length,
            "exclusive": exclusive,
        }
        for offset, length, exclusive in held
    ]


def _kept(open: Open) -> str:
    """How it outlives its connection; empty: it does not."""
    durable = open.durable
    if durable is None:
        return ""
    kinds = {"persistent": durable.persistent, "resilient": durable.resilient}
    return next((name for name, is_it in kinds.items() if is_it), "durable" * durable.granted)
