"""How much a row can matter: leverage scores, Lewis weights, sensitivities and bounds on them."""

import math
import warnings
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from tractable._core import RangeError, note
from tractable._core.checks import as_array, check_integer, check_number
from tractable._core.random import as_generator
from tractable.algorithms.lp_sampling._matrix import (
    Floats,
    basis_of,
    check_matrix,
    check_p,
    row_leverage,
    squares,
)
from tractable.algorithms.lp_sampling._program import solve, solve_linear

__all__ = [
    "SensitivityBounds",
    "leverage_scores",
    "lewis_weights",
    "lp_sensitivities",
    "reference",
    "sensitivity_bounds",
]

MOST_PRODUCTS = 1 << 25
"""Rows times sampled rows that estimating all sensitivities may multiply out, about a second."""


class SensitivityBounds(NamedTuple):
    """Numbers between which sensitivities lie: lower <= sigma <= upper."""

    lower: Float[np.ndarray, "n"]
    upper: Float[np.ndarray, "n"]


def leverage_scores(A: ArrayLike) -> Float[np.ndarray, "n"]:
    """Return tau_i = sup_x (a_i x)^2 / ||Ax||_2^2, from 0 to 1; their sum is the rank.

    Args:
        A: (n, columns) finite numbers of any rank.

    Raises:
        DataError, DTypeError, ShapeError: for anything else.

    Example:
        >>> leverage_scores([[1, 0], [1, 0], [0, 3], [0, 0]]).round(12).tolist()
        [0.5, 0.5, 1.0, 0.0]
    """
    return np.minimum(squares(basis_of(check_matrix("A", A)).columns), 1.0)


def lewis_weights(
    A: ArrayLike, p: float, *, tol: float = 1e-8, max_iter: int = 1000
) -> Float[np.ndarray, "n"]:
    """Return the w with w_i = tau_i(W^(1/2 - 1/p) A), from 0 to 1; their sum is the rank.

    Each iteration computes leverage scores once; it divides the error of log w by 2 / |p - 2|
    for p < 2 and by p / (p - 2) above. Notes `iterations`.

    Args:
        A: (n, columns) finite numbers of any rank.
        p: at least 1.
        tol: largest change of log w at the end, above 0.
        max_iter: at least 1; a warning is given where they do not suffice.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: for arguments of the wrong kind or range.

    Example:
        >>> lewis_weights([[1, 0], [1, 0], [0, 3], [0, 0]], 1).round(6).tolist()
        [0.5, 0.5, 1.0, 0.0]
    """
    rows = check_matrix("A", A)
    tol = check_number("tol", tol, low=0.0, high=math.inf, open_ends=True)
    return lewis_of(
        basis_of(rows).columns, check_p(p), tol, check_integer("max_iter", max_iter, low=1)
    )


def lewis_of(Q: Floats, p: float, tol: float = 1e-8, max_iter: int = 1000) -> Floats:
    """Return Lewis weights of a matrix with orthonormal columns."""
    scores = np.minimum(squares(Q), 1.0)
    if p == 2.0:
        return scores
    kept = scores > 0.0
    B = Q[kept]
    logs = np.log(scores[kept])
    step = 1.0 if p < 2.0 else 2.0 / p  # a full step oscillates from p = 4 on
    for _ in range(max_iter):
        note("iterations")
        scale = np.exp((0.5 - 1.0 / p) * logs)
        leverage = row_leverage(B * scale[:, None])
        # a_i M^-1 a_i is the leverage over the square of the scale
        with np.errstate(divide="ignore"):
            wanted = 0.5 * p * (np.log(leverage) - 2.0 * np.log(scale))
        change = step * (np.maximum(wanted, -600.0) - logs)
        logs = logs + change
        if np.abs(change).max(initial=0.0) < tol:
            break
    else:
        warnings.warn(
            f"Lewis weights still changed by {np.abs(change).max():.1g} after {max_iter} "
            "iterations; give more, or a larger tol",
            RuntimeWarning,
            stacklevel=3,
        )
    weights = np.zeros(len(Q))
    weights[kept] = np.exp(np.minimum(logs, 0.0))
    return weights


def sensitivity_bounds(A: ArrayLike, p: float) -> SensitivityBounds:
    """Bound every sensitivity from both sides, by Lewis weights and leverage scores.

    For p <= 2, d^(p/2-1) w_i <= sigma_i <= min(w_i, tau_i^(p/2)). For p >= 2, w_i <= sigma_i <=
    min(d^(p/2-1) w_i, n^(p/2-1) tau_i^(p/2), 1).

    Args:
        A: (n, columns) finite numbers of any rank d.
        p: at least 1.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: for arguments of the wrong kind or range.

    Example:
        >>> lower, upper = sensitivity_bounds([[1, 0], [1, 0], [0, 3]], 4)
        >>> lower.round(6).tolist(), upper.round(6).tolist()
        ([0.5, 0.5, 1.0], [0.75, 0.75, 1.0])
    """
    return bounds_of(basis_of(check_matrix("A", A)).columns, check_p(p))


def bounds_of(Q: Floats, p: float) -> SensitivityBounds:
    """Bound the sensitivities of a matrix with orthonormal columns."""
    rank = max(1, Q.shape[1])
    w = lewis_of(Q, p)
    tau = squares(Q)
    if p <= 2.0:
        return SensitivityBounds(rank ** (p / 2 - 1) * w, np.minimum(w, tau ** (p / 2)))
    n = int((tau > 0.0).sum())
    wide = np.minimum(rank ** (p / 2 - 1) * w, n ** (p / 2 - 1) * tau ** (p / 2))
    return SensitivityBounds(w, np.minimum(np.maximum(wide, w), 1.0))


def lp_sensitivities(
    A: ArrayLike,
    p: float,
    *,
    method: Literal["exact", "sampled"] = "exact",
    rows: ArrayLike | None = None,
    tol: float = 1e-8,
    max_iter: int = 1000,
    rng: int | np.random.Generator | None = None,
) -> Float[np.ndarray, "rows"]:
    """Return sigma_i = sup_x |a_i x|^p / ||Ax||_p^p, from 0 to 1.

    Notes `solves`, one for each convex program.

    Args:
        A: (n, columns) finite numbers of any rank d.
        p: at least 1.
        method: "exact" solves a program of n rows for each row asked for; "sampled" solves it on
            a sample by Lewis weights, mostly within a factor of four, and returns upper
            estimates, never above `sensitivity_bounds`.
        rows: which rows, whole numbers from 0 to n - 1; None takes all.
        tol: relative error of "exact", certified; above 0.
        max_iter: weightings that a program may try; a warning is given where they do not suffice.
        rng: a seed, a generator, or None for fresh entropy; for "sampled".

    Raises:
        DataError, DTypeError, RangeError, ShapeError: for arguments of the wrong kind or range.

    Example:
        >>> A = [[1, 0], [1, 0], [0, 3], [0, 0]]
        >>> lp_sensitivities(A, 4).round(6).tolist()
        [0.5, 0.5, 1.0, 0.0]
    """
    matrix = check_matrix("A", A)
    p = check_p(p)
    tol = check_number("tol", tol, low=0.0, high=math.inf, open_ends=True)
    tries = check_integer("max_iter", max_iter, low=1)
    generator = as_generator(rng)
    which = _check_rows(rows, len(matrix))
    if method not in ("exact", "sampled"):
        raise RangeError(f"method is {method!r}; wanted exact or sampled")
    Q = basis_of(matrix).columns
    if method == "sampled":
        return sampled_sensitivities(Q, p, which, generator)
    tau = squares(Q)[which]
    if p == 2.0:
        return np.minimum(tau, 1.0)
    found = np.zeros(which.size)
    kept = tau > 0.0
    targets = Q[which[kept]]
    if p == 1.0:
        found[kept] = [solve_linear(Q, target)[0] for target in targets]
    elif kept.any():
        solved = solve(Q, _first_weights(lewis_of(Q, p), p), targets, p, tol=tol, max_iter=tries)
        if (solved.upper > (1.0 + tol) * solved.lower).any():
            gap = float((solved.upper / solved.lower).max()) - 1.0
            warnings.warn(
                f"sensitivities are certain only up to {gap:.1g} after {tries} weightings; give "
                "more, or a larger tol",
                RuntimeWarning,
                stacklevel=2,
            )
        found[kept] = solved.lower
    return np.minimum(found, 1.0)


def sampled_sensitivities(
    Q: Floats, p: float, which: NDArray[np.intp], rng: np.random.Generator
) -> Floats:
    """Return upper estimates mostly within a factor of four, from programs on a Lewis sample."""
    from tractable.algorithms.lp_sampling._sample import draw

    w = lewis_of(Q, p)
    lower, upper = bounds_of(Q, p)
    lower, upper = lower[which], upper[which]
    loose = np.flatnonzero(upper > 2.0 * lower)
    if p == 2.0 or not loose.size:
        return upper
    rank = Q.shape[1]
    most = max(50 * rank, MOST_PRODUCTS // loose.size)
    size = min(len(Q), most, math.ceil(4 * rank ** max(1.0, p / 2)) + 200)
    sample = draw(w, size, rng)
    B = Q[sample.indices] * sample.sample_weight[:, None] ** (1.0 / p)
    if np.linalg.matrix_rank(B) < rank:  # a bound is better than a program without end
        return upper
    first = _first_weights(lewis_of(B @ basis_of(B).from_matrix, p), p)
    solved = solve(B, first, Q[which[loose]], p, tol=1.0, max_iter=4)
    upper[loose] = np.clip(solved.upper, lower[loose], upper[loose])
    return upper


def _first_weights(w: Floats, p: float) -> Floats:
    """Return w^(1-2/p), within the range that programs allow."""
    scaled = np.where(w > 0.0, w, w[w > 0.0].min()) ** (1.0 - 2.0 / p)
    return np.asarray(np.maximum(scaled, scaled.max() / 1e10))


def _check_rows(rows: ArrayLike | None, n: int) -> NDArray[np.intp]:
    if rows is None:
        return np.arange(n)
    array = np.asarray(rows)
    if array.size == 0:
        return np.zeros(0, np.intp)
    which = as_array("rows", array, ndim=1, kinds="iu")
    if int(which.min()) < 0 or int(which.max()) >= n:
        raise RangeError(f"rows span {which.min()} to {which.max()}; wanted 0 to {n - 1}")
    return which.astype(np.intp)


def reference(A: ArrayLike, p: float, row: int) -> float:
    """Return one sensitivity from its definition, by a general-purpose optimiser; slow.

    Args:
        A: (n, columns) finite numbers of full column rank.
        p: at least 1.
        row: which row.

    Raises:
        DataError, DTypeError, RangeError, ShapeError: for arguments of the wrong kind or range.
    """
    from scipy.optimize import minimize

    matrix, p = check_matrix("A", A), check_p(p)
    row = check_integer("row", row, low=0, high=len(matrix) - 1)
    peaks = np.abs(matrix).max(axis=0)
    matrix = matrix / np.where(peaks > 0.0, peaks, 1.0)  # changes x alone
    target = matrix[row]
    if not target.any():
        return 0.0
    point = target / (target @ target)
    free = np.linalg.svd(target[None, :])[2][1:].T  # moves that leave a_i x = 1

    def norm(move: Floats, smooth: float = 0.0) -> float:
        values = matrix @ (point + free @ move)
        return float(((values**2 + smooth**2) ** (p / 2)).sum())

    best = np.zeros(free.shape[1])
    if best.size:
        for smooth in 10.0 ** -np.arange(10):  # at p = 1 the corners stop any descent else
            best = minimize(norm, best, args=(smooth,), method="BFGS").x
        best = minimize(norm, best, method="Nelder-Mead", options={"xatol": 1e-12}).x
    return 1.0 / norm(best)
