"""The worst that a sample does to any direction, by search."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from tractable._core import ShapeError
from tractable._core.checks import check_integer
from tractable._core.random import as_generator
from tractable.algorithms.lp_sampling._matrix import (
    Floats,
    basis_of,
    check_matrix,
    check_p,
    squares,
)

__all__ = ["Distortion", "subspace_distortion"]


class Distortion(NamedTuple):
    """The extremes of ||SAx||_p^p / ||Ax||_p^p that were found; both are 1 for a perfect sample."""

    low: float
    high: float


def subspace_distortion(
    A: ArrayLike,
    SA: ArrayLike,
    p: float,
    *,
    n_starts: int = 20,
    rng: int | np.random.Generator | None = None,
) -> Distortion:
    """Look for the x whose norm a sample misses by most, downwards and upwards.

    Random directions underestimate the worst by orders of magnitude. Here the ratio is followed
    up and down hill from the directions of the rows that matter most in either matrix, from the
    extremes at p = 2, from coordinates and from random ones. What is found is attained, so the
    true distortion is at least this.

    Args:
        A: (n, columns) the whole matrix.
        SA: (m, columns) the sample, multiplied as `RowSample.scale` does; no rows are allowed.
        p: at least 1.
        n_starts: random and heavy directions, at least 1 each.
        rng: a seed, a generator, or None for fresh entropy.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: for arguments of the wrong kind or range.

    Example:
        >>> A = np.eye(3)
        >>> low, high = subspace_distortion(A, np.diag([1.0, 2.0, 1.0]), 2, rng=0)
        >>> round(low, 6), round(high, 6)
        (1.0, 4.0)
    """
    whole = check_matrix("A", A)
    p = check_p(p)
    starts = check_integer("n_starts", n_starts, low=1)
    generator = as_generator(rng)
    raw = np.asarray(SA)
    if raw.ndim == 2 and raw.shape[0] == 0:
        return Distortion(0.0, 0.0) if whole.any() else Distortion(1.0, 1.0)
    sample = check_matrix("SA", raw)
    if sample.shape[1] != whole.shape[1]:
        raise ShapeError(f"SA has {sample.shape[1]} columns; wanted the {whole.shape[1]} of A")
    basis = basis_of(whole)
    Q, B = basis.columns, sample @ basis.from_matrix
    rank = Q.shape[1]
    if rank == 0:
        return Distortion(1.0, 1.0)
    points = _starts(Q, B, starts, generator)
    with np.errstate(divide="ignore"):
        ratios = _power(points @ B.T, p).sum(axis=1) / _power(points @ Q.T, p).sum(axis=1)
    low, high = float(ratios.min()), float(ratios.max())
    if low == 0.0 and high == 0.0:
        return Distortion(0.0, 0.0)
    for sign in (1.0, -1.0):
        for start in points[np.argsort(sign * ratios)[:starts]]:
            found = minimize(_log_ratio, start, args=(Q, B, p, sign), jac=True, method="L-BFGS-B")
            value = float(np.exp(sign * found.fun))
            low, high = min(low, value), max(high, value)
    return Distortion(low, high)


def _power(values: Floats, p: float) -> Floats:
    return np.asarray(np.abs(values) ** p)


def _log_ratio(x: Floats, Q: Floats, B: Floats, p: float, sign: float) -> tuple[float, Floats]:
    """Return the logarithm of the ratio and its gradient, times `sign`."""
    total, slope = 0.0, np.zeros(x.size)
    for factor, matrix in ((sign, B), (-sign, Q)):
        values = matrix @ x
        sizes = np.abs(values)
        norm = max(float((sizes**p).sum()), 1e-300)
        total += factor * float(np.log(norm))
        slope += factor * p / norm * (matrix.T @ (np.sign(values) * sizes ** (p - 1.0)))
    return total, slope


def _starts(Q: Floats, B: Floats, count: int, rng: np.random.Generator) -> Floats:
    rank = Q.shape[1]
    heavy = Q[np.argsort(squares(Q))[-count:]]
    sampled = B[np.argsort(squares(B))[-count:]]
    extremes = np.linalg.eigh(B.T @ B)[1].T  # Q is orthonormal, so these are p = 2's extremes
    parts = (heavy, sampled, extremes, np.eye(rank), rng.standard_normal((count, rank)))
    points = np.concatenate(parts)
    return np.asarray(points[np.abs(points).max(axis=1) > 0.0])
