"""One experiment's curves as SVG: medians, bands from lowest to highest round, log axes.

Where the sweep is over names nothing lies between two of them: arms stand side by side as dots.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from tractable.page._curves import Curves, Line, Point, read_curves
from tractable.page._text import clean, compact, exact

__all__ = ["curve_svg", "figure", "spark"]

COLOURS = {
    "method": ("#0b5fb8", "#6db3ff"),
    "baseline": ("#b34700", "#ff9d5c"),
    "knockout": ("#6b7280", "#9aa3ad"),
    "peer-0": ("#15803d", "#5fd38a"),
    "peer-1": ("#7e22ce", "#c99bff"),
    "peer-2": ("#8a6400", "#e0b640"),
    "peer-3": ("#be185d", "#ff8dbb"),
    "peer-4": ("#0e7490", "#56c7dd"),
    "peer-5": ("#4d7c0f", "#a5d65a"),
}
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#444}.title{font-size:15px;font-weight:600}"
    ".grid{stroke:#0001}.frame{fill:none;stroke:#bbb}.line{fill:none;stroke-width:2}"
    ".band{opacity:.14}.hit,.shape{fill:transparent}.cross{stroke:#111;stroke-dasharray:1 4}"
    ".baseline .line{stroke-dasharray:7 4}.knockout .line{stroke-dasharray:2 4}"
)
WIDTH = 7.0
"""Pixels that one letter of a label is taken to need."""

Scale = Callable[[float], float]


class Frame(NamedTuple):
    """A drawing's size, and the margins around its axes."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    labels: bool = True

    @property
    def floor(self) -> int:
        """Where the horizontal axis is."""
        return self.height - self.bottom

    @property
    def wall(self) -> int:
        """Where the axes end on the right."""
        return self.width - self.right


FILE = Frame(720, 420, 64, 128, 44, 48)
WIDE = Frame(620, 340, 52, 120, 22, 44)
NARROW = Frame(360, 280, 46, 14, 22, 42, labels=False)


def curve_svg(found: Mapping[str, Any], title: str) -> str:
    """Draw an experiment as a stored verdict describes it, as a file of its own.

    Args:
        found: one item of a verdict's `experiments`.
        title: the heading.

    Returns:
        A complete SVG document.
    """
    light = "".join(_coloured(name, pair[0]) for name, pair in COLOURS.items())
    dark = "".join(_coloured(name, pair[1]) for name, pair in COLOURS.items())
    dark = f"@media(prefers-color-scheme:dark){{text{{fill:#ddd}}.cross{{stroke:#eee}}{dark}}}"
    title = clean(title)
    head = f'<text x="{FILE.left}" y="20" class="title">{escape(title)}</text>'
    style = f"<style>{STYLE}{light}{dark}</style>"
    return _document(read_curves(found), FILE, title, f"{style}{head}")


def figure(curves: Curves, title: str, *, narrow: bool = False) -> str:
    """Draw curves for a page whose style sheet colours them."""
    return _document(curves, NARROW if narrow else WIDE, title, "")


def spark(curves: Curves, title: str) -> str:
    """Draw the method's and the baseline's curve in small, with a dot where they cross."""
    frame = Frame(160, 56, 9, 9, 5, 6)
    curves = curves.only("baseline", "method")
    if not curves.points:
        return ""
    x, y, _ = _scales(curves, frame)
    parts = [f'<path class="base" d="M{frame.left} {frame.floor + 3}H{frame.wall}"/>']
    for line in curves.lines:
        if not curves.names:
            parts.append(f'<polyline class="line {line.style}" points="{_path(line, x, y)}"/>')
        if curves.names or len(line.points) == 1:
            parts += [
                f'<circle class="dot {line.style}" cx="{x(point.size):.0f}" '
                f'cy="{y(point.median):.0f}" r="2.5"/>'
                for point in line.points
            ]
    if (place := _crossing(curves, x, y)) is not None:
        parts.append(f'<circle class="crossing" cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="3.5"/>')
    elif curves.beyond:
        at, way = (frame.left, -5) if curves.beyond == "below" else (frame.wall, 5)
        parts.append(
            f'<path class="crossing" d="M{at} {frame.height / 2:.0f}m0-5l{way} 5l{-way} 5z"/>'
        )
    return (
        f'<svg class="spark" viewBox="0 0 {frame.width} {frame.height}" role="img">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _document(curves: Curves, frame: Frame, title: str, head: str) -> str:
    if not curves.points:
        parts = [f'<text x="{frame.left}" y="{frame.height // 2}">nothing measured</text>']
    else:
        parts = _drawing(curves, frame)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {frame.width} {frame.height}" '
        f'role="img" class="figure">\n<title>{escape(title)}</title>{head}\n{body}\n</svg>\n'
    )


def _drawing(curves: Curves, frame: Frame) -> list[str]:
    x, y, log_y = _scales(curves, frame)
    parts = _axes(curves, frame, x, y, log_y)
    if curves.crossover is not None and frame.left <= x_at(curves, x) <= frame.wall:
        at = x_at(curves, x)
        side = 'text-anchor="end" ' if at > (frame.left + frame.wall) / 2 else ""
        shift = -6 if side else 6
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{frame.top}" y2="{frame.floor}" class="cross"/>'
            f'<text {side}x="{at + shift:.1f}" y="{frame.top - 6}" class="note">'
            f"crossover at {exact(float(f'{curves.crossover:.3g}'))}</text>"
        )
    ends = []
    for line, aside in zip(curves.lines, _asides(curves, frame), strict=True):
        moved = _moved(x, aside)
        parts.append(_arm(line, curves, moved, y))
        ends.append(moved(line.points[-1].size))
    if frame.labels:
        parts += _labels(curves, frame, ends, y)
    return parts


def _moved(x: Scale, aside: float) -> Scale:
    return lambda size: x(size) + aside


def _asides(curves: Curves, frame: Frame) -> list[float]:
    """Return how far right of its place each arm is drawn; arms stand side by side over names."""
    arms = len(curves.lines)
    if not curves.names:
        return [0.0] * arms
    step = min(10.0, 0.7 * (frame.wall - frame.left) / len(curves.names) / arms)
    return [(i - (arms - 1) / 2) * step for i in range(arms)]


def x_at(curves: Curves, x: Scale) -> float:
    """Return where the crossover is drawn; outside the frame if it cannot be."""
    point = curves.crossover
    return -1.0 if point is None or (curves.log and point <= 0) else x(point)


def _arm(line: Line, curves: Curves, x: Scale, y: Scale) -> str:
    if curves.names:
        parts = [
            f'<path class="line" d="M{x(p.size):.1f} {y(p.low):.1f}V{y(p.high):.1f}"/>'
            for p in line.points
        ]
    else:
        upper = [f"{x(p.size):.1f},{y(p.high):.1f}" for p in line.points]
        lower = [f"{x(p.size):.1f},{y(p.low):.1f}" for p in reversed(line.points)]
        parts = [
            f'<polygon class="band" points="{" ".join(upper + lower)}"/>',
            f'<polyline class="line" points="{_path(line, x, y)}"/>',
        ]
    for p in line.points:
        where = curves.names[int(p.size)] if curves.names else exact(p.size)
        around = f" ({exact(p.low)} to {exact(p.high)})" if p.low != p.high else ""
        said = f"{line.name}: {curves.metric} {exact(p.median)}{around} at {curves.axis} {where}"
        cx, cy = f"{x(p.size):.1f}", f"{y(p.median):.1f}"
        parts.append(
            f'<g><title>{escape(said)}</title><path class="hit" d="M{cx} {cy}m-9-9h18v18h-18z"/>'
            f'<circle class="dot" cx="{cx}" cy="{cy}" r="3"/></g>'
        )
    return f'<g class="arm {line.style}">{"".join(parts)}</g>'


def _labels(curves: Curves, frame: Frame, ends: Sequence[float], y: Scale) -> list[str]:
    """Name each line where it ends, moved apart where ends are close."""
    order = sorted(
        zip((y(line.points[-1].median) for line in curves.lines), curves.lines, ends, strict=True),
        key=lambda each: each[0],
    )
    places: list[float] = []
    for wanted, _, _ in order:
        places.append(max(wanted, places[-1] + 15) if places else max(wanted, frame.top + 6))
    over = max(0.0, places[-1] - frame.floor)
    for index in reversed(range(len(places))):
        limit = frame.floor if index == len(places) - 1 else places[index + 1] - 15
        places[index] = min(places[index], limit) if over else places[index]
    room = int((frame.right - 14) / WIDTH)
    made = []
    for (wanted, line, end), place in zip(order, places, strict=True):
        name = line.name if len(line.name) <= room else line.name[: room - 1] + "…"
        at = end + 5
        made.append(
            f'<g class="arm {line.style}"><path class="lead" '
            f'd="M{at:.0f} {wanted:.0f}L{frame.wall + 6} {place:.0f}"/>'
            f'<text class="label" x="{frame.wall + 9}" y="{place + 4:.0f}">{escape(name)}</text>'
            "</g>"
        )
    return made


def _axes(curves: Curves, frame: Frame, x: Scale, y: Scale, log_y: bool) -> list[str]:
    parts = []
    sizes = [point.size for point in curves.points]
    across = [(float(i), name) for i, name in enumerate(curves.names)] or [
        (tick, compact(tick) if not _is_power(tick) else exact(tick))
        for tick in _ticks(sizes, curves.log, 6 if frame.labels else 4)
    ]
    if len(across) > 8:
        across = across[:: math.ceil(len(across) / 8)]
    room = int((frame.wall - frame.left) / max(1, len(across)) / WIDTH)
    for value, whole in across:
        parts.append(
            f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{frame.top}" y2="{frame.floor}" '
            f'class="grid"/>'
        )
        # a name that is too long for its place goes on at its last blank
        first, _, last = whole.rpartition(" ") if len(whole) > room else ("", "", whole)
        for row, part in enumerate((first, last) if first else (last,)):
            label = part if len(part) <= room else part[: max(1, room - 1)] + "…"
            parts.append(
                f'<text x="{x(value):.1f}" y="{frame.floor + 14 + 11 * row}" '
                f'text-anchor="middle">{escape(label)}</text>'
            )
    for value in _ticks([v for p in curves.points for v in _heights(p, log_y)], log_y, 6):
        parts.append(
            f'<line x1="{frame.left}" x2="{frame.wall}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
            f'class="grid"/><text x="{frame.left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">'
            f"{compact(value)}</text>"
        )
    parts.append(
        f'<path class="frame" d="M{frame.left} {frame.top}V{frame.floor}H{frame.wall}"/>'
        f'<text x="{(frame.left + frame.wall) / 2:.0f}" y="{frame.height - 8}" '
        f'text-anchor="middle" class="axis">{escape(curves.axis[:60])}</text>'
    )
    if curves.crossover is None:
        parts.append(
            f'<text x="4" y="{frame.top - 8}" class="axis">{escape(curves.metric[:60])}</text>'
        )
    else:
        middle = (frame.top + frame.floor) // 2
        parts.append(
            f'<text transform="translate(11 {middle}) rotate(-90)" text-anchor="middle" '
            f'class="axis">{escape(curves.metric[:40])}</text>'
        )
    return parts


def _scales(curves: Curves, frame: Frame) -> tuple[Scale, Scale, bool]:
    points = curves.points
    log_y = all(point.median > 0 for point in points)
    sizes = [p.size for p in points] if not curves.names else [-0.5, len(curves.names) - 0.5]
    x = _scale(sizes, frame.left, frame.wall, curves.log)
    values = [v for p in points for v in _heights(p, log_y)]
    y = _scale(values, frame.floor, frame.top, log_y)
    lowest = min(values)
    return x, lambda value: y(max(value, lowest)), log_y


def _heights(point: Point, log: bool) -> tuple[float, ...]:
    """Return what the vertical axis must hold: a band down to zero has no place on a log one."""
    low = point.low if not log or point.low > 0 else point.median
    return (point.median, low, point.high)


def _scale(values: Sequence[float], start: float, end: float, log: bool) -> Scale:
    def place(value: float) -> float:
        return math.log(value) if log else value

    low, high = place(min(values)), place(max(values))
    margin = 0.04 * (high - low) or 0.5
    low, high = low - margin, high + margin
    # A margin vanishes beside one huge value: everything is drawn in the middle then.
    span = high - low or math.inf
    middle = (start + end) / 2 if math.isinf(span) else start
    return lambda value: middle + (place(value) - low) / span * (end - start)


def _ticks(values: Sequence[float], log: bool, most: int) -> list[float]:
    low, high = min(values), max(values)
    if high == low:
        return [low]
    if not log:
        return _even(low, high, most)
    if all(map(_is_power, values)):
        first, last = round(math.log2(low)), round(math.log2(high))
        step = math.ceil((last - first + 1) / most)
        return [2.0**power for power in range(first, last + 1, step)]
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    if last - first >= 2:
        step = math.ceil((last - first + 1) / most)
        return [10.0**power for power in range(first, last + 1, step)]
    for leads in ((1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        made = [lead * 10.0**p for p in range(first - 1, last + 1) for lead in leads]
        made = [tick for tick in made if low <= tick <= high]
        if len(made) >= 3:
            return made[:: math.ceil(len(made) / (most + 1))]
    return [low, high]


def _even(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((lead * power for lead in (1, 2, 2.5, 5, 10) if lead * power >= rough), rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [step * index for index in range(first, min(last, first + 2 * most) + 1)]


def _is_power(value: float) -> bool:
    """Whether a size is a power of two worth spelling as one."""
    return 2 <= value < 2**40 and math.frexp(value)[0] == 0.5


def _path(line: Line, x: Scale, y: Scale) -> str:
    return " ".join(f"{x(p.size):.1f},{y(p.median):.1f}" for p in line.points)


def _crossing(curves: Curves, x: Scale, y: Scale) -> tuple[float, float] | None:
    """Return where the crossover lies on the method's curve."""
    line = curves.line("method") or curves.line("baseline")
    at = x_at(curves, x)
    if line is None or curves.crossover is None:
        return None
    for left, right in zip(line.points, line.points[1:], strict=False):
        if left.size <= curves.crossover <= right.size and left.size < right.size:
            share = (at - x(left.size)) / (x(right.size) - x(left.size))
            return at, y(left.median) + share * (y(right.median) - y(left.median))
    return None


def _coloured(name: str, colour: str) -> str:
    return (
        f".{name} .line,.{name} .lead{{stroke:{colour}}}"
        f".{name} .band,.{name} .dot,.{name} .label{{fill:{colour}}}"
    )
