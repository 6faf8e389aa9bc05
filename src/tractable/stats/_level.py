"""Level: a value or a ratio at every size, and the noise that it swims in."""

import math

import numpy as np
from jaxtyping import Float

from tractable.stats import _thresholds as thresholds
from tractable.stats._arrays import Kind, Table, check_kind, log_quotient, prepare, spread, student
from tractable.stats._verdicts import Estimate, Interval


def level(
    of: Table,
    over: Table | None = None,
    *,
    log_ratio: Table | None = None,
    kind: Kind,
    bare_direction: bool = False,
) -> Estimate:
    """Estimate a value, or a ratio of two, at each size (MEASURING 4.3).

    Clocked values and ratios are judged on their logarithms, with Student's t and one spread
    pooled over all sizes: three rounds alone know little about spread. Other values without
    `over` may be zero or negative: they are judged as they are, each size with its own spread,
    since that of a regret grows with the size. Where a seed's ratio has no logarithm, the ratio of
    the means over seeds is taken instead, with Fieller's interval, and the note says so. Counts
    that agree in all rounds leave no width.

    Args:
        of: the value; NaN where not measured, infinite for a run that never reached its target
            (its size then counts as not measured, so that the criterion cannot be met).
        over: the value that it is divided by.
        log_ratio: the paired log(of / over) of each block, better than that of the medians.
        kind: "clocked" (seconds, bytes), "seeded" (regret, accuracy) or "counted".
        bare_direction: the bound is exactly 1 ("faster", by however little): take the 99 %
            interval.

    Returns:
        One interval a column, None where nothing was measured. Reason: "one round". Notes: "ratio
        of means", "undefined ratio" (the denominator is not safely above zero at some size).

    Raises:
        ShapeError: if the tables do not fit together.
        RangeError: for another kind.

    Example:
        >>> import numpy as np
        >>> level(np.array([[30.0], [30.0]]), kind="counted").intervals
        (Interval(point=30.0, low=30.0, high=30.0),)
    """
    check_kind(kind)
    confidence = thresholds.BARE_CONFIDENCE if bare_direction else thresholds.CONFIDENCE
    tables = prepare(of, over, log_ratio)
    costs = tables[: 1 if over is None else 2]
    positive = bool(np.all([(cost > 0) | np.isnan(cost) for cost in costs]))
    note = ""
    if log_ratio is not None or kind == "clocked" or (over is not None and positive):
        table = tables[-1] if log_ratio is not None else log_quotient(costs)
        mean, width = student(table, pooled=True, confidence=confidence)
        with np.errstate(over="ignore"):
            ends = np.exp([mean, mean - width, mean + width])
    elif over is None:
        table = costs[0]
        mean, width = student(table, pooled=False, confidence=confidence)
        ends = np.stack([mean, mean - width, mean + width])
    else:
        table, ends = costs[0], _ratios_of_means(costs[0], costs[1], confidence)
        note = "ratio of means"
    measured = (~np.isnan(table)).any(axis=0)
    if note and np.isnan(ends[0, measured]).any():
        note = "undefined ratio"
    intervals = tuple(
        Interval(*column) if seen else None
        for column, seen in zip(ends.T.tolist(), measured, strict=True)
    )
    alone = measured.any() and (~np.isnan(table)).any(axis=1).sum() < 2
    return Estimate(intervals, reason="one round" if alone else "", note=note)


def _ratios_of_means(of: Table, over: Table, confidence: float) -> Float[np.ndarray, "3 sizes"]:
    """Return ratios of paired means with Fieller's ends, which are exact for normal values."""
    top, a = student(of, pooled=False, confidence=confidence)
    bottom, b = student(over, pooled=False, confidence=confidence)
    _, both = student(of + over, pooled=False, confidence=confidence)
    defined = bottom > b  # else no ratio can be excluded
    top, a, b, both = (np.where(defined, each, 0) for each in (top, a, b, both))
    bottom = np.where(defined, bottom, 1)
    leading = bottom**2 - b**2
    middle = top * bottom - (both**2 - a**2 - b**2) / 2
    root = np.sqrt(np.maximum(middle**2 - leading * (top**2 - a**2), 0))
    ends = np.stack([top / bottom, (middle - root) / leading, (middle + root) / leading])
    return np.where(defined, ends, [[np.nan], [-np.inf], [np.inf]])


def noise_floor(log_ratio: Table) -> float:
    """Return the spread over rounds of the log-ratio, pooled over sizes (MEASURING 3.5).

    Args:
        log_ratio: the paired log(of / over) of each block; NaN where not measured.

    Returns:
        A standard deviation, 0.15 for 15 %; NaN if no size was measured twice.

    Example:
        >>> import numpy as np
        >>> round(noise_floor(np.log(np.array([[1.0, 2.0], [1.1, 2.2]]))), 3)
        0.067
    """
    number, _, squares = spread(*prepare(log_ratio))
    freedom = np.maximum(number - 1, 0).sum()
    return math.sqrt(squares.sum() / freedom) if freedom else math.nan
