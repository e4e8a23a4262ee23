"""The table of ratios as a picture: an SVG without scripts, fonts or colours that need them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

ROW: Final = 26  # pixels
LABEL: Final = 290
PLOT: Final = 480
TOP: Final = 62
SIDE: Final = 60  # for the figure behind a bar
BAR: Final = 9
GOOD, BAD, CPU, GRID = "#2a7f62", "#b5523b", "#8d99ae", "#dddddd"
STYLE: Final = "text{font:12px sans-serif;fill:#222}.t{font-size:15px}.s{font-size:10px}"


class Bar(NamedTuple):
    """One row: how many times the other's rate we reach, for what share of its CPU."""

    name: str
    rate: float
    cpu: float


def chart(title: str, bars: Sequence[Bar]) -> str:
    """Bars from 1 on a logarithmic scale: to the right is better in both."""
    reach = max((abs(math.log2(v)) for b in bars for v in (b.rate, b.cpu) if v > 0), default=1)
    span = max(1, math.ceil(reach))
    middle, unit = LABEL + PLOT / 2, PLOT / 2 / span
    width, height = LABEL + PLOT + SIDE, TOP + ROW * len(bars) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text class="t" x="10" y="22">{escape(title)}</text>',
    ]
    for power in range(-span, span + 1):
        x = middle + power * unit
        lines.append(
            f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{TOP - 8}" y2="{height - 8}" '
            f'stroke="{"#222" if power == 0 else GRID}"/>'
        )
        label = f"{2**power:g}" if power >= 0 else f"1/{2**-power:g}"
        lines.append(
            f'<text class="s" x="{x:.0f}" y="{TOP - 12}" text-anchor="middle">{label}</text>'
        )
    for number, bar in enumerate(bars):
        y = TOP + ROW * number
        lines.append(f'<text x="10" y="{y + 14}">{escape(bar.name)}</text>')
        lines += _bar(middle, unit, y + 1, bar.rate, GOOD if bar.rate >= 1 else BAD)
        lines += _bar(middle, unit, y + 2 + BAR, 1 / bar.cpu if bar.cpu else 0.0, CPU)
    return "\n".join(lines) + "\n</svg>\n"


def _bar(middle: float, unit: float, y: float, value: float, colour: str) -> list[str]:
    """From 1 to *value*; nothing for a row without a figure."""
    if value <= 0:
        return []
    end = middle + math.log2(value) * unit
    left, width = min(middle, end), max(abs(end - middle), 0.5)
    anchor, at = ("start", end + 3) if value >= 1 else ("end", end - 3)
    return [
        f'<rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>',
        f'<text class="s" x="{at:.1f}" y="{y + BAR - 1}" text-anchor="{anchor}">{value:.2f}</text>',
    ]
