"""Curves as text, for terminals and for `tractable show`."""

import math
from collections.abc import Mapping, Sequence

__all__ = ["draw_chart", "spell_number"]

MARKS = "●○▲△■□◆◇"

Point = tuple[float, float]


def draw_chart(
    series: Mapping[str, Sequence[Point]],
    *,
    x_label: str,
    y_label: str,
    log: bool = True,
    width: int = 56,
    height: int = 12,
) -> list[str]:
    """Draw several series into one grid of characters.

    Args:
        series: points (x, y) by name; with log axes only positive ones are drawn.
        x_label: what x is.
        y_label: what y is.
        log: logarithmic axes; a series with a value at or below zero makes y linear.
        width: of the plot, in characters.
        height: of the plot, in lines.

    Returns:
        The lines; a single line that says so where there is nothing to draw.
    """
    points = [point for line in series.values() for point in line]
    if not points:
        return ["  (nothing measured yet)"]
    log_x = log and all(x > 0 for x, _ in points)
    log_y = log and all(y > 0 for _, y in points)
    across = _scale([x for x, _ in points], width - 1, log_x)
    up = _scale([y for _, y in points], height - 1, log_y)
    grid = [[" "] * width for _ in range(height)]
    marked = list(zip(_marks(len(series)), series.items(), strict=True))
    legend = [f"{mark} {name}" for mark, (name, _) in marked]
    for mark, (_, line) in reversed(marked):  # the first series lies on top
        for x, y in line:
            grid[height - 1 - up(y)][across(x)] = mark
    low, high = min(y for _, y in points), max(y for _, y in points)
    edge = max(len(spell_number(low)), len(spell_number(high)))
    lines = [f"  {y_label}{' (log)' if log_y else ''}:  {'   '.join(legend)}"]
    for row, cells in enumerate(grid):
        label = spell_number(high) if row == 0 else spell_number(low) if row == height - 1 else ""
        lines.append(f"  {label:>{edge}} │{''.join(cells).rstrip()}")
    left, right = (spell_number(f(x for x, _ in points)) for f in (min, max))
    lines.append(f"  {'':>{edge}} └{'─' * width}")
    lines.append(f"  {'':>{edge}}  {left}{right:>{width - len(left)}}  {x_label}")
    return lines


def spell_number(value: float) -> str:
    """Write a number shortly: 32,768 · 1.5e-04 · 0.83."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e7 or size < 1e-3:
        return f"{value:.1e}"
    if size >= 100 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _scale(values: list[float], steps: int, log: bool) -> "Scale":
    return Scale(min(values), max(values), steps, log)


def _marks(number: int) -> str:
    return (MARKS * (number // len(MARKS) + 1))[:number]


class Scale:
    """Maps a value to a cell of the grid."""

    def __init__(self, low: float, high: float, steps: int, log: bool) -> None:
        """Span from the lowest to the highest value."""
        self.log, self.steps = log, steps
        self.low, self.high = self._place(low), self._place(high)

    def _place(self, value: float) -> float:
        return math.log(value) if self.log else value

    def __call__(self, value: float) -> int:
        """Return the cell."""
        if self.high == self.low:
            return 0
        return round((self._place(value) - self.low) / (self.high - self.low) * self.steps)
