"""What the server tells Prometheus: each family is a row of ``FAMILIES``; docs/metrics.md.

Nothing is kept for it but what ``ksmbd/server/counters.py`` counts and ``ksmbd/state/tally.py``;
all else is looked up when somebody asks.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import ksmbd
from ksmbd.server.clients import Clients
from ksmbd.server.counters import BOUNDS, COMMANDS, OPERATIONS, READ, WIDTH, WRITTEN, Counters
from ksmbd.server.exposition import Family, Number, Sample, by, histogram, one
from ksmbd.server.listener import Admission
from ksmbd.server.pool import Pool, PoolFigures
from ksmbd.state.server import Server
from ksmbd.state.tally import Event
from ksmbd.vfs.syscalls import descriptors_in_use
from ksmbd.wire.header import Command
from ksmbd.wire.status import NtStatus

_COMMANDS: Final = (*(command.name.lower() for command in Command), "unknown")
_SECONDS: Final = tuple(bound / 1e9 for bound in BOUNDS)
_FAILED: Final = 0x80000000  # the bit of warnings and errors
_A_STEP: Final = NtStatus.MORE_PROCESSING_REQUIRED  # of every log-on
_STAT: Final = Path("/proc/self/statm")  # pages
_SELF: Final = Path("/proc/self/stat")
_STARTED: Final = 22 - 3  # of starttime in stat, behind the name
_KINDS: Final = ("oplock", "lease")


class Sources(NamedTuple):
    """Where the numbers come from."""

    server: Server
    clients: Clients
    admission: Admission
    pool: Pool
    connected: Callable[[], bool]  # whether mountd is there


@dataclass(slots=True)
class Moment:
    """What several families need, looked up once."""

    sources: Sources
    counted: Counters
    pool: PoolFigures
    connections: int
    running: int
    waiting: int
    slow: int
    sessions: int
    trees: Counter[str]
    memory: tuple[int, int]


def families(sources: Sources, counted: Counters) -> Iterator[Family]:
    """Everything as it is now; *counted* of every request, as long as requests are counted."""
    moment = _look(sources, counted)
    for name, kind, told, samples in FAMILIES:
        yield Family(name, kind, told, samples(moment))


def _look(sources: Sources, counted: Counters) -> Moment:
    server = sources.server
    with server.lock:
        sessions = list(server.sessions.values())
    clients = sources.clients.all()
    trees: Counter[str] = Counter()
    for session in sessions:
        with session.lock:
            trees.update(tree.share.name for tree in session.trees.values())
    return Moment(
        sources=sources,
        counted=counted,
        pool=sources.pool.figures(),
        connections=len(clients),
        running=sum(len(client.connection.requests) for client in clients),
        waiting=sum(len(client.connection.async_commands) for client in clients),
        slow=sum(client.transport.slow for client in clients),
        sessions=len(sessions),
        trees=trees,
        memory=_memory(),
    )


# -- what is counted ---------------------------------------------------------------------


def _durations(moment: Moment) -> Iterator[Sample]:
    counted = moment.counted
    for row in range(COMMANDS + 1):
        counts = counted.buckets[row * WIDTH : (row + 1) * WIDTH]
        labels = {"command": _COMMANDS[row]}
        yield from histogram(labels, _SECONDS, counts, counted.ns[row] / 1e9)


def _failures(moment: Moment) -> list[Sample]:
    counts = {
        _status_name(status): count
        for status, count in sorted(moment.counted.statuses.items())
        if status & _FAILED and status != _A_STEP
    }
    return by("status", counts)


def _status_name(status: int) -> str:
    """All that are sent are members, so that there are only so many labels."""
    return NtStatus(status).name


def _share(which: int) -> Callable[[Moment], list[Sample]]:
    def samples(moment: Moment) -> list[Sample]:
        shares = sorted(moment.counted.shares.items())
        return by("share", {name: numbers[which] for name, numbers in shares})

    return samples


def _tally(event: Event, label: str, known: Iterable[str] = ()) -> Callable[[Moment], list[Sample]]:
    def samples(moment: Moment) -> list[Sample]:
        counts = moment.sources.server.tally.of(event)
        return by(label, {**dict.fromkeys(known, 0), **counts})

    return samples


# -- what is looked up -------------------------------------------------------------------


def _one(value: Callable[[Moment], Number]) -> Callable[[Moment], list[Sample]]:
    return lambda moment: one(value(moment))


def _logged_on(moment: Moment) -> int:
    return sum(moment.sources.server.tally.of(Event.LOGGED_ON).values())


def _trees(moment: Moment) -> list[Sample]:
    counts: Mapping[str, Number] = moment.trees
    return by("share", {name: counts[name] for name in sorted(counts)})


def _memory() -> tuple[int, int]:
    """Bytes of address space, and of those the ones in memory."""
    size, resident = map(int, _STAT.read_text().split()[:2])
    page = os.sysconf("SC_PAGE_SIZE")
    return size * page, resident * page


def _started() -> float:
    """When the process began, in seconds since 1970."""
    ticks = int(_SELF.read_text().rpartition(") ")[2].split()[_STARTED])
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time() - since_boot + ticks / os.sysconf("SC_CLK_TCK")


class Row(NamedTuple):
    """One family: what it is called, what it is, and who knows its samples."""

    name: str
    kind: str
    help: str
    samples: Callable[[Moment], Iterable[Sample]]


FAMILIES: Final = (
    Row("ksmbd_info", "gauge", "The version of the server; always 1.",
        lambda _: by("version", {ksmbd.__version__: 1})),
    Row("ksmbd_start_time_seconds", "gauge", "When the server began to serve, since 1970.",
        _one(lambda moment: moment.sources.server.start_time)),
    Row("ksmbd_mountd_connected", "gauge", "Whether ksmbd-mountd is there.",
        _one(lambda moment: int(moment.sources.connected()))),
    Row("ksmbd_request_duration_seconds", "histogram",
        "From the arrival of a request to its answer, by command.", _durations),
    Row("ksmbd_errors_total", "counter",
        "Answers with a status of warning or error, by NTSTATUS.", _failures),
    Row("ksmbd_share_operations_total", "counter", "Requests on a share.", _share(OPERATIONS)),
    Row("ksmbd_share_read_bytes_total", "counter", "Bytes that clients have read.", _share(READ)),
    Row("ksmbd_share_written_bytes_total", "counter", "Bytes that clients have written.",
        _share(WRITTEN)),
    Row("ksmbd_connections", "gauge", "Connections now.",
        _one(lambda moment: moment.connections)),
    Row("ksmbd_connections_accepted_total", "counter", "Connections that were served.",
        _one(lambda moment: moment.sources.server.connections_made)),
    Row("ksmbd_connections_refused_total", "counter",
        "Connections that were one too many, altogether or from their address.",
        _one(lambda moment: moment.sources.admission.refused)),
    Row("ksmbd_connections_slow", "gauge", "Connections whose clients do not fetch their replies.",
        _one(lambda moment: moment.slow)),
    Row("ksmbd_requests_running", "gauge", "Requests that have no answer yet.",
        _one(lambda moment: moment.running)),
    Row("ksmbd_requests_waiting", "gauge",
        "Those of them that wait for something, as their clients were told.",
        _one(lambda moment: moment.waiting)),
    Row("ksmbd_sessions", "gauge", "Sessions now, log-ons under way among them.",
        _one(lambda moment: moment.sessions)),
    Row("ksmbd_logons_total", "counter", "Log-ons that succeeded.", _one(_logged_on)),
    Row("ksmbd_logon_failures_total", "counter", "Log-ons that were refused, by reason.",
        _tally(Event.LOG_ON_FAILED, "reason")),
    Row("ksmbd_tree_connects", "gauge", "Tree connects now, by share.", _trees),
    Row("ksmbd_opens", "gauge", "Open files, directories and pipes now.",
        _one(lambda moment: len(moment.sources.server.opens))),
    Row("ksmbd_opens_limit", "gauge", "How many there may be.",
        _one(lambda moment: moment.sources.server.opens.limit)),
    Row("ksmbd_opens_away", "gauge", "Those of them that wait for their client to come back.",
        _one(lambda moment: len(moment.sources.server.durables))),
    Row("ksmbd_leases", "gauge", "Leases that clients hold now.",
        _one(lambda moment: len(moment.sources.server.caching.leases))),
    Row("ksmbd_breaks_total", "counter", "Breaks that clients were told of, by kind.",
        _tally(Event.BREAK, "kind", _KINDS)),
    Row("ksmbd_breaks_unanswered_total", "counter",
        "Breaks that were not answered in time, by kind.",
        _tally(Event.BREAK_UNANSWERED, "kind", _KINDS)),
    Row("ksmbd_workers", "gauge", "Worker threads.",
        _one(lambda moment: moment.pool.workers)),
    Row("ksmbd_workers_busy", "gauge", "Worker threads that have work.",
        _one(lambda moment: moment.pool.busy)),
    Row("ksmbd_workers_limit", "gauge", "How many worker threads there may be.",
        _one(lambda moment: moment.pool.max_workers)),
    Row("ksmbd_workers_started_total", "counter", "Worker threads that were started.",
        _one(lambda moment: moment.pool.grown)),
    Row("ksmbd_queue_depth", "gauge", "Work that waits for a worker thread.",
        _one(lambda moment: moment.pool.queued)),
    Row("ksmbd_threads", "gauge", "All threads.", _one(lambda _: threading.active_count())),
    Row("process_cpu_seconds_total", "counter", "Processor time, of user and system.",
        _one(lambda _: time.process_time())),
    Row("process_resident_memory_bytes", "gauge", "Memory in use.",
        _one(lambda moment: moment.memory[1])),
    Row("process_virtual_memory_bytes", "gauge", "Address space.",
        _one(lambda moment: moment.memory[0])),
    Row("process_open_fds", "gauge", "Descriptors in use.",
        _one(lambda _: descriptors_in_use())),
    Row("process_max_fds", "gauge", "How many there may be.",
        _one(lambda _: resource.getrlimit(resource.RLIMIT_NOFILE)[0])),
    Row("process_start_time_seconds", "gauge", "When the process began, since 1970.",
        _one(lambda _: round(_started(), 2))),
)  # fmt: skip
