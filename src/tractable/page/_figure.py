"""One experiment's curves as SVG: medians, bands from lowest to highest round, log axes."""

import math
from collections.abc import Callable, Sequence
from typing import Any
from xml.sax.saxutils import escape

__all__ = ["curve_svg"]

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 76, 24, 56, 52
COLOURS = {"method": "#0b6bcb", "baseline": "#c2410c", "knockout": "#6b7280"}
PEERS = ("#15803d", "#7e22ce", "#a16207", "#be185d", "#0e7490", "#4d7c0f")
DASHES = {"method": "", "baseline": "7 4", "knockout": "2 4"}

Scale = Callable[[float], float]


def curve_svg(found: dict[str, Any], title: str) -> str:
    """Draw an experiment as a stored verdict describes it.

    Args:
        found: one item of a verdict's `experiments`.
        title: the heading.

    Returns:
        A complete SVG document.
    """
    curves = found["curves"]
    arms = curves["arms"]
    names = _names(arms)
    place = {name: index for index, name in enumerate(names)}
    lines = [
        [(place[p[0]] if names else float(p[0]), *(float(v) for v in p[1:])) for p in arm["points"]]
        for arm in arms
    ]
    points = [point for line in lines for point in line]
    if not points:
        return _document(title, ['<text x="76" y="200">nothing measured</text>'])
    log_x = not names and curves["scale"] == "log" and all(p[0] > 0 for p in points)
    log_y = all(p[2] > 0 for p in points)
    x = _scale([p[0] for p in points], LEFT, WIDTH - RIGHT, log_x)
    y = _scale([v for p in points for v in p[1:]], HEIGHT - BOTTOM, TOP, log_y)
    parts = _axes(points, (x, y), (log_x, log_y), curves, names)
    if found.get("crossover_point"):
        at = x(found["crossover_point"])
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="cross"/>'
        )
    peers = iter(PEERS * len(arms))
    for row, (arm, line) in enumerate(zip(arms, lines, strict=True)):
        role = arm["role"]
        colour = COLOURS.get(role) or next(peers)
        label = escape(arm["name"].replace("_", " "))
        pen = f'stroke="{colour}" stroke-dasharray="{DASHES.get(role, "1 3")}"'
        parts += [*_legend(label, pen, row), *_arm(label, line, (x, y), pen, colour)]
    return _document(title, parts)


def _names(arms: Sequence[dict[str, Any]]) -> list[str]:
    """Return the instance names, none where the sweep is over numbers."""
    sizes = list(dict.fromkeys(p[0] for arm in arms for p in arm["points"]))
    return sizes if any(isinstance(size, str) for size in sizes) else []


def _legend(label: str, pen: str, row: int) -> list[str]:
    at, height = LEFT + 12 + 140 * (row % 4), TOP - 24 + 14 * (row // 4)
    return [
        f'<line x1="{at}" x2="{at + 22}" y1="{height}" y2="{height}" {pen} stroke-width="2"/>',
        f'<text x="{at + 28}" y="{height + 4}">{label}</text>',
    ]


def _arm(
    label: str,
    line: Sequence[tuple[float, ...]],
    scales: tuple[Scale, Scale],
    pen: str,
    colour: str,
) -> list[str]:
    x, y = scales
    upper = [f"{x(p[0]):.1f},{y(p[3]):.1f}" for p in line]
    lower = [f"{x(p[0]):.1f},{y(p[2]):.1f}" for p in reversed(line)]
    middle = " ".join(f"{x(p[0]):.1f},{y(p[1]):.1f}" for p in line)
    dots = [
        f'<circle cx="{x(p[0]):.1f}" cy="{y(p[1]):.1f}" r="3" fill="{colour}">'
        f"<title>{label}: {p[1]:.6g} at {p[0]:.6g}</title></circle>"
        for p in line
    ]
    return [
        f'<polygon points="{" ".join(upper + lower)}" fill="{colour}" opacity="0.15"/>',
        f'<polyline points="{middle}" {pen}/>',
        *dots,
    ]


def _axes(
    points: Sequence[tuple[float, ...]],
    scales: tuple[Scale, Scale],
    logs: tuple[bool, bool],
    curves: dict[str, Any],
    names: Sequence[str],
) -> list[str]:
    x, y = scales
    floor = HEIGHT - BOTTOM
    parts = [f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" '
             f'height="{floor - TOP}" class="frame"/>']  # fmt: skip
    across = [(float(i), name) for i, name in enumerate(names)] or [
        (tick, _number(tick)) for tick in _ticks([p[0] for p in points], logs[0])
    ]
    for value, label in across:
        parts.append(
            f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{floor}" y2="{floor + 5}" '
            f'class="tick"/><text x="{x(value):.1f}" y="{floor + 18}" text-anchor="middle">'
            f"{escape(str(label))}</text>"
        )
    for value in _ticks([v for p in points for v in p[1:]], logs[1]):
        parts.append(
            f'<line x1="{LEFT - 5}" x2="{LEFT}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
            f'class="tick"/><text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">'
            f"{_number(value)}</text>"
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">{escape(curves["axis"])}</text>'
    )
    parts.append(
        f'<text transform="translate(16 {(TOP + floor) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(curves['metric'])}</text>"
    )
    return parts


def _scale(values: Sequence[float], start: float, end: float, log: bool) -> Scale:
    def place(value: float) -> float:
        return math.log(value) if log else value

    low, high = place(min(values)), place(max(values))
    margin = 0.04 * (high - low) or 0.5
    low, high = low - margin, high + margin
    return lambda value: start + (place(value) - low) / (high - low) * (end - start)


def _ticks(values: Sequence[float], log: bool) -> list[float]:
    low, high = min(values), max(values)
    if log:
        first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
        if last - first >= 1:
            step = max(1, (last - first) // 6)
            return [10.0**power for power in range(first, last + 1, step)]
        first, last = math.ceil(math.log2(low)), math.floor(math.log2(high))
        return [2.0**power for power in range(first, last + 1)] or [low]
    if high == low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / 2))
    step *= max(1, round((high - low) / step / 5))
    return [step * index for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _number(value: float) -> str:
    if value >= 1e6 or 0 < abs(value) < 1e-3:
        return f"{value:.0e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    return f"{value:,.0f}" if value >= 10 or float(value).is_integer() else f"{value:.3g}"


def _document(title: str, parts: Sequence[str]) -> str:
    style = (
        "text{font:12px system-ui,sans-serif;fill:#333}.title{font-size:15px;font-weight:600}"
        ".tick{stroke:#888}polyline{fill:none;stroke-width:2}.frame{fill:none;stroke:#bbb}"
        ".cross{stroke:#111;stroke-dasharray:1 4}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}.cross{stroke:#eee}}"
    )
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">\n'
        f"<title>{escape(title)}</title><style>{style}</style>\n"
        f'<text x="{LEFT}" y="18" class="title">{escape(title)}</text>\n{body}\n</svg>\n'
    )
