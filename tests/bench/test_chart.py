"""bench/chart.py: a picture that says what the table says."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from bench.chart import BAD, CPU, GOOD, Bar, chart

SVG = "{http://www.w3.org/2000/svg}"


def drawn(text: str, colour: str) -> list[tuple[float, float]]:
    """Left edge and width of the bars of one colour."""
    boxes = ElementTree.fromstring(text).iter(f"{SVG}rect")
    return [
        (float(b.get("x", 0)), float(b.get("width", 0))) for b in boxes if b.get("fill") == colour
    ]


def test_faster_is_to_the_right_and_slower_to_the_left_by_the_same_length() -> None:
    text = chart("all", [Bar("fast", 2.0, 1.0), Bar("slow", 0.5, 1.0)])
    ((good, right),) = drawn(text, GOOD)
    ((bad, left),) = drawn(text, BAD)
    assert right == left
    assert bad + left == good


def test_less_processor_time_is_to_the_right_too() -> None:
    text = chart("all", [Bar("cheap", 1.0, 0.25)])
    ((at, width),) = drawn(text, CPU)
    assert width > 100
    assert re.search(r">4\.00<", text)
    assert at == drawn(text, GOOD)[0][0]


def test_names_are_escaped_and_missing_figures_leave_a_gap() -> None:
    text = chart("a < b", [Bar("x & y", 0.0, 0.0)])
    assert not drawn(text, GOOD) + drawn(text, BAD) + drawn(text, CPU)
    texts = [found.text for found in ElementTree.fromstring(text).iter(f"{SVG}text")]
    assert "a < b" in texts
    assert "x & y" in texts
