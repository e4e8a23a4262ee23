"""bench/report.py: medians, ratios, and what a failed row looks like."""

from __future__ import annotations

from bench.report import HEADER, Measurement, cell, markdown, tsv


def one(
    server: str, value: float, server_us: float, number: int = 0, error: str = ""
) -> Measurement:
    return Measurement(
        "echo", "op/s", server, number, value, server_us, 1.0, 30.0, 90.0, 0.5, error
    )


FOUND = [
    one("samba", 100.0, 20.0),
    one("samba", 300.0, 30.0, 1),
    one("samba", 200.0, 10.0, 2),
    one("ksmbd", 400.0, 5.0),
]


def test_a_cell_is_the_median_of_its_rounds_and_their_spread() -> None:
    found = cell(FOUND, "echo", "samba")
    assert found is not None
    assert (found.value, found.low, found.high, found.server_us) == (200, 100, 300, 20)


def test_the_table_shows_both_ratios() -> None:
    line = markdown(FOUND, "samba", "ksmbd").splitlines()[2]
    columns = [text.strip() for text in line.strip("|").split("|")]
    assert columns[:5] == ["echo", "op/s", "200 (100..300)", "400 (400..400)", "2.00"]
    assert columns[5:8] == ["20.0", "5.0", "0.25"]


def test_a_row_with_a_failure_has_no_figure() -> None:
    found = [*FOUND[:3], one("ksmbd", 0.0, 0.0, error="refused")]
    assert cell(found, "echo", "ksmbd") is None
    assert "| failed | - |" in markdown(found, "samba", "ksmbd")


def test_every_single_run_is_a_line_of_the_tsv() -> None:
    lines = tsv(FOUND).splitlines(keepends=True)
    assert lines[0] == HEADER
    assert len(lines) == 5
    assert lines[4].split("\t")[:6] == ["echo", "op/s", "ksmbd", "0", "400.000", "5.000"]
