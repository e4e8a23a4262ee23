"""docs/oplocks.md, made from the tables of ksmbd/state/oplock.py.

python -m tests.support.oplock_page > docs/oplocks.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ksmbd.state import oplock
from ksmbd.state.oplock import Cause, Kind, Outcome, State

NAMES: Final[dict[Kind, dict[int, str]]] = {
    Kind.OPLOCK: {
        oplock.NONE: "none",
        oplock.II: "II",
        oplock.EXCLUSIVE: "exclusive",
        oplock.BATCH: "batch",
    },
    Kind.LEASE: {
        oplock.NONE: "none",
        oplock.R: "R",
        oplock.RH: "RH",
        oplock.RW: "RW",
        oplock.RWH: "RWH",
    },
}
TITLES: Final = {Kind.OPLOCK: "Oplocks", Kind.LEASE: "Leases"}

_HEAD: Final = f"""\
# Oplocks and leases

Made from the tables of `ksmbd/state/oplock.py` by `python -m tests.support.oplock_page`; a test
checks that it is current. How the decisions meet opens, locks and connections is told in
`ksmbd/state/caching.py`.

A client that holds an oplock or a lease may answer reads (R), keep writes and locks back (W), and
keep files open that its user has closed (H). Three things that somebody else does take rights away:

| cause | what it is |
|---|---|
| open | an open of the file for more than its attributes |
| change | overwriting, writing, byte-range locks, the size; of a directory: what it lists |
| handle | rename, hard link, deletion; an open that a share mode forbids |

**asked** means that the client must answer (or close the file) within {oplock.TIMEOUT_S:.0f}
seconds, after which it holds nothing; **told** means that the right is gone with the message.
**waits** is what the cause does meanwhile, without a thread. A state like `RWH > RH` is a client
that has been asked to go down to RH and has not answered; in `RWH > RH (R)` something has happened
since that leaves it R only, for which it will be asked next. Its answer may be any level that is
part of what it was asked for; less is always right.

What breaks nothing: an open for attributes alone, reading, and what the holder does itself (an
oplock II, though, ends when its own holder writes or locks). A lease is its client's and a file's,
whatever opens it has; the holder of a lease of a directory is not told of what is done with its
key as the parent's.

A client that is away (its connection is lost, and it has durable opens) cannot be asked. Where it
would have to answer, its durable opens of the file are closed instead, and nobody waits for longer
than that takes; what resilient and persistent opens hold goes down at once. What would break
nothing leaves it alone, and it finds its lease as it was: `ksmbd/state/absence.py`.
"""

_LOCAL: Final = """
## Local programs

Where a share says `kernel oplocks = yes`, a client caches only what a lease of the kernel
(fcntl(2), F_SETLEASE) stands behind, so that a local program, or nfsd, waits in its `open()` until
the client has written back. The lease is on the open's own descriptor:

| cached | the kernel's lease | can be had |
|---|---|---|
| W, with or without H | F_WRLCK | if this descriptor is the only one on the machine |
| R, with or without H | F_RDLCK | if nobody has the file open for writing, not even this open |
| nothing | none | always; what cannot be had above is not granted |

```mermaid
sequenceDiagram
    participant C as client
    participant S as ksmbd
    participant K as kernel
    participant P as local program
    C->>S: CREATE, batch
    S->>K: F_SETLEASE F_WRLCK
    S->>C: batch
    P->>K: open()
    Note over P: waits
    K->>S: signal, to the thread ksmbd-leases
    S->>C: break to none
    C->>S: WRITE what it has kept
    C->>S: keeps none
    S->>K: F_SETLEASE F_UNLCK
    K->>P: the file, as the client has it
```

| the local open | the client's open | break |
|---|---|---|
| for reading | only reads | open: W goes, and the kernel's lease becomes F_RDLCK |
| for reading | may write | change: everything goes, for F_RDLCK cannot be had |
| for writing, or truncating | | change |

Who does not answer loses its cache after {oplock.TIMEOUT_S:.0f} seconds; the kernel ends a lease
after /proc/sys/fs/lease-break-time, 45 unless somebody has changed it. A program that does not wait
(O_NONBLOCK) gets EWOULDBLOCK, and the break goes on.

To the kernel our own descriptors are as foreign as anybody's. So before a file is opened on disk
for another client, or by the same lease a second time, its holder is asked as in the table above
by the access that is wanted, and only then the file is opened. Between clients that means less
caching than without the parameter: who may write caches alone or not at all.

A CREATE of a file on which a local program has a lease waits for it, on any share, without a
thread, as long as the kernel lets the program; it tries again ever less often, since nobody tells
when the lease has gone. Directories have no leases of the kernel, nor has what no local program
can open: streams, which one client caches while it writes them alone, and opens for attributes
alone, which cache nothing.
"""


def name(kind: Kind, state: State) -> str:
    """As in ``RWH > RH (R)``."""
    names = NAMES[kind]
    if not state.breaking:
        return names[state.level]
    text = f"{names[state.level]} > {names[state.to]}"
    return text if state.required == state.to else f"{text} ({names[state.required]})"


def states(kind: Kind) -> list[State]:
    """All that can be reached, the held ones first."""
    found = [oplock.held(level) for level in oplock.LEVELS[kind]]
    for state in found:
        for outcome in (*causes(kind, state).values(), *answers(kind, state).values()):
            if outcome.state not in found:
                found.append(outcome.state)
    return found


def causes(kind: Kind, state: State) -> dict[Cause, Outcome]:
    return {cause: oplock.demand(kind, state, cause) for cause in Cause}


def answers(kind: Kind, state: State) -> dict[int, Outcome]:
    """By the level that the client keeps; none unless it was asked."""
    if not state.breaking:
        return {}
    return {
        level: oplock.acknowledge(kind, state, level)
        for level in oplock.LEVELS[kind]
        if oplock.accepts(kind, state, level)
    }


def words(kind: Kind, state: State, outcome: Outcome) -> str:
    """What an event does, in a few words: ``asked RH, waits``."""
    said = []
    if outcome.notice is not None:
        verb = "asked" if outcome.notice.ack else "told"
        said.append(f"{verb} {NAMES[kind][outcome.notice.to]}")
    elif outcome.state != state:
        said.append(f"to {name(kind, outcome.state)}")
    if outcome.waits:
        said.append("waits")
    return ", ".join(said) or "-"


def page() -> str:
    parts = [_HEAD]
    for kind in (Kind.LEASE, Kind.OPLOCK):
        parts.append(f"\n## {TITLES[kind]}\n\n{_diagram(kind)}\n{_table(kind)}")
    return "".join([*parts, _LOCAL.format(oplock=oplock)])


def _diagram(kind: Kind) -> str:
    """Without the states that a second cause makes: they are in the table."""
    lines = ["```mermaid", "stateDiagram-v2"]
    shown = [state for state in states(kind) if state.to == state.required]
    ids = {state: f"s{number}" for number, state in enumerate(shown)}
    lines += [f'    state "{name(kind, state)}" as {ids[state]}' for state in shown]
    lines += [f"    [*] --> {ids[state]}" for state in shown if not state.breaking and state.level]
    for state in shown:
        lines += [
            f"    {ids[state]} --> {ids[after]}: {label}"
            for after, label in _arrows(kind, state)
            if after in ids
        ]
    return "\n".join([*lines, "```", ""])


def _arrows(kind: Kind, state: State) -> Iterator[tuple[State, str]]:
    targets: dict[State, list[str]] = {}
    if not state.breaking:
        for cause, outcome in causes(kind, state).items():
            if outcome.state != state:
                targets.setdefault(outcome.state, []).append(cause.name.lower())
    for level, outcome in answers(kind, state).items():
        targets.setdefault(outcome.state, []).append(f"keeps {NAMES[kind][level]}")
    for after, labels in targets.items():
        yield after, ", ".join(labels)


def _table(kind: Kind) -> str:
    lines = ["| state | open | change | handle | answers |", "|---|---|---|---|---|"]
    for state in states(kind):
        cells = [words(kind, state, outcome) for outcome in causes(kind, state).values()]
        kept = [
            f"{NAMES[kind][level]}: {words(kind, state, outcome)}"
            for level, outcome in answers(kind, state).items()
        ]
        lines.append(f"| {name(kind, state)} | {' | '.join(cells)} | {'; '.join(kept) or '-'} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(page(), end="")
