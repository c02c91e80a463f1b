"""Throughput and latency by size, as an SVG: one small panel for each load and number of clients, one line per stack.

No library that draws is in the lock, and none is worth it for some lines and numbers.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

from tests.benchmarks.rows import Row

SIZES = ("1k", "100k", "1m")
COLORS = {"memory": "#7a5195", "write_through": "#2f6f4e", "postgres": "#1f5fa8", "redis_cached": "#c2412d"}
WIDTH, HEIGHT, LEFT, TOP, COLUMNS = 250, 150, 48, 26, 4

Value = Callable[[Row], float | None]
_KINDS: tuple[tuple[str, Value], ...] = (("per second", lambda row: row.value), ("p50, ms", lambda row: row.p50))


def drawn(rows: Sequence[Row]) -> str:
    """Return the picture of a run; of baselines and of several instances it shows nothing."""
    shown = [row for row in rows if row.clients and row.p50 and row.stack in COLORS and row.instances == 1]
    panels = sorted({(row.name, row.clients) for row in shown}, key=lambda one: _first(shown, one))
    chosen = [
        (f"{name}, {clients} client{'s' * (clients > 1)}, {kind}", _lines(shown, name, clients, value))
        for name, clients in panels
        for kind, value in _KINDS
    ]
    height = (math.ceil(len(chosen) / COLUMNS) or 1) * HEIGHT + 40
    body = "".join(_panel(number, title, lines) for number, (title, lines) in enumerate(chosen))
    size = f'width="{COLUMNS * WIDTH}" height="{height}"'
    style = "<style>text{font:10px sans-serif;fill:#333}.t{font-weight:bold}.a{stroke:#999;fill:none}</style>"
    page = f'<rect {size} fill="#fff"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{style}{page}{_legend()}{body}</svg>\n'


def _first(rows: Sequence[Row], panel: tuple[str, int]) -> int:
    return next(number for number, row in enumerate(rows) if (row.name, row.clients) == panel)


def _lines(rows: Sequence[Row], name: str, clients: int, value: Value) -> dict[str, dict[str, float]]:
    lines: dict[str, dict[str, float]] = {}
    for row in rows:
        figure = value(row)
        if (row.name, row.clients) == (name, clients) and figure is not None and row.scale in SIZES:
            lines.setdefault(row.stack, {})[row.scale] = figure
    return lines


def _legend() -> str:
    return "".join(
        f'<circle cx="{14 + 130 * number}" cy="14" r="4" fill="{color}"/>'
        f'<text x="{22 + 130 * number}" y="18">{stack}</text>'
        for number, (stack, color) in enumerate(COLORS.items())
    )


def _panel(number: int, title: str, lines: dict[str, dict[str, float]]) -> str:
    x, y = number % COLUMNS * WIDTH, number // COLUMNS * HEIGHT + 30
    wide, high = WIDTH - LEFT - 14, HEIGHT - TOP - 24
    top = max((figure for line in lines.values() for figure in line.values()), default=1.0) * 1.1
    parts = [f'<text class="t" x="4" y="14">{escape(title)}</text>']
    parts.append(f'<path class="a" d="M{LEFT} {TOP}v{high}h{wide}"/>')
    parts += [_label(LEFT - 4, TOP + high * (1 - share), f"{top * share:,.3g}", "end") for share in (0, 0.5, 1)]
    parts += [_label(_across(size, wide), TOP + high + 14, size, "middle") for size in SIZES]
    for stack, line in lines.items():
        points = [(_across(size, wide), TOP + high * (1 - line[size] / top)) for size in SIZES if size in line]
        parts += _drawn_line(points, COLORS[stack])
    return f'<g transform="translate({x},{y})">{"".join(parts)}</g>'


def _across(size: str, wide: int) -> float:
    return LEFT + 16 + SIZES.index(size) * (wide - 32) / (len(SIZES) - 1)


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{text}</text>'


def _drawn_line(points: Sequence[tuple[float, float]], color: str) -> Iterator[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>'
    for x, y in points:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{color}"/>'
