"""Measurements as a table of ratios and as TSV."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final, NamedTuple


class Measurement(NamedTuple):
    """One row, one server, one round; ``error`` is '' when it worked."""

    row: str
    unit: str
    server: str
    round: int
    value: float  # in ``unit``
    server_us: float  # processor time of the server per operation
    client_us: float  # of the generator
    median_us: float  # latency
    late_us: float
    cores: float = 0.0  # processor seconds of the server for each second
    error: str = ""


HEADER: Final = "\t".join(Measurement._fields) + "\n"
NONE: Final = "-"


class Cell(NamedTuple):
    """A row of one server over all rounds."""

    value: float
    low: float
    high: float
    server_us: float
    median_us: float
    cores: float


def tsv(measurements: Sequence[Measurement]) -> str:
    return HEADER + "".join(
        "\t".join(f"{field:.3f}" if isinstance(field, float) else str(field) for field in one)
        + "\n"
        for one in measurements
    )


def cell(measurements: Sequence[Measurement], row: str, server: str) -> Cell | None:
    """Medians of the rounds that worked; None when one did not."""
    found = [one for one in measurements if (one.row, one.server) == (row, server)]
    if not found or any(one.error for one in found):
        return None
    values = [one.value for one in found]
    return Cell(
        statistics.median(values),
        min(values),
        max(values),
        statistics.median(one.server_us for one in found),
        statistics.median(one.median_us for one in found),
        statistics.median(one.cores for one in found),
    )


def ratio(over: float, under: float) -> str:
    return f"{over / under:.2f}" if under else NONE


def markdown(measurements: Sequence[Measurement], base: str, other: str) -> str:
    """``other`` beside ``base``.

    The first ratio is of rates (above 1: ``other`` does more), the second of the servers' processor
    time per operation (below 1: ``other`` needs less): the steadier one on a machine in use.
    Cores are processor seconds of the server for each second.
    """
    lines = [
        f"| row | unit | {base} | {other} | {other}/{base} | CPU µs/op {base} | CPU µs/op {other} |"
        f" CPU {other}/{base} | latency µs {base} | latency µs {other} | cores {base} |"
        f" cores {other} |",
        "|---|---|" + "---:|" * 10,
    ]
    for row, unit in dict.fromkeys((one.row, one.unit) for one in measurements):
        left, right = cell(measurements, row, base), cell(measurements, row, other)
        columns = [row, unit, spread(left), spread(right)]
        columns.append(ratio(right.value, left.value) if left and right else NONE)
        columns += [f"{one.server_us:.1f}" if one else NONE for one in (left, right)]
        columns.append(ratio(right.server_us, left.server_us) if left and right else NONE)
        columns += [f"{one.median_us:.0f}" if one else NONE for one in (left, right)]
        columns += [f"{one.cores:.2f}" if one else NONE for one in (left, right)]
        lines.append("| " + " | ".join(columns) + " |")
    return "\n".join(lines) + "\n"


def spread(found: Cell | None) -> str:
    if found is None:
        return "failed"
    return f"{found.value:,.0f} ({found.low:,.0f}..{found.high:,.0f})"
