"""The strip around a candidate's hyperplane: its mass, and how rows spread inside it."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from tractable._core import note
from tractable._core.checks import check_number
from tractable._core.random import as_generator
from tractable.theory.halfspace._ramp import NARROWEST, slope_of
from tractable.theory.halfspace._slabs import orthogonal_to
from tractable.theory.halfspace._target import (
    Check,
    Floats,
    check_direction,
    check_mass,
    check_rows,
    check_spectrum,
)

FOURTH = 6.0
"""The largest fourth moment wanted of any direction in the strip; a normal one has 3."""

ROWS_A_DIMENSION = 20
POWERS = 60


class StripMoments(NamedTuple):
    """Moments of the part of x orthogonal to w, weighted by k = -l'_sigma(<w, x>).

    Args:
        mass: E[k]. distance: E[k |<w, x>|].
        least: min over unit v orthogonal to w of E[k (v.x)^2].
        squares: max over v of E[k^2 (v.x)^2].
        fourth: at least max over v of E[k (v.x)^4].
    """

    mass: float
    distance: float
    least: float
    squares: float
    fourth: float

    @property
    def first(self) -> float:
        """A lower bound of min over v of E[k |v.x|], by Hölder's inequality."""
        if self.least <= 0.0 or self.fourth <= 0.0:
            return 0.0
        return float(self.least**1.5 / math.sqrt(self.fourth))


class Strip(NamedTuple):
    """Rows in a strip, and their moments but the fourth, which takes longer.

    Args:
        moments: with the least fourth moment that the others allow.
        rows: (m, d - 1) the parts orthogonal to w.
        weights: (m,) k over the number of all rows.
    """

    moments: StripMoments
    rows: Float[np.ndarray, "m d_less_one"]
    weights: Float[np.ndarray, "m"]

    def measured(self, delta: float, rng: np.random.Generator) -> StripMoments:
        """Return all moments; `fourth` is a bound but with probability delta."""
        if not self.rows.size:
            return self.moments
        fourth = largest_fourth(self.rows, self.weights, delta, rng)
        return self.moments._replace(fourth=max(fourth, self.moments.fourth))


def strip_of(X: Floats, w: Floats, sigma: float) -> Strip:
    """Return the rows on which a ramp along a unit vector has a slope."""
    projected = X @ w
    inside = np.abs(projected) < sigma / 2
    rows = X[inside] @ orthogonal_to(w)
    k = slope_of(projected[inside], sigma) / len(X)
    note("flops", 2 * X.size + 2 * rows.size * (X.shape[1] + 2 * rows.shape[1]))
    mass, distance = float(k.sum()), float(k @ np.abs(projected[inside]))
    if not rows.size or mass <= 0.0:
        return Strip(StripMoments(mass, distance, 0.0, 0.0, 0.0), rows[:0], k[:0])
    weighted = rows * k[:, None]
    least = max(0.0, float(np.linalg.eigvalsh(weighted.T @ rows)[0]))
    squares = float(np.linalg.eigvalsh(weighted.T @ weighted)[-1] * len(X))
    return Strip(StripMoments(mass, distance, least, squares, least**2 / mass), rows, k)


def largest_fourth(
    rows: Float[np.ndarray, "m k"],
    weights: Float[np.ndarray, "m"],
    delta: float,
    rng: np.random.Generator,
) -> float:
    """Return at least the largest sum of weights (v.x)^4 over unit v, but with probability delta.

    With v v' = I / k + B, the sum is a constant, a linear part in B, and a quadratic one,
    bounded by the largest eigenvalue on symmetric matrices of trace zero, which is bounded by
    powers from a random start: |M^p g|^(1/p) misses it only if g is nearly orthogonal to the
    eigenvector. For normal rows all three bounds are sharp as their number grows.
    """
    width = rows.shape[1]
    lengths = (rows**2).sum(axis=1)
    constant = float(weights @ lengths**2) / width**2
    linear = rows.T @ (rows * (weights * lengths)[:, None])
    slope = float(np.linalg.eigvalsh(linear)[-1]) - float(np.trace(linear)) / width
    if width == 1:
        return float(constant)
    start = rng.standard_normal((width, width))
    matrix = (start + start.T) / 2.0  # a standard normal in the space of symmetric matrices
    matrix -= np.eye(width) * (np.trace(matrix) / width)
    logarithm = 0.0
    for _ in range(POWERS):
        length = float(np.linalg.norm(matrix))
        if length <= 0.0:
            break
        logarithm += math.log(length)
        matrix /= length
        values = np.einsum("ij,ij->i", rows @ matrix, rows)
        matrix = rows.T @ (rows * (weights * values)[:, None])
        matrix -= np.eye(width) * (np.trace(matrix) / width)
    note("flops", 4 * POWERS * rows.size * width)
    length = float(np.linalg.norm(matrix))
    top = 0.0
    if length > 0.0:
        # P(|g| <= s) <= s sqrt(2 / pi) for a standard normal coordinate g
        missed = math.log(delta * math.sqrt(math.pi / 2.0))
        top = math.exp((logarithm + math.log(length) - missed) / POWERS)
    return float(constant + 2.0 * slope / width + top * (1.0 - 1.0 / width))


def strip_moment_test(
    X: ArrayLike,
    w: ArrayLike,
    sigma: float,
    *,
    delta: float = 0.05,
    tolerance: float = 1.0,
    rng: int | np.random.Generator | None = None,
) -> dict[str, Check]:
    """Test the mass and the moments of the strip |<w, x>| < sigma / 2, where the ramp has a slope.

    Second moments orthogonal to w bound how much noise can pull; with fourth moments they bound
    from below how much the best halfspace must.

    Args:
        X: (n, d) finite numbers.
        w: (d,) a direction.
        sigma: width of the ramp, at least 1e-9.
        delta: a normal sample fails with at most this probability, if w does not depend on it
            and the strip has rows enough; "fourth moment" is wanted below twice the normal one
            instead, which takes about d^2 rows.
        tolerance: factor that widens ranges, for rows that were whitened by estimates; 1 is none.
        rng: a seed, a generator, or None for fresh entropy.

    Returns:
        The tests by name: "strip mass", "strip rows", "largest variance in the strip", "smallest
        variance in the strip", "fourth moment in the strip".

    Raises:
        DataError, DTypeError, RangeError, ShapeError: for arguments of the wrong kind or range.

    Source: section 3, the testers of weak concentration and anti-concentration in the strip.

    Example:
        >>> rows = np.random.default_rng(1).standard_normal((20000, 4))
        >>> all(check.passed for check in strip_moment_test(rows, [1, 0, 0, 0], 0.4).values())
        True
        >>> signs = np.sign(rows)
        >>> strip_moment_test(signs, [1, 0, 0, 0], 0.4)["strip mass"].passed
        False
    """
    rows = check_rows(X)
    unit = check_direction(w, rows.shape[1])
    sigma = check_number("sigma", sigma, low=NARROWEST)
    delta = check_number("delta", delta, low=0.0, high=1.0, open_ends=True)
    tolerance = check_number("tolerance", tolerance, low=1.0)
    generator = as_generator(rng)
    projected = rows @ unit
    inside = np.abs(projected) < sigma / 2
    count, width = int(inside.sum()), rows.shape[1]
    checks = {
        "strip mass": check_mass(count, len(rows), (0.0, sigma / 2), delta / 2, tolerance),
        "strip rows": Check(count, ROWS_A_DIMENSION * width, math.inf),
    }
    if not checks["strip rows"].passed:
        return checks
    across = rows[inside] @ orthogonal_to(unit)
    note("flops", 2 * rows.size + 2 * across.size * width + across.size * across.shape[1])
    largest, smallest = check_spectrum(across.T @ across / count, count, delta / 2, tolerance)
    checks["largest variance in the strip"] = largest
    checks["smallest variance in the strip"] = smallest
    if width > 1:
        even = np.full(count, 1.0 / count)
        fourth = largest_fourth(across, even, 0.01, generator)
        checks["fourth moment in the strip"] = Check(fourth, 0.0, FOURTH * tolerance**2)
    return checks
