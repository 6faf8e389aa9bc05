"""Crossover: the size from which on one arm is cheaper than the other."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tractable._core.random import as_generator
from tractable.stats import _thresholds as thresholds
from tractable.stats._arrays import Row, Table, positions, prepare, resampled_lines, student


@dataclass(frozen=True)
class Crossover:
    """The size at which the ratio of two arms passes 1.

    Args:
        point: the best single size; NaN where only a side is known.
        low, high: its interval; 0 or infinite where it may lie outside the sizes measured.
        cheaper: on which side of it the arm `of` costs less.
    """

    point: float
    low: float
    high: float
    cheaper: Literal["above", "below"]

    def __str__(self) -> str:
        """Say it in words, such as "above 32,768"."""
        if math.isinf(self.high):
            return f"above {self.low:,.0f}"
        if self.low == 0:
            return f"below {self.high:,.0f}"
        return f"{self.point:,.0f} ({self.low:,.0f} to {self.high:,.0f})"


def crossover(
    sizes: Row, log_ratio: Table, *, rng: int | np.random.Generator | None = 0
) -> Crossover | None:
    """Find where two arms cost the same (MEASURING 4.4).

    A straight line of the log-ratio against log size goes through the five sizes around the change
    of sign; rounds and sizes are resampled. A point is given only if the ratios at the smallest
    and at the largest size are decided on opposite sides of 1, since two equal arms would "cross"
    as well. If both ends are decided on the same side, and all between lie there too, the
    crossover lies outside: "below 512" where `of` is cheaper throughout, "above 32,768" where it
    is dearer throughout (it may then lie nowhere).

    Args:
        sizes: increasing and positive.
        log_ratio: the paired log(of / over) of each block; NaN where not measured.
        rng: seed of the resampling; the same rows give the same interval.

    Returns:
        The crossover, or None where nothing can be said.

    Raises:
        ShapeError: if table and sizes do not fit together.
        RangeError: if sizes do not increase.

    Example:
        >>> import numpy as np
        >>> sizes = 2.0 ** np.arange(5, 12)
        >>> str(crossover(sizes, np.log(256 / sizes) + np.array([[-0.01], [0.0], [0.01]])))
        '256 (253 to 259)'
    """
    (table,) = prepare(log_ratio)
    x = positions(sizes, table.shape[1], "log")
    kept = (~np.isnan(table)).any(axis=0)
    x, table, sizes = x[kept], table[:, kept], np.asarray(sizes)[kept]
    if x.size < thresholds.GROWTH_SIZES:
        return None
    mean, width = student(table, pooled=True, confidence=thresholds.CONFIDENCE)
    first, last = (np.sign(mean[end]) if abs(mean[end]) > width[end] else 0 for end in (0, -1))
    if first * last == 0:
        return None
    if first == last:
        if (np.sign(mean) != first).any():
            return None
        if first < 0:
            return Crossover(math.nan, 0.0, float(sizes[0]), "above")
        return Crossover(math.nan, float(sizes[-1]), math.inf, "above")
    window = _around_sign_change(x, first * mean)
    slope, height = resampled_lines(x[window], first * table[:, window], as_generator(rng))
    falls = slope < 0
    # A resample that never falls through zero crosses after the window if it lies above zero, and
    # before the window if it lies below.
    middle = height + np.nan_to_num(slope) * x[window].mean()
    place = np.where(middle > 0, np.inf, -np.inf)
    place[falls] = -height[falls] / slope[falls]
    tail = (1 - thresholds.CONFIDENCE) / 2
    low, high = np.quantile(place[~np.isnan(slope)], [tail, 1 - tail], method="nearest")
    low, point, high = min(low, place[0]), place[0], max(high, place[0])
    before, after = low < x[0], high > x[-1]
    if (before and after) or not x[0] <= point <= x[-1]:
        return None
    return Crossover(
        float(np.exp(point)),
        0.0 if before else float(np.exp(low)),
        math.inf if after else float(np.exp(high)),
        "above" if first > 0 else "below",
    )


def _around_sign_change(x: Row, falling: Row) -> slice:
    """Return the sizes nearest to the place where means that start positive turn negative."""
    running = np.cumsum(falling)[:-1]
    before = int(running.argmax())  # the split with most above zero left, most below zero right
    left, right = falling[before], falling[before + 1]
    share = left / (left - right) if left > 0 > right else 0.5
    centre = x[before] + share * (x[before + 1] - x[before])
    count = min(thresholds.CROSSOVER_SIZES, x.size)
    starts = range(x.size - count + 1)
    start = min(starts, key=lambda at: float(np.abs(x[at : at + count] - centre).sum()))
    return slice(start, start + count)
