"""Growth: the exponent of a cost, and whether a fixed cost hides it."""

import math
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri, stdtrit

from tractable._core.random import as_generator
from tractable.stats import _arrays as arrays
from tractable.stats import _thresholds as thresholds
from tractable.stats._arrays import Kind, Row, Table
from tractable.stats._verdicts import Estimate, Interval


def growth(
    sizes: Row,
    of: Table,
    over: Table | None = None,
    *,
    log_ratio: Table | None = None,
    kind: Kind,
    axis: Literal["log", "linear"] = "log",
    rng: int | np.random.Generator | None = 0,
) -> Estimate:
    """Estimate how fast a cost, or a ratio of two costs, grows with the size (MEASURING 4.1, 4.2).

    The answer is the slope of log(of / over) against log(size): 2 for T^2, about 1.1 for T log T.
    Clocked costs lose their small sizes until what is left is hardly touched by a fixed cost;
    rounds and sizes are resampled. Otherwise seeds are averaged before the logarithm is taken, so
    that a seed with cost zero does no harm, and seeds are resampled; the resulting interval is
    widened by Student's factor for the number of seeds, since few of them understate the spread.
    Counts that agree in all rounds are exact.

    Args:
        sizes: increasing.
        of: the cost; NaN where not measured, infinite for a run that never reached its target
            (either leaves its size out, the first only if the size has no other round).
        over: the cost that it is divided by.
        log_ratio: the paired log(of / over) of each block, better than that of the medians; for
            clocked costs only.
        kind: "clocked" (seconds, bytes), "seeded" (regret, accuracy) or "counted".
        axis: "linear" for laws that are exponential in the size: the slope is then the rate.
        rng: seed of the resampling; the same rows give the same interval.

    Returns:
        One interval, with the sizes it rests on. Reasons: "too few sizes", "one round", "fixed
        cost", "undefined ratio".

    Raises:
        ShapeError: if the tables and sizes do not fit together.
        RangeError: for another kind or axis, or sizes that do not increase or have no logarithm.

    Example:
        >>> import numpy as np
        >>> sizes = np.array([64.0, 128.0, 256.0])
        >>> (interval,) = growth(sizes, np.tile(sizes**2, (3, 1)), kind="counted").intervals
        >>> round(interval.point, 9), interval.high - interval.low
        (2.0, 0.0)
    """
    arrays.check_kind(kind)
    tables = arrays.prepare(of, over, log_ratio)
    costs, table = tables[: 1 if over is None else 2], tables[0]
    x = arrays.positions(sizes, table.shape[1], axis)
    if kind == "clocked":
        quotient = arrays.log_quotient(costs)
        table = quotient if log_ratio is None else np.where(np.isnan(quotient), np.nan, tables[-1])
    known = ~np.isnan(table)
    kept = np.flatnonzero(known.any(axis=0))
    if not kept.size:
        return Estimate()
    wanted = thresholds.FIXED_COST_SIZES if kind == "clocked" else thresholds.GROWTH_SIZES
    narrow = axis == "log" and np.exp(np.ptp(x[kept])) < thresholds.SEEDED_FACTOR * (1 - 1e-9)
    rounds = int(known.any(axis=1).sum())
    reason = "one round" if rounds < 2 else ""
    if kept.size < wanted or (kind == "seeded" and narrow):
        reason = "too few sizes"
    elif kind == "clocked":
        medians = [np.nanmedian(np.where(known, cost, np.nan)[:, kept], axis=0) for cost in costs]
        free = kept[max(_first_free(x[kept], each) for each in medians) :]
        reason = reason or ("fixed cost" if free.size < wanted else "")
        kept = kept if reason else free
    generator, widening = as_generator(rng), 1.0
    if kind == "clocked":
        slopes, _ = arrays.resampled_lines(x[kept], table[:, kept], generator)
    else:
        slopes = _slopes_of_means(x[kept], [cost[:, kept] for cost in costs], generator)
        if np.isnan(slopes[0]) or np.isnan(slopes).mean() > thresholds.UNDEFINED_SHARE:
            reason = reason or "undefined ratio"
        tail, freedom = (1 + thresholds.CONFIDENCE) / 2, max(rounds - 1, 1)
        widening = stdtrit(freedom, tail) / ndtri(tail) * math.sqrt((freedom + 1) / freedom)
    shown: tuple[Interval, ...] = ()
    if not np.isnan(slopes[0]):
        alone = Interval(float(slopes[0]), -np.inf, np.inf)
        shown = (_interval(slopes, widening) if rounds > 1 else alone,)
    return Estimate(shown, tuple(np.asarray(sizes)[kept].tolist()), reason)


def _first_free(x: Row, medians: Row) -> int:
    """Return the first index from which on the fixed cost is a small share of every median.

    The model is fixed + factor * exp(rate * x), a power law on a log axis, fitted to relative
    errors, both parts at least zero: for each of many rates a two-column least squares.
    """
    rate = np.geomspace(0.3, 60.0, 200)[:, None]  # logs of the growth from first to last size
    growing = np.exp(rate * (x - x[-1]) / (x[-1] - x[0])) / medians * medians.max()
    level = np.ones_like(growing) / medians * medians.max()
    aa, bb, ab = (level**2).sum(1), (growing**2).sum(1), (level * growing).sum(1)
    a, b = level.sum(1), growing.sum(1)
    determinant = np.maximum(aa * bb - ab**2, 1e-12 * aa * bb)
    fixed = (bb * a - ab * b) / determinant
    factor = (aa * b - ab * a) / determinant
    fixed, factor = (
        np.where(factor < 0, a / aa, np.maximum(fixed, 0)),
        np.where(fixed < 0, b / bb, np.maximum(factor, 0)),
    )
    errors = ((fixed[:, None] * level + factor[:, None] * growing - 1) ** 2).sum(1)
    burdened = (fixed[:, None] * level)[errors.argmin()] >= thresholds.FIXED_COST_SHARE
    return int(np.flatnonzero(burdened)[-1]) + 1 if burdened.any() else 0


def _slopes_of_means(
    x: Row, costs: list[Table], rng: np.random.Generator
) -> Float[np.ndarray, "draws"]:
    """Return the slope through the logarithms of means over seeds: the data's, then resamples'.

    It is NaN where a mean is not positive or a size has no seed left.
    """
    weights = arrays.draw_weights(costs[0].shape[0], rng)
    number = np.maximum(weights @ ~np.isnan(costs[0]), 1)
    means = [(weights @ np.nan_to_num(cost)) / number for cost in costs]
    centred = x - x.mean()
    return np.asarray(arrays.log_quotient(means) @ centred / max(centred @ centred, 1e-300))


def _interval(slopes: Float[np.ndarray, "draws"], widening: float) -> Interval:
    """Return the percentile interval around the first slope, widened by a factor."""
    point, half = float(slopes[0]), thresholds.CONFIDENCE / 2
    ends = np.quantile(slopes[~np.isnan(slopes)], [0.5 - half, 0.5 + half])
    low, high = (float(end) for end in point + widening * (ends - point))
    return Interval(point, min(low, point), max(high, point))
