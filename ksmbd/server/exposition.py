"""Prometheus' text format, version 0.0.4: families of samples as lines.

Why not the module prometheus_client: its counters take a lock for each step, which is dear where
requests are counted, and what is left of it then is this page.  The tests read what is written
here with its parser.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Number = int | float


class Sample(NamedTuple):
    """One line."""

    labels: Mapping[str, str]
    value: Number
    suffix: str = ""  # of a histogram: _bucket, _sum, _count


class Family(NamedTuple):
    """A metric: its samples differ in their labels."""

    name: str
    kind: str  # "counter", "gauge" or "histogram"
    help: str
    samples: Iterable[Sample]


def text(families: Iterable[Family]) -> str:
    """All of them, each with its help and kind."""
    return "".join(line for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}\n"
    yield f"# TYPE {family.name} {family.kind}\n"
    for labels, value, suffix in family.samples:
        shown = ",".join(f'{name}="{label(of)}"' for name, of in labels.items())
        yield (
            f"{family.name}{suffix}{{{shown}}} {value}\n"
            if shown
            else (f"{family.name}{suffix} {value}\n")
        )


def label(value: str) -> str:
    """The value of a label; what UTF-8 cannot say becomes ``?``."""
    return value.translate(_ESCAPES).encode("utf-8", "replace").decode()


def one(value: Number) -> list[Sample]:
    """A metric without labels."""
    return [Sample({}, value)]


def by(name: str, values: Mapping[str, Number]) -> list[Sample]:
    """One sample for each value of the label *name*."""
    return [Sample({name: key}, value) for key, value in values.items()]


def histogram(
    labels: Mapping[str, str], bounds: Iterable[float], counts: Iterable[int], total: float
) -> Iterator[Sample]:
    """The samples of one histogram.

    *bounds* are upper, in the unit of the metric; *counts* has one more, and is not cumulative.
    """
    below = 0
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        below += count
        yield Sample({**labels, "le": bound}, below, "_bucket")
    yield Sample(labels, total, "_sum")
    yield Sample(labels, below, "_count")
