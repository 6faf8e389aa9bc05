"""Association: whether two numbers rank instances alike."""

import math

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from tractable._core import ShapeError
from tractable._core.checks import as_array
from tractable._core.random import as_generator
from tractable.stats import _thresholds as thresholds
from tractable.stats._verdicts import Estimate, Interval


def association(
    x: Float[np.ndarray, "*seeds instances"],
    y: Float[np.ndarray, "seeds instances"],
    *,
    rng: int | np.random.Generator | None = 0,
) -> Estimate:
    """Estimate Spearman's rank correlation over instances (MEASURING 4.6).

    Each instance counts with its median over seeds. The interval is Fisher's, with Bonett and
    Wright's variance over instances, to which the variance over resampled seeds is added. A
    perfect ranking of few instances is no certainty: the correlation is taken half a step of its
    scale below 1 when the interval is formed.

    Args:
        x: one number an instance, or one a seed and instance like `y`.
        y: the metric; NaN where not measured, infinite for a run that never reached its target
            (it ranks last, and is not dropped).
        rng: seed of the resampling of seeds.

    Returns:
        One interval. Reasons: "too few instances" and "constant values".

    Raises:
        ShapeError: if the tables do not fit together.

    Example:
        >>> import numpy as np
        >>> x = np.arange(10.0)
        >>> (interval,) = association(x, np.stack([x**2, x**2])).intervals
        >>> interval.point, round(interval.low, 2), interval.high
        (1.0, 0.96, 1.0)
    """
    from scipy.stats import rankdata  # heavy to load, and associations are rare

    values = as_array("y", y, ndim=2, finite=False, empty=True).astype(np.float64)
    marks = as_array("x", x, finite=False, empty=True).astype(np.float64)
    if marks.shape not in (values.shape, values.shape[1:]):
        raise ShapeError(f"x has shape {marks.shape}; wanted {values.shape} or {values.shape[1:]}")
    tables = np.stack([np.broadcast_to(marks, values.shape), values])
    tables = tables[:, :, (~np.isnan(tables)).any(axis=1).all(axis=0)]
    instances = tables.shape[2]
    if not instances:
        return Estimate()
    if instances < thresholds.ASSOCIATION_INSTANCES:
        return Estimate(reason="too few instances")
    # Ranks from the start: medians then exist for infinite values, and no unit matters.
    tables = rankdata(tables.reshape(2, -1), axis=1, nan_policy="omit").reshape(tables.shape)
    tables = np.where(np.isnan(tables), np.nanmedian(tables, axis=1, keepdims=True), tables)
    point = _rank_correlation(np.median(tables, axis=1)[:, None])[0]
    if math.isnan(point):
        return Estimate(reason="constant values")
    most = 1 - 6 / (instances * (instances**2 - 1))
    seeds = tables.shape[1]
    variance = (1 + min(abs(point), most) ** 2 / 2) / (instances - 3)
    if seeds > 1 and (tables != tables[:, :1]).any():
        rows = as_generator(rng).integers(seeds, size=(thresholds.DRAWS, seeds))
        drawn = _rank_correlation(np.stack([np.median(each[rows], axis=1) for each in tables]))
        variance += np.nanvar(np.arctanh(np.clip(drawn, -most, most)))
    half = ndtri((1 + thresholds.CONFIDENCE) / 2) * math.sqrt(variance)
    centre = np.arctanh(np.clip(point, -most, most))
    low, high = (float(np.tanh(centre + sign * half)) for sign in (-1, 1))
    low, high = (-1.0 if point <= -most else low), (1.0 if point >= most else high)
    return Estimate((Interval(float(point), low, high),))


def _rank_correlation(pair: Float[np.ndarray, "2 draws instances"]) -> Float[np.ndarray, "draws"]:
    """Return Spearman's coefficient of each draw; ties share their mean rank; NaN if constant."""
    from scipy.stats import rankdata

    ranks = rankdata(pair, axis=2)
    ranks = ranks - ranks.mean(axis=2, keepdims=True)
    product = (ranks[0] * ranks[1]).sum(axis=1)
    scale = np.sqrt((ranks**2).sum(axis=2).prod(axis=0))
    coefficient = np.clip(product / np.where(scale > 0, scale, np.nan), -1.0, 1.0)
    return np.asarray(coefficient)
